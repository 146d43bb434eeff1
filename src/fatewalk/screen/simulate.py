"""Simulated screens with their truth: one generator for tests, demo, power and benchmarks.

The screen is drawn from the model that is fitted. With f a contrast (a fate but the first, which
is the reference), d the day, r the replicate and k the number of distinct guides of the cell:

    eta = alpha[f, d] + b[f, r] + gamma[f, d] * (k - mean k of the day)
          + own intercept of the cell's cluster (if there are clusters) + covariate_effect * covariate
          + sum of beta[g, f, d]
    beta[g, f, d] = theta[gene of g, f, d] + delta[g, f], 0 for NTC guides, which do count in k

and labels are one fate drawn from softmax(eta), or Dirichlet(concentration * softmax(eta)).

Effects of an active gene over the D days (in time order; every pattern works from D = 1 on):

- single_day: full size on one random day, 0 on the others
- sustained: full size on all days
- early: full size in the first half, then down to 0 on the last day in equal steps
- late: early, backwards
- transient: full size on the middle day (the two middle ones if D is even), 0 on the others
- sign_switch: full size in the first half (the larger one if D is odd), then the opposite sign
- random_walk: N(0, walk_start_sd) on the first day, then steps N(0, walk_step_sd)

With ``active_per: day`` there are no patterns: on every day active_genes genes are drawn anew, each
with an effect on that day alone, so a gene may act on several days with sizes and signs of their own.

Dimensions: N cells, F* contrasts, D days, R replicates, C clusters, L genes, G targeting guides,
M guides with NTC, A active genes, E guide calls.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import softmax

from fatewalk.config.simulate import Pattern, SimulateConfig
from fatewalk.core.daywise import join_days
from fatewalk.core.errors import FatewalkError
from fatewalk.core.files import atomic_path, write_json
from fatewalk.core.schema import CLUSTER, NTC, prob_columns
from fatewalk.core.tables import write_table
from fatewalk.core.words import count

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
GuideIndices = NDArray[np.int32]

PATTERNS: tuple[Pattern, ...] = get_args(Pattern)

#: Each component draws from a stream of its own, so that one setting does not shift the draws of
#: another. Append only: the place in this list is the identity of the stream.
STREAMS = (
    "guides_per_gene", "abundance", "moi", "guides", "active", "pattern", "size", "hit", "walk",
    "guide_effect", "intercept", "replicate", "cluster", "label", "covariate", "burden_slope",
)  # fmt: skip

#: Rounds of redrawing repeated guides. Reached only if cells want nearly every guide of a library
#: with hardly drawable guides.
MAX_ROUNDS = 2000


@dataclass(frozen=True)
class SimulatedScreen:
    """The canonical tables of a screen, and the truth behind them.

    Attributes
    ----------
    cells
        cell_id (categorical), day (label), time, rep, one column ``p_<fate>`` per fate [, cluster]
        [, covariate].
    guide_calls
        cell_id, guide (both categorical): one row per distinct guide of a cell.
    guide_map
        guide_name, gene_name, is_ntc.
    truth_theta
        gene, fate (contrast), day (index), theta (mean over the guides of the library), theta_gene
        (before the deviations of the library's guides; the same if they are centred).
    truth_delta
        guide, gene, fate, delta: targeting guides; sums to zero over the guides of a gene.
    truth
        settings; names of fates, contrasts, days, reps, clusters; times [D]; alpha and gamma
        [F*, D], b [F*, R], cluster_intercepts [F*, C], covariate_slopes [F*, 0 or 1]; mean_burden
        [D]; patterns (active gene -> pattern, or with active_per day its days, as ``d0;d2``);
        scales, the values that the fit's scales should find: tau [F*] and sigma_time
        [F*, D - 1] are root mean squares over the genes, of theta on the first day and of its
        steps, sigma_guide is the setting; guide_shares [M], the probability of each guide of the
        map in a draw; n_cells_capped, cells that wanted more guides than can be drawn.
    """

    cells: pd.DataFrame
    guide_calls: pd.DataFrame
    guide_map: pd.DataFrame
    truth_theta: pd.DataFrame
    truth_delta: pd.DataFrame
    truth: dict[str, Any]


def simulate_screen(config: SimulateConfig) -> SimulatedScreen:
    """Draw a screen from the model.

    Parameters
    ----------
    config
        Section ``simulate`` of a dataset entry.

    Returns
    -------
    SimulatedScreen
        Tables and truth; the same for the same settings (and NumPy release).

    Raises
    ------
    FatewalkError
        If moi is more than the number of guides that can be drawn, or too near to it.
    """
    seeds = np.random.SeedSequence(config.seed).spawn(len(STREAMS))
    rngs = {name: np.random.default_rng(seed) for name, seed in zip(STREAMS, seeds, strict=True)}
    library = _draw_library(config, rngs)
    effects = _draw_effects(config, library, rngs)
    layout = _lay_out(config)
    nuisance = _draw_nuisance(config, layout, rngs)
    wanted = _draw_burden(config, layout, rngs["moi"])
    n_guides, guides, n_capped = _draw_guides(config, layout, wanted, library.shares, rngs["guides"])
    eta, mean_burden = _linear_predictor(layout, effects, nuisance, n_guides, guides)
    covariate = _draw_covariate(config, rngs["covariate"])
    eta[:, 1:] += covariate @ nuisance.covariate.T
    prob = _draw_labels(config, eta, layout.day, rngs["label"])

    cells, guide_calls = _cell_tables(config, layout, library, n_guides, guides, prob)
    if covariate.shape[1]:
        cells["covariate"] = covariate[:, 0]
    truth_theta, truth_delta = _truth_tables(config, library, effects)
    truth = _settings_and_scales(config, layout, library, effects, nuisance)
    truth |= {"mean_burden": mean_burden, "n_cells_capped": n_capped}
    return SimulatedScreen(cells, guide_calls, library.guide_map, truth_theta, truth_delta, truth)


def write_screen(screen: SimulatedScreen, folder: str | Path) -> None:
    """Write the canonical tables and the truth, each file atomically.

    Parameters
    ----------
    screen
        A screen.
    folder
        Receives cells.parquet, guide_calls.parquet, guide_map.csv, truth_theta.csv,
        truth_delta.csv, truth.json; made if absent.
    """
    folder = Path(folder)
    for name, table in (("cells", screen.cells), ("guide_calls", screen.guide_calls)):
        with atomic_path(folder / f"{name}.parquet") as temporary:
            # One row group, because Parquet repeats the names of all cells in each.
            table.to_parquet(temporary, index=False, row_group_size=max(len(table), 1))
    write_table(screen.guide_map, folder / "guide_map.csv")
    write_table(screen.truth_theta, folder / "truth_theta.csv")
    write_table(screen.truth_delta, folder / "truth_delta.csv")
    write_json(screen.truth, folder / "truth.json")


# ------------------------------------------------------------------- library and effects

Rngs = dict[str, np.random.Generator]


@dataclass(frozen=True)
class _Library:
    genes: NDArray[np.str_]  # [L]
    guide_map: pd.DataFrame  # targeting guides in the order of their genes, then NTC guides
    guide_to_gene: Ints  # [G]
    shares: Floats  # [M]: probability of a guide in a draw


@dataclass(frozen=True)
class _Effects:
    theta_gene: Floats  # [L, F*, D]
    theta: Floats  # [L, F*, D]
    delta: Floats  # [G, F*]
    beta: Floats  # [M, F*, D]: 0 for NTC guides
    patterns: dict[str, str]  # active gene -> pattern


def _draw_library(config: SimulateConfig, rngs: Rngs) -> _Library:
    per_gene = config.guides_per_gene
    if isinstance(per_gene, dict):
        weights = np.array(list(per_gene.values()))
        sizes = rngs["guides_per_gene"].choice(list(per_gene), size=config.genes, p=weights / weights.sum())
    else:
        sizes = np.full(config.genes, per_gene)
    guide_to_gene = np.repeat(np.arange(config.genes), sizes)  # [G]
    within_gene = np.arange(len(guide_to_gene)) - (np.cumsum(sizes) - sizes)[guide_to_gene]  # [G]
    genes = _names("Gene", config.genes, 3)
    guides = np.char.add(np.char.add(genes[guide_to_gene], "_g"), (within_gene + 1).astype(str))
    is_ntc = np.repeat([False, True], [len(guides), config.ntc_guides])  # [M]
    guide_map = pd.DataFrame(
        {
            "guide_name": np.concatenate([guides, _names("NTC_", config.ntc_guides, 2)]).astype(object),
            "gene_name": np.append(genes[guide_to_gene], np.repeat(NTC, config.ntc_guides)).astype(object),
            "is_ntc": is_ntc,
        }
    )
    abundance = np.exp(config.guide_abundance_sd * rngs["abundance"].standard_normal(len(is_ntc)))
    shares = np.where(is_ntc, config.ntc_share, 1 - config.ntc_share) * abundance
    shares /= np.where(is_ntc, abundance[is_ntc].sum(), abundance[~is_ntc].sum())
    return _Library(genes, guide_map, guide_to_gene, shares / shares.sum())


def _draw_effects(config: SimulateConfig, library: _Library, rngs: Rngs) -> _Effects:
    n_contrasts, n_days = len(config.fates) - 1, len(config.days)
    draw_theta = _daily_theta if config.active_per == "day" else _patterned_theta
    theta_gene, patterns = draw_theta(config, library.genes, rngs)

    n_guides = np.bincount(library.guide_to_gene)[:, None]  # [L, 1]
    deviation = config.guide_sd * rngs["guide_effect"].standard_normal(
        (len(library.guide_to_gene), n_contrasts)
    )  # [G, F*]
    gene_mean = np.zeros((config.genes, n_contrasts))
    np.add.at(gene_mean, library.guide_to_gene, deviation)
    gene_mean /= n_guides
    delta = deviation - gene_mean[library.guide_to_gene]
    is_uncentred = config.guide_effects == "uncentred"
    theta = theta_gene + gene_mean[:, :, None] if is_uncentred else theta_gene  # [L, F*, D]

    beta = np.zeros((len(library.shares), n_contrasts, n_days))
    beta[: len(delta)] = theta[library.guide_to_gene] + delta[:, :, None]
    return _Effects(theta_gene, theta, delta, beta, patterns)


def _patterned_theta(
    config: SimulateConfig, genes: NDArray[np.str_], rngs: Rngs
) -> tuple[Floats, dict[str, str]]:
    """Effects of all genes, [L, F*, D], and the pattern of each active one."""
    active = np.sort(rngs["active"].choice(config.genes, size=config.active_genes, replace=False))  # [A]
    pattern = _draw_patterns(config, rngs["pattern"])  # [A]
    theta = np.zeros((config.genes, len(config.fates) - 1, len(config.days)))
    theta[active] = _active_effects(config, pattern, rngs)
    return theta, dict(zip(genes[active].tolist(), pattern.tolist(), strict=True))


def _daily_theta(
    config: SimulateConfig, genes: NDArray[np.str_], rngs: Rngs
) -> tuple[Floats, dict[str, str]]:
    """Effects of genes drawn anew on every day, [L, F*, D], and the days of each active one."""
    n_days = len(config.days)
    theta = np.zeros((config.genes, len(config.fates) - 1, n_days))
    is_active = np.zeros((config.genes, n_days), dtype=bool)
    for day in range(n_days):
        active = rngs["active"].choice(config.genes, size=config.active_genes, replace=False)  # [A]
        size = _draw_sizes(config, rngs["size"])[:, :, None]  # [A, F*, 1]
        theta[active, :, day] = _on_contrasts_hit(config, size, rngs["hit"])[:, :, 0]
        is_active[active, day] = True
    acting = is_active.any(axis=1)
    return theta, dict(zip(genes[acting].tolist(), join_days(is_active[acting]), strict=True))


def _draw_patterns(config: SimulateConfig, rng: np.random.Generator) -> NDArray[np.str_]:
    probability = np.array([config.effect_patterns.get(pattern, 0.0) for pattern in PATTERNS])
    return rng.choice(PATTERNS, size=config.active_genes, p=probability / probability.sum())


def _active_effects(config: SimulateConfig, pattern: NDArray[np.str_], rngs: Rngs) -> Floats:
    """Effects of the active genes, [A, F*, D]."""
    n_days = len(config.days)
    size = _draw_sizes(config, rngs["size"])  # [A, F*]
    scale = np.array([config.walk_start_sd] + [config.walk_step_sd] * (n_days - 1))  # [D]
    walk = np.cumsum(scale * rngs["walk"].standard_normal((*size.shape, n_days)), axis=2)  # [A, F*, D]

    the_day = rngs["pattern"].integers(n_days, size=len(pattern))  # [A], used by single_day
    profile = np.zeros((len(pattern), n_days))  # [A, D]
    for name in PATTERNS:
        is_name = pattern == name
        profile[is_name] = (
            np.eye(n_days)[the_day[is_name]] if name == "single_day" else _profile(name, n_days)
        )
    is_walk = (pattern == "random_walk")[:, None, None]
    effect = np.where(is_walk, walk, size[:, :, None] * profile[:, None, :])
    return _on_contrasts_hit(config, effect, rngs["hit"])


def _draw_sizes(config: SimulateConfig, rng: np.random.Generator) -> Floats:
    """Effect sizes with their signs, [A, F*]."""
    shape = (config.active_genes, len(config.fates) - 1)
    return rng.uniform(*config.effect_size, shape) * rng.choice([-1, 1], shape)


def _on_contrasts_hit(config: SimulateConfig, effect: Floats, rng: np.random.Generator) -> Floats:
    """Effects of active genes by ``effect_fates``, from independent ones, both [A, F*, D]."""
    if config.effect_fates == "same":
        return np.broadcast_to(effect[:, :1], effect.shape)
    if config.effect_fates == "one":
        n_active, n_contrasts, _ = effect.shape
        hit = rng.integers(n_contrasts, size=(n_active, 1))  # [A, 1]
        return effect * (np.arange(n_contrasts) == hit)[:, :, None]
    if config.effect_fates in ("one_fate", "two_fates"):
        n_active, n_contrasts, n_days = effect.shape
        fates = np.tile(np.arange(n_contrasts + 1), (n_active, 1))  # [A, F]
        n_hit = 1 if config.effect_fates == "one_fate" else 2
        hit = rng.permuted(fates, axis=1)[:, :n_hit]
        by_fate = np.zeros((n_active, n_contrasts + 1, n_days))
        np.put_along_axis(by_fate, hit[:, :, None], effect[:, :n_hit], axis=1)
        return by_fate[:, 1:] - by_fate[:, :1]
    return effect


def _profile(pattern: str, n_days: int) -> Floats:
    """Effect over effect size by day, [D], of a pattern that has nothing random."""
    day = np.arange(n_days)
    early = np.clip(2 - 2 * day / max(n_days - 1, 1), 0, 1)
    profiles = {
        "sustained": np.ones(n_days),
        "early": early,
        "late": early[::-1],
        "transient": np.abs(2 * day - (n_days - 1)) <= 1,
        "sign_switch": np.where(day < (n_days + 1) // 2, 1, -1),
    }
    return np.asarray(profiles.get(pattern, np.zeros(n_days)), dtype=float)


# ------------------------------------------------------------------- cells and their guides


@dataclass(frozen=True)
class _Layout:
    """Where each cell stands; cells are in the order of day, replicate, cluster."""

    day: Ints  # [N]
    rep: Ints  # [N]
    cluster: Ints  # [N]
    guide_unit: Ints  # [N]: cells of the same unit carry the same guides
    day_names: NDArray[np.object_]  # [D]
    rep_names: NDArray[np.object_]  # [R]
    cluster_names: NDArray[np.object_]  # [C]; empty without clusters


@dataclass(frozen=True)
class _Nuisance:
    alpha: Floats  # [F*, D]
    b: Floats  # [F*, R], sums to zero over replicates
    gamma: Floats  # [F*, D]
    cluster: Floats  # [F*, C]
    covariate: Floats  # [F*, 0 or 1]


def _lay_out(config: SimulateConfig) -> _Layout:
    n_days, n_clusters = len(config.days), max(config.clusters, 1)
    n_groups = n_days * config.replicates * n_clusters
    cell = np.arange(config.cells)
    group = cell * n_groups // config.cells  # sizes differ by one cell at most
    return _Layout(
        day=group // (config.replicates * n_clusters),
        rep=group // n_clusters % config.replicates,
        cluster=group,
        guide_unit=group if config.cluster_shares_guides else cell,
        # 15 digits: different times never get the same label
        day_names=np.array([f"day{time:.15g}" for time in config.days], dtype=object),
        rep_names=_names("rep", config.replicates, 1).astype(object),
        cluster_names=_names("cluster", n_groups if config.clusters else 0, 4).astype(object),
    )


def _draw_nuisance(config: SimulateConfig, layout: _Layout, rngs: Rngs) -> _Nuisance:
    n_contrasts, n_days = len(config.fates) - 1, len(config.days)
    b = config.replicate_sd * rngs["replicate"].standard_normal((n_contrasts, config.replicates))
    own_slope = config.burden_slope_sd * rngs["burden_slope"].standard_normal((n_contrasts, 1))  # [F*, 1]
    slope = np.asarray(config.burden_slope, dtype=float) + own_slope  # [F*, 1 or D]
    shares = np.log(config.fate_shares or np.ones(n_contrasts + 1))  # [F]
    own_level = config.intercept_sd * rngs["intercept"].standard_normal((n_contrasts, n_days))
    return _Nuisance(
        alpha=(shares[1:] - shares[0])[:, None] + own_level,
        b=b - b.mean(axis=1, keepdims=True),
        gamma=np.broadcast_to(slope, (n_contrasts, n_days)),
        cluster=config.cluster_sd * rngs["cluster"].standard_normal((n_contrasts, len(layout.cluster_names))),
        covariate=np.full((n_contrasts, int(config.covariate_effect != 0)), config.covariate_effect),
    )


def _draw_covariate(config: SimulateConfig, rng: np.random.Generator) -> Floats:
    """Draw the covariate from N(0, 1), [N, 1]; [N, 0] if it has no effect."""
    return rng.standard_normal((config.cells, int(config.covariate_effect != 0)))


def _draw_burden(config: SimulateConfig, layout: _Layout, rng: np.random.Generator) -> Ints:
    """Distinct guides that each guide unit wants, [units]."""
    n_units = int(layout.guide_unit[-1]) + 1
    if config.moi_distribution == "poisson":
        return rng.poisson(config.moi, n_units)
    if config.moi_distribution == "uniform":
        return rng.integers(1, int(2 * config.moi - 0.5), size=n_units, endpoint=True)
    return np.full(n_units, int(config.moi + 0.5))


def _draw_guides(
    config: SimulateConfig, layout: _Layout, wanted: Ints, shares: Floats, rng: np.random.Generator
) -> tuple[Ints, GuideIndices, int]:
    """Guides of every cell: their number [N], their indices [E] cell by cell; and cells capped."""
    n_drawable = np.count_nonzero(shares)
    if config.moi > n_drawable:
        raise FatewalkError(
            f"simulate.moi: found {config.moi:g} distinct guides a cell, but only {n_drawable} guides can be "
            "drawn; lower moi, or raise genes, guides_per_gene or ntc_guides"
        )
    n_capped = int(np.count_nonzero((wanted > n_drawable)[layout.guide_unit]))
    if n_capped:
        words = count(n_capped, "cell wants", "cells want")
        log.warning("%s more guides than the %d that can be drawn", words, n_drawable)
    of_unit = np.minimum(wanted, n_drawable)
    guides = _draw_distinct(of_unit, shares, rng)
    if not config.cluster_shares_guides:
        return of_unit, guides, n_capped
    n_guides = of_unit[layout.guide_unit]  # [N]
    start_of_unit = (np.cumsum(of_unit) - of_unit)[layout.guide_unit]  # [N]
    start_of_cell = np.cumsum(n_guides) - n_guides  # [N]
    take = np.arange(n_guides.sum()) + np.repeat(start_of_unit - start_of_cell, n_guides)  # [E]
    return n_guides, guides[take], n_capped


def _draw_distinct(wanted: Ints, shares: Floats, rng: np.random.Generator) -> GuideIndices:
    """Draw distinct guides for every cell: the first different ones of an endless row of draws.

    Repeats within a cell are thrown away and redrawn, which is successive sampling: each next guide
    is drawn by ``shares`` among those that the cell does not have yet. So where moi is not small
    against the library, frequent guides (and NTC guides, if few have a large share) get a little
    less than their share.

    Parameters
    ----------
    wanted
        Guides of each cell, [cells]; at most the number of guides with a share above 0.
    shares
        Probability of each guide in a draw, [M].

    Returns
    -------
    numpy.ndarray
        Guides, int32 [E], cell by cell, ascending within a cell.
    """
    n_guides = len(shares)
    cell = np.arange(len(wanted))
    missing = wanted
    pool = np.empty(0, dtype=np.int64)  # keys, cell * n_guides + guide, of cells still short of guides
    complete = []
    for _ in range(MAX_ROUNDS):
        drawn = np.repeat(cell * n_guides, missing)
        drawn += rng.choice(n_guides, size=len(drawn), p=shares)
        pool = np.sort(np.concatenate([pool, drawn]))  # much faster than np.unique here
        pool = pool[np.diff(pool, prepend=-1) > 0]
        owner = pool // n_guides
        missing = np.where(missing > 0, wanted - np.bincount(owner, minlength=len(wanted)), 0)
        is_short = missing[owner] > 0
        complete.append(pool[~is_short])
        pool = pool[is_short]
        if not len(pool):
            break
    else:
        raise FatewalkError(
            f"simulate.moi: found cells that want up to {wanted.max()} of {n_guides} guides, of which some "
            "are hardly ever drawn; lower moi or guide_abundance_sd, or make ntc_share larger or 0"
        )
    keys = np.sort(np.concatenate(complete), kind="stable")  # stable: merges the sorted pieces
    return (keys % n_guides).astype(np.int32)


def _linear_predictor(
    layout: _Layout, effects: _Effects, nuisance: _Nuisance, n_guides: Ints, guides: GuideIndices
) -> tuple[Floats, Floats]:
    """Logits of the fates, the reference 0, [N, F], and the mean burden by day [D]."""
    n_cells = len(layout.day)
    n_all, n_contrasts, n_days = effects.beta.shape
    mean_burden = np.bincount(layout.day, weights=n_guides) / np.bincount(layout.day)  # [D]
    excess = (n_guides - mean_burden[layout.day])[:, None]  # [N, 1]
    column = guides.astype(np.int64) * n_days + np.repeat(layout.day, n_guides)  # [E]
    offsets = np.concatenate([[0], np.cumsum(n_guides)])  # [N + 1]
    carries = sparse.csr_array((np.ones(len(guides)), column, offsets), shape=(n_cells, n_all * n_days))
    eta = np.zeros((n_cells, n_contrasts + 1))
    eta[:, 1:] = carries @ effects.beta.transpose(0, 2, 1).reshape(n_all * n_days, n_contrasts)
    eta[:, 1:] += nuisance.alpha.T[layout.day] + nuisance.b.T[layout.rep]
    eta[:, 1:] += nuisance.gamma.T[layout.day] * excess
    if len(layout.cluster_names):
        eta[:, 1:] += nuisance.cluster.T[layout.cluster]
    return eta, mean_burden


def _draw_labels(config: SimulateConfig, eta: Floats, day: Ints, rng: np.random.Generator) -> Floats:
    """Fate probabilities of the cells, [N, F]; rows sum to one."""
    prob = softmax(eta, axis=1)
    if config.labels == "one_hot":
        below = np.cumsum(prob[:, :-1], axis=1) < rng.random((len(prob), 1))
        return np.eye(prob.shape[1])[below.sum(axis=1)]
    concentration = np.broadcast_to(np.asarray(config.concentration, dtype=float), len(config.days))
    shape = np.maximum(prob * concentration[day][:, None], 1e-300)
    # In logs, because gamma draws of a small shape are often 0 for all fates:
    # Gamma(a) = Gamma(a + 1) * U^(1 / a), Marsaglia & Tsang (2000).
    log_gamma = np.log(rng.standard_gamma(shape + 1)) - rng.standard_exponential(shape.shape) / shape
    return softmax(log_gamma, axis=1)


# ------------------------------------------------------------------- tables


def _cell_tables(
    config: SimulateConfig,
    layout: _Layout,
    library: _Library,
    n_guides: Ints,
    guides: GuideIndices,
    prob: Floats,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of the cells and of their guides."""
    n_cells = config.cells
    cell_ids = pd.CategoricalDtype(pd.Index(_names("cell", n_cells, 7).astype(object)))
    guide_names = pd.CategoricalDtype(library.guide_map["guide_name"])
    cell = np.arange(n_cells, dtype=np.int32)
    cells = pd.DataFrame(
        {
            "cell_id": pd.Categorical.from_codes(cell, dtype=cell_ids),
            "day": layout.day_names[layout.day],
            "time": np.array(config.days, dtype=float)[layout.day],
            "rep": layout.rep_names[layout.rep],
            **dict(zip(prob_columns(config.fates), prob.T, strict=True)),
        }
    )
    if len(layout.cluster_names):
        cells[CLUSTER] = layout.cluster_names[layout.cluster]
    guide_calls = pd.DataFrame(
        {
            "cell_id": pd.Categorical.from_codes(np.repeat(cell, n_guides), dtype=cell_ids),
            "guide": pd.Categorical.from_codes(guides, dtype=guide_names),
        }
    )
    return cells, guide_calls


def _truth_tables(
    config: SimulateConfig, library: _Library, effects: _Effects
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of theta (gene, contrast, day) and of delta (guide, contrast)."""
    contrasts = np.array(config.fates[1:], dtype=object)
    gene, fate, day = (axis.ravel() for axis in np.indices(effects.theta.shape))
    genes = library.genes.astype(object)
    truth_theta = pd.DataFrame(
        {
            "gene": genes[gene],
            "fate": contrasts[fate],
            "day": day,
            "theta": effects.theta.ravel(),
            "theta_gene": effects.theta_gene.ravel(),
        }
    )
    guide, fate = (axis.ravel() for axis in np.indices(effects.delta.shape))
    truth_delta = pd.DataFrame(
        {
            "guide": library.guide_map["guide_name"].to_numpy()[guide],
            "gene": genes[library.guide_to_gene[guide]],
            "fate": contrasts[fate],
            "delta": effects.delta.ravel(),
        }
    )
    return truth_theta, truth_delta


def _settings_and_scales(
    config: SimulateConfig, layout: _Layout, library: _Library, effects: _Effects, nuisance: _Nuisance
) -> dict[str, Any]:
    """Everything true that is neither theta nor delta nor known from the cells."""
    return {
        "settings": config.model_dump(mode="json"),
        "fates": config.fates,
        "contrasts": config.fates[1:],
        "days": list(layout.day_names),
        "times": config.days,
        "reps": list(layout.rep_names),
        "clusters": list(layout.cluster_names),
        "alpha": nuisance.alpha,
        "b": nuisance.b,
        "gamma": nuisance.gamma,
        "cluster_intercepts": nuisance.cluster,
        "covariate_slopes": nuisance.covariate,
        "patterns": effects.patterns,
        "scales": {
            "tau": _root_mean_square(effects.theta[:, :, 0]),
            "sigma_time": _root_mean_square(np.diff(effects.theta, axis=2)),
            "sigma_guide": config.guide_sd,
        },
        "guide_shares": library.shares,
    }


def _names(prefix: str, n: int, width: int) -> NDArray[np.str_]:
    """Names ``prefix01``, ``prefix02``, ..., with at least ``width`` digits and all as long."""
    return np.char.mod(f"{prefix}%0{max(width, len(str(n)))}d", np.arange(1, n + 1))


def _root_mean_square(values: Floats) -> Floats:
    """Root mean square over the genes, the first axis."""
    return np.sqrt(np.mean(values**2, axis=0))

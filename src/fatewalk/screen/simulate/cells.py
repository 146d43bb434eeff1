"""Where cells stand, and what acts on their fates beside genes: days, replicates, burden, clusters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from fatewalk.screen.simulate.library import Library, names

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fatewalk.config.simulate import SimulateConfig
    from fatewalk.screen.simulate.effects import Effects
    from fatewalk.screen.simulate.streams import Floats, GuideIndices, Ints, Rngs


@dataclass(frozen=True)
class Layout:
    """Where each cell stands; cells are in the order of day, replicate, cluster."""

    day: Ints  # [N]
    rep: Ints  # [N]
    cluster: Ints  # [N]
    guide_unit: Ints  # [N]: cells of the same unit carry the same guides
    day_names: NDArray[np.object_]  # [D]
    rep_names: NDArray[np.object_]  # [R]
    cluster_names: NDArray[np.object_]  # [C]; empty without clusters


@dataclass(frozen=True)
class Nuisance:
    """What acts on the fates of all cells of a day, replicate or cluster."""

    alpha: Floats  # [F*, D]
    b: Floats  # [F*, R], sums to zero over replicates
    gamma: Floats  # [F*, D]
    cluster: Floats  # [F*, C]
    covariate: Floats  # [F*, 0 or 1]


def lay_out(config: SimulateConfig) -> Layout:
    """Spread the cells evenly."""
    n_days, n_clusters = len(config.days), max(config.clusters, 1)
    n_groups = n_days * config.replicates * n_clusters
    cell = np.arange(config.cells)
    group = cell * n_groups // config.cells  # sizes differ by one cell at most
    return Layout(
        day=group // (config.replicates * n_clusters),
        rep=group // n_clusters % config.replicates,
        cluster=group,
        guide_unit=group if config.cluster_shares_guides else cell,
        # 15 digits: different times never get the same label
        day_names=np.array([f"day{time:.15g}" for time in config.days], dtype=object),
        rep_names=names("rep", config.replicates, 1).astype(object),
        cluster_names=names("cluster", n_groups if config.clusters else 0, 4).astype(object),
    )


def draw_nuisance(config: SimulateConfig, layout: Layout, rngs: Rngs) -> Nuisance:
    """Draw intercepts, replicate effects, slopes of the burden and cluster effects."""
    n_contrasts, n_days = len(config.fates) - 1, len(config.days)
    b = config.replicate_sd * rngs["replicate"].standard_normal((n_contrasts, config.replicates))
    own_slope = config.burden_slope_sd * rngs["burden_slope"].standard_normal((n_contrasts, 1))  # [F*, 1]
    slope = np.asarray(config.burden_slope, dtype=float) + own_slope  # [F*, 1 or D]
    shares = np.log(config.fate_shares or np.ones(n_contrasts + 1))  # [F]
    cluster_sd = np.reshape(config.cluster_sd, (-1, 1))  # [1 or F*, 1]
    own_level = config.intercept_sd * rngs["intercept"].standard_normal((n_contrasts, n_days))
    return Nuisance(
        alpha=(shares[1:] - shares[0])[:, None] + own_level,
        b=b - b.mean(axis=1, keepdims=True),
        gamma=np.broadcast_to(slope, (n_contrasts, n_days)),
        cluster=cluster_sd * rngs["cluster"].standard_normal((n_contrasts, len(layout.cluster_names))),
        covariate=np.full((n_contrasts, int(config.covariate_effect != 0)), config.covariate_effect),
    )


def draw_covariate(config: SimulateConfig, rng: np.random.Generator) -> Floats:
    """Draw the covariate from N(0, 1), [N, 1]; [N, 0] if it has no effect."""
    return rng.standard_normal((config.cells, int(config.covariate_effect != 0)))


def mean_by_day(layout: Layout, n_guides: Ints) -> Floats:
    """Mean number of guides of a cell by day, [D]."""
    return np.bincount(layout.day, weights=n_guides) / np.bincount(layout.day)


def linear_predictor(
    layout: Layout,
    library: Library,
    effects: Effects,
    nuisance: Nuisance,
    n_guides: Ints,
    guides: GuideIndices,
    mean_burden: Floats,
) -> Floats:
    """Logits of the fates, the reference 0, without covariates and clones, [N, F]."""
    n_cells = len(layout.day)
    n_all, n_contrasts, n_days = effects.beta.shape
    excess = (n_guides - mean_burden[layout.day])[:, None]  # [N, 1]
    offsets = np.concatenate([[0], np.cumsum(n_guides)])  # [N + 1]

    def carried(row: Ints, effect: Floats) -> Floats:
        """Sum of the rows of [rows, F*] that each cell has, [N, F*]."""
        ones = np.ones(len(row))
        return sparse.csr_array((ones, row, offsets), shape=(n_cells, len(effect))) @ effect

    place = guides.astype(np.int64) * n_days + np.repeat(layout.day, n_guides)  # [E]
    eta = np.zeros((n_cells, n_contrasts + 1))
    eta[:, 1:] = carried(place, effects.beta.transpose(0, 2, 1).reshape(n_all * n_days, n_contrasts))
    eta[:, 1:] += nuisance.alpha.T[layout.day] + nuisance.b.T[layout.rep]
    eta[:, 1:] += nuisance.gamma.T[layout.day] * excess
    if len(layout.cluster_names):
        eta[:, 1:] += nuisance.cluster.T[layout.cluster]
    if len(effects.gene_replicate):
        n_reps = len(layout.rep_names)
        of_guide = np.zeros((n_all, n_days, n_reps, n_contrasts))  # 0 for NTC guides
        of_gene = effects.gene_replicate.transpose(0, 2, 3, 1)  # [L, D, R, F*]
        of_guide[: len(library.guide_to_gene)] = of_gene[library.guide_to_gene]
        row = place * n_reps + np.repeat(layout.rep, n_guides)  # [E]
        eta[:, 1:] += carried(row, of_guide.reshape(-1, n_contrasts))
    return eta

"""True effects of genes and guides, and their patterns over days."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import numpy as np

from fatewalk.config.simulate import Pattern, SimulateConfig
from fatewalk.core.daywise import join_days

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fatewalk.screen.simulate.library import Library
    from fatewalk.screen.simulate.streams import Floats, Rngs

PATTERNS: tuple[Pattern, ...] = get_args(Pattern)


@dataclass(frozen=True)
class Effects:
    """Effects on the logits, against the first fate."""

    theta_gene: Floats  # [L, F*, D]
    theta: Floats  # [L, F*, D]
    delta: Floats  # [G, F*]
    ntc: Floats  # [M - G, F*]: own effects of NTC guides
    gene_replicate: Floats  # [L, F*, D, R]: deviations of genes in replicates; [0, F*, D, R] without
    beta: Floats  # [M, F*, D]
    patterns: dict[str, str]  # active gene -> pattern


def draw_effects(config: SimulateConfig, library: Library, rngs: Rngs) -> Effects:
    """Draw effects of genes, deviations of guides, effects of NTC guides, deviations in replicates."""
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

    ntc = config.ntc_guide_sd * rngs["ntc_effect"].standard_normal((config.ntc_guides, n_contrasts))
    deviating = config.genes if config.gene_replicate_sd else 0
    gene_replicate = config.gene_replicate_sd * rngs["gene_replicate"].standard_normal(
        (deviating, n_contrasts, n_days, config.replicates)
    )
    beta = np.zeros((len(library.shares), n_contrasts, n_days))
    beta[: len(delta)] = theta[library.guide_to_gene] + delta[:, :, None]
    beta[len(delta) :] = ntc[:, :, None]
    return Effects(theta_gene, theta, delta, ntc, gene_replicate, beta, patterns)


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

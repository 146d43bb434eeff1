"""Cells that a knock-out kills, or lets grow, by the fate that they take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fatewalk.core.errors import FatewalkError
from fatewalk.screen.simulate.guides import of_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fatewalk.config.simulate import SimulateConfig
    from fatewalk.screen.simulate.cells import Layout
    from fatewalk.screen.simulate.library import Library
    from fatewalk.screen.simulate.streams import Floats, GuideIndices, Ints

MAX_ROUNDS = 1000


@dataclass(frozen=True)
class Population:
    """Cells with guides and labels, as many as the screen has and where the layout puts them."""

    n_guides: Ints  # [N]
    guides: GuideIndices  # [E]
    covariate: Floats  # [N, 0 or 1]
    eta: Floats  # [N, F]
    prob: Floats  # [N, F]


def survivors(
    config: SimulateConfig,
    layout: Layout,
    library: Library,
    draw: Callable[[], Population],
    rng: np.random.Generator,
) -> tuple[Population, int]:
    """Draw cells until each place holds one that survived; and how many were lost on the way.

    The chance of a cell to be sampled is proportional to the mean over its label of the product of the
    factors of its genes, to the power of the time: which is what growth and death over that time leave.

    Raises
    ------
    FatewalkError
        If hardly any cell survives.
    """
    kept = draw()
    if not config.growth:
        return kept, 0
    rates = _log_rates(config, library)
    empty = np.ones(len(kept.prob), dtype=bool)
    fresh, n_lost = kept, 0
    for _ in range(MAX_ROUNDS):
        survives = rng.random(len(empty)) < _chance(config, layout, library, rates, fresh)
        n_lost += int((empty & ~survives).sum())
        kept = _with(kept, fresh, empty & survives)
        empty &= ~survives
        if not empty.any():
            return kept, n_lost
        fresh = draw()
    raise FatewalkError(
        f"simulate.growth: found {int(empty.sum())} cells that no draw of {MAX_ROUNDS} filled, because so "
        "few survive; take factors nearer to 1 or earlier days"
    )


def _log_rates(config: SimulateConfig, library: Library) -> dict[str, Floats]:
    """Log of the factor a day of each fate, [F], by gene."""
    unknown = [gene for gene in config.growth if gene not in set(library.genes)]
    if unknown:
        raise FatewalkError(
            f"simulate.growth: found gene {unknown[0]!r}; the simulated genes are {library.genes[0]} to "
            f"{library.genes[-1]}"
        )
    return {
        gene: np.log([factors.get(fate, 1.0) for fate in config.fates])
        for gene, factors in config.growth.items()
    }


def _chance(
    config: SimulateConfig, layout: Layout, library: Library, rates: dict[str, Floats], cells: Population
) -> Floats:
    """Chance of each cell to be taken; 1 for the fittest that a day can have, [N]."""
    gene = library.guide_map["gene_name"].to_numpy()
    owner = np.repeat(np.arange(len(cells.n_guides)), cells.n_guides)  # [E]
    total = np.zeros_like(cells.prob)  # [N, F]
    for name, rate in rates.items():
        total[np.unique(owner[(gene == name)[cells.guides]])] += rate
    time = np.asarray(config.days, dtype=float)[layout.day]  # [N]
    fittest = sum(max(rate.max(), 0.0) for rate in rates.values())
    return (cells.prob * np.exp((total - fittest) * time[:, None])).sum(axis=1)


def _with(kept: Population, fresh: Population, taken: NDArray[np.bool_]) -> Population:
    """Population with the cells ``taken`` [N] replaced by fresh ones."""
    n_cells = len(taken)
    source = np.where(taken, n_cells, 0) + np.arange(n_cells)
    n_guides, guides = of_source(
        np.append(kept.n_guides, fresh.n_guides), np.append(kept.guides, fresh.guides), source
    )
    where = taken[:, None]
    return Population(
        n_guides,
        guides,
        np.where(where, fresh.covariate, kept.covariate),
        np.where(where, fresh.eta, kept.eta),
        np.where(where, fresh.prob, kept.prob),
    )

"""Which guides a cell carries."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from fatewalk.core.errors import FatewalkError
from fatewalk.core.words import count

if TYPE_CHECKING:
    from fatewalk.config.simulate import SimulateConfig
    from fatewalk.screen.simulate.cells import Layout
    from fatewalk.screen.simulate.streams import Floats, GuideIndices, Ints, Rngs

log = logging.getLogger(__name__)

#: Rounds of redrawing repeated guides. Reached only if cells want nearly every guide of a library
#: with hardly drawable guides.
MAX_ROUNDS = 2000


def draw_burden(config: SimulateConfig, layout: Layout, rng: np.random.Generator) -> Ints:
    """Distinct guides that each guide unit wants, [units]."""
    n_units = int(layout.guide_unit[-1]) + 1
    if config.moi_distribution == "poisson":
        return rng.poisson(config.moi, n_units)
    if config.moi_distribution == "uniform":
        return rng.integers(1, int(2 * config.moi - 0.5), size=n_units, endpoint=True)
    return np.full(n_units, int(config.moi + 0.5))


def draw_guides(
    config: SimulateConfig, layout: Layout, wanted: Ints, shares: Floats, rng: np.random.Generator
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
    guides = draw_distinct(of_unit, shares, rng)
    if not config.cluster_shares_guides:
        return of_unit, guides, n_capped
    return *of_source(of_unit, guides, layout.guide_unit), n_capped


def of_source(n_guides: Ints, guides: GuideIndices, source: Ints) -> tuple[Ints, GuideIndices]:
    """Guides of units [units] and [E], dealt to the cells whose units are ``source`` [N]."""
    n_of_cell = n_guides[source]  # [N]
    start_of_unit = (np.cumsum(n_guides) - n_guides)[source]  # [N]
    start_of_cell = np.cumsum(n_of_cell) - n_of_cell  # [N]
    take = np.arange(n_of_cell.sum()) + np.repeat(start_of_unit - start_of_cell, n_of_cell)  # [E]
    return n_of_cell, guides[take]


def draw_distinct(wanted: Ints, shares: Floats, rng: np.random.Generator) -> GuideIndices:
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


def call_guides(
    config: SimulateConfig, n_guides: Ints, guides: GuideIndices, shares: Floats, rngs: Rngs
) -> tuple[Ints, GuideIndices, int, int]:
    """What a sequencer sees of the guides: some calls are lost, some come from ambient RNA.

    Parameters
    ----------
    n_guides, guides
        Guides that the cells carry, [N] and [E].
    shares
        Probability of a guide in a draw, [M]; ambient calls follow it.

    Returns
    -------
    tuple
        Number of calls of each cell [N], their guides cell by cell, calls lost, false calls.
    """
    n_all = len(shares)
    carried = np.repeat(np.arange(len(n_guides)), n_guides) * n_all + guides  # keys, ascending
    seen = carried
    if config.guide_dropout:
        seen = carried[rngs["dropout"].random(len(carried)) >= config.guide_dropout]
    share = config.ambient_guides
    false = _ambient(round(len(seen) * share / (1 - share)), carried, len(n_guides), shares, rngs["ambient"])
    keys = np.sort(np.concatenate([seen, false]))
    n_calls = np.bincount(keys // n_all, minlength=len(n_guides))
    return n_calls, (keys % n_all).astype(np.int32), len(carried) - len(seen), len(false)


def _ambient(n: int, carried: Ints, n_cells: int, shares: Floats, rng: np.random.Generator) -> Ints:
    """Keys, cell * M + guide, of ``n`` different false calls, over all cells alike."""
    found = np.empty(0, dtype=np.int64)
    for _ in range(MAX_ROUNDS):
        missing = n - len(found)
        if not missing:
            return found
        cell = rng.integers(n_cells, size=missing)
        drawn = np.unique(cell * len(shares) + rng.choice(len(shares), size=missing, p=shares))
        found = np.union1d(found, np.setdiff1d(drawn, carried, assume_unique=True))
    raise FatewalkError(
        f"simulate.ambient_guides: found {n} false calls wanted, but cells and guides without a call hold "
        f"hardly {len(found)}; lower ambient_guides or moi"
    )

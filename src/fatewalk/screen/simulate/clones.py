"""Clones: cells of one replicate that carry the same guides and share a deviation of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fatewalk.core.errors import FatewalkError
from fatewalk.screen.simulate.guides import of_source

if TYPE_CHECKING:
    from fatewalk.config.simulate import SimulateConfig
    from fatewalk.screen.simulate.cells import Layout
    from fatewalk.screen.simulate.effects import Effects
    from fatewalk.screen.simulate.library import Library
    from fatewalk.screen.simulate.streams import Floats, GuideIndices, Ints, Rngs


@dataclass(frozen=True)
class Clones:
    """Clones of a screen, the jackpot last if there is one.

    Attributes
    ----------
    cells : list of array
        Cells of each clone, ascending; over all days of one replicate.
    rep : array [clones]
        Their replicates.
    deviation : array [clones, F*]
        Added to the logits of their cells.
    jackpot_guide : int or None
        The only guide of the last clone.
    """

    cells: list[Ints]
    rep: Ints
    deviation: Floats
    jackpot_guide: int | None

    def eta(self, n_cells: int) -> Floats:
        """What the clones add to the logits, [N, F*]."""
        eta = np.zeros((n_cells, self.deviation.shape[1]))
        for cells, deviation in zip(self.cells, self.deviation, strict=True):
            eta[cells] = deviation
        return eta

    def share_guides(self, n_guides: Ints, guides: GuideIndices) -> tuple[Ints, GuideIndices]:
        """Guides of the cells, those of a clone as its first cell has them."""
        if not self.cells:
            return n_guides, guides
        source = np.arange(len(n_guides))
        for cells in self.cells:
            source[cells] = cells[0]
        if self.jackpot_guide is not None:  # one more unit, with that guide alone
            source[self.cells[-1]] = len(n_guides)
            n_guides = np.append(n_guides, 1)
            guides = np.append(guides, np.int32(self.jackpot_guide))
        return of_source(n_guides, guides, source)

    def truth(self, library: Library, layout: Layout, cell_ids: list[str]) -> list[dict[str, Any]]:
        """What truth.json says of each clone."""
        last = len(self.cells) - 1
        name = library.guide_map["guide_name"]
        return [
            {
                "rep": layout.rep_names[rep],
                "cells": [cell_ids[cell] for cell in cells],
                "deviation": deviation,
                "jackpot_guide": name[self.jackpot_guide]
                if k == last and self.jackpot_guide is not None
                else None,
            }
            for k, (cells, rep, deviation) in enumerate(
                zip(self.cells, self.rep, self.deviation, strict=True)
            )
        ]


def draw_clones(
    config: SimulateConfig, layout: Layout, library: Library, effects: Effects, rngs: Rngs
) -> Clones:
    """Clones, dealt to the replicates in turn; the jackpot is in a random one.

    Raises
    ------
    FatewalkError
        If there is to be a jackpot and no gene is without effect.
    """
    n_contrasts, rng = len(config.fates) - 1, rngs["clone"]
    rep = np.arange(config.clones) % config.replicates
    sizes = np.full(config.clones, config.clone_cells)
    deviation = config.clone_sd * rngs["clone_deviation"].standard_normal((config.clones, n_contrasts))
    jackpot_guide = None
    if config.jackpot_cells:
        jackpot_guide = _guide_of_a_null_gene(library, effects)
        rep = np.append(rep, rng.integers(config.replicates))
        sizes = np.append(sizes, config.jackpot_cells)
        first_contrast = config.jackpot_deviation * (np.arange(n_contrasts) == 0)
        deviation = np.vstack([deviation, first_contrast])
    cells: list[Ints] = [np.empty(0, dtype=np.int64)] * len(rep)
    for r in np.unique(rep):
        shuffled, start = rng.permutation(np.flatnonzero(layout.rep == r)), 0
        for k in np.flatnonzero(rep == r):
            cells[k] = np.sort(shuffled[start : start + sizes[k]])
            start += sizes[k]
    return Clones(cells, rep, deviation, jackpot_guide)


def _guide_of_a_null_gene(library: Library, effects: Effects) -> int:
    """The first guide of the first gene without effect."""
    null = np.flatnonzero(~(effects.theta_gene != 0).any(axis=(1, 2)))
    if not len(null):
        raise FatewalkError(
            "simulate.jackpot_cells: found a jackpot wanted, but every gene has an effect, and it is to be "
            "in a gene without; lower active_genes"
        )
    return int(np.flatnonzero(library.guide_to_gene == null[0])[0])

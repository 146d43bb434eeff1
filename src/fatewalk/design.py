"""The design of a fit: who carries which guide, on which day, with which fate probabilities.

``build_design`` turns the three canonical input tables into index tensors, checks them against
every acceptance criterion, and counts what it drops. Dimensions: N cells, F fates (reference
first), D days, R replicates, C clusters, G targeting guides, L genes, E guide calls of targeting
guides.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Design:
    """Everything the model needs, and the names to read its results.

    Guides are kept as CSR lists per cell, never as a dense cells x guides matrix. NTC guides have
    effect zero: they are counted in ``burden`` and ``n_ntc`` but are in no list.

    Attributes
    ----------
    fates
        Names, the reference first.
    genes, guides
        Names in the order of the tensors; targeting guides only.
    days, times
        Day labels in time order, and their real times (days, or the unit of the labels).
    reps, clusters
        Names; ``clusters`` is empty where none are given.
    prob : Tensor, float64 [N, F]
        Fate probabilities; rows sum to one.
    day, rep, cluster : Tensor, int64 [N]
        Indices; ``cluster`` is empty where none are given.
    burden : Tensor, float64 [N]
        Guides in the cell, NTC included.
    n_ntc : Tensor, int64 [N]
        Distinct NTC guides in the cell.
    cell_offsets, cell_guides : Tensor, int64 [N + 1], [E]
        Guides of cell i: ``cell_guides[cell_offsets[i]:cell_offsets[i + 1]]``, ascending.
    guide_to_gene : Tensor, int64 [G]
        Gene of each guide.
    n_guides_per_gene : Tensor, int64 [L]
        At least 1.
    gene_offsets, guides_by_gene : Tensor, int64 [L + 1], [G]
        Guides of gene l: ``guides_by_gene[gene_offsets[l]:gene_offsets[l + 1]]``.
    gene_cells, guide_cells : Tensor, int64 [L, D], [G, D]
        Cells of a day that carry a guide of the gene, or the guide. A gene-day with 0 is not observed.
    """

    fates: tuple[str, ...]
    genes: tuple[str, ...]
    guides: tuple[str, ...]
    days: tuple[str, ...]
    times: tuple[float, ...]
    reps: tuple[str, ...]
    clusters: tuple[str, ...]
    prob: Tensor
    day: Tensor
    rep: Tensor
    cluster: Tensor
    burden: Tensor
    n_ntc: Tensor
    cell_offsets: Tensor
    cell_guides: Tensor
    guide_to_gene: Tensor
    n_guides_per_gene: Tensor
    gene_offsets: Tensor
    guides_by_gene: Tensor
    gene_cells: Tensor
    guide_cells: Tensor

    @property
    def contrasts(self) -> tuple[str, ...]:
        """The fates but the reference."""
        return self.fates[1:]

    @property
    def n_cells(self) -> int:
        """Number of cells N."""
        return len(self.day)

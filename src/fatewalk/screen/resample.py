"""A design drawn again from its own cells, clusters, guides or replicates.

Letters: N cells, G guides, L genes, R replicates, C clusters, of the design and, with a prime, drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from fatewalk.core.errors import FatewalkError
from fatewalk.screen.design import Design, with_calls

if TYPE_CHECKING:
    from fatewalk.core.schema import Unit

Index = NDArray[np.int64]
TRIES = 100  # draws of replicates until every day has cells


@dataclass(frozen=True)
class Resampled:
    """A design that was drawn again, and what of the first its parts are.

    Attributes
    ----------
    design
        With the genes of the first, in their order; further ones may follow.
    gene, guide, rep, cluster : array, int64 [L'], [G'], [R'], [C']
        Gene, guide, replicate and cluster of the first design that each is drawn from.
    """

    design: Design
    gene: Index
    guide: Index
    rep: Index
    cluster: Index


def refuse_unit(design: Design, unit: Unit) -> None:
    """Refuse a unit that the screen has not, or has once.

    Raises
    ------
    FatewalkError
        Saying which to take.
    """
    if unit == "clusters" and not design.clusters:
        raise FatewalkError(
            "resample.unit: found clusters, but the cells name none; name their column (cluster_key), or "
            "take cells, guides or replicates"
        )
    if unit in ("replicates", "leave_one_replicate_out") and len(design.reps) < 2:
        raise FatewalkError(
            f"resample.unit: found {unit}, but all cells are of one replicate; name the column of the "
            "replicates (rep_key), or take cells, clusters or guides"
        )


def resample(design: Design, unit: Unit, number: int, seed: int) -> Resampled:
    """Draw a design again, with replacement.

    Cells are drawn within day and replicate, clusters whole within those of their first cell.
    Guides are drawn within each gene, as many as it has: the cells of one that is drawn twice are shared out
    between two, and one that is not drawn stays with its cells as a gene of its own, after the others, so
    that these cells are no controls. Replicates are drawn whole, until every day has cells.

    Parameters
    ----------
    design
        The first design.
    unit
        What is drawn; ``leave_one_replicate_out`` leaves out the replicate of this number.
    number, seed
        Number of the draw, and what all draws follow from.

    Raises
    ------
    FatewalkError
        If the screen has no such units (`refuse_unit`).
    """
    refuse_unit(design, unit)
    rng = np.random.default_rng([seed, number])
    cells = np.arange(design.n_cells)
    if unit == "cells":
        return _of_cells(design, _within(_strata(design, cells), rng))
    if unit == "clusters":
        return _clusters(design, rng)
    if unit == "guides":
        return _guides(design, rng)
    if unit == "replicates":
        return _replicates(design, rng)
    return _of_cells(design, cells[design.rep.numpy() != number])


def _strata(design: Design, cells: Index) -> Index:
    """Day and replicate of some cells as one number."""
    return design.day.numpy()[cells] * len(design.reps) + design.rep.numpy()[cells]


def _within(stratum: Index, rng: np.random.Generator) -> Index:
    """For each item one of its stratum, drawn with replacement; by stratum."""
    order = np.argsort(stratum, kind="stable")
    _, start, count = np.unique(stratum[order], return_index=True, return_counts=True)
    start, count = np.repeat(start, count), np.repeat(count, count)
    return order[start + (rng.random(len(order)) * count).astype(np.int64)]


def _of_cells(
    design: Design, cells: Index, rep: Index | None = None, reps: Index | None = None,
    cluster: Index | None = None, clusters: Index | None = None,
) -> Resampled:  # fmt: skip
    """The design of some cells, repeated ones as cells of their own.

    Parameters
    ----------
    design
        The first design.
    cells : array [N']
        The cells.
    rep, reps, cluster, clusters : array [N'], [R'], [N'], [C']
        Replicate and cluster of each cell, and which of the first design these are; None: as they were.
    """
    offsets = design.cell_offsets.numpy()
    length = np.diff(offsets)[cells]
    cell = np.repeat(np.arange(len(cells)), length)  # [E']
    place = np.arange(len(cell)) - np.repeat(np.cumsum(length) - length, length) + offsets[cells][cell]
    reps = np.arange(len(design.reps)) if reps is None else reps
    clusters = np.arange(len(design.clusters)) if clusters is None else clusters
    if cluster is None:
        cluster = design.cluster.numpy()[cells] if design.clusters else design.cluster.numpy()
    found = with_calls(
        replace(
            design,
            reps=tuple(f"{design.reps[r]} ({i})" for i, r in enumerate(reps)),
            clusters=tuple(f"{design.clusters[c]} ({i})" for i, c in enumerate(clusters)),
            prob=design.prob[cells],
            day=design.day[cells],
            rep=design.rep[cells] if rep is None else torch.from_numpy(rep),
            cluster=torch.from_numpy(np.ascontiguousarray(cluster)),
            burden=design.burden[cells],
            n_ntc=design.n_ntc[cells],
            row=design.row[cells] if len(design.row) else design.row,
            covariates=design.covariates[cells],
        ),
        cell,
        design.cell_guides.numpy()[place],
    )
    return Resampled(found, np.arange(len(design.genes)), np.arange(len(design.guides)), reps, clusters)


def _clusters(design: Design, rng: np.random.Generator) -> Resampled:
    """Whole clusters, each drawn one a cluster of its own."""
    cluster = design.cluster.numpy()
    _, first = np.unique(cluster, return_index=True)  # [C]
    drawn = _within(_strata(design, first), rng)  # [C] source of each slot
    cells, slot = _members(cluster, drawn)
    return _of_cells(design, cells, cluster=slot, clusters=drawn)


def _replicates(design: Design, rng: np.random.Generator) -> Resampled:
    """Whole replicates, each drawn one a replicate of its own, and so its clusters."""
    n, rep, n_clusters = len(design.reps), design.rep.numpy(), len(design.clusters)
    for _ in range(TRIES):
        drawn = rng.integers(n, size=n)
        cells, slot = _members(rep, drawn)
        if len(np.unique(design.day.numpy()[cells])) == len(design.days):
            break
    else:
        raise FatewalkError(
            f"resample.unit: found replicates, but {TRIES} draws of {n} replicates left some day without "
            "cells: replicates are of a day each; take cells or clusters"
        )
    if not n_clusters:
        return _of_cells(design, cells, slot, drawn)
    both, cluster = np.unique(slot * n_clusters + design.cluster.numpy()[cells], return_inverse=True)
    return _of_cells(design, cells, slot, drawn, cluster, both % n_clusters)


def _members(group: Index, drawn: Index) -> tuple[Index, Index]:
    """Members of the drawn groups one after the other, and which draw each comes from."""
    order = np.argsort(group, kind="stable")
    count = np.bincount(group, minlength=drawn.max() + 1)
    start = np.cumsum(count) - count
    length = count[drawn]
    slot = np.repeat(np.arange(len(drawn)), length)
    within = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    return order[start[drawn][slot] + within], slot


def _guides(design: Design, rng: np.random.Generator) -> Resampled:
    """Guides within their genes; those that are not drawn as genes of their own."""
    gene = design.guide_to_gene.numpy()
    drawn = np.empty_like(gene)
    drawn[np.argsort(gene, kind="stable")] = _within(gene, rng)  # [G] source of each slot, by gene
    left = np.setdiff1d(np.arange(len(gene)), drawn)
    source = np.concatenate([drawn, left])  # [G']
    n_genes = len(design.genes)
    to_gene = np.concatenate([gene, n_genes + np.arange(len(left))])
    # each call goes to one of the slots of its guide
    guide = design.cell_guides.numpy()
    order = np.argsort(source, kind="stable")
    count = np.bincount(source, minlength=len(gene))
    slot = order[(np.cumsum(count) - count)[guide] + (rng.random(len(guide)) * count[guide]).astype(np.int64)]
    named = replace(
        design,
        genes=(*design.genes, *(design.guides[one] for one in left)),
        guides=tuple(f"{design.guides[one]} ({i})" for i, one in enumerate(source)),
        guide_to_gene=torch.from_numpy(to_gene),
    )
    cell = design.cell_of_call.numpy()
    genes = np.concatenate([np.arange(n_genes), gene[left]])
    reps, clusters = np.arange(len(design.reps)), np.arange(len(design.clusters))
    return Resampled(with_calls(named, cell, slot), genes, source, reps, clusters)

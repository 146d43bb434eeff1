"""Cells that the model cannot tell apart: sets of guides, clusters, groups of equal cells.

Letters: N cells, M distinct kinds of cells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fatewalk.screen.design import Design


def centred_burden(design: Design) -> Tensor:
    """Guide burden minus its mean over the cells of the day, [N]."""
    n_days = len(design.days)
    total = torch.zeros(n_days, dtype=torch.float64).index_add(0, design.day, design.burden)
    cells = torch.bincount(design.day, minlength=n_days).clamp(min=1)
    return design.burden - (total / cells)[design.day]


def guides_vary_in_clusters(design: Design) -> bool:
    """Whether cells of one cluster carry different guides; False without clusters."""
    if not design.clusters:
        return False
    for code in codes_of_guide_sets(design):
        lowest = np.full(len(design.clusters), np.iinfo(np.uint64).max)
        highest = np.zeros(len(design.clusters), dtype=np.uint64)
        np.minimum.at(lowest, design.cluster.numpy(), code)
        np.maximum.at(highest, design.cluster.numpy(), code)
        if (lowest != highest).any():
            return True
    return False


def clusters_share_guides(design: Design) -> bool:
    """Whether all cells of a cluster carry the same guides: then clusters, not cells, were sampled."""
    return bool(design.clusters) and not guides_vary_in_clusters(design)


def codes_of_guide_sets(design: Design) -> list[np.ndarray]:
    """Two independent 64-bit sums of random keys over each cell's guides, uint64 [N] each.

    Two different sets agree on both with a probability of about N^2 / 2^128.
    """
    rng = np.random.default_rng(0)
    calls, offsets = design.cell_guides.numpy(), design.cell_offsets.numpy()
    codes = []
    for _ in range(2):
        key = rng.integers(1, 2**63, size=len(design.guides), dtype=np.uint64)
        total = np.concatenate([[np.uint64(0)], np.cumsum(key[calls], dtype=np.uint64)])
        codes.append(total[offsets[1:]] - total[offsets[:-1]])
    return codes


def equal_cells(keys: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Group cells that agree in all keys: group of each cell [N], first cell of each group [M].

    Parameters
    ----------
    keys : sequence of array [N]
        What tells cells apart.
    """
    order = np.lexsort(keys)
    is_new = np.zeros(len(order), dtype=bool)
    is_new[:1] = True
    for key in keys:
        is_new[1:] |= key[order[1:]] != key[order[:-1]]
    sorted_group = np.cumsum(is_new) - 1
    # number the groups by their first cell, so that rows keep the order of the cells
    first = order[is_new]  # lexsort is stable: the first cell of each group
    rank = np.argsort(np.argsort(first, kind="stable"), kind="stable")
    group = np.empty(len(order), dtype=np.int64)
    group[order] = rank[sorted_group]
    return group, np.sort(first)

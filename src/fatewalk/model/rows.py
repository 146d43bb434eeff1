"""Design rows: the regression's sparse matrix, one row per distinct kind of cell.

Cells with the same day, replicate, burden and set of targeting guides have the same linear
predictor. They collapse exactly into one row that carries the sum of their fate probabilities,
because the log-likelihood is linear in the labels. At an MOI of one the cost of a step no longer
depends on the number of cells.

Letters: N cells, M rows, F fates, D days, R replicates, G guides, E guide calls.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fatewalk.design import Design


@dataclass(frozen=True)
class Rows:
    """Rows of the regression.

    The Q = 2D + R + D*G columns of the matrix are: an intercept per day, the replicates, the
    centred burden on each day, and guide g on day d at ``d * G + g``.

    Attributes
    ----------
    matrix : sparse CSR Tensor [M, Q]
        Linear predictor = matrix @ coefficients.
    transpose : sparse CSR Tensor [Q, M]
        Its transpose, for the gradient.
    target : Tensor [M, F]
        Sum of the fate probabilities of the row's cells.
    square : Tensor [M]
        Sum over cells and fates of the squared probabilities, for the dispersion.
    day : Tensor, int64 [M]
        Day of the row.
    """

    matrix: Tensor
    transpose: Tensor
    target: Tensor
    square: Tensor
    day: Tensor

    def __len__(self) -> int:
        return len(self.target)

    def to(self, device: torch.device) -> Rows:
        """Copy to a device."""
        return Rows(*(getattr(self, field.name).to(device) for field in fields(self)))

    @property
    def n_cells(self) -> float:
        """Number of cells behind the rows."""
        return float(self.target.sum())


class _SparseMatmul(torch.autograd.Function):
    """``matrix @ dense`` whose gradient uses a stored transpose.

    PyTorch's own gradient of a CSR product transposes the matrix on every step; an
    ``embedding_bag`` costs 15-25 times as much as this on a CPU (docs/benchmarks.md).
    """

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, transpose: Tensor, dense: Tensor) -> Tensor:
        ctx.transpose = transpose
        return matrix @ dense

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, None, Tensor]:
        return None, None, ctx.transpose @ grads[0]


def linear_predictor(rows: Rows, coefficients: Tensor) -> Tensor:
    """Multiply the design rows with the coefficients, [M, Q] x [Q, F*] -> [M, F*]."""
    return _SparseMatmul.apply(rows.matrix, rows.transpose, coefficients)


def centred_burden(design: Design) -> Tensor:
    """Guide burden minus its mean over the cells of the day, [N]."""
    n_days = len(design.days)
    total = torch.zeros(n_days, dtype=torch.float64).index_add(0, design.day, design.burden)
    cells = torch.bincount(design.day, minlength=n_days).clamp(min=1)
    return design.burden - (total / cells)[design.day]


def make_rows(design: Design) -> Rows:
    """Collapse identical cells and build the design matrix of all rows.

    Parameters
    ----------
    design
        The cells.

    Returns
    -------
    Rows
        float64, on the CPU.
    """
    group, first = _identical_cells(design)
    n_rows, n_fates = len(first), len(design.fates)
    target = torch.zeros(n_rows, n_fates, dtype=torch.float64)
    target.index_add_(0, torch.from_numpy(group), design.prob)
    square = torch.zeros(n_rows, dtype=torch.float64)
    square.index_add_(0, torch.from_numpy(group), design.prob.square().sum(dim=1))

    D, R, G = len(design.days), len(design.reps), len(design.guides)
    cells = torch.from_numpy(first)
    day, rep = design.day[cells], design.rep[cells]  # [M]
    counts = (design.cell_offsets[1:] - design.cell_offsets[:-1])[cells]  # [M] guides of a row
    columns_of_guides = _take_lists(design, cells, counts) + torch.repeat_interleave(
        2 * D + R + day * G, counts
    )
    # a row: day intercept, replicate, burden, then its guides (ascending columns)
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), (counts + 3).cumsum(0)])
    columns = torch.empty(int(offsets[-1]), dtype=torch.int64)
    values = torch.ones(len(columns), dtype=torch.float64)
    start = offsets[:-1]
    columns[start], columns[start + 1], columns[start + 2] = day, D + rep, D + R + day
    values[start + 2] = centred_burden(design)[cells]
    is_guide = torch.ones(len(columns), dtype=torch.bool)
    for head in range(3):
        is_guide[start + head] = False
    columns[is_guide] = columns_of_guides
    matrix, transpose = _both_orientations(offsets, columns, values, 2 * D + R + D * G)
    return Rows(matrix, transpose, target, square, day)


def split_rows(rows: Rows, batch_size: int, generator: torch.Generator) -> list[Rows]:
    """Deal the rows at random into batches of nearly equal size, at most ``batch_size`` each."""
    n_batches = -(-len(rows) // batch_size)
    order = torch.randperm(len(rows), generator=generator)
    offsets, columns = rows.matrix.crow_indices(), rows.matrix.col_indices()
    values = rows.matrix.values()
    counts = offsets[1:] - offsets[:-1]
    batches = []
    for index in torch.tensor_split(order, n_batches):
        index = index.sort().values
        entries = _ragged_positions(offsets[index], counts[index])
        batch_offsets = torch.cat([torch.zeros(1, dtype=torch.int64), counts[index].cumsum(0)])
        matrix, transpose = _both_orientations(
            batch_offsets, columns[entries], values[entries], rows.matrix.shape[1]
        )
        batches.append(Rows(matrix, transpose, rows.target[index], rows.square[index], rows.day[index]))
    return batches


def _both_orientations(
    offsets: Tensor, columns: Tensor, values: Tensor, n_columns: int
) -> tuple[Tensor, Tensor]:
    """Build the matrix and its transpose from CSR arrays."""
    n_rows = len(offsets) - 1
    row_of_entry = torch.repeat_interleave(torch.arange(n_rows), offsets[1:] - offsets[:-1])
    order = torch.argsort(columns, stable=True)
    column_offsets = torch.zeros(n_columns + 1, dtype=torch.int64)
    column_offsets[1:] = torch.bincount(columns, minlength=n_columns).cumsum(0)
    with warnings.catch_warnings():  # "CSR support is in beta": the products used here are tested
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        matrix = torch.sparse_csr_tensor(
            offsets, columns, values, (n_rows, n_columns), check_invariants=False
        )
        transpose = torch.sparse_csr_tensor(
            column_offsets, row_of_entry[order], values[order], (n_columns, n_rows), check_invariants=False
        )
    return matrix, transpose


def _take_lists(design: Design, cells: Tensor, counts: Tensor) -> Tensor:
    """Guides of the given cells, one list after the other."""
    return design.cell_guides[_ragged_positions(design.cell_offsets[cells], counts)]


def _ragged_positions(starts: Tensor, counts: Tensor) -> Tensor:
    """``start, start + 1, ...`` for each of the lists, one after the other."""
    ends = counts.cumsum(0)
    within = torch.arange(int(counts.sum())) - torch.repeat_interleave(ends - counts, counts)
    return torch.repeat_interleave(starts, counts) + within


def _identical_cells(design: Design) -> tuple[np.ndarray, np.ndarray]:
    """Group cells with the same row: group of each cell [N], first cell of each group [M].

    Sets of guides are compared by two independent 64-bit sums of random keys; two different sets
    agree on both with a probability of about N^2 / 2^128.
    """
    rng = np.random.default_rng(0)
    calls = design.cell_guides.numpy()
    offsets = design.cell_offsets.numpy()
    keys = [design.day.numpy(), design.rep.numpy(), design.burden.numpy()]
    for _ in range(2):
        code = rng.integers(1, 2**63, size=len(design.guides), dtype=np.uint64)
        total = np.concatenate([[np.uint64(0)], np.cumsum(code[calls], dtype=np.uint64)])
        keys.append(total[offsets[1:]] - total[offsets[:-1]])
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

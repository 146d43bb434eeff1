"""Design rows: the regression's sparse matrix, one row per distinct kind of cell.

Cells with the same day, replicate, cluster, burden, covariates and set of targeting guides have
the same linear predictor. They collapse exactly into one row that carries the sum of their fate
probabilities, because the log-likelihood is linear in the labels. At an MOI of one the cost of a
step no longer depends on the number of cells.

Letters: N cells, M rows, F fates, D days, R replicates, K covariates, C clusters with an intercept
of their own, G guides, E guide calls.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fatewalk.model.sparse import csr
from fatewalk.screen.design import Design


@dataclass(frozen=True)
class Columns:
    """Where the columns of ``Rows.matrix`` lie.

    In this order: an intercept per day [D], the replicates [R], the centred burden on each day
    [D], covariates [K], clusters [C], and guide g on day d at ``guides + d * G + g``.
    """

    n_days: int
    n_reps: int
    n_covariates: int
    n_clusters: int
    n_guides: int

    @classmethod
    def of(cls, design: Design) -> Columns:
        """Read the sizes off a design."""
        n_clusters = len(design.clusters) if guides_vary_in_clusters(design) else 0
        n_covariates = design.covariates.shape[1]
        return cls(len(design.days), len(design.reps), n_covariates, n_clusters, len(design.guides))

    @property
    def reps(self) -> int:
        """First column of the replicates."""
        return self.n_days

    @property
    def burden(self) -> int:
        """First column of the burden."""
        return self.reps + self.n_reps

    @property
    def covariates(self) -> int:
        """First column of the covariates."""
        return self.burden + self.n_days

    @property
    def clusters(self) -> int:
        """First column of the clusters."""
        return self.covariates + self.n_covariates

    @property
    def guides(self) -> int:
        """First column of the guides."""
        return self.clusters + self.n_clusters

    @property
    def total(self) -> int:
        """Number of columns Q."""
        return self.guides + self.n_days * self.n_guides

    @property
    def local_total(self) -> int:
        """Number of columns q that the cells of one day can have."""
        return 2 + self.n_reps + self.n_covariates + self.n_clusters + self.n_guides

    def local(self) -> Tensor:
        """Place of each column among those of its day, int64 [Q].

        Intercept, replicates, burden, covariates, clusters, guides.
        """
        sizes = (self.n_reps, 1, self.n_covariates, self.n_clusters, self.n_guides)
        starts = [1 + sum(sizes[:i]) for i in range(len(sizes))]
        days = torch.zeros(self.n_days, dtype=torch.int64)
        return torch.cat(
            [
                days,
                starts[0] + torch.arange(self.n_reps),
                days + starts[1],
                starts[2] + torch.arange(self.n_covariates + self.n_clusters),
                (starts[4] + torch.arange(self.n_guides)).repeat(self.n_days),
            ]
        )


@dataclass(frozen=True)
class Rows:
    """Rows of the regression.

    Attributes
    ----------
    matrix : sparse CSR Tensor [M, Q]
        Linear predictor = matrix @ coefficients; columns as in ``Columns``.
    transpose : sparse CSR Tensor [Q, M]
        Its transpose, for the gradient.
    target : Tensor [M, F]
        Sum of the fate probabilities of the row's cells.
    square : Tensor [M, F]
        Sum of their squares, for the dispersion.
    day : Tensor, int64 [M]
        Day of the row.
    cluster : Tensor, int64 [M]
        Cluster of the row; empty where there are none.
    weight : Tensor [M]
        Weight of each cell's label in the row; 1 until the dispersion is known.
    """

    matrix: Tensor
    transpose: Tensor
    target: Tensor
    square: Tensor
    day: Tensor
    cluster: Tensor
    weight: Tensor

    def __len__(self) -> int:
        return len(self.target)

    def to(self, device: torch.device) -> Rows:
        """Copy to a device."""
        return Rows(*(getattr(self, field.name).to(device) for field in fields(self)))

    def weighted(self, weight: Tensor | float) -> Rows:
        """The same rows with other weights, one for all or [M]."""
        return replace(self, weight=torch.zeros_like(self.weight) + weight)

    @property
    def cells(self) -> Tensor:
        """Number of cells of each row, [M]."""
        return self.target.sum(dim=1)

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
    cells, of_row = torch.from_numpy(first), torch.from_numpy(group)
    zeros = torch.zeros(len(first), len(design.fates), dtype=torch.float64)
    columns = Columns.of(design)
    matrix, transpose = _both_orientations(*_entries(design, cells, columns), columns.total)
    return Rows(
        matrix,
        transpose,
        target=zeros.index_add(0, of_row, design.prob),
        square=zeros.index_add(0, of_row, design.prob.square()),
        day=design.day[cells],
        cluster=design.cluster[cells] if design.clusters else design.cluster,
        weight=torch.ones(len(first), dtype=torch.float64),
    )


def row_of_cells(design: Design) -> Tensor:
    """Row of ``make_rows`` that each cell went into, int64 [N]."""
    group, _ = _identical_cells(design)
    return torch.from_numpy(group)


def _entries(design: Design, cells: Tensor, at: Columns) -> tuple[Tensor, Tensor, Tensor]:
    """CSR arrays of the rows of the given cells, columns ascending."""
    day = design.day[cells]  # [M]
    head: list[tuple[Tensor | int, Tensor | None]] = [  # what every row has: column and value
        (day, None),
        (at.reps + design.rep[cells], None),
        (at.burden + day, centred_burden(design)[cells]),
        *((at.covariates + k, design.covariates[cells, k]) for k in range(at.n_covariates)),
    ]
    if at.n_clusters:
        head.append((at.clusters + design.cluster[cells], None))
    counts = design.cell_offsets.diff()[cells]  # [M] guides of a row
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), (counts + len(head)).cumsum(0)])
    columns = torch.empty(int(offsets[-1]), dtype=torch.int64)
    values = torch.ones(len(columns), dtype=torch.float64)
    is_guide = torch.ones(len(columns), dtype=torch.bool)
    for position, (column, value) in enumerate(head):
        entry = offsets[:-1] + position
        columns[entry] = column
        is_guide[entry] = False
        if value is not None:
            values[entry] = value
    first_guide = torch.repeat_interleave(at.guides + day * at.n_guides, counts)
    columns[is_guide] = first_guide + _take_lists(design, cells, counts)
    return offsets, columns, values


def _both_orientations(
    offsets: Tensor, columns: Tensor, values: Tensor, n_columns: int
) -> tuple[Tensor, Tensor]:
    """Build the matrix and its transpose from CSR arrays."""
    n_rows = len(offsets) - 1
    row_of_entry = torch.repeat_interleave(torch.arange(n_rows), offsets[1:] - offsets[:-1])
    order = torch.argsort(columns, stable=True)
    column_offsets = torch.zeros(n_columns + 1, dtype=torch.int64)
    column_offsets[1:] = torch.bincount(columns, minlength=n_columns).cumsum(0)
    matrix = csr(offsets, columns, values, (n_rows, n_columns))
    transpose = csr(column_offsets, row_of_entry[order], values[order], (n_columns, n_rows))
    return matrix, transpose


def _take_lists(design: Design, cells: Tensor, counts: Tensor) -> Tensor:
    """Guides of the given cells, one list after the other."""
    return design.cell_guides[_ragged_positions(design.cell_offsets[cells], counts)]


def _ragged_positions(starts: Tensor, counts: Tensor) -> Tensor:
    """``start, start + 1, ...`` for each of the lists, one after the other."""
    ends = counts.cumsum(0)
    within = torch.arange(int(counts.sum())) - torch.repeat_interleave(ends - counts, counts)
    return torch.repeat_interleave(starts, counts) + within


def guides_vary_in_clusters(design: Design) -> bool:
    """Whether cells of one cluster carry different guides; False without clusters."""
    if not design.clusters:
        return False
    for code in _codes_of_guide_sets(design):
        lowest = np.full(len(design.clusters), np.iinfo(np.uint64).max)
        highest = np.zeros(len(design.clusters), dtype=np.uint64)
        np.minimum.at(lowest, design.cluster.numpy(), code)
        np.maximum.at(highest, design.cluster.numpy(), code)
        if (lowest != highest).any():
            return True
    return False


def _codes_of_guide_sets(design: Design) -> list[np.ndarray]:
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


def _identical_cells(design: Design) -> tuple[np.ndarray, np.ndarray]:
    """Group cells with the same row: group of each cell [N], first cell of each group [M]."""
    keys = [design.day.numpy(), design.rep.numpy(), design.burden.numpy(), *_codes_of_guide_sets(design)]
    keys += list(design.covariates.numpy().T)
    if design.clusters:
        keys.append(design.cluster.numpy())
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

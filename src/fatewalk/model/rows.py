"""Design rows: the regression's sparse matrix, one row per distinct kind of cell.

Cells with the same entries in every term have the same linear predictor. They collapse exactly into
one row that carries the sum of their fate probabilities, because the log-likelihood is linear in the
labels. At an MOI of one the cost of a step no longer depends on the number of cells.

Letters: N cells, M rows, F fates, Q columns, G guides, E guide calls.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fatewalk.model.cells import codes_of_guide_sets, equal_cells
from fatewalk.model.sparse import csr, product, ragged_positions

if TYPE_CHECKING:
    import numpy as np

    from fatewalk.model.terms import Entries, Terms
    from fatewalk.screen.design import Design


@dataclass(frozen=True)
class Rows:
    """Rows of the regression.

    Attributes
    ----------
    matrix : sparse CSR Tensor [M, Q]
        Linear predictor = matrix @ coefficients; columns as in ``Terms``.
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


def linear_predictor(rows: Rows, coefficients: Tensor) -> Tensor:
    """Multiply the design rows with the coefficients, [M, Q] x [Q, F*] -> [M, F*]."""
    return product(rows.matrix, rows.transpose, coefficients)


def make_rows(design: Design, terms: Terms) -> Rows:
    """Collapse identical cells and build the design matrix of all rows.

    Parameters
    ----------
    design
        The cells.
    terms
        Whose columns the rows have.

    Returns
    -------
    Rows
        float64, on the CPU.
    """
    entries = _nuisance_entries(design, terms)
    group, first = _groups(design, entries)
    cells, of_row = torch.from_numpy(first), torch.from_numpy(group)
    zeros = torch.zeros(len(first), len(design.fates), dtype=torch.float64)
    matrix, transpose = _both_orientations(*_csr_arrays(design, terms, entries, cells), terms.n_columns)
    return Rows(
        matrix,
        transpose,
        target=zeros.index_add(0, of_row, design.prob),
        square=zeros.index_add(0, of_row, design.prob.square()),
        day=design.day[cells],
        cluster=design.cluster[cells] if design.clusters else design.cluster,
        weight=torch.ones(len(first), dtype=torch.float64),
    )


def row_of_cells(design: Design, terms: Terms) -> Tensor:
    """Row of ``make_rows`` that each cell went into, int64 [N]."""
    group, _ = _groups(design, _nuisance_entries(design, terms))
    return torch.from_numpy(group)


def _nuisance_entries(design: Design, terms: Terms) -> Entries:
    """Columns and values of every cell in the terms but the guides, ascending."""
    found: Entries = []
    start = 0
    for term in terms.nuisances:
        found += [(start + column, value) for column, value in term.entries(design)]
        start += term.n_columns
    return found


def _groups(design: Design, entries: Entries) -> tuple[np.ndarray, np.ndarray]:
    """Group of each cell [N], first cell of each group [M]."""
    keys = [design.day.numpy(), *codes_of_guide_sets(design)]
    keys += [part.numpy() for entry in entries for part in entry if part is not None]
    if design.clusters:
        keys.append(design.cluster.numpy())
    return equal_cells(keys)


def _csr_arrays(
    design: Design, terms: Terms, entries: Entries, cells: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """CSR arrays of the rows of the given cells, columns ascending."""
    counts = design.cell_offsets.diff()[cells]  # [M] guides of a row
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), (counts + len(entries)).cumsum(0)])
    columns = torch.empty(int(offsets[-1]), dtype=torch.int64)
    values = torch.ones(len(columns), dtype=torch.float64)
    is_guide = torch.ones(len(columns), dtype=torch.bool)
    for position, (column, value) in enumerate(entries):
        entry = offsets[:-1] + position
        columns[entry] = column[cells]
        is_guide[entry] = False
        if value is not None:
            values[entry] = value[cells]
    first_guide = terms.first_guide + design.day[cells] * terms.n_guides
    columns[is_guide] = torch.repeat_interleave(first_guide, counts) + _take_lists(design, cells, counts)
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
    return design.cell_guides[ragged_positions(design.cell_offsets[cells], counts)]

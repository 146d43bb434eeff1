"""Sparse CSR matrices, the only layout in which products are fast here."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence


def csr(offsets: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """Make a CSR tensor from its arrays."""
    with warnings.catch_warnings():  # "CSR support is in beta": the products used here are tested
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(offsets, columns, values, shape, check_invariants=False)


def sparse_matrix(rows: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """Make a CSR tensor from entries in any order, each place at most once."""
    order = torch.argsort(rows * shape[1] + columns)
    offsets = torch.zeros(shape[0] + 1, dtype=torch.int64, device=rows.device)
    offsets[1:] = torch.bincount(rows, minlength=shape[0]).cumsum(0)
    return csr(offsets, columns[order], values[order], shape)


def transposed(matrix: Tensor) -> Tensor:
    """Transpose a CSR matrix into a CSR matrix."""
    coo = matrix.to_sparse_coo().coalesce()
    rows, columns = coo.indices()
    return sparse_matrix(columns, rows, coo.values(), (matrix.shape[1], matrix.shape[0]))


def identity(n: int) -> Tensor:
    """The identity, [n, n]."""
    return sparse_matrix(torch.arange(n), torch.arange(n), torch.ones(n, dtype=torch.float64), (n, n))


def block_diagonal(blocks: Sequence[Tensor]) -> Tensor:
    """Matrices along a diagonal, the rest empty."""
    rows, columns, values = [], [], []
    n_rows = n_columns = 0
    for block in blocks:
        coo = block.to_sparse_coo().coalesce()
        rows.append(coo.indices()[0] + n_rows)
        columns.append(coo.indices()[1] + n_columns)
        values.append(coo.values())
        n_rows, n_columns = n_rows + block.shape[0], n_columns + block.shape[1]
    return sparse_matrix(torch.cat(rows), torch.cat(columns), torch.cat(values), (n_rows, n_columns))


def take_rows(matrix: Tensor, rows: Tensor) -> Tensor:
    """Rows of a CSR matrix, in the given order."""
    offsets, counts = matrix.crow_indices(), matrix.crow_indices().diff()[rows]
    entries = ragged_positions(offsets[rows], counts)
    starts = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
    shape = (len(rows), matrix.shape[1])
    return csr(starts, matrix.col_indices()[entries], matrix.values()[entries], shape)


def ragged_positions(starts: Tensor, counts: Tensor) -> Tensor:
    """``start, start + 1, ...`` for each of the lists, one after the other."""
    ends = counts.cumsum(0)
    within = torch.arange(int(counts.sum())) - torch.repeat_interleave(ends - counts, counts)
    return torch.repeat_interleave(starts, counts) + within


def apply(matrix: Tensor, values: Tensor) -> Tensor:
    """Apply a sparse matrix [m, n] to the last axis: [..., n] -> [..., m]."""
    flat = values.reshape(values.shape[:-1].numel(), matrix.shape[1])
    return (matrix @ flat.T).T.reshape(*values.shape[:-1], matrix.shape[0])


class _Product(torch.autograd.Function):
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


def product(matrix: Tensor, transpose: Tensor, dense: Tensor) -> Tensor:
    """Differentiable product of a CSR matrix, whose transpose is at hand, and columns, [m, n] x [n, k]."""
    return _Product.apply(matrix, transpose, dense)

"""Sparse CSR matrices, the only layout in which products are fast here."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor


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

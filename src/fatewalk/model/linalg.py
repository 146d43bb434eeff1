"""Decompositions that say which matrix failed, and why."""

from __future__ import annotations

import torch
from torch import Tensor

from fatewalk.core.outcome import NumericalError


def cholesky(matrix: Tensor, what: str) -> Tensor:
    """Lower Cholesky factor, [..., n, n].

    Raises
    ------
    NumericalError
        If a matrix is not positive definite or not finite.
    """
    factor, info = torch.linalg.cholesky_ex(matrix)
    if bool((info != 0).any()) or not bool(factor.isfinite().all()):
        raise NumericalError(f"{what} is not {_kind(matrix)}")
    return factor


def eigh(matrix: Tensor, what: str) -> tuple[Tensor, Tensor]:
    """Eigenvalues [..., n], ascending, and eigenvectors [..., n, n] of a symmetric matrix.

    Raises
    ------
    NumericalError
        If a matrix is not finite or the algorithm does not converge.
    """
    if not bool(matrix.isfinite().all()):
        raise NumericalError(f"{what} is not finite")
    try:
        values, vectors = torch.linalg.eigh(matrix)
    except torch.linalg.LinAlgError as error:
        raise NumericalError(f"the eigenvalues of {what} were not found") from error
    return values, vectors


def solve(matrix: Tensor, right: Tensor, what: str) -> Tensor:
    """Solution of square systems, [..., n, n] and [..., n, m] -> [..., n, m], or [n, n] and [n] -> [n].

    Raises
    ------
    NumericalError
        If a matrix is singular or anything is not finite.
    """
    found, info = torch.linalg.solve_ex(matrix, right)
    if bool((info != 0).any()) or not bool(found.isfinite().all()):
        raise NumericalError(f"{what} is {'singular' if bool(matrix.isfinite().all()) else 'not finite'}")
    return found


def inverse(matrix: Tensor, what: str) -> Tensor:
    """Inverse of square matrices, [..., n, n].

    Raises
    ------
    NumericalError
        If a matrix is singular or not finite.
    """
    eye = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    return solve(matrix, eye.expand_as(matrix), what)  # one matrix would pass for a batch of vectors


def _kind(matrix: Tensor) -> str:
    return "positive definite" if bool(matrix.isfinite().all()) else "finite"

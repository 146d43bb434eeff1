"""The data of a mash analysis: estimates, standard errors, correlation of the errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fatewalk.errors import FatewalkError, first_few

Array = NDArray[np.float64]

MISSING_SE = 1e6
"""Standard error that stands for "not observed" (mashr's convention, with an estimate of 0)."""


@dataclass(frozen=True)
class MashData:
    """Checked input; made by `set_data`.

    Parameters
    ----------
    betahat
        Estimates [n, D]; 0 where missing.
    se
        Effective standard errors [n, D], after inflation and floor; `MISSING_SE` where missing.
    error_correlation
        Correlation V of the errors of one row [D, D], positive definite.
    missing
        Which cells were not observed [n, D].
    """

    betahat: Array
    se: Array
    error_correlation: Array
    missing: NDArray[np.bool_]

    @property
    def n_rows(self) -> int:
        """Number of rows n."""
        return self.betahat.shape[0]

    @property
    def n_conditions(self) -> int:
        """Number of conditions D."""
        return self.betahat.shape[1]

    def blocks(self, cells_per_row: int) -> Iterator[slice]:
        """Slices of rows whose work arrays, of `cells_per_row` numbers a row, stay near 2 MB."""
        step = max(1, 2**18 // cells_per_row)
        return (slice(start, start + step) for start in range(0, self.n_rows, step))


def set_data(
    betahat: ArrayLike,
    se: ArrayLike,
    *,
    error_correlation: ArrayLike | None = None,
    se_inflate: float = 1.0,
    se_floor: float = 0.0,
) -> MashData:
    """Check the input of a mash analysis and settle its standard errors.

    A cell whose estimate or standard error is NaN is missing. The effective standard error is
    ``max(se * se_inflate, se_floor)``; missing cells get `MISSING_SE` after that.

    Parameters
    ----------
    betahat
        Unshrunk estimates [n, D].
    se
        Their standard errors [n, D], in the same units.
    error_correlation
        Correlation of the errors of one row [D, D]; the identity if None.
    se_inflate
        Factor on every standard error, > 0.
    se_floor
        Smallest effective standard error, >= 0.

    Returns
    -------
    MashData
        The checked data.

    Raises
    ------
    FatewalkError
        If shapes disagree, nothing is observed, an observed value is infinite (or, beside missing
        cells, not small against `MISSING_SE`), a standard error is not positive or the correlation
        is not a positive definite correlation matrix.
    """
    betahat, se = np.array(betahat, float), np.array(se, float)  # [n, D]
    if betahat.ndim != 2 or betahat.shape != se.shape:
        raise FatewalkError(
            "betahat and se must be tables of the same shape, rows x conditions; "
            f"found {betahat.shape} and {se.shape}"
        )
    if not (np.isfinite(se_inflate) and se_inflate > 0 and np.isfinite(se_floor) and se_floor >= 0):
        raise FatewalkError(f"se_inflate must be > 0 and se_floor >= 0; found {se_inflate} and {se_floor}")
    missing = np.isnan(betahat) | np.isnan(se)
    if missing.all():
        raise FatewalkError(
            f"mash needs at least one observed cell; the table of {betahat.shape[0]} rows x "
            f"{betahat.shape[1]} conditions has none"
        )
    _refuse_cells(~missing & (se <= 0), se, "the standard error is not positive")
    _refuse_cells(~missing & np.isinf(se), se, "the standard error is infinite")
    _refuse_cells(~missing & np.isinf(betahat), betahat, "the estimate is infinite")

    betahat[missing] = 0.0
    largest = max(np.abs(betahat).max(), se[~missing].max())
    if missing.any() and largest > MISSING_SE / 1000:
        raise FatewalkError(
            f"a missing cell stands for a standard error of {MISSING_SE:g}, but observed values reach "
            f"{largest:.3g}: divide estimates and standard errors by a constant"
        )
    se = np.maximum(se * se_inflate, se_floor)
    se[missing] = MISSING_SE
    n_conditions = betahat.shape[1]
    if error_correlation is None:
        error_correlation = np.eye(n_conditions)
    return MashData(betahat, se, _checked_correlation(error_correlation, n_conditions), missing)


def _refuse_cells(bad: NDArray[np.bool_], values: Array, what: str) -> None:
    """Raise, naming the first cells (row, condition; counted from 0) where `bad` holds."""
    if bad.any():
        where = (f"{values[r, c]} in row {r}, condition {c}" for r, c in np.argwhere(bad))
        raise FatewalkError(
            f"{what} (rows and conditions counted from 0): {first_few(where)}. "
            "Correct the cells, or leave them blank to treat them as not observed"
        )


def as_correlation(matrix: ArrayLike, what: str) -> Array:
    """Check that `matrix` is finite, square, symmetric with unit diagonal; symmetrise it."""
    matrix = np.array(matrix, float)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise FatewalkError(f"{what} must be a square matrix; found the shape {matrix.shape}")
    if not np.isfinite(matrix).all():
        bad = (f"({i}, {j})" for i, j in np.argwhere(~np.isfinite(matrix)))
        raise FatewalkError(f"{what} has entries that are not finite numbers: {first_few(bad)}")
    if not (np.allclose(matrix, matrix.T, atol=1e-8) and np.allclose(np.diag(matrix), 1.0, atol=1e-8)):
        raise FatewalkError(f"{what} must be symmetric with ones on its diagonal; found {matrix}")
    return (matrix + matrix.T) / 2


def _checked_correlation(matrix: ArrayLike, n_conditions: int) -> Array:
    correlation = as_correlation(matrix, "error_correlation")
    if correlation.shape[0] != n_conditions:
        raise FatewalkError(
            f"error_correlation is {correlation.shape[0]} x {correlation.shape[0]}, "
            f"the data have {n_conditions} conditions"
        )
    smallest = np.linalg.eigvalsh(correlation)[0]
    if smallest <= 1e-10:
        raise FatewalkError(
            "error_correlation is not positive definite (smallest eigenvalue "
            f"{smallest:.3g}); regularise_correlation mends that"
        )
    return correlation

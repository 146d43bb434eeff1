"""The data of a mash analysis: estimates, standard errors, correlation of the errors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fatewalk.mash.errors import MashError, first_few, numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

Array = NDArray[np.float64]

MISSING_SE = 1e6
"""Standard error that stands for "not observed" (mashr's convention, with an estimate of 0)."""
LARGEST_Z = 1e8
"""Beyond it likelihoods are no numbers any more; no estimate is that well known."""


@dataclass(frozen=True)
class MashData:
    """Checked input in the units of the model, effects divided by se^alpha; made by `set_data`.

    Parameters
    ----------
    betahat
        Estimates over se^alpha [n, D]; 0 where missing.
    se
        Their standard errors, se^(1 - alpha) [n, D]; `MISSING_SE` where missing.
    error_correlation
        Correlation V of the errors, positive definite: one for all rows [D, D] or one per row
        [n, D, D].
    missing
        Which cells were not observed [n, D].
    scale
        se^alpha, from the units of the model back to those of the input [n, D]; 1 where missing.
    alpha
        Power of the standard error that effects are proportional to.
    """

    betahat: Array
    se: Array
    error_correlation: Array
    missing: NDArray[np.bool_]
    scale: Array
    alpha: float

    @property
    def n_rows(self) -> int:
        """Number of rows n."""
        return self.betahat.shape[0]

    @property
    def n_conditions(self) -> int:
        """Number of conditions D."""
        return self.betahat.shape[1]

    @property
    def has_own_correlations(self) -> bool:
        """Whether every row has an error correlation of its own."""
        return self.error_correlation.ndim == 3

    def take(self, rows: ArrayLike | slice) -> MashData:
        """The data of some rows (indices, a mask or a slice), as mashr's ``subset``."""
        index = rows if isinstance(rows, slice) else self._places(rows)
        own = self.error_correlation[index] if self.has_own_correlations else self.error_correlation
        return replace(
            self,
            betahat=self.betahat[index],
            se=self.se[index],
            error_correlation=own,
            missing=self.missing[index],
            scale=self.scale[index],
        )

    def _places(self, rows: ArrayLike) -> NDArray[Any]:
        """Indices or a mask of rows, as an array."""
        places = np.asarray(rows)
        if places.size == 0:
            places = places.astype(int)
        mask = places.dtype == bool and places.shape == (self.n_rows,)
        if not mask and (places.ndim != 1 or places.dtype.kind not in "iu"):
            raise MashError(f"rows must be indices, or a mask of the {self.n_rows} rows; found neither")
        if not mask and places.size and not (places.min() >= 0 and places.max() < self.n_rows):
            raise MashError(
                f"rows must be indices from 0 to {self.n_rows - 1}; found {places.min()} to {places.max()}"
            )
        return places

    def with_correlation(self, error_correlation: ArrayLike) -> MashData:
        """The same data with another error correlation, [D, D] or [n, D, D]."""
        correlation = numbers(error_correlation, "error_correlation")
        if correlation.ndim == 3 and correlation.shape[:2] == self.betahat.shape:
            correlation = _without_missing(correlation, self.missing)
        return replace(self, error_correlation=_checked_correlation(correlation, *self.betahat.shape))

    def correlations(self, rows: slice) -> Array:
        """Error correlation of some rows [B, D, D], or [1, D, D] if they share it.

        The error of a missing cell is correlated with no other: its estimate of 0 is no observation,
        and must not tell anything about the errors of the other cells.
        """
        own = self.has_own_correlations
        correlation = self.error_correlation[rows] if own else self.error_correlation[None]
        missing = self.missing[rows]
        if not missing.any():
            return correlation
        return _without_missing(correlation, missing)

    def error_covariance(self) -> Array:
        """Covariance S V S of the errors of every row [n, D, D]."""
        return self.correlations(slice(None)) * self.se[:, :, None] * self.se[:, None, :]

    def blocks(self, cells_per_row: int) -> Iterator[slice]:
        """Slices of rows whose work arrays, of `cells_per_row` numbers a row, stay near 2 MB."""
        step = max(1, 2**18 // cells_per_row)
        return (slice(start, start + step) for start in range(0, self.n_rows, step))


def set_data(
    betahat: ArrayLike,
    se: ArrayLike,
    *,
    alpha: float = 0.0,
    error_correlation: ArrayLike | None = None,
    se_inflate: float = 1.0,
    se_floor: float = 0.0,
) -> MashData:
    r"""Check the input of a mash analysis and settle its standard errors (``mash_set_data``).

    .. math:: \hat b_n \mid b_n \sim N(b_n, S_n V_n S_n), \quad
              b_n / s_n^\alpha \sim \textstyle\sum_k \pi_k N(0, \Sigma_k)

    A cell whose estimate or standard error is NaN is missing. The effective standard error is
    ``max(se * se_inflate, se_floor)``; missing cells get `MISSING_SE` after that, and errors that are
    correlated with no other (mashr keeps their correlation, and so takes a missing z-score for an
    observed 0, which makes the errors of the other cells too small).

    Parameters
    ----------
    betahat
        Unshrunk estimates [n, D].
    se
        Their standard errors [n, D], in the same units.
    alpha
        0: effects do not depend on their standard errors (exchangeable effects, EE); 1: effects are
        proportional to them (exchangeable z-scores, EZ); or anything between.
    error_correlation
        Correlation V of the errors: one matrix [D, D] or one per row [n, D, D]; the identity if
        None. In a row's own matrix, entries of missing cells may be NaN.
    se_inflate
        Factor on every standard error, > 0.
    se_floor
        Smallest effective standard error, >= 0.

    Returns
    -------
    MashData
        The checked data, in the units of the model.

    Raises
    ------
    MashError
        If there is something else than numbers, shapes disagree, nothing is observed, an observed value is
        infinite (or, beside missing cells, not below `MISSING_SE`), a standard error is not positive or an
        estimate beyond `LARGEST_Z` of them, a correlation is not a positive definite correlation matrix,
        or alpha is not in [0, 1].
    """
    betahat, se = numbers(betahat, "betahat"), numbers(se, "se")  # [n, D]
    if betahat.ndim != 2 or betahat.shape != se.shape:
        raise MashError(
            "betahat and se must be tables of the same shape, rows x conditions; "
            f"found {betahat.shape} and {se.shape}"
        )
    if not (np.isfinite(se_inflate) and se_inflate > 0 and np.isfinite(se_floor) and se_floor >= 0):
        raise MashError(f"se_inflate must be > 0 and se_floor >= 0; found {se_inflate} and {se_floor}")
    missing = np.isnan(betahat) | np.isnan(se)
    if missing.all():
        raise MashError(
            f"mash needs at least one observed cell; the table of {betahat.shape[0]} rows x "
            f"{betahat.shape[1]} conditions has none"
        )
    _refuse_cells(~missing & (se <= 0), se, "the standard error is not positive")
    _refuse_cells(~missing & np.isinf(se), se, "the standard error is infinite")
    _refuse_cells(~missing & np.isinf(betahat), betahat, "the estimate is infinite")

    if not 0 <= alpha <= 1:
        raise MashError(f"alpha must be from 0 (EE) to 1 (EZ); found {alpha}")

    se = np.maximum(se * se_inflate, se_floor)
    scale = np.where(missing, 1.0, se**alpha)
    betahat, se = np.where(missing, 0.0, betahat) / scale, se / scale
    largest = max(np.abs(betahat).max(), se[~missing].max())
    z = np.abs(betahat / np.where(missing, 1.0, se)).max()
    if z > LARGEST_Z:
        raise MashError(
            f"an estimate is {z:.3g} times its standard error, beyond {LARGEST_Z:g}; see whether the "
            "standard errors are right, or set se_floor"
        )
    if missing.any() and largest >= MISSING_SE:
        raise MashError(
            f"a missing cell stands for a standard error of {MISSING_SE:g}, but observed values reach "
            f"{largest:.3g}: divide estimates and standard errors by a constant"
        )
    se[missing] = MISSING_SE
    identity = np.eye(betahat.shape[1])
    data = MashData(betahat, se, identity, missing, scale, float(alpha))
    return data if error_correlation is None else data.with_correlation(error_correlation)


def need_data(data: object) -> None:
    """Refuse a bare array in place of data.

    Raises
    ------
    MashError
        If `data` was not made by `set_data`.
    """
    if not isinstance(data, MashData):
        raise MashError("data must be what set_data(betahat, se) makes; found something else")


def _without_missing(correlation: Array, missing: NDArray[np.bool_]) -> Array:
    """Replace correlations with missing cells by 0: [B or 1, D, D], [B, D] -> [B, D, D]."""
    either = missing[:, :, None] | missing[:, None, :]
    return np.where(either, np.eye(missing.shape[1]), correlation)


def _refuse_cells(bad: NDArray[np.bool_], values: Array, what: str) -> None:
    """Raise, naming the first cells (row, condition; counted from 0) where `bad` holds."""
    if bad.any():
        where = (f"{values[r, c]} in row {r}, condition {c}" for r, c in np.argwhere(bad))
        raise MashError(
            f"{what} (rows and conditions counted from 0): {first_few(where)}. "
            "Correct the cells, or leave them blank to treat them as not observed"
        )


def as_correlation(matrices: ArrayLike, what: str) -> Array:
    """Check that matrices [..., D, D] are finite and symmetric with unit diagonal; symmetrise them."""
    matrices = numbers(matrices, what)
    if matrices.ndim < 2 or matrices.shape[-1] != matrices.shape[-2]:
        raise MashError(f"{what} must be a square matrix; found the shape {matrices.shape}")
    if not np.isfinite(matrices).all():
        places = (str(tuple(map(int, place))) for place in np.argwhere(~np.isfinite(matrices)))
        raise MashError(f"{what} has entries that are not finite numbers: {first_few(places)}")
    asymmetric = np.abs(matrices - np.swapaxes(matrices, -1, -2)).max(axis=(-1, -2)) > 1e-8
    off_unit = np.abs(np.diagonal(matrices, axis1=-2, axis2=-1) - 1).max(axis=-1) > 1e-8
    bad = np.atleast_1d(asymmetric | off_unit)
    if bad.any():
        where = (
            f" (row {first_few(np.flatnonzero(bad).tolist())})"
            if matrices.ndim > 2
            else f"; found {matrices}"
        )
        raise MashError(f"{what} must be symmetric with ones on its diagonal{where}")
    return (matrices + np.swapaxes(matrices, -1, -2)) / 2


def _checked_correlation(matrices: ArrayLike, n_rows: int, n_conditions: int) -> Array:
    correlation = as_correlation(matrices, "error_correlation")
    size = (n_conditions, n_conditions)
    if correlation.shape not in (size, (n_rows, *size)):
        raise MashError(
            f"error_correlation is {' x '.join(map(str, correlation.shape))}; the data have {n_rows} rows "
            f"and {n_conditions} conditions"
        )
    smallest = np.atleast_1d(np.linalg.eigvalsh(correlation)[..., 0])
    bad = smallest <= 1e-10
    if bad.any():
        where = f" in row {first_few(np.flatnonzero(bad))}" if correlation.ndim > 2 else ""
        raise MashError(
            f"error_correlation is not positive definite{where} (smallest eigenvalue "
            f"{smallest.min():.3g}); regularise_correlation mends that"
        )
    return correlation

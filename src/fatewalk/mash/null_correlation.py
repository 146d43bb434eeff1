"""Correlation of the errors between conditions."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fatewalk.mash.data import Array, MashData, as_correlation
from fatewalk.mash.errors import MashError, whole
from fatewalk.mash.mixture import MashFit, fit_mash
from fatewalk.mash.posterior import posterior, posterior_covariance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

MIN_PAIR_ROWS = 10
"""Rows in which two conditions are seen together: fewer say next to nothing of their correlation."""

MOST_PROJECTIONS = 1000
"""Steps towards the nearest correlation matrix."""


@dataclass(frozen=True)
class NullCorrelation:
    """Correlation of the errors, estimated from rows without strong effects.

    Parameters
    ----------
    correlation
        The estimate [D, D].
    n_null_rows
        Number of rows it rests on.
    note
        What could not be estimated and was set to the identity instead; empty if nothing.
    """

    correlation: Array
    n_null_rows: int
    note: str


def estimate_null_correlation_simple(data: MashData, z_thresh: float = 2.0) -> NullCorrelation:
    """Correlation of z-scores over the rows whose z-scores are all small.

    Of two conditions the rows count in which neither is missing; with fewer than `MIN_PAIR_ROWS` of these
    they are taken as uncorrelated. (In mashr a missing cell counts as z = 0, which draws the
    correlations towards zero.) With missing cells the estimate may have negative eigenvalues;
    `regularise_correlation` mends that.

    Parameters
    ----------
    data
        The data; their own error correlation plays no part.
    z_thresh
        A row counts as null if all its |z| are below this, > 0.

    Returns
    -------
    NullCorrelation
        The estimate; the identity, with a note, if there are fewer null rows than conditions.

    Raises
    ------
    MashError
        If `z_thresh` is not positive.
    """
    if not z_thresh > 0:
        raise MashError(f"z_thresh must be > 0; found {z_thresh}")
    z = data.betahat / data.se  # [n, D]
    is_null = (np.abs(z) < z_thresh).all(axis=1)  # [n]
    null = z[is_null]
    n_null, n_conditions = null.shape
    if n_null < n_conditions:
        note = (
            f"{n_null} of {data.n_rows} rows have all |z| < {z_thresh:g}, fewer than the "
            f"{n_conditions} conditions: the errors are taken as uncorrelated."
        )
        return NullCorrelation(np.eye(n_conditions), n_null, note)
    seen = ~data.missing[is_null]  # [n_null, D]
    centred = np.where(seen, null - null.sum(axis=0) / np.maximum(seen.sum(axis=0), 1), 0.0)
    constant = (centred == 0).all(axis=0)
    correlation = _pairwise_correlation(centred.T @ centred, (centred**2).T @ seen)
    together = seen.astype(float).T @ seen  # [D, D] rows of each pair
    few = (together < MIN_PAIR_ROWS) & (together < n_null) & ~np.eye(n_conditions, dtype=bool)
    correlation[few] = 0.0
    notes = []
    if constant.any() and n_conditions > 1:
        notes.append(
            "the errors of conditions "
            f"{', '.join(map(str, np.flatnonzero(constant)))} (counted from 0) do not vary over "
            f"the {n_null} rows with all |z| < {z_thresh:g}: taken as uncorrelated with the others."
        )
    if few.any():
        notes.append(
            f"{few.sum() // 2} pairs of conditions are seen together in fewer than {MIN_PAIR_ROWS} rows "
            f"with all |z| < {z_thresh:g}: taken as uncorrelated."
        )
    return NullCorrelation(correlation, n_null, " ".join(notes))


def _pairwise_correlation(product: Array, square: Array) -> Array:
    """Correlation from sums over the rows in which both conditions are seen.

    Parameters
    ----------
    product
        Sum of x_i x_j [D, D].
    square
        Sum of x_i^2 over the rows of the pair (i, j) [D, D].
    """
    scale = np.sqrt(square * square.T)
    correlation = np.where(scale > 0, product / np.where(scale > 0, scale, 1.0), 0.0)
    np.fill_diagonal(correlation, 1.0)
    return correlation


@dataclass(frozen=True)
class EmCorrelation:
    """Correlation of the errors by maximum likelihood; made by `estimate_null_correlation_em`.

    Parameters
    ----------
    correlation
        The estimate [D, D].
    logliks
        Log-likelihood of the data before the first round and after each.
    fit
        The mash fit under the estimate.
    """

    correlation: Array
    logliks: tuple[float, ...]
    fit: MashFit


def estimate_null_correlation_em(
    data: MashData,
    covariances: Mapping[str, ArrayLike],
    *,
    start: ArrayLike | None = None,
    max_rounds: int = 30,
    tolerance: float = 1.0,
    **options: Any,
) -> EmCorrelation:
    r"""Correlation of the errors by the EM algorithm (``mash_estimate_corr_em``).

    In turns: fit the mixture given V; then, with the posterior of the effects b under it,

    .. math:: V = \mathrm{cov2cor} \sum_n E[(z_n - S_n^{-1} b_n)(z_n - S_n^{-1} b_n)^T]

    (an EM algorithm for V as one more parameter of the mash model). All rows count, not only null ones;
    of two conditions those in which neither is missing.

    Parameters
    ----------
    data
        The data; their own error correlation plays no part.
    covariances
        Prior covariances [D, D] by name.
    start
        First guess [D, D]; `estimate_null_correlation_simple` if None.
    max_rounds
        Largest number of rounds.
    tolerance
        Stop when a round changes the log-likelihood by no more than this.
    **options
        Further options of `fit_mash`.

    Returns
    -------
    EmCorrelation
        The estimate.

    Raises
    ------
    MashError
        If input or options are not usable.
    """
    max_rounds = whole(max_rounds, "max_rounds", 1)
    if start is None:
        start = _definite(estimate_null_correlation_simple(data).correlation)
    data = data.with_correlation(start)
    fit = fit_mash(data, covariances, **options)
    logliks = [fit.loglik]
    while len(logliks) <= max_rounds:
        data = data.with_correlation(_error_moments(fit, data))
        fit = fit_mash(data, covariances, **options)
        logliks.append(fit.loglik)
        if abs(logliks[-1] - logliks[-2]) <= tolerance:
            break
    return EmCorrelation(data.error_correlation, tuple(logliks), fit)


def _error_moments(fit: MashFit, data: MashData) -> Array:
    """Expected second moments of the standardised errors, as a correlation [D, D]."""
    # in units of the model
    prior, data = replace(fit, alpha=0.0), replace(data, scale=np.ones_like(data.scale), alpha=0.0)
    seen = ~data.missing
    error = np.where(seen, data.betahat - posterior(prior, data).mean, 0.0) / data.se  # [n, D]
    both = seen[:, :, None] & seen[:, None, :]
    covariance = np.where(both, posterior_covariance(prior, data), 0.0)
    covariance /= data.se[:, :, None] * data.se[:, None, :]  # [n, D, D]
    own = error**2 + np.diagonal(covariance, axis1=1, axis2=2)  # [n, D]
    return _definite(_pairwise_correlation(error.T @ error + covariance.sum(axis=0), own.T @ seen))


def _definite(correlation: Array) -> Array:
    """The correlation, with negative eigenvalues (of missing cells) mended."""
    if np.linalg.eigvalsh(correlation)[0] > 1e-6:
        return correlation
    return regularise_correlation(correlation, shrinkage=0.0)


def regularise_correlation(
    correlation: ArrayLike, *, eigenvalue_floor: float = 1e-6, shrinkage: float = 0.05
) -> Array:
    """Make an estimated correlation safe to invert.

    In this order: the nearest positive semidefinite correlation matrix, eigenvalues raised to the
    floor, rescaling to unit diagonal, shrinkage ``(1 - shrinkage) V + shrinkage I``.

    Parameters
    ----------
    correlation
        Symmetric with unit diagonal [D, D]; eigenvalues may be negative.
    eigenvalue_floor
        Smallest eigenvalue before rescaling, > 0.
    shrinkage
        Weight of the identity, in [0, 1].

    Returns
    -------
    array
        A positive definite correlation matrix [D, D].

    Raises
    ------
    MashError
        If the matrix is not symmetric with unit diagonal, or a parameter is out of range.
    """
    if not (np.isfinite(eigenvalue_floor) and eigenvalue_floor > 0 and 0 <= shrinkage <= 1):
        raise MashError(
            "eigenvalue_floor must be > 0 and shrinkage in [0, 1]; found "
            f"{eigenvalue_floor!r} and {shrinkage!r}"
        )
    nearest = _nearest_correlation(as_correlation(correlation, "the correlation"))
    floored = _with_eigenvalues_above(nearest, eigenvalue_floor)
    scale = np.sqrt(np.diag(floored))
    shrunk = (1 - shrinkage) * floored / np.outer(scale, scale)
    np.fill_diagonal(shrunk, 1.0)
    return shrunk


def _with_eigenvalues_above(matrix: Array, floor: float) -> Array:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, floor)) @ vectors.T


def _nearest_correlation(matrix: Array, tolerance: float = 1e-9) -> Array:
    """Nearest correlation matrix in the Frobenius norm (Higham, IMA J. Numer. Anal. 22, 2002).

    Alternating projections onto the semidefinite matrices, with Dykstra's correction, and onto
    those of unit diagonal. Warns where they do not meet within ``MOST_PROJECTIONS``.
    """
    nearest, correction = matrix.copy(), np.zeros_like(matrix)
    for _ in range(MOST_PROJECTIONS):
        corrected = nearest - correction
        semidefinite = _with_eigenvalues_above(corrected, 0.0)
        correction = semidefinite - corrected
        nearest = semidefinite.copy()
        np.fill_diagonal(nearest, 1.0)
        if np.abs(nearest - semidefinite).max() < tolerance:
            return nearest
    warnings.warn(
        f"the nearest correlation matrix was not found in {MOST_PROJECTIONS} projections; the last is used",
        RuntimeWarning,
        stacklevel=3,
    )
    return nearest

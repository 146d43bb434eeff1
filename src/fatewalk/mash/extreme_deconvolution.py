"""Data-driven prior covariances, learned from the rows with a signal.

    betahat_n ~ sum_k pi_k N(0, U_k + S_n)

with known error covariances S_n. `cov_pca` proposes the U_k; `cov_ed` fits them by extreme deconvolution
(Bovy, Hogg and Roweis, Annals of Applied Statistics 5, 2011, with means fixed at 0), `cov_teem` by
truncated eigenvalues where all S_n are the identity.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import logsumexp

from fatewalk.mash.data import need_data
from fatewalk.mash.errors import MashError, first_few

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from fatewalk.mash.data import Array, MashData

MAX_ITERATIONS = 20_000
SMALLEST_SHARE = np.finfo(float).tiny  # below it a component has no digits left to learn from
BLOCK_NUMBERS = 2**18  # numbers in a work array: 2 MB
TEEM_TOLERANCE = 1e-7  # of the weights; also how far eigenvalues stay above 1


@dataclass(frozen=True)
class EdFit:
    """Covariances fitted by `cov_ed` or `cov_teem`.

    Parameters
    ----------
    covariances
        Covariances [D, D] by name.
    pi
        Weights [K] in the same order.
    path
        Average log-likelihood of a row at the start of each iteration [n_iterations]. The last
        entry belongs to the parameters before the last update, as in the original program.
    """

    covariances: dict[str, Array]
    pi: Array
    path: Array

    @property
    def avg_loglik(self) -> float:
        """Average log-likelihood at the start of the last iteration."""
        return float(self.path[-1])

    @property
    def n_iterations(self) -> int:
        """Number of updates made."""
        return len(self.path)


def cov_pca(data: MashData, n_pcs: int, subset: ArrayLike) -> dict[str, Array]:
    """Covariances from the principal components of the estimates with a signal.

    Columns are not centred: an effect of 0 is the origin.

    Parameters
    ----------
    data
        The data; missing cells count as 0.
    n_pcs
        Number of components, from 1 to the smaller of D and the number of rows in `subset`.
    subset
        Indices of the rows with a signal, for instance of `get_significant_results`.

    Returns
    -------
    dict of str to array
        ``PCA_1..n_pcs``, the outer product of each unit vector with itself, and ``tPCA``, the second
        moment of the estimates projected on these components; each [D, D].

    Raises
    ------
    MashError
        If there are fewer rows or conditions than components.
    """
    need_data(data)
    return principal_covariances(data.take(subset).betahat, n_pcs)


def principal_covariances(strong: ArrayLike, n_pcs: int) -> dict[str, Array]:
    """Covariances of `cov_pca` from the rows with a signal [n_strong, D]."""
    strong = _checked_rows(np.asarray(strong, float))
    if not 1 <= n_pcs <= min(strong.shape):
        raise MashError(
            f"n_pcs must lie between 1 and the number of rows with a signal and of conditions; found "
            f"{n_pcs} for {strong.shape[0]} rows x {strong.shape[1]} conditions"
        )
    _, singular, vectors = np.linalg.svd(strong, full_matrices=False)  # vectors [., D]
    vectors = vectors[:n_pcs]
    covariances = {
        f"PCA_{i}": outer for i, outer in enumerate(vectors[:, :, None] * vectors[:, None, :], start=1)
    }
    scaled = vectors * singular[:n_pcs, None]
    return covariances | {"tPCA": scaled.T @ scaled / len(strong)}


def cov_ed(data: MashData, initial: Mapping[str, ArrayLike], subset: ArrayLike) -> EdFit:
    """Fit covariances to the rows with a signal by extreme deconvolution (``cov_ed``).

    Parameters
    ----------
    data
        The data.
    initial
        Initial covariances [D, D] by name, for instance of `cov_pca`.
    subset
        Indices of the rows with a signal.

    Returns
    -------
    EdFit
        Covariances named ``ED_<name>``, weights and the course of the likelihood; see `deconvolve`.
    """
    strong = data.take(subset)
    return deconvolve(strong.betahat, strong.error_covariance(), initial)


def deconvolve(
    betahat: ArrayLike,
    error_covariance: ArrayLike,
    initial: Mapping[str, ArrayLike],
    *,
    tol: float = 1e-6,
) -> EdFit:
    """Extreme deconvolution.

    The EM algorithm starts at `initial` with equal weights and stops when an iteration raised the
    average log-likelihood by no more than `tol`; that iteration's update is still made. Then
    ``1 / sqrt(n)`` is added to the diagonals, as mashr does. A covariance keeps the rank of its
    initial value. A component whose weight leaves the range of normal numbers gets weight 0 and keeps
    its covariance.

    Parameters
    ----------
    betahat
        Estimates of the rows with a signal [n, D]; 0 where missing.
    error_covariance
        Covariance of their errors, per row [n, D, D] or shared [D, D], positive definite. In mash
        ``S_n V S_n`` with the standard errors of a row on the diagonal of S_n, large where missing.
    initial
        Initial covariances [D, D] by name.
    tol
        Smallest gain of the average log-likelihood that goes on.

    Returns
    -------
    EdFit
        Covariances named ``ED_<name>``, weights and the course of the likelihood.

    Raises
    ------
    MashError
        If shapes disagree, an estimate is not finite, an error covariance is not positive definite or
        an initial covariance is not positive semidefinite.

    Warns
    -----
    RuntimeWarning
        If `MAX_ITERATIONS` do not suffice; the last covariances are positive semidefinite like any other.
    """
    betahat = _checked_rows(np.asarray(betahat, float))  # [n, D]
    n_rows, n_conditions = betahat.shape
    whitener = _whitener(np.asarray(error_covariance, float), betahat.shape)  # [n or 1, D, D]
    factors = _factor(_stacked(initial, n_conditions))  # [K, D, D]
    whitened = (whitener @ betahat[:, :, None])[..., 0]  # [n, D]
    pi = np.full(len(factors), 1 / len(factors))
    path: list[float] = []
    while len(path) < 2 or path[-1] - path[-2] > tol:
        if len(path) == MAX_ITERATIONS:
            _warn_of_the_bound("extreme deconvolution")
            break
        loglik, pi, factors = _em_step(whitened, whitener, pi, factors)
        path.append(loglik)
    fitted = factors @ factors.swapaxes(1, 2) + np.eye(n_conditions) / np.sqrt(n_rows)
    names = (f"ED_{name}" for name in initial)
    return EdFit(dict(zip(names, fitted, strict=True)), pi, np.array(path))


def _warn_of_the_bound(what: str) -> None:
    warnings.warn(
        f"{what} did not converge in {MAX_ITERATIONS} iterations; its last covariances are used",
        RuntimeWarning,
        stacklevel=3,
    )


def _em_step(whitened: Array, whitener: Array, pi: Array, factors: Array) -> tuple[float, Array, Array]:
    """Average log-likelihood at the given parameters, and the parameters after one EM update.

    An effect of component k is F_k a with a ~ N(0, I) and U_k = F_k F_k'. Its posterior mean and
    covariance in a-space come without differences of large matrices, and the update
    ``F M F'``, M the mean of ``E[a a']``, is positive semidefinite whatever the rounding.
    """
    n_rows, n_components = len(whitened), len(factors)
    n_conditions = whitened.shape[1]
    step = max(1, BLOCK_NUMBERS // (n_components * n_conditions**2))
    share_sum = np.zeros(n_components)
    moment_sum = np.zeros_like(factors)
    loglik_sum = 0.0
    for start in range(0, n_rows, step):
        block = slice(start, start + step)
        rows = whitened[block]  # [m, D]
        scale = whitener if len(whitener) == 1 else whitener[block]  # [m or 1, D, D]
        loadings = scale[:, None] @ factors  # [m or 1, K, D, D]
        transposed = loadings.swapaxes(-1, -2)
        root = np.linalg.inv(np.linalg.cholesky(np.eye(n_conditions) + transposed @ loadings))
        covariance = root.swapaxes(-1, -2) @ root  # of a given the row [m or 1, K, D, D]
        mean = (covariance @ transposed @ rows[:, None, :, None])[..., 0]  # [m, K, D]
        residual = rows[:, None] - (loadings @ mean[..., None])[..., 0]
        quadratic = (residual**2).sum(axis=-1) + (mean**2).sum(axis=-1)  # [m, K]
        half_log_det = _log_diagonal(root) + _log_diagonal(scale)[:, None]  # [m or 1, K]
        with np.errstate(divide="ignore"):
            joint = np.log(pi) + half_log_det - quadratic / 2  # [m, K]
        row_loglik = logsumexp(joint, axis=1)
        share = np.exp(joint - row_loglik[:, None])
        loglik_sum += row_loglik.sum() - len(rows) * n_conditions / 2 * np.log(2 * np.pi)
        share_sum += share.sum(axis=0)
        moment_sum += (share.T[:, None] * mean.transpose(1, 2, 0)) @ mean.transpose(1, 0, 2)
        covariance_share = share if len(covariance) > 1 else share.sum(axis=0, keepdims=True)
        moment_sum += np.einsum("mk,mkij->kij", covariance_share, covariance)
    alive = share_sum >= SMALLEST_SHARE
    updated = factors.copy()
    updated[alive] = factors[alive] @ _factor(moment_sum[alive] / share_sum[alive, None, None])
    return loglik_sum / n_rows, np.where(alive, share_sum, 0.0) / n_rows, updated


def _factor(covariances: Array) -> Array:
    """F with ``F F' = U`` for each positive semidefinite U [K, D, D]; rounding adds no rank."""
    values, vectors = np.linalg.eigh(covariances)
    floor = values[:, -1:] * values.shape[1] * np.finfo(float).eps
    return vectors * np.sqrt(np.where(values > floor, values, 0.0))[:, None, :]


def _log_diagonal(triangular: Array) -> Array:
    """Sum of the logarithms of the diagonal of each matrix [..., D, D]."""
    return np.log(np.diagonal(triangular, axis1=-2, axis2=-1)).sum(axis=-1)


def cov_teem(data: MashData, initial: Mapping[str, ArrayLike], subset: ArrayLike) -> EdFit:
    """Fit covariances to the z-scores with a signal by truncating eigenvalues.

    Arguments as in `cov_ed`; covariances are named ``TEEM_<name>``, see `truncated_eigenvalues`.
    """
    strong = data.take(subset)
    return truncated_eigenvalues(strong.betahat / strong.se, initial)


def truncated_eigenvalues(z: ArrayLike, initial: Mapping[str, ArrayLike]) -> EdFit:
    """Fit covariances to standardised estimates by truncating eigenvalues.

    EM for ``z ~ sum_k pi_k N(0, I + U_k)``: the weighted second moment of a component, its
    eigenvalues raised to at least 1, is the best ``I + U_k``. The rank of a covariance may change
    either way. It stops when no weight changed by 1e-7. Errors are taken as independent.

    Parameters
    ----------
    z
        Estimates of the rows with a signal divided by their standard errors [n, D].
    initial
        Initial covariances [D, D] by name.

    Returns
    -------
    EdFit
        Covariances named ``TEEM_<name>``, weights and the course of the likelihood.

    Raises
    ------
    MashError
        If shapes disagree, a value is not finite or an initial covariance is not positive
        semidefinite.

    Warns
    -----
    RuntimeWarning
        If `MAX_ITERATIONS` do not suffice; the last covariances are positive semidefinite like any other.
    """
    z = _checked_rows(np.asarray(z, float))  # [n, D]
    n_rows, n_conditions = z.shape
    values, vectors = np.linalg.eigh(_stacked(initial, n_conditions) + np.eye(n_conditions))
    pi = np.full(len(values), 1 / len(values))
    path: list[float] = []
    for _ in range(MAX_ITERATIONS):
        values = np.maximum(values, 1 + TEEM_TOLERANCE)  # [K, D]
        quadratic = ((z @ vectors) ** 2 / values[:, None]).sum(axis=-1)  # [K, n]
        with np.errstate(divide="ignore"):
            joint = np.log(pi)[:, None] - (quadratic + np.log(2 * np.pi * values).sum(-1)[:, None]) / 2
        row_loglik = logsumexp(joint, axis=0)
        path.append(row_loglik.mean())
        share = np.exp(joint - row_loglik)  # [K, n]
        share_sum = share.sum(axis=1)
        alive = share_sum >= SMALLEST_SHARE
        previous, pi = pi, np.where(alive, share_sum, 0.0) / n_rows
        moments = (share[alive, None] * z.T) @ z / share_sum[alive, None, None]
        values[alive], vectors[alive] = np.linalg.eigh(moments)
        if np.abs(pi - previous).max() < TEEM_TOLERANCE:
            break
    else:
        _warn_of_the_bound("truncated eigenvalue extreme deconvolution")
    excess = np.maximum(values - 1, TEEM_TOLERANCE)
    fitted = (vectors * excess[:, None]) @ vectors.swapaxes(1, 2)
    names = (f"TEEM_{name}" for name in initial)
    return EdFit(dict(zip(names, fitted, strict=True)), pi, np.array(path))


def _checked_rows(betahat: Array) -> Array:
    """Refuse a table without rows or with values that are not finite."""
    if betahat.ndim != 2 or not betahat.size:
        raise MashError(
            "the rows with a signal must be a table, rows x conditions, with at least one row; found the "
            f"shape {betahat.shape}. With no such rows use the canonical covariances alone"
        )
    bad = ~np.isfinite(betahat)
    if bad.any():
        where = (f"{betahat[r, c]} in row {r}, condition {c}" for r, c in np.argwhere(bad))
        raise MashError(
            f"estimates must be finite (rows and conditions counted from 0): {first_few(where)}. "
            "Pass the arrays that set_data made, which stand in for missing cells"
        )
    return betahat


def _stacked(initial: Mapping[str, ArrayLike], n_conditions: int) -> Array:
    """Check the initial covariances and stack them [K, D, D]."""
    if not initial:
        raise MashError("the fit needs at least one initial covariance; found none")
    stack = np.empty((len(initial), n_conditions, n_conditions))
    for k, (name, value) in enumerate(initial.items()):
        matrix = np.asarray(value, float)
        if matrix.shape != (n_conditions, n_conditions) or not np.isfinite(matrix).all():
            raise MashError(
                f"the initial covariance {name!r} must be {n_conditions} x {n_conditions} finite "
                f"numbers; found the shape {matrix.shape}"
            )
        slack = 1e-8 * np.abs(matrix).max()
        if not np.allclose(matrix, matrix.T, rtol=0, atol=slack):
            raise MashError(f"the initial covariance {name!r} must be symmetric; found {matrix}")
        stack[k] = (matrix + matrix.T) / 2
        smallest = np.linalg.eigvalsh(stack[k])[0]
        if smallest < -slack:
            raise MashError(f"the initial covariance {name!r} has a negative eigenvalue, {smallest:.3g}")
    return stack


def _whitener(error_covariance: Array, shape: tuple[int, int]) -> Array:
    """W with ``W S W' = I`` for each error covariance S, lower triangular [n or 1, D, D]."""
    n_rows, n_conditions = shape
    shared = (n_conditions, n_conditions)
    if error_covariance.shape not in (shared, (n_rows, *shared)):
        raise MashError(
            f"error_covariance must be {shared} or {(n_rows, *shared)}, as the estimates are {shape}; "
            f"found {error_covariance.shape}"
        )
    stack = error_covariance.reshape(-1, *shared)
    # everything relative to the variances: a missing condition must not hide the others
    scale = np.sqrt(np.diagonal(stack, axis1=1, axis2=2).clip(0))  # [n or 1, D]
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = stack / (scale[:, :, None] * scale[:, None, :])
        symmetric = np.abs(correlation - correlation.swapaxes(1, 2)).max(axis=(1, 2)) <= 1e-8
    bad = ~symmetric
    bad[symmetric] = np.linalg.eigvalsh(correlation[symmetric])[:, 0] <= 1e-10
    if bad.any():
        raise MashError(
            "error_covariance must be symmetric, finite and positive definite; it is not for the rows "
            f"(counted from 0; a shared one is row 0) {first_few(np.flatnonzero(bad))}"
        )
    return np.linalg.inv(np.linalg.cholesky(stack))

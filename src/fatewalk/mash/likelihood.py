"""Likelihood of every row under every mixture component, and the posterior of each component.

With V = L L' and U = F F' (F [D, r], r the rank of U), take the singular value decomposition

    L^-1 S^-1 F = Q diag(s) P',     y = Q' L^-1 S^-1 betahat.

In these coordinates noise and prior are both diagonal for *every* scale g of the prior N(0, g^2 U):

    log p(betahat)  = -1/2 [ |L^-1 S^-1 betahat - Q y|^2 + sum_j y_j^2 / (1 + g^2 s_j^2)
                             + sum_j log(1 + g^2 s_j^2) + log |2 pi S V S| ]
    E[b | betahat]  = F P diag(g^2 s_j / (1 + g^2 s_j^2)) y
    Cov[b | betahat] = F P diag(g^2 / (1 + g^2 s_j^2)) (F P)'

so one small decomposition per row and covariance serves the whole grid, and one per covariance serves
all rows if their standard errors agree. U need not be inverted (singletons), no difference of large
numbers is taken, and a missing cell (standard error 1e6) does no harm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

from fatewalk.mash.data import Array, MashData


def factor(covariance: Array) -> Array:
    """Factor F [D, r] of a covariance F F' [D, D] of rank r.

    Rows of F are exactly zero where the variance is: an effect that is zero by assumption must not
    get a posterior variance of 1e-34.
    """
    values, vectors = np.linalg.eigh(covariance)
    kept = values > 1e-14 * values[-1]
    return np.where(np.diag(covariance)[:, None] > 0, vectors[:, kept] * np.sqrt(values[kept]), 0.0)


@dataclass(frozen=True)
class Spectrum:
    """The rows of a block under one prior covariance, in diagonal coordinates.

    Parameters
    ----------
    base
        Part of the log-likelihood that no scale changes [B].
    precision
        s^2, precision of the data per unit of prior variance [B or 1, r].
    coordinate
        y [B, r].
    loading
        F P, from coordinates back to effects [B or 1, D, r].
    """

    base: Array
    precision: Array
    coordinate: Array
    loading: Array

    def loglik(self, scales: Array) -> Array:
        """Log-likelihood at each scale g of the prior: [B, G]."""
        inflation = 1 + scales[:, None] ** 2 * self.precision[:, None, :]  # [B or 1, G, r]
        fit = np.log(inflation) + self.coordinate[:, None, :] ** 2 / inflation  # [B, G, r]
        return self.base[:, None] - 0.5 * fit.sum(axis=2)

    def moments(self, scale: float) -> tuple[Array, Array]:
        """Posterior mean and standard deviation at one scale of the prior: [B, D] each."""
        variance = scale**2 / (1 + scale**2 * self.precision)  # [B or 1, r]
        mean = np.einsum("bdr,br->bd", self.loading, variance * np.sqrt(self.precision) * self.coordinate)
        sd = np.sqrt(np.einsum("bdr,br->bd", self.loading**2, variance))
        return mean, np.broadcast_to(sd, mean.shape)


@dataclass(frozen=True)
class Whitened:
    """A block of rows in which the noise is white.

    Parameters
    ----------
    zeta
        L^-1 S^-1 betahat [B, D].
    whitener
        L^-1 S^-1 [B, D, D], or [1, D, D] if the rows have the same standard errors.
    log_norm
        -1/2 log |2 pi S V S| [B].
    """

    zeta: Array
    whitener: Array
    log_norm: Array

    def null_loglik(self) -> Array:
        """Log-likelihood of no effect: [B]."""
        return self.log_norm - 0.5 * (self.zeta**2).sum(axis=1)

    def spectrum(self, factor: Array) -> Spectrum:
        """Diagonal coordinates for the prior covariance F F', given F [D, r]."""
        q, s, pt = np.linalg.svd(self.whitener @ factor, full_matrices=False)
        y = np.einsum("bdr,bd->br", q, self.zeta)
        unexplained = self.zeta - np.einsum("bdr,br->bd", q, y)
        return Spectrum(
            base=self.log_norm - 0.5 * (unexplained**2).sum(axis=1),
            precision=s**2,
            coordinate=y,
            loading=factor @ np.swapaxes(pt, 1, 2),
        )


def whiten(data: MashData, rows: slice) -> Whitened:
    """Whiten the noise of some rows."""
    betahat, se = data.betahat[rows], data.se[rows]  # [B, D]
    root = np.linalg.cholesky(data.error_correlation)  # L
    inverse_root = solve_triangular(root, np.eye(len(root)), lower=True)  # L^-1 [D, D]
    alike = bool((se == se[0]).all())
    log_det = np.log(2 * np.pi * se**2).sum(axis=1) + 2 * np.log(np.diag(root)).sum()
    return Whitened(
        zeta=(betahat / se) @ inverse_root.T,
        whitener=inverse_root / (se[:1] if alike else se)[:, None, :],
        log_norm=-0.5 * log_det,
    )


def loglik_matrix(data: MashData, covariances: Array, grid: Array, *, point_mass: bool) -> Array:
    """Log-likelihood of every row under every mixture component.

    Parameters
    ----------
    data
        The data.
    covariances
        Prior covariances at scale 1 [K, D, D].
    grid
        Prior scales (standard deviations) [G].
    point_mass
        Whether the first component is the point mass at zero.

    Returns
    -------
    array
        [n, P]: the point mass if asked for, then for each scale each covariance.
    """
    n_covariances, n_scales = len(covariances), len(grid)
    factors = [factor(covariance) for covariance in covariances]
    loglik = np.empty((data.n_rows, int(point_mass) + n_scales * n_covariances))
    for rows in data.blocks(n_scales * data.n_conditions):
        whitened = whiten(data, rows)
        if point_mass:
            loglik[rows, 0] = whitened.null_loglik()
        for k in range(n_covariances):
            columns = slice(int(point_mass) + k, None, n_covariances)
            loglik[rows, columns] = whitened.spectrum(factors[k]).loglik(grid)
    return loglik


def row_loglik(loglik: Array, pi: Array) -> Array:
    """Log-likelihood of every row under the mixture: [n, P], [P] -> [n]."""
    used = pi > 0
    return logsumexp(loglik[:, used] + np.log(pi[used]), axis=1)

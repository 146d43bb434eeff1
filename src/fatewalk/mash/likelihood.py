"""Likelihood of every row under every mixture component, and the posterior of each component.

With V = L L', the whitener W = L^-1 S^-1, U = F F' (F [D, r], r the rank of U) and the eigenvalues and
vectors

    F' W' W F = P diag(lambda) P',     zeta = W betahat,     t = P' F' W' zeta,

noise and prior are diagonal in the coordinates P for *every* scale g of the prior N(0, g^2 U):

    v_j             = g^2 / (1 + g^2 lambda_j)
    log p(betahat)  = -1/2 [ |zeta|^2 - sum_j v_j t_j^2 + sum_j log(1 + g^2 lambda_j) + log |2 pi S V S| ]
    E[b | betahat]  = F P diag(v) t,     Cov[b | betahat] = F P diag(v) (F P)'

so one small decomposition per row and covariance serves the whole grid, and one per covariance serves
all rows if their errors agree. U need not be inverted (singletons). A missing cell has no row in W; its
standard error of 1e6 stands in the constant alone, as in mashr.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import logsumexp

if TYPE_CHECKING:
    from fatewalk.mash.data import Array, MashData


def factor(covariance: Array) -> Array:
    """Factor F [D, r] of a covariance F F' [D, D] of rank r.

    Rows of F are exactly zero where the variance is: an effect that is zero by assumption must not
    get a posterior variance of 1e-34.
    """
    values, vectors = np.linalg.eigh(covariance)
    kept = values > 1e-14 * values[-1]
    return np.where(np.diag(covariance)[:, None] > 0, vectors[:, kept] * np.sqrt(values[kept]), 0.0)


@dataclass(frozen=True, kw_only=True)
class Diagonal:
    """Rows of a block in coordinates in which noise and prior are diagonal.

    Parameters
    ----------
    precision
        lambda, precision of the data per unit of prior variance [B or 1, r].
    score
        t [B, r].
    """

    precision: Array
    score: Array

    def variance(self, scales: Array) -> Array:
        """Posterior variance v of the coordinates at each scale g of the prior: [G, B or 1, r]."""
        square = scales[:, None, None] ** 2
        return square / (1 + square * self.precision)

    def gain(self, scales: Array) -> Array:
        """Log-likelihood at each scale g of the prior, against no effect: [G, B]."""
        gain = np.square(self.score) * self.variance(scales)  # [G, B, r]
        gain -= np.log1p(scales[:, None, None] ** 2 * self.precision)
        return 0.5 * gain.sum(axis=2)


@dataclass(frozen=True, kw_only=True)
class Spectrum(Diagonal):
    """The rows of a block under one prior covariance, in diagonal coordinates.

    Parameters
    ----------
    null
        Log-likelihood of no effect [B].
    loading
        F P, from coordinates back to effects [B or 1, D, r].
    """

    null: Array
    loading: Array

    def loglik(self, scales: Array) -> Array:
        """Log-likelihood at each scale g of the prior: [G, B]."""
        return self.null + self.gain(scales)

    def moments(self, variance: Array) -> tuple[Array, Array]:
        """Posterior mean and standard deviation at each scale, from `variance` there: [G, B, D] each."""
        mean = self.to_effects(variance * self.score)
        sd = np.sqrt(_times(variance, self.loading**2))
        return mean, np.broadcast_to(sd, mean.shape)

    def to_effects(self, coordinates: Array) -> Array:
        """From diagonal coordinates to effects: [G, B, r] -> [G, B, D]."""
        return _times(coordinates, self.loading)


def _times(coordinates: Array, loading: Array) -> Array:
    """Multiply by the loading of each row: [G, B or 1, r], [B or 1, D, r] -> [G, B or 1, D]."""
    if len(loading) == 1:
        return coordinates @ loading[0].T
    return np.swapaxes(np.swapaxes(coordinates, 0, 1) @ np.swapaxes(loading, 1, 2), 0, 1)


@dataclass(frozen=True)
class Whitened:
    """A block of rows in which the noise is white.

    Parameters
    ----------
    zeta
        W betahat [B, D].
    whitener
        W = L^-1 S^-1 [B, D, D], or [1, D, D] if the rows have the same errors.
    null_loglik
        Log-likelihood of no effect, -1/2 (|zeta|^2 + log |2 pi S V S|) [B].
    """

    zeta: Array
    whitener: Array
    null_loglik: Array

    def spectrum(self, factor: Array) -> Spectrum:
        """Diagonal coordinates for the prior covariance F F', given F [D, r]."""
        seen = self.whitener @ factor  # [B or 1, D, r]
        precision, vectors = np.linalg.eigh(np.swapaxes(seen, 1, 2) @ seen)
        onto = seen @ vectors  # [B or 1, D, r]
        score = self.zeta @ onto[0] if len(onto) == 1 else (self.zeta[:, None, :] @ onto)[:, 0]
        return Spectrum(
            null=self.null_loglik,
            precision=np.maximum(precision, 0.0),
            score=score,
            loading=factor @ vectors,
        )


def whiten(data: MashData, rows: slice) -> Whitened:
    """Whiten the noise of some rows."""
    betahat, se = data.betahat[rows], data.se[rows]  # [B, D]
    root = np.linalg.cholesky(data.correlations(rows))  # L [B or 1, D, D]
    inverse_root = np.linalg.inv(root)  # [B or 1, D, D]
    alike = len(root) == 1 and bool((se == se[0]).all())
    precision = np.where(data.missing[rows], 0.0, 1 / se)  # a missing cell is not seen at all
    whitener = inverse_root * (precision[:1] if alike else precision)[:, None, :]
    log_det = np.log(2 * np.pi * se**2).sum(axis=1)
    log_det = log_det + 2 * np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
    zeta = ((betahat / se)[:, None, :] @ np.swapaxes(inverse_root, 1, 2))[:, 0]  # [B, D]
    return Whitened(zeta, whitener, null_loglik=-0.5 * log_det - 0.5 * (zeta**2).sum(axis=1))


def loglik_matrix(data: MashData, covariances: Array, grid: Array, *, point_mass: bool) -> Array:
    """Log-likelihood of every row, in the units of the model, under every mixture component.

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
    for rows in data.blocks(max(n_scales, data.n_conditions) * data.n_conditions):
        whitened = whiten(data, rows)
        if point_mass:
            loglik[rows, 0] = whitened.null_loglik
        for k in range(n_covariances):
            columns = slice(int(point_mass) + k, None, n_covariances)
            loglik[rows, columns] = whitened.spectrum(factors[k]).loglik(grid).T
    return loglik


def row_loglik(loglik: Array, pi: Array) -> Array:
    """Log-likelihood of every row under the mixture: [n, P], [P] -> [n]."""
    used = pi > 0
    return logsumexp(loglik[:, used] + np.log(pi[used]), axis=1)


def to_input_units(data: MashData) -> Array:
    """Log density of betahat less that of betahat / se^alpha, [n]: the Jacobian of the division."""
    return -np.log(data.scale).sum(axis=1)

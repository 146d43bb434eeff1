"""What the fitted mixture says about each effect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp, ndtr

from fatewalk.errors import FatewalkError
from fatewalk.mash.data import Array, MashData
from fatewalk.mash.fit import MashPrior
from fatewalk.mash.likelihood import factor, whiten

PI_THRESHOLD = 1e-10
"""Components of a smaller weight play no part in posteriors, as in mashr."""


@dataclass(frozen=True)
class MashPosterior:
    """Posterior summaries; made by `posterior`.

    Parameters
    ----------
    mean, sd
        Posterior mean and standard deviation [n, D].
    negative, zero
        Posterior probability that the effect is below zero, and exactly zero [n, D].
    lfsr
        Local false sign rate [n, D]: the probability that the likelier sign is wrong,
        ``zero + min(negative, positive)``.
    loglik
        Log-likelihood of each row [n].
    """

    mean: Array
    sd: Array
    negative: Array
    zero: Array
    lfsr: Array
    loglik: Array


def posterior(prior: MashPrior, data: MashData) -> MashPosterior:
    """Summarise the posterior of every effect.

    Cells that are missing get the posterior that the other conditions of their row imply; a row
    without any observed cell gets the prior (mean 0), which is for the caller to leave out.

    Parameters
    ----------
    prior
        The prior, usually fitted to the same data.
    data
        The data.

    Returns
    -------
    MashPosterior
        Summaries [n, D].

    Raises
    ------
    FatewalkError
        If prior and data have different conditions.
    """
    shape = data.betahat.shape
    mean, sd, negative, zero, lfsr = (np.empty(shape) for _ in range(5))
    loglik = np.empty(data.n_rows)
    for block in _mixtures(prior, data):
        rows = block.rows
        mean[rows] = block.average(block.mean)
        sd[rows] = np.sqrt(block.average(block.sd**2 + (block.mean - mean[rows]) ** 2))
        zero[rows] = block.probability(np.where(block.sd == 0, 1.0, 0.0))
        negative[rows] = block.probability(block.below(0.0))
        # summed by itself: 1 - zero - negative would lose all digits of a small probability
        positive = block.probability(block.above(0.0))
        lfsr[rows] = zero[rows] + np.minimum(negative[rows], positive)
        loglik[rows] = block.loglik
    return MashPosterior(mean, sd, negative, zero, lfsr, loglik)


def prob_large(prior: MashPrior, data: MashData, eps: float) -> Array:
    """Posterior probability that an effect is larger than `eps` in absolute value.

    Summed over the mixture: the point mass, and conditions in which a component has no variance,
    contribute nothing. For ``eps = 0`` this is one minus the probability of exactly zero.

    Parameters
    ----------
    prior
        The prior, usually fitted to the same data.
    data
        The data.
    eps
        Threshold in units of betahat, >= 0.

    Returns
    -------
    array
        Probabilities [n, D].

    Raises
    ------
    FatewalkError
        If `eps` is negative, or prior and data have different conditions.
    """
    if not eps >= 0:
        raise FatewalkError(f"eps must be >= 0; found {eps}")
    large = np.empty(data.betahat.shape)
    for block in _mixtures(prior, data):
        large[block.rows] = block.probability(block.below(-eps) + block.above(eps))
    return large


@dataclass(frozen=True)
class _Mixture:
    """Posterior of a block of rows: per cell a mixture of A normals; sd 0 is an atom at zero."""

    rows: slice
    loglik: Array  # [B]
    weight: Array  # [A, B]
    mean: Array  # [A, B, D]
    sd: Array  # [A, B, D]

    def average(self, values: Array) -> Array:
        """Average over the components: [A, B, D] -> [B, D]."""
        return np.einsum("ab,abd->bd", self.weight, values)

    def probability(self, values: Array) -> Array:
        """Average of probabilities, kept from exceeding 1 by rounding: [A, B, D] -> [B, D]."""
        return np.minimum(self.average(values), 1.0)

    def below(self, value: float) -> Array:
        """Per component, P(effect < value) without the atom [A, B, D]."""
        atom = self.sd == 0
        return np.where(atom, 0.0, ndtr((value - self.mean) / np.where(atom, 1.0, self.sd)))

    def above(self, value: float) -> Array:
        """Per component, P(effect > value) without the atom [A, B, D]."""
        atom = self.sd == 0
        return np.where(atom, 0.0, ndtr((self.mean - value) / np.where(atom, 1.0, self.sd)))


def _mixtures(prior: MashPrior, data: MashData) -> Iterator[_Mixture]:
    """Posterior mixtures, block of rows by block of rows."""
    if prior.covariances.shape[1] != data.n_conditions:
        raise FatewalkError(
            f"the prior has {prior.covariances.shape[1]} conditions, the data {data.n_conditions}"
        )
    first = int(prior.point_mass)
    used = prior.pi > PI_THRESHOLD  # [P]
    pi = prior.pi[first:].reshape(len(prior.grid), -1)  # [G, K]
    used_scales = used[first:].reshape(pi.shape)
    factors = {k: factor(prior.covariances[k]) for k in np.flatnonzero(used_scales.any(axis=0))}
    for rows in data.blocks(used.sum() * data.n_conditions):
        whitened = whiten(data, rows)
        null = np.zeros_like(whitened.zeta)
        joint, mean, sd = [], [], []  # log pi + log-likelihood, moments of each component
        if prior.point_mass and used[0]:
            joint.append(np.log(prior.pi[0]) + whitened.null_loglik())
            mean.append(null)
            sd.append(null)
        for k, root in factors.items():
            spectrum = whitened.spectrum(root)
            scales = np.flatnonzero(used_scales[:, k])
            joint.extend((np.log(pi[scales, k]) + spectrum.loglik(prior.grid[scales])).T)
            for component_mean, component_sd in map(spectrum.moments, prior.grid[scales]):
                mean.append(component_mean)
                sd.append(component_sd)
        loglik = logsumexp(joint, axis=0)  # [B]
        yield _Mixture(rows, loglik, np.exp(joint - loglik), np.array(mean), np.array(sd))

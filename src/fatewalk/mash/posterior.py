"""What the fitted mixture says about each effect (``mash_compute_posterior_matrices``).

The posterior of a row is a mixture again: component k has the weight ``pi_k L_nk / sum_j pi_j L_nj`` and
the normal posterior of `likelihood`. Everything here is summed over that mixture; no normal
approximation of the whole is made. Results are in the units of the input: for alpha > 0 the mixture
describes effects over se^alpha, and a missing cell, whose standard error is not known, has no effect
in units of the input (NaN), though its sign is inferred.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import logsumexp, ndtr

from fatewalk.mash.data import MashData, need_data
from fatewalk.mash.errors import MashError, whole
from fatewalk.mash.likelihood import Spectrum, factor, to_input_units, whiten
from fatewalk.mash.mixture import MashPrior

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from fatewalk.mash.data import Array

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
        The prior, fitted to the same data or to others.
    data
        The data.

    Returns
    -------
    MashPosterior
        Summaries [n, D].

    Raises
    ------
    MashError
        If prior and data have different conditions or another alpha.
    """
    _need_both(prior, data)
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
    units = _units(data)
    return MashPosterior(mean * units, sd * units, negative, zero, lfsr, loglik + to_input_units(data))


def prob_large(prior: MashPrior, data: MashData, eps: float) -> Array:
    """Posterior probability that an effect is larger than `eps` in absolute value.

    Summed over the mixture: the point mass, and conditions in which a component has no variance,
    contribute nothing. For ``eps = 0`` this is one minus the probability of exactly zero.

    Parameters
    ----------
    prior
        The prior, fitted to the same data or to others.
    data
        The data.
    eps
        Threshold in units of the input, >= 0.

    Returns
    -------
    array
        Probabilities [n, D].

    Raises
    ------
    MashError
        If `eps` is negative, or prior and data have different conditions or another alpha.
    """
    _need_both(prior, data)
    if not isinstance(eps, Real) or not eps >= 0:
        raise MashError(f"eps must be >= 0, one number for all conditions; found {eps!r}")
    large = np.empty(data.betahat.shape)
    threshold = eps / _units(data)
    for block in _mixtures(prior, data):
        limit = threshold[block.rows]
        large[block.rows] = block.probability(block.below(-limit) + block.above(limit))
    return large


def posterior_covariance(prior: MashPrior, data: MashData) -> Array:
    """Posterior covariance between the conditions of each row.

    The weighted covariances of the components, and the covariance of their means.

    Parameters
    ----------
    prior
        The prior, fitted to the same data or to others.
    data
        The data.

    Returns
    -------
    array
        [n, D, D], in squared units of the input.

    Raises
    ------
    MashError
        If prior and data have different conditions or another alpha.
    """
    _need_both(prior, data)
    n_rows, n_conditions = data.betahat.shape
    covariance = np.empty((n_rows, n_conditions, n_conditions))
    for block in _mixtures(prior, data):
        deviation = (block.mean - block.average(block.mean)) * np.sqrt(block.weight)[:, :, None]
        total = np.einsum("abd,abe->bde", deviation, deviation)
        for part in block.parts:
            # a covariance's scales share their loading: one product serves them all
            variance = np.einsum("gb,gbr->br", block.weight[part.components], part.variance)
            total += (part.spectrum.loading * variance[:, None, :]) @ np.swapaxes(part.spectrum.loading, 1, 2)
        covariance[block.rows] = total
    units = _units(data)
    return covariance * units[:, :, None] * units[:, None, :]


def posterior_samples(prior: MashPrior, data: MashData, n_samples: int, seed: int | Sequence[int]) -> Array:
    """Draw from the joint posterior of the conditions of each row.

    Parameters
    ----------
    prior
        The prior, fitted to the same data or to others.
    data
        The data.
    n_samples
        Number S of draws.
    seed
        Seed of the draws.

    Returns
    -------
    array
        [S, n, D], in units of the input.

    Raises
    ------
    MashError
        If prior and data have different conditions or another alpha, or `n_samples` or `seed` is not usable.
    """
    _need_both(prior, data)
    rng = np.random.default_rng([whole(one, "seed", 0) for one in np.atleast_1d(seed).tolist()])
    n_samples = whole(n_samples, "n_samples", 1)
    draws = np.zeros((n_samples, *data.betahat.shape))
    for block in _mixtures(prior, data):
        component = _components(block.weight, n_samples, rng)  # [S, B]
        for part in block.parts:
            for a, variance in enumerate(part.variance, start=part.first):
                sample, row = np.nonzero(component == a)
                draws[sample, block.rows.start + row] = part.draw(variance, row, rng)
    return draws * _units(data)


@dataclass(frozen=True)
class VLoglik:
    """Log-likelihood of each row in units of the input [n]; made by `compute_vloglik`.

    Parameters
    ----------
    total
        Under the mixture.
    null, alternative
        Under the point mass at zero, and under the rest of the mixture; NaN without a point mass,
        or if nothing but it has weight.
    log10_bayes_factor
        ``(alternative - null) / log(10)``.
    """

    total: Array
    null: Array
    alternative: Array
    log10_bayes_factor: Array


def compute_vloglik(prior: MashPrior, data: MashData) -> VLoglik:
    """Log-likelihood of every row, and its Bayes factor against no effect (``mash_compute_vloglik``).

    Parameters
    ----------
    prior
        The prior, fitted to the same data or to others.
    data
        The data.

    Raises
    ------
    MashError
        If prior and data have different conditions or another alpha.
    """
    _need_both(prior, data)
    total, null, alternative = (np.full(data.n_rows, np.nan) for _ in range(3))
    for block in _mixtures(prior, data):
        total[block.rows] = block.loglik
        if prior.point_mass and block.parts:
            used = block.parts[0].first  # behind the point mass, unless its weight is negligible
            rest = np.log(block.weight[used:].sum(axis=0)) - np.log1p(-prior.pi[0])
            alternative[block.rows] = block.loglik + rest
            null[block.rows] = block.null_loglik
    shift = to_input_units(data)
    bayes_factor = (alternative - null) / np.log(10)
    return VLoglik(total + shift, null + shift, alternative + shift, bayes_factor)


def compute_loglik(prior: MashPrior, data: MashData) -> float:
    """Log-likelihood of the data in units of the input (``mash_compute_loglik``)."""
    return float(compute_vloglik(prior, data).total.sum())


def _components(weight: Array, n_samples: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Draw a component for every row and sample: [A, B] -> [S, B]."""
    cumulative = np.cumsum(weight, axis=0)
    level = rng.random((n_samples, weight.shape[1])) * cumulative[-1]
    component = np.zeros(level.shape, np.int32)
    for reached in cumulative[:-1]:
        component += level > reached
    return component


def _units(data: MashData) -> Array:
    """From the units of the model to those of the input [n, D]; NaN where they are not known."""
    return np.where(data.missing, np.nan, data.scale) if data.alpha > 0 else data.scale


@dataclass(frozen=True)
class _Part:
    """The components of a block that share a prior covariance."""

    first: int  # index of the first of them
    spectrum: Spectrum
    variance: Array  # [G used, B or 1, r]

    @property
    def components(self) -> slice:
        """Their indices."""
        return slice(self.first, self.first + len(self.variance))

    def draw(self, variance: Array, row: NDArray[np.intp], rng: np.random.Generator) -> Array:
        """Draw one effect for each of m rows under one scale, variance [B or 1, r]: [m, D]."""
        spread = variance[row % len(variance)]  # [m, r]
        coordinates = spread * self.spectrum.score[row] + np.sqrt(spread) * rng.normal(size=spread.shape)
        loading = self.spectrum.loading
        if len(loading) == 1:
            return coordinates @ loading[0].T
        return (loading[row] @ coordinates[:, :, None])[:, :, 0]


@dataclass(frozen=True)
class _Mixture:
    """Posterior of a block of rows: per cell a mixture of A normals; sd 0 is an atom at zero."""

    rows: slice
    loglik: Array  # [B]
    null_loglik: Array  # of no effect [B]
    weight: Array  # [A, B]
    mean: Array  # [A, B, D]
    sd: Array  # [A, B, D]
    parts: tuple[_Part, ...]

    def average(self, values: Array) -> Array:
        """Average over the components: [A, B, D] -> [B, D]."""
        return np.einsum("ab,abd->bd", self.weight, values)

    def probability(self, values: Array) -> Array:
        """Average of probabilities, kept from exceeding 1 by rounding: [A, B, D] -> [B, D]."""
        return np.minimum(self.average(values), 1.0)

    def below(self, value: Array | float) -> Array:
        """Per component, P(effect < value) without the atom [A, B, D]."""
        atom = self.sd == 0
        return np.where(atom, 0.0, ndtr((value - self.mean) / np.where(atom, 1.0, self.sd)))

    def above(self, value: Array | float) -> Array:
        """Per component, P(effect > value) without the atom [A, B, D]."""
        atom = self.sd == 0
        return np.where(atom, 0.0, ndtr((self.mean - value) / np.where(atom, 1.0, self.sd)))


def _need_both(prior: object, data: object) -> None:
    """Refuse a prior and data that are none, such as the one in place of the other, or of different kinds."""
    need_data(data)
    assert isinstance(data, MashData)
    if not isinstance(prior, MashPrior):
        raise MashError(
            "prior must be what fit_mash(data, covariances) makes, or a MashPrior; found something else"
        )
    if prior.covariances.shape[1] != data.n_conditions:
        raise MashError(
            f"the prior has {prior.covariances.shape[1]} conditions, the data {data.n_conditions}"
        )
    if prior.alpha != data.alpha:
        raise MashError(
            f"the prior describes effects over se^{prior.alpha:g}, the data are for alpha = {data.alpha:g}; "
            "set the data with the alpha of the fit"
        )


def _mixtures(prior: MashPrior, data: MashData) -> Iterator[_Mixture]:
    """Posterior mixtures, block of rows by block of rows."""
    first = int(prior.point_mass)
    used = prior.pi > PI_THRESHOLD  # [P]
    pi = prior.pi[first:].reshape(len(prior.grid), -1)  # [G, K]
    used_scales = used[first:].reshape(pi.shape)
    factors = {k: factor(prior.covariances[k]) for k in np.flatnonzero(used_scales.any(axis=0))}
    for rows in data.blocks(max(used.sum(), data.n_conditions) * data.n_conditions):
        whitened = whiten(data, rows)
        null = np.zeros((int(prior.point_mass and used[0]), *whitened.zeta.shape))
        joint, mean, sd, parts = [], [null], [null], []  # log pi + log-likelihood, moments
        if len(null):
            joint.append(np.log(prior.pi[0]) + whitened.null_loglik[None])
        start = len(null)
        for k, root in factors.items():
            spectrum = whitened.spectrum(root)
            scales = used_scales[:, k]
            grid = prior.grid[scales]
            joint.append(np.log(pi[scales, k])[:, None] + spectrum.loglik(grid))
            variance = spectrum.variance(grid)
            component_mean, component_sd = spectrum.moments(variance)
            mean.append(component_mean)
            sd.append(component_sd)
            parts.append(_Part(start, spectrum, variance))
            start += len(grid)
        stacked = np.concatenate(joint)  # [A, B]
        loglik = logsumexp(stacked, axis=0)  # [B]
        yield _Mixture(
            rows,
            loglik,
            whitened.null_loglik,
            np.exp(stacked - loglik),
            np.concatenate(mean),
            np.concatenate(sd),
            tuple(parts),
        )

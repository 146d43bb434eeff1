r"""Who moved: posterior over sets of fates that moved themselves.

Probabilities sum to one, so that fates follow when one moves. The posterior of a row over the sets

- one fate f: covariance v_f v_f' (x) T,
- two fates: s v_f v_f' (x) T + r v_g v_g' (x) T, with s : r one of `RATIOS`,
- more: (I + 11') / 2 (x) T,

takes time shapes and scales from a fitted prior, in proportion to their weights there. The share of rows
with one mover is learned, with a prior that counts as `ONE` rows with one mover and `MORE` with several;
three or more are `FURTHER` times as likely as two. Within a number of movers all sets are alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import logsumexp

from fatewalk.mash.fates import Spectrum, contrast_vectors, every_day, loading_of, symmetric_covariance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fatewalk.mash.data import Array
    from fatewalk.mash.fates import Evidence, FatesPrior

RATIOS = ((1.0, 1.0), (1.0, 0.25), (0.25, 1.0))
ONE, MORE = 5.0, 0.5
FURTHER = 1 / 15
LEAST_ACTIVE = 0.01  # rows with a smaller probability of any effect are not asked who moved
LEAST_SHARE = 1e-3  # of the prior: time shapes and scales with less are left out
ROUNDS = 200


@dataclass(frozen=True)
class Movers:
    """Posterior over who moved, of n rows.

    Parameters
    ----------
    sets
        The sets, as places of their fates (the reference is 0).
    probability
        Of each set, given that there is an effect [n, sets].
    active
        Probability of an effect [n].
    """

    sets: list[tuple[int, ...]]
    probability: Array
    active: Array

    @property
    def n_fates(self) -> int:
        """Number of fates F."""
        return len(self.sets[-1])

    @property
    def moved(self) -> Array:
        """Probability that each fate moved itself [n, F]."""
        return self.active[:, None] * (self.probability @ self._holds())

    @property
    def likeliest(self) -> NDArray[np.bool_]:
        """The fates of the likeliest set, given an effect [n, F]."""
        return self._holds()[self.probability.argmax(axis=1)] > 0

    def _holds(self) -> Array:
        """Whether a set holds a fate [sets, F]."""
        return np.array([[fate in one for fate in range(self.n_fates)] for one in self.sets], dtype=float)

    @property
    def untold(self) -> Array:
        """Probability, given an effect, that F - 1 or more fates moved, which no data tell apart [n]."""
        many = [len(one) >= self.n_fates - 1 for one in self.sets]
        found: Array = self.probability[:, many].sum(axis=1)
        return found


def movers(prior: FatesPrior, evidence: Evidence, active: Array) -> Movers:
    """Posterior over the sets of fates that moved.

    Parameters
    ----------
    prior
        Fitted to the evidence.
    evidence
        Of n rows.
    active
        Probability of an effect [n], 1 less the weight of no effect.

    Returns
    -------
    Movers
        With two fates the only set is both.
    """
    n_fates = evidence.n_fates
    everyone = tuple(range(n_fates))
    if n_fates == 2:
        return Movers([everyone], np.ones((len(evidence), 1)), active)
    sets = [(f,) for f in everyone] + list(combinations(everyone, 2)) + [everyone]
    size = np.array([0] * n_fates + [1] * (len(sets) - n_fates - 1) + [2])
    asked = np.flatnonzero(active > LEAST_ACTIVE)
    alike = 1 / np.bincount(size)[size]  # prior of a set given its size
    h, information = evidence.flat(asked)  # a copy, for all sets
    of_sets = [_set_loglik(prior, h, information, _factors(one, evidence)) for one in sets]
    loglik = np.stack(of_sets, axis=1) + np.log(alike)
    posterior = np.tile(alike * _shares(ONE, MORE)[size], (len(evidence), 1))
    posterior[asked] = _posterior(loglik, size, active[asked])
    return Movers(sets, posterior, active)


def _factors(one: tuple[int, ...], evidence: Evidence) -> list[Array]:
    """Factors [F*, D, a] of the covariances of a set."""
    v = contrast_vectors(evidence.n_fates)
    if len(one) == evidence.n_fates:
        roots = [np.linalg.cholesky(symmetric_covariance(evidence.n_fates - 1))]
    elif len(one) == 1:
        roots = [v[one[0]][:, None]]
    else:
        roots = [np.stack([np.sqrt(s) * v[one[0]], np.sqrt(r) * v[one[1]]], axis=1) for s, r in RATIOS]
    return [every_day(root, evidence.n_days) for root in roots]


def _set_loglik(prior: FatesPrior, h: Array, information: Array, factors: list[Array]) -> Array:
    """Log-likelihood of rows [B, K], [B, K, K] under a set, over time shapes and scales [B]."""
    by_shape = prior.pi.sum(axis=0)  # [times, G]
    total = by_shape.sum() or 1.0
    found = np.full(len(h), -np.inf)
    for time, weights in zip(prior.times.values(), by_shape / total, strict=True):
        scales = np.flatnonzero(weights > LEAST_SHARE)
        if not len(scales):
            continue
        log_weight = np.log(weights[scales] / len(factors))[:, None]
        for factor in factors:
            loglik = Spectrum.of(h, information, loading_of(factor, time)).loglik(prior.grid[scales])
            found = np.logaddexp(found, logsumexp(loglik + log_weight, axis=0))
    return found


def _shares(one: float, more: float) -> Array:
    """Shares of one, two and more movers [3]."""
    return np.array([one, more / (1 + FURTHER), more * FURTHER / (1 + FURTHER)]) / (one + more)


def _posterior(loglik: Array, size: Array, active: Array) -> Array:
    """Posterior of the sets [rows, sets], with the share of single movers learned from active rows."""
    by_size = np.stack([logsumexp(loglik[:, size == k], axis=1) for k in range(3)], axis=1)  # [rows, 3]
    shares = _shares(ONE, MORE)
    for _ in range(ROUNDS):
        log = by_size + np.log(shares)
        posterior = np.exp(log - logsumexp(log, axis=1, keepdims=True))
        one = float(active @ posterior[:, 0])
        shares = _shares(ONE + one, MORE + float(active.sum()) - one)
    log = loglik + np.log(shares)[size]
    found: Array = np.exp(log - logsumexp(log, axis=1, keepdims=True))
    return found

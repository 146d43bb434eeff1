r"""Who moved: posterior over sets of fates that moved themselves.

Probabilities sum to one, so that fates follow when one moves. The posterior of a row over the sets

- one fate f: covariance v_f v_f' (x) T,
- two fates: s v_f v_f' (x) T + r v_g v_g' (x) T, with s : r one of `RATIOS`,
- three to F - 2: the sum of v_f v_f' (x) T. Of the many such sets those are considered that grow from the
  best pair of the row, fate by fate: at each step all fates are tried and the best one is kept, at the
  row's best time shape. With more than `MOST_PAIRS` fates pairs grow from the best fate likewise,
- all: (I + 11') / 2 (x) T; F - 1 movers explain whatever all do,

takes time shapes and scales from a fitted prior, in proportion to their weights there. The share of rows
with one mover is learned, with a prior that counts as `ONE` rows with one mover and `SEVERAL` with more; each
mover above two is `FURTHER` times as likely as none. Within a number of movers all sets are alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import logsumexp

from fatewalk.mash.fates import Loaded, contrast_vectors, every_day, loading_of, symmetric_covariance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fatewalk.mash.data import Array
    from fatewalk.mash.fates import Evidence, FatesPrior

RATIOS = ((1.0, 1.0), (1.0, 0.25), (0.25, 1.0))
ONE, SEVERAL = 2.0, 0.5
FURTHER = 1 / 5
MOST_PAIRS = 8  # fates of which every pair is tried; of more those that hold the row's best fate
LEAST_ACTIVE = 0.01  # rows with a smaller probability of any effect are not asked who moved
LEAST_SHARE = 1e-3  # of the prior: time shapes and scales with less are left out
ROUNDS = 200


@dataclass(frozen=True)
class Movers:
    """Who moved, of n rows.

    Parameters
    ----------
    moved
        Probability that each fate moved itself [n, F].
    untold
        Probability, given an effect, that F - 1 or more fates moved, which no data tell apart [n].
    active
        Probability of an effect [n].
    """

    moved: Array
    untold: Array
    active: Array


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
    n, n_fates = len(evidence), evidence.n_fates
    if n_fates == 2:
        return Movers(np.repeat(active[:, None], 2, axis=1), np.ones(n), active)
    moved, untold = np.empty((n, n_fates)), np.empty(n)
    moved[:], untold[:] = _prior(n_fates)
    asked = np.flatnonzero(active > LEAST_ACTIVE)
    if len(asked):
        sets = _Sets.of(prior, *evidence.flat(asked), n_fates)
        posterior = sets.posterior(active[asked])  # [rows, sets]
        moved[asked] = np.einsum("bs,bsf->bf", posterior, sets.holds)
        untold[asked] = posterior[:, sets.size >= n_fates - 1].sum(axis=1)
    return Movers(active[:, None] * moved, untold, active)


@dataclass(frozen=True)
class _Sets:
    """The sets that are considered for each of B rows.

    Parameters
    ----------
    holds
        Fates of each set [B, S, F].
    loglik
        Of each set [B, S], and the log of its prior among those of as many movers.
    size
        Number of movers [S].
    """

    holds: NDArray[np.bool_]
    loglik: Array
    size: NDArray[np.intp]

    @classmethod
    def of(cls, prior: FatesPrior, h: Array, information: Array, n_fates: int) -> _Sets:
        """One fate, every pair of not too many, all; and larger sets that grow from each row's best one."""
        everyone = tuple(range(n_fates))
        pairs = list(combinations(everyone, 2)) if n_fates <= MOST_PAIRS else []
        sets = [(f,) for f in everyone] + pairs + [everyone]
        holds = np.array([[fate in one for fate in everyone] for one in sets])  # [S, F]
        by_time = np.stack([_by_time(prior, h, information, _factors(one, prior)) for one in sets], axis=2)
        loglik = logsumexp(by_time, axis=0)  # [B, S]
        size = holds.sum(axis=1)
        alike = 1 / np.array([comb(n_fates, number) for number in size])
        found = cls(np.repeat(holds[None], len(h), axis=0), loglik + np.log(alike), size)
        if n_fates < 5:
            return found
        largest = size == (2 if pairs else 1)
        start = holds[largest][loglik[:, largest].argmax(axis=1)]  # [B, F]
        time = by_time[:, :, -1].argmax(axis=0)  # [B], the best one if all moved
        others = loglik[:, -1] - by_time[time, np.arange(len(h)), -1]  # what the other time shapes add
        return found.grown(prior, h, information, start, time, others)

    def grown(
        self,
        prior: FatesPrior,
        h: Array,
        information: Array,
        start: NDArray[np.bool_],
        time: NDArray[np.intp],
        others: Array,
    ) -> _Sets:
        """These sets and larger ones: fate by fate the best one is added, to each row's start."""
        n_fates = start.shape[1]
        holds, loglik, now = [self.holds], [self.loglik], start
        for number in range(int(start[0].sum()) + 1, n_fates - 1):
            tried = np.flatnonzero(~now.ravel()).reshape(len(h), -1) % n_fates  # [B, C]
            larger = now[:, None, :] | (np.arange(n_fates) == tried[:, :, None])  # [B, C, F]
            of_larger = _at_time(prior, h, information, larger, time)  # [B, C]
            holds.append(larger)
            loglik.append(of_larger + others[:, None] - np.log(comb(n_fates, number)))
            now = larger[np.arange(len(h)), of_larger.argmax(axis=1)]
        size = np.concatenate([self.size, np.concatenate([one[0].sum(axis=1) for one in holds[1:]])])
        return _Sets(np.concatenate(holds, axis=1), np.concatenate(loglik, axis=1), size)

    def posterior(self, active: Array) -> Array:
        """Posterior of the sets [B, S], with the share of single movers learned from active rows."""
        log = self.loglik + np.log(_among_several(self.holds.shape[2])[self.size])
        several = self.size > 1
        both = np.stack([logsumexp(log[:, ~several], axis=1), logsumexp(log[:, several], axis=1)], axis=1)
        one = ONE / (ONE + SEVERAL)
        for _ in range(ROUNDS):
            odds = both + np.log([one, 1 - one])
            with_one = float(active @ np.exp(odds[:, 0] - logsumexp(odds, axis=1)))
            one = (ONE + with_one) / (ONE + SEVERAL + float(active.sum()))
        log += np.log(np.where(several, 1 - one, one))
        found: Array = np.exp(log - logsumexp(log, axis=1, keepdims=True))
        return found


def _among_several(n_fates: int) -> Array:
    """Share of each number of movers, 0 to F, among those of two and more; of one mover 1 [F + 1]."""
    numbers = np.arange(n_fates + 1)
    weight = np.where(numbers > 1, FURTHER ** (numbers - 2.0), 0.0)
    weight[n_fates - 1] *= n_fates == 3  # F - 1 movers are all movers, but where they are a pair
    weight /= weight.sum()
    weight[1] = 1.0
    return weight


def _prior(n_fates: int) -> tuple[float, float]:
    """Probability that a fate moved itself, and that who moved cannot be told, without data."""
    shares = _among_several(n_fates) * SEVERAL / (ONE + SEVERAL)
    shares[1] = ONE / (ONE + SEVERAL)
    return float(shares @ np.arange(n_fates + 1)) / n_fates, float(shares[n_fates - 1 :].sum())


def _factors(one: tuple[int, ...], prior: FatesPrior) -> list[Array]:
    """Factors [F*, D, a] of the covariances of one fate, a pair, or all."""
    n_contrasts, n_days = prior.shape
    v = contrast_vectors(n_contrasts + 1)
    if len(one) == n_contrasts + 1:
        roots = [np.linalg.cholesky(symmetric_covariance(n_contrasts))]
    elif len(one) == 1:
        roots = [v[one[0]][:, None]]
    else:
        roots = [np.stack([np.sqrt(s) * v[one[0]], np.sqrt(r) * v[one[1]]], axis=1) for s, r in RATIOS]
    return [every_day(root, n_days) for root in roots]


def _by_time(prior: FatesPrior, h: Array, information: Array, factors: list[Array]) -> Array:
    """Log-likelihood of rows [B, K], [B, K, K] under a set, with the weight of each time shape [times, B]."""
    found = np.full((len(prior.times), len(h)), -np.inf)
    for t, time in enumerate(prior.times.values()):
        scales, log_weight = _scales(prior, t)
        for factor in factors if len(scales) else []:
            loglik = Loaded.of(h, information, loading_of(factor, time)).gain(scales)
            of_factor = logsumexp(loglik + log_weight[:, None], axis=0) - np.log(len(factors))
            found[t] = np.logaddexp(found[t], of_factor)
    return found


def _at_time(
    prior: FatesPrior, h: Array, information: Array, holds: NDArray[np.bool_], time: NDArray[np.intp]
) -> Array:
    """The same under C sets of each row, as many fates in each, at one time shape of the row [B, C]."""
    n_rows, n_sets, n_fates = holds.shape
    members = np.nonzero(holds)[2].reshape(n_rows, n_sets, -1)
    found = np.empty((n_rows, n_sets))
    for t in np.unique(time):
        rows = np.flatnonzero(time == t)
        roots = contrast_vectors(n_fates)[members[rows]]  # [B', C, movers, F*]
        shape = list(prior.times.values())[t]  # [D, r]
        loading = np.einsum("bcmf,dr->bcfdmr", roots, shape).reshape(len(rows) * n_sets, h.shape[1], -1)
        each = np.repeat(rows, n_sets)
        scales, log_weight = _scales(prior, int(t))
        loglik = Loaded.of(h[each], information[each], loading).gain(scales) + log_weight[:, None]
        found[rows] = logsumexp(loglik, axis=0).reshape(len(rows), n_sets)
    return found


def _scales(prior: FatesPrior, time: int) -> tuple[Array, Array]:
    """Scales of a time shape that have a weight, and the logs of their weights."""
    by_shape = prior.pi.sum(axis=0)  # [times, G]
    weights = by_shape[time] / (by_shape.sum() or 1.0)
    kept = weights > LEAST_SHARE
    return prior.grid[kept], np.log(weights[kept])

r"""Posterior effects over fates and days: on contrasts, and on the scale of each fate.

What fate f itself does is the change of logit P(f), at shares p_k of the fates,

.. math:: \Lambda_f = b_f - \log \frac{\sum_{k \neq f} p_k e^{b_k}}{1 - p_f}, \qquad b_{ref} = 0

which exists for every fate, does not depend on the reference, equals b_f where f alone moves and
:math:`\pm b` where there are two fates.

The posterior of a row is a mixture of normals and of no effect. On contrasts everything is summed over its
parts. Lambda is not linear, and comes from draws, each part in proportion to its weight
(`draw_effects`). Probabilities of a sign would be coarse if draws were counted. Instead, let a be the
direction in which Lambda changes most for its spread, b = rest + a z with z ~ N(0, 1) independent of the
rest. Given the rest of a draw, Lambda passes a level at some z (one Newton step from the draw), and the
chance to be below it is the normal distribution there (Rao-Blackwell).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array
from scipy.special import logsumexp, ndtr

from fatewalk.mash.errors import whole
from fatewalk.mash.fates import Loaded, check_composition

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import ArrayLike, NDArray

    from fatewalk.mash.data import Array
    from fatewalk.mash.fates import Evidence, FatesPrior

N_DRAWS = 1000  # of a row: a probability of 0.9 of a pattern is known to 0.01
LEAST_WEIGHT = 1e-4  # parts of a row's posterior below it are left out
FLAT = 1e-10  # SD of an effect that is exactly zero


@dataclass(frozen=True)
class Effects:
    """Posterior of effects, arrays [n, F* or F, D].

    Parameters
    ----------
    mean, sd
        Posterior mean and SD.
    lfsr
        Probability that the sign is not that of the more likely one, or that there is no effect.
    prob_large
        P(|effect| > eps).
    """

    mean: Array
    sd: Array
    lfsr: Array
    prob_large: Array

    @classmethod
    def joined(cls, parts: Iterable[Effects]) -> Effects:
        """Blocks of rows, one after the other."""
        each = [(one.mean, one.sd, one.lfsr, one.prob_large) for one in parts]
        return cls(*(np.concatenate(values) for values in zip(*each, strict=True)))


@dataclass(frozen=True)
class FateDraws:
    """Draws of Lambda of a block of B rows.

    Parameters
    ----------
    rows
        Of the evidence.
    null
        Weight of no effect [B]; no draw stands for it.
    row
        Row of each of T draws within the block, ascending [T].
    weight
        Of each draw; with `null` the weights of a row sum to one [T].
    contrast
        Effects on log odds against the reference [T, F*, D].
    fate
        Lambda [T, F, D].
    beyond
        P(Lambda < -eps | the rest of the draw), and the same for Lambda < 0, > 0 and > eps: [4, T, F, D].
    moves
        Whether Lambda can differ from zero in the part that the draw comes from [T, F, D].
    """

    rows: slice
    null: Array
    row: NDArray[np.intp]
    weight: Array
    contrast: Array
    fate: Array
    beyond: Array
    moves: NDArray[np.bool_]

    def average(self, values: Array) -> Array:
        """Weighted sum over the draws of each row, [T, ...] -> [B, ...]; no effect counts as 0."""
        n_draws = len(self.row)
        shape = (len(self.null), n_draws)
        weights = csr_array((self.weight, (self.row, np.arange(n_draws))), shape=shape)
        found: Array = weights @ values.reshape(n_draws, math.prod(values.shape[1:]))
        return found.reshape(-1, *values.shape[1:])

    def summary(self) -> Effects:
        """Posterior of Lambda, [B, F, D] each."""
        mean = self.average(self.fate)
        square = self.average(self.fate**2)
        low, below, above, high = (self.average(np.where(self.moves, x, 0.0)) for x in self.beyond)
        still = self.null[:, None, None] + self.average((~self.moves).astype(float))
        return Effects(
            mean=mean,
            sd=np.sqrt((square - mean**2).clip(min=0)),
            lfsr=(still + np.minimum(below, above)).clip(0, 1),
            prob_large=(low + high).clip(0, 1),
        )


def fate_jacobian(effects: Array, composition: Array) -> Array:
    """Change of each Lambda with the contrasts of its day, [..., F, F*, D] at effects [..., F*, D].

    A standard error of Lambda is that of this linear map at the estimate (delta method).
    """
    share = _shares(effects, composition)  # [..., F, D]
    jacobian = -share[..., None, :, :] / (1 - share).clip(min=1e-12)[..., :, None, :]
    fates = np.arange(composition.shape[0])
    jacobian[..., fates, fates, :] = 1.0
    return jacobian[..., 1:, :]


def fate_scale(effects: Array, composition: Array) -> Array:
    """Lambda, the change of each fate's own logit.

    Parameters
    ----------
    effects
        On contrasts [..., F*, D].
    composition
        Shares [F, D], the reference first.

    Returns
    -------
    array
        [..., F, D].

    Examples
    --------
    One of three fates moves, and the others follow:

    >>> shares = np.array([[0.5], [0.3], [0.2]])
    >>> fate_scale(np.array([[1.0], [0.0]]), shares).round(2).T
    array([[-0.71,  1.  , -0.5 ]])
    """
    share = _shares(effects, composition)
    return _logit(share) - _logit(composition)


def _shares(effects: Array, composition: Array) -> Array:
    """Shares of the fates after effects, [..., F, D]."""
    logits = np.concatenate([np.zeros_like(effects[..., :1, :]), effects], axis=-2)
    logits = logits + np.log(composition.clip(min=1e-12))
    grown = np.exp(logits - logits.max(axis=-2, keepdims=True))
    return grown / grown.sum(axis=-2, keepdims=True)


def _logit(share: Array) -> Array:
    share = share.clip(1e-12, 1 - 1e-12)
    return np.log(share / (1 - share))


def _slope(share: Array, direction: Array) -> Array:
    """Change of Lambda_f along a direction of its own, [..., F, D] from [..., F, D], [..., F, D, F*]."""
    own = np.concatenate([np.zeros_like(direction[..., :1, :, 0]), _diagonal(direction[..., 1:, :, :])], -2)
    all_of = np.einsum("...kd,...fdk->...fd", share[..., 1:, :], direction)
    others = (all_of - share * own) / (1 - share).clip(min=1e-12)
    return own - others


def _diagonal(values: Array) -> Array:
    """Entries [..., f, d, f] of [..., F*, D, F*]: [..., F*, D]."""
    return np.moveaxis(np.diagonal(values, axis1=-3, axis2=-1), -1, -2)


@dataclass(frozen=True)
class _Part:
    """Rows of a block under one member and time shape of the mixture, a row once for each scale."""

    row: NDArray[np.intp]  # [B']
    weight: Array  # [B']
    mean: Array  # [B', K]
    root: Array  # [B', K, m], covariance root root'


def _parts(prior: FatesPrior, h: Array, information: Array) -> tuple[Array, list[_Part]]:
    """Posterior of a block [B, K], [B, K, K]: weight of no effect [B], and the parts that count."""
    names, logs = [], []
    for kind, time, scales in prior.used():
        weight = prior.pi[list(prior.classes).index(kind), list(prior.times).index(time), scales]
        n_members = len(prior.classes[kind])
        for member in range(n_members):
            loaded = Loaded.of(h, information, prior.loading(kind, member, time))
            logs.append(loaded.gain(prior.grid[scales]) + np.log(weight / n_members)[:, None])
            names.append((kind, member, time, scales))
    null = np.log(max(prior.pi0, 1e-300))
    total = logsumexp(np.concatenate([np.full((1, len(h)), null), *logs]), axis=0)  # [B]
    posterior = [np.exp(log - total) for log in logs]  # [scales, B] each
    kept = sum((np.where(p > LEAST_WEIGHT, p, 0.0).sum(axis=0) for p in posterior), np.zeros(len(h)))
    of_null = np.exp(null - total)
    scale = (1 - of_null) / np.where(kept > 0, kept, 1.0)
    parts = []
    for (kind, member, time, scales), p in zip(names, posterior, strict=True):
        row, place = np.nonzero(p.T > LEAST_WEIGHT)  # [B'] each
        if not len(row):
            continue
        rows, of = np.unique(row, return_inverse=True)
        loading = prior.loading(kind, member, time)
        loaded = Loaded.of(h[rows], information[rows], loading)
        turned = (loading @ loaded.vectors)[of]  # [B', K, m]
        variance = loaded.variance(prior.grid[scales])[place, of]  # [B', m]
        mean = (turned @ (variance * loaded.score[of])[:, :, None])[:, :, 0]
        root = turned * np.sqrt(variance)[:, None, :]
        parts.append(_Part(row, p[place, row] * scale[row], mean, root))
    return np.where(kept > 0, of_null, 1.0), parts


def contrast_effects(
    prior: FatesPrior, evidence: Evidence, eps: float, contrasts: ArrayLike | None = None
) -> Effects:
    """Posterior of contrasts of fates.

    Parameters
    ----------
    prior
        The mixture.
    evidence
        Of n rows.
    eps
        Smallest effect of interest.
    contrasts
        Weights [C, F*] of the contrasts against the reference, by default these themselves; with e_f - e_g
        fate f is held against fate g.

    Returns
    -------
    Effects
        Arrays [n, C, D].
    """
    n, n_contrasts, days = evidence.score.shape
    matrix = np.eye(n_contrasts) if contrasts is None else np.array(contrasts, dtype=float)
    to = np.kron(matrix, np.eye(days))  # [C D, K]
    sums = np.zeros((6, n, len(to)))
    for rows in evidence.blocks(8 * evidence.score[0].size ** 2):
        null, parts = _parts(prior, *evidence.flat(rows))
        sums[0, rows] = null[:, None]
        for part in parts:
            weight = part.weight[:, None]
            centre, sd = part.mean @ to.T, np.sqrt(((to @ part.root) ** 2).sum(axis=2))  # [B', C D]
            moves, safe = weight * (sd > FLAT), np.where(sd > FLAT, sd, 1.0)
            large = ndtr((centre - eps) / safe) + ndtr((-eps - centre) / safe)
            of_part = [
                weight * (sd <= FLAT),
                weight * centre,
                weight * (centre**2 + sd**2),
                moves * ndtr(-centre / safe),
                moves * ndtr(centre / safe),
                moves * large,
            ]
            for total, values in zip(sums, of_part, strict=True):
                np.add.at(total, rows.start + part.row, values)
    still, mean, square, below, above, large = sums
    found = Effects(
        mean=mean,
        sd=np.sqrt((square - mean**2).clip(min=0)),
        lfsr=(still + np.minimum(below, above)).clip(0, 1),
        prob_large=large.clip(0, 1),
    )
    shape = (n, len(matrix), days)
    return Effects(*(getattr(found, name).reshape(shape) for name in ("mean", "sd", "lfsr", "prob_large")))


def draw_effects(
    prior: FatesPrior,
    evidence: Evidence,
    composition: ArrayLike,
    eps: float,
    *,
    n_draws: int = N_DRAWS,
    seed: int = 1,
) -> Iterator[FateDraws]:
    """Draws of Lambda, block of rows by block of rows.

    Parameters
    ----------
    prior
        The mixture.
    evidence
        Of n rows.
    composition
        Shares [F, D], the reference first.
    eps
        Smallest effect of interest, the level of ``FateDraws.beyond``.
    n_draws
        Draws of a row, about.
    seed
        Of the draws.
    """
    shares = check_composition(evidence, composition)
    n_numbers = n_draws * shares.size * (shares.shape[0] + 4)
    for rows in evidence.blocks(n_numbers):
        rng = np.random.default_rng([whole(seed, "seed", 0), rows.start])
        null, parts = _parts(prior, *evidence.flat(rows))
        found = [_draw(part, shares, eps, n_draws, rng) for part in parts]
        if not found:
            yield _no_draws(rows, null, shares.shape)
            continue
        row, weight, contrast, fate, moves = (np.concatenate([one[i] for one in found]) for i in range(5))
        beyond = np.concatenate([one[5] for one in found], axis=1)
        order = np.argsort(row, kind="stable")
        yield FateDraws(
            rows,
            null,
            row[order],
            weight[order],
            contrast[order],
            fate[order],
            beyond[:, order],
            moves[order],
        )


def _no_draws(rows: slice, null: Array, shape: tuple[int, ...]) -> FateDraws:
    """A block in which nothing has an effect."""
    empty, nothing = np.zeros(0), np.zeros((0, *shape))
    beyond = np.zeros((4, *nothing.shape))
    return FateDraws(rows, null, empty.astype(int), empty, nothing[:, 1:], nothing, beyond, nothing > 0)


def _draw(
    part: _Part, shares: Array, eps: float, n_draws: int, rng: np.random.Generator
) -> tuple[NDArray[np.intp], Array, Array, Array, NDArray[np.bool_], Array]:
    """Draws of one part, in pairs of opposite noise: row, weight, contrasts, Lambda, moves, chances."""
    days = shares.shape[1]
    pairs = np.ceil(0.5 * n_draws * part.weight).astype(int)  # [B']
    place = np.repeat(np.arange(len(part.row)), 2 * pairs)  # [T]
    noise = rng.normal(size=(len(place) // 2, part.root.shape[2]))  # [T / 2, m]
    noise = np.stack([noise, -noise], axis=1).reshape(len(place), -1)
    effects = part.mean[place] + (part.root[place] @ noise[:, :, None])[:, :, 0]
    effects = effects.reshape(len(place), -1, days)  # [T, F*, D]
    share = _shares(effects, shares)
    fate = _logit(share) - _logit(shares)
    direction, along = _steepest(part, shares)  # [B', F, D, F*], [B', F, D, m]
    moves = np.sqrt((along**2).sum(axis=3)) > FLAT
    z = np.einsum("tfdm,tm->tfd", along[place] / _norm(along)[place], noise)
    slope = _slope(share, direction[place])
    slope = np.where(np.abs(slope) > FLAT, slope, FLAT)
    fate = np.where(moves[place], fate, 0.0)
    beyond = np.stack(
        [
            _chance(side * (z + (level - fate) / slope) * np.sign(slope))
            for level, side in ((-eps, 1), (0.0, 1), (0.0, -1), (eps, -1))
        ]
    )
    return part.row[place], (part.weight / (2 * pairs))[place], effects, fate, moves[place], beyond


def _chance(z: Array) -> Array:
    """Chance of a standard normal to be below z."""
    return np.asarray(ndtr(z.clip(-37, 37)))


def _steepest(part: _Part, shares: Array) -> tuple[Array, Array]:
    """Direction in which each Lambda changes most: of effects [B', F, D, F*], of noise [B', F, D, m]."""
    days = shares.shape[1]
    mean = part.mean.reshape(len(part.mean), -1, days)  # [B', F*, D]
    root = part.root.reshape(len(part.mean), -1, days, part.root.shape[2])  # [B', F*, D, m]
    along = np.einsum("bfkd,bkdm->bfdm", fate_jacobian(mean, shares), root)
    return np.einsum("bkdm,bfdm->bfdk", root, along / _norm(along)), along


def _norm(along: Array) -> Array:
    """Length of the last dimension, never zero: [..., m] -> [..., 1]."""
    length = np.sqrt((along**2).sum(axis=-1, keepdims=True))
    return np.where(length > FLAT, length, 1.0)

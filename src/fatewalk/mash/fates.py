r"""mash over fates and days together, with a prior that treats all fates alike.

Rows n are genes or guides. Effects b [F*, D] are changes of log odds of F* = F - 1 fates against the first
one, the reference, on D days. A row enters as what its data say of all of them together, score h and
information J (of estimates with errors: J the inverse error covariance, h = J times the estimates):

.. math:: \log p(\text{data} \mid b) = h'b - \tfrac12 b'Jb + \text{const}

so what was not seen has zero information and takes part in nothing. The prior is a mixture

.. math:: b \sim \pi_0 \delta_0 + \textstyle\sum_{c, T, g} (1 - \pi_0) \rho_c w_{Tg}
          \; M_c^{-1} \sum_{m = 1}^{M_c} N(0,\; g^2 A_{cm} \otimes T)

over time shapes T (`cov_canonical`, `cov_time`, `cov_onset`), scales g and classes c of what moves. With
v_f the contrasts of "fate f alone moves" (a unit vector, or minus ones for the reference), the members
A_cm of a class are

- ``single``: v_f v_f' for each fate f;
- ``flow``: u u' with u = v_f / p_f - v_g / p_g for each pair of fates, p their shares on the day: cells
  diverted from g to f (up to `MOST_FLOW` fates; scaled so that the largest variance is that of v_f);
- ``all``: (I + 11') / 2, independent changes of all fates.

The members of a class share their weight, so the prior is the same whichever fate is the reference, and
what moves does not depend on when and how much: a few dozen rows are enough to learn it
(`product_weights`).

With E E' = A (x) T, E' J E = P diag(lambda) P' and t = P' E' h, one decomposition serves all scales:

    v_j              = g^2 / (1 + g^2 lambda_j)
    log p(data | .)  = 1/2 [ sum_j v_j t_j^2 - sum_j log(1 + g^2 lambda_j) ]     (against no effect)
    b | data         ~ N(E P diag(v) t, E P diag(v) (E P)')
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import logsumexp

from fatewalk.mash.covariances import cov_canonical, cov_onset, cov_time
from fatewalk.mash.errors import MashError, numbers
from fatewalk.mash.likelihood import Diagonal, factor
from fatewalk.mash.product_weights import ProductWeights, product_weights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from fatewalk.mash.data import Array

OWN_SHARE = 0.03  # of the variance of a day: rows share the shape in all fates, which vouches for it
MOST_FLOW = 6  # fates with pairs of which cells are diverted; their number grows with its square
GRID_RATIO = 2**0.5
NULL_WEIGHTS = (1.0, 3.0, 10.0)
SEEN = 1e-6  # a direction with less than this share of the largest information is not seen
NEGLIGIBLE = 1e-5  # a component with less weight takes part in nothing
NUMBERS = 2**23  # of a block of rows: 64 MB


@dataclass(frozen=True)
class Evidence:
    """What the data say of n rows.

    Parameters
    ----------
    score
        h [n, F*, D].
    information
        J [n, F*, D, F*, D], positive semidefinite.

    Raises
    ------
    MashError
        If the shapes disagree or numbers are missing.
    """

    score: Array
    information: Array

    def __post_init__(self) -> None:
        if self.score.ndim != 3 or self.information.shape != (*self.score.shape, *self.score.shape[1:]):
            raise MashError(
                "evidence is a score [rows, contrasts, days] and information [rows, contrasts, days, "
                f"contrasts, days]; found the shapes {self.score.shape} and {self.information.shape}"
            )
        if not len(self.score):
            raise MashError("evidence must have at least one row; found none")
        if not (np.isfinite(self.score).all() and np.isfinite(self.information).all()):
            raise MashError("evidence must be finite; where nothing was seen score and information are zero")

    @property
    def n_fates(self) -> int:
        """Number of fates F."""
        return self.score.shape[1] + 1

    @property
    def n_days(self) -> int:
        """Number of days D."""
        return self.score.shape[2]

    def __len__(self) -> int:
        return len(self.score)

    def flat(self, rows: slice | NDArray[np.intp] = slice(None)) -> tuple[Array, Array]:
        """Score and information of some rows as vectors and matrices, [B, K] and [B, K, K], K = F* D."""
        h = self.score[rows]
        size = h.shape[1] * h.shape[2]
        return h.reshape(-1, size), self.information[rows].reshape(-1, size, size)

    def blocks(self, numbers: int) -> Iterator[slice]:
        """Slices of rows, few enough for arrays with so many numbers for each row."""
        step = max(1, NUMBERS // max(numbers, 1))
        return (slice(start, min(start + step, len(self))) for start in range(0, len(self), step))

    def estimates(
        self, rows: slice = slice(None), contrasts: Array | None = None
    ) -> tuple[Array, Array, NDArray[np.bool_]]:
        """Unshrunk estimates [B, C D], roots of their error covariance [B, C D, K], what was seen [B, C D].

        J^-1 h where J sees; a direction that it does not see is left at 0, and whatever has a part in one
        was not seen.

        Parameters
        ----------
        rows
            Which.
        contrasts
            Weights [C, F*] of the contrasts against the reference, by default these themselves.
        """
        h, information = self.flat(rows)
        values, vectors = np.linalg.eigh(information)
        seen = values > SEEN * values[:, -1:].clip(min=1e-300)
        inverse = np.where(seen, 1 / np.where(seen, values, 1.0), 0.0)
        root = vectors * np.sqrt(inverse)[:, None, :]
        mean = (root @ (root.swapaxes(1, 2) @ h[:, :, None]))[:, :, 0]
        if contrasts is None:
            contrasts = np.eye(self.n_fates - 1)
        to = np.kron(contrasts, np.eye(self.n_days))  # [C D, K]
        part = (to @ vectors) ** 2 / (to**2).sum(axis=1)[:, None]
        unseen = (part @ (~seen)[:, :, None].astype(float))[:, :, 0]
        return mean @ to.T, to @ root, unseen <= SEEN

    def with_errors(self, covariance: Array) -> Evidence:
        """The same with one more error of any covariance.

        Parameters
        ----------
        covariance
            Of each row, or of all rows [n or 1, F*, D, F*, D].
        """
        h, information = self.flat()
        more = covariance.reshape(len(covariance), *information.shape[1:])
        # (J^-1 + C)^-1 = (1 + J C)^-1 J, whether or not J sees everything
        both = np.concatenate([information, h[:, :, None]], axis=2)
        found = np.linalg.solve(np.eye(information.shape[1]) + information @ more, both)
        information, score = found[:, :, :-1], found[:, :, -1]
        information = (information + information.swapaxes(1, 2)) / 2
        return Evidence(score.reshape(self.score.shape), information.reshape(self.information.shape))

    def with_shared_error(self, variance: Array) -> Evidence:
        """The same with one more error, equal on all days and independent by fate.

        Parameters
        ----------
        variance
            Of a contrast, for each row [n]; the errors of two contrasts have correlation 1/2.
        """
        contrasts, days = self.score.shape[1:]
        h, information = self.flat()
        root = np.linalg.cholesky(symmetric_covariance(contrasts))
        spread = np.sqrt(variance)[:, None, None] * np.kron(root, np.ones((days, 1)))  # [n, K, F*]
        seen = information @ spread
        inner = np.linalg.inv(np.eye(contrasts) + spread.swapaxes(1, 2) @ seen)
        gain = seen @ inner  # [n, K, F*]
        score = h - (gain @ (spread.swapaxes(1, 2) @ h[:, :, None]))[:, :, 0]
        information = information - gain @ seen.swapaxes(1, 2)
        information = (information + information.swapaxes(1, 2)) / 2
        return Evidence(score.reshape(self.score.shape), information.reshape(self.information.shape))


@dataclass(frozen=True)
class FatesPrior:
    """The mixture prior over fates and days.

    Parameters
    ----------
    classes
        Members of each class by name: factors [F*, D, a] of A, by day.
    times
        Factors [D, r] of the time shapes by name.
    grid
        Scales (standard deviations) [G].
    pi0
        Weight of no effect.
    pi
        Weights [classes, times, G]; with `pi0` they sum to one.
    """

    classes: dict[str, list[Array]]
    times: dict[str, Array]
    grid: Array
    pi0: float
    pi: Array

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of contrasts F* and of days D."""
        member = next(iter(self.classes.values()))[0]
        return member.shape[0], member.shape[1]

    @classmethod
    def over(cls, composition: Array, grid: Array, pi0: float, pi: Array) -> FatesPrior:
        """The prior with these weights at the shares of the fates [F, D]: what `fit_fates` fitted there.

        Parameters
        ----------
        composition
            Share of each fate by day [F, D], the reference first.
        grid, pi0, pi
            As of the class.

        Raises
        ------
        MashError
            If there is another number of weights than of classes, time shapes and scales.
        """
        classes = fate_classes(composition)
        times = {name: factor(shape) for name, shape in time_shapes(composition.shape[1]).items()}
        if pi.shape != (len(classes), len(times), len(grid)):
            raise MashError(
                f"{composition.shape[0]} fates on {composition.shape[1]} days and {len(grid)} scales have "
                f"weights [{len(classes)}, {len(times)}, {len(grid)}]; found the shape {pi.shape}"
            )
        return cls(classes, times, grid, pi0, pi)

    def loading(self, kind: str, member: int, time: str) -> Array:
        """Factor E [K, a r] of A (x) T."""
        return loading_of(self.classes[kind][member], self.times[time])

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """Effects on contrasts of n rows from the prior, [n, F*, D]; 0 for those without an effect.

        Parameters
        ----------
        n
            Rows.
        rng
            Random numbers.
        """
        parts = [(kind, time, g) for kind, time, scales in self.used() for g in scales]
        kinds, times = list(self.classes), list(self.times)
        weights = [self.pi[kinds.index(kind), times.index(time), g] for kind, time, g in parts]
        share = np.array([self.pi0, *weights])
        effects = np.zeros((n, self.shape[0] * self.shape[1]))
        for row, part in enumerate(rng.choice(len(share), n, p=share / share.sum())):
            if part:
                kind, time, g = parts[part - 1]
                loading = self.loading(kind, int(rng.integers(len(self.classes[kind]))), time)
                effects[row] = self.grid[g] * loading @ rng.standard_normal(loading.shape[1])
        return effects.reshape(n, *self.shape)

    def used(self) -> Iterator[tuple[str, str, NDArray[np.intp]]]:
        """Class, time shape and places of the scales that have a weight."""
        for c, kind in enumerate(self.classes):
            for t, time in enumerate(self.times):
                scales = np.flatnonzero(self.pi[c, t] > 0)
                if len(scales):
                    yield kind, time, scales


@dataclass(frozen=True)
class FatesFit(FatesPrior):
    """A prior fitted to evidence; made by `fit_fates`.

    Parameters
    ----------
    loglik
        Log-likelihood of the rows, against that of no effect in any.
    rounds, gain
        Rounds of EM, and what the last one added to the log posterior of the weights.
    pi0_by_null_weight
        What `pi0` would be at each of `NULL_WEIGHTS`: how much the choice of ``null_weight`` matters.
    """

    loglik: float
    rounds: int
    gain: float
    pi0_by_null_weight: dict[float, float]


def fit_fates(evidence: Evidence, composition: ArrayLike, *, null_weight: float = 10.0) -> FatesFit:
    """Fit the mixture prior by empirical Bayes.

    Parameters
    ----------
    evidence
        Of n rows.
    composition
        Share of each fate by day [F, D], the reference first; only class ``flow`` needs it.
    null_weight
        The point mass at no effect counts as this many rows less one, beside the data, >= 1.

    Raises
    ------
    MashError
        If shapes or numbers are not usable.
    """
    shares = check_composition(evidence, composition)
    if not (np.isfinite(null_weight) and null_weight >= 1):
        raise MashError(f"null_weight must be a number >= 1; found {null_weight}")
    classes = fate_classes(shares)
    times = {name: factor(shape) for name, shape in time_shapes(evidence.n_days).items()}
    grid = effect_grid(evidence)
    loglik = np.empty((len(evidence), len(classes), len(times), len(grid)))
    for rows in evidence.blocks(3 * evidence.score[0].size ** 2):
        h, information = evidence.flat(rows)
        for c, members in enumerate(classes.values()):
            for t, time in enumerate(times.values()):
                of_members = [
                    Loaded.of(h, information, loading_of(m, time)).gain(grid) for m in members
                ]  # [G, B] each
                loglik[rows, c, t] = (logsumexp(of_members, axis=0) - np.log(len(members))).T
    by_class = loglik.reshape(len(evidence), len(classes), -1)  # [n, classes, times x G]
    weights = product_weights(by_class, null_weight)
    return FatesFit(
        classes=classes,
        times=times,
        grid=grid,
        pi0=weights.pi0,
        pi=_kept(weights).reshape(len(classes), len(times), len(grid)),
        loglik=weights.loglik,
        rounds=weights.rounds,
        gain=weights.gain,
        pi0_by_null_weight={
            w: weights.pi0 if w == null_weight else product_weights(by_class, w).pi0 for w in NULL_WEIGHTS
        },
    )


def _kept(weights: ProductWeights) -> Array:
    """Weights of the components, those that are negligible given to the others."""
    pi = weights.pi()
    kept = np.where(pi < NEGLIGIBLE, 0.0, pi)
    return kept * ((1 - weights.pi0) / kept.sum()) if kept.any() else kept


@dataclass(frozen=True, kw_only=True)
class Loaded(Diagonal):
    """Rows under one loading E, in diagonal coordinates.

    Parameters
    ----------
    vectors
        P [B, m, m].
    """

    vectors: Array

    @classmethod
    def of(cls, h: Array, information: Array, loading: Array) -> Loaded:
        """Decompose what rows [B, K], [B, K, K] say of a loading [K, m], or one each [B, K, m]."""
        precision, vectors = np.linalg.eigh(loading.swapaxes(-2, -1) @ (information @ loading))
        score = (h[:, None, :] @ loading @ vectors)[:, 0]
        return cls(precision=precision.clip(min=0), score=score, vectors=vectors)


def loading_of(member: Array, time: Array) -> Array:
    """Factor E [K, a r] from factors [F*, D, a] and [D, r]."""
    both = member[:, :, :, None] * time[None, :, None, :]  # [F*, D, a, r]
    return both.reshape(member.shape[0] * member.shape[1], -1)


def contrast_vectors(n_fates: int) -> Array:
    """v_f, the contrasts against the first fate if fate f alone moves by one: [F, F*].

    Examples
    --------
    >>> contrast_vectors(3)
    array([[-1., -1.],
           [ 1.,  0.],
           [ 0.,  1.]])
    """
    return np.vstack([-np.ones(n_fates - 1), np.eye(n_fates - 1)])


def pair_contrasts(n_fates: int) -> Array:
    """Every fate against every one before it, as weights of the contrasts against the first [C, F*].

    Examples
    --------
    >>> pair_contrasts(3)
    array([[ 1.,  0.],
           [ 0.,  1.],
           [-1.,  1.]])
    """
    own = np.vstack([np.zeros(n_fates - 1), np.eye(n_fates - 1)])
    return np.array([own[f] - own[g] for g, f in combinations(range(n_fates), 2)])


def symmetric_covariance(n_contrasts: int) -> Array:
    """Covariance (I + 11') / 2 of contrasts of fates that move independently: [F*, F*]."""
    return (np.eye(n_contrasts) + 1) / 2


def fate_classes(composition: Array) -> dict[str, list[Array]]:
    """Factors of the members of each class, [F*, D, a] each, from the shares of fates [F, D]."""
    n_fates, n_days = composition.shape
    v = contrast_vectors(n_fates)
    if n_fates == 2:  # one contrast: whatever moves, moves it
        return {"single": [every_day(v[1][:, None], n_days)]}
    classes = {"single": [every_day(v[f][:, None], n_days) for f in range(n_fates)]}
    if n_fates <= MOST_FLOW:
        classes["flow"] = [_flow(v, composition, f, g) for f, g in combinations(range(n_fates), 2)]
    classes["all"] = [every_day(np.linalg.cholesky(symmetric_covariance(n_fates - 1)), n_days)]
    return classes


def every_day(root: NDArray[Any], n_days: int) -> Array:
    """The same factor on all days, [F*, a] -> [F*, D, a]."""
    return np.repeat(root[:, None, :], n_days, axis=1)


def _flow(v: Array, composition: Array, f: int, g: int) -> Array:
    """Factor [F*, D, 1] of cells diverted from one fate to another, as large as that of a single fate."""
    share = composition.clip(min=1e-6)
    u = v[f][:, None] / share[f] - v[g][:, None] / share[g]  # [F*, D]
    precision = np.linalg.inv(symmetric_covariance(len(u)))
    size = np.sqrt(np.einsum("fd,fg,gd->d", u, precision, u) / (v[0] @ precision @ v[0]))
    return (u / size)[:, :, None]


def time_shapes(n_days: int) -> dict[str, Array]:
    """Prior covariances [D, D] of effects over days, each with largest variance 1."""
    shapes = cov_canonical(n_days) | cov_time(n_days, OWN_SHARE) | cov_onset(n_days, OWN_SHARE)
    return {name: shape / np.diag(shape).max() for name, shape in shapes.items()}


def effect_grid(evidence: Evidence) -> Array:
    """Scales from a tenth of the smallest standard error to twice the largest effect beyond its error.

    Of all pairs of fates, so that the scales do not depend on which one is the reference.

    Raises
    ------
    MashError
        If the data say nothing.
    """
    smallest, excess = np.inf, -np.inf
    pairs = pair_contrasts(evidence.n_fates)
    for rows in evidence.blocks(3 * len(pairs) * evidence.n_days * evidence.score[0].size):
        mean, root, seen = evidence.estimates(rows, pairs)
        variance = (root**2).sum(axis=2)  # [B, C D]
        usable = seen & (variance > 0)
        if usable.any():
            smallest = min(smallest, float(variance[usable].min()))
            excess = max(excess, float((mean**2 - variance)[usable].max()))
    if not np.isfinite(smallest):
        raise MashError("the evidence says nothing of any effect: no information is above zero")
    low = np.sqrt(smallest) / 10
    high = 2 * np.sqrt(excess) if excess > (4 * low) ** 2 else 8 * low
    steps = int(np.ceil(np.log(high / low) / np.log(GRID_RATIO)))
    return high * GRID_RATIO ** np.arange(-steps, 1.0)


def check_composition(evidence: Evidence, composition: ArrayLike) -> Array:
    """Shares of the fates [F, D].

    Raises
    ------
    MashError
        If the shape is another, or columns are not shares that sum to one.
    """
    shares = numbers(composition, "composition")
    shape = (evidence.n_fates, evidence.n_days)
    if shares.shape != shape or not np.allclose(shares.sum(axis=0), 1, atol=1e-6) or (shares < 0).any():
        raise MashError(
            f"the composition is the share of each of {shape[0]} fates on {shape[1]} days, which sum to one "
            f"on every day; found {shares.tolist() if shares.size < 100 else shares.shape}"
        )
    return shares

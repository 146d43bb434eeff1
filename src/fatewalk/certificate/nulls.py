"""What `summarise_posterior` keeps for the certificate: a screen in which no gene does anything, many times.

Letters as in `fatewalk.certificate.permutation`; N cells, F* contrasts, K controls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import chdtrc  # scipy.stats takes a second to import

from fatewalk.certificate.permutation import (
    TOGETHER,
    Carried,
    Units,
    by_item_and_day,
    permuted_scores,
    scores,
)
from fatewalk.certificate.quiet import own_parts, tell
from fatewalk.estimates.arrays import ArrayFile

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    Numbers = NDArray[np.float64]

TIMES = 200  # permutations
KEPT = 20  # of them whose scores are kept, for calls and pictures
COUNTED = 10  # permutations that reach a statistic, above which the p-value is their share
SEED = 1


@dataclass(frozen=True)
class Nulls(ArrayFile):
    """Content of ``nulls.npz``.

    Attributes
    ----------
    genes, fates, days : array of str
        Names along the axes, the reference first.
    score : array [k, L, D, F]
        T of the first permutations.
    variance : array [L, D, F, F]
        What the errors of the estimates take for the covariance of T.
    bend : array [L, D, F, F]
        How T follows the logits.
    told : array of bool [L, D]
        Gene-days with enough units for a z.
    z_sd : array [F, D]
        SD of the permuted z of all genes told; missing where there are none, or the fate is rare.
    z_sd_freedom : array [F, D]
        Degrees of freedom with which its square is known.
    p_value : array [L, F]
        Of a change of the fate on any day.
    permutations : array []
        B.
    controls : array of str [K]
        NTC guides.
    control_z : array [K, D, F]
        Each as if it were a gene; missing where it is in too few units.
    control_share : array [K, D, F]
        Independent z for which each counts.
    gene_z, gene_share : array [L, D, F]
        The same of genes, around the middle gene of the day.
    units : array []
        How many were permuted.
    weight_ratio : array [D]
        Weight of a label times its dispersion; 1 where the weight fits.
    """

    genes: NDArray[Any]
    fates: NDArray[Any]
    days: NDArray[Any]
    score: Numbers
    variance: Numbers
    bend: Numbers
    told: NDArray[np.bool_]
    z_sd: Numbers
    z_sd_freedom: Numbers
    p_value: Numbers
    permutations: NDArray[Any]
    controls: NDArray[Any]
    control_z: Numbers
    control_share: Numbers
    gene_z: Numbers
    gene_share: Numbers
    units: NDArray[Any]
    weight_ratio: Numbers

    @property
    def z(self) -> Numbers:
        """Of the permutations that were kept, z, [k, L, D, F]; missing where not told."""
        found = self.score / _sd(self.variance)
        return np.where(self.told[:, :, None], found, np.nan)


@dataclass(frozen=True)
class Gains:
    """What each gene adds to its carriers' fitted probabilities; `own` is [E, F], as of `Carried`."""

    carried: Carried
    own: Numbers


@dataclass(frozen=True)
class Permuted:
    """Permutations of the genes' scores, summed up.

    Attributes
    ----------
    kept : array [k, L, D, F]
        Scores of the first ones.
    z_sd : array [F, D]
        SD of z.
    freedom : array [F, D]
        Degrees of freedom of its square.
    reached : array [L, F]
        How many reached the statistic of the screen.
    own : array [L, D, F]
        What each gene's own fitted effect adds to its score.
    """

    kept: Numbers
    z_sd: Numbers
    freedom: Numbers
    reached: Numbers
    own: Numbers


class _Alone:
    """Scores of what is a gene's own of who carries it (`fatewalk.certificate.quiet.own_parts`)."""

    def __init__(self, maps: list[Numbers], share: Numbers) -> None:
        self.maps, self.share = maps, share[:, :, None]  # [L, D, 1]

    def of(self, score: Numbers) -> Numbers:
        """From scores [L, D, F]."""
        if not self.maps:
            return score
        return np.stack([own @ score[:, day] for day, own in enumerate(self.maps)], axis=1)


def permute(
    gains: Gains, units: Units, times: int, seed: int = SEED
) -> tuple[Permuted, Numbers, Numbers, NDArray[np.bool_]]:
    """Permute guides over units; also the genes' p-values [L, F], covariance [L, D, F, F] and who is told."""
    carried = gains.carried
    matrix, spread, told = carried.matrix(units), carried.spread(units), tell(carried, units)
    assumed = by_item_and_day(spread, units, units.covariance)
    own_score, own_scatter = _own(gains, units)
    exact = by_item_and_day(spread, units, units.scatter()).diagonal(axis1=2, axis2=3)  # [L, D, F]
    alone = _Alone(*own_parts(carried, units))
    score = alone.of(scores(matrix, units.centred(), units.n_days)) + alone.share * own_score
    observed = _omnibus(score, alone.share * (exact + own_scatter), told)
    squares, reached = np.zeros((units.n_days, exact.shape[2])), np.zeros(observed.shape)
    kept: list[Numbers] = []
    for some in permuted_scores(matrix, units, times, seed):
        z = np.where(told[:, :, None], some / _sd(assumed), 0.0)
        squares += (z**2).sum(axis=(0, 1))
        reached += sum(_omnibus(alone.of(one), alone.share * exact, told) >= observed for one in some)
        if len(kept) * TOGETHER < KEPT:
            kept.append(some)
    n_told = told.sum(axis=0)[:, None] * times
    z_sd = np.sqrt(np.where(n_told > 0, squares / np.maximum(n_told, 1), np.nan)).T
    found = Permuted(np.concatenate(kept)[:KEPT], z_sd, freedom(spread, told, units), reached, own_score)
    return found, p_values(observed, reached, times, told), assumed, told


def freedom(spread: csr_array, told: NDArray[np.bool_], units: Units) -> Numbers:
    """Degrees of freedom of the squared SD of permuted z, [F, D].

    However often guides are permuted, the labels are the same: of a stratum of n units their variance is
    known with n - 1 degrees of freedom, and fewer where they have heavy tails.
    """
    n, day = units.sizes - 1, units.day_of_stratum
    variance = units.covariance.diagonal(axis1=1, axis2=2)  # [S, F]
    found = np.zeros((variance.shape[1], units.n_days))
    for d in range(units.n_days):
        inside = (day == d) & (n > 0)
        genes = spread[np.flatnonzero(told[:, d])][:, np.flatnonzero(inside)]
        if not genes.shape[0]:
            continue
        of_gene = genes @ variance[inside]  # [L, F]
        part = variance[inside] * (genes.T @ (1 / np.where(of_gene > 0, of_gene, np.inf)))  # [S, F]
        total = (units.sizes[inside, None] * variance[inside]).sum(axis=0) / units.sizes[inside].sum()
        heavy = 1 + np.maximum(units.fourth[d] / np.where(total > 0, total, np.inf) ** 2, 0) / 2
        squares = (part**2 / n[inside, None]).sum(axis=0)
        found[:, d] = part.sum(axis=0) ** 2 / np.where(squares > 0, squares, np.inf) / heavy
    return found


def p_values(observed: Numbers, reached: Numbers, times: int, told: NDArray[np.bool_]) -> Numbers:
    """Share of permutations that reach a statistic; where few do, the tail of chi-squared.

    Parameters
    ----------
    observed, reached : array [L, F]
        Statistic of the screen, and how many permutations reach it.
    times
        Permutations.
    told : array of bool [L, D]
        Days that the statistic is over.

    Returns
    -------
    array [L, F]
        Missing for a gene that is told on no day.
    """
    days = told.sum(axis=1)[:, None]
    share = (1 + reached) / (1 + times)
    tail = np.minimum(chdtrc(np.maximum(days, 1), observed), share)
    found = np.where(reached >= COUNTED, share, tail)
    return np.where(days > 0, found, np.nan)


def _omnibus(score: Numbers, variance: Numbers, told: NDArray[np.bool_]) -> Numbers:
    """Sum of squared z over the days told, [L, F] from [L, D, F]."""
    shown = told[:, :, None] & (variance > 0)
    found: Numbers = np.where(shown, score**2 / np.where(shown, variance, 1.0), 0.0).sum(axis=1)
    return found


def _own(gains: Gains, units: Units) -> tuple[Numbers, Numbers]:
    """What a gene's own fitted effect adds to its score and its variance, [L, D, F] each.

    The residuals lack it, and its p-value is of the labels without it.
    """
    carried, own = gains.carried, gains.own
    sizes = units.sizes
    place = carried.item * len(sizes) + units.stratum[carried.unit]
    present, of = np.unique(place, return_inverse=True)
    stratum = present % len(sizes)
    n = sizes[stratum][:, None]
    x_mean = np.bincount(of, weights=carried.count) / n[:, 0]
    sums, squares, crossed = (np.zeros((len(present), own.shape[1])) for _ in range(3))
    np.add.at(sums, of, own)
    np.add.at(squares, of, own**2)
    np.add.at(crossed, of, own * carried.count[:, None])
    spread = np.bincount(of, weights=carried.count**2) - n[:, 0] * x_mean**2
    score = crossed - x_mean[:, None] * sums
    scatter = spread[:, None] * (squares - sums**2 / n) / np.maximum(n - 1, 1)
    target = present // len(sizes) * units.n_days + units.day_of_stratum[stratum]
    found = []
    for values in (score, scatter):
        out = np.zeros((carried.n_items * units.n_days, own.shape[1]))
        np.add.at(out, target, values)
        found.append(out.reshape(carried.n_items, units.n_days, -1))
    return found[0], found[1]


def _sd(variance: Numbers) -> Numbers:
    """SDs from covariances, [..., F, F] -> [..., F]; 1 where there is none, so that 0 stays 0."""
    diagonal = variance.diagonal(axis1=-2, axis2=-1)
    return np.sqrt(np.where(diagonal > 0, diagonal, 1.0))

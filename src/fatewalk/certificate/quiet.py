"""z scores of what should do nothing: NTC guides, each taken for a gene, and genes, most of which do nothing.

An NTC guide's z is of its *own* part: x, who carries it, less what strata and the genes of the same cells
say of x. A fit can take up noise only where strata and genes reach, so that what it took up does not matter
here. A gene's z is of the labels without the gene's own fitted effect.

z of one screen are not independent: the fates of a guide sum to one, NTC guides are told from each other,
and with a handful of cells of a rare fate z is far from normal. So each z counts for a share of an
independent normal one, such that the sum of squares has the variance of chi-squared with as many degrees
of freedom as all shares together (Satterthwaite 1946).

Letters as in `fatewalk.certificate.permutation`; K controls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import inv, solve
from scipy.sparse import csr_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fatewalk.certificate.permutation import Carried, Units

    Numbers = NDArray[np.float64]
    Places = NDArray[np.int64]

FEWEST_UNITS = 10  # units of an item on a day, with and without it, below which its z is left out
OWN = 0.1  # share of a control's carriers that strata and genes must leave to it
MOST_GENES = 5000  # beyond, what genes say of who carries a control is left in
RIDGE = 1e-6  # of the information on genes, so that those which cannot be told apart do no harm
TOGETHER = 64  # controls handled at once


def tell(carried: Carried, units: Units) -> NDArray[np.bool_]:
    """Item-days with enough units with and without the item, [L, D]."""
    place = carried.item * units.n_days + units.day[carried.unit]
    has = np.bincount(place, minlength=carried.n_items * units.n_days).reshape(-1, units.n_days)
    of_day = np.bincount(units.day, minlength=units.n_days)
    return (has >= FEWEST_UNITS) & (of_day - has >= FEWEST_UNITS)


def z_of_controls(controls: Carried, genes: Carried, units: Units) -> tuple[Numbers, Numbers]:
    """Each control's z by day and fate, and for how many independent ones it counts, [K, D, F] each.

    Missing, and 0, where too few units carry the control, or all of them carry the same gene.
    """
    told = tell(controls, units)
    shape = (*told.shape, units.residual.shape[1])
    z, share = np.full(shape, np.nan), np.zeros(shape)
    independent, of_units = units.independent, units.fourth
    for day in range(units.n_days):
        shown = np.flatnonzero(told[:, day])
        if not len(shown):
            continue
        of_day = _Day(units, day)
        left = _left_over(of_day, _of_day(genes, units, day))
        carried = _of_day(controls, units, day)[:, shown]
        score, variance, fourth, gram, whole = _moments(of_day, carried, left)
        good = gram.diagonal() > OWN * whole
        if not good.any():
            continue
        shown, score, variance, fourth = shown[good], score[good], variance[good], fourth[good]
        z[shown, day] = score / np.sqrt(np.where(variance > 0, variance, np.nan))
        together = _alike(gram[np.ix_(good, good)])
        share[shown, day] = independent[day] * together / _heavy(fourth * of_units[day], variance)
    share = np.where(np.isfinite(z), share, 0.0)
    return z, share


def own_parts(genes: Carried, units: Units) -> tuple[list[Numbers], Numbers]:
    """What is a gene's own of who carries it: x, less what strata and the other genes of the same cells say.

    With G the products of genes within strata, the own part of gene k is (G⁻¹ x)_k / (G⁻¹)_kk, and so is
    its score of the scores of all genes.

    Returns
    -------
    maps : list of array [L, L]
        By day, from scores to those of own parts; empty with more than `MOST_GENES` genes.
    share : array [L, D]
        Of the sum of squares of x that its own part has; 1 without maps.
    """
    share = np.ones((genes.n_items, units.n_days))
    maps: list[Numbers] = []
    for day in range(units.n_days if genes.n_items <= MOST_GENES else 0):
        of_day, carried = _Day(units, day), _of_day(genes, units, day)
        means = of_day.means(carried)
        gram = (carried.T @ carried).toarray() - means.T @ (of_day.sizes[:, None] * means)
        inverse = inv(gram + np.diag(RIDGE * (1 + gram.diagonal())))
        share[:, day] = 1 / (inverse.diagonal() * gram.diagonal()).clip(min=1)
        maps.append(inverse / inverse.diagonal()[:, None])
    return maps, share


def z_of_genes(
    carried: Carried, units: Units, own: Numbers, bend: Numbers, of_guides: Numbers
) -> tuple[Numbers, Numbers]:
    """Each gene's z by day and fate around the day's middle gene, and what each counts for, [L, D, F] each.

    Parameters
    ----------
    carried, units
        Who carries which gene.
    own : array [L, D, F]
        What its own fitted effect adds to a gene's score.
    bend : array [L, D, F]
        How the score of a fate follows its logit.
    of_guides : array [L, D]
        Variance, in logit, of the mean over a gene's cells of what its guides deviate from their mean.
    """
    told = tell(carried, units)
    score, variance, fourth = _gene_moments(carried, units)
    score, variance = score + own, variance + of_guides[:, :, None] * bend**2
    good = told[:, :, None] & (variance > 0) & (bend > 0)
    safe = np.where(good, variance, 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        effect, weight = np.where(good, score / bend, np.nan), np.where(good, bend**2 / safe, 0.0)
    z = np.where(good, (score - bend * _medians(effect, weight)) / np.sqrt(safe), np.nan)
    share = units.independent[:, None] / _heavy(fourth * units.fourth, safe)
    return z, np.where(good & (z != 0), share, 0.0)  # the middle gene says nothing of its own


def _medians(values: Numbers, weight: Numbers) -> Numbers:
    """Weighted medians over the first axis, [D, F]; the errors of genes share the day's intercept."""
    found = np.zeros(values.shape[1:])
    for place in np.ndindex(*found.shape):
        value, w = values[(slice(None), *place)], weight[(slice(None), *place)]
        order = np.argsort(np.where(w > 0, value, np.inf))
        below = w[order].cumsum()
        if below[-1] > 0:
            found[place] = value[order[np.searchsorted(below, 0.5 * below[-1])]]
    return found


class _Day:
    """Units of one day: residuals and variances [n, F], strata from 0, and their sizes."""

    def __init__(self, units: Units, day: int) -> None:
        inside = units.day == day
        _, self.stratum, self.sizes = np.unique(
            units.stratum[inside], return_inverse=True, return_counts=True
        )
        self.residual = units.residual[inside] / units.stretch[day]
        self.variance = units.variance[inside]

    def means(self, values: Numbers | csr_array) -> Numbers:
        """Means by stratum, [S, k] from [n, k]."""
        n = len(self.stratum)
        onto = csr_array((np.ones(n), (self.stratum, np.arange(n))), shape=(len(self.sizes), n))
        sums = onto @ values
        dense: Numbers = sums if isinstance(sums, np.ndarray) else sums.toarray()
        return dense / self.sizes[:, None]

    def centred(self, values: Numbers) -> Numbers:
        """Values less the mean of their stratum."""
        return values - self.means(values)[self.stratum]


def _of_day(carried: Carried, units: Units, day: int) -> csr_array:
    """Counts of the units of a day, sparse [n, L]."""
    inside = units.day == day
    position = np.cumsum(inside) - 1
    own = inside[carried.unit]
    place = (position[carried.unit[own]], carried.item[own])
    return csr_array((carried.count[own], place), shape=(int(inside.sum()), carried.n_items))


def _left_over(day: _Day, genes: csr_array) -> tuple[csr_array, Numbers] | None:
    """Counts of genes, and their information within strata; None where there are too many."""
    if genes.shape[1] > MOST_GENES:
        return None
    genes = genes[:, np.unique(genes.indices)]
    means = day.means(genes)
    gram = (genes.T @ genes).toarray() - means.T @ (day.sizes[:, None] * means)
    return genes, gram + np.diag(RIDGE * (1 + gram.diagonal()))


def _moments(
    day: _Day, carried: csr_array, left: tuple[csr_array, Numbers] | None
) -> tuple[Numbers, Numbers, Numbers, Numbers, Numbers]:
    """Score and variance [K, F], sums of fourth powers [K, 1], products of the own parts [K, K], all of x."""
    n_items, n_fates = carried.shape[1], day.residual.shape[1]
    score, variance = np.empty((n_items, n_fates)), np.empty((n_items, n_fates))
    fourth, whole = np.empty((n_items, 1)), np.empty(n_items)
    means = day.means(carried)
    gram = (carried.T @ carried).toarray() - means.T @ (day.sizes[:, None] * means)
    whole[:] = gram.diagonal()
    if left is not None:
        genes, information = left
        crossed = (genes.T @ carried).toarray() - day.means(genes).T @ (day.sizes[:, None] * means)
        answer = solve(information, crossed, assume_a="pos")  # [L, K]
        gram -= crossed.T @ answer
    for first in range(0, n_items, TOGETHER):
        some = slice(first, first + TOGETHER)
        x = carried[:, some].toarray()
        if left is not None:
            x -= genes @ answer[:, some]
        x = day.centred(x)
        score[some], variance[some] = x.T @ day.residual, (x**2).T @ day.variance
        fourth[some, 0] = (x**4).sum(axis=0)
    return score, variance, fourth, gram, whole


def _gene_moments(carried: Carried, units: Units) -> tuple[Numbers, Numbers, Numbers]:
    """Score and variance [L, D, F] and sums of fourth powers [L, D, 1] of x, centred within strata."""
    shape = (carried.n_items, units.n_days, units.residual.shape[1])
    score, variance, fourth = np.zeros(shape), np.zeros(shape), np.zeros((*shape[:2], 1))
    for d in range(units.n_days):
        day, x = _Day(units, d), _of_day(carried, units, d)
        means = day.means(x)  # [S, L]
        by_stratum = day.sizes[:, None] * day.means(day.variance)  # [S, F]
        score[:, d] = x.T @ day.centred(day.residual)
        of_strata = csr_array(x.multiply(means[day.stratum]))
        variance[:, d] = (x.power(2) - 2 * of_strata).T @ day.variance + (means**2).T @ by_stratum
        fourth[:, d, 0] = x.power(4).sum(axis=0)
    return score, variance, fourth


def _alike(gram: Numbers) -> float:
    """Number of independent items among items of these products, over their number."""
    sd = np.sqrt(gram.diagonal())
    return float(len(gram) / ((gram / sd / sd[:, None]) ** 2).sum())


def _heavy(fourth: Numbers, variance: Numbers) -> Numbers:
    """Variance of a squared z over that of a normal one, from the fourth cumulant of the score."""
    excess = fourth / np.where(variance > 0, variance, 1.0) ** 2
    return np.asarray(1 + np.maximum(excess, 0.0) / 2)

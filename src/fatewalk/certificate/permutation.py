"""Guides permuted over cells: how far the labels alone carry an effect, and p-values of every gene.

With residuals r_u of a unit's labels [F] and x_u how many of a gene's guides it carries, the score of the
gene on a day is

    T = sum over strata of sum_u (x_u - mean x) r_u

The score of a fate is V pi (1 - pi) times the change of the logit of its own probability, so T over its SD
is the z of that fate, whatever the reference. Where guides are permuted over the units of a stratum T has
mean 0 and the covariance V_s C_s, V_s = sum (x - mean x)^2 and C_s that of the residuals; the errors of
the estimates say V_s M_s, M_s the mean covariance of a label in the stratum. So the SD of permuted z tells
whether these errors fit the labels, and the same scores, by R. A. Fisher's argument, give p-values that
lean on no model of the labels.

Letters: U units, S strata, L genes, D days, F fates, B permutations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]
    Places = NDArray[np.int64]

TOGETHER = 8  # permutations in one product


@dataclass(frozen=True)
class Units:
    """Cells, or clusters whose cells carry the same guides, and what they carry.

    Attributes
    ----------
    stratum : array of int [U]
        As of `fatewalk.certificate.strata.strata`.
    day : array of int [U]
        Day; the same within a stratum.
    residual : array [U, F]
        Label minus fitted probability, times the label's weight.
    covariance : array [S, F, F]
        Mean over the units of a stratum of what the errors of the estimates take for their covariance.
    bend : array [S, F, F]
        Mean of how the fitted probabilities of a unit follow its logits, times the weight.
    variance : array [U, F]
        Of each unit, what the errors of the estimates take for the variance of its labels.
    stretch : array [D]
        By what the residuals were multiplied.
    """

    stratum: Places
    day: Places
    residual: Numbers
    covariance: Numbers
    bend: Numbers
    variance: Numbers
    stretch: Numbers

    @property
    def sizes(self) -> Places:
        """Units of each stratum, [S]."""
        return np.bincount(self.stratum, minlength=len(self.covariance))

    @property
    def n_days(self) -> int:
        """Days D."""
        return int(self.day.max()) + 1

    @property
    def day_of_stratum(self) -> Places:
        """Day of each stratum, [S]."""
        found = np.zeros(len(self.covariance), dtype=np.int64)
        found[self.stratum] = self.day
        return found

    @property
    def independent(self) -> Numbers:
        """Independent numbers among the F of a day's labels, over F, [D]: they sum to one."""
        found = np.empty(self.n_days)
        for d in range(self.n_days):
            mine = self.day_of_stratum == d
            total = (self.sizes[mine, None, None] * self.covariance[mine]).sum(axis=0)
            sd = np.sqrt(np.where(total.diagonal() > 0, total.diagonal(), np.inf))
            squares = (total / sd / sd[:, None]) ** 2
            found[d] = squares.trace() / max(squares.sum(), 1.0)
        return found

    @property
    def fourth(self) -> Numbers:
        """Fourth cumulants of the residuals of each day, [D, F]; 0 for normal ones."""
        centred = self.centred()
        n = np.bincount(self.day, minlength=self.n_days)[:, None]
        second, fourth = (np.zeros((self.n_days, centred.shape[1])) for _ in range(2))
        np.add.at(second, self.day, centred**2)
        np.add.at(fourth, self.day, centred**4)
        found: Numbers = fourth / n - 3 * (second / n) ** 2
        return found

    def mean(self, values: Numbers) -> Numbers:
        """Mean over the units of each stratum, [U, k] -> [S, k]."""
        sums = np.zeros((len(self.covariance), values.shape[1]))
        np.add.at(sums, self.stratum, values)
        return sums / self.sizes[:, None]

    def centred(self) -> Numbers:
        """Residuals minus their stratum's mean, [U, F]."""
        return self.residual - self.mean(self.residual)[self.stratum]

    def scatter(self) -> Numbers:
        """Covariance of the residuals within each stratum, [S, F, F]; 0 for a single unit."""
        centred = self.centred()
        squares = (centred[:, :, None] * centred[:, None, :]).reshape(len(centred), -1)
        sums = self.mean(squares) * self.sizes[:, None]
        n_fates = centred.shape[1]
        return (sums / np.maximum(self.sizes - 1, 1)[:, None]).reshape(-1, n_fates, n_fates)


@dataclass(frozen=True)
class Carried:
    """Which units carry which items (genes, or NTC guides), and how many of their guides.

    Attributes
    ----------
    unit, item : array of int [E]
        Each pair once.
    count : array [E]
        Guides of the item in the unit.
    n_items
        Number of items, L.
    """

    unit: Places
    item: Places
    count: Numbers
    n_items: int

    def matrix(self, units: Units) -> csr_array:
        """Counts with a row for each item and day and a column for each unit, [L D, U]."""
        row = self.item * units.n_days + units.day[self.unit]
        shape = (self.n_items * units.n_days, len(units.stratum))
        return csr_array((self.count, (row, self.unit)), shape=shape)

    def spread(self, units: Units) -> csr_array:
        """V: sum of (x - mean x)^2 over the units of each stratum, [L, S]."""
        place = self.item * len(units.covariance) + units.stratum[self.unit]
        present, of = np.unique(place, return_inverse=True)
        total = np.bincount(of, weights=self.count)
        square = np.bincount(of, weights=self.count**2)
        item, stratum = np.divmod(present, len(units.covariance))
        value = square - total**2 / units.sizes[stratum]
        return csr_array((value, (item, stratum)), shape=(self.n_items, len(units.covariance)))


def by_item_and_day(spread: csr_array, units: Units, of_stratum: Numbers) -> Numbers:
    """Sum over the strata of a day of V times a matrix of the stratum, [L, D, F, F]."""
    n_days, n_fates = units.n_days, of_stratum.shape[1]
    found = np.empty((spread.shape[0], n_days, n_fates, n_fates))
    flat, day = of_stratum.reshape(len(of_stratum), -1), units.day_of_stratum
    for d in range(n_days):
        found[:, d] = (spread @ (flat * (day == d)[:, None])).reshape(-1, n_fates, n_fates)
    return found


def scores(matrix: csr_array, residual: Numbers, n_days: int) -> Numbers:
    """T of each item and day, [L, D, F], from residuals centred within strata [U, F]."""
    return (matrix @ residual).reshape(-1, n_days, residual.shape[1])


def permuted_scores(matrix: csr_array, units: Units, times: int, seed: int) -> Iterator[Numbers]:
    """T with guides permuted over the units of each stratum, some permutations at a time [b, L, D, F].

    Parameters
    ----------
    matrix
        Of `Carried.matrix`.
    units
        Units.
    times
        Permutations B.
    seed
        Of the permutations.
    """
    rng = np.random.default_rng(seed)
    residual, base = units.centred(), np.argsort(units.stratum, kind="stable")
    n_fates = residual.shape[1]
    for first in range(0, times, TOGETHER):
        n = min(TOGETHER, times - first)
        permuted = np.empty((len(residual), n, n_fates))
        for b in range(n):
            order = np.lexsort((rng.random(len(residual)), units.stratum))
            permuted[base, b] = residual[order]
        found = (matrix @ permuted.reshape(len(residual), -1)).reshape(-1, units.n_days, n, n_fates)
        yield np.moveaxis(found, 2, 0)

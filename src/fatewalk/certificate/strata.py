"""Strata: groups of units whose guides could be exchanged if guides did nothing.

A unit is a cell, or a cluster whose cells all carry the same guides. Its guides depend on the day, the
replicate and how many guides it has; within these, which ones they are is chance.

Letters: U units, S strata.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALLEST = 20  # units of a stratum; neighbouring numbers of guides are merged until there are as many


def strata(day: NDArray, rep: NDArray, burden: NDArray, smallest: int = SMALLEST) -> NDArray[np.int64]:
    """Stratum of each unit: day, replicate, and neighbouring values of the burden.

    Parameters
    ----------
    day, rep : array of int [U]
        Day and replicate.
    burden : array [U]
        Guides in the unit.
    smallest
        Units that a stratum has, unless its day and replicate have fewer.

    Returns
    -------
    array of int [U]
        From 0, by day, then replicate, then burden.

    Examples
    --------
    >>> strata(np.zeros(5, int), np.zeros(5, int), np.array([1, 1, 2, 2, 3]), smallest=2)
    array([0, 0, 1, 1, 1])
    """
    found = np.empty(len(day), dtype=np.int64)
    first = 0
    order = np.lexsort((burden, rep, day))
    changes = np.flatnonzero((np.diff(day[order]) != 0) | (np.diff(rep[order]) != 0)) + 1
    for group in np.split(order, changes):
        _, place, counts = np.unique(burden[group], return_inverse=True, return_counts=True)
        bins = _merged(counts, smallest)
        found[group] = first + bins[place]
        first += int(bins[-1]) + 1
    return found


def _merged(counts: NDArray, smallest: int) -> NDArray[np.int64]:
    """Bin of each value, in order, so that every bin counts enough; what is left over joins the last."""
    bins, n, current = np.empty(len(counts), dtype=np.int64), 0, 0
    for i, count in enumerate(counts):
        bins[i] = current
        n += count
        if n >= smallest:
            n, current = 0, current + 1
    if n and current:  # the rest is too small for a bin of its own
        bins[bins == current] = current - 1
    return bins

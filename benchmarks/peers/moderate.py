"""Variances of few degrees of freedom, shrunk to a common one by empirical Bayes (as in limma).

Letters: n rows, K columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, zeta

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

SMALLEST = 0.01  # a variance of less than this share of its column's median counts as this share


def moderate(variance: Numbers, df: Numbers) -> tuple[Numbers, Numbers]:
    """Shrink the variances of each column to a common one.

    Parameters
    ----------
    variance : array [n, K]
        With NaN where there is none.
    df : array [n, 1]
        Degrees of freedom; 0 or NaN where there is none.

    Returns
    -------
    variance, df : array [n, K]
        Shrunk, and with the degrees of freedom of the common one added.

    Examples
    --------
    Variances that differ by no more than chance become one:

    >>> rng = np.random.default_rng(1)
    >>> shrunk, _ = moderate(rng.chisquare(4, (2000, 1)) / 4, np.full((2000, 1), 4.0))
    >>> bool(np.ptp(shrunk) < 0.3), round(float(shrunk.mean()), 1)
    (True, 1.0)
    """
    own = np.nan_to_num(df)
    half, common = (np.full(variance.shape[1], np.nan) for _ in range(2))
    for column in range(variance.shape[1]):
        known = (own[:, 0] > 0) & (variance[:, column] > 0)
        if known.sum() > 1:
            half[column], common[column] = _prior(variance[known, column], own[known, 0] / 2)
    share = 1 / (1 + own / (2 * half))  # of the common variance
    shrunk = share * common + (1 - share) * np.nan_to_num(variance)
    return shrunk, np.minimum(2 * half + own, own.sum())


def _prior(variance: Numbers, half: Numbers) -> tuple[float, float]:
    """Half of the degrees of freedom of the common variance, and its value, by moments of logarithms."""
    logs = np.log(np.maximum(variance, SMALLEST * np.median(variance))) - digamma(half) + np.log(half)
    excess = logs.var(ddof=1) - zeta(2, half).mean()  # zeta(2, x) is the trigamma function
    if excess < 1e-6:
        return np.inf, float(np.exp(logs.mean()))
    found = brentq(lambda x: zeta(2, x) - excess, 1e-3, 1e7)
    return found, float(np.exp(logs.mean() + digamma(found) - np.log(found)))

"""What labels can resolve: how sure they are of a cell's fate, and how far they move, by day.

Labels of early cells are often all alike, near the mean of their day. An effect then shows small, whatever
the biology. Letters: N cells, F fates, D days.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fatewalk.screen.design import Design

    Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Resolution:
    """Resolution of labels by day: 0 where all cells have the same label, 1 where each names one fate.

    Attributes
    ----------
    of_day : array [D]
        1 - mean entropy of the labels / entropy of the mean label; missing if all cells take one fate.
    of_fate : array [F, D]
        The same of each fate against all others.
    """

    of_day: Numbers
    of_fate: Numbers

    @classmethod
    def of(cls, design: Design) -> Resolution:
        """Resolution of the labels of a design."""
        return label_resolution(design.prob.numpy(), design.day.numpy(), len(design.days))

    def report(self, fates: Sequence[str], days: Sequence[str]) -> dict[str, dict[str, float | None]]:
        """By day: ``all`` fates and each fate, for design_report.json and fit_card.json."""
        table = np.vstack([self.of_day, self.of_fate])  # [1 + F, D]
        return {
            day: {
                name: float(value) if np.isfinite(value) else None
                for name, value in zip(["all", *fates], table[:, d], strict=True)
            }
            for d, day in enumerate(days)
        }


def label_resolution(prob: Any, day: Any, n_days: int) -> Resolution:
    """Resolution of the labels of each day.

    Parameters
    ----------
    prob
        Fate probabilities [N, F].
    day
        Day of each cell, 0 to D - 1 [N].
    n_days
        D.

    Examples
    --------
    >>> label_resolution([[1, 0], [0, 1], [0.5, 0.5], [0.5, 0.5]], [0, 0, 1, 1], 2).of_day.tolist()
    [1.0, 0.0]
    """
    p, day = np.asarray(prob, dtype=float), np.asarray(day)
    mean = mean_of_days(p, day, n_days)  # [D, F]
    left = mean_of_days(entr(p) + entr(1 - p), day, n_days)  # entropy of each fate against the others
    whole = entr(mean) + entr(1 - mean)
    left_of_day = mean_of_days(entr(p).sum(axis=1, keepdims=True), day, n_days)[:, 0]
    with np.errstate(invalid="ignore", divide="ignore"):
        return Resolution(1 - left_of_day / entr(mean).sum(axis=1), (1 - left / whole).T)


def label_spread(prob: Any, day: Any, n_days: int) -> Numbers:
    """SD of the labels of each fate and day over that of labels that name one fate, [F, D].

    Labels drawn towards the mean of their day by a factor have a spread smaller by that factor, and so do the
    effects that they show. It does not hang on how frequent a fate is: of labels that name one fate it is 1.

    Parameters
    ----------
    prob, day, n_days
        As of `label_resolution`.

    Examples
    --------
    >>> label_spread([[1, 0], [0, 1], [0.6, 0.4], [0.4, 0.6]], [0, 0, 1, 1], 2).round(2).tolist()
    [[1.0, 0.2], [1.0, 0.2]]
    """
    p, day = np.asarray(prob, dtype=float), np.asarray(day)
    mean = mean_of_days(p, day, n_days)  # [D, F]
    variance = mean_of_days((p - mean[day]) ** 2, day, n_days)
    most = mean * (1 - mean)
    return np.sqrt(np.divide(variance, most, out=np.zeros_like(most), where=most > 0)).T


def mean_of_days(values: Numbers, day: NDArray[np.int64], n_days: int) -> Numbers:
    """Mean over the cells of each day, [D, ...] from [N, ...]."""
    total = np.zeros((n_days, *values.shape[1:]))
    np.add.at(total, day, values)
    return total / np.bincount(day, minlength=n_days)[:, None]


def entr(p: Numbers) -> Numbers:
    """-p log p, 0 at 0 (as of scipy, whose import takes longer than all else of the design)."""
    return -p * np.log(np.where(p > 0, p, 1.0))

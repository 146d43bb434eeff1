"""How well gene-days were called, where the truth is known.

Letters: n gene-days.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchmarks.peers.found import Found

    Numbers = NDArray[np.float64]
    Flags = NDArray[np.bool_]

ZERO = 1e-9  # smaller truths are none, logit
EPS = 0.2  # smallest effect of interest, logit
FALSE_SIGNS = 0.05


@dataclass(frozen=True)
class Outcome:
    """Gene-days of some screens, with what was said of them.

    Attributes
    ----------
    evidence : array [n]
        The surest first.
    called, wrong, large : array of bool [n]
        Called at the method's own threshold; sign not that of the truth, or no effect at all; true effect of
        at least `EPS`.
    """

    evidence: Numbers
    called: Flags
    wrong: Flags
    large: Flags

    @classmethod
    def of(cls, pairs: Sequence[tuple[Found, Numbers]]) -> Outcome:
        """Outcome of a method on screens, each with its truth [L, K, D]; gene-days missing are last."""
        parts = []
        for found, truth in pairs:
            wrong = (np.sign(found.sign) != np.sign(truth)) | (np.abs(truth) < ZERO)
            last = np.where(np.isfinite(found.evidence), found.evidence, np.inf)
            parts.append([x.ravel() for x in (last, found.called, wrong, np.abs(truth) >= EPS)])
        return cls(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def at_false_signs(self, most: float = FALSE_SIGNS) -> float:
        """Recall of the largest set of the surest gene-days of which at most so many have a wrong sign.

        Gene-days of the same evidence are taken together.

        Examples
        --------
        >>> evidence = np.array([0.0, 0.1, 0.2, 0.2, 0.9])
        >>> wrong, large = np.array([0, 0, 0, 1, 0], bool), np.array([1, 1, 0, 0, 1], bool)
        >>> Outcome(evidence, evidence < 0.15, wrong, large).at_false_signs(0.3).__round__(2)
        1.0
        """
        order = np.argsort(self.evidence, kind="stable")
        evidence, wrong = self.evidence[order], self.wrong[order]
        rate = np.cumsum(wrong) / np.arange(1, len(wrong) + 1)
        ends = np.append(evidence[1:] > evidence[:-1], True) & np.isfinite(evidence)
        allowed = np.flatnonzero(ends & (rate <= most))
        taken = order[: allowed[-1] + 1] if len(allowed) else order[:0]
        return self._recall(taken)

    def summary(self) -> dict[str, float]:
        """Recall at equal false signs; calls, recall, precision and false-sign rate at the own threshold."""
        n = int(self.called.sum())
        right = self.called & self.large & ~self.wrong
        return {
            "recall_at_equal_fsr": self.at_false_signs(),
            "calls": n,
            "recall": self._recall(np.flatnonzero(self.called)),
            "precision": right.sum() / n if n else np.nan,
            "fsr": (self.called & self.wrong).sum() / n if n else np.nan,
        }

    def _recall(self, taken: np.ndarray) -> float:
        """Large effects with the right sign among those taken, of all large effects."""
        found = (self.large & ~self.wrong)[taken].sum()
        return float(found / self.large.sum()) if self.large.any() else np.nan

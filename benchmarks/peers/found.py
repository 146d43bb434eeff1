"""What a method says of every gene-day.

Letters: L genes, K contrasts or fates, D days.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.stats import false_discovery_control

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]
    Flags = NDArray[np.bool_]

Scale = Literal["contrast", "fate"]
LEVEL = 0.05


@dataclass(frozen=True)
class Test:
    """A test of every gene-day.

    Attributes
    ----------
    scale
        What the effects are on.
    estimate, p : array [L, K, D]
        Effect (its sign is what counts) and two-sided p-value; missing together.
    """

    __test__ = False  # pytest need not look here

    scale: Scale
    estimate: Numbers
    p: Numbers

    def found(self, level: float = LEVEL) -> Found:
        """Calls by Benjamini and Hochberg over all gene-days, contrasts or fates of the screen."""
        seen = np.isfinite(self.p)
        called = np.zeros(self.p.shape, dtype=bool)
        called[seen] = false_discovery_control(self.p[seen]) <= level
        return Found(self.scale, np.sign(self.estimate), self.p, called)


@dataclass(frozen=True)
class Found:
    """Calls, and the evidence that they rest on.

    Attributes
    ----------
    scale
        What the effects are on.
    sign, evidence : array [L, K, D]
        Sign of the effect; what the method ranks by, the surest first from 0 on; missing together.
    called : array of bool [L, K, D]
        At the method's own threshold.
    """

    scale: Scale
    sign: Numbers
    evidence: Numbers
    called: Flags

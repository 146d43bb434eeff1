"""What became of a numerical step, in values and in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Status = Literal["converged", "budget", "diverged"]

WELL_TOLD = 1.0  # SD of the common shift, in logit: below it the default of s_tau would do


class NumericalError(ArithmeticError):
    """A numerical step that cannot be taken, in words: which, and why."""


@dataclass(frozen=True)
class Outcome:
    """What became of an iteration.

    Attributes
    ----------
    status
        ``converged``; ``budget``: it ended before its rule held; ``diverged``: a step could not be taken
        or its values are not finite.
    words
        What went wrong, a sentence each; mostly none.
    """

    status: Status
    words: tuple[str, ...] = ()


#: Entries of ``criterion`` in the fit card, in words.
CRITERIA = {
    "newton_step": "Newton step in SDs",
    "scale_step": "change of log scales",
    "weight_step": "change of log weights",
    "solve_residual": "residual of linear solves over its limit",
    "drift_mean": "drift of means in SDs",
    "drift_sd": "drift of log SDs",
    "common_shift_sd": "SD that the labels leave to the common shift",
}


def criterion_words(criterion: Mapping[str, Mapping[str, float | None]]) -> str:
    """Every quantity that the stopping rules watch, with value and limit, in words."""
    return "; ".join(
        f"{CRITERIA[name]} {number(item['value'])} (limit {number(item['limit'])})"
        for name, item in criterion.items()
    )


def is_met(item: Mapping[str, float | None]) -> bool:
    """Tell whether an entry of ``criterion`` is within its limit; a missing value is not."""
    value, limit = item["value"], item["limit"]
    return value is not None and limit is not None and value <= limit


def number(value: float | None) -> str:
    """A number with three digits, or ``not known``."""
    return "not known" if value is None or not math.isfinite(value) else f"{value:.3g}"

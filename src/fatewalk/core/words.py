"""Words and numbers of the reports."""

from __future__ import annotations

from typing import Any

import numpy as np

from fatewalk.core.errors import first_few

N_NAMED = 10  # offenders named in one sentence


def join(names: list[str]) -> str:
    """Join names: a, b and c; after ten the number of the rest."""
    if len(names) > N_NAMED:
        return first_few(names, N_NAMED)
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def count(n: int, one: str, several: str | None = None) -> str:
    """Say a number of things: ``1 cell``, ``3 cells``."""
    return f"{n} {one if n == 1 else several or one + 's'}"


def on_days(days: list[str]) -> str:
    """Name days: a label that is a number gets the word."""
    names = join(days)
    return names if days[0].lower().startswith("day") else f"day {names}"


def finite(value: Any) -> Any:
    """Turn an infinite or missing number into None."""
    return None if isinstance(value, float) and not np.isfinite(value) else value

"""The one exception that unusable input raises."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class MashError(ValueError):
    """Input that mash cannot work with; the message says what was found and how to mend it."""


def first_few(values: Iterable[object], n: int = 3) -> str:
    """Name the first offenders of a check: ``"a, b, c (and 4 more)"``."""
    items = [str(value) for value in values]
    more = f" (and {len(items) - n} more)" if len(items) > n else ""
    return ", ".join(items[:n]) + more

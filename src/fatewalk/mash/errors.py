"""The one exception that unusable input raises, and what arguments of all functions must be."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray


class MashError(ValueError):
    """Input that mash cannot work with; the message says what was found and how to mend it."""


def first_few(values: Iterable[object], n: int = 3) -> str:
    """Name the first offenders of a check: ``"a, b, c (and 4 more)"``."""
    items = [str(value) for value in values]
    more = f" (and {len(items) - n} more)" if len(items) > n else ""
    return ", ".join(items[:n]) + more


def numbers(values: ArrayLike, what: str) -> NDArray[np.float64]:
    """A copy of an argument as an array of numbers.

    Raises
    ------
    MashError
        If it holds text or complex numbers, or rows of different lengths.
    """
    try:
        found = np.array(values)
        if found.dtype.kind not in "biufO":
            raise ValueError
        return found.astype(float)
    except (ValueError, TypeError):
        raise MashError(f"{what} must be an array of real numbers; found something else") from None


def whole(value: Any, what: str, least: int) -> int:
    """A whole number of at least `least`.

    Raises
    ------
    MashError
        If the argument is none.
    """
    try:
        found = index(value)
    except TypeError:
        found = least - 1
    if found < least:
        raise MashError(f"{what} must be a whole number of at least {least}; found {value!r}")
    return found

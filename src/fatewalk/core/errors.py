"""The one exception that a user's mistake raises."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class FatewalkError(ValueError):
    """A mistake in the user's data or configuration.

    The message says what was found, where it was found and how to mend it. The scripts print it
    without a traceback; every other exception is a defect of fatewalk.
    """


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out: Python's, CUDA's, or torch's on the CPU."""
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or (isinstance(error, RuntimeError) and "allocate memory" in str(error))


def first_few(values: Iterable[object], n: int = 3) -> str:
    """Name the first offenders of a check.

    Parameters
    ----------
    values
        All offenders.
    n
        How many to name.

    Returns
    -------
    str
        ``"a, b, c (and 4 more)"``.
    """
    items = [str(value) for value in values]
    more = f" (and {len(items) - n} more)" if len(items) > n else ""
    return ", ".join(items[:n]) + more


def quoted(values: Iterable[object], n: int = 3) -> str:
    """Name the first offenders as `first_few` does, text in quotes so that blanks are seen."""
    return first_few((repr(str(value)) if isinstance(value, str) else value for value in values), n)


def nearest(name: str, allowed: Iterable[object]) -> str:
    """Ask ``" (did you mean 'NEU'?)"``, whatever case and blanks; empty if no name is near."""
    plain = {str(item).strip().lower(): str(item) for item in allowed}
    close = difflib.get_close_matches(str(name).strip().lower(), list(plain), n=1)
    return f" (did you mean {plain[close[0]]!r}?)" if close else ""


def one_of(name: str, value: object, allowed: Sequence[str]) -> None:
    """Refuse an argument that is none of a few words.

    Raises
    ------
    FatewalkError
        With the argument's name, what was found, and the words.
    """
    if not isinstance(value, str) or value not in allowed:
        found = repr(str(value)) if isinstance(value, str) else str(value)  # an array is shown as a list
        raise FatewalkError(f"{name}: found {found}; allowed: {', '.join(allowed)}")

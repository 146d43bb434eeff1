"""Day labels in the wild: ``d0``, ``day 3``, ``18.0``, ``72hpf``, ``E8.5``, ``7`` become ordered days."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fatewalk.core.errors import FatewalkError, first_few, quoted
from fatewalk.core.names import is_missing, is_spoilt
from fatewalk.screen.text import as_codes

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

PLAIN_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")
# A sign or a dot right before the number may belong to it or not (day-3, day.5): not read.
NUMBER_WITH_WORDS = re.compile(r"(?P<before>|[^\d]*[^\d.+-])(?P<number>\d+(\.\d+)?)(?P<after>[^\d]*)")
CALENDAR_DATE = re.compile(r"(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(\.0)?")  # 20240301
ONE_SPELLING = {
    **dict.fromkeys(["d", "day", "days"], "day"),
    **dict.fromkeys(["h", "hr", "hrs", "hour", "hours"], "hour"),
    **dict.fromkeys(["w", "wk", "week", "weeks"], "week"),
}
#: Words before the numbers of other things than days.
NO_UNITS = frozenset(
    ("rep", "replicate", "batch", "lane", "sample", "plate", "donor", "patient", "mouse", "animal", "embryo",
     "well", "clone", "cluster", "library", "pool", "run")
)  # fmt: skip
LATEST = 1e12  # no time in any unit: a number that was read wrongly
SAME_TIME = 1e-3  # two times that differ by less than this share are one, written with other digits
MAX_DAYS = 100  # more distinct labels than this are a continuous covariate, not days of sampling


@dataclass(frozen=True)
class Days:
    """The D days of a screen, in time order.

    Attributes
    ----------
    labels
        As text; ``18.0`` becomes ``18``.
    times
        The number in the label, ascending.
    unit
        The word in the labels (day, hour, hpf, e, ...); empty for plain numbers.
    index : numpy.ndarray, int64 [N]
        Day of each cell.
    unused
        Labels that a categorical column declares but no cell has.
    """

    labels: tuple[str, ...]
    times: tuple[float, ...]
    unit: str
    index: np.ndarray
    unused: tuple[str, ...]

    def report(self) -> list[dict[str, Any]]:
        """Label, index, time and cells of each day."""
        cells = np.bincount(self.index, minlength=len(self.labels))
        return [
            {"label": label, "index": index, "time": time, "cells": int(n)}
            for index, (label, time, n) in enumerate(zip(self.labels, self.times, cells, strict=True))
        ]


def read_days(column: pd.Series, where: str) -> Days:
    """Read a column of day labels; their order is the order of the numbers in them.

    Parameters
    ----------
    column
        One label per cell: numbers, text or a categorical (its own order is not used).
    where
        File, for the errors.

    Returns
    -------
    Days
        Days that have cells, in time order.

    Raises
    ------
    FatewalkError
        If a label is missing or has no single number, if two labels have the same number, or if
        the labels mix units.
    """
    place = f"{where}: column {column.name!r}"
    codes, names = as_codes(column, where)
    used = np.bincount(codes, minlength=len(names)) > 0
    found = [str(name) for name in names[used]]
    texts = [name.strip() for name in found]
    if len(texts) > MAX_DAYS:
        raise FatewalkError(
            f"{place}: found {len(texts)} different days; this looks like a continuous covariate "
            "(pseudotime?). Set day_key to the column of the day of sampling"
        )
    parsed = [_read_label(text) for text in texts]
    if missing := [text for text in texts if is_missing(text)]:
        raise FatewalkError(
            f"{place}: {quoted(missing)} is a word for a missing value, not a day; give these "
            "cells their day, or leave them out"
        )
    if dates := [text for text in texts if is_spoilt(text) or CALENDAR_DATE.fullmatch(text)]:
        raise FatewalkError(
            f"{place}: {quoted(dates)} is a date; write the days since the start of the "
            "experiment (d0, d3), so that the time between them is known"
        )
    if unread := [text for text, label in zip(texts, parsed, strict=True) if label is None]:
        first = np.flatnonzero(codes == np.flatnonzero(used)[texts.index(unread[0])])[0] + 1
        raise FatewalkError(
            f"{place}: cannot read a time from {quoted(unread)} (first in row {first}); a day "
            "label holds exactly one number (d0, day 3, 72hpf, E8.5, 18.0), with a point, not a comma. "
            "Rename these labels, or set day_key to a column that holds times"
        )
    times = np.array([label[0] for label in parsed if label])  # [D]
    units = [label[1] for label in parsed if label]
    _refuse_other_units(texts, units, place)
    _refuse_mixed_units(texts, units, place)
    _refuse_equal_times(found, times, place)
    order = np.argsort(times)
    rank = np.empty(len(names), dtype=np.int64)  # of every name; those without cells are never looked up
    rank[np.flatnonzero(used)[order]] = np.arange(len(order))
    return Days(
        labels=tuple(_tidy(texts[i], float(times[i])) for i in order),
        times=tuple(times[order].tolist()),
        unit=units[0] if units else "",
        index=rank[codes],
        unused=tuple(names[~used]),
    )


def _read_label(text: str) -> tuple[float, str] | None:
    """Read time and unit of a label; None if it does not hold exactly one number."""
    plain, found = PLAIN_NUMBER.fullmatch(text), NUMBER_WITH_WORDS.fullmatch(text)
    if plain:
        time, words = float(text), ""
    elif found:
        time, words = float(found["number"]), f"{found['before']} {found['after']}".lower()
    else:
        return None
    units = (ONE_SPELLING.get(word, word) for word in re.findall(r"[^\W\d_]+", words))
    return (time, " ".join(units)) if abs(time) < LATEST else None


def counts_days(label: str) -> bool:
    """Whether the number of a label is in days, or in nothing that the label names."""
    read = _read_label(label)
    return read is not None and read[1] in ("", "day")


def _tidy(text: str, time: float) -> str:
    """Write a plain number in one way, so that 18, 18.0 and "18.0" are one label."""
    return f"{time:.15g}" if PLAIN_NUMBER.fullmatch(text) else text


def _refuse_other_units(texts: list[str], units: list[str], place: str) -> None:
    other = [
        text for text, unit in zip(texts, units, strict=True) if unit and NO_UNITS.issuperset(unit.split())
    ]
    if other:
        raise FatewalkError(
            f"{place}: {_quoted(other)} does not name a day; set day_key to the column of the day of "
            "sampling, and rep_key to that of the replicate"
        )


def _refuse_mixed_units(texts: list[str], units: list[str], place: str) -> None:
    examples: dict[str, list[str]] = {}
    for text, unit in zip(texts, units, strict=True):
        examples.setdefault(unit, []).append(text)
    if len(examples) > 1:
        found = "; ".join(f"{unit or 'no unit'}: {_quoted(some)}" for unit, some in examples.items())
        raise FatewalkError(
            f"{place}: the labels mix units ({found}), so their numbers cannot be ordered. Write all "
            "in one unit, or set day_key to a column that holds times"
        )


def _refuse_equal_times(texts: list[str], times: np.ndarray, place: str) -> None:
    if not len(times):
        return
    order = np.argsort(times)
    late = times[order]
    scale = np.minimum(np.abs(late), max(np.ptp(late), 1.0))  # days may count from a date long ago
    new = np.diff(late, prepend=-np.inf) > SAME_TIME * scale
    groups: dict[int, list[str]] = {}
    for group, i in zip(np.cumsum(new).tolist(), order.tolist(), strict=True):
        groups.setdefault(group, []).append(texts[i])
    if same := [_quoted(group) for group in groups.values() if len(group) > 1]:
        raise FatewalkError(
            f"{place}: different labels have the same number, or nearly: {first_few(same)}; give each day "
            "one spelling"
        )


def _quoted(texts: Iterable[str]) -> str:
    return quoted(texts)

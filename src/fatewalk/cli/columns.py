"""Which column of the cells is the day, the replicate, the cluster: by usual names and by what they hold."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fatewalk.core.errors import FatewalkError, first_few, nearest, quoted
from fatewalk.screen.days import read_days

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from fatewalk.screen.days import Days

# usual names in small letters without signs, the likeliest first
DAYS = ("day", "days", "timepoint", "timepoints", "time", "hpf", "dpf", "dpi", "hour", "hours", "age",
        "stage", "collectionday", "samplingday", "harvestday", "daynumber", "timeday")  # fmt: skip
REPLICATES = ("rep", "reps", "replicate", "replicates", "biorep", "bioreplicate", "batch", "donor", "library",
              "lane", "pool", "plate", "experiment", "channel", "gemgroup", "gemwell", "sample", "sampleid",
              "origident")  # fmt: skip
CLUSTERS = ("embryo", "embryoid", "clone", "cloneid", "clones", "well", "wellid", "colony", "gastruloid",
            "gastruloidid", "organoid", "organoidid")  # fmt: skip
MOST_REPLICATES = 50


@dataclass(frozen=True)
class Column:
    """A column that was found.

    Attributes
    ----------
    name
        None: there is none.
    words
        What it holds.
    unsure
        What a person should look at.
    days
        Only of the day.
    """

    name: str | None
    words: str = ""
    unsure: list[str] = field(default_factory=list)
    days: Days | None = None


def plain(name: str) -> str:
    """A name in small letters without blanks and signs, and without a modality before it."""
    return re.sub(r"[\W_]", "", name.rpartition(":")[2].lower())


def find_day(columns: Mapping[str, pd.Series], wanted: str | None, where: str) -> Column:
    """The column of the day.

    Raises
    ------
    FatewalkError
        If there is none, or the one that was asked for is none.
    """
    if wanted is not None:
        return _day(wanted, read_days(_column(columns, wanted, "--day-key", where), where))
    found = []
    for name in _by_names(columns, DAYS):
        try:
            found.append(_day(name, read_days(columns[name].reset_index(drop=True), where)))
        except FatewalkError:
            continue
    if not found:
        raise FatewalkError(
            f"{where}: no column of the day was found; the columns are {quoted(columns, 20) or 'none'}. Name "
            "it with --day-key"
        )
    first = found[0]
    assert first.days is not None
    others = [one.name for one in found[1:] if one.days and (one.days.index != first.days.index).any()]
    if others:
        first.unsure.append(
            f"Days are read from column {first.name!r}; {quoted(others)} could be the day too, and differs "
            "from it (--day-key)."
        )
    return first


def find_replicate(columns: Mapping[str, pd.Series], wanted: str | None, day: Column) -> Column:
    """The column of the replicate; none where each has one day only, and each day one of them."""
    assert day.days is not None
    if wanted is not None:
        return Column(wanted, first_few(_levels(_column(columns, wanted, "--rep-key", "the cells")), 6))
    unsure, found = [], []
    for name in _by_names(columns, REPLICATES):
        column = columns[name].reset_index(drop=True).astype(str)
        levels = _levels(column)
        if name == day.name or columns[name].isna().any() or not 2 <= len(levels) <= MOST_REPLICATES:
            continue
        if column.groupby(day.days.index).nunique().max() < 2:
            unsure.append(
                f"Column {name!r} has one value on each day: it is the day again, and not a replicate."
            )
            continue
        found.append(Column(name, first_few(levels, 6)))
    if not found:
        return Column(
            None,
            "all cells count as one replicate",
            [*unsure, "No column of replicates was found: how much replicates differ is then not in the "
             "standard errors. If there is one, name it (--rep-key)."],
        )  # fmt: skip
    first = found[0]
    if plain(first.name or "") not in REPLICATES[:6]:
        first.unsure.append(f"Replicates are read from column {first.name!r}: is that what they are?")
    if others := [str(one.name) for one in found[1:]]:
        first.unsure.append(
            f"Replicates are read from column {first.name!r}; {quoted(others)} could be it too (--rep-key)."
        )
    return first


def find_cluster(columns: Mapping[str, pd.Series], wanted: str | None, day: Column, rep: Column) -> Column:
    """The column of the embryo, clone or well; mostly there is none."""
    if wanted is not None:
        return Column(
            wanted, f"{len(_levels(_column(columns, wanted, '--cluster-key', 'the cells')))} of them"
        )
    for name in _by_names(columns, CLUSTERS):
        levels = _levels(columns[name])
        if name in (day.name, rep.name) or len(levels) < 3:
            continue
        if columns[name].isna().any():
            return Column(
                None,
                unsure=[f"Column {name!r} may be clusters (embryos, clones, wells), but some cells have "
                        "none: it is not used. Give every cell one and add --cluster-key to use it."],
            )  # fmt: skip
        return Column(
            name,
            f"{len(levels)} of them, such as {levels[0]}",
            [f"Cells of one {name!r} count as related (cluster_key): is it an embryo, clone or well?"],
        )
    return Column(None)


def _day(name: str, days: Days) -> Column:
    return Column(name, first_few(days.labels, 8), days=days)


def _by_names(columns: Mapping[str, pd.Series], names: tuple[str, ...]) -> list[str]:
    """The columns with one of these names, in the order of the names."""
    place = {name: index for index, name in enumerate(names)}
    return sorted((name for name in columns if plain(name) in place), key=lambda name: place[plain(name)])


def _levels(column: pd.Series) -> list[str]:
    return sorted(map(str, column.dropna().unique()))


def _column(columns: Mapping[str, pd.Series], name: str, option: str, where: str) -> pd.Series:
    if name not in columns:
        raise FatewalkError(
            f"{where}: {option} names {name!r}{nearest(name, columns)}, and the columns are "
            f"{quoted(columns, 20)}"
        )
    return columns[name].reset_index(drop=True)

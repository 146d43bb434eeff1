"""Plain tables (CSV, TSV, gzip, Parquet) as a screen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field

from fatewalk.config.datasets import GUIDE_MAP_TEXT, NTC_NAMES_TEXT, Covariates, Dataset, NtcNames
from fatewalk.core.delimited import UNNAMED
from fatewalk.core.errors import FatewalkError, first_few, nearest, quoted
from fatewalk.core.foreign import PARQUET, suffix_of
from fatewalk.core.schema import BURDEN, CLUSTER, GUIDE_CALLS, PROB_PREFIX
from fatewalk.core.tables import read_table, require_columns, with_names_of_rows
from fatewalk.screen.days import read_days
from fatewalk.screen.fates import one_hot
from fatewalk.screen.raw import RawScreen
from fatewalk.screen.readers.tenx import (
    TENX_CALLS,
    is_protospacer_table,
    refuse_summary,
    split_protospacer_calls,
)
from fatewalk.screen.terminal import TERMINAL_STATES, check_terminal
from fatewalk.screen.unused_columns import note_unused

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Names of columns of counts, letters only: the first that is there is used.
COUNT_NAMES = [
    *(
        f"{before}umi{after}"
        for after in ("", "s", "count", "counts")
        for before in ("", "n", "num", "guide")
    ),
    *("count", "counts", "ncount", "ncounts", "guidecount", "guidecounts", "ncountguide", "numcounts"),
    *("umicountperguide", "nreads", "numreads", "reads", "readcount", "readcounts"),
]
MEND_FATES = (
    "Correct the names of the columns p_<fate> (theirs would be {order}), or column {name!r} if that is wrong"
)
ONE_OF_GUIDES = re.compile(r"(guide|s?grna)[ _.-]?(id|name)?[ _.-]?([a-d]|\d+)", re.IGNORECASE)
TIME = "time"  # column of times beside labels of days
FATE = "fate"  # column of a label, instead of probabilities


class PlainDataset(Dataset):
    """``{cells: cells.parquet, guide_calls: calls.parquet, guide_map: guides.csv}``."""

    key: ClassVar = "cells"
    kind: ClassVar = "plain tables"
    about: ClassVar = "plain tables"
    example: ClassVar = "plain"
    files: ClassVar = ("cells", "guide_calls", "guide_map")

    cells: str = Field(
        examples=["cells.parquet"], description="table cell_id, day, rep, p_<fate>... or fate (a label)"
    )
    guide_calls: str = Field(
        examples=["calls.parquet"],
        description="table cell_id, guide, [umi]; or 10x protospacer_calls_per_cell.csv",
    )
    guide_map: str | None = Field(None, description=GUIDE_MAP_TEXT)
    ntc_names: NtcNames = Field(None, description=NTC_NAMES_TEXT)
    day_key: str = Field("day", description="column of the day: d0, 72hpf, 18.0")
    rep_key: str | None = Field("rep", description="column of the replicate; null: one replicate")
    cluster_key: str | None = Field(None, description="column of the cluster: embryo, clone, well")
    burden_key: str | None = Field(
        None, description="column of the guide burden; null: distinct guides called in the cell"
    )
    covariates: Covariates = Field([], description="columns of cell covariates: numbers or categories")

    @property
    def carried(self) -> list[str]:
        """The covariates that the entry names."""
        return self.covariates

    def read(self) -> RawScreen:
        """Read the screen (`read_plain`)."""
        return read_plain(self)


ENTRY = PlainDataset


def read_plain(dataset: PlainDataset) -> RawScreen:
    """Read the tables of a plain dataset.

    Returns
    -------
    RawScreen
        As found; nothing is dropped.

    Raises
    ------
    FatewalkError
        If a file or a column is missing.
    """
    keys = {
        "rep_key": dataset.rep_key,
        "cluster_key": dataset.cluster_key,
        "burden_key": dataset.burden_key,
    }
    names = [key for option, key in keys.items() if key and option != "burden_key"]
    cells, of_rows = with_names_of_rows(
        _read(dataset.cells, ["cell_id", FATE, dataset.day_key, *names]), "cell_id", dataset.cells
    )
    require_columns(cells, ["cell_id"], dataset.cells)
    optional = {
        option: _column(cells, key, option, dataset.cells) if key else None for option, key in keys.items()
    }
    calls, count_column, notes = _read_calls(dataset.guide_calls)
    prob, of_fates = _probabilities(cells, dataset.cells)
    notes = of_rows + of_fates + notes
    notes += [
        f"Column {column!r} of {dataset.cells} is not used, because {option} is not set."
        for column, option in ((CLUSTER, "cluster_key"), (BURDEN, "burden_key"))
        if column in cells and keys[option] is None
    ]
    used = {"cell_id", CLUSTER, dataset.day_key, *keys.values(), *dataset.covariates}
    notes += _note_of_time(cells, dataset)
    notes += note_unused(cells, used, dataset.day_key, dataset.rep_key)
    return RawScreen(
        where=dataset.cells,
        cell_id=cells["cell_id"],
        day=_column(cells, dataset.day_key, "day_key", dataset.cells),
        rep=optional["rep_key"],
        cluster=optional["cluster_key"],
        burden=optional["burden_key"],
        prob=prob,
        calls=calls,
        calls_where=dataset.guide_calls,
        count_column=count_column,
        notes=notes,
        covariates={name: _column(cells, name, "covariates", dataset.cells) for name in dataset.covariates},
    )


def _read(path: str, text: Sequence[str]) -> pd.DataFrame:
    """Read a table; Parquet keeps its own types, so that categoricals stay small."""
    return read_table(path, text=() if suffix_of(path) in PARQUET else text)


def _column(cells: pd.DataFrame, key: str, option: str, where: str) -> pd.Series:
    if key not in cells:
        unset = ", or to null" if option in ("rep_key", "cluster_key", "burden_key") else ""
        raise FatewalkError(
            f"{where}: column {key!r} is missing{nearest(key, cells.columns)}; found: "
            f"{', '.join(map(repr, cells.columns))}. Set {option} to one of them{unset}"
        )
    return cells[key]


def _note_of_time(cells: pd.DataFrame, dataset: PlainDataset) -> list[str]:
    """Tell of a column of times that the labels of the days contradict, be it in another unit."""
    if TIME not in cells or dataset.day_key == TIME:
        return []
    days = read_days(_column(cells, dataset.day_key, "day_key", dataset.cells), dataset.cells)
    of_day = pd.to_numeric(cells[TIME], errors="coerce").groupby(days.index).agg(["min", "max"])
    time, label = of_day["min"].to_numpy(dtype=float), np.array(days.times)
    if len(label) < 2 or not (of_day["min"] == of_day["max"]).all():  # missing, or of each cell: pseudotime
        return []
    if not np.isfinite(time).all():
        return [f"Column {TIME!r} of {dataset.cells} is not used: it is infinite on some day."]
    slope = (time[-1] - time[0]) / (label[-1] - label[0])
    if slope > 0 and np.allclose(time, time[0] + slope * (label - label[0]), atol=0.01 * abs(slope)):
        return []
    pairs = (f"{name!r} is {t:g}" for name, t in zip(days.labels, time.tolist(), strict=True))
    return [
        f"Column {TIME!r} of {dataset.cells} is not used, and contradicts the numbers in the labels of the "
        f"days, which are: {first_few(pairs, 10)}. If the column is right, set day_key: {TIME}."
    ]


def _probabilities(cells: pd.DataFrame, where: str) -> tuple[pd.DataFrame, list[str]]:
    """Fate probabilities [N, F] from columns p_<fate>, or from the labels in column fate; notes."""
    columns = [column for column in cells if str(column).startswith(PROB_PREFIX)]
    if columns:  # labels beside probabilities say less
        prob = cells[columns].rename(columns=lambda name: name.removeprefix(PROB_PREFIX))
        notes = [
            note
            for name in (FATE, *TERMINAL_STATES)
            if name in cells
            for note in check_terminal(
                prob, cells[name], where, MEND_FATES.format(name=name, order="{order}")
            )
        ]
        if FATE in cells:
            notes.append(f"Column {FATE!r} of {where} is not used: there are columns {PROB_PREFIX}<fate>.")
        return prob, notes
    if FATE in cells:
        return one_hot(cells[FATE], where), []
    raise FatewalkError(
        f"{where}: found neither columns {PROB_PREFIX}<fate> (probabilities) nor a column {FATE!r} (a "
        f"label); found: {quoted(cells.columns, 12)}. Name the columns of the probabilities "
        f"{PROB_PREFIX}<fate>, such as {PROB_PREFIX}EC"
    )


def _read_calls(path: str) -> tuple[pd.DataFrame, str, list[str]]:
    """Calls, the name of their column of counts, and notes."""
    table = _read(path, [*GUIDE_CALLS, *TENX_CALLS])
    if is_protospacer_table(table):
        calls, n_without = split_protospacer_calls(table, path)
        return calls, TENX_CALLS[2], [f"{n_without} rows of {path} name no guide."] if n_without else []
    if {"guide_name", "gene_name"} <= set(table):
        raise FatewalkError(
            f"{path}: is a guide map (columns guide_name, gene_name), not calls; name it as guide_map, and "
            "the table of cell_id and guide as guide_calls"
        )
    refuse_summary(table, path)
    table, notes = with_names_of_rows(table, "cell_id", path)
    _refuse_matrix(table, path)
    _refuse_wide(table, path)
    require_columns(table, GUIDE_CALLS, path)
    others = [str(name) for name in table if name not in (*GUIDE_CALLS, UNNAMED)]
    count = _count_column(others)
    unused = [name for name in others if name != count]
    if count is None and unused and _is_of_all_pairs(table):
        raise FatewalkError(
            f"{path}: has a row for every cell and every guide, and no column of counts that is known; if "
            f"{quoted(unused)} says which are calls, keep those rows, or name the counts 'umi'"
        )
    if count not in (None, "umi"):
        notes.append(f"Column {count!r} of {path} is taken for the count of each call.")
    if unused:
        remedy = "" if count else "; counts are read from a column 'umi', and a count of 0 is no call"
        notes.append(f"Columns of {path} that are not used: {quoted(unused, 10)}{remedy}.")
    return table[[*GUIDE_CALLS, *filter(None, [count])]].rename(columns={count: "umi"}), count or "umi", notes


def _is_of_all_pairs(table: pd.DataFrame) -> bool:
    """Whether each cell stands beside each of several guides, as a matrix in long form."""
    n_guides = table["guide"].nunique()
    return n_guides > 2 and len(table) == n_guides * table["cell_id"].nunique()


def _refuse_matrix(table: pd.DataFrame, path: str) -> None:
    """Refuse a table of cells x guides or guides x cells, which holds no names in columns but one."""
    numbers = table.select_dtypes(["number", "bool"]).columns
    if set(GUIDE_CALLS) <= set(table) or len(numbers) < 3 or len(numbers) < len(table.columns) - 2:
        return
    own = next((name for name in table if name not in numbers), table.columns[0])
    rows, columns = ("guide", "cell_id") if own == "guide" else ("cell_id", "guide")
    raise FatewalkError(
        f"{path}: is a matrix with a column for each {columns.removesuffix('_id')} "
        f"({quoted(numbers)}); write one row for each call, in Python: "
        f"table.melt({own!r}, var_name={columns!r}, value_name='umi').query('umi > 0')"
        + (f".rename(columns={{{own!r}: {rows!r}}})" if own != rows else "")
    )


def _refuse_wide(table: pd.DataFrame, path: str) -> None:
    """Refuse a table with one row a cell and several columns of guides."""
    columns = [name for name in table if ONE_OF_GUIDES.fullmatch(str(name))]
    if "guide" in table or len(columns) < 2:
        return
    raise FatewalkError(
        f"{path}: has a column for each guide of a cell ({quoted(columns)}); write one row for "
        f"each call, in Python: table.melt('cell_id', {columns}, value_name='guide').dropna()"
        "[['cell_id', 'guide']]"
    )


def _count_column(names: Sequence[str]) -> str | None:
    """The column of counts by its usual names, UMIs before reads; None if there is none."""
    plain = {re.sub(r"[^a-z]", "", name.lower()): name for name in reversed(names)}
    found = (plain[name] for name in COUNT_NAMES if name in plain)
    return "umi" if "umi" in names else next(found, None)

"""A screen as it was found, the same for every kind of source, and its canonical tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fatewalk.core.errors import FatewalkError, first_few, quoted
from fatewalk.core.names import is_missing, refuse_missing, refuse_same, same_to_the_ear, same_to_the_eye
from fatewalk.core.schema import BURDEN, CLUSTER, GUIDE_CALLS, prob_columns
from fatewalk.core.tables import refuse_lists
from fatewalk.core.words import count
from fatewalk.screen.barcodes import match_barcodes, refuse_repeated_cells
from fatewalk.screen.covariates import read_covariate
from fatewalk.screen.days import read_days
from fatewalk.screen.fates import match_fates, refuse_scale
from fatewalk.screen.text import DECIMAL_COMMA, THOUSANDS, as_codes, as_sorted_codes, as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


MOST_UMIS = 2**31 - 1  # of a guide in a cell, as the table holds them


@dataclass(frozen=True)
class RawScreen:
    """What a reader found.

    Attributes
    ----------
    where
        File of the cells, for messages.
    cell_id, day, rep, cluster, burden : pandas.Series, [N]
        Columns of the cells; the last three may be absent.
    prob : pandas.DataFrame, [N, F]
        Fate probabilities, columns named by fate.
    calls : pandas.DataFrame
        cell_id, guide [, umi]; one row a call.
    calls_where
        File of the calls.
    notes
        Sentences for the report.
    covariates : dict of str to pandas.Series, [N] each
        Further columns of the cells, to be carried along.
    count_column
        What the file calls the column ``umi`` of the calls, for messages.
    guide_map : pandas.DataFrame, optional
        guide_name, gene_name [, is_ntc], if the file of the cells or guides carries one itself.
    """

    where: str
    cell_id: pd.Series
    day: pd.Series
    rep: pd.Series | None
    cluster: pd.Series | None
    burden: pd.Series | None
    prob: pd.DataFrame
    calls: pd.DataFrame
    calls_where: str
    notes: list[str]
    covariates: dict[str, pd.Series] = field(default_factory=dict)
    count_column: str = "umi"
    guide_map: pd.DataFrame | None = None


def canonical_cells(raw: RawScreen, fates: Sequence[str]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Build the cells table: cell_id, day, time, rep, p_<fate>... [, cluster, burden, covariates].

    Returns
    -------
    cells : pandas.DataFrame
        One row a cell, in the order of the source.
    report : dict
        What was read, with ``notes``.

    Raises
    ------
    FatewalkError
        If there is no cell, days or fates cannot be read, or a name or a covariate is missing.
    """
    if not len(raw.cell_id):
        raise FatewalkError(f"{raw.where}: the table of cells has no rows")
    days = read_days(raw.day, raw.where)
    numbers = {
        name: _numbers(raw.prob[name], raw.where, f"probability of fate {name!r}") for name in raw.prob
    }
    prob, left_out = match_fates(pd.DataFrame(numbers, index=raw.prob.index), fates, raw.where)
    refuse_scale(prob, raw.where)
    cell_id = as_text(raw.cell_id, raw.where)
    refuse_repeated_cells(pd.Index(cell_id), raw.where)
    cells = pd.DataFrame(
        {
            "cell_id": cell_id,
            "day": np.array(days.labels, dtype=object)[days.index],
            "time": np.array(days.times)[days.index],
            "rep": "rep1" if raw.rep is None else _groups(raw.rep, "replicates", same_to_the_ear, raw.where),
        }
    )
    p = prob.to_numpy(dtype=float)  # [N, F]
    cells = pd.concat([cells, pd.DataFrame(p, columns=prob_columns(prob.columns))], axis=1)
    if raw.cluster is not None:
        # names of clones are often made by a program, which means what it writes
        cells[CLUSTER] = _groups(raw.cluster, "clusters", same_to_the_eye, raw.where)
    if raw.burden is not None:
        cells[BURDEN] = _numbers(raw.burden, raw.where)
    for name, column in raw.covariates.items():
        cells[name] = read_covariate(column, cells["cell_id"], raw.where)
    notes = list(raw.notes)
    if days.unused:
        notes.append(f"No cell has the declared day label {quoted(days.unused)}: left out.")
    if left_out:
        notes.append(f"No cell has any probability of fate {quoted(left_out, 10)}: left out.")
    report = {
        "cells": len(cells),
        "fates": list(prob.columns),
        "days": days.report(),
        "time_unit": days.unit or None,
        "replicates": cells["rep"].value_counts().sort_index().to_dict(),
        "clusters": cells[CLUSTER].nunique() if CLUSTER in cells else 0,
        "burden": "column" if BURDEN in cells else "distinct guides called in the cell",
        "covariates": {
            name: "numeric" if cells[name].dtype == float else "categorical" for name in raw.covariates
        },
        "notes": notes,
    }
    return cells, report


def canonical_calls(raw: RawScreen) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Build the table of guide calls: cell_id, guide [, umi], the names as categoricals.

    Sorted by name, so that every kind of source gives the same table.

    Returns
    -------
    calls : pandas.DataFrame
        One row a call; repeats stay.
    report : dict
        Counts, and ``notes``.

    Raises
    ------
    FatewalkError
        If a name is missing, a UMI count is no count, no call is left, or the calls are of other cells.
    """
    table, where = raw.calls, raw.calls_where
    if table.empty:
        raise FatewalkError(f"{where}: holds no call of a guide: it has no rows")
    (cell, cells), (guide, guides) = (as_sorted_codes(table[name], where) for name in GUIDE_CALLS)
    cells, notes = match_barcodes(cells, pd.Index(as_text(raw.cell_id, raw.where)), where, raw.where)
    calls = pd.DataFrame(
        {
            "cell_id": pd.Categorical.from_codes(cell, categories=cells),
            "guide": pd.Categorical.from_codes(guide, categories=guides),
        }
    )
    zero = 0
    if "umi" in table:
        umi = _numbers(table["umi"].rename(raw.count_column), where)  # [E]
        bad = ~np.isfinite(umi) | (umi < 0) | (umi > MOST_UMIS) | (umi % 1 != 0)
        if bad.any():
            found = first_few(f"{value:.10g}" for value in umi[bad])
            raise FatewalkError(
                f"{where}: column {raw.count_column!r} of {count(int(bad.sum()), 'call')} is no count: found "
                f"{found}, first in row {np.flatnonzero(bad)[0] + 1}; give whole numbers up to {MOST_UMIS}, "
                "or leave the column out"
            )
        calls["umi"] = umi.astype(np.int32)
        zero = int((umi == 0).sum())
        calls = calls[umi > 0]
    if calls.empty:
        raise FatewalkError(f"{where}: holds no call of a guide: column {raw.count_column!r} is 0 everywhere")
    calls = calls.iloc[np.lexsort((calls["guide"].cat.codes, calls["cell_id"].cat.codes))]
    report = {
        "guide_calls": len(calls),
        "guide_calls_without_umi_dropped": zero,
        "guides_called": calls["guide"].nunique(),
        "umi": "umi" in calls,
        "notes": notes,
    }
    return calls.reset_index(drop=True), report


def _groups(
    column: pd.Series, what: str, same: Callable[[list[str]], list[list[str]]], where: str
) -> np.ndarray:
    """Names of replicates or clusters, [N]; refused where two are one, or where they mean none."""
    codes, names = as_codes(column, where)
    counts = np.bincount(codes, minlength=len(names))
    used = dict(zip(names[counts > 0], counts[counts > 0].tolist(), strict=True))
    place = f"{where}: column {column.name!r}"
    mend = f"leave these cells out, or give each of the {what} a name of its own"
    refuse_missing(used, f"{what[:-1]}", place, mend)
    refuse_same(same(list(used)), what, place)
    return names.to_numpy(dtype=object)[codes]


def _numbers(column: pd.Series, where: str, what: str = "") -> np.ndarray:
    """Numbers of a column, missing ones as NaN."""
    what = what or f"column {column.name!r}"
    refuse_lists(column, where)
    if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_timedelta64_dtype(column):
        raise FatewalkError(f"{where}: {what} must hold numbers; found dates or times ({column.iloc[0]})")
    numbers = pd.to_numeric(column, errors="coerce")
    unread = column[numbers.isna() & column.notna()]
    # names are read as they stand, so that "NA" can be a gene; here it is a missing number
    words = [one for one in unread.unique() if not is_missing(str(one))]
    if words:
        bad = column.isin(words).to_numpy(dtype=bool)
        values = column.to_numpy(dtype=object)[bad]
        first = (f"{value!r} (row {row})" for value, row in zip(values, np.flatnonzero(bad) + 1, strict=True))
        text = pd.Series(values).astype(str).str
        mend = (
            "; if the commas stand between thousands, leave them out; if they are decimal, write a point"
            if text.fullmatch(THOUSANDS).all()
            else "; these are decimal commas: write a decimal point"
            if text.fullmatch(DECIMAL_COMMA).all()
            else "; correct these values"
        )
        raise FatewalkError(f"{where}: {what} must hold numbers; found {first_few(first)}{mend}")
    return numbers.to_numpy(dtype=float, na_value=np.nan)

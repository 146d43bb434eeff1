"""Read the day-wise columns of the result tables as arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fatewalk.errors import FatewalkError, first_few
from fatewalk.schema import day_columns
from fatewalk.tables import as_bool, require_columns


def day_matrix(table: pd.DataFrame, stem: str, n_days: int) -> np.ndarray:
    """Columns ``<stem>_d0``.. of a table.

    Returns
    -------
    numpy.ndarray, float64 [rows, D]
        Missing values are NaN.

    Raises
    ------
    FatewalkError
        If a column is missing.
    """
    columns = day_columns(stem, n_days)
    require_columns(table, columns, "table to plot")
    return table[columns].to_numpy(dtype=float, na_value=np.nan)


def active_matrix(hits: pd.DataFrame, n_days: int) -> np.ndarray:
    """Gene-days that are called, from ``active_days`` ("d0;d2", or empty).

    Returns
    -------
    numpy.ndarray, bool [rows, D]

    Raises
    ------
    FatewalkError
        If the column is missing or names a day that the other columns do not have.
    """
    require_columns(hits, ["active_days"], "table of hits")
    called = hits["active_days"].fillna("").astype(str).str.get_dummies(";")
    days = [f"d{day}" for day in range(n_days)]
    if unknown := sorted(set(called.columns) - set(days)):
        raise FatewalkError(
            f"table of hits: column active_days: found {first_few(unknown)}; allowed: {first_few(days, 12)}"
        )
    return called.reindex(columns=days, fill_value=0).to_numpy(dtype=bool)


def best_ranked(hits: pd.DataFrame, n: int) -> pd.DataFrame:
    """The first ``n`` rows by rank.

    Raises
    ------
    FatewalkError
        If a column is missing or there are no rows.
    """
    require_columns(hits, ["gene", "rank", "hit_anyday"], "table of hits")
    if hits.empty:
        raise FatewalkError("table of hits: found no rows; needed: one row a gene")
    return hits.sort_values("rank", kind="stable").head(n)


def count_hits(hits: pd.DataFrame) -> str:
    """Number of genes with ``hit_anyday``, in words."""
    n_hits = int(as_bool(hits["hit_anyday"], "table of hits").sum())
    return f"{n_hits:,} hits" if n_hits != 1 else "1 hit"


def rows_of(table: pd.DataFrame, genes: Sequence[str], what: str) -> pd.DataFrame:
    """The rows of the named genes, in that order.

    Raises
    ------
    FatewalkError
        If a gene has no row, or more than one.
    """
    indexed = table if table.index.name == "gene" else table.set_index("gene")
    if missing := [gene for gene in genes if gene not in indexed.index]:
        raise FatewalkError(f"{what}: no row for gene {first_few(missing)}; are the tables of one run?")
    rows = indexed.loc[list(genes)]
    if len(rows) > len(genes):
        twice = rows.index[rows.index.duplicated()].unique()
        raise FatewalkError(f"{what}: more than one row for gene {first_few(twice)}")
    return rows


def marks(table: pd.DataFrame) -> list[str]:
    """Warnings that belong on every figure drawn from a table, in words.

    Parameters
    ----------
    table
        Any table of a run; columns ``provisional`` and ``uncentred`` are read where present.
    """
    notes = []
    if "provisional" in table and (statuses := table["provisional"].dropna().astype(str).unique()).size:
        notes.append(f"provisional: fit not converged ({statuses[0]})")
    if "uncentred" in table and table["uncentred"].astype(str).str.lower().eq("true").any():
        notes.append("uncentred guide deviations")
    return notes

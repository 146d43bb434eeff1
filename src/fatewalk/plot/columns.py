"""Read the day-wise columns of the result tables as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fatewalk.core.errors import FatewalkError, first_few
from fatewalk.core.marks import marks_of
from fatewalk.core.schema import PROVISIONAL, UNCENTRED
from fatewalk.core.tables import as_bool, require_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


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


def notes_of(table: pd.DataFrame) -> list[str]:
    """Warnings that belong on every figure drawn from a table, in words: its marks."""
    marks, notes = marks_of(table), []
    if PROVISIONAL in marks:
        notes.append(f"provisional: fit not converged ({marks[PROVISIONAL]})")
    if str(marks.get(UNCENTRED)).lower() == "true":
        notes.append("uncentred guide deviations")
    return notes

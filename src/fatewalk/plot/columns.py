"""Read the day-wise columns of the result tables as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fatewalk.core.errors import FatewalkError, first_few
from fatewalk.core.marks import marks_of
from fatewalk.core.schema import PROVISIONAL, UNCENTRED
from fatewalk.core.tables import require_columns

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


def notes_of(table: pd.DataFrame) -> list[str]:
    """Warnings that belong on every figure drawn from a table, in words: its marks."""
    marks, notes = marks_of(table), []
    if PROVISIONAL in marks:
        notes.append(f"provisional: fit not converged ({marks[PROVISIONAL]})")
    if str(marks.get(UNCENTRED)).lower() == "true":
        notes.append("uncentred guide deviations")
    return notes


def marked_hits(hits: pd.DataFrame, fates: Sequence[str]) -> list[str]:
    """A warning that names the hits on some fates that hits.csv has a mark on, if any."""
    if "marks" not in hits:
        return []
    marked = hits[hits["fate"].isin(fates) & (hits["marks"].fillna("") != "")]
    names = first_few(marked["gene"].drop_duplicates())
    return [f"look at the marks in hits.csv: {names}"] if names else []

"""What the readers of mash tables share: columns, marks, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fatewalk.core.errors import FatewalkError, first_few
from fatewalk.core.schema import MARKS, day_columns

Numbers = NDArray[np.float64]


def posterior_columns(n_days: int) -> list[str]:
    """Columns of a mash table that every function here reads."""
    stems = ("betahat", "se", "postmean", "postsd", "lfsr")
    return [column for stem in stems for column in day_columns(stem, n_days)]


def marks_of(table: pd.DataFrame) -> list[str]:
    """Columns of the table that are marks."""
    return [mark for mark in MARKS if mark in table]


def smallest(values: Numbers) -> Numbers:
    """Smallest value of each row [n], missing where all are missing."""
    found = np.where(np.isnan(values), np.inf, values).min(axis=1)
    return np.where(np.isinf(found), np.nan, found)


def refuse_repeats(table: pd.DataFrame, column: str, where: str) -> None:
    """Refuse names that are empty or stand in two rows."""
    if table[column].isna().any():
        rows = np.flatnonzero(table[column].isna())
        raise FatewalkError(
            f"{where}: column {column} is empty in row {first_few(rows)}; give every row a name"
        )
    repeated = table.loc[table[column].duplicated(), column].unique()
    if len(repeated):
        raise FatewalkError(
            f"{where}: column {column}: {first_few(repeated)} stands in more than one row; keep one row each"
        )


def observed_days(table: pd.DataFrame, name: str, n_days: int, where: str) -> NDArray[np.bool_]:
    """Where the table has an estimate [n, D]; refuses an estimate without a posterior."""
    has = {
        stem: table[day_columns(stem, n_days)].notna().to_numpy()
        for stem in ("betahat", "se", "postmean", "postsd", "lfsr")
    }
    observed = has["betahat"] & has["se"]
    bad = observed & ~(has["postmean"] & has["postsd"] & has["lfsr"])
    if bad.any():
        cells = (f"{table[name].iloc[row]} on d{day}" for row, day in np.argwhere(bad))
        raise FatewalkError(
            f"{where}: an estimate has no postmean, postsd or lfsr: {first_few(cells)}; run mash again"
        )
    return observed

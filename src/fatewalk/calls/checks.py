"""What the readers of mash tables share: columns, refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fatewalk.core.daywise import Daywise
from fatewalk.core.errors import FatewalkError, first_few, quoted
from fatewalk.core.schema import day_names

if TYPE_CHECKING:
    import pandas as pd

Numbers = NDArray[np.float64]

BEFORE_MASH = ("betahat", "se")
AFTER_MASH = ("postmean", "postsd", "lfsr")


def smallest(values: Numbers) -> Numbers:
    """Smallest value of each row [n], missing where all are missing."""
    found = np.where(np.isnan(values), np.inf, values).min(axis=1)
    return np.where(np.isinf(found), np.nan, found)


def refuse_unknown(guide_sampling: Numbers) -> None:
    """Refuse estimand gene where the variance between guides, by gene [L], could not be learned."""
    if np.isnan(guide_sampling).any():
        raise FatewalkError(
            "calls.estimand: gene needs the variance between the guides of a gene, and too few genes have "
            "two or more guides to learn it (column se_gene_reason of gene_daywise_for_mash.csv); set "
            "calls.estimand: library"
        )


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
            f"{where}: column {column}: {quoted(repeated)} stands in more than one row; keep one row each"
        )


def read_mash(table: pd.DataFrame, level: str, where: str) -> Daywise:
    """Read a table after mash: names and the columns of before and after, where there is an estimate.

    Parameters
    ----------
    table
        mash_<level>_<mode>.csv or mash_likelihood_<level>.csv.
    level
        gene, or guide (its gene is read as well).
    where
        Name of the table, for messages.

    Returns
    -------
    Daywise
        betahat, se, postmean, postsd, lfsr [n, D], all missing where there is no estimate.

    Raises
    ------
    FatewalkError
        If a column is missing, a name is repeated or empty, or an estimate has no posterior.
    """
    names = list(dict.fromkeys([level, "gene"]))
    found = Daywise.of(table, where, [*BEFORE_MASH, *AFTER_MASH], names)
    refuse_repeats(table, level, where)
    has = {name: ~np.isnan(found[name].astype(float)) for name in (*BEFORE_MASH, *AFTER_MASH)}  # [n, D]
    observed = np.logical_and.reduce([has[name] for name in BEFORE_MASH])
    bad = observed & ~np.logical_and.reduce([has[name] for name in AFTER_MASH])
    if bad.any():
        days = day_names(found.n_days)
        cells = (f"{found[level][row]!r} on {days[day]}" for row, day in np.argwhere(bad))
        raise FatewalkError(
            f"{where}: an estimate has no postmean, postsd or lfsr: {first_few(cells)}; run mash again"
        )
    return Daywise(
        {name: found[name] for name in names}
        | {name: np.where(observed, found[name], np.nan) for name in has},
        found.marks,
    )

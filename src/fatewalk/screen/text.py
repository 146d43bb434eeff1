"""Columns of names: as text, without missing values."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fatewalk.core.errors import FatewalkError, first_few
from fatewalk.core.tables import refuse_lists

THOUSANDS = r"\s*[-+]?\d{1,3}(,\d{3})+(\.\d+)?\s*"
DECIMAL_COMMA = r"\s*[-+]?\d*,\d+\s*"


def as_codes(column: pd.Series, where: str) -> tuple[np.ndarray, pd.Index]:
    """Read a column of names as codes; works on the distinct values, whatever their type.

    Parameters
    ----------
    column
        Text, numbers or a categorical, E rows.
    where
        File or table, for the error.

    Returns
    -------
    codes : numpy.ndarray, int64 [E]
        Index of each row's name.
    names : pandas.Index
        The names as text. All of a categorical's, also those without rows.

    Raises
    ------
    FatewalkError
        If a row has no name, or a list of them.
    """
    refuse_lists(column, where)
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes, names = column.cat.codes.to_numpy(), column.cat.categories
    else:
        codes, names = pd.factorize(column)
    names = pd.Index(names).astype(str)
    missing = codes < 0
    if (names == "").any():
        missing = missing | np.isin(codes, np.flatnonzero(names == ""))
    if missing.any():
        raise FatewalkError(
            f"{where}: column {column.name!r} is empty in {missing.sum()} of {len(column)} rows, first in "
            f"row {first_few(np.flatnonzero(missing) + 1)}; fill it in or leave these rows out"
        )
    return codes.astype(np.int64, copy=False), names


def as_sorted_codes(column: pd.Series, where: str) -> tuple[np.ndarray, pd.Index]:
    """Read a column of names as codes of its distinct names, in alphabetical order.

    The outcome depends on the text of the rows alone, not on how the column was stored.

    Returns
    -------
    codes : numpy.ndarray, int64 [E]
        Index of each row's name.
    names : pandas.Index
        Names that occur, sorted.

    Raises
    ------
    FatewalkError
        If a row has no name.
    """
    codes, names = as_codes(column, where)
    used = np.bincount(codes, minlength=len(names)) > 0
    rank = np.zeros(len(names), dtype=np.int64)
    rank[used], distinct = pd.factorize(names[used], sort=True)
    return rank[codes], pd.Index(distinct)


def as_text(column: pd.Series, where: str) -> np.ndarray:
    """Read a column of names as text, one object per distinct name.

    Raises
    ------
    FatewalkError
        If a row has no name.
    """
    codes, names = as_codes(column, where)
    return names.to_numpy(dtype=object)[codes]


def or_blank(column: pd.Series) -> pd.Series:
    """Names as text, missing ones blank."""
    return column.astype(object).where(column.notna(), "").astype(str)

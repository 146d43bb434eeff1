"""Tables and arrays: checked reading, atomic writing."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fatewalk.core.errors import FatewalkError, first_few
from fatewalk.core.files import atomic_path, need, opening, reading
from fatewalk.core.schema import SHIELDED, WOULD_RUN

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike

#: Tables that people open in a spreadsheet; programs take others.
FOR_PEOPLE = ("hits.csv",)

# ------------------------------------------------------------------- reading


def read_table(
    path: str | Path,
    required: Sequence[str] = (),
    text: Sequence[str] = (),
    rows: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Read a CSV, TSV (both also gzip-compressed) or Parquet table.

    Parameters
    ----------
    path
        File; its name tells the format.
    required
        Columns that must be there.
    text
        Columns that are names and stay text, also where they look like numbers.
    rows
        Of a Parquet table: only the rows that have these values in these columns.

    Returns
    -------
    pandas.DataFrame
        The table. Empty fields are missing, but "NA" and "None" are text: they are names of
        guides, genes and fates in the wild.

    Raises
    ------
    FatewalkError
        If the file is absent, of another format, unreadable, or lacks a column.
    """
    path = Path(path)
    if path.is_dir():
        raise FatewalkError(f"{path}: is a folder, not a table; name a file in it")
    if not path.is_file():
        raise FatewalkError(f"{path}: no such file; correct the path")
    if path.stat().st_size == 0:
        raise FatewalkError(f"{path}: is empty (0 bytes); was its writing cut off? Write it again")
    try:
        with opening(path):
            table = _parsed(path, text, rows or {})
    except (FatewalkError, MemoryError):
        raise
    except Exception as error:  # whatever the parser raises, the user needs the file's name
        raise FatewalkError(f"{path}: cannot be read as a table: {error}") from error
    require_columns(table, required, path)
    return table


def _parsed(path: Path, text: Sequence[str], rows: Mapping[str, str]) -> pd.DataFrame:
    """The table as the parser of its format reads it."""
    suffixes = [suffix for suffix in path.suffixes if suffix != ".gz"]
    suffix = suffixes[-1].lower() if suffixes else ""
    if suffix in {".parquet", ".pq"}:
        filters = [(column, "==", value) for column, value in rows.items()]
        table = pd.read_parquet(path, filters=filters or None)
        table = table.assign(**{column: _as_text(table[column]) for column in text if column in table})
    elif suffix in {".csv", ".tsv", ".txt"}:
        table = pd.read_csv(
            path,
            sep="," if suffix == ".csv" else "\t",
            dtype=dict.fromkeys(text, str),
            keep_default_na=False,
            na_values=[""],
        )
    else:
        raise FatewalkError(
            f"{path}: unknown kind of table {suffix!r}; allowed: .csv, .tsv, .csv.gz, .tsv.gz, .parquet"
        )
    return table


def _as_text(column: pd.Series) -> pd.Series:
    """Names as text; missing names stay missing, categories of text stay categories."""
    if isinstance(column.dtype, pd.CategoricalDtype) and column.cat.categories.dtype == object:
        return column
    return column.astype(str).where(column.notna())


def require_columns(table: pd.DataFrame, required: Sequence[str], where: str | Path) -> None:
    """Refuse a table that lacks a column.

    Raises
    ------
    FatewalkError
        Naming the missing columns and those that were found.
    """
    missing = [column for column in required if column not in table.columns]
    if missing:
        raise FatewalkError(
            f"{where}: column {first_few(missing)} is missing; found: {first_few(table.columns, 12)}"
        )


def as_bool(column: pd.Series, where: str | Path) -> np.ndarray:
    """Read a column of truth values spelled True/False, TRUE/FALSE, 0/1 or yes/no.

    Returns
    -------
    numpy.ndarray
        Booleans, one per row.

    Raises
    ------
    FatewalkError
        If a value is anything else.
    """
    words = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False,
             "1.0": True, "0.0": False}  # fmt: skip
    text = column.astype(str).str.strip().str.lower()
    unknown = ~text.isin(list(words))
    if unknown.any():
        raise FatewalkError(
            f"{where}: column {column.name}: found {first_few(column[unknown].unique())}; "
            "allowed: True, False"
        )
    return text.map(words).to_numpy(dtype=bool)


def read_own_table(
    path: str | Path,
    required: Sequence[str] = (),
    text: Sequence[str] = (),
    rows: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Read a table that a stage wrote, as `read_table` does; its errors say how to have it made again.

    Raises
    ------
    FatewalkError
        If the file is not what the stage wrote.
    """
    with reading(path):
        table = _parsed(Path(path), text, rows or {})
    need(path, "column", required, dict(table))
    return table


def read_arrays(path: str | Path, names: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Read the arrays of an ``.npz`` file that a stage wrote, in the order in which they were written.

    Parameters
    ----------
    path
        The file.
    names
        Arrays that must be there.

    Raises
    ------
    FatewalkError
        If it is not what the stage wrote.
    """
    with reading(path), np.load(path, allow_pickle=False) as arrays:
        found = dict(arrays)
    need(path, "array", names, found)
    return found


# ------------------------------------------------------------------- writing


def shield(table: pd.DataFrame) -> pd.DataFrame:
    """Text that a spreadsheet would run as a formula gets an apostrophe in front, in every column.

    Examples
    --------
    >>> shield(pd.DataFrame({"gene": ["=1+1", "TBXT"]}))["gene"].tolist()
    ["'=1+1", 'TBXT']
    """
    return _in_texts(table, WOULD_RUN, r"'\g<0>")


def unshield(table: pd.DataFrame) -> pd.DataFrame:
    """Undo `shield`."""
    return _in_texts(table, SHIELDED, "")


def _in_texts(table: pd.DataFrame, pattern: re.Pattern[str], by: str) -> pd.DataFrame:
    new = {str(name): table[name].str.replace(pattern, by, regex=True) for name in _texts(table)}
    return table.assign(**new)


def _texts(table: pd.DataFrame) -> list[str]:
    """Columns of text."""
    return [str(name) for name in table if pd.api.types.infer_dtype(table[name], skipna=True) == "string"]


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table as CSV (numbers round-trip) or Parquet, by the file's name, without the index.

    Text stays as it is, but for that in tables `FOR_PEOPLE` (`shield`).
    """
    if Path(path).name in FOR_PEOPLE:
        table = shield(table)
    with atomic_path(path) as temporary:
        if Path(path).suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            # pandas leaves a carriage return bare, which would end the row when it is read
            bare = any(table[name].astype(str).str.contains("\r").any() for name in _texts(table))
            table.to_csv(temporary, index=False, quoting=csv.QUOTE_NONNUMERIC if bare else csv.QUOTE_MINIMAL)


def write_arrays(arrays: Mapping[str, ArrayLike], path: str | Path) -> None:
    """Write arrays as ``.npz`` (texts as fixed-width unicode, never pickled)."""
    plain = {name: np.asarray(values) for name, values in arrays.items()}
    plain = {name: values.astype(str) if values.dtype == object else values for name, values in plain.items()}
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **plain)

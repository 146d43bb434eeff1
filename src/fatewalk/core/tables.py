"""Tables and arrays: checked reading, atomic writing."""

from __future__ import annotations

import csv
import os
import re
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fatewalk.core.delimited import NUMBER, UNNAMED, no_header, read_delimited
from fatewalk.core.errors import FatewalkError, first_few, nearest, quoted
from fatewalk.core.files import atomic_path, need, opening, reading
from fatewalk.core.foreign import DELIMITED, PARQUET, form_of_content, not_a_table, suffix_of
from fatewalk.core.schema import SHIELDED, WOULD_RUN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike

ADDRESS = re.compile(r"(^|/)[a-z][a-z0-9+]+:/{1,2}[^/]")  # a path that was joined has lost a slash
TRUTH = {"true": True, "false": False, "yes": True, "no": False,
         "1": True, "0": False, "1.0": True, "0.0": False}  # fmt: skip
#: Tables that people open in a spreadsheet; programs take others.
FOR_PEOPLE = ("hits.csv", "hits_withheld.csv")

# ------------------------------------------------------------------- reading


def read_table(
    path: str | Path,
    required: Sequence[str] = (),
    text: Sequence[str] = (),
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
    if form := not_a_table(path):
        raise FatewalkError(f"{path}: is {form[0]}, not a text table; {form[1]}")
    require_file(path)
    suffix = suffix_of(path)
    with opening(path):
        if suffix in PARQUET:
            table = _read_parquet(path, text)
        elif suffix in DELIMITED:
            table = read_delimited(path, text)
        elif form := form_of_content(path):
            raise FatewalkError(f"{path}: is {form[0]}, not a text table; {form[1]}")
        else:
            raise FatewalkError(
                f"{path}: unknown kind of table {suffix!r}; allowed: .csv, .tsv, .csv.gz, .tsv.gz, .parquet"
            )
    require_columns(table, required, path)
    return table


def _from_here(path: Path) -> str:
    """Where a path starts that does not say so itself."""
    return "" if path.is_absolute() else f", which starts in {Path.cwd()}"


def require_file(path: str | Path) -> None:
    """Refuse a path that is no file, or one that may not be read.

    Raises
    ------
    FatewalkError
        Saying what it is instead.
    """
    path = Path(path)
    if ADDRESS.search(str(path)):
        raise FatewalkError(f"{path}: is an address of the web or a store; download it, and name the file")
    if path.is_dir():
        raise FatewalkError(f"{path}: is a folder; name the file in it")
    if not path.is_file():
        raise FatewalkError(f"{path}: no such file{_near(path)}; correct the path{_from_here(path)}")
    if not os.access(path, os.R_OK):
        raise FatewalkError(f"{path}: may not be read; see who owns it and who may read it (ls -l)")


def _near(path: Path) -> str:
    """A file of nearly this name in the folder, shown so that letters which look alike are told apart."""
    names = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
    for name in names:
        if unicodedata.normalize("NFC", name) == unicodedata.normalize("NFC", path.name):
            return f" (there is {name!a}, with other characters that look the same)"
    return nearest(path.name, names)


def _read_parquet(path: Path, text: Sequence[str]) -> pd.DataFrame:
    """A Parquet table; names of rows in its index become a column, `UNNAMED` if it has no name."""
    try:
        table = pd.read_parquet(path)
    except MemoryError:
        raise
    except Exception as error:  # whatever the parser raises, the user needs the file's name
        with path.open("rb") as file:
            whole = file.read(4) == b"PAR1"
        what = "is cut off or damaged; write it again" if whole else "is no Parquet file; correct its name"
        raise FatewalkError(f"{path}: {what}") from error
    table.columns = [str(name) for name in table.columns]
    if not isinstance(table.index, pd.RangeIndex):
        index = table.index.to_frame(index=False)
        index.columns = [UNNAMED if name is None else str(name) for name in table.index.names]
        new = [name for name in index if name not in table]
        table = pd.concat([index[new], table.reset_index(drop=True)], axis=1)
    names = [column for column in text if column in table]
    for column in names:
        refuse_lists(table[column], path)
    return table.assign(**{column: _as_text(table[column]) for column in names})


def with_names_of_rows(table: pd.DataFrame, name: str, where: str) -> tuple[pd.DataFrame, list[str]]:
    """Take names of rows for a column that is missing, unless they are numbers of rows.

    Returns
    -------
    table : pandas.DataFrame
        With the column ``name``, if it can be.
    notes : list of str
        A sentence that says so.
    """
    if name in table or UNNAMED not in table:
        return table, []
    if table[UNNAMED].astype(str).str.fullmatch(r"\d+").all():
        return table, []
    note = f"{where} has no column {name!r}; its first column, which has no name, is taken for it."
    return table.rename(columns={UNNAMED: name}), [note]


def holds_lists(column: pd.Series) -> bool:
    """Whether a column holds lists or mappings, as Parquet and AnnData can."""
    first = column.dropna().head(1) if column.dtype == object else column.head(0)
    return len(first) > 0 and isinstance(first.iloc[0], list | tuple | dict | set | np.ndarray)


def refuse_lists(column: pd.Series, where: str | Path) -> None:
    """Refuse a column of lists or mappings.

    Raises
    ------
    FatewalkError
        Naming the column and the way out.
    """
    if holds_lists(column):
        raise FatewalkError(
            f"{where}: column {column.name!r} holds lists, not single values; write one row for each value, "
            f"in Python: table.explode({column.name!r})"
        )


def _parsed(path: Path, text: Sequence[str], rows: Mapping[str, str]) -> pd.DataFrame:
    """A table that a stage wrote."""
    if path.suffix == ".parquet":
        filters = [(column, "==", value) for column, value in rows.items()]
        table = pd.read_parquet(path, filters=filters or None)
        return table.assign(**{column: _as_text(table[column]) for column in text if column in table})
    return pd.read_csv(path, dtype=dict.fromkeys(text, str), keep_default_na=False, na_values=[""])


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
    if missing and not len(table.columns):
        raise FatewalkError(f"{where}: has no columns; needed: {', '.join(map(repr, required))}")
    if missing:
        others = [column for column in table.columns if column not in required]
        meant = "".join(nearest(column, others) for column in missing)
        data = [str(name) for name in table.columns if NUMBER.fullmatch(str(name))]
        header = f". {no_header(data[0])}" if data else ""
        if len(table.columns) == 1:
            header = ". Commas, semicolons or tabs stand between columns"
        raise FatewalkError(
            f"{where}: column {first_few(missing)} is missing{meant}; found: "
            f"{quoted(table.columns, 12)}; give the right one this name{header}"
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
    truth = truth_of(column)
    unknown = truth.isna()
    if unknown.any():
        found = column.astype(object).where(column.notna(), "")[unknown].unique()
        raise FatewalkError(
            f"{where}: column {column.name}: found {quoted(found)} in {unknown.sum()} rows, "
            f"first in row {np.flatnonzero(unknown)[0] + 1}; allowed: True, False"
        )
    return truth.to_numpy(dtype=bool)


def truth_of(column: pd.Series) -> pd.Series:
    """Truth values by the words and numbers for them; missing where a value is none of these."""
    return column.astype(str).str.strip().str.lower().map(TRUTH)


def read_own_table(
    path: str | Path,
    required: Sequence[str] = (),
    text: Sequence[str] = (),
    rows: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Read a table that a stage wrote, as `read_table` does; its errors say how to have it made again.

    Parameters
    ----------
    path, required, text
        As in `read_table`.
    rows
        Of a Parquet table: only the rows that have these values in these columns.

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

"""Text tables as people have them: separators, encodings, unnamed ids; what cannot be read is told."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import re
import warnings
import zlib
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np
import pandas as pd

from fatewalk.core.errors import FatewalkError, first_few, quoted
from fatewalk.core.foreign import GZIP, form_of_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

SEPARATORS = ",;\t"
TOP = 20  # lines among which the line of names is looked for, where the first is none
FEATURES = ("Gene Expression", "CRISPR Guide Capture", "Antibody Capture")  # in rows of 10x features.tsv
UTF16 = (b"\xff\xfe", b"\xfe\xff")
#: Column of what stands before the first named column: names of rows, as pandas and R write them.
UNNAMED = ""
NUMBER = re.compile(r"[-+]?(\d+([.,]\d*)?|[.,]\d+)([eE][-+]?\d+)?")


def read_delimited(path: Path, text: Sequence[str]) -> pd.DataFrame:
    """Read a table with commas, semicolons or tabs between its columns, gzip-compressed or not.

    Parameters
    ----------
    path
        File; what is in it, not its name, tells separator and compression.
    text
        Columns that stay text, the one that names the rows first.

    Returns
    -------
    pandas.DataFrame
        The table; names of rows, which have no header, as column `UNNAMED`.

    Raises
    ------
    FatewalkError
        If the file is no text in UTF-8 (or UTF-16), is cut off, or has lines that do not fit its header.
    """
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    if path.suffix == ".gz" and not packed and path.stat().st_size:
        raise FatewalkError(f"{path}: is not compressed by gzip as its name says; correct the name")
    try:
        with gzip.open(path) if packed else path.open("rb") as opened:
            stream = cast("BinaryIO", opened)
            encoding = _encoding(path, stream)
            with io.TextIOWrapper(stream, encoding, newline="") as lines:
                top = list(itertools.islice(lines, TOP))
                _refuse_lines_above(path, top, text)
                header, row, separator = _first_rows(itertools.chain(top, lines))
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # it would leave values out
            table = pd.read_csv(
                path,
                sep=separator,
                names=_names(path, header, row, text),
                header=0,
                index_col=False,
                dtype=dict.fromkeys([*text, UNNAMED], str),
                keep_default_na=False,
                na_values=[""],
                encoding=encoding,
                compression="gzip" if packed else None,
                low_memory=False,
            )
            _refuse_second_header(path, table, text)
            return table
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FatewalkError(f"{path}: the compressed file is cut off or damaged; copy it again") from error
    except UnicodeDecodeError as error:
        raise FatewalkError(f"{path}: {_foreign_letter(path, packed)}") from error
    except (pd.errors.ParserError, pd.errors.ParserWarning, csv.Error) as error:
        raise FatewalkError(f"{path}: {_misfit(str(error), len(header))}") from error


def _refuse_second_header(path: Path, table: pd.DataFrame, text: Sequence[str]) -> None:
    """Refuse files that were put together with the header of each."""
    name = next((name for name in text if name in table), None)
    if name is None or len(table.columns) == 1:
        return
    rows = np.flatnonzero(table[name] == name)
    if len(rows):
        raise FatewalkError(
            f"{path}: the line of names stands again in row {first_few(rows + 1)}, as where files were put "
            "together; leave these lines out"
        )


def _encoding(path: Path, stream: BinaryIO) -> str:
    """The encoding by the first bytes; the stream is left at its start."""
    start = stream.read(4096)
    stream.seek(0)
    if form := form_of_bytes(start):
        raise FatewalkError(f"{path}: is {form[0]}, not a text table; {form[1]}")
    if start.startswith(UTF16):
        return "utf-16"
    if b"\0" in start:
        raise FatewalkError(f"{path}: holds no text; allowed: tables as CSV, TSV (UTF-8) or Parquet")
    return "utf-8-sig"


def _refuse_lines_above(path: Path, top: list[str], text: Sequence[str]) -> None:
    """Refuse a table with a title or comments above the line of names."""
    wanted = set(text)
    rows = (next(csv.reader([line.strip("\r\n")], delimiter=_separator(line)), []) for line in top)
    held = [wanted & set(row) for row in rows]
    number = next((i for i, names in enumerate(held) if names), 0)
    above = next((line for line in top[:number] if line.strip()), "")
    if above:
        raise FatewalkError(
            f"{path}: the line of names, with {first_few(sorted(map(repr, held[number])))}, is line "
            f"{number + 1}; take out what stands above it ({above.strip()[:60]!r})"
        )


def _separator(line: str) -> str:
    """The sign that stands in a line most often, outside quotes."""
    return max(SEPARATORS, key=re.sub(r'"[^"]*"', "", line).count)


def _first_rows(lines: Iterable[str]) -> tuple[list[str], list[str], str]:
    """Header, first row and separator."""
    lines = iter(lines)
    first = next((line for line in lines if line.strip()), "")
    separator = _separator(first)
    rows = csv.reader(itertools.chain([first], lines), delimiter=separator)
    header = next(rows, [])
    return header, next((row for row in rows if row), []), separator


def _names(path: Path, header: list[str], row: list[str], text: Sequence[str]) -> list[str]:
    """Names of the columns, distinct."""
    if set(FEATURES) & set(header):
        raise FatewalkError(
            f"{path}: is a list of features of Cell Ranger, without a line of names; name its "
            "feature_reference.csv with target_gene_name, or a table guide_name, gene_name, is_ntc"
        )
    if not any(header):
        raise FatewalkError(f"{path}: the file is empty; write it again")
    named = [name for name in header if name]
    if twice := [name for name in dict.fromkeys(named) if named.count(name) > 1]:
        if NUMBER.fullmatch(twice[0]):
            raise FatewalkError(f"{path}: {no_header(twice[0])}")
        raise FatewalkError(
            f"{path}: column {quoted(twice)} stands more than once in the header; rename all "
            "but one, or leave them out"
        )
    names_of_rows = len(row) == len(header) + 1 and row[-1] != ""  # as R writes them: without a header
    numbered = row[:1] in (["0"], ["1"])
    if names_of_rows and (numbered or not set(text[:1]) & set(header)):
        header = [UNNAMED, *header]
    if len(row) > len(header):
        first = f"; the header begins with {quoted(header, 2)}"
        raise FatewalkError(f"{path}: {_misfit(f'in line 2, saw {len(row)}', len(header))}{first}")
    return [name or (f"Unnamed: {i}" if i else UNNAMED) for i, name in enumerate(header)]


def no_header(name: str) -> str:
    """What to say of a column whose name is a number."""
    return f"{name!r} is no name of a column: is the line of names missing at the top?"


def _misfit(complaint: str, n: int) -> str:
    """What the parser complains of, in words."""
    if found := re.search(r"in line (\d+), saw (\d+)", complaint):
        return (
            f"line {found[1]} has {found[2]} values, the header has {n}; look for commas within "
            "numbers (0,35) or names: write a decimal point, and put names in double quotes"
        )
    if found := re.search(r"EOF inside string starting at row (\d+)", complaint):
        return f'a double quote that is opened in row {found[1]} is never closed; write "" for " in a name'
    if "does not match length of data" in complaint:
        return f"lines have more values than the header, which has {n}"
    return f"cannot be read as a table: {complaint}"


def _foreign_letter(path: Path, packed: bool) -> str:
    """Where a text is not UTF-8."""
    with gzip.open(path) if packed else path.open("rb") as file:
        content = file.read()
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start)
        shown = content.split(b"\n", line + 1)[line].decode("cp1252", "replace").strip()[:60]
        return (
            f"is not UTF-8: line {line + 1} ({shown!r}) was written in another encoding; save it as 'CSV "
            "UTF-8', or run iconv -f WINDOWS-1252 -t UTF-8"
        )
    return "is cut off in the midst of a letter; write it again"

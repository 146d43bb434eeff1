"""Day-wise tables: arrays over rows and days, under the names of their columns; as CSV and as npz.

Letters: n rows, D days.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from fatewalk.core.errors import FatewalkError, quoted
from fatewalk.core.marks import Marks, marks_of
from fatewalk.core.schema import DAY_COLUMN, day_columns, day_names
from fatewalk.core.tables import read_arrays, require_columns, write_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

ACTIVE_DAYS = "active_days"  # column of calls: "d0;d2", or empty


@dataclass(frozen=True)
class Daywise:
    """Columns of n rows, most of them by day, and the marks of the fit.

    Attributes
    ----------
    columns : dict of str to array
        In the order of the table: an array [n] is the column of its name, an array [n, D] the columns
        ``<name>_d0``, ``<name>_d1``, ...
    marks
        Columns that hold one value for all rows and stand at the end; mostly none.

    Examples
    --------
    >>> import numpy as np
    >>> found = Daywise({"gene": np.array(["a", "b"]), "se": np.array([[0.1, 0.2], [0.3, 0.4]])})
    >>> list(found.table())
    ['gene', 'se_d0', 'se_d1']
    >>> Daywise.of(found.table(), "t.csv", ["se"])["se"].shape
    (2, 2)
    """

    columns: Mapping[str, np.ndarray]
    marks: Marks = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse columns of different rows or days, and of one name twice."""
        shapes = [np.shape(values) for values in self.columns.values()]
        rows, days = {shape[:1] for shape in shapes}, {shape[1:] for shape in shapes if len(shape) > 1}
        if len(rows) != 1 or len(days) > 1:
            found = ", ".join(f"{name} {shape}" for name, shape in zip(self.columns, shapes, strict=True))
            raise ValueError(f"columns of one table have the same rows and days; found: {found}")
        flat = [name for names in self._flat().values() for name in names]
        if twice := {name for name in flat if flat.count(name) > 1}:
            raise ValueError(f"two columns would have the name {min(twice)}")

    def _flat(self) -> dict[str, list[str]]:
        """Names of the table's columns, by that of the array."""
        return {
            name: day_columns(name, values.shape[1]) if values.ndim == 2 else [name]
            for name, values in self.columns.items()
        }

    @classmethod
    def of(
        cls,
        table: pd.DataFrame,
        where: str | Path,
        by_day: Sequence[str],
        single: Sequence[str] = (),
        n_days: int | None = None,
    ) -> Self:
        """Read columns of a table, and its marks.

        Parameters
        ----------
        table
            Table with columns ``<name>_d0``, ...; others are left alone.
        where
            Name of the table, for messages.
        by_day
            Names of columns by day. All must have the same days.
        single
            Names of other columns.
        n_days
            Days; None: those of the column with most.

        Raises
        ------
        FatewalkError
            If a column or a day is missing.
        """
        n_days = n_days or max(count_days(table, name) for name in by_day)
        require_columns(table, single, where)
        columns = {name: table[name].to_numpy() for name in single}
        columns |= {name: _block(table, name, n_days, where) for name in by_day}
        return cls(columns, marks_of(table))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what ``save`` wrote."""
        columns = read_arrays(path)
        marks = marks_of(columns)
        return cls({name: values for name, values in columns.items() if name not in marks}, marks)

    def save(self, path: str | Path) -> None:
        """Write as ``.npz``: an array for each name, the marks last."""
        write_arrays({**self.columns, **self.marks}, path)

    def table(self) -> pd.DataFrame:
        """One row for each of the n, the marks as last columns."""
        flat: dict[str, Any] = {}
        for name, names in self._flat().items():
            flat |= zip(names, np.atleast_2d(self.columns[name].T), strict=True)
        return pd.DataFrame(flat).assign(**self.marks)

    def take(self, rows: ArrayLike) -> Self:
        """The rows at these places, or those that are True."""
        chosen = np.asarray(rows)
        return type(self)({name: values[chosen] for name, values in self.columns.items()}, self.marks)

    def rows_of(self, name: str, values: ArrayLike, where: str | Path) -> Self:
        """The rows whose column ``name`` has these values, in their order.

        Raises
        ------
        FatewalkError
            If one has no row, or the column has a value twice.
        """
        return self.take(find_rows(self[name], values, name, where))

    def __getitem__(self, name: str) -> np.ndarray:
        """Column [n] or columns by day [n, D]."""
        return self.columns[name]

    def __len__(self) -> int:
        """Rows."""
        return len(next(iter(self.columns.values())))

    @property
    def n_days(self) -> int:
        """Days."""
        return next(values.shape[1] for values in self.columns.values() if values.ndim == 2)


def find_rows(column: ArrayLike, values: ArrayLike, name: str, where: str | Path) -> NDArray[np.intp]:
    """Places of values in the column ``name`` of a table, in their order.

    Raises
    ------
    FatewalkError
        If one has no row, or the column has a value twice.
    """
    rows, wanted = (pd.Index(np.asarray(given)) for given in (column, values))
    if rows.has_duplicates:
        twice = rows[rows.duplicated()].unique()
        raise FatewalkError(f"{where}: more than one row for {name} {quoted(twice)}")
    place = rows.get_indexer(wanted)
    if (place < 0).any():
        raise FatewalkError(
            f"{where}: no row for {name} {quoted(wanted[place < 0])}; are the tables of one run?"
        )
    return place


def count_days(table: pd.DataFrame, name: str) -> int:
    """Days of the columns ``<name>_d*``: one more than the largest index; at least 1, which is asked for."""
    found = [match for column in table.columns if (match := DAY_COLUMN.fullmatch(str(column)))]
    return max((int(match["day"]) + 1 for match in found if match["name"] == name), default=1)


def _block(table: pd.DataFrame, name: str, n_days: int, where: str | Path) -> np.ndarray:
    """Columns ``<name>_d*`` [n, D]: counts stay whole numbers, all else is float64 with NaN for missing."""
    columns = day_columns(name, n_days)
    require_columns(table, columns, where)
    block = table[columns]
    if all(isinstance(kind, np.dtype) and kind.kind in "iu" for kind in block.dtypes):
        return block.to_numpy()
    return block.to_numpy(dtype=float, na_value=np.nan)


# ------------------------------------------------------------------- lists of days in one column


def join_days(flags: NDArray[np.bool_]) -> np.ndarray:
    """Names of the days of each row, ``d0;d2``: bool [n, D] -> object [n]."""
    days = np.array(day_names(flags.shape[1]))
    return np.array([";".join(days[row]) for row in flags], dtype=object)


def active_matrix(hits: pd.DataFrame, n_days: int) -> NDArray[np.bool_]:
    """Gene-days that are called, from ``active_days`` ("d0;d2", or empty).

    Returns
    -------
    numpy.ndarray, bool [n, D]

    Raises
    ------
    FatewalkError
        If the column is missing or names a day that the other columns do not have.
    """
    require_columns(hits, [ACTIVE_DAYS], "table of hits")
    called = hits[ACTIVE_DAYS].fillna("").astype(str).str.get_dummies(";").drop(columns="", errors="ignore")
    days = day_names(n_days)
    if unknown := sorted(set(called.columns) - set(days)):
        raise FatewalkError(
            f"table of hits: column {ACTIVE_DAYS}: found {quoted(unknown)}; allowed: {quoted(days, 12)}"
        )
    return called.reindex(columns=days, fill_value=0).to_numpy(dtype=bool)

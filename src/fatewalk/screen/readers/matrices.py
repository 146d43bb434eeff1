"""Values of a stored matrix that are not zero, without ever holding the matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fatewalk.core.errors import FatewalkError

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 2**24  # values held at a time: 128 MB of float64
SPARSE = {"csr_matrix", "csc_matrix"}
OF_NUMBERS = {"array", "nullable-integer", "nullable-boolean"}  # columns of a data frame


class Entries(NamedTuple):
    """Where a matrix is not zero, and its values there, [E] each."""

    row: np.ndarray
    column: np.ndarray
    value: np.ndarray


def kind_of(element: Any) -> str:
    """``array``, ``csr_matrix``, ``csc_matrix``, ``dataframe`` ..., as anndata wrote it."""
    return str(element.attrs.get("encoding-type", "array"))


def shape_of(element: Any, where: str) -> tuple[int, int]:
    """Shape of a stored matrix; columns of a data frame are counted without its index.

    Raises
    ------
    FatewalkError
        If it is no matrix.
    """
    if kind_of(element) in SPARSE:
        shape = element.attrs["shape"]
    elif kind_of(element) == "dataframe":
        shape = _length(element[element.attrs["_index"]]), len(element.attrs["column-order"])
    else:
        shape = getattr(element, "shape", ())
    if len(shape) != 2:
        found = "x".join(map(str, shape)) or kind_of(element)
        raise FatewalkError(f"{where} must be a matrix, cells x guides; found: {found}")
    return int(shape[0]), int(shape[1])


def _length(column: Any) -> int:
    """Entries of a stored column; categories, and what may be missing, are kept as several arrays."""
    of = {"categorical": "codes"}.get(kind_of(column), "values")
    return int((column[of] if hasattr(column, "keys") else column).shape[0])


def read_entries(element: Any, where: str, columns: np.ndarray | None = None) -> Entries:
    """Read the values that are not zero, in chunks.

    Parameters
    ----------
    element
        A dense array, a sparse matrix or a data frame in an open store, N x M.
    where
        File and element, for the errors.
    columns
        The columns wanted, bool [M], which keep their numbers; None: all.

    Returns
    -------
    Entries
        Rows and columns as int64, values as float64.

    Raises
    ------
    FatewalkError
        If it is no matrix of numbers.
    """
    shape = shape_of(element, where)
    wanted = np.ones(shape[1], dtype=bool) if columns is None else columns
    readers = {"dataframe": _of_frame, "csr_matrix": _of_sparse, "csc_matrix": _of_sparse}
    chunks = readers.get(kind_of(element), _of_array)
    try:
        parts = list(chunks(element, wanted)) if wanted.any() else []
        value = np.concatenate([np.empty(0), *(part.value for part in parts)]).astype(float)
    except (TypeError, ValueError) as error:
        raise FatewalkError(f"{where} must hold numbers, UMI counts or 0/1: {error}") from error
    except IndexError as error:
        raise FatewalkError(
            f"{where} is damaged: its indices do not fit its shape of {shape[0]} x {shape[1]}; write the "
            "file again from the object"
        ) from error
    none = np.empty(0, dtype=np.int64)
    row, column = (np.concatenate([none, *(part[axis] for part in parts)]) for axis in (0, 1))
    return Entries(row, column, value)


def _of_sparse(element: Any, wanted: np.ndarray) -> Iterator[Entries]:
    """From a compressed sparse matrix, CHUNK stored values at a time."""
    by_row = kind_of(element) == "csr_matrix"
    pointer = np.asarray(element["indptr"][:], dtype=np.int64)
    size, width = element.attrs["shape"][:: 1 if by_row else -1]
    stored = {element["indices"].shape[0], element["data"].shape[0], int(pointer[-1])}
    if len(pointer) != size + 1 or len(stored) > 1 or (np.diff(pointer) < 0).any():
        raise IndexError(f"indptr of {len(pointer)} rows or columns")
    first, last = (0, len(pointer) - 1) if by_row else _span(wanted)
    for start in range(int(pointer[first]), int(pointer[last]), CHUNK):
        stop = min(start + CHUNK, int(pointer[last]))
        lines = np.arange(np.searchsorted(pointer, start, "right") - 1, np.searchsorted(pointer, stop))
        ends = np.clip(pointer[lines[0] : lines[-1] + 2], start, stop)
        within = ends[1:] - ends[:-1]
        line, index = np.repeat(lines, within), np.asarray(element["indices"][start:stop], dtype=np.int64)
        if index.min() < 0 or index.max() >= width:
            raise IndexError(f"index {index.max()}")
        row, column = (line, index) if by_row else (index, line)
        keep = wanted[column]
        if not keep.any():
            continue
        value = element["data"][start:stop][keep]
        yield _nonzero(row[keep], column[keep], value)


def _of_array(element: Any, wanted: np.ndarray) -> Iterator[Entries]:
    """From a dense array, rows of CHUNK values at a time."""
    first, last = _span(wanted)
    height = max(1, CHUNK // (last - first))
    for start in range(0, element.shape[0], height):
        block = np.asarray(element[start : start + height, first:last])
        if block.dtype.kind not in "biuf":
            raise TypeError(f"found {block.ravel()[0]!r}")
        row, column = np.nonzero(block)
        keep = wanted[column + first]
        yield Entries(row[keep] + start, column[keep] + first, block[row, column][keep])


def _of_frame(element: Any, wanted: np.ndarray) -> Iterator[Entries]:
    """From a data frame, which is stored by columns."""
    from anndata.io import read_elem

    for column in np.flatnonzero(wanted):
        name = element.attrs["column-order"][column]
        values = read_elem(element[name])
        if getattr(values.dtype, "kind", "O") not in "biuf":
            raise TypeError(f"found {values[0]!r} in column {name!r}")
        if not isinstance(values, np.ndarray):  # pandas' own numbers, whose missing ones have no zero
            values = values.to_numpy(dtype=float, na_value=np.nan)
        row = np.flatnonzero(values)
        yield Entries(row, np.full(len(row), column), values[row])


def _span(wanted: np.ndarray) -> tuple[int, int]:
    """First wanted column and the one after the last."""
    at = np.flatnonzero(wanted)
    return int(at[0]), int(at[-1]) + 1


def _nonzero(row: np.ndarray, column: np.ndarray, value: np.ndarray) -> Entries:
    kept = value != 0
    return Entries(row[kept], column[kept], value[kept])

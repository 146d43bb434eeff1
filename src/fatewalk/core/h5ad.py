"""Write an .h5ad file as `anndata.read_h5ad` takes it, without importing anndata, which takes seconds.

The layout is anndata's on-disk format of 2022 (anndata 0.8 and newer). The same content gives the same bytes:
nothing is compressed, and HDF5 keeps no times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd

from fatewalk.core.files import atomic_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TEXT = h5py.string_dtype()


def write_h5ad(
    path: str | Path,
    x: np.ndarray,
    obs: pd.DataFrame,
    var: pd.DataFrame,
    layers: Mapping[str, np.ndarray],
    obsm: Mapping[str, pd.DataFrame],
    uns: Mapping[str, Any],
) -> None:
    """Write an annotated matrix.

    Parameters
    ----------
    path
        The file.
    x : array [n, m]
        The matrix.
    obs, var
        Its rows and columns by name (index), with columns of numbers, text or truth values.
    layers : array [n, m] by name
        Further matrices.
    obsm
        Tables whose rows are those of the matrix.
    uns
        Texts, numbers, arrays of them, and mappings of these.

    Raises
    ------
    FatewalkError
        If the file cannot be written.
    """
    parts = {"X": x, "obs": obs, "var": var, "layers": layers, "obsm": obsm, "uns": uns}
    parts |= {name: {} for name in ("varm", "obsp", "varp")}
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        _mark(file, "anndata", "0.1.0")
        for name in sorted(parts):
            _write(file, name, parts[name])


def _write(group: h5py.Group, name: str, value: Any) -> None:
    """Write one element under its name, with the mark of its kind."""
    if isinstance(value, pd.DataFrame):
        _write_frame(group.create_group(name), value)
    elif hasattr(value, "items"):
        part = group.create_group(name)
        _mark(part, "dict", "0.1.0")
        for key, one in value.items():
            _write(part, key, one)
    elif isinstance(value, str):
        _mark(group.create_dataset(name, data=value, dtype=TEXT), "string", "0.2.0")
    elif np.ndim(value) == 0:
        _mark(group.create_dataset(name, data=value), "numeric-scalar", "0.2.0")
    else:
        array = np.asarray(value)
        if array.dtype.kind in "OUS":
            data = group.create_dataset(name, data=array.astype(object), dtype=TEXT)
            _mark(data, "string-array", "0.2.0")
        else:
            _mark(group.create_dataset(name, data=array), "array", "0.2.0")


def _write_frame(group: h5py.Group, table: pd.DataFrame) -> None:
    """Write a table: a dataset for each column, and one for the names of its rows."""
    _mark(group, "dataframe", "0.2.0")
    group.attrs["_index"] = "_index"
    group.attrs.create("column-order", np.array(list(table.columns), dtype=object), dtype=TEXT)
    _write(group, "_index", table.index.to_numpy(dtype=object))
    for name, column in table.items():
        _write(group, str(name), column.to_numpy())


def _mark(element: h5py.Group | h5py.Dataset, kind: str, version: str) -> None:
    element.attrs["encoding-type"], element.attrs["encoding-version"] = kind, version

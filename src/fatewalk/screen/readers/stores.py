"""Stores of AnnData and MuData (.h5ad, .h5mu, .zarr): their elements by name, read one by one."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fatewalk.core.errors import FatewalkError, quoted
from fatewalk.core.files import opening
from fatewalk.core.foreign import (
    LOOM,
    SEURAT,
    TABLE,
    TABLES,
    TENX,
    foreign_form,
    form_of_content,
    is_zarr,
    suffix_of,
)
from fatewalk.core.names import is_missing
from fatewalk.screen.barcodes import refuse_repeated_cells

if TYPE_CHECKING:
    from collections.abc import Iterator

# what h5py says of a file that is none of its own, and what that means
_HDF5 = {
    "signature not found": "it is no HDF5 file",
    "truncated": "it is cut off: copy or write it again",
}
# elements that files of other forms have
SIGNS = {"matrix/barcodes": TENX, "row_attrs": LOOM, "meta.data": SEURAT}


class Part:
    """One AnnData in a store: the file itself, a modality of a MuData file, or what all of these share.

    Attributes
    ----------
    group
        Group of the file.
    path
        The file, for messages.
    name
        Name of the modality, else empty.
    """

    def __init__(self, group: Any, path: str, name: str = "") -> None:
        self.group, self.path, self.name = group, path, name

    @property
    def where(self) -> str:
        """File and modality, for messages."""
        return f"{self.path}: modality {self.name!r}" if self.name else self.path

    @functools.cached_property
    def obs(self) -> pd.DataFrame:
        """Table of the cells."""
        return self._table("obs")

    @functools.cached_property
    def var(self) -> pd.DataFrame:
        """Table of the variables, which a file may lack."""
        return self._table("var") if "var" in self.group else pd.DataFrame()

    @functools.cached_property
    def cell_id(self) -> pd.Index:
        """Names of the cells, each once, as text."""
        names = self.obs.index.astype(str)
        refuse_repeated_cells(names, self.where)
        return names

    def keys(self, group: str) -> list[str]:
        """Names of the elements of obsm, uns or layers."""
        if group not in self.group:
            return []
        members = list(self.group["mod"].keys()) if "mod" in self.group else []  # whose cells are where
        return [key for key in self.group[group].keys() if group != "obsm" or key not in members]  # noqa: SIM118

    def read(self, name: str) -> Any:
        """Read one element."""
        import anndata

        try:
            return anndata.io.read_elem(self.group[name])
        except MemoryError:
            raise
        except Exception as error:  # whatever the reader raises, the user needs the element's name
            raise FatewalkError(
                f"{self.where}: {name} cannot be read: it is damaged, or of a newer anndata than this one, "
                f"{version('anndata')}; copy the file again, or write it again with this anndata"
            ) from error

    def obsm(self, key: str) -> Any:
        """A matrix of the cells, [N, any]."""
        matrix = self.read(f"obsm/{key}")
        if getattr(getattr(matrix, "dtype", None), "names", None):  # an array whose columns have names
            matrix = pd.DataFrame(np.ravel(matrix))
        self.refuse_rows(f"obsm[{key!r}]", matrix.shape[0])
        return matrix

    def refuse_rows(self, element: str, rows: int) -> None:
        """Refuse an element that has not one row for each cell."""
        if rows != len(self.cell_id):
            raise FatewalkError(
                f"{self.where}: {element} has {rows} rows, but the file has {len(self.cell_id)} cells (rows "
                "of obs); write the file again from an AnnData object, which keeps them together"
            )

    def names(self, key: str | None) -> list[str] | None:
        """Categories of an obs column, or a list in uns; None if there is neither."""
        if key in self.obs and isinstance(self.obs[key].dtype, pd.CategoricalDtype):
            return [name for name in map(str, self.obs[key].cat.categories) if not is_missing(name)]
        if key in self.keys("uns"):
            names = self.read(f"uns/{key}")
            listed = np.atleast_1d(np.squeeze(np.asarray(names)))
            if isinstance(names, dict | pd.DataFrame) or listed.ndim > 1:
                raise FatewalkError(
                    f"{self.where}: uns[{key!r}] is a table or a mapping, not a list of names in the order "
                    f"of the columns; in Python: adata.uns[{key!r}] = list(names)"
                )
            return [
                name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in listed
            ]
        return None

    def _table(self, name: str) -> pd.DataFrame:
        table = self.read(name) if name in self.group else None
        if not isinstance(table, pd.DataFrame):
            raise FatewalkError(
                f"{self.where}: has no table {name} as anndata 0.7 and later write it; found: "
                f"{quoted(self.group, 10) or 'nothing'}. If anndata wrote the file, read and "
                "write it with a current one"
            )
        return table


@contextmanager
def open_store(path: str) -> Iterator[list[Part]]:
    """Open a store, and give its parts: the AnnData; of MuData the modalities, and last what they share.

    Raises
    ------
    FatewalkError
        If there is no such file, or it is of a form that is not read.
    """
    with _open(path) as file:
        try:
            if form := _form_of(file):
                raise _foreign(path, form)
            names = list(file["mod"].keys()) if "mod" in file else []
            parts = [*(Part(file[f"mod/{name}"], path, name) for name in names), Part(file, path)]
            for part in parts:
                part.cell_id  # noqa: B018 - each must have a table of its cells
            yield parts
        except Exception as error:
            if not _is_of_the_file(error):
                raise
            raise FatewalkError(
                f"{path}: is damaged or incomplete; copy it again, or write it again from the object"
            ) from error


def _form_of(file: Any) -> tuple[str, str] | None:
    """Tell a file of another form by its elements; None if it may be AnnData or MuData."""
    form = next((form for sign, form in SIGNS.items() if sign in file), None)
    if form is None and "obs" not in file and any(f"{name}/barcodes" in file for name in file):
        return TENX  # of Cell Ranger before version 3, by genome
    return form


def _is_of_the_file(error: BaseException) -> bool:
    """Whether an exception comes from the libraries that read a file, and not from here or from memory."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    library = at.tb_frame.f_globals.get("__name__", "").partition(".")[0] if at else ""
    return library in {"h5py", "zarr", "anndata"} and not isinstance(error, MemoryError)


@contextmanager
def _open(path: str) -> Iterator[Any]:
    import h5py

    if not Path(path).exists():
        raise FatewalkError(f"{path}: no such file; correct the path")
    if suffix_of(path) in TABLES:
        raise FatewalkError(f"{path}: is {TABLE[0]}; {TABLE[1]}")
    if form := foreign_form(path):
        raise _foreign(path, form)
    if Path(path).is_dir():
        yield _open_zarr(path)
        return
    try:
        with opening(path):
            file = h5py.File(path, "r")
    except OSError as error:
        if "signature not found" in str(error) and (form := form_of_content(Path(path))):
            raise _foreign(path, form) from error
        meaning = next((words for sign, words in _HDF5.items() if sign in str(error)), str(error))
        raise FatewalkError(f"{path}: cannot be read as .h5ad or .h5mu: {meaning}") from error
    with file:
        yield file


def _open_zarr(path: str) -> Any:
    if not is_zarr(Path(path)):
        raise FatewalkError(
            f"{path}: is a folder, and no zarr store (it holds neither .zgroup nor zarr.json); name an .h5ad "
            "or .h5mu file, or the folder that adata.write_zarr wrote"
        )
    try:
        import zarr
    except ImportError as error:
        raise FatewalkError(
            f"{path}: is a zarr store, and the package zarr is not installed: pip install zarr, or in "
            f"Python anndata.io.read_zarr({path!r}).write_h5ad('screen.h5ad') where it is"
        ) from error
    return zarr.open_group(path, mode="r")


def _foreign(path: str, form: tuple[str, str]) -> FatewalkError:
    what, how = form
    return FatewalkError(f"{path}: is {what}; allowed: .h5ad, .h5mu, .zarr. To turn it into one: {how}")

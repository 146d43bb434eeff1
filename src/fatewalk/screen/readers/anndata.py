"""AnnData files (.h5ad), with the fate probabilities that CellRank leaves in them.

Only the elements that are asked for are read, straight from the file: ``anndata.read_h5ad`` would
load layers and graphs even in backed mode. CellRank 2 writes its Lineage into
``obsm['lineages_fwd']`` as a bare array; its column names survive only as the categories of
``obs['term_states_fwd']``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import scipy.sparse as sp
from pydantic import Field, model_validator

from fatewalk.config.datasets import Covariates, Dataset
from fatewalk.core.errors import FatewalkError, first_few
from fatewalk.core.files import opening
from fatewalk.screen.raw import RawScreen
from fatewalk.screen.readers.tenx import read_protospacer_calls
from fatewalk.screen.text import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence


class AnnDataDataset(Dataset):
    """``{anndata: screen.h5ad, guide_map: guides.csv, ...keys...}``."""

    key: ClassVar = "anndata"
    kind: ClassVar = "AnnData"
    about: ClassVar = "an AnnData file with CellRank output"
    example: ClassVar = "screen"
    files: ClassVar = ("anndata", "protospacer_calls", "guide_map")
    suffixes: ClassVar = (".h5ad",)

    anndata: str = Field(
        examples=["screen.h5ad"], description="path of the .h5ad file; its X and layers are never read"
    )
    guide_map: str = Field(examples=["guides.csv"], description="table guide_name, gene_name, is_ntc")
    fate_key: str = Field(
        "lineages_fwd", description="obsm key of the fate probabilities (here CellRank 2 puts them)"
    )
    fate_names: list[str] | None = Field(
        None, description="names of their columns, if the file does not carry them"
    )
    fate_names_key: str = Field(
        "term_states_fwd",
        description="where the names are, if obsm holds a bare array: a categorical obs column "
        "(CellRank's terminal states) or a list in uns",
    )
    guide_key: str = Field("guide", description="obsm key of the cells x guides matrix (UMI counts or 0/1)")
    guide_names: list[str] | None = Field(
        None, description="names of its columns, if the file does not carry them"
    )
    guide_names_key: str = Field(
        "guide_names", description="uns key of the list of names, if obsm holds a bare matrix"
    )
    protospacer_calls: str | None = Field(
        None, description="10x protospacer_calls_per_cell.csv, instead of guide_key"
    )
    day_key: str = Field("day", description="obs column (or one-column obsm key) of the day: d0, 72hpf, 18.0")
    rep_key: str | None = Field(
        "rep", description="obs column (or one-column obsm key) of the replicate; null: one replicate"
    )
    cluster_key: str | None = Field(
        None, description="obs column (or one-column obsm key) of the cluster: embryo, clone, well"
    )
    burden_key: str | None = Field(
        None,
        description="obs column (or one-column obsm key) of the guide burden; null: distinct guides "
        "called in the cell",
    )
    covariates: Covariates = Field(
        [], description="obs columns (or one-column obsm keys) of cell covariates: numbers or categories"
    )

    @property
    def carried(self) -> list[str]:
        """The covariates that the entry names."""
        return self.covariates

    def read(self) -> RawScreen:
        """Read the screen (`read_anndata`)."""
        return read_anndata(self)

    @model_validator(mode="after")
    def _one_source_of_guides(self) -> AnnDataDataset:
        default = type(self).model_fields["guide_key"].default  # a dumped model states it, too
        if self.protospacer_calls is not None and self.guide_key != default:
            raise ValueError("protospacer_calls: found beside guide_key, allowed: one of the two")
        return self


ENTRY = AnnDataDataset


def read_anndata(dataset: AnnDataDataset) -> RawScreen:
    """Read a screen from an .h5ad file; X and layers are never touched.

    Returns
    -------
    RawScreen
        As found; nothing is dropped.

    Raises
    ------
    FatewalkError
        If the file cannot be read, or a key or the names of fates or guides are missing.
    """
    import h5py

    path = dataset.anndata
    if not Path(path).is_file():
        raise FatewalkError(f"{path}: no such file; correct the path")
    try:
        with opening(path):
            file = h5py.File(path, "r")
    except OSError as error:
        raise FatewalkError(f"{path}: cannot be read as .h5ad: {error}") from error
    with file:
        source = _H5AD(file, path)
        cell_id = source.obs.index.astype(str)
        if cell_id.has_duplicates:
            twice = cell_id[cell_id.duplicated()].unique()
            raise FatewalkError(
                f"{path}: {len(twice)} names of cells occur twice: {first_few(twice)}; call "
                "adata.obs_names_make_unique() before writing the file"
            )
        if dataset.protospacer_calls is None:
            calls, notes = _read_guides(source, dataset, cell_id)
            calls_where = path
        else:
            calls, n_without = read_protospacer_calls(dataset.protospacer_calls)
            calls_where = dataset.protospacer_calls
            notes = [f"{n_without} rows of {calls_where} name no guide."] if n_without else []
        return RawScreen(
            where=path,
            cell_id=pd.Series(cell_id, name="obs_names"),
            day=source.column(dataset.day_key, "day_key"),
            rep=source.column(dataset.rep_key, "rep_key") if dataset.rep_key else None,
            cluster=source.column(dataset.cluster_key, "cluster_key") if dataset.cluster_key else None,
            burden=source.column(dataset.burden_key, "burden_key") if dataset.burden_key else None,
            prob=_read_fates(source, dataset),
            calls=calls,
            calls_where=calls_where,
            notes=notes,
            covariates={name: source.column(name, "covariates") for name in dataset.covariates},
        )


class _H5AD:
    """Elements of an open .h5ad file by name, with errors that name the config key."""

    def __init__(self, file: Any, path: str) -> None:
        self.file, self.path = file, path
        obs = self._read("obs") if "obs" in file else None
        if not isinstance(obs, pd.DataFrame):
            raise FatewalkError(
                f"{path}: has no table obs as anndata 0.7 and later write it; read and write the file "
                "with a current anndata"
            )
        self.obs = obs

    def _read(self, name: str) -> Any:
        from anndata.io import read_elem

        try:
            return read_elem(self.file[name])
        except MemoryError:
            raise
        except Exception as error:  # whatever the reader raises, the user needs the element's name
            raise FatewalkError(f"{self.path}: {name} cannot be read: {error}") from error

    def keys(self, group: str) -> list[str]:
        return list(self.file[group]) if group in self.file else []

    def obsm(self, key: str, option: str) -> Any:
        """A matrix [N, any]: array, sparse or DataFrame."""
        if key not in self.keys("obsm"):
            raise self._absent(key, option, "obsm", self.keys("obsm"))
        return self._read(f"obsm/{key}")

    def column(self, key: str, option: str) -> pd.Series:
        """A column of obs, or the only column of an obsm element, [N]."""
        if key in self.obs:
            return self.obs[key].reset_index(drop=True)
        if key not in self.keys("obsm"):
            raise self._absent(key, option, "obs", list(self.obs.columns))
        table = pd.DataFrame(self._read(f"obsm/{key}"))
        if table.shape[1] != 1:
            raise FatewalkError(
                f"{self.path}: obsm[{key!r}] has {table.shape[1]} columns, {option} needs one; set it to "
                f"a column of obs: {', '.join(map(str, self.obs.columns))}"
            )
        return table.iloc[:, 0].reset_index(drop=True).rename(key)

    def names(self, key: str) -> list[str] | None:
        """Categories of an obs column, or a list in uns; None if there is neither."""
        if key in self.obs and isinstance(self.obs[key].dtype, pd.CategoricalDtype):
            return [str(name) for name in self.obs[key].cat.categories]
        if key in self.keys("uns"):
            return [str(name) for name in np.atleast_1d(self._read(f"uns/{key}"))]
        return None

    def _absent(self, key: str, option: str, group: str, found: list[str]) -> FatewalkError:
        unset = ", or to null" if option == "rep_key" else ""
        return FatewalkError(
            f"{self.path}: {group}[{key!r}] is missing{nearest(key, found)}; found in {group}: "
            f"{', '.join(map(str, found)) or 'nothing'}. Set {option} to the right key{unset}"
        )


def _column_names(
    source: _H5AD, matrix: Any, configured: Sequence[str] | None, key: str, option: str
) -> list[str] | None:
    """Names of a matrix's columns: its own, else those configured, else those in the file."""
    own = [str(name) for name in matrix.columns] if isinstance(matrix, pd.DataFrame) else None
    if own and configured and own != list(configured):
        raise FatewalkError(
            f"{source.path}: {option} lists {first_few(configured, 10)}, but the columns of the data frame "
            f"are {first_few(own, 10)}; leave {option} out"
        )
    names = own or configured or source.names(key)
    if names is not None and len(names) != matrix.shape[1]:
        origin = option if configured else f"{key!r}"
        raise FatewalkError(
            f"{source.path}: {matrix.shape[1]} columns, but {origin} gives {len(names)} names "
            f"({first_few(names, 10)}); set {option} to the names in the order of the columns"
        )
    return None if names is None else list(names)


def _read_fates(source: _H5AD, dataset: AnnDataDataset) -> pd.DataFrame:
    """Fate probabilities [N, F], named."""
    matrix = source.obsm(dataset.fate_key, "fate_key")
    names = _column_names(source, matrix, dataset.fate_names, dataset.fate_names_key, "fate_names")
    place = f"{source.path}: obsm[{dataset.fate_key!r}]"
    if names is None:
        raise FatewalkError(
            f"{place} is an array without names of the fates, and there is no categorical "
            f"obs[{dataset.fate_names_key!r}] nor uns[{dataset.fate_names_key!r}]. Set fate_names_key to "
            "the obs column of the terminal states (CellRank 2: term_states_fwd; CellRank 1: "
            "terminal_states), or fate_names to the names in the order of the columns"
        )
    if dataset.fate_names is None and names == [str(i) for i in range(len(names))]:
        raise FatewalkError(
            f"{place}: the fates are named {first_few(names)}, which is what remains when their names are "
            "lost. Set fate_names to the names in the order of the columns, or fate_names_key to the obs "
            "column of the terminal states"
        )
    values = matrix.toarray() if hasattr(matrix, "toarray") else np.asarray(matrix)
    return pd.DataFrame(values, columns=names)


def _read_guides(source: _H5AD, dataset: AnnDataDataset, cell_id: pd.Index) -> tuple[pd.DataFrame, list[str]]:
    """Guide calls in long form: every value above zero of the cells x guides matrix."""
    matrix = source.obsm(dataset.guide_key, "guide_key")
    names = _column_names(source, matrix, dataset.guide_names, dataset.guide_names_key, "guide_names")
    place = f"{source.path}: obsm[{dataset.guide_key!r}]"
    if names is None:
        raise FatewalkError(
            f"{place} is a matrix without names of the guides, and there is no list "
            f"uns[{dataset.guide_names_key!r}]; set guide_names_key or guide_names"
        )
    if repeated := pd.Index(names)[pd.Index(names).duplicated()].unique().tolist():
        raise FatewalkError(f"{place}: guide {first_few(repeated)} stands in several columns; keep one")
    try:
        calls = sp.coo_array(matrix)
        value = calls.data.astype(float)  # [E]
    except (TypeError, ValueError) as error:
        raise FatewalkError(f"{place} must hold numbers, UMI counts or 0/1: {error}") from error
    if not (np.isfinite(value).all() and (value >= 0).all()):
        raise FatewalkError(
            f"{place} holds missing or negative values; it must hold UMI counts or 0/1, not normalised values"
        )
    keep = value > 0
    table = pd.DataFrame(
        {
            "cell_id": pd.Categorical.from_codes(calls.row[keep], categories=cell_id),
            "guide": pd.Categorical.from_codes(calls.col[keep], categories=pd.Index(names)),
        }
    )
    value = value[keep]
    whole = bool((value % 1 == 0).all())
    if whole and (value > 1).any():
        table["umi"] = value
    return table, [] if whole else [f"{place} holds no counts: each value above 0 is taken as a call."]

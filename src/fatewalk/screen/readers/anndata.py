"""AnnData and MuData files (.h5ad, .h5mu, .zarr), with the fate probabilities that CellRank leaves in them.

Only the elements that are asked for are read, straight from the file: ``anndata.read_h5ad`` would
load layers and graphs even in backed mode. CellRank 2 writes its Lineage into
``obsm['lineages_fwd']`` as a bare array; its column names survive only as the categories of
``obs['term_states_fwd']``. In MuData each element comes from the modality that holds it, and cells are
matched by name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from fatewalk.config.datasets import GUIDE_MAP_TEXT, NTC_NAMES_TEXT, Covariates, Dataset, NtcNames
from fatewalk.core.errors import FatewalkError, nearest, quoted
from fatewalk.screen.raw import RawScreen
from fatewalk.screen.readers.guide_places import Place, find_guides, guide_variables
from fatewalk.screen.readers.guides import Found, read_guides
from fatewalk.screen.readers.stores import open_store
from fatewalk.screen.readers.tenx import read_protospacer_calls
from fatewalk.screen.terminal import TERMINAL_STATES, check_terminal
from fatewalk.screen.unused_columns import note_unused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fatewalk.screen.readers.stores import Part


class AnnDataDataset(Dataset):
    """``{anndata: screen.h5ad, guide_map: guides.csv, ...keys...}``."""

    key: ClassVar = "anndata"
    kind: ClassVar = "AnnData"
    about: ClassVar = "an AnnData or MuData file with CellRank output"
    example: ClassVar = "screen"
    files: ClassVar = ("anndata", "guide_anndata", "protospacer_calls", "guide_map")
    suffixes: ClassVar = (".h5ad", ".h5mu", ".zarr", ".zarr/")

    anndata: str = Field(
        examples=["screen.h5ad"],
        description="path of the .h5ad, .h5mu (MuData) or .zarr file; expression is never read. In MuData a "
        "key may be written modality:key",
    )
    guide_map: str | None = Field(None, description=GUIDE_MAP_TEXT)
    ntc_names: NtcNames = Field(None, description=NTC_NAMES_TEXT)
    fate_key: str = Field(
        "lineages_fwd",
        description="obsm key of the fate probabilities (here CellRank 2 puts them), or a list of several, "
        "of other kernels or seeds: the first is run main, the others are runs of their own",
    )
    fate_names: list[str] | None = Field(
        None, description="names of their columns, if the file does not carry them"
    )
    fate_names_key: str | None = Field(
        "term_states_fwd",
        description="where the names are, if obsm holds a bare array: a categorical obs column "
        "(CellRank's terminal states, whose cells then tell whether the names fit) or a list in uns; null: "
        "no such check",
    )
    guide_key: str | None = Field(
        None,
        description="where the guides are: obsm key of a cells x guides matrix (UMI counts or 0/1), obs "
        "column of their names, modality of MuData, or X or a layer whose variables are guides; null: obsm "
        "key guide, else the one place that can only be theirs",
    )
    guide_names: list[str] | None = Field(
        None, description="names of the matrix's columns, if the file does not carry them"
    )
    guide_names_key: str = Field(
        "guide_names", description="uns key of the list of names, if obsm holds a bare matrix"
    )
    guide_separator: str | None = Field(
        None,
        min_length=1,
        description="what stands between the guides of a cell in an obs column; null: the one of ; | , + "
        "that occurs",
    )
    guide_anndata: str | None = Field(
        None, description="a second .h5ad, whose variables are the guides; cells are matched by name"
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
        for key in ("guide_key", "guide_anndata"):
            if self.protospacer_calls is not None and getattr(self, key) is not None:
                raise ValueError(f"protospacer_calls: found beside {key}, allowed: one of the two")
        return self


ENTRY = AnnDataDataset


def read_anndata(dataset: AnnDataDataset) -> RawScreen:
    """Read a screen from an AnnData or MuData file; expression is never touched.

    Returns
    -------
    RawScreen
        As found; nothing is dropped.

    Raises
    ------
    FatewalkError
        If the file cannot be read, or a key or the names of fates or guides are missing.
    """
    with open_store(dataset.anndata) as parts:
        cells = _cells(parts, dataset.fate_key)
        if cells.holder.cell_id.empty:
            raise FatewalkError(f"{cells.holder.where}: has no cells: its table obs has no rows")
        found, calls_where = _read_guides(parts, dataset, cells.holder.cell_id)
        prob = _read_fates(cells, dataset)
        rep, cluster, burden = (
            cells.column(key, option) if (key := getattr(dataset, option)) else None
            for option in ("rep_key", "cluster_key", "burden_key")
        )
        keys = dataset.day_key, dataset.rep_key
        used = {*keys, dataset.cluster_key, dataset.burden_key, dataset.guide_key, *dataset.covariates}
        unused = note_unused(cells.holder.obs, used, *keys)
        return RawScreen(
            where=dataset.anndata,
            cell_id=pd.Series(cells.holder.cell_id, name="obs_names"),
            day=cells.column(dataset.day_key, "day_key"),
            rep=rep,
            cluster=cluster,
            burden=burden,
            prob=prob,
            calls=found.calls,
            calls_where=calls_where,
            notes=[
                *found.notes,
                *cells.left_out(dataset.day_key),
                *_check_fates(cells, dataset, prob),
                *unused,
            ],
            covariates={name: cells.column(name, "covariates") for name in dataset.covariates},
            guide_map=found.guide_map,
        )


@dataclass(frozen=True)
class _Cells:
    """The cells of a screen: those of the part that holds the fates.

    Attributes
    ----------
    holder
        That part.
    fate_key
        Its obsm key of the fates.
    others
        Further parts of MuData, which may hold columns of the cells: first what all modalities share.
    """

    holder: Part
    fate_key: str
    others: Sequence[Part]

    def column(self, key: str, option: str) -> pd.Series:
        """A column of obs, or the only column of an obsm element, [N]."""
        modality, _, rest = key.partition(":")
        for part in (self.holder, *self.others):
            name = rest if part.name and part.name == modality else key
            if name in part.obs:
                return self._matched(part, part.obs[name], option)
            if name in part.keys("obsm"):
                return self._matched(part, self._only_column(part, name, option), option)
        known = {str(name): None for part in (self.holder, *self.others) for name in part.obs}
        raise _absent(self.holder.path, key, option, "obs", list(known))

    def left_out(self, day_key: str) -> list[str]:
        """Tell of cells with a day that are not in the modality that holds the fates."""
        parts = [part for part in self.others if part.name and day_key in part.obs]
        absent = pd.Index(np.concatenate([[], *(part.cell_id for part in parts)])).unique()
        absent = absent.difference(self.holder.cell_id)
        if absent.empty:
            return []
        return [
            f"{len(absent)} cells of other modalities are left out, because they are not in "
            f"{self.holder.where}, which holds the fates: {quoted(absent)}."
        ]

    def _only_column(self, part: Part, key: str, option: str) -> pd.Series:
        table = pd.DataFrame(part.obsm(key))
        if table.shape[1] != 1:
            raise FatewalkError(
                f"{part.where}: obsm[{key!r}] has {table.shape[1]} columns, {option} needs one; set it to a "
                f"column of obs: {', '.join(map(repr, map(str, part.obs.columns)))}"
            )
        return table.iloc[:, 0].rename(key)

    def _matched(self, part: Part, column: pd.Series, option: str) -> pd.Series:
        """A column of any part in the order of the cells."""
        if part is self.holder:
            return column.reset_index(drop=True)
        at = part.cell_id.get_indexer(self.holder.cell_id)
        if (at < 0).any():
            raise FatewalkError(
                f"{self.holder.where}: {(at < 0).sum()} of {len(at)} cells are not in {part.where}, where "
                f"column {column.name!r} is: {quoted(self.holder.cell_id[at < 0])}; put the "
                f"column into obs of the cells with fates, or set {option} to another one"
            )
        return column.iloc[at].reset_index(drop=True)


def _cells(parts: Sequence[Part], fate_key: str) -> _Cells:
    """The part that holds the fates, and the others."""
    modality, _, rest = fate_key.partition(":")
    holders = [(part, fate_key) for part in parts if fate_key in part.keys("obsm")]
    holders = holders or [
        (part, rest) for part in parts if part.name == modality and rest in part.keys("obsm")
    ]
    modalities = [(part, key) for part, key in holders if part.name]
    if len(modalities) > 1:
        keys = " or ".join(f"{part.name}:{key}" for part, key in modalities)
        raise FatewalkError(
            f"{parts[0].path}: obsm[{fate_key!r}] is in {len(modalities)} modalities; set fate_key to {keys}"
        )
    if not holders:
        found = dict.fromkeys(key for part in parts for key in part.keys("obsm"))
        absent = _absent(parts[0].path, fate_key, "fate_key", "obsm", list(found))
        if len(parts) == 1 and not found and guide_variables(parts[0].var) is not None:
            raise FatewalkError(
                f"{absent}. If this file is of guides alone, name it as guide_anndata, and the file with "
                "days and fates as anndata"
            )
        raise FatewalkError(f"{absent}{_fates_elsewhere(parts, fate_key)}")
    holder, key = holders[0]
    return _Cells(holder, key, [part for part in reversed(parts) if part is not holder])


def _fates_elsewhere(parts: Sequence[Part], fate_key: str) -> str:
    """Where fates are in a form that is not read, and how to bring them into one that is."""
    for part in parts:
        if fate_key in part.obs and not pd.api.types.is_numeric_dtype(part.obs[fate_key]):
            how = f"pandas.get_dummies(adata.obs[{fate_key!r}]).astype(float)"
            return _moved(f"obs[{fate_key!r}] holds labels: if of fates", fate_key, how)
        if columns := _columns_of_fates(part.obs, fate_key):
            found = f"Columns {quoted(columns, 10)} of obs add up to 1 in each cell"
            return _moved(f"{found}: if they are the fates", fate_key, f"adata.obs[{columns}]")
        if fate_key in part.keys("uns"):
            found = f"uns[{fate_key!r}] is not read: if its rows are the cells"
            return _moved(found, fate_key, f"adata.uns[{fate_key!r}]")
    return ""


def _moved(found: str, fate_key: str, how: str) -> str:
    return f". {found}, in Python: adata.obsm[{fate_key!r}] = {how}"


def _columns_of_fates(obs: pd.DataFrame, fate_key: str) -> list[Any]:
    """Columns between 0 and 1 that add up to 1 in each cell: all such, or those that begin with the key."""
    shares = obs[[name for name in obs if pd.api.types.is_float_dtype(obs[name])]]
    shares = shares.loc[:, ((shares >= 0) & (shares <= 1)).all()]
    for columns in (list(shares), [name for name in shares if str(name).startswith(fate_key)]):
        if len(columns) > 1 and np.allclose(shares[columns].sum(axis=1), 1, atol=0.01):
            return columns
    return []


def _absent(path: str, key: str, option: str, group: str, found: Sequence[str]) -> FatewalkError:
    unset = ", or to null" if option in ("rep_key", "cluster_key", "burden_key") else ""
    return FatewalkError(
        f"{path}: {group}[{key!r}] is missing{nearest(key, found)}; found in {group}: "
        f"{', '.join(map(repr, map(str, found))) or 'nothing'}. Set {option} to the right key{unset}"
    )


def _read_guides(parts: Sequence[Part], dataset: AnnDataDataset, cells: pd.Index) -> tuple[Found, str]:
    """The guides and the file that they come from."""
    if (path := dataset.protospacer_calls) is not None:
        calls, n_without = read_protospacer_calls(path)
        return Found(calls, [f"{n_without} rows of {path} name no guide."] if n_without else []), path
    if (path := dataset.guide_anndata) is not None:
        with open_store(path) as others:
            return _of_cells(find_guides(others, dataset, alone=True), dataset, cells), path
    return _of_cells(find_guides(parts, dataset), dataset, cells), dataset.anndata


def _of_cells(place: Place, dataset: AnnDataDataset, cells: pd.Index) -> Found:
    """The guides of a place, with a note of cells that it does not have, of whose guides it says nothing."""
    found = read_guides(place, dataset)
    _refuse_numbers_of_rows(place, cells)
    absent = cells[~cells.isin(place.part.cell_id)]
    if not 0 < len(absent) < len(cells):  # none in common: told, or matched, where names are compared
        return found
    note = (
        f"{len(absent)} of {len(cells)} cells are not in {place.where}, which holds the guides: "
        f"{quoted(absent)}. They count as cells without a guide; leave them out if their "
        "guides were not read."
    )
    return replace(found, notes=[*found.notes, note])


def _refuse_numbers_of_rows(place: Place, cells: pd.Index) -> None:
    """Refuse names that are the numbers of the rows on both sides, where these cannot be the same cells."""
    guides = place.part.cell_id
    if len(guides) != len(cells) and all(
        names.equals(pd.RangeIndex(len(names)).astype(str)) for names in (guides, cells)
    ):
        raise FatewalkError(
            f"{place.where} has {len(guides)} cells and the screen {len(cells)}, and in both they are named "
            "by the numbers of their rows ('0', '1' ...), so that nothing says which cell is which; give the "
            "cells their barcodes as obs_names in both"
        )


def _fate_names(cells: _Cells, matrix: Any, dataset: AnnDataDataset) -> list[str] | None:
    """Names of the fates: the matrix's own, else those configured, else those in the file."""
    own = [str(name) for name in matrix.columns] if isinstance(matrix, pd.DataFrame) else None
    configured, key, where = dataset.fate_names, dataset.fate_names_key, cells.holder.where
    if own and configured and own != list(configured):
        raise FatewalkError(
            f"{where}: fate_names lists {quoted(configured, 10)}, but the columns of the data "
            f"frame are {quoted(own, 10)}; leave fate_names out"
        )
    named = (part.names(key) for part in (cells.holder, *cells.others))
    names = own or configured or next((found for found in named if found is not None), None)
    if names is not None and len(names) != matrix.shape[1]:
        origin = "fate_names" if configured else f"{key!r}"
        raise FatewalkError(
            f"{where}: obsm[{cells.fate_key!r}] has {matrix.shape[1]} columns, but {origin} gives "
            f"{len(names)} names ({quoted(names, 10)}); a subset of cells or fates may have "
            "lost one. Set fate_names to the names in the order of the columns"
        )
    return None if names is None else list(names)


def _read_fates(cells: _Cells, dataset: AnnDataDataset) -> pd.DataFrame:
    """Fate probabilities [N, F], named."""
    matrix = cells.holder.obsm(cells.fate_key)
    names = _fate_names(cells, matrix, dataset)
    place = f"{cells.holder.where}: obsm[{cells.fate_key!r}]"
    if names is None:
        key = dataset.fate_names_key
        nowhere = f", and there is no categorical obs[{key!r}] nor uns[{key!r}]" if key else ""
        raise FatewalkError(
            f"{place} is an array without names of the fates{nowhere}. Set fate_names_key to the obs column "
            "of the terminal states (CellRank 2: term_states_fwd; CellRank 1: terminal_states), or "
            "fate_names to the names in the order of the columns"
        )
    if dataset.fate_names is None and names == [str(i) for i in range(len(names))]:
        raise FatewalkError(
            f"{place}: the fates are named {quoted(names)}, which is what remains when their "
            "names are lost. Set fate_names to the names in the order of the columns, or fate_names_key to "
            "the obs column of the terminal states"
        )
    values = matrix.toarray() if hasattr(matrix, "toarray") else np.asarray(matrix)
    return pd.DataFrame(values, columns=names)


def _check_fates(cells: _Cells, dataset: AnnDataDataset, prob: pd.DataFrame) -> list[str]:
    """Compare the fates with the terminal states in obs, if there are any."""
    obs = cells.holder.obs
    if dataset.fate_names_key is None:
        return []
    found = [name for name in (dataset.fate_names_key, *TERMINAL_STATES) if name in obs]
    if not found:
        return []
    return check_terminal(
        prob,
        obs[found[0]].reset_index(drop=True),
        f"{cells.holder.where}: obsm[{cells.fate_key!r}]",
        "The categories of a column are not always in the order of the probabilities (splitting and "
        "concatenating an object changes it). Set fate_names: {order}, if that is the order of the columns; "
        "if the terminal states are wrong, not the names, set fate_names to these and fate_names_key: null",
    )

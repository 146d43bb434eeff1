"""From the arguments of `fatewalk.fit` to a config; what is in memory goes to files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fatewalk.config.datasets import SimulatedDataset, kinds
from fatewalk.config.messages import Problems, nearest
from fatewalk.config.retired import RETIRED
from fatewalk.config.root import SECTIONS
from fatewalk.core.errors import FatewalkError, first_few
from fatewalk.core.tables import write_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fatewalk.config.datasets import Dataset

SCREEN = "screen"  # name of the one data set


def as_config(
    data: Any, guide_map: Any, guide_calls: Any, keys: Mapping[str, Any], folder: Path
) -> dict[str, Any]:
    """The config of a call, its tables in memory written to ``folder``.

    Raises
    ------
    FatewalkError
        For unknown keys, and arguments that are neither tables nor paths.
    """
    in_memory = hasattr(data, "obsm")
    kind = kinds()["anndata"] if in_memory else _kind_of(data)
    if "guide_calls" not in kind.model_fields and guide_calls is not None:
        raise FatewalkError(
            f"guide_calls: found beside {kind.kind}, which holds its guides (guide_key); allowed: leave it "
            "out, or give 10x calls as protospacer_calls"
        )
    tables = {kind.key, "guide_map", "guide_calls"}
    own = set(kind.model_fields) - set(SimulatedDataset.model_fields) - tables
    of_section = {key: name for name, section in SECTIONS.items() for key in section.model_fields}
    given: dict[str, dict[str, Any]] = {}
    entry: dict[str, Any] = {}
    problems = Problems()
    for key, value in keys.items():
        if key in own:
            entry[key] = _path(key, value, folder) if key in kind.files else value
        elif key in of_section:
            given.setdefault(of_section[key], {})[key] = value
        else:
            problems.add(f"{key}: {_advice(key, [*own, *of_section])}")
    problems.raise_if_any("keywords")
    given_files = {"guide_map": guide_map, "guide_calls": guide_calls}
    files = {key: value for key, value in given_files.items() if value is not None}
    if not in_memory:
        files[kind.key] = data
    entry |= {key: _path(key, value, folder) for key, value in files.items()}
    if in_memory:
        entry["anndata"] = str(folder / "adata.h5ad")
        checked = problems.validate(kind, entry)
        problems.raise_if_any("keywords")
        assert checked is not None
        _write_anndata(data, checked.model_dump(), folder / "adata.h5ad")
    return {"datasets": {SCREEN: entry}, **given}


def _advice(key: str, known: list[str]) -> str:
    """What to do about a keyword that there is not, or no more."""
    retired = {path.split(".")[-1]: words for path, words in RETIRED.items()}
    return retired.get(key) or f"unknown key{nearest(key, known)}; see docs/configuration.md"


def in_words_of_fit(error: Exception, folder: Path) -> str:
    """The message of a refusal with keywords for keys of a config, and arguments for written files."""
    text = str(error)
    for path in folder.iterdir():
        text = text.replace(str(path), path.stem) if path.is_file() else text
    text = text.replace(f"{folder}/", "").replace("config: ", "keywords: ", 1)
    text = text.replace(f"datasets.{SCREEN}.", "")
    for section, model in SECTIONS.items():
        for key in model.model_fields:
            text = text.replace(f"{section}.{key}", key)
    return text


def _kind_of(data: Any) -> type[Dataset]:
    """The kind of dataset entry that reads a table or a path."""
    if isinstance(data, pd.DataFrame):
        return kinds()["cells"]
    found = (kind for kind in kinds().values() if str(data).endswith(kind.suffixes))
    return next(found, kinds()["cells"])


def _path(key: str, value: Any, folder: Path) -> str:
    """The path of a table; a DataFrame is written, names in its index included."""
    if isinstance(value, str | os.PathLike):
        return str(Path(value).expanduser())
    if not isinstance(value, pd.DataFrame):
        found = "nothing" if value is None else f"an object of type {type(value).__name__}"
        raise FatewalkError(f"{key}: found {found}; allowed: a DataFrame, or the path of a table")
    table = value.set_axis([str(name) for name in value.columns], axis=1).reset_index(drop=True)
    if table.columns.has_duplicates:
        twice = first_few(table.columns[table.columns.duplicated()].unique())
        raise FatewalkError(f"{key}: more than one column has the name {twice}; rename all but one")
    for level, name in enumerate(value.index.names):
        if name is not None and str(name) not in table:
            table.insert(level, str(name), value.index.get_level_values(level))
    path = folder / f"{key}.parquet"
    try:
        write_table(table.assign(**{name: _as_text(table[name]) for name in _mixed(table)}), path)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise FatewalkError(f"{key}: has something that no file takes: {error}") from error
    return str(path)


def _mixed(table: pd.DataFrame) -> list[Any]:
    """Columns of objects that are not all text, which no file takes as they are."""
    objects = [name for name in table if table[name].dtype == object]
    return [
        name
        for name in objects
        if pd.api.types.infer_dtype(table[name], skipna=True) not in ("string", "empty")
    ]


def _as_text(column: pd.Series) -> pd.Series:
    return column.map(str, na_action="ignore")


def _storable(column: pd.Series) -> Any:
    """Values of a column of obs as a file takes them: numbers, text, categories of text."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return pd.Categorical.from_codes(column.cat.codes, column.cat.categories.astype(str))
    if not pd.api.types.is_numeric_dtype(column.dtype):
        return _as_text(column).to_numpy()
    if column.hasnans:
        return column.to_numpy(dtype=float, na_value=np.nan)
    return column.to_numpy()


def _write_anndata(adata: Any, names: Mapping[str, Any], path: Path) -> None:
    """Write what is read of an AnnData object; of the rest the names alone, for messages."""
    from anndata import AnnData

    columns = [names[key] for key in ("day_key", "rep_key", "cluster_key", "burden_key", "fate_names_key")]
    wanted = {*columns, *names["covariates"], names["fate_key"], names["guide_key"]}
    obs = pd.DataFrame(index=adata.obs_names.astype(str))
    for name in adata.obs:
        column = adata.obs[name] if name in wanted else pd.Series("", index=adata.obs_names)
        obs[str(name)] = _storable(column)
    empty = np.empty((len(obs), 0))
    obsm = {
        str(key): _with_names(value, obs.index) if key in wanted else empty
        for key, value in adata.obsm.items()
    }
    listed = (names["fate_names_key"], names["guide_names_key"])
    uns = {key: np.asarray(adata.uns[key]).astype(str) for key in listed if key in adata.uns}
    try:
        AnnData(obs=obs, obsm=obsm, uns=uns).write_h5ad(path)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise FatewalkError(f"the AnnData object has something that no file takes: {error}") from error


def _with_names(matrix: Any, cells: pd.Index) -> Any:
    """A matrix with names of its columns as text; of CellRank's Lineage a file would lose them."""
    names = getattr(matrix, "columns", getattr(matrix, "names", None))
    if names is None:
        return matrix
    return pd.DataFrame(np.asarray(matrix), columns=[str(name) for name in names], index=cells)

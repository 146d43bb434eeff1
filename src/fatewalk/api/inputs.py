"""From the arguments of `fatewalk.fit` to a config; what is in memory goes to files."""

from __future__ import annotations

import io
import os
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fatewalk.config.datasets import SimulatedDataset, kinds
from fatewalk.config.messages import meant_key
from fatewalk.config.retired import RETIRED
from fatewalk.config.root import RootConfig
from fatewalk.config.sections import SECTIONS, PriorsConfig
from fatewalk.core.delimited import UNNAMED
from fatewalk.core.errors import FatewalkError, first_few, quoted
from fatewalk.core.tables import refuse_lists, write_table
from fatewalk.screen.readers.guide_places import (
    ASSIGNMENT,
    guide_variables,
    is_column_of_guides,
    sounds_like_guides,
)
from fatewalk.screen.simulate import SimulatedScreen
from fatewalk.screen.terminal import TERMINAL_STATES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from fatewalk.config.datasets import Dataset
    from fatewalk.config.messages import Problems

SCREEN = "screen"  # name of the one data set
NAMES = ("cell_id", "day", "rep", "fate", "guide", "guide_name", "gene_name")  # columns of single names


def as_config(
    data: Any, guide_map: Any, guide_calls: Any, keys: Mapping[str, Any], folder: Path, problems: Problems
) -> dict[str, Any]:
    """The config of a call, its tables in memory written to ``folder``; ``problems`` takes unknown keys.

    Raises
    ------
    FatewalkError
        For arguments that are neither tables nor paths.
    """
    if isinstance(data, type):
        raise FatewalkError(f"data: found the class {data.__name__}; allowed: an object of it, or a path")
    kind = kinds()["anndata"] if hasattr(data, "obsm") else _kind_of(data)
    _refuse_calls(kind, data, guide_calls)
    tables = {kind.key, "guide_map", "guide_calls"}
    own = set(kind.model_fields) - set(SimulatedDataset.model_fields) - tables
    of_section = _keywords()
    given: dict[str, dict[str, Any]] = {}
    entry: dict[str, Any] = {}
    objects = {"anndata": data} if hasattr(data, "obsm") else {}
    for key, value in keys.items():
        if isinstance(value, set | frozenset):
            problems.add(f"{key}: found a set, which has no order; allowed: a list")
            value = list(value)
        if key in own and hasattr(value, "obsm"):
            objects[key] = value
        elif key in own:
            entry[key] = _path(key, value, folder) if key in kind.files and value is not None else value
        elif key in of_section:
            section, name = of_section[key]
            given.setdefault(section, {})[name] = value
        else:
            problems.add(f"{key}: {_advice(key, [*own, *of_section])}")
    given_files = {"guide_map": guide_map, "guide_calls": guide_calls}
    files = {key: value for key, value in given_files.items() if value is not None}
    if "anndata" not in objects:
        files[kind.key] = data
    entry |= {key: _path(key, value, folder) for key, value in files.items()}
    paths = {key: folder / f"{'adata' if key == 'anndata' else key}.h5ad" for key in objects}
    entry |= {key: str(path) for key, path in paths.items()}
    if objects and (checked := problems.validate(kind, entry, f"datasets.{SCREEN}")):
        for key, path in paths.items():
            _write_anndata(objects[key], checked.model_dump(), path, of_guides=key == "guide_anndata")
    return {"datasets": {SCREEN: entry}, **given}


def _refuse_calls(kind: type[Dataset], data: Any, guide_calls: Any) -> None:
    """Refuse guide calls beside a file that holds its own, and tables of cells without any."""
    if "guide_calls" not in kind.model_fields and guide_calls is not None:
        raise FatewalkError(
            f"guide_calls: found beside {kind.kind}, which holds its guides (guide_key); allowed: leave it "
            "out, or give 10x calls as protospacer_calls"
        )
    is_path = isinstance(data, str | os.PathLike)
    if is_path and str(data).endswith((".yaml", ".yml")):
        raise FatewalkError(
            f"{data}: is a config by its ending, and that is for snakemake; give its files and keys by "
            "themselves: fit('cells.csv', 'guides.csv', 'calls.csv', fates=[...])"
        )
    if is_path and str(data) and "guide_calls" in kind.model_fields and guide_calls is None:
        raise FatewalkError(
            f"{data}: is taken for a table of cells by its ending; allowed: guide_calls beside it, or a "
            f"screen in one file: {', '.join(one for one in kinds()['anndata'].suffixes if one[-1] != '/')}"
        )


def _advice(key: str, known: list[str]) -> str:
    """What to do about a keyword that there is not, or no more."""
    if key in SECTIONS:
        first = next(iter(SECTIONS[key].model_fields))
        return f"is a section of a config; give its keys by themselves: {first}=..."
    if key in PriorsConfig.model_fields:
        return f"is a prior; write priors={{{key!r}: ...}}"
    if key in RootConfig.model_fields:
        return "is a key of the workflow alone; leave it out. result.save(folder) keeps the files"
    retired = {path.split(".")[-1]: words for path, words in RETIRED.items()}
    return retired.get(key) or f"unknown key{meant_key(key, known)}; see docs/configuration.md"


def in_words_of_fit(error: Exception, folder: Path) -> str:
    """The message of a refusal with keywords for keys of a config, and arguments for written files."""
    text = str(error)
    for path in folder.iterdir():
        text = text.replace(str(path), path.stem) if path.is_file() else text
    text = text.replace(f"{folder}/", "").replace(f"datasets.{SCREEN}.", "")
    text = text.replace(f"the data of datasets.{SCREEN} have", "the data have")
    text = re.sub(r"(?<!['\"\w])null(?!['\"\w])", "None", text)
    for keyword, (section, key) in _keywords().items():
        text = text.replace(f"{section}.{key}", keyword)
    return text


def _keywords() -> dict[str, tuple[str, str]]:
    """Section and key of each keyword: the key, after its section where an earlier one has it too."""
    found: dict[str, tuple[str, str]] = {}
    for section, model in SECTIONS.items():
        for key in model.model_fields:
            found[f"{section}_{key}" if key in found else key] = (section, key)
    return found


def _kind_of(data: Any) -> type[Dataset]:
    """The kind of dataset entry that reads a table or a path."""
    if isinstance(data, pd.DataFrame):
        return kinds()["cells"]
    found = (kind for kind in kinds().values() if str(data).endswith(kind.suffixes))
    return next(found, kinds()["cells"])


def _path(key: str, value: Any, folder: Path) -> str:
    """The path of a table; a DataFrame is written, names in its index included."""
    if isinstance(value, str | os.PathLike):
        return os.path.expanduser(value)  # noqa: PTH111 (Path raises for a user that there is not)
    if not isinstance(value, pd.DataFrame):
        if isinstance(value, SimulatedScreen):
            raise FatewalkError(
                f"{key}: found a simulated screen; give its tables: fit(screen.cells, screen.guide_map, "
                "screen.guide_calls, fates=[...])"
            )
        found = "nothing" if value is None else f"an object of type {type(value).__name__}"
        mend = "; give that with .to_pandas()" if hasattr(value, "to_pandas") else ""
        raise FatewalkError(f"{key}: found {found}; allowed: a DataFrame, or the path of a table{mend}")
    table = value.set_axis([str(name) for name in value.columns], axis=1).reset_index(drop=True)
    if table.columns.has_duplicates:
        twice = first_few(table.columns[table.columns.duplicated()].unique())
        raise FatewalkError(f"{key}: more than one column has the name {twice}; rename all but one")
    table = _with_index(table, value.index, key)
    for name in table.columns.intersection(list(NAMES)):
        refuse_lists(table[name], key)
    dense = {str(name): np.asarray(table[name]) for name in table if _is_sparse(table[name])}
    table = table.assign(**dense)
    path = folder / f"{key}.parquet"
    try:
        write_table(table.assign(**{name: _as_text(table[name]) for name in _mixed(table)}), path)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise FatewalkError(
            f"{key}: has something that no file takes, in column {quoted(_unfit(table))}; "
            "leave it out, or turn it into numbers or text"
        ) from error
    return str(path)


def _with_index(table: pd.DataFrame, index: pd.Index, key: str) -> pd.DataFrame:
    """A table with the names of its rows as columns, unless they are numbers of rows."""
    for level, name in enumerate(index.names):
        if name is None:
            continue
        rows = index.get_level_values(level)
        if str(name) not in table:
            table.insert(level, str(name), rows)
        elif not (table[str(name)].to_numpy() == rows.to_numpy()).all():
            raise FatewalkError(
                f"{key}: its index and a column have the name {str(name)!r} and differ: "
                f"{rows[0]!r} and {table[str(name)].iloc[0]!r} in row 1; keep one, such as "
                "table.reset_index(drop=True)"
            )
    if index.names == [None] and not pd.api.types.is_numeric_dtype(index.dtype):
        table.insert(0, UNNAMED, index)
    return table


def _unfit(table: pd.DataFrame) -> list[str]:
    """Columns that Parquet does not take."""
    names = []
    for name in table:
        try:
            table[[name]].to_parquet(io.BytesIO())
        except (TypeError, ValueError, NotImplementedError):  # of which those of pyarrow are
            names.append(str(name))
    return names


def _mixed(table: pd.DataFrame) -> list[Any]:
    """Columns that no file takes as they are: objects that are not all text, complex numbers, intervals."""
    odd = [name for name in table if table[name].dtype.kind == "c" or _is_of_intervals(table[name])]
    objects = [name for name in table if table[name].dtype == object]
    return odd + [
        name
        for name in objects
        if pd.api.types.infer_dtype(table[name], skipna=True) not in ("string", "empty")
    ]


def _is_sparse(column: pd.Series) -> bool:
    return isinstance(column.dtype, pd.SparseDtype)


def _is_of_intervals(column: pd.Series) -> bool:
    """What pandas.cut makes."""
    values = getattr(column.dtype, "categories", None)
    return isinstance(column.dtype if values is None else values.dtype, pd.IntervalDtype)


def _as_text(column: pd.Series) -> pd.Series:
    return column.map(_text_of, na_action="ignore")


def _text_of(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)  # bytes: by h5py


def _storable(column: pd.Series) -> Any:
    """Values of a column of obs as a file takes them: numbers, text, categories of text."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return pd.Categorical.from_codes(column.cat.codes, column.cat.categories.astype(str))
    if not pd.api.types.is_numeric_dtype(column.dtype):
        return _as_text(column).to_numpy()
    if column.hasnans:
        return column.to_numpy(dtype=float, na_value=np.nan)
    return column.to_numpy()


def _write_anndata(data: Any, names: Mapping[str, Any], path: Path, of_guides: bool) -> None:
    """Write what is read of an AnnData or MuData object; of the rest the names alone, for messages."""
    import h5py
    from anndata.io import write_elem

    options = ("day_key", "rep_key", "cluster_key", "burden_key", "fate_key", "fate_names_key", "guide_key")
    keys = [names[option] for option in options] + names["covariates"]
    wanted = set(TERMINAL_STATES)
    wanted |= {part for key in keys if key for part in (key, key.partition(":")[2])}  # modality:key in MuData
    listed = (names["fate_names_key"], names["guide_names_key"])
    try:
        with h5py.File(path, "w") as file:
            modalities = dict(getattr(data, "mod", {}))
            write_elem(file, "/", _read_of(data, wanted, listed, of_guides, skip=modalities))
            for name, adata in modalities.items():
                part = _read_of(adata, wanted, listed, sounds_like_guides(name) or name in wanted)
                write_elem(file, f"mod/{name}", part)
    except FatewalkError:
        raise
    except (TypeError, ValueError, NotImplementedError) as error:
        raise FatewalkError(f"the AnnData object has something that no file takes: {error}") from error


def _read_of(
    adata: Any,
    wanted: Collection[str],
    listed: Collection[str],
    of_guides: bool = False,
    skip: Collection[str] = (),
) -> Any:
    """An AnnData object with what is read of another, or of what the modalities of MuData share.

    Parameters
    ----------
    adata
        The object.
    wanted
        Names of columns and elements that are read.
    listed
        Names of lists in uns that are read.
    of_guides
        Its variables are guides.
    skip
        Elements of obsm that say which cells a modality has.
    """
    from anndata import AnnData

    obs = pd.DataFrame(index=adata.obs_names.astype(str))
    repeated = set(adata.obs.columns[adata.obs.columns.duplicated()])
    no_fates = not any(key in wanted for key in adata.obsm)  # they may be columns of obs
    for name in adata.obs:
        read = name in wanted or is_column_of_guides(name) or name == "num_umis"
        read |= no_fates and pd.api.types.is_float_dtype(adata.obs[name])
        if read and name in repeated:
            raise FatewalkError(f"obs: more than one column has the name {name!r}; rename all but one")
        obs[str(name)] = _storable(adata.obs[name] if read else pd.Series("", index=adata.obs_names))
    empty = np.empty((len(obs), 0))
    obsm = {
        str(key): _with_names(str(key), value, obs.index)
        if key in wanted or sounds_like_guides(key)
        else empty
        for key, value in adata.obsm.items()
        if key not in skip
    }
    uns = {key: _listed(adata.uns[key]) for key in listed if key in adata.uns}
    if skip:
        return AnnData(obs=obs, obsm=obsm, uns=uns)
    layers = {key: value for key, value in adata.layers.items() if key in wanted or key == ASSIGNMENT}
    is_guide = guide_variables(adata.var)
    with_x = (is_guide is not None or of_guides or "X" in wanted) and _has_x(adata)
    if not (with_x or layers):
        return AnnData(obs=obs, obsm=obsm, uns=uns)
    columns = np.arange(adata.n_vars) if is_guide is None else np.flatnonzero(is_guide)
    var = pd.DataFrame(index=adata.var_names[columns].astype(str))
    for name in adata.var:
        var[str(name)] = _storable(adata.var[name].iloc[columns])
    return AnnData(
        X=adata.X[:, columns] if with_x else None,
        obs=obs,
        var=var,
        obsm=obsm,
        uns=uns,
        layers={key: value[:, columns] for key, value in layers.items()},
    )


def _has_x(adata: Any) -> bool:
    """Whether there is an X, which an object on disk fails to say of itself."""
    return "X" in adata.file if adata.isbacked else adata.X is not None


def _listed(names: Any) -> Any:
    """A list of names as text; what is no list is refused where it is read."""
    if isinstance(names, set | frozenset):
        raise FatewalkError("uns: found a set for a list of names, and a set has no order; allowed: a list")
    return names if isinstance(names, dict | pd.DataFrame) else np.asarray(names).astype(str)


def _numbers(key: str, matrix: Any) -> np.ndarray:
    """A matrix of objects as numbers."""
    try:
        return np.asarray(matrix).astype(float)
    except (TypeError, ValueError) as error:
        raise FatewalkError(f"obsm[{key!r}] must hold numbers: {error}") from error


def _with_names(key: str, matrix: Any, cells: pd.Index) -> Any:
    """A matrix with names of its columns as text; of CellRank's Lineage a file would lose them."""
    names = getattr(matrix, "columns", getattr(matrix, "names", None))
    if names is None and getattr(getattr(matrix, "dtype", None), "kind", "") == "O":
        return _numbers(key, matrix)
    if names is None:
        return matrix
    table = pd.DataFrame(matrix if isinstance(matrix, pd.DataFrame) else np.asarray(matrix))
    table = table.set_axis([str(name) for name in names], axis=1).set_axis(cells, axis=0)
    if (twice := table.columns[table.columns.duplicated()]).size:
        found = quoted(twice)
        raise FatewalkError(f"obsm[{key!r}]: more than one column has the name {found}; keep one")
    return table.assign(**{str(name): _storable(table[name]) for name in table})

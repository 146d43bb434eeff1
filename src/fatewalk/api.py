"""The chain in one process: for notebooks, and for whoever writes a program around it.

The stages are those of the workflow and write the same files, into a folder that goes with the result unless
it is saved.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fatewalk import plot
from fatewalk.config import Config, SimulateConfig, load_config
from fatewalk.config.datasets import SimulatedDataset, kinds
from fatewalk.config.messages import Problems, nearest
from fatewalk.config.root import MAIN_RUN, SECTIONS
from fatewalk.core.errors import FatewalkError
from fatewalk.core.tables import write_table
from fatewalk.mash import MashError
from fatewalk.run.files import Run
from fatewalk.run.settings import note_settings, sections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from matplotlib.figure import Figure

    from fatewalk.config import RunSettings
    from fatewalk.config.datasets import Dataset
    from fatewalk.screen.simulate import SimulatedScreen

SCREEN = "screen"  # name of the one data set


def fit(data: Any, guide_map: Any, guide_calls: Any = None, **keys: Any) -> Result:
    """Fit a screen and call its hits: the whole chain, from files or from memory.

    Parameters
    ----------
    data
        An AnnData object or the path of an .h5ad file; or the table of cells, a DataFrame or the path of a
        CSV, TSV or Parquet file. The ending of a file tells its format.
    guide_map
        Table guide_name, gene_name, is_ntc: a DataFrame or a path.
    guide_calls
        Beside a table of cells, table cell_id, guide, [umi]: a DataFrame or a path.
    **keys
        Keys of the config, by their names and with their defaults (docs/configuration.md): those of a data
        set (``day_key``, ``fate_key``, ``covariates``...) and of its sections (``fates``, ``ref_fate``,
        ``family``, ``lfsr_day``...).

    Returns
    -------
    Result
        Also of a fit that did not converge if ``require="none"``.

    Raises
    ------
    FatewalkError
        As the workflow does: for wrong keys or values, for tables that cannot be read or do not fit together,
        for a fit that is not to be trusted.

    Notes
    -----
    The generators of torch and numpy, torch's default dtype and threads, and Pyro's parameter store are
    left as they were.

    Examples
    --------
    >>> import fatewalk
    >>> screen = fatewalk.simulate(cells=1500, genes=12, active_genes=6, days=[0, 2], fates=["EC", "NEU"])
    >>> result = fatewalk.fit(
    ...     screen.cells, screen.guide_map, screen.guide_calls, fates=["EC", "NEU"], family="laplace"
    ... )
    >>> result.card["status"]
    'converged'
    >>> list(result.hits().columns[:5])
    ['rank', 'gene', 'contrast', 'reference', 'direction']
    """
    keep = tempfile.TemporaryDirectory(prefix="fatewalk-")
    folder = Path(keep.name)
    try:
        entry, given = _entry(data, guide_map, guide_calls, keys, folder)
        config = load_config({"datasets": {SCREEN: entry}, **given})
        with as_before():
            run = run_chain(config, SCREEN, folder)
    except (FatewalkError, MashError) as error:
        keep.cleanup()
        raise FatewalkError(str(error).replace(f"{folder}/", "")) from None
    except BaseException:
        keep.cleanup()
        raise
    return Result(replace(run, keep=keep))


def load(folder: str | Path) -> Result:
    """Open a finished run of the workflow, or what ``Result.save`` wrote.

    Parameters
    ----------
    folder
        Such as ``results/screen/main``.

    Raises
    ------
    FatewalkError
        If it is no folder of a run.
    """
    return Result(Run.load(Path(folder).expanduser()))


def simulate(**keys: Any) -> SimulatedScreen:
    """Draw a screen from the model, with its truth.

    Parameters
    ----------
    **keys
        Keys of section ``simulate`` of the config, by their names and with their defaults.

    Returns
    -------
    SimulatedScreen
        ``cells``, ``guide_calls`` and ``guide_map`` for `fit`, and the truth.

    Raises
    ------
    FatewalkError
        For wrong keys or values.

    Examples
    --------
    >>> len(simulate(cells=300, genes=5, active_genes=2).cells)
    300
    """
    from fatewalk.screen.simulate import simulate_screen

    problems = Problems()
    config = problems.validate(SimulateConfig, keys, "simulate")
    problems.raise_if_any()
    assert isinstance(config, SimulateConfig)
    return simulate_screen(config)


class Result:
    """A finished run: tables as DataFrames, the fit card, figures.

    Parameters
    ----------
    run
        The run. The temporary folder of a fit is removed when nothing holds the run any more.

    Attributes
    ----------
    plot
        Figures: ``result.plot.heatmap()``, ``result.plot.volcano("NEU")``, ``plot.overview_heatmap()``.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.plot = Plots(run)

    def __repr__(self) -> str:
        sizes = f"{len(self.hits())} hits, fates {', '.join([self.run.reference, *self.run.contrasts])}"
        return f"<fatewalk result: {self.card['status']}, {sizes}, days {', '.join(self.run.days)}>"

    @property
    def folder(self) -> Path:
        """Folder of the run, with all files of docs/outputs.md."""
        return self.run.folder

    @property
    def card(self) -> dict[str, Any]:
        """The fit card: status, stopping rules, dispersion, warnings."""
        card: dict[str, Any] = self.run.json("fit_card.json")
        return card

    @property
    def verdict(self) -> dict[str, Any]:
        """What is to be thought of fit and centring, each with value, limit and words."""
        verdict: dict[str, Any] = self.run.json("verdict.json")
        return verdict

    def hits(self) -> pd.DataFrame:
        """Hits of all contrasts, best first: the columns of hits.csv."""
        return self.run.table("hits.csv").copy()

    def effects(self, level: str = "gene") -> pd.DataFrame:
        """All effects of genes or of guides, a row for each contrast and day.

        Parameters
        ----------
        level
            gene | guide.

        Returns
        -------
        pandas.DataFrame
            The columns of effects.parquet, but for the level, and for the guide where it is that of genes.

        Raises
        ------
        FatewalkError
            For another level.
        """
        if level not in ("gene", "guide"):
            raise FatewalkError(f"level: found {level!r}; allowed: gene, guide")
        table = pd.read_parquet(self.folder / "effects.parquet")
        found = table[table["level"] == level].reset_index(drop=True)
        return found.drop(columns=["level", "guide"] if level == "gene" else ["level"])

    def table(self, name: str, contrast: str | None = None) -> pd.DataFrame:
        """A table of the run by the name of its file (docs/outputs.md), of a contrast or of the run's top."""
        return self.run.table(name, contrast and self.run.choose(contrast)).copy()

    def save(self, folder: str | Path) -> Path:
        """Write the files of the run, for `load` and for other programs.

        Parameters
        ----------
        folder
            New or empty.

        Raises
        ------
        FatewalkError
            If there is something in it.
        """
        folder = Path(folder).expanduser()
        if folder.resolve().is_relative_to(self.folder.resolve()):
            raise FatewalkError(f"{folder}: lies within the result; give a folder elsewhere")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise FatewalkError(f"{folder}: is there already and not empty; give a new folder")
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return folder


class Plots:
    """The figures of a run by name."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def __getattr__(self, name: str) -> Callable[..., Figure]:
        draw = plot.figure(name)

        def of_run(*args: Any, **keys: Any) -> Figure:
            return draw(self._run, *args, **keys)

        of_run.__doc__, of_run.__name__ = draw.__doc__, name
        return of_run

    def __dir__(self) -> list[str]:
        return plot.figure_names(self._run)


def run_chain(config: Config, name: str, folder: Path) -> Run:
    """Run every stage of one data set and its run ``main``.

    Parameters
    ----------
    config
        Checked configuration.
    name
        Of the data set.
    folder
        For everything; the run lies in ``<folder>/<name>/main``.

    Returns
    -------
    Run
        With figures left to be drawn.
    """
    from fatewalk.stages import (
        build_design,
        check_delta,
        export_effects,
        fit_effects,
        fit_mash,
        import_screen,
        publish_design,
        rank_hits,
        simulate_screen,
        summarise_posterior,
    )
    from fatewalk.workflow.kinds import OF_KIND

    dataset, s = config.datasets[name], config.settings(name, MAIN_RUN)
    _refuse_r(s)
    source, design, found, summary, main = (
        folder / name / part for part in ("input", "design", "fit", "summary", MAIN_RUN)
    )
    run = Run(main, s.model.contrasts, s)
    if isinstance(dataset, SimulatedDataset):
        simulate_screen.main(source, dataset.simulate)
    else:
        import_screen.main(source, dataset, s.model.fates)
    build_design.main(source, design, sections(s.read_by("build_design")))
    tables = s.mash.model_dump(include=set(OF_KIND))
    publish_design.main(main, design, found, s.export.draws, run.reference, run.contrasts, tables)
    fit_effects.main(design, found, s, s.fit.threads, resumes=False)
    summarise_posterior.main(design, found, summary, s.export.draws, s.fit.seed, s.fit.threads)
    check_delta.main(run, found, summary)
    export_effects.main(run, summary)
    fit_mash.main(run)
    rank_hits.main(run)
    for stage in ("check_delta", "export_effects", "fit_mash", "rank_hits"):
        note_settings(main, stage, s.read_by(stage))
    return run


def _refuse_r(settings: RunSettings) -> None:
    if settings.mash.engine == "mashr" or settings.mash.compare_engines:
        raise FatewalkError(
            "mash.engine mashr and mash.compare_engines run R as jobs of the workflow; here allowed: engine "
            "python, compare_engines false"
        )


def _entry(
    data: Any, guide_map: Any, guide_calls: Any, keys: Mapping[str, Any], folder: Path
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The dataset entry and the sections of a config; what is in memory goes to files."""
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
            entry[key] = value
        elif key in of_section:
            given.setdefault(of_section[key], {})[key] = value
        else:
            problems.add(f"{key}: unknown key{nearest(key, [*own, *of_section])}; see docs/configuration.md")
    problems.raise_if_any()
    files = {"guide_map": guide_map} | ({} if guide_calls is None else {"guide_calls": guide_calls})
    if in_memory:
        names = {key: entry.get(key, kind.model_fields[key].default) for key in kind.model_fields}
        entry["anndata"] = _write_anndata(data, names, folder / "adata.h5ad")
    else:
        files[kind.key] = data
    return entry | {key: _path(key, value, folder) for key, value in files.items()}, given


def _kind_of(data: Any) -> type[Dataset]:
    """The kind of dataset entry that reads a table or a path."""
    if isinstance(data, pd.DataFrame):
        return kinds()["cells"]
    found = (kind for kind in kinds().values() if str(data).endswith(kind.suffixes))
    return next(found, kinds()["cells"])


def _path(key: str, value: Any, folder: Path) -> str:
    """The path of a table; a DataFrame is written, names in its index included."""
    if not isinstance(value, pd.DataFrame):
        return str(Path(value).expanduser())
    path = folder / f"{key}.parquet"
    table = value.reset_index() if value.index.name else value
    write_table(table.assign(**{name: _as_text(table[name]) for name in _mixed(table)}), path)
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
    if column.dtype == object or pd.api.types.is_datetime64_any_dtype(column.dtype):
        return _as_text(column).to_numpy()
    return column.to_numpy()


def _write_anndata(adata: Any, names: Mapping[str, Any], path: Path) -> str:
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
    return str(path)


def _with_names(matrix: Any, cells: pd.Index) -> Any:
    """A matrix with names of its columns as text; of CellRank's Lineage a file would lose them."""
    names = getattr(matrix, "columns", getattr(matrix, "names", None))
    if names is None:
        return matrix
    return pd.DataFrame(np.asarray(matrix), columns=[str(name) for name in names], index=cells)


@contextlib.contextmanager
def as_before() -> Iterator[None]:
    """Leave generators, torch's dtype and threads, and Pyro's parameters as they were."""
    import pyro
    import torch

    numpy_state = np.random.get_state()  # noqa: NPY002 (the user's global one)
    devices = list(range(torch.cuda.device_count()))
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    store = pyro.get_param_store()
    parameters = store.get_state()
    parameters["params"], parameters["constraints"] = (
        dict(parameters["params"]),
        dict(parameters["constraints"]),
    )
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)
        store.clear()
        store.set_state(parameters)

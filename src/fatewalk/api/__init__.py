"""The chain in one process: for notebooks, and for whoever writes a program around it.

The stages are those of the workflow and write the same files, into a folder that goes with the result unless
it is saved.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import weakref
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fatewalk.api.inputs import SCREEN, as_config, in_words_of_fit
from fatewalk.api.result import Result, folder_of
from fatewalk.config import Config, SimulateConfig, load_config
from fatewalk.config.datasets import SimulatedDataset
from fatewalk.config.messages import Problems
from fatewalk.config.root import MAIN_RUN
from fatewalk.core.errors import FatewalkError, first_few
from fatewalk.mash import MashError
from fatewalk.run.files import Run
from fatewalk.run.manifest import enter
from fatewalk.run.settings import note_settings, sections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fatewalk.config import RunSettings
    from fatewalk.screen.simulate import SimulatedScreen


def fit(data: Any, guide_map: Any = None, guide_calls: Any = None, **keys: Any) -> Result:
    """Fit a screen and call its hits: the whole chain, from files or from memory.

    Parameters
    ----------
    data
        An AnnData or MuData object, or the path of an .h5ad, .h5mu or .zarr file; or the table of cells, a
        DataFrame or the path of a CSV, TSV or Parquet file. The ending of a file tells its format.
    guide_map
        Table guide_name, gene_name, is_ntc: a DataFrame or a path. Without it the map that the screen's own
        file carries, or each guide as a gene of its own, with ``ntc_names`` for the controls.
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
    ['rank', 'gene', 'fate', 'direction', 'active_days']
    """
    keep = _TemporaryFolder()
    problems = Problems("keywords")
    try:
        raw = as_config(data, guide_map, guide_calls, keys, keep.path, problems)
        config = load_config(raw, problems)
        with as_before():
            run = run_chain(config, SCREEN, keep.path)
    except (FatewalkError, MashError) as error:
        words = in_words_of_fit(error, keep.path)
        keep.remove()
        raise FatewalkError(words) from None
    except BaseException:
        keep.remove()
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
    folder = folder_of(folder)
    if not folder.is_dir():
        found = "is a file; give" if folder.exists() else "no such folder; correct the path to"
        raise FatewalkError(f"{folder}: {found} the folder of a run")
    below = ("*", "*/*", "*/*/*")  # of a data set, of results_dir, and beside a config
    marks: list[Path] = next(filter(None, (sorted(folder.glob(f"{one}/run.json")) for one in below)), [])
    runs = [str(path.parent.relative_to(folder)) for path in marks]
    if runs and not (folder / "run.json").exists():
        raise FatewalkError(f"{folder}: is no run but has some: {first_few(runs)}; name one of these folders")
    return Result(Run.load(folder))


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

    problems = Problems("keywords")
    config = problems.validate(SimulateConfig, keys)
    problems.raise_if_any()
    assert isinstance(config, SimulateConfig)
    return simulate_screen(config)


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
        certify,
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
    enter(main, "export_effects", run.made_by("export_effects"))
    fit_mash.main(run)
    enter(main, "fit_mash", run.made_by("fit_mash"))
    certify.main(run, design, found, summary, s.fit.threads)
    enter(main, "certify", run.made_by("certify"))
    rank_hits.main(run, summary)
    for stage in ("check_delta", "export_effects", "fit_mash", "certify", "rank_hits"):
        note_settings(main, stage, s.read_by(stage))
    return run


def _refuse_r(settings: RunSettings) -> None:
    if settings.mash.engine == "mashr" or settings.mash.compare_engines:
        raise FatewalkError(
            "mash.engine mashr and mash.compare_engines run R as jobs of the workflow; here allowed: engine "
            "python, compare_engines false"
        )


class _TemporaryFolder:
    """A folder that goes when nothing holds it any more."""

    def __init__(self) -> None:
        try:
            self.path = Path(tempfile.mkdtemp(prefix="fatewalk-"))
        except OSError as error:
            raise FatewalkError(
                f"no folder for temporary files can be made ({error.strerror or error}); set TMPDIR to one "
                "that can be written to"
            ) from error
        self.remove = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


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
        with torch.random.fork_rng(devices), torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)
        store.clear()
        store.set_state(parameters)

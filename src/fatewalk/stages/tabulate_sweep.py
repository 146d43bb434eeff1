"""Stage ``tabulate_sweep``: the runs of a sweep side by side."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fatewalk.core.tables import write_table
from fatewalk.evaluate.over_runs import OneRun, calls_over_runs, sweep_table
from fatewalk.run.files import Run
from fatewalk.run.manifest import fit_of_run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

log = logging.getLogger(__name__)

OF_TRUTH = ("daywise_confusion.csv", "recovery_by_day.csv")


def main(folder: Path, results: Path, keys: Mapping[str, tuple[str, str]]) -> None:
    """Write what each run of a sweep changes.

    Parameters
    ----------
    folder
        Folder for the tables.
    results
        Folder of the data set, which holds the runs.
    keys
        The key and the value of each run beside ``main``, by its name.
    """
    runs = {name: Run.load(results / name) for name in ("main", *keys)}
    compared = {name: compared_of(run, truth=run.has_truth) for name, run in runs.items()}
    table = sweep_table(compared, keys)
    table.insert(3, "fit", [fit_of_run(run.folder).get("fit", "") for run in runs.values()])
    write_table(table, folder / "sweep.csv")
    write_table(calls_over_runs(compared), folder / "sweep_hits.csv")
    log.info("in: run main and %d runs of the sweep, of %d fits", len(keys), table["fit"].nunique())
    log.info("out: %d to %d hits", table["hits"].min(), table["hits"].max())


def compared_of(run: Run, *, truth: bool) -> OneRun:
    """What is compared of a run: calls whether withheld or not, and its recovery if that is asked for."""
    confusion, recovery = (list(run.tables(name).values()) if truth else () for name in OF_TRUTH)
    return OneRun(run.all_hits, run.effects("gene", "fate"), confusion, recovery)

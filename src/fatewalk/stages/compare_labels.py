"""Stage ``compare_labels``: the runs of the label sets of a data set side by side."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fatewalk.core.errors import quoted
from fatewalk.core.tables import write_table
from fatewalk.evaluate.over_runs import HANGS, label_table
from fatewalk.run.files import Run
from fatewalk.stages.tabulate_sweep import compared_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

log = logging.getLogger(__name__)


def main(folder: Path, results: Path, names: Sequence[str]) -> None:
    """Write how far effects are apart over label sets, and which calls hang on one of them.

    Parameters
    ----------
    folder
        Folder for the table.
    results
        Folder of the data set, which holds the runs.
    names
        Runs of the label sets, ``main`` first.
    """
    runs = {name: Run.load(results / name) for name in names}
    table = label_table({name: compared_of(run, truth=False) for name, run in runs.items()})
    write_table(table, folder / "compare_labels.csv")
    hits = table[table["called_in"] > 0].drop_duplicates(["gene", "fate"])
    alone = hits[hits["mark"] == HANGS]
    log.info("in: %d label sets (%s)", len(names), ", ".join(names))
    log.info("out: %d hits, %d of them in all label sets", len(hits), (hits["called_in"] == len(names)).sum())
    if len(alone):
        which = quoted([f"{gene} on {fate}" for gene, fate in zip(alone["gene"], alone["fate"], strict=True)])
        log.warning("%d hits hang on one label set: %s", len(alone), which)

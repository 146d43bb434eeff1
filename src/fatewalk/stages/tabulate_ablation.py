"""Stage ``tabulate_ablation``: centred against uncentred, over simulated screens."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fatewalk.core.tables import read_own_table, write_table
from fatewalk.evaluate.recovery import ablation_table
from fatewalk.plot import save_figures
from fatewalk.plot.figures.ablation import ablation

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

log = logging.getLogger(__name__)

TABLES = ("daywise_confusion.csv", "recovery_by_day.csv", "qc_theta_beta_offset_by_gene.csv")


def main(folder: Path, runs: Mapping[tuple[str, str], Path]) -> None:
    """Write the table and the figure of the ablation.

    Parameters
    ----------
    folder
        Folder for both.
    runs
        Folder of a contrast by screen and run (``main`` or ``uncentred``).
    """
    tables = [
        {key: read_own_table(of_contrast / name, text=["gene"]) for key, of_contrast in runs.items()}
        for name in TABLES
    ]
    table = ablation_table(*tables)
    write_table(table, folder / "ablation.csv")
    save_figures({"ablation": ablation(table)}, folder)
    log.info("in: %d screens, each centred and uncentred", len({dataset for dataset, _ in runs}))

"""Rule tabulate_sweep: the runs of a sweep side by side."""

from pathlib import Path

import checkout  # noqa: F401

from fatewalk.stages import tabulate_sweep
from fatewalk.workflow.stage import run_stage


def main(snakemake):
    folder = Path(snakemake.output.sweep).parent
    tabulate_sweep.main(
        folder, folder.parent, {run: tuple(key) for run, key in snakemake.params.swept.items()}
    )


run_stage("tabulate_sweep", main, snakemake)  # noqa: F821

"""Rule tabulate_bootstrap: the spread of effects over refits, and the stability of hits."""

from pathlib import Path

import checkout  # noqa: F401

from fatewalk.stages import tabulate_bootstrap
from fatewalk.workflow.stage import run_of, run_stage


def main(snakemake):
    folders = [Path(path).parent for path in snakemake.input.refits]
    fit = folders[0].parent.parent
    tabulate_bootstrap.main(run_of(snakemake), fit, folders, snakemake.params.unit)


run_stage("tabulate_bootstrap", main, snakemake)  # noqa: F821

"""Rule write_index: the runs of a config side by side, with links to their pages."""

from pathlib import Path

import checkout  # noqa: F401

from fatewalk.stages import write_index
from fatewalk.workflow.stage import run_stage


def main(snakemake):
    write_index.main([Path(page).parent for page in snakemake.input.pages], Path(snakemake.output.index))


run_stage("write_index", main, snakemake)  # noqa: F821

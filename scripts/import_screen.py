"""Rule import_screen: a screen of any format to the three input tables."""

from pathlib import Path

import checkout  # noqa: F401

from fatewalk.config.datasets import dataset_kind
from fatewalk.stages import import_screen
from fatewalk.workflow.stage import run_stage


def main(snakemake):
    source, entry = Path(snakemake.output.cells).parent, snakemake.params.entry
    import_screen.main(source, dataset_kind(entry)(**entry), snakemake.params.fates)


run_stage("import_screen", main, snakemake)  # noqa: F821

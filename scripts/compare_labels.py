"""Rule compare_labels: the label sets of a data set side by side."""

from pathlib import Path

import checkout  # noqa: F401

from fatewalk.stages import compare_labels
from fatewalk.workflow.stage import run_stage


def main(snakemake):
    folder = Path(snakemake.output[0]).parent
    compare_labels.main(folder, folder.parent, snakemake.params.runs)


run_stage("compare_labels", main, snakemake)  # noqa: F821

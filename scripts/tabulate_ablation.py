"""Rule tabulate_ablation: centred against uncentred, over simulated screens."""

from pathlib import Path

import checkout  # noqa: F401

from fatewalk.stages import tabulate_ablation
from fatewalk.workflow.stage import run_stage


def main(snakemake):
    keys = [(dataset, run) for dataset in snakemake.params.datasets for run in ("main", "uncentred")]
    folders = [Path(path).parent for path in snakemake.input.confusion]
    tabulate_ablation.main(Path(snakemake.output.ablation).parent, dict(zip(keys, folders, strict=True)))


run_stage("tabulate_ablation", main, snakemake)  # noqa: F821

"""Rule refit_draws: some of the refits of a bootstrap."""

from pathlib import Path

import checkout  # noqa: F401

from fatewalk.stages import refit_draws
from fatewalk.workflow.stage import run_stage


def main(snakemake):
    files, params = snakemake.input, snakemake.params
    design, fit = Path(files.design).parent, Path(files.posterior).parent
    folder = Path(snakemake.output.refits).parent
    unit = snakemake.wildcards.unit
    refit_draws.main(design, fit, folder, unit, params.numbers, params.seed, snakemake.threads)


run_stage("refit_draws", main, snakemake)  # noqa: F821

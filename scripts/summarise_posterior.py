"""Rule summarise_posterior: all that needs rows or draws of a fit, so that later stages need no torch."""

from pathlib import Path

import checkout  # noqa: F401

from fatewalk.stages import summarise_posterior
from fatewalk.workflow.stage import run_stage


def main(snakemake):
    files, params = snakemake.input, snakemake.params
    design, fit = Path(files.design).parent, Path(files.posterior).parent
    summary = Path(snakemake.output.moments).parent
    summarise_posterior.main(design, fit, summary, params.draws, params.seed, snakemake.threads)


run_stage("summarise_posterior", main, snakemake)  # noqa: F821

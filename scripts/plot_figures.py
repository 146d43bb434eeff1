"""Rule plot_figures: an overview of all contrasts, and the full set of the primary one."""

import checkout  # noqa: F401

from fatewalk.stages import plot_figures
from fatewalk.workflow.stage import run_of, run_stage


def main(snakemake):
    plot_figures.main(run_of(snakemake))


run_stage("plot_figures", main, snakemake)  # noqa: F821

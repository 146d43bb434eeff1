"""Rule plot_convergence: loss and drift of the fit, also of one that is then refused."""

import checkout  # noqa: F401

from fatewalk.stages import plot_convergence
from fatewalk.workflow.stage import run_of, run_stage


def main(snakemake):
    plot_convergence.main(run_of(snakemake))


run_stage("plot_convergence", main, snakemake)  # noqa: F821

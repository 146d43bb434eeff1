"""Rule plot_contrast: the full set of figures of one contrast."""

import checkout  # noqa: F401

from fatewalk.stages import plot_contrast
from fatewalk.workflow.stage import run_of, run_stage


def main(snakemake):
    plot_contrast.main(run_of(snakemake), snakemake.wildcards.contrast)


run_stage("plot_contrast", main, snakemake, part=True)  # noqa: F821

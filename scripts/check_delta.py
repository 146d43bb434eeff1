"""Rule check_delta: guide deviations are centred, and mean(beta) equals theta; the verdict on the fit."""

from pathlib import Path

import checkout  # noqa: F401

from fatewalk.stages import check_delta
from fatewalk.workflow.stage import run_of, run_stage


def main(snakemake):
    fit, summary = Path(snakemake.input.card).parent, Path(snakemake.input.moments).parent
    run = run_of(snakemake)
    check_delta.main(run, fit, summary)
    check_delta.draw(run)


run_stage("check_delta", main, snakemake, manifest=False)  # noqa: F821

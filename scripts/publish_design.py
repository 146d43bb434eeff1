"""Rule publish_design: the design of a run, and which fit it uses, in the run's folder."""

from pathlib import Path

import checkout  # noqa: F401

from fatewalk.stages import publish_design
from fatewalk.workflow.stage import run_folder, run_stage


def main(snakemake):
    run, design, params = run_folder(snakemake), Path(snakemake.input.design).parent, snakemake.params
    fit = run.parent / "fits" / params.fit
    publish_design.main(run, design, fit, params.draws, params.reference, params.contrasts, params.mash)


run_stage("publish_design", main, snakemake, manifest=False)  # noqa: F821

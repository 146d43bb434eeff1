"""Rule fit_mash: every table that the built-in engine of multivariate adaptive shrinkage makes."""

import checkout  # noqa: F401

from fatewalk.mash import MashError
from fatewalk.stages import fit_mash
from fatewalk.workflow.stage import run_of, run_stage


def main(snakemake):
    fit_mash.main(run_of(snakemake))


run_stage("fit_mash", main, snakemake, MashError)  # noqa: F821

"""Rule fit_mash: the built-in engine of multivariate adaptive shrinkage, and what the calls need of it."""

import checkout  # noqa: F401

from fatewalk.mash import MashError
from fatewalk.stages import fit_mash
from fatewalk.workflow.stage import run_of, run_stage


def main(snakemake):
    fit_mash.main(run_of(snakemake))


run_stage("fit_mash", main, snakemake, MashError)  # noqa: F821

"""Rule certify: proof on the user's own data, before hits are told."""

from pathlib import Path

import checkout  # noqa: F401

from fatewalk.mash import MashError
from fatewalk.stages import certify
from fatewalk.workflow.stage import run_of, run_stage


def main(snakemake):
    files = snakemake.input
    folders = [Path(file).parent for file in (files.design, files.posterior, files.nulls)]
    certify.main(run_of(snakemake), *folders, snakemake.threads)


run_stage("certify", main, snakemake, MashError)  # noqa: F821

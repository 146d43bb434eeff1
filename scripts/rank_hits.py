"""Rule rank_hits: which gene is active on which day, ranked, and all effects in one table."""

from pathlib import Path

import checkout  # noqa: F401

from fatewalk.mash import MashError
from fatewalk.stages import rank_hits
from fatewalk.workflow.stage import run_of, run_stage


def main(snakemake):
    rank_hits.main(run_of(snakemake), Path(snakemake.input.parts).parent)


run_stage("rank_hits", main, snakemake, MashError, manifest=False)  # noqa: F821

"""Rule evaluate_recovery: calls and estimates of every contrast against the truth, in tables and figures."""

import checkout  # noqa: F401

from fatewalk.stages import evaluate_recovery
from fatewalk.workflow.stage import run_of, run_stage


def main(snakemake):
    evaluate_recovery.main(run_of(snakemake))


run_stage("evaluate_recovery", main, snakemake)  # noqa: F821

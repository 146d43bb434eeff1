"""Rule write_report: the page of a run, one file that needs no other."""

import checkout  # noqa: F401

from fatewalk.stages import write_report
from fatewalk.workflow.stage import run_of, run_stage


def main(snakemake):
    write_report.main(run_of(snakemake))


run_stage("write_report", main, snakemake)  # noqa: F821

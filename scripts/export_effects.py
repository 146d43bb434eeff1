"""Rule export_effects: refuses a bad fit, else writes every table of effects, all contrasts and fates."""

from pathlib import Path

import checkout  # noqa: F401

from fatewalk.stages import export_effects
from fatewalk.workflow.stage import run_of, run_stage


def main(snakemake):
    export_effects.main(run_of(snakemake), Path(snakemake.input.moments).parent)


run_stage("export_effects", main, snakemake)  # noqa: F821

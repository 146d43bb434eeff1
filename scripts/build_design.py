"""Rule build_design: input tables to index tensors, checked and counted."""

from pathlib import Path

import checkout  # noqa: F401

from fatewalk.run.settings import sections
from fatewalk.stages import build_design
from fatewalk.workflow.stage import run_stage


def main(snakemake):
    source, design = Path(snakemake.input.cells).parent, Path(snakemake.output.design).parent
    build_design.main(source, design, sections(snakemake.params.settings))


run_stage("build_design", main, snakemake)  # noqa: F821

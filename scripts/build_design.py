"""Rule build_design: input tables to index tensors, checked and counted."""

import logging
from pathlib import Path

import checkout  # noqa: F401
import pandas as pd

from fatewalk.core.files import write_json
from fatewalk.core.schema import GUIDE_MAP
from fatewalk.core.tables import read_table
from fatewalk.screen.design import build_design, in_words, save_design
from fatewalk.workflow.stage import run_stage, sections

log = logging.getLogger("fatewalk")


def main(snakemake):
    settings = sections(snakemake)
    cells = pd.read_parquet(snakemake.input.cells)
    calls = pd.read_parquet(snakemake.input.guide_calls)
    guide_map = read_table(snakemake.input.guide_map, GUIDE_MAP, text=GUIDE_MAP)
    design, report = build_design(cells, calls, guide_map, settings.design, settings.model.fates)
    for line in in_words(report):
        log.info(line)
    for warning in report["warnings"]:
        log.warning(warning)
    save_design(design, cells["cell_id"], Path(snakemake.output.design).parent)
    write_json(report, snakemake.output.report)


run_stage("build_design", main, snakemake)  # noqa: F821

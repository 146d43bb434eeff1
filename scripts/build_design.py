"""Rule build_design: input tables to index tensors, checked and counted."""

import logging
from pathlib import Path

import pandas as pd

from fatewalk.config import DesignConfig
from fatewalk.design import build_design, save_design
from fatewalk.schema import GUIDE_MAP
from fatewalk.smk import run_stage
from fatewalk.tables import read_table, write_json

log = logging.getLogger("fatewalk")


def main(snakemake):
    cells = pd.read_parquet(snakemake.input.cells)
    calls = pd.read_parquet(snakemake.input.guide_calls)
    guide_map = read_table(snakemake.input.guide_map, GUIDE_MAP, text=GUIDE_MAP)
    config = DesignConfig(**snakemake.params.design)
    design, report = build_design(cells, calls, guide_map, config, snakemake.params.fates)
    for warning in report["warnings"]:
        log.warning(warning)
    save_design(design, cells["cell_id"], Path(snakemake.output.design).parent)
    write_json(report, snakemake.output.report)


run_stage(main, snakemake)  # noqa: F821

"""Rule tabulate_ablation: centred against uncentred, over simulated screens."""

import logging

import checkout  # noqa: F401

from fatewalk.core.tables import read_table, write_table
from fatewalk.evaluate.recovery import ablation_table
from fatewalk.plot import plot_ablation, save_figure
from fatewalk.workflow.stage import run_stage

log = logging.getLogger("fatewalk")


def main(snakemake):
    keys = [(d, run) for d in snakemake.params.datasets for run in ("main", "uncentred")]
    tables = [
        {key: read_table(path, text=["gene"]) for key, path in zip(keys, paths, strict=True)}
        for paths in (snakemake.input.confusion, snakemake.input.recovery, snakemake.input.offset)
    ]
    table = ablation_table(*tables)
    write_table(table, snakemake.output.table)
    save_figure(plot_ablation(table), [snakemake.output.figure, snakemake.output.pdf])
    log.info("in: %d screens, each centred and uncentred", len(snakemake.params.datasets))


run_stage("tabulate_ablation", main, snakemake)  # noqa: F821

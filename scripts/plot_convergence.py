"""Rule plot_convergence: loss and drift of the fit, also of one that is then refused."""

import logging

import checkout  # noqa: F401

from fatewalk.core.files import read_json
from fatewalk.core.tables import read_table
from fatewalk.plot import plot_convergence, save_figure
from fatewalk.workflow.stage import run_stage

log = logging.getLogger("fatewalk")


def main(snakemake):
    trace, card = read_table(snakemake.input.trace), read_json(snakemake.input.card)
    save_figure(plot_convergence(trace, card), [snakemake.output.png, snakemake.output.pdf])
    log.info("in: %d rounds and windows of the fit, status %s", len(trace), card["status"])


run_stage("plot_convergence", main, snakemake)  # noqa: F821

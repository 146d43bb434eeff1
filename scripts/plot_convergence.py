"""Rule plot_convergence: loss and drift of the fit."""

from fatewalk.plot import plot_convergence, save_figure
from fatewalk.smk import run_stage
from fatewalk.tables import read_json, read_table


def main(snakemake):
    figure = plot_convergence(read_table(snakemake.input.trace), read_json(snakemake.input.card))
    save_figure(figure, [snakemake.output.png, snakemake.output.pdf])


run_stage(main, snakemake)  # noqa: F821

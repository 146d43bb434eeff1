"""Rule plot_recovery: estimates of one contrast against the truth."""

from fatewalk.evaluate import truth_for_contrast
from fatewalk.plot import plot_recovery, save_figure
from fatewalk.schema import TRUTH_THETA
from fatewalk.smk import run_stage
from fatewalk.tables import read_json, read_table


def main(snakemake):
    contrast, reference = snakemake.wildcards.contrast, snakemake.params.reference
    gene = read_table(snakemake.input.gene, ["gene"], text=["gene"])
    truth = read_table(snakemake.input.truth, TRUTH_THETA, text=["gene", "fate"])
    truth = truth_for_contrast(truth, contrast, reference)
    days = [day["label"] for day in read_json(snakemake.input.report)["days"]]
    figure = plot_recovery(gene, truth, days, snakemake.params.eps, contrast, reference)
    save_figure(figure, [snakemake.output.png, snakemake.output.pdf])


run_stage(main, snakemake)  # noqa: F821

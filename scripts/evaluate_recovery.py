"""Rule evaluate_recovery: calls and estimates of one contrast against the truth."""

from fatewalk.config import CallsConfig
from fatewalk.evaluate import call_summary, daywise_confusion, recovery_by_day, truth_for_contrast
from fatewalk.schema import TRUTH_THETA
from fatewalk.smk import run_stage
from fatewalk.tables import read_table, write_json, write_table


def main(snakemake):
    out, calls = snakemake.output, CallsConfig(**snakemake.params.calls)
    hits = read_table(snakemake.input.hits, ["gene"], text=["gene", "active_days"])
    gene = read_table(snakemake.input.gene, ["gene"], text=["gene"])
    truth = read_table(snakemake.input.truth, TRUTH_THETA, text=["gene", "fate"])
    against = (snakemake.wildcards.contrast, snakemake.params.reference)
    library = truth_for_contrast(truth, *against)
    called = truth_for_contrast(truth, *against, "theta_gene") if calls.estimand == "gene" else library
    write_table(daywise_confusion(hits, called, calls.effect_size_eps), out.confusion)
    write_table(recovery_by_day(gene, library), out.recovery)
    write_json(call_summary(hits, called, calls), out.summary)


run_stage(main, snakemake)  # noqa: F821

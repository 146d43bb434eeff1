"""Rule evaluate_recovery: calls and estimates of every contrast against the truth, in tables and figures."""

import logging
from pathlib import Path

import checkout  # noqa: F401

from fatewalk.core.files import read_json
from fatewalk.core.schema import TRUTH_THETA
from fatewalk.core.tables import read_table
from fatewalk.evaluate.recovery import call_summary, daywise_confusion, recovery_by_day, truth_for_contrast
from fatewalk.plot import overview_recovery, plot_recovery, save_figures
from fatewalk.workflow.run_files import RunFiles
from fatewalk.workflow.stage import run_folder, run_stage, sections

log = logging.getLogger("fatewalk")


def main(snakemake):
    settings, contrasts = sections(snakemake), snakemake.params.contrasts
    primary, reference, calls = settings.model.contrast_fate, settings.model.ref_fate, settings.calls
    files = RunFiles(run_folder(snakemake), contrasts, primary)
    days = [day["label"] for day in read_json(snakemake.input.report)["days"]]
    truth_theta = read_table(snakemake.input.truth, TRUTH_THETA, text=["gene", "fate"])
    genes, hits = files.read_all("gene_daywise_for_mash.csv"), files.read_all("hits_ranked.csv")
    truth = {contrast: truth_for_contrast(truth_theta, contrast, reference) for contrast in contrasts}
    for contrast in contrasts:
        called = truth_for_contrast(truth_theta, contrast, reference, calls.estimand)
        confusion = daywise_confusion(hits[contrast], called, calls.effect_size_eps)
        files.write(confusion, contrast, "daywise_confusion.csv")
        files.write(recovery_by_day(genes[contrast], truth[contrast]), contrast, "recovery_by_day.csv")
        files.write(call_summary(hits[contrast], called, calls), contrast, "pred_call_summary.json")
        tp, fp, fn = confusion.set_index("day").loc["overall", ["tp", "fp", "fn"]]
        log.info("%s: %d gene-days rightly called, %d wrongly, %d missed", contrast, tp, fp, fn)
    eps = calls.effect_size_eps
    figures = {"recovery": plot_recovery(genes[primary], truth[primary], days, eps, primary, reference)}
    if len(contrasts) > 1:
        figures["overview_recovery"] = overview_recovery(genes, truth, eps, reference)
    save_figures(figures, Path(snakemake.output.recovery).parent)


run_stage("evaluate_recovery", main, snakemake)  # noqa: F821

"""Rule check_delta: guide deviations are centred, and mean(beta) equals theta; the verdict on the fit."""

import logging
from pathlib import Path

import checkout  # noqa: F401

from fatewalk.core.files import copy_file, read_json, write_json
from fatewalk.core.marks import marks_of_card
from fatewalk.diagnostics.centring import delta_mean_table, delta_verdict, offset_table, run_verdict
from fatewalk.estimates.arrays import Moments
from fatewalk.workflow.manifest import STALE, enter, fit_entry, set_aside
from fatewalk.workflow.run_files import RunFiles
from fatewalk.workflow.stage import run_folder, run_stage, sections

log = logging.getLogger("fatewalk")


def main(snakemake):
    out, files, run = snakemake.output, snakemake.input, run_folder(snakemake)
    moments = Moments.load(Path(files.moments))
    card = read_json(files.card)
    marks = marks_of_card(card)
    fit = fit_entry(Path(files.card).parent.name, card)
    if moved := set_aside(run, fit):
        log.info("%d files of another fit were moved to %s", len(moved), run / STALE)
    contrasts = moments.contrasts.tolist()
    tables = RunFiles(run, contrasts, sections(snakemake).model.contrast_fate)
    for c, contrast in enumerate(contrasts):
        delta_mean, offset = delta_mean_table(moments, c), offset_table(moments, c)
        tables.write(delta_mean.assign(**marks), contrast, "qc_delta_mean_by_gene.csv")
        tables.write(offset.assign(**marks), contrast, "qc_theta_beta_offset_by_gene.csv")
    for source, target in ((files.card, out.card), (files.trace, out.trace)):
        copy_file(source, target)
    delta = delta_verdict(moments, card["center_delta"])
    verdict = run_verdict(card, delta)
    write_json(verdict, out.verdict)
    enter(run, "check_delta", [Path(path) for path in out], fit)
    log.info("in: %d genes, %d guides, %d contrasts", len(moments.genes), len(moments.guides), len(contrasts))
    log.info("verdict: %s; %s", verdict["fit"]["words"], verdict["delta"]["words"])
    log.info("largest |mean of delta within a gene| %.1e", delta["max_abs_delta_mean"])


run_stage("check_delta", main, snakemake, manifest=False)  # noqa: F821

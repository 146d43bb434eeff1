"""Rule plot_figures: an overview of all contrasts, and the full set of the primary one."""

import logging
from pathlib import Path

import checkout  # noqa: F401
import numpy as np

from fatewalk.core.files import read_json
from fatewalk.plot import (
    notes_of,
    overview_delta,
    overview_heatmap,
    overview_trajectories,
    overview_volcano,
    save_figures,
)
from fatewalk.plot.sets import contrast_figures
from fatewalk.workflow.run_files import RunFiles
from fatewalk.workflow.stage import run_folder, run_stage, sections

log = logging.getLogger("fatewalk")


def main(snakemake):
    settings, inputs, contrasts = sections(snakemake), snakemake.input, snakemake.params.contrasts
    primary, reference, calls = settings.model.contrast_fate, settings.model.ref_fate, settings.calls
    files = RunFiles(run_folder(snakemake), contrasts, primary)
    days = read_json(inputs.report)["days"]
    labels, times = [day["label"] for day in days], [day["time"] for day in days]
    hits, genes = files.read_all("hits_ranked.csv"), files.read_all("gene_daywise_for_mash.csv")
    guides = files.read(primary, "guide_daywise_for_mash.csv")
    with np.load(inputs.delta, allow_pickle=False) as arrays:
        delta = dict(arrays)
    figures = contrast_figures(hits[primary], genes[primary], guides, delta, days, calls, primary, reference)
    if len(contrasts) > 1:
        notes = notes_of(genes[primary])
        figures |= {
            "overview_heatmap": overview_heatmap(hits, labels, times, reference),
            "overview_trajectories": overview_trajectories(genes, hits, labels, times, reference),
            "overview_volcano": overview_volcano(
                hits, labels, calls.effect_size_eps, calls.lfsr_day, reference
            ),
            "overview_delta": overview_delta(
                delta["delta_mean"], delta["delta_sd"], delta["genes"].tolist(),
                genes[primary]["gene"].tolist(), delta["contrasts"].tolist(), reference, notes=notes,
            ),
        }  # fmt: skip
    folder = Path(snakemake.output.figures[0]).parent
    save_figures(figures, folder)
    log.info("in: %d contrasts; out: %d figures in %s", len(contrasts), len(figures), folder)


run_stage("plot_figures", main, snakemake)  # noqa: F821

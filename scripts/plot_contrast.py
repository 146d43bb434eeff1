"""Rule plot_contrast: the full set of figures of one contrast."""

import logging
from pathlib import Path

import checkout  # noqa: F401
import numpy as np

from fatewalk.core.files import read_json
from fatewalk.plot import save_figures
from fatewalk.plot.sets import contrast_figures
from fatewalk.workflow.run_files import RunFiles
from fatewalk.workflow.stage import run_folder, run_stage, sections

log = logging.getLogger("fatewalk")


def main(snakemake):
    settings, contrast = sections(snakemake), snakemake.wildcards.contrast
    files = RunFiles(run_folder(snakemake), [contrast], contrast)
    names = ("hits_ranked.csv", "gene_daywise_for_mash.csv", "guide_daywise_for_mash.csv")
    tables = [files.read(contrast, name) for name in names]
    days = read_json(snakemake.input.report)["days"]
    with np.load(snakemake.input.delta, allow_pickle=False) as delta:
        figures = contrast_figures(*tables, delta, days, settings.calls, contrast, settings.model.ref_fate)
    folder = Path(snakemake.output.figures[0]).parent
    save_figures(figures, folder)
    log.info("out: %d figures in %s", len(figures), folder)


run_stage("plot_contrast", main, snakemake, part=True)  # noqa: F821

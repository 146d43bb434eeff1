"""Rule plot_effects: heatmap, trajectories, volcano and guide deviations of one contrast."""

from pathlib import Path

import numpy as np

from fatewalk.plot import plot_delta, plot_heatmap, plot_trajectories, plot_volcano, save_figure
from fatewalk.plot.columns import marks
from fatewalk.smk import run_stage
from fatewalk.tables import read_json, read_table


def main(snakemake):
    files, out = snakemake.input, snakemake.output
    hits = read_table(files.hits, ["gene"], text=["gene", "active_days"])
    gene = read_table(files.gene, ["gene"], text=["gene"])
    guide = read_table(files.guide, ["guide", "gene"], text=["guide", "gene"])
    days = read_json(files.report)["days"]
    labels, times = [day["label"] for day in days], [day["time"] for day in days]
    against = (snakemake.wildcards.contrast, snakemake.params.reference)
    calls = snakemake.params.calls
    with np.load(files.delta, allow_pickle=False) as arrays:
        c = arrays["contrasts"].tolist().index(snakemake.wildcards.contrast)
        deviations = (arrays["delta_mean"][:, c], arrays["delta_sd"][:, c], arrays["genes"].tolist())
    figures = {
        "heatmap": plot_heatmap(hits, labels, times, *against),
        "trajectories": plot_trajectories(gene, guide, hits, labels, times, *against),
        "volcano": plot_volcano(hits, labels, calls["effect_size_eps"], calls["lfsr_day"], *against),
        "delta": plot_delta(*deviations, gene["gene"].tolist(), *against, notes=marks(gene)),
    }
    for name, figure in figures.items():
        png = Path(out[name])
        save_figure(figure, [png, png.with_suffix(".pdf")])


run_stage(main, snakemake)  # noqa: F821

"""The full set of figures of one contrast, and the overviews of all of them."""

from __future__ import annotations

from matplotlib.figure import Figure

from fatewalk.plot.columns import marks
from fatewalk.plot.delta import plot_delta
from fatewalk.plot.heatmap import plot_heatmap
from fatewalk.plot.overview import overview_delta, overview_heatmap, overview_trajectories, overview_volcano
from fatewalk.plot.trajectories import plot_trajectories
from fatewalk.plot.volcano import plot_volcano
from fatewalk.run.files import Run

DELTA = "delta_posterior_summary.npz"


def contrast_figures(run: Run, contrast: str) -> dict[str, Figure]:
    """Heatmap, trajectories, volcano and guide deviations of one contrast, by the figures' names."""
    hits, genes = run.table("hits_ranked.csv", contrast), run.table("gene_daywise_for_mash.csv", contrast)
    guides = run.table("guide_daywise_for_mash.csv", contrast)
    calls, delta, against = run.settings.calls, run.arrays(DELTA), (contrast, run.reference)
    c = delta["contrasts"].tolist().index(contrast)
    deviations = (delta["delta_mean"][:, c], delta["delta_sd"][:, c], delta["genes"].tolist())
    return {
        "heatmap": plot_heatmap(hits, run.days, run.times, *against),
        "trajectories": plot_trajectories(genes, guides, hits, run.days, run.times, *against),
        "volcano": plot_volcano(hits, run.days, calls.effect_size_eps, calls.lfsr_day, *against),
        "delta": plot_delta(*deviations, genes["gene"].tolist(), *against, notes=marks(genes)),
    }


def overview_figures(run: Run) -> dict[str, Figure]:
    """An overview of all contrasts for each of these figures."""
    hits, genes = run.tables("hits_ranked.csv"), run.tables("gene_daywise_for_mash.csv")
    calls, delta, first = run.settings.calls, run.arrays(DELTA), genes[run.primary]
    return {
        "overview_heatmap": overview_heatmap(hits, run.days, run.times, run.reference),
        "overview_trajectories": overview_trajectories(genes, hits, run.days, run.times, run.reference),
        "overview_volcano": overview_volcano(
            hits, run.days, calls.effect_size_eps, calls.lfsr_day, run.reference
        ),
        "overview_delta": overview_delta(
            delta["delta_mean"], delta["delta_sd"], delta["genes"].tolist(), first["gene"].tolist(),
            delta["contrasts"].tolist(), run.reference, notes=marks(first),
        ),
    }  # fmt: skip

"""The full set of figures of one contrast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fatewalk.plot.columns import notes_of
from fatewalk.plot.delta import plot_delta
from fatewalk.plot.heatmap import plot_heatmap
from fatewalk.plot.trajectories import plot_trajectories
from fatewalk.plot.volcano import plot_volcano


def contrast_figures(
    hits: pd.DataFrame,
    genes: pd.DataFrame,
    guides: pd.DataFrame,
    delta: Mapping[str, np.ndarray],
    days: Sequence[Mapping[str, Any]],
    calls: Any,
    contrast: str,
    reference: str,
) -> dict[str, Figure]:
    """Heatmap, trajectories, volcano and guide deviations of one contrast, by the figures' names.

    Parameters
    ----------
    hits, genes, guides
        hits_ranked.csv, gene_daywise_for_mash.csv and guide_daywise_for_mash.csv of the contrast.
    delta
        Arrays of delta_posterior_summary.npz.
    days : [D]
        Entries ``days`` of design_report.json: label and time of each.
    calls
        Section ``calls``: effect_size_eps and lfsr_day.
    contrast, reference
        Fate of the effects and the fate they are against.
    """
    labels, times = [day["label"] for day in days], [day["time"] for day in days]
    against = (contrast, reference)
    c = delta["contrasts"].tolist().index(contrast)
    deviations = (delta["delta_mean"][:, c], delta["delta_sd"][:, c], delta["genes"].tolist())
    return {
        "heatmap": plot_heatmap(hits, labels, times, *against),
        "trajectories": plot_trajectories(genes, guides, hits, labels, times, *against),
        "volcano": plot_volcano(hits, labels, calls.effect_size_eps, calls.lfsr_day, *against),
        "delta": plot_delta(*deviations, genes["gene"].tolist(), *against, notes=notes_of(genes)),
    }

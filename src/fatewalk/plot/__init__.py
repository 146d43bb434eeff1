"""Figures: one function a figure, tables in, ``matplotlib.figure.Figure`` out, no files read or written.

The object-oriented interface of matplotlib is used throughout, never the state of pyplot, so no display
is needed and no figure stays open. ``save_figure`` writes them.
"""

from fatewalk.plot.ablation import plot_ablation
from fatewalk.plot.columns import notes_of
from fatewalk.plot.convergence import plot_convergence
from fatewalk.plot.delta import plot_delta
from fatewalk.plot.heatmap import plot_heatmap
from fatewalk.plot.overview import (
    overview_delta,
    overview_heatmap,
    overview_recovery,
    overview_trajectories,
    overview_volcano,
)
from fatewalk.plot.recovery import plot_recovery
from fatewalk.plot.save import save_figure, save_figures
from fatewalk.plot.trajectories import plot_trajectories
from fatewalk.plot.volcano import plot_volcano

__all__ = [
    "notes_of",
    "overview_delta",
    "overview_heatmap",
    "overview_recovery",
    "overview_trajectories",
    "overview_volcano",
    "plot_ablation",
    "plot_convergence",
    "plot_delta",
    "plot_heatmap",
    "plot_recovery",
    "plot_trajectories",
    "plot_volcano",
    "save_figure",
    "save_figures",
]

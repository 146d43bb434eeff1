"""How many cells end in which fate, by day."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fatewalk.plot.figures.trajectories import label_days, time_limits
from fatewalk.plot.panels import LETTER, panel_width, title_panels
from fatewalk.plot.style import BLUE, add_title, grid_columns, panel_grid, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fatewalk.run.files import Run


@styled
def composition(run: Run) -> Figure:
    """Mean probability of each fate over all cells of a day against real time, a panel a fate.

    Parameters
    ----------
    run
        The run.
    """
    arrays, x = run.arrays("shrunk_fates_gene.npz"), np.asarray(run.times, dtype=float)  # [D]
    percent = 100 * arrays["composition"]  # [F, D]
    columns = grid_columns(len(percent), 4)
    fig, axes = panel_grid(len(percent), 1.3, columns, room=1.0)
    for ax, of_fate in zip(axes, percent, strict=True):
        ax.fill_between(x, of_fate, color=BLUE, alpha=0.2, lw=0)
        ax.plot(x, of_fate, color=BLUE, marker="o", ms=3.5)
    axes[0].set(xlim=time_limits(x), ylim=(0, 1.12 * float(percent.max())))
    ranges = [said(of_fate.min(), of_fate.max()) for of_fate in percent]
    title_panels(axes, [str(fate) for fate in arrays["fates"]], ranges, panel_width(fig, columns))
    letter = LETTER / (panel_width(fig, columns) + 0.1)  # width of a letter as a share of a panel
    fig.supxlabel(label_days(axes[0], run.days, run.times, letter))
    fig.supylabel("cells that end in the fate (%)")
    add_title(fig, "Mean probability of each fate over all cells of a day, perturbed or not")
    return fig


def said(low: float, high: float) -> str:
    """A range of percentages in words."""
    texts = [f"{value:.0f}" if value >= 1 else f"{value:.1f}" for value in (low, high)]
    return f"{texts[0]} %" if texts[0] == texts[1] else f"{texts[0]} to {texts[1]} %"

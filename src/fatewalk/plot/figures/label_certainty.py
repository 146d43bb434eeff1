"""How sure the labels of each day are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fatewalk.plot.panels import legend_columns
from fatewalk.plot.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    SINGLE,
    VERMILLION,
    add_foot,
    add_title,
    day_ticks,
    new_figure,
    styled,
    thin_labels,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fatewalk.run.files import Run

COLOURS = (BLUE, ORANGE, GREEN, VERMILLION)  # of up to four fates; more are grey lines
PER_LABEL = 0.35  # inches that the text of a day needs


@styled
def label_certainty(run: Run) -> Figure:
    """Resolution of the labels over real time: of all fates together, and of each against the others.

    Parameters
    ----------
    run
        The run.
    """
    found = run.json("design_report.json")["label_resolution"]  # day -> all and each fate -> value
    table = {
        name: np.array([np.nan if found[day][name] is None else found[day][name] for day in run.days])
        for name in next(iter(found.values()))
    }
    fates = [name for name in table if name != "all"]
    fig = new_figure(SINGLE, 2.6)
    ax = fig.add_subplot()
    few = len(fates) <= len(COLOURS)
    for fate, colour in zip(fates, COLOURS if few else [GREY] * len(fates), strict=False):
        ax.plot(run.times, table[fate], color=colour, marker="o", markersize=3, lw=1.0, label=fate)
    ax.plot(run.times, table["all"], color=BLACK, marker="o", markersize=3.5, lw=1.4, label="all fates")
    ax.set_ylim(-0.02, 1.04)
    ax.set_ylabel("resolution of the labels")
    texts, label = day_ticks(run.days, run.times)
    span = max(np.ptp(run.times), 1e-9)
    ax.set_xticks(run.times, thin_labels(texts, np.array(run.times), PER_LABEL / SINGLE * span))
    add_title(fig, "How sure labels are of a cell's fate: 1 where each names one fate, 0 where all are alike")
    handles = ax.lines if few else [ax.lines[-1], ax.lines[0]]
    if not few:
        ax.lines[0].set_label("each fate against the others")
    add_foot(fig, label, handles, legend_columns(handles, 3 if few else 2, SINGLE))
    return fig

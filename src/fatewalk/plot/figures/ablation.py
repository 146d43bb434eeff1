"""What centring the guide deviations repairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from fatewalk.core.errors import FatewalkError, quoted
from fatewalk.core.tables import require_columns
from fatewalk.plot.style import BLUE, DOUBLE, GREY, VERMILLION, add_foot, add_title, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RUNS = {"main": ("centred", BLUE, -0.18), "uncentred": ("uncentred", VERMILLION, 0.18)}
MEASURES = {
    "fp": "false positive genes",
    "fn": "false negative genes",
    "rmse": "RMSE of gene effects (logit)",
    "offset": "|mean(beta) − theta| (logit)",
}


@styled
def ablation(table: pd.DataFrame) -> Figure:
    """Errors with and without centring, by day, the two fits of a screen joined.

    Parameters
    ----------
    table
        Table ``ablation.csv``. Rows of kind "screen" are drawn: errors by day, the offset, which
        belongs to the whole fit, at "overall". The figure draws the means itself.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    FatewalkError
        If a column is missing or a run has no rows.
    """
    require_columns(table, ["kind", "dataset", "day", "run", *MEASURES], "table of the ablation")
    single = table[table["kind"] == "screen"]
    if missing := set(RUNS) - set(single["run"]):
        raise FatewalkError(
            f"table of the ablation: no rows of run {quoted(sorted(missing))}; found: "
            f"{quoted(single['run'].unique()) or 'none'}"
        )
    by_day = single[single["day"].str.fullmatch(r"d\d+")]
    overall = single[single["day"] == "overall"]
    fig = new_figure(DOUBLE, 4.2)
    for ax, (measure, label) in zip(fig.subplots(2, 2).ravel(), MEASURES.items(), strict=True):
        shown = overall if measure == "offset" else by_day
        days = list(shown["day"].unique())
        draw_measure(ax, shown, measure, days)
        ax.set_ylabel(label)
        if measure == "offset":
            ax.axhline(0, color=GREY, lw=0.6, zorder=0)
        else:
            ax.set_ylim(bottom=min(0, ax.get_ylim()[0]))
        if measure in ("fp", "fn"):
            ax.yaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_xlim(-0.6, len(days) - 0.4)
        ax.set_xticks(range(len(days)), [str(day) for day in days])
    handles = [Line2D([], [], marker="o", ls="", ms=3, color=colour, label=name)
               for name, colour, _ in RUNS.values()]  # fmt: skip
    handles += [Line2D([], [], color=GREY, lw=0.5, label="the same screen"),
                Line2D([], [], color="black", lw=1.5, label="mean")]  # fmt: skip
    add_foot(fig, "day", handles, 4)
    add_title(
        fig, f"Simulated screens (n = {single['dataset'].nunique()}), each fitted centred and uncentred"
    )
    return fig


def draw_measure(ax: Axes, table: pd.DataFrame, measure: str, days: list[object]) -> None:
    """A point a screen, day and run; the two runs of a screen joined; a bar at the mean over screens."""
    wide = table.pivot_table(index=["day", "dataset"], columns="run", values=measure, dropna=False)
    wide = wide.reindex(columns=list(RUNS)).dropna(how="all")
    place = wide.index.get_level_values("day").map({day: column for column, day in enumerate(days)})
    rank = pd.factorize(wide.index.get_level_values("dataset"))[0]  # a place of its own keeps ties apart
    spread = np.linspace(-0.07, 0.07, rank.max() + 1)[rank] if rank.max() else 0.0 * rank  # [n]
    middle = np.asarray(place, dtype=float)[:, None] + np.array([shift for _, _, shift in RUNS.values()])
    x = middle + spread[:, None]  # [n, 2]
    y = wide.to_numpy(dtype=float)  # [n, 2]
    ax.plot(x.T, y.T, color=GREY, lw=0.4, alpha=0.7, zorder=1)
    for column, (run, (_, colour, _)) in enumerate(RUNS.items()):
        ax.plot(x[:, column], y[:, column], "o", ms=2.5, color=colour, mew=0, alpha=0.8, zorder=2, gid=run)
        mean = pd.Series(y[:, column]).groupby(middle[:, column]).mean()
        ax.hlines(mean, mean.index - 0.1, mean.index + 0.1, color="black", lw=1.5, zorder=1)

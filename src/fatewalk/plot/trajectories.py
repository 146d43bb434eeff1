"""Effects of single genes over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fatewalk.core.daywise import active_matrix, day_matrix
from fatewalk.core.schema import Z95
from fatewalk.core.tables import as_bool
from fatewalk.plot.columns import best_ranked, count_hits, notes_of, rows_of
from fatewalk.plot.style import (
    BEFORE_MASH,
    BLACK,
    BLUE,
    CALLED,
    GREY,
    SMALL,
    add_foot,
    add_title,
    day_ticks,
    effect_label,
    grid_columns,
    panel_grid,
    styled,
    thin_labels,
)

NUMBER_WIDTH = 0.09  # width of a count of cells, as a share of a panel
LABEL_WIDTH = 0.024  # width of a letter of a tick text, likewise


@styled
def plot_trajectories(
    gene_table: pd.DataFrame,
    guide_table: pd.DataFrame,
    hits: pd.DataFrame,
    days: Sequence[str],
    times: Sequence[float],
    contrast: str,
    reference: str,
    n_top: int = 9,
) -> Figure:
    """Estimates of the best-ranked genes and their guides against real time, a panel a gene.

    Parameters
    ----------
    gene_table, guide_table
        Tables ``gene_daywise_for_mash.csv`` and ``guide_daywise_for_mash.csv``.
    hits
        Table ``hits_ranked.csv``: gives the order of the genes and the active days.
    days, times : [D]
        Labels of the days in time order and their real times.
    contrast, reference
        Fate of the effects and the fate they are against.
    n_top
        Number of genes.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    FatewalkError
        If there is no gene, or a gene of ``hits`` has no row in ``gene_table``.
    """
    top = best_ranked(hits, n_top)
    genes = rows_of(gene_table, list(top["gene"]), "gene table")
    estimate, se, cells = (day_matrix(genes, stem, len(days)) for stem in ("betahat", "se", "n_cells"))
    active = active_matrix(top, len(days))
    hit = as_bool(top["hit_anyday"], "table of hits")
    of_top = guide_table[guide_table["gene"].isin(genes.index)]
    guides = {gene: day_matrix(rows, "betahat", len(days)) for gene, rows in of_top.groupby("gene")}
    x = np.asarray(times, dtype=float)  # [D]

    fig, axes = panel_grid(len(genes), 1.45, grid_columns(len(genes), 3))
    for row, (gene, ax) in enumerate(zip(genes.index, axes, strict=True)):
        own = guides.get(gene, np.empty((0, len(days))))
        ax.axhline(0, color=GREY, lw=0.6, zorder=0)
        ax.plot(x, own.T, color=GREY, lw=0.5, marker=".", ms=1.5, alpha=0.7, zorder=1, gid="guides")
        draw_gene(ax, x, estimate[row], se[row], active[row])
        plural = "guide" if len(own) == 1 else "guides"
        ax.set_title(f"{gene} ({len(own)} {plural})", weight="bold" if hit[row] else "normal")
    span = max(float(np.ptp(x)), 1.0)
    axes[0].set_xlim(x[0] - 0.08 * span, x[-1] + 0.08 * span)
    low, high = axes[0].get_ylim()
    axes[0].set_ylim(low - 0.16 * (high - low), high)  # room for the numbers of cells
    for row, ax in enumerate(axes):
        write_cells(ax, x, cells[row])
    fig.supylabel(effect_label(contrast, reference, fig.get_figheight() - 0.9, BEFORE_MASH))

    handles = [
        Line2D([], [], color=BLUE, marker="o", ms=3, mfc="white", label="gene, 95 % interval"),
        Line2D([], [], color=BLUE, marker="o", ms=3.5, mfc=CALLED, mec=CALLED, label="called active"),
        Line2D([], [], color=GREY, lw=0.5, marker=".", ms=1.5, label="its guides"),
    ]
    add_foot(fig, label_days(axes[0], days, times), handles, 3 if len(axes) > 1 else 2)
    title = (
        f"The {len(genes)} best-ranked of {len(hits):,} genes ({count_hits(hits)} in all: bold). "
        "Numbers above the axis: cells with the gene's guides"
    )
    add_title(fig, title, notes_of(gene_table))
    return fig


def draw_gene(
    ax: Axes,
    x: np.ndarray,
    estimate: np.ndarray,
    se: np.ndarray,
    active: np.ndarray,
    *,
    colour: str = BLUE,
    called: str = CALLED,
    scale: float = 1.0,
    ls: str = "-",
) -> None:
    """Estimates with 95 % intervals; a day that was not observed leaves a gap. All arrays are [D]."""
    ax.errorbar(x, estimate, Z95 * se, color=colour, lw=1.1 * scale, ls=ls, elinewidth=scale, zorder=2)
    for days, fill, edge, size, gid in (
        (~active, "white", colour, 3.0, "inactive"),
        (active, called, called, 3.5, "active"),
    ):
        days = days & np.isfinite(estimate)
        ax.plot(x[days], estimate[days], "o", ms=size * scale, mfc=fill, mec=edge, mew=0.8 * scale,
                zorder=3, gid=gid)  # fmt: skip


def write_cells(ax: Axes, x: np.ndarray, cells: np.ndarray) -> None:
    """Numbers of cells at the foot of a panel: by day, or their range where days lie too close."""
    low, high = ax.get_xlim()
    style: dict[str, Any] = {
        "fontsize": SMALL - 0.5,
        "color": BLACK,
        "ha": "center",
        "va": "bottom",
        "gid": "cells",
    }
    if np.diff(x).min(initial=np.inf) >= NUMBER_WIDTH * (high - low):
        for time, count in zip(x, cells, strict=True):
            ax.text(time, 0.01, short(count), transform=ax.get_xaxis_transform(), **style)
    else:
        text = f"{short(cells.min())} to {short(cells.max())} cells a day"
        ax.text(0.5, 0.01, text, transform=ax.transAxes, **style)


def label_days(
    ax: Axes, days: Sequence[str], times: Sequence[float], letter_width: float = LABEL_WIDTH
) -> str:
    """Ticks at the real times, labelled where the labels do not touch; returns the label of the axis."""
    ticks, name = day_ticks(days, times)
    x = np.asarray(times, dtype=float)
    low, high = ax.get_xlim()
    longest = max(len(line) for tick in ticks for line in tick.split("\n"))
    shown = thin_labels(ticks, x, (longest + 1) * letter_width * (high - low))
    ax.set_xticks(x, shown)
    return name


def short(count: float) -> str:
    """A count in at most four characters: 980, 1.2k, 34k."""
    if not np.isfinite(count):
        return "0"
    if count < 1000:
        return f"{count:.0f}"
    return f"{count / 1000:.1f}k" if count < 9950 else f"{count / 1000:.0f}k"

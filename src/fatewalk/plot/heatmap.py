"""Genes by days at a glance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from fatewalk.core.daywise import active_matrix, day_matrix
from fatewalk.core.tables import as_bool
from fatewalk.plot.columns import best_ranked, count_hits, notes_of
from fatewalk.plot.style import (
    AFTER_MASH,
    BLACK,
    DOUBLE,
    GREY,
    PALE,
    SINGLE,
    add_title,
    day_ticks,
    effect_label,
    new_figure,
    styled,
)

ROW = 0.125  # height of a gene, inches
LETTER = 0.055  # width of a letter of a tick text, inches
LEAST_LIMIT = 0.1  # colours never stretch noise below this effect, logit


@styled
def plot_heatmap(
    hits: pd.DataFrame,
    days: Sequence[str],
    times: Sequence[float],
    contrast: str,
    reference: str,
    max_genes: int = 60,
) -> Figure:
    """Heatmap of shrunken effects, genes by days, with the calls.

    Parameters
    ----------
    hits
        Table ``hits_ranked.csv``.
    days, times : [D]
        Labels of the days in time order and their real times.
    contrast, reference
        Fate of the effects and the fate they are against.
    max_genes
        Genes shown, the best by rank.

    Returns
    -------
    matplotlib.figure.Figure
    """
    shown = best_ranked(hits, max_genes)
    effect = day_matrix(shown, "postmean", len(days))  # [genes, D]
    rows, columns = np.nonzero(active_matrix(shown, len(days)))
    limit = colour_limit(effect)
    width = 2.7 if len(days) < 3 else SINGLE if len(days) <= 8 else min(DOUBLE, 1.5 + 0.28 * len(days))

    fig = new_figure(width, max(len(shown), 4) * ROW + 1.6)
    ax = fig.subplots()
    ax.patch.set(facecolor=PALE, edgecolor=GREY, hatch="//////")  # shows where a cell is missing
    mesh = ax.pcolormesh(np.ma.masked_invalid(effect), cmap="RdBu_r", vmin=-limit, vmax=limit)
    ax.plot(columns + 0.5, rows + 0.5, "o", ms=3, color=BLACK, mec="white", mew=0.5, gid="calls")
    ax.invert_yaxis()

    ticks, day_label = day_ticks(days, times)
    room = 0.65 * width / len(days)  # inches for a tick text
    upright = max(len(line) for tick in ticks for line in tick.split("\n")) * LETTER > room
    ax.set_xticks(np.arange(len(days)) + 0.5, ticks, rotation=90 if upright else 0)
    ax.set_xlabel(day_label)
    ax.xaxis.set_label_position("top")
    ax.tick_params(axis="x", top=True, labeltop=True, bottom=False, labelbottom=False)
    ax.set_yticks(np.arange(len(shown)) + 0.5, shown["gene"].astype(str))
    for text, hit in zip(ax.get_yticklabels(), as_bool(shown["hit_anyday"], "table of hits"), strict=True):
        text.set_fontweight("bold" if hit else "normal")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)

    beyond = bool(np.nanmax(np.abs(effect), initial=0) > limit)
    bar = fig.colorbar(mesh, ax=ax, location="bottom", extend="both" if beyond else "neither",
                       aspect=30, shrink=0.9, pad=0.02)  # fmt: skip
    bar.set_label(effect_label(contrast, reference, 0.8 * width, AFTER_MASH))
    bar.outline.set_visible(False)
    fig.legend(handles=legend_handles(), loc="outside lower center", ncols=2)
    title = f"{len(shown):,} of {len(hits):,} genes, by rank; {count_hits(hits)} in all (bold)"
    add_title(fig, title, notes_of(hits))
    return fig


def legend_handles() -> list[Artist]:
    """Legend of the dots and of the hatching."""
    return [
        Line2D([], [], marker="o", ls="", ms=3, color=BLACK, label="called active"),
        Patch(facecolor=PALE, edgecolor=GREY, hatch="//////", label="no cells observed"),
    ]


def colour_limit(effect: np.ndarray) -> float:
    """Symmetric limit of the colours: the 98 % quantile of |effect|, so that one outlier hides nothing."""
    size = np.abs(effect[np.isfinite(effect)])
    return max(float(np.quantile(size, 0.98)), LEAST_LIMIT) if size.size else LEAST_LIMIT

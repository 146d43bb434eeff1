"""Genes by days at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from fatewalk.core.daywise import Daywise, active_matrix, find_rows
from fatewalk.core.tables import as_bool, require_columns
from fatewalk.plot.columns import best_ranked, count_hits, notes_of
from fatewalk.plot.panels import (
    LETTER,
    all_notes,
    count_fates,
    each,
    fit_name,
    require_contrasts,
    split_name,
    text_width,
)
from fatewalk.plot.style import (
    AFTER_MASH,
    BLACK,
    DOUBLE,
    GREY,
    PALE,
    SINGLE,
    SMALL,
    add_title,
    day_ticks,
    effect_label,
    new_figure,
    styled,
    thin_labels,
    wrap,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure

    from fatewalk.run.files import Run

ROW = 0.125  # height of a gene, inches
CELL = 0.3  # widest cell of the heatmap, inches
LEAST_CELL = 0.05  # narrowest; the figure grows wider than a page before
NAME_LINE = 0.125  # height of a line of a contrast's name, inches
DAY_LINE = 0.09  # height of a line of a day's label, inches
LEAST_LIMIT = 0.1  # colours never stretch noise below this effect, logit


@styled
def heatmap(run: Run, contrast: str | None = None, *, max_genes: int = 60) -> Figure:
    """Heatmap of shrunken effects, genes by days, with the calls.

    Parameters
    ----------
    run
        The run.
    contrast
        Fate of the effects; None: the primary contrast.
    max_genes
        Genes shown, the best by rank.
    """
    contrast = run.choose(contrast)
    hits, days = run.table("hits_ranked.csv", contrast), run.days
    shown = best_ranked(hits, max_genes)
    effect = Daywise.of(shown, "table of hits", ["postmean"], n_days=len(days))["postmean"]  # [genes, D]
    rows, columns = np.nonzero(active_matrix(shown, len(days)))
    limit = colour_limit(effect)
    width = 2.7 if len(days) < 3 else SINGLE if len(days) <= 8 else min(DOUBLE, 1.5 + 0.28 * len(days))

    fig = new_figure(width, max(len(shown), 4) * ROW + 1.6)
    ax = fig.subplots()
    ax.patch.set(facecolor=PALE, edgecolor=GREY, hatch="//////")  # shows where a cell is missing
    mesh = ax.pcolormesh(np.ma.masked_invalid(effect), cmap="RdBu_r", vmin=-limit, vmax=limit)
    ax.plot(columns + 0.5, rows + 0.5, "o", ms=3, color=BLACK, mec="white", mew=0.5, gid="calls")
    ax.invert_yaxis()

    ticks, day_label = day_ticks(days, run.times)
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
    bar.set_label(effect_label(contrast, run.reference, 0.8 * width, AFTER_MASH))
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


# ------------------------------------------------------------- all contrasts


@styled
def overview_heatmap(run: Run, *, max_genes: int = 60) -> Figure:
    """Heatmap of shrunken effects of all contrasts: a row a gene, a block a contrast, in it a column a day.

    Parameters
    ----------
    run
        The run.
    max_genes
        Genes shown, see ``order_genes``.

    Raises
    ------
    FatewalkError
        If there is no contrast, or a gene has no row for a contrast.
    """
    require_contrasts(run.contrasts)
    hits, days = run.tables("hits_ranked.csv"), run.days
    order = order_genes(hits, len(days))
    shown = order.head(max_genes)
    genes = list(shown.index)
    labels = [str(gene) for gene in genes]
    tables = {
        contrast: table.iloc[find_rows(table["gene"], genes, "gene", f"hits of {contrast}")]
        for contrast, table in hits.items()
    }
    found = [
        Daywise.of(table, f"hits of {contrast}", ["postmean"], n_days=len(days))
        for contrast, table in tables.items()
    ]
    effect = np.stack([one["postmean"] for one in found])  # [F*, genes, D]
    active = np.stack([active_matrix(table, len(days)) for table in tables.values()])  # [F*, genes, D]

    side = 0.25 + LETTER * 1.15 * max(map(len, labels))  # names of genes, some bold
    starts, cell = place_blocks(len(hits), len(days), DOUBLE - side)  # [F*]
    width = max(2.7, side + cell * (starts[-1] + len(days)))
    cell = (width - side) / (starts[-1] + len(days))
    names, upright = name_blocks(list(hits), cell * len(days))
    lines = [line for name in names for line in name.split("\n")]
    longest = max(text_width(line, 7) / 72 for line in lines) if upright else 2 * NAME_LINE
    ticks, day_label, level = day_texts(days, run.times, cell)
    foot = NAME_LINE if level else LETTER * max(len(tick) for tick in ticks)
    fig = new_figure(width, max(len(genes), 4) * ROW + 1.6 + longest + foot)
    ax = fig.subplots()
    mesh = draw_blocks(ax, effect, active, starts)
    for name, start in zip(names, starts, strict=True):
        ax.annotate(name, (start + len(days) / 2, 0), (0, 4), textcoords="offset points", ha="center",
                    va="bottom", rotation=90 if upright else 0, ma="left" if upright else "center",
                    fontsize=7, gid="contrast")  # fmt: skip
    at = (starts[:, None] + np.arange(len(days)) + 0.5).ravel()
    ax.set_xticks(at, ticks * len(hits), rotation=0 if level else 90, fontsize=6 if level else SMALL)
    ax.set_xlabel(wrap(day_label, width - side))
    ax.set_yticks(np.arange(len(genes)) + 0.5, labels)
    for text, hit in zip(ax.get_yticklabels(), shown["hit"], strict=True):
        text.set_fontweight("bold" if hit else "normal")

    beyond = bool(np.nanmax(np.abs(effect), initial=0) > mesh.get_clim()[1])
    bar = fig.colorbar(mesh, ax=ax, location="bottom", extend="both" if beyond else "neither",
                       aspect=30, shrink=min(0.9, 3.0 / width), pad=0.02)  # fmt: skip
    bar.set_label(effect_label(each(hits), run.reference, width - side, AFTER_MASH))
    bar.outline.set_visible(False)
    fig.legend(handles=legend_handles(), loc="outside lower center", ncols=2)
    some = "one or more of " if len(hits) > 1 else ""
    title = (
        f"{len(genes):,} of {len(order):,} genes, by smallest local false sign rate; "
        f"hits for {some}{count_fates(hits)} (bold): {order['hit'].sum():,}"
    )
    add_title(fig, title, all_notes(hits.values()))
    return fig


def order_genes(hits: Mapping[str, pd.DataFrame], n_days: int) -> pd.DataFrame:
    """Genes that are a hit for any contrast, then the others, each by the smallest lfsr over contrasts.

    As in the ranks of one contrast, the lfsr of a hit is that of its active days. Ties go to the better
    rank, then to the name.

    Returns
    -------
    pandas.DataFrame
        Index: genes, the best first; column hit.

    Raises
    ------
    FatewalkError
        If a column is missing or there are no rows.
    """
    parts = []
    for table in hits.values():
        table = best_ranked(table, len(table))
        require_columns(table, ["min_lfsr_among_active"], "table of hits")
        hit = as_bool(table["hit_anyday"], "table of hits")
        by_day = Daywise.of(table, "table of hits", ["lfsr"], n_days=n_days)["lfsr"]
        lfsr = pd.DataFrame(by_day).min(axis=1)  # skips what is missing
        key = np.where(hit, table["min_lfsr_among_active"].astype(float), lfsr)
        parts.append(pd.DataFrame({"gene": table["gene"], "other": ~hit, "lfsr": key, "rank": table["rank"]}))
    rows = pd.concat(parts).sort_values(["other", "lfsr", "rank", "gene"], kind="stable")
    best = rows.drop_duplicates("gene").set_index("gene")  # hits stand first: a hit's key is its own
    return pd.DataFrame({"hit": ~best["other"].astype(bool)})


def place_blocks(n: int, n_days: int, inches: float) -> tuple[np.ndarray, float]:
    """Where blocks start, in columns, and the width of a column in inches.

    Returns
    -------
    numpy.ndarray, float [n]
    float
    """
    gap = max(0.3, 0.16 * n_days)
    starts = np.arange(n) * (n_days + gap)
    least = max(LEAST_CELL, NAME_LINE / (n_days + gap))  # names of contrasts stand side by side
    return starts, max(least, min(CELL, inches / (starts[-1] + n_days)))


def name_blocks(contrasts: Sequence[str], inches: float) -> tuple[list[str], bool]:
    """Names to write above blocks of a width, on at most two lines, and whether they stand upright."""
    names = [fit_name(contrast, inches) for contrast in contrasts]
    lines = [line for name in names for line in name.split("\n")]
    fits = max(text_width(line, 7) for line in lines) <= 72 * inches
    if fits and max(name.count("\n") for name in names) < 2:
        return names, False
    two = inches >= 2 * NAME_LINE
    return [halve(contrast) if two else contrast for contrast in contrasts], True


def halve(name: str) -> str:
    """Break a name into two lines of like length, where it has a place to break and is not short."""
    parts = split_name(name)
    breaks = ["".join(parts[:n]) + "\n" + "".join(parts[n:]) for n in range(1, len(parts))]
    short = len(name) <= 12
    return name if short or not breaks else min(breaks, key=lambda text: max(map(len, text.split("\n"))))


def draw_blocks(ax: Axes, effect: np.ndarray, active: np.ndarray, starts: np.ndarray) -> QuadMesh:
    """Cells and calls of every block; returns the last block's cells, all have the same colours.

    Parameters
    ----------
    ax
        The panel.
    effect, active : [F*, genes, D]
        Shrunken effects, NaN where not observed, and calls.
    starts : [F*]
        Left edges of the blocks.
    """
    _, n_genes, n_days = effect.shape
    limit = colour_limit(effect)
    for start, block in zip(starts, effect, strict=True):
        ax.add_patch(Rectangle((start, 0), n_days, n_genes, facecolor=PALE, edgecolor=GREY, lw=0,
                               hatch="//////", zorder=0))  # fmt: skip
        mesh = ax.pcolormesh(start + np.arange(n_days + 1), np.arange(n_genes + 1),
                             np.ma.masked_invalid(block), cmap="RdBu_r", vmin=-limit, vmax=limit,
                             zorder=1)  # fmt: skip
        ax.add_patch(Rectangle((start, 0), n_days, n_genes, fill=False, edgecolor=GREY, lw=0.5, zorder=2,
                               clip_on=False))  # fmt: skip
    block, row, day = np.nonzero(active)
    ax.plot(starts[block] + day + 0.5, row + 0.5, "o", ms=2.6, color=BLACK, mec="white", mew=0.4, gid="calls")
    ax.set(xlim=(0, starts[-1] + n_days), ylim=(n_genes, 0))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return mesh


def day_texts(days: Sequence[str], times: Sequence[float], cell: float) -> tuple[list[str], str, bool]:
    """Labels of the days of a block, the label of their axis, and whether they are level.

    Where they do not fit level they stand upright, and then only those that do not touch: the label
    of the axis tells them all.
    """
    ticks, name = day_ticks(days, times)
    if max(len(line) for tick in ticks for line in tick.split("\n")) * LETTER < 0.95 * cell:
        return ticks, name, True
    ticks = [tick.replace("\n", " ") for tick in ticks]
    shown = thin_labels(ticks, np.arange(len(ticks)), DAY_LINE / cell)
    if "" in shown:
        name = f"{name}; in each block from left to right: {', '.join(ticks)}"
    return shown, name, False

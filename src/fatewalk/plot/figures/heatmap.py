"""Genes by days at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from fatewalk.core.daywise import find_rows
from fatewalk.plot.effects import effects_of, effects_on, panel_names
from fatewalk.plot.panels import LETTER, fit_name, legend_columns, split_name, text_width
from fatewalk.plot.style import (
    BLACK,
    DOUBLE,
    GREY,
    PALE,
    SINGLE,
    add_title,
    day_ticks,
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

    from fatewalk.plot.effects import Effects, Panel, Scale
    from fatewalk.run.files import Run

ROW = 0.14  # height of a gene, inches
CELL = 0.3  # widest cell of the heatmap, inches
LEAST_CELL = 0.05  # narrowest; the figure grows wider than a page before
NAME_LINE = 0.15  # height of a line of a contrast's name, inches
DAY_LINE = 0.125  # height of a line of a day's label, inches
LEAST_LIMIT = 0.1  # colours never stretch noise below this effect, logit


@styled
def heatmap(run: Run, fate: str | None = None, *, scale: Scale | None = None, max_genes: int = 50) -> Figure:
    """Heatmap of shrunken effects, genes by days, with the calls.

    Parameters
    ----------
    run
        The run.
    fate
        Fate or contrast of the effects; None: that of the primary contrast.
    scale
        fate | contrast; None: ``calls.scale``.
    max_genes
        Genes shown, the best by rank.
    """
    effects, days = effects_on(run, fate, scale), run.days
    panel = next(iter(effects.panels.values()))
    shown = panel.take(slice(max_genes))
    effect, n_shown = shown.mean, len(shown.genes)  # [genes, D]
    limit = colour_limit([shown], effects.scale)
    width = SINGLE if len(days) <= 8 else DOUBLE

    fig = new_figure(width, max(n_shown, 4) * ROW + 1.6)
    ax = fig.subplots()
    ax.patch.set(facecolor=PALE, edgecolor=GREY, hatch="//////")  # shows where a cell is missing
    mesh = ax.pcolormesh(np.ma.masked_invalid(effect), cmap="RdBu_r", vmin=-limit, vmax=limit)
    draw_calls(ax, shown, 0.5, 3, 0.5)
    ax.invert_yaxis()

    ticks, day_label = day_ticks(days, run.times)
    room = 0.65 * width / len(days)  # inches for a tick text
    upright = max(len(line) for tick in ticks for line in tick.split("\n")) * LETTER > room
    ax.set_xticks(np.arange(len(days)) + 0.5, ticks, rotation=90 if upright else 0)
    ax.set_xlabel(day_label)
    ax.xaxis.set_label_position("top")
    ax.tick_params(axis="x", top=True, labeltop=True, bottom=False, labelbottom=False)
    ax.set_yticks(np.arange(n_shown) + 0.5, list(shown.genes))
    for text, hit in zip(ax.get_yticklabels(), shown.hit, strict=True):
        text.set_fontweight("bold" if hit else "normal")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)

    beyond = bool(np.nanmax(np.abs(effect), initial=0) > limit)
    bar = fig.colorbar(mesh, ax=ax, location="bottom", extend="both" if beyond else "neither",
                       aspect=30, shrink=0.9, pad=0.02)  # fmt: skip
    bar.set_label(effects.label(0.8 * width))
    bar.outline.set_visible(False)
    add_legend(fig, effects)
    title = f"{n_shown:,} of {effects.n_genes:,} genes, by rank; {panel.count_hits} in all (bold)"
    add_title(fig, title, effects.notes)
    return fig


def draw_calls(ax: Axes, panel: Panel, start: float, size: float, rim: float) -> None:
    """A dot in each called cell, hollow for followers; ``start``: middle of the first column."""
    for hollow, face, edge, gid in ((False, BLACK, "white", "calls"), (True, "white", BLACK, "following")):
        row, day = np.nonzero(panel.called & (panel.follower == hollow)[:, None])
        ax.plot(start + day, row + 0.5, "o", ms=size, mfc=face, mec=edge, mew=rim, gid=gid)


def add_legend(fig: Figure, effects: Effects) -> None:
    """Legend of the dots and of the hatching, below the figure."""
    handles: list[Artist] = [Line2D([], [], marker="o", ls="", ms=3, color=BLACK, label=effects.hit_words)]
    if effects.has_followers:
        handles.append(Line2D([], [], marker="o", ls="", ms=3, mfc="white", mec=BLACK, mew=0.5,
                              label=effects.follower_words))  # fmt: skip
    handles.append(Patch(facecolor=PALE, edgecolor=GREY, hatch="//////", label=effects.missing))
    columns = legend_columns(handles, len(handles), fig.get_figwidth())
    fig.legend(handles=handles, loc="outside lower center", ncols=columns)


def colour_limit(panels: Sequence[Panel], scale: Scale) -> float:
    """Symmetric limit of the colours: the 98 % quantile of |effect|, so that one outlier hides nothing.

    Of fates also the 90 % quantile of the hits, for most of many fates only follow.
    """
    size = np.abs(np.stack([panel.mean for panel in panels]))
    called = np.stack([panel.called & panel.hit[:, None] for panel in panels])
    limits = [np.quantile(size[np.isfinite(size)], 0.98)] if np.isfinite(size).any() else []
    if scale == "fate" and called.any():
        limits.append(np.quantile(size[called], 0.9))
    return float(max([LEAST_LIMIT, *limits]))


# --------------------------------------------------- all fates or contrasts


@styled
def overview_heatmap(run: Run, *, scale: Scale | None = None, max_genes: int = 50) -> Figure:
    """Heatmap of shrunken effects: a row a gene, a block a fate or contrast, in it a column a day.

    Parameters
    ----------
    run
        The run.
    scale
        fate | contrast; None: ``calls.scale``.
    max_genes
        Genes shown, see ``order_genes``.

    Raises
    ------
    FatewalkError
        If there is no contrast, or a gene has no row for a contrast.
    """
    effects, days = effects_of(run, panel_names(run, scale), scale), run.days
    order = order_genes(effects.panels)
    shown = order.head(max_genes)
    genes = list(shown.index)
    blocks = {
        name: panel.take(find_rows(panel.genes, genes, "gene", f"hits of {name}"))
        for name, panel in effects.panels.items()
    }

    side = 0.25 + LETTER * 1.15 * max(map(len, genes))  # names of genes, some bold
    starts, cell = place_blocks(len(blocks), len(days), DOUBLE - side)  # [blocks]
    width = side + cell * (starts[-1] + len(days))
    width = next((one for one in (SINGLE, DOUBLE) if width <= one + 1e-6), width)  # many fates: beyond a page
    cell = (width - side) / (starts[-1] + len(days))
    names, upright = name_blocks(list(blocks), cell * len(days))
    lines = [line for name in names for line in name.split("\n")]
    longest = max(text_width(line) / 72 for line in lines) if upright else 2 * NAME_LINE
    ticks, day_label, level = day_texts(days, run.times, cell)
    foot = NAME_LINE if level else LETTER * max(len(tick) for tick in ticks)
    fig = new_figure(width, max(len(genes), 4) * ROW + 1.6 + longest + foot)
    ax = fig.subplots()
    mesh = draw_blocks(ax, list(blocks.values()), starts, effects.scale)
    for name, start in zip(names, starts, strict=True):
        ax.annotate(name, (start + len(days) / 2, 0), (0, 4), textcoords="offset points", ha="center",
                    va="bottom", rotation=90 if upright else 0, ma="left" if upright else "center",
                    gid="contrast")  # fmt: skip
    at = (starts[:, None] + np.arange(len(days)) + 0.5).ravel()
    ax.set_xticks(at, ticks * len(blocks), rotation=0 if level else 90)
    ax.set_xlabel(wrap(day_label, width - side))
    ax.set_yticks(np.arange(len(genes)) + 0.5, genes)
    for text, hit in zip(ax.get_yticklabels(), shown["hit"], strict=True):
        text.set_fontweight("bold" if hit else "normal")

    largest = max(float(np.nanmax(np.abs(block.mean), initial=0)) for block in blocks.values())
    beyond = largest > mesh.get_clim()[1]
    bar = fig.colorbar(mesh, ax=ax, location="bottom", extend="both" if beyond else "neither",
                       aspect=30, shrink=min(0.9, 3.0 / width), pad=0.02)  # fmt: skip
    bar.set_label(effects.label(width - side))
    bar.outline.set_visible(False)
    add_legend(fig, effects)
    some = "one or more of " if len(blocks) > 1 else ""
    title = (
        f"{len(genes):,} of {len(order):,} genes, by smallest local false sign rate; "
        f"hits for {some}{effects.count_fates} (bold): {order['hit'].sum():,}"
    )
    add_title(fig, title, effects.notes)
    return fig


def order_genes(panels: Mapping[str, Panel]) -> pd.DataFrame:
    """Genes that are a hit in any panel, then the others, each by the smallest lfsr over panels.

    As in the ranks of one panel, the lfsr of a hit is that of its active days. Ties go to the better
    rank, then to the name.

    Returns
    -------
    pandas.DataFrame
        Index: genes, the best first; column hit.
    """
    parts = [
        pd.DataFrame({"gene": panel.genes, "other": ~panel.hit, "lfsr": panel.smallest_lfsr})
        for panel in panels.values()
    ]
    rows = pd.concat([part.assign(rank=range(len(part))) for part in parts])
    rows = rows.sort_values(["other", "lfsr", "rank", "gene"], kind="stable")
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
    fits = max(text_width(line) for line in lines) <= 72 * inches
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


def draw_blocks(ax: Axes, blocks: Sequence[Panel], starts: np.ndarray, scale: Scale) -> QuadMesh:
    """Cells and calls of every block; returns the last block's cells, all have the same colours.

    Parameters
    ----------
    ax
        The panel.
    blocks
        The same genes of each fate or contrast.
    starts : [blocks]
        Left edges of the blocks.
    scale
        fate | contrast.
    """
    n_genes, n_days = blocks[0].mean.shape
    limit = colour_limit(blocks, scale)
    for start, block in zip(starts, blocks, strict=True):
        ax.add_patch(Rectangle((start, 0), n_days, n_genes, facecolor=PALE, edgecolor=GREY, lw=0,
                               hatch="//////", zorder=0))  # fmt: skip
        mesh = ax.pcolormesh(start + np.arange(n_days + 1), np.arange(n_genes + 1),
                             np.ma.masked_invalid(block.mean), cmap="RdBu_r", vmin=-limit, vmax=limit,
                             zorder=1)  # fmt: skip
        ax.add_patch(Rectangle((start, 0), n_days, n_genes, fill=False, edgecolor=GREY, lw=0.5, zorder=2,
                               clip_on=False))  # fmt: skip
        draw_calls(ax, block, start + 0.5, 2.6, 0.4)
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

"""All contrasts in one picture: for each kind of figure of one contrast, one of all of them.

Letters: F* contrasts, L genes, D days, G guides. Tables come by contrast, in the order of the contrasts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from fatewalk.core.daywise import Daywise, active_matrix, day_matrix
from fatewalk.core.errors import FatewalkError
from fatewalk.core.schema import Z95
from fatewalk.core.tables import as_bool, require_columns
from fatewalk.plot import heatmap, recovery, volcano
from fatewalk.plot.columns import best_ranked, count_hits, notes_of, rows_of
from fatewalk.plot.delta import draw_guides, spread_of_genes
from fatewalk.plot.heatmap import LETTER, ROW, colour_limit
from fatewalk.plot.recovery import draw_day, quality
from fatewalk.plot.style import (
    AFTER_MASH,
    BEFORE_MASH,
    BLACK,
    BLUE,
    DOUBLE,
    GREEN,
    GREY,
    MANY,
    PALE,
    SINGLE,
    SMALL,
    VERMILLION,
    add_foot,
    add_title,
    day_ticks,
    effect_label,
    grid_columns,
    new_figure,
    panel_grid,
    say,
    styled,
    thin_labels,
    wrap,
)
from fatewalk.plot.trajectories import draw_gene, label_days
from fatewalk.plot.volcano import (
    CAP,
    LINE,
    choose,
    draw_points,
    draw_thresholds,
    name_points,
    text_width,
    widen,
)

PURPLE = "#AA3377"
COLOURS = (VERMILLION, BLUE, GREEN, PURPLE, BLACK, "#56B4E9", "#999933", "#882255")  # then again, dashed

CELL = 0.3  # widest cell of the heatmap, inches
LEAST_CELL = 0.05  # narrowest; the figure grows wider than a page before
NAME_LINE = 0.125  # height of a line of a contrast's name, inches
DAY_LINE = 0.09  # height of a line of a day's label, inches

N_NAMES = 5  # calls named in a panel of the volcano
DODGE = 0.05  # genes of a panel stand beside each other within this share of the time


# ------------------------------------------------------------------- heatmap


@styled
def overview_heatmap(
    hits: Mapping[str, pd.DataFrame],
    days: Sequence[str],
    times: Sequence[float],
    reference: str,
    max_genes: int = 60,
) -> Figure:
    """Heatmap of shrunken effects of all contrasts: a row a gene, a block a contrast, in it a column a day.

    Parameters
    ----------
    hits
        Table ``hits_ranked.csv`` by contrast.
    days, times : [D]
        Labels of the days in time order and their real times.
    reference
        Fate that the effects are against.
    max_genes
        Genes shown, see ``order_genes``.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    FatewalkError
        If there is no contrast, or a gene has no row for a contrast.
    """
    require_contrasts(hits)
    order = order_genes(hits, len(days))
    shown = order.head(max_genes)
    genes = list(shown.index)
    labels = [str(gene) for gene in genes]
    tables = [rows_of(table, genes, f"hits of {contrast}") for contrast, table in hits.items()]
    effect = np.stack([day_matrix(table, "postmean", len(days)) for table in tables])  # [F*, genes, D]
    active = np.stack([active_matrix(table, len(days)) for table in tables])  # [F*, genes, D]

    side = 0.25 + LETTER * 1.15 * max(map(len, labels))  # names of genes, some bold
    starts, cell = place_blocks(len(hits), len(days), DOUBLE - side)  # [F*]
    width = max(2.7, side + cell * (starts[-1] + len(days)))
    cell = (width - side) / (starts[-1] + len(days))
    names, upright = name_blocks(list(hits), cell * len(days))
    lines = [line for name in names for line in name.split("\n")]
    longest = max(text_width(line, 7) / 72 for line in lines) if upright else 2 * NAME_LINE
    ticks, day_label, level = day_texts(days, times, cell)
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
    bar.set_label(effect_label(each(hits), reference, width - side, AFTER_MASH))
    bar.outline.set_visible(False)
    fig.legend(handles=heatmap.legend_handles(), loc="outside lower center", ncols=2)
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
        lfsr = pd.DataFrame(day_matrix(table, "lfsr", n_days)).min(axis=1)  # skips what is missing
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


# -------------------------------------------------------------- trajectories


class Lines(NamedTuple):
    """What a panel of trajectories shows: the named genes, best first, and all others."""

    names: list[str]
    hit: np.ndarray  # [n_top]
    estimate: np.ndarray  # [n_top, D]
    se: np.ndarray  # [n_top, D]
    active: np.ndarray  # [n_top, D]
    others: np.ndarray  # [L - n_top, D]


@styled
def overview_trajectories(
    gene_tables: Mapping[str, pd.DataFrame],
    hits: Mapping[str, pd.DataFrame],
    days: Sequence[str],
    times: Sequence[float],
    reference: str,
    n_top: int = 5,
) -> Figure:
    """Estimates against real time, a panel a contrast: its best-ranked genes by name, the others in grey.

    Parameters
    ----------
    gene_tables
        Table ``gene_daywise_for_mash.csv`` by contrast.
    hits
        Table ``hits_ranked.csv`` by contrast: gives the order of the genes and the active days.
    days, times : [D]
        Labels of the days in time order and their real times.
    reference
        Fate that the effects are against.
    n_top
        Genes with a name in a panel.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    FatewalkError
        If there is no contrast, one has no table of hits, or a gene of ``hits`` has no row in its gene
        table.
    """
    require_contrasts(gene_tables)
    panels = [
        read_lines(table, table_of(hits, contrast, "hits"), len(days), n_top)
        for contrast, table in gene_tables.items()
    ]
    columns = panel_columns(len(panels), [name for panel in panels for name in panel.names], letters=12)
    fig, axes = panel_grid(len(panels), max(1.6, 0.11 * n_top + 0.6), columns, room=1.05)
    x = np.asarray(times, dtype=float)  # [D]
    for ax, panel in zip(axes, panels, strict=True):
        draw_lines(ax, x, panel)
    limits = limits_of_lines(panels)
    axes[0].set(xlim=time_limits(x), ylim=limits)
    title_panels(axes, list(gene_tables), [count_hits(hits[contrast]) for contrast in gene_tables],
                 panel_width(fig, columns))  # fmt: skip
    fig.supylabel(effect_label(each(gene_tables), reference, fig.get_figheight() - 1.2, BEFORE_MASH))
    handles = [
        Line2D([], [], color=BLUE, marker="o", ms=2.8, label="called active"),
        Line2D([], [], color=BLUE, marker="o", ms=2.4, mfc="white", label="not called"),
        Line2D([], [], color=GREY, lw=0.5, marker=".", ms=2, alpha=0.6, label="all other genes"),
    ]
    letter = LETTER / (panel_width(fig, columns) + 0.1)  # width of a letter as a share of a panel
    add_foot(fig, label_days(axes[0], days, times, letter), handles, 3)
    most = max(len(panel.names) for panel in panels)
    cut = ". Some intervals end beyond the axis" if any(is_cut(panel, limits) for panel in panels) else ""
    title = (
        f"The {most} best-ranked of {most_rows(gene_tables):,} genes for each fate with 95 % intervals, side "
        f"by side at each day; colours: rank; bold: hits{cut}"
    )
    add_title(fig, title, all_notes([*gene_tables.values(), *hits.values()]))

    FigureCanvasAgg(fig)  # a canvas that can measure
    fig.draw_without_rendering()  # panels get their final size, in which names are placed
    start = make_room(axes[0], panels)
    label_days(axes[0], days, times, letter)  # the axis has become longer
    for ax, panel in zip(axes, panels, strict=True):
        name_lines(ax, start, panel)
    return fig


def read_lines(gene_table: pd.DataFrame, hits: pd.DataFrame, n_days: int, n_top: int) -> Lines:
    """The numbers of a panel, from the tables of its contrast."""
    top = best_ranked(hits, n_top)
    require_columns(gene_table, ["gene"], "gene table")
    genes = rows_of(gene_table, list(top["gene"]), "gene table")
    return Lines(
        names=[str(gene) for gene in top["gene"]],
        hit=as_bool(top["hit_anyday"], "table of hits"),
        estimate=day_matrix(genes, "betahat", n_days),
        se=day_matrix(genes, "se", n_days),
        active=active_matrix(top, n_days),
        others=day_matrix(gene_table[~gene_table["gene"].isin(top["gene"])], "betahat", n_days),
    )


def draw_lines(ax: Axes, x: np.ndarray, panel: Lines) -> None:
    """The other genes as one faint line with gaps, the named ones over it."""
    ax.plot(time_limits(x), (0, 0), color=GREY, lw=0.6, zorder=0)  # ends before the names
    if not np.isfinite(panel.estimate).any() and not np.isfinite(panel.others).any():
        say(ax, "no cells observed")
    gap = np.full((len(panel.others), 1), np.nan)
    ax.plot(np.tile([*x, np.nan], len(panel.others)), np.hstack([panel.others, gap]).ravel(), color=GREY,
            lw=0.4, marker=".", ms=1.2, alpha=0.35, zorder=1, gid="others",
            rasterized=bool(panel.others.size > MANY))  # fmt: skip
    for row, shift in enumerate(dodge(x, len(panel.names))):
        colour, dash = look(row)
        draw_gene(ax, x + shift, panel.estimate[row], panel.se[row], panel.active[row], colour=colour,
                  called=colour, scale=0.75, ls=dash)  # fmt: skip


def time_limits(x: np.ndarray) -> tuple[float, float]:
    """Part of the time axis where lines are; names stand behind it."""
    room = 0.08 * max(float(np.ptp(x)), 1.0)
    return float(x[0]) - room, float(x[-1]) + room


def look(row: int) -> tuple[str, str]:
    """Colour and dashes of the line of a rank."""
    return COLOURS[row % len(COLOURS)], ("-", "--", ":")[row // len(COLOURS) % 3]


def dodge(x: np.ndarray, n: int) -> np.ndarray:
    """Shifts that set genes side by side at a day, well apart from the next day. ``x`` is [D]; gives [n]."""
    if len(x) == 1:
        return DODGE * np.arange(1, n + 1) / n  # beside the points of the others, which no lines show
    width = min(DODGE * float(np.ptp(x)), 0.4 * float(np.diff(x).min()))
    return width * (np.arange(n) - (n - 1) / 2) / max(n - 1, 1)


def limits_of_lines(panels: Sequence[Lines]) -> tuple[float, float]:
    """Range of the common y axis: every estimate, and the intervals of the calls.

    Intervals of what was hardly observed may end at the edge: they would flatten all lines.
    """
    values = [np.zeros(1)]
    for panel in panels:
        half = Z95 * panel.se[panel.active]
        called = panel.estimate[panel.active]
        values += [panel.estimate.ravel(), panel.others.ravel(), called - half, called + half]
    low, high = np.nanmin(np.concatenate(values)), np.nanmax(np.concatenate(values))
    room = 0.06 * max(high - low, 0.2)
    return low - room, high + room


def is_cut(panel: Lines, limits: tuple[float, float]) -> bool:
    """Whether an interval of a named gene ends beyond the axis."""
    half = Z95 * np.nan_to_num(panel.se)
    return bool((panel.estimate - half < limits[0]).any() or (panel.estimate + half > limits[1]).any())


def make_room(ax: Axes, panels: Sequence[Lines]) -> float:
    """Lengthen the common time axis until the names fit behind the lines; returns where they start."""
    low, end = ax.get_xlim()
    width = ax.get_window_extent().width * 72 / ax.figure.dpi  # points
    longest = max(text_width(name) for panel in panels for name in panel.names)
    taken = min(1.2 * longest + 4, 0.65 * width)  # bold letters are wider
    per_point = (end - low) / (width - taken)
    ax.set_xlim(low, low + width * per_point)
    return end + 3 * per_point


def name_lines(ax: Axes, start: float, panel: Lines) -> None:
    """Names of genes right of the last day, a line apart, near the heights where their lines end."""
    low, high = ax.get_ylim()
    ax_height = ax.get_window_extent().height * 72 / ax.figure.dpi  # points
    points_per_unit = ax_height / (high - low)
    seen = np.isfinite(panel.estimate)
    rows = np.flatnonzero(seen.any(axis=1))
    last = seen.shape[1] - 1 - seen[:, ::-1].argmax(axis=1)  # last observed day of each gene
    y = panel.estimate[np.arange(len(last)), last]
    rows = rows[np.argsort(-y[rows], kind="stable")]  # from the top down
    at = low + spread_out((y[rows] - low) * points_per_unit, LINE, top=ax_height) / points_per_unit
    for row, height in zip(rows.tolist(), at, strict=True):
        colour, _ = look(row)
        text = ax.text(start, height, panel.names[row], ha="left", va="center", fontsize=SMALL, color=colour,
                       weight="bold" if panel.hit[row] else "normal", gid="name")  # fmt: skip
        text.set_in_layout(False)


def spread_out(at: np.ndarray, line: float, top: float) -> np.ndarray:
    """Move names that would touch apart, each group about its middle, inside the panel.

    Parameters
    ----------
    at : [n]
        Wanted heights above the foot of the panel, descending.
    line
        Least distance, in the same unit.
    top
        Height of the panel, likewise.

    Returns
    -------
    numpy.ndarray, float [n]
    """
    groups: list[list[float]] = []  # heights, as if every name stood on its group's first line
    for height in at + line * np.arange(len(at)):
        groups.append([height])
        while len(groups) > 1 and np.mean(groups[-2]) < np.mean(groups[-1]):
            last = groups.pop()
            groups[-1] += last
    first = np.array([np.mean(group) for group in groups for _ in group])  # descending
    return np.clip(first, line * (len(at) - 0.5), top - 0.5 * line) - line * np.arange(len(at))


# ------------------------------------------------------------------- volcano


@styled
def overview_volcano(
    hits: Mapping[str, pd.DataFrame],
    days: Sequence[str],
    eps: float,
    lfsr_day: float,
    reference: str,
) -> Figure:
    """Shrunken effect against -log10 of the local false sign rate, a panel a contrast, a point a gene.

    Parameters
    ----------
    hits
        Table ``hits_ranked.csv`` by contrast.
    days : [D]
        Labels of the days in time order.
    eps
        Smallest effect of interest, in logit.
    lfsr_day
        Threshold of the local false sign rate on a day.
    reference
        Fate that the effects are against.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    FatewalkError
        If there is no contrast or a column is missing.
    """
    require_contrasts(hits)
    for table in hits.values():
        require_columns(table, ["gene", "hit_anyday"], "table of hits")
    points = [strongest_day(table, len(days)) for table in hits.values()]
    called = [as_bool(table["hit_anyday"], "table of hits") for table in hits.values()]
    names = [table["gene"].astype(str).to_numpy() for table in hits.values()]
    effects = np.concatenate([effect for effect, _ in points])
    heights = np.concatenate([height for _, height in points])
    top = min(CAP, max(float(np.nanmax(heights, initial=0)), -np.log10(lfsr_day)) + 0.3)

    # the best hits are named; a height of 300 is an lfsr of 0 but for rounding
    certainty = [np.minimum(height, 300.0) for _, height in points]
    labelled = [choose(of, hit, N_NAMES) for of, hit in zip(certainty, called, strict=True)]
    shown = [name[rows] for name, rows in zip(names, labelled, strict=True)]
    columns = panel_columns(len(points), np.concatenate(shown), letters=10)
    fig, axes = panel_grid(len(points), 1.5 if columns == 3 else 1.75, columns)
    widest = max(float(np.nanmax(np.abs(effects), initial=0)), 2 * eps, 0.1)
    axes[0].set(xlim=(-1.1 * widest, 1.1 * widest), ylim=(-0.03 * top, 1.05 * top))
    for ax, (effect, height), hit in zip(axes, points, called, strict=True):
        draw_points(ax, effect, height, hit, top)
        draw_thresholds(ax, eps, lfsr_day)
    title_panels(axes, list(hits), [count_hits(table) for table in hits.values()],
                 panel_width(fig, columns))  # fmt: skip
    fig.supylabel("−log₁₀ local false sign rate")
    beyond = top if (heights > top).any() else None
    handles = volcano.legend_handles(("hit", "no hit"), eps, lfsr_day, beyond)
    label = effect_label(each(hits), reference, fig.get_figwidth(), AFTER_MASH)
    add_foot(fig, label, handles, 5 if len(axes) > 1 else 3)
    title = f"{most_rows(hits):,} genes, each on the day of its smallest local false sign rate"
    add_title(fig, title, all_notes(hits.values()))

    FigureCanvasAgg(fig)  # a canvas that can measure
    fig.draw_without_rendering()  # panels get their final size, in which names are placed
    widen(axes[0], [(x[rows], name) for (x, _), rows, name in zip(points, labelled, shown, strict=True)])
    for ax, (x, y), rows, name in zip(axes, points, labelled, shown, strict=True):
        name_points(ax, x[rows], np.minimum(y[rows], top), name)
    return fig


def strongest_day(hits: pd.DataFrame, n_days: int) -> tuple[np.ndarray, np.ndarray]:
    """Effect and -log10 lfsr of every gene on its observed day of smallest lfsr; a tie: of larger effect.

    Returns
    -------
    numpy.ndarray, float [L]
    numpy.ndarray, float [L]
        NaN where a gene was not observed at all.
    """
    effect = day_matrix(hits, "postmean", n_days)  # [L, D]
    lfsr = day_matrix(hits, "lfsr", n_days)  # [L, D]
    seen = np.isfinite(effect) & np.isfinite(lfsr)
    lfsr = np.where(seen, lfsr, np.inf)
    smallest = lfsr == lfsr.min(axis=1, keepdims=True)
    day = np.where(seen & smallest, np.abs(effect), -1).argmax(axis=1)  # [L]
    rows = np.arange(len(day))
    observed = seen[rows, day]
    with np.errstate(divide="ignore"):
        height = -np.log10(lfsr[rows, day])
    return np.where(observed, effect[rows, day], np.nan), np.where(observed, height, np.nan)


# --------------------------------------------------------- guides and truth


@styled
def overview_delta(
    delta_mean: np.ndarray,
    delta_sd: np.ndarray,
    guide_gene: Sequence[str],
    genes: Sequence[str],
    contrasts: Sequence[str],
    reference: str,
    notes: Sequence[str] = (),
    n_top: int = 8,
) -> Figure:
    """Deviations of guides from their gene, a panel a contrast, in it the genes of largest spread.

    Parameters
    ----------
    delta_mean, delta_sd : [G, F*]
        Posterior mean and SD of the guide deviations, in logit.
    guide_gene : [G]
        Gene of each guide.
    genes : [L]
        All genes; genes of equal spread keep this order.
    contrasts : [F*]
        Fates of the effects.
    reference
        Fate that the effects are against.
    notes
        Warnings of the run, from ``notes_of``.
    n_top
        Genes shown in a panel.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    FatewalkError
        If there is no contrast, the shapes differ or a guide's gene is not in ``genes``.
    """
    require_contrasts(contrasts)
    needed = (len(guide_gene), len(contrasts))
    if np.shape(delta_mean) != needed or np.shape(delta_sd) != needed:
        raise FatewalkError(
            f"deltas: found means {np.shape(delta_mean)} and SDs {np.shape(delta_sd)}; needed: {needed}, "
            "guides by contrasts"
        )
    owner = np.asarray(guide_gene, dtype=str)
    tables = [
        pd.DataFrame({"gene": owner, "mean": mean, "sd": sd})
        for mean, sd in zip(np.transpose(delta_mean), np.transpose(delta_sd), strict=True)
    ]
    spreads = [spread_of_genes(table, genes) for table in tables]
    several = [spread[spread["size"] > 1] for spread in spreads]
    shown = [spread.head(n_top) for spread in several]
    if several[0].empty:  # so for every contrast: they share their guides
        fig = new_figure(DOUBLE, 1.2)
        draw_guides(fig.subplots(), tables[0], shown[0])
    else:
        fig = draw_spreads(tables, shown, contrasts, n_top)
    add_title(fig, spread_title(spreads, len(several[0]), len(shown[0]), reference), notes)
    return fig


def draw_spreads(
    tables: Sequence[pd.DataFrame], shown: Sequence[pd.DataFrame], contrasts: Sequence[str], n_top: int
) -> Figure:
    """A panel a contrast; names of genes stand upright under every panel, for each has its own."""
    longest = max(text_width(gene, 6) for spread in shown for gene in spread.index) / 72
    per_row = max(1, min(4, int((DOUBLE - 0.6) / (0.13 * n_top))))  # names do not touch
    columns = grid_columns(len(tables), per_row)
    fig, axes = panel_grid(len(tables), 1.35 + longest, columns, room=0.5, common_x=False)
    for ax, table, spread in zip(axes, tables, shown, strict=True):
        draw_guides(ax, table[table["gene"].isin(spread.index)], spread)
        ax.set_ylabel("")  # stands once a row
    title_panels(axes, contrasts, [""] * len(axes), panel_width(fig, columns))
    for ax in axes[::columns]:
        ax.set_ylabel("deviation\nof guide (logit)")
    return fig


def spread_title(spreads: Sequence[pd.DataFrame], n_several: int, n_shown: int, reference: str) -> str:
    """What is shown, what is not, and how far the within-gene means are from zero."""
    n_genes = len(spreads[0])
    against = f"{count_fates(spreads)} against {reference}"
    if not n_several:
        return f"{against}: {n_genes:,} genes, each with a single guide"
    furthest = max(float(np.abs(spread["mean"]).max()) for spread in spreads)
    return (
        f"{against}: {n_shown} of {n_several:,} genes with two or more guides, largest spread first; "
        f"{n_genes - n_several:,} with a single guide not shown\n"
        f"Within-gene means (black bars): at most {furthest:.1e} in size over all genes"
    )


@styled
def overview_recovery(
    gene_tables: Mapping[str, pd.DataFrame],
    truth: Mapping[str, pd.DataFrame],
    eps: float,
    reference: str,
) -> Figure:
    """Estimates with 95 % intervals against the true effects, a panel a contrast, all days together.

    Parameters
    ----------
    gene_tables
        Table ``gene_daywise_for_mash.csv`` by contrast.
    truth
        By contrast, true effects in logit [L, D]; index: genes, in any order; columns: days in time order.
    eps
        A gene is truly active on a day if its true effect is at least this, in logit.
    reference
        Fate that the effects are against.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    FatewalkError
        If there is no contrast, a contrast or a gene has no truth, or the number of days differs.
    """
    require_contrasts(gene_tables)
    pooled = [pool_days(table, table_of(truth, contrast, "truth")) for contrast, table in gene_tables.items()]
    columns = grid_columns(len(pooled), 4)
    fig, axes = panel_grid(len(pooled), 1.8 if columns > 1 else 3.0, columns, room=0.8,
                           width=max(SINGLE, 0.6 + 1.65 * columns))  # fmt: skip
    for ax, (true, estimate, se) in zip(axes, pooled, strict=True):
        draw_day(ax, true, estimate, se, eps)
        ax.set_box_aspect(1)
    values = np.concatenate([part for true, estimate, _ in pooled for part in (true, estimate)])
    limit = 1.08 * max(float(np.nanmax(np.abs(values), initial=0)), eps, 0.1)
    axes[0].set(xlim=(-limit, limit), ylim=(-limit, limit))
    title_panels(axes, list(gene_tables), [quality(*part) for part in pooled], panel_width(fig, columns))
    for ax in axes[::columns]:
        ax.set_ylabel("estimate (logit)")
    label = effect_label(each(gene_tables), reference, fig.get_figwidth(), "true effect on")
    add_foot(fig, label, recovery.legend_handles(eps), 3 if columns > 1 else 2)
    title = f"{most_rows(gene_tables):,} genes on all days; bars: 95 % intervals"
    add_title(fig, title, all_notes(gene_tables.values()))
    return fig


def pool_days(gene_table: pd.DataFrame, truth: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True effects, estimates and their SEs of all gene-days, each [L * D]."""
    found = Daywise.of(gene_table, "gene table", ["betahat", "se"], ["gene"])
    if truth.shape[1] != found.n_days:
        raise FatewalkError(f"truth: found {truth.shape[1]} days; the estimates have {found.n_days}")
    true = rows_of(truth.rename_axis("gene"), list(found["gene"]), "truth").to_numpy(dtype=float)
    return true.ravel(), found["betahat"].ravel(), found["se"].ravel()


# --------------------------------------------------------------------- parts


def require_contrasts(contrasts: Sequence[str] | Mapping[str, pd.DataFrame]) -> None:
    """Refuse to draw nothing."""
    if not len(contrasts):
        raise FatewalkError("overview: found no contrasts; needed: one or more")


def table_of(tables: Mapping[str, pd.DataFrame], contrast: str, what: str) -> pd.DataFrame:
    """The table of a contrast.

    Raises
    ------
    FatewalkError
        If there is none.
    """
    if contrast not in tables:
        raise FatewalkError(f"{what}: no table for contrast {contrast}; are the tables of one run?")
    return tables[contrast]


def all_notes(tables: Iterable[pd.DataFrame]) -> list[str]:
    """Warnings of any of the tables, each once."""
    return list(dict.fromkeys(note for table in tables for note in notes_of(table)))


def most_rows(tables: Mapping[str, pd.DataFrame]) -> int:
    """Number of genes."""
    return max(len(table) for table in tables.values())


def each(contrasts: Mapping[str, pd.DataFrame]) -> str:
    """What stands for the contrast in the label of a common axis."""
    return next(iter(contrasts)) if len(contrasts) == 1 else "each fate"


def count_fates(contrasts: Sequence[object] | Mapping[str, pd.DataFrame]) -> str:
    """Number of contrasts in words."""
    return "1 fate" if len(contrasts) == 1 else f"{len(contrasts)} fates"


def panel_columns(n: int, names: Iterable[str], letters: int) -> int:
    """Columns of a grid whose panels have room for the names of genes: four for names of so many letters."""
    longest = max((len(name) for name in names), default=0)
    return grid_columns(n, 4 if longest <= letters else 3 if longest <= 1.5 * letters else 2)


def title_panels(
    axes: Sequence[Axes], contrasts: Sequence[str], remarks: Sequence[str], inches: float
) -> None:
    """Name of the fate over each panel and, on the same line where that fits everywhere, a remark."""
    lines = [f"{contrast}: {remark}" for contrast, remark in zip(contrasts, remarks, strict=True)]
    fits = all(text_width(line, 7) <= 72 * inches for line in lines)
    for ax, contrast, remark, line in zip(axes, contrasts, remarks, lines, strict=True):
        name = fit_name(contrast, inches)
        ax.set_title(name if not remark else line if fits else f"{name}\n{remark}")


def panel_width(fig: Figure, columns: int) -> float:
    """Width of a panel in inches, about."""
    return (fig.get_figwidth() - 0.6) / columns - 0.2


def split_name(name: str) -> list[str]:
    """Parts of a name, each with the underscore, hyphen or blank that ends it."""
    return re.split(r"(?<=[_\- ])", name)


def fit_name(name: str, inches: float) -> str:
    """Break the name of a fate into lines that fit a length, where it has places to break."""
    lines = [""]
    for part in split_name(name):
        if lines[-1] and text_width(lines[-1] + part, 7) > 72 * inches:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)

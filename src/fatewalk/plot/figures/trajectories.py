"""Effects of single genes over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.lines import Line2D

from fatewalk.core.schema import Z95
from fatewalk.plot.effects import cells_of, effects_of, effects_on, guides_of, panel_names
from fatewalk.plot.panels import (
    LETTER,
    LINE,
    legend_columns,
    panel_columns,
    panel_width,
    text_width,
    title_panels,
)
from fatewalk.plot.style import (
    BLACK,
    BLUE,
    CALLED,
    GREEN,
    GREY,
    MANY,
    TEXT,
    VERMILLION,
    add_foot,
    add_title,
    day_ticks,
    grid_columns,
    panel_grid,
    say,
    styled,
    thin_labels,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fatewalk.plot.effects import Panel, Scale
    from fatewalk.run.files import Run

NUMBER_WIDTH = 0.135  # width of a count of cells, as a share of a panel
PALER = 0.45  # opacity of followers beside others
LEAST_REACH = 1.0  # guides as far from zero are always shown, logit
DODGE = 0.05  # genes of a panel stand beside each other within this share of the time
PURPLE = "#AA3377"
FOLLOWING = "#F2B48C"  # CALLED, lighter
COLOURS = (VERMILLION, BLUE, GREEN, PURPLE, BLACK, "#56B4E9", "#999933", "#882255")  # then again, dashed
LABEL_WIDTH = 0.034  # width of a letter of a tick text, likewise


@styled
def trajectories(run: Run, fate: str | None = None, *, scale: Scale | None = None, n_top: int = 9) -> Figure:
    """Estimates of the best-ranked genes and their guides against real time, a panel a gene.

    Parameters
    ----------
    run
        The run.
    fate
        Fate or contrast of the effects; None: that of the primary contrast.
    scale
        fate (after mash) | contrast (before it); None: ``calls.scale``.
    n_top
        Number of genes.

    Raises
    ------
    FatewalkError
        If there is no gene, or a gene of the hits has no row in the gene table.
    """
    effects, days = effects_on(run, fate, scale, before_mash=True), run.days
    ((name, panel),) = effects.panels.items()
    top = panel.take(slice(n_top))
    cells, guides = cells_of(run, name, top.genes), guides_of(run, name, top.genes, scale)
    x = np.asarray(run.times, dtype=float)  # [D]

    fig, axes = panel_grid(len(top.genes), 1.45, grid_columns(len(top.genes), 3))
    for row, (gene, ax) in enumerate(zip(top.genes, axes, strict=True)):
        ax.axhline(0, color=GREY, lw=0.6, zorder=0)
        ax.plot(x, guides[gene].T, color=GREY, lw=0.5, marker=".", ms=1.5, alpha=0.7, zorder=1, gid="guides")
        called = FOLLOWING if top.follower[row] else CALLED
        draw_gene(ax, x, top.mean[row], top.sd[row], top.called[row], called=called)
        n_guides = len(guides[gene])
        plural = "guide" if n_guides == 1 else "guides"
        ax.set_title(f"{gene} ({n_guides} {plural})", weight="bold" if top.hit[row] else "normal")
    span = max(float(np.ptp(x)), 1.0)
    axes[0].set_xlim(x[0] - 0.08 * span, x[-1] + 0.08 * span)
    low, high = axes[0].get_ylim()
    cut = ""
    if effects.scale == "fate":  # guides that are not shrunk must not flatten their genes
        reach = max(2 * float(np.nanmax(np.abs(top.mean) + Z95 * top.sd, initial=0)), LEAST_REACH)
        shown = max(low, -reach), min(high, reach)
        cut = ". Some guides leave the axis" if shown != (low, high) else ""
        low, high = shown
    axes[0].set_ylim(low - 0.16 * (high - low), high)  # room for the numbers of cells
    for row, ax in enumerate(axes):
        write_cells(ax, x, cells[row])
    fig.supylabel(effects.label(fig.get_figheight() - 0.9))

    looks = [(CALLED, effects.hit_words), (FOLLOWING, effects.follower_words)]
    handles = [
        Line2D([], [], color=BLUE, marker="o", ms=3, mfc="white",
               label=f"gene {effects.when}, 95 % interval"),
        *(Line2D([], [], color=BLUE, marker="o", ms=3.5, mfc=colour, mec=colour, label=label)
          for colour, label in looks[: 1 + bool(top.follower.any())]),
        Line2D([], [], color=GREY, lw=0.5, marker=".", ms=1.5, label=effects.guide_words),
    ]  # fmt: skip
    columns = legend_columns(handles, len(handles) if len(axes) > 1 else 2, fig.get_figwidth())
    add_foot(fig, label_days(axes[0], days, run.times), handles, columns)
    title = (
        f"The {len(top.genes)} best-ranked of {effects.n_genes:,} genes ({panel.count_hits} in all: bold). "
        f"Numbers above the axis: cells with the gene's guides{cut}"
    )
    add_title(fig, title, effects.notes)
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
    alpha: float = 1.0,
) -> None:
    """Estimates with 95 % intervals; a day that was not observed leaves a gap. All arrays are [D]."""
    ax.errorbar(x, estimate, Z95 * se, color=colour, lw=1.1 * scale, ls=ls, elinewidth=scale, alpha=alpha,
                zorder=2)  # fmt: skip
    for days, fill, edge, size, gid in (
        (~active, "white", colour, 3.0, "inactive"),
        (active, called, called, 3.5, "active"),
    ):
        days = days & np.isfinite(estimate)
        ax.plot(x[days], estimate[days], "o", ms=size * scale, mfc=fill, mec=edge, mew=0.8 * scale,
                alpha=alpha, zorder=3, gid=gid)  # fmt: skip


def write_cells(ax: Axes, x: np.ndarray, cells: np.ndarray) -> None:
    """Numbers of cells at the foot of a panel: by day, or their range where days lie too close."""
    low, high = ax.get_xlim()
    style: dict[str, Any] = {
        "fontsize": TEXT,
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


# --------------------------------------------------- all fates or contrasts


class Lines(NamedTuple):
    """What a panel of trajectories shows: the named genes, best first, and all others."""

    top: Panel
    others: np.ndarray  # [L - n_top, D]


@styled
def overview_trajectories(run: Run, *, scale: Scale | None = None, n_top: int = 5) -> Figure:
    """Estimates against real time, a panel a fate or contrast: its best genes by name, the others in grey.

    Parameters
    ----------
    run
        The run.
    scale
        fate (after mash) | contrast (before it); None: ``calls.scale``.
    n_top
        Genes with a name in a panel.

    Raises
    ------
    FatewalkError
        If there is no contrast, or a gene of the hits has no row in the gene table of its contrast.
    """
    effects = effects_of(run, panel_names(run, scale), scale, before_mash=True)
    days, times = run.days, run.times
    panels = [Lines(panel.take(slice(n_top)), panel.mean[n_top:]) for panel in effects.panels.values()]
    columns = panel_columns(len(panels), [name for panel in panels for name in panel.top.genes], letters=12)
    fig, axes = panel_grid(len(panels), max(1.6, 0.11 * n_top + 0.6), columns, room=1.05)
    x = np.asarray(times, dtype=float)  # [D]
    for ax, panel in zip(axes, panels, strict=True):
        draw_lines(ax, x, panel, effects.missing)
    limits = limits_of_lines(panels)
    axes[0].set(xlim=time_limits(x), ylim=limits)
    counts = [panel.count for panel in effects.panels.values()]
    title_panels(axes, list(effects.panels), counts, panel_width(fig, columns))
    fig.supylabel(effects.label(fig.get_figheight() - 1.2))
    handles = [
        Line2D([], [], color=BLUE, marker="o", ms=2.8, label="called active, after shrinkage"),
        Line2D([], [], color=BLUE, marker="o", ms=2.4, mfc="white", label="not called"),
        Line2D([], [], color=GREY, lw=0.5, marker=".", ms=2, alpha=0.6, label="all other genes"),
    ]
    if any(panel.top.follower.any() for panel in panels):
        pale = Line2D([], [], color=BLUE, marker="o", ms=2.8, alpha=PALER, label=effects.follower_words)
        handles.insert(1, pale)
    letter = LETTER / (panel_width(fig, columns) + 0.1)  # width of a letter as a share of a panel
    per_row = legend_columns(handles, len(handles), fig.get_figwidth())
    add_foot(fig, label_days(axes[0], days, times, letter), handles, per_row)
    most = max(len(panel.top.genes) for panel in panels)
    cut = ". Some intervals end beyond the axis" if any(is_cut(panel, limits) for panel in panels) else ""
    title = (
        f"The {most} best-ranked of {effects.n_genes:,} genes for each fate with 95 % intervals, side "
        f"by side at each day; colours: rank; bold: hits{cut}"
    )
    add_title(fig, title, effects.notes)

    FigureCanvasAgg(fig)  # a canvas that can measure
    fig.draw_without_rendering()  # panels get their final size, in which names are placed
    start = make_room(axes[0], panels)
    label_days(axes[0], days, times, letter)  # the axis has become longer
    for ax, panel in zip(axes, panels, strict=True):
        name_lines(ax, start, panel)
    return fig


def draw_lines(ax: Axes, x: np.ndarray, panel: Lines, missing: str) -> None:
    """The other genes as one faint line with gaps, the named ones over it, followers paler."""
    top, others = panel.top, panel.others
    ax.plot(time_limits(x), (0, 0), color=GREY, lw=0.6, zorder=0)  # ends before the names
    if not np.isfinite(top.mean).any() and not np.isfinite(others).any():
        say(ax, missing)
    gap = np.full((len(others), 1), np.nan)
    ax.plot(np.tile([*x, np.nan], len(others)), np.hstack([others, gap]).ravel(), color=GREY,
            lw=0.4, marker=".", ms=1.2, alpha=0.35, zorder=1, gid="others",
            rasterized=bool(others.size > MANY))  # fmt: skip
    for row, shift in enumerate(dodge(x, len(top.genes))):
        colour, dash = look(row)
        draw_gene(ax, x + shift, top.mean[row], top.sd[row], top.called[row], colour=colour, called=colour,
                  scale=0.75, ls=dash, alpha=PALER if top.follower[row] else 1.0)  # fmt: skip


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
    for top, others in panels:
        half = Z95 * top.sd[top.called]
        called = top.mean[top.called]
        values += [top.mean.ravel(), others.ravel(), called - half, called + half]
    low, high = np.nanmin(np.concatenate(values)), np.nanmax(np.concatenate(values))
    room = 0.06 * max(high - low, 0.2)
    return low - room, high + room


def is_cut(panel: Lines, limits: tuple[float, float]) -> bool:
    """Whether an interval of a named gene ends beyond the axis."""
    mean, half = panel.top.mean, Z95 * np.nan_to_num(panel.top.sd)
    return bool((mean - half < limits[0]).any() or (mean + half > limits[1]).any())


def make_room(ax: Axes, panels: Sequence[Lines]) -> float:
    """Lengthen the common time axis until the names fit behind the lines; returns where they start."""
    low, end = ax.get_xlim()
    width = ax.get_window_extent().width * 72 / ax.figure.dpi  # points
    longest = max(text_width(name) for panel in panels for name in panel.top.genes)
    taken = min(1.2 * longest + 4, 0.65 * width)  # bold letters are wider
    per_point = (end - low) / (width - taken)
    ax.set_xlim(low, low + width * per_point)
    return end + 3 * per_point


def name_lines(ax: Axes, start: float, panel: Lines) -> None:
    """Names of genes right of the last day, a line apart, near the heights where their lines end."""
    low, high = ax.get_ylim()
    ax_height = ax.get_window_extent().height * 72 / ax.figure.dpi  # points
    points_per_unit = ax_height / (high - low)
    seen = np.isfinite(panel.top.mean)
    rows = np.flatnonzero(seen.any(axis=1))
    last = seen.shape[1] - 1 - seen[:, ::-1].argmax(axis=1)  # last observed day of each gene
    y = panel.top.mean[np.arange(len(last)), last]
    rows = rows[np.argsort(-y[rows], kind="stable")]  # from the top down
    at = low + spread_out((y[rows] - low) * points_per_unit, LINE, top=ax_height) / points_per_unit
    for row, height in zip(rows.tolist(), at, strict=True):
        colour, _ = look(row)
        weight = "bold" if panel.top.hit[row] else "normal"
        text = ax.text(start, height, panel.top.genes[row], ha="left", va="center", fontsize=TEXT,
                       color=colour, weight=weight, alpha=PALER if panel.top.follower[row] else 1.0,
                       gid="name")  # fmt: skip
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

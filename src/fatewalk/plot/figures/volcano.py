"""Effect against its local false sign rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from fatewalk.plot.effects import effects_of, effects_on, panel_names
from fatewalk.plot.panels import (
    LINE,
    cut_name,
    legend_columns,
    panel_columns,
    panel_width,
    text_width,
    title_panels,
)
from fatewalk.plot.style import (
    BLACK,
    CALLED,
    GREY,
    MANY,
    TEXT,
    add_foot,
    add_title,
    day_title,
    grid_columns,
    panel_grid,
    say,
    styled,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fatewalk.plot.effects import Panel, Scale
    from fatewalk.run.files import Run

CAP = 10.0  # -log10 lfsr above this is drawn at this
N_LABELS = 6  # calls named in a panel of a day
N_NAMES = 5  # of a contrast
LONGEST = 0.65  # share of a side of a panel that a name may take


class Points(NamedTuple):
    """Points of a panel, one a gene; missing where it was not observed."""

    effect: np.ndarray  # [L]
    height: np.ndarray  # [L], -log10 lfsr
    called: np.ndarray  # [L]
    follower: np.ndarray  # [L]

    @classmethod
    def of_day(cls, panel: Panel, day: int) -> Points:
        """Genes on a day."""
        with np.errstate(divide="ignore"):
            height = -np.log10(panel.lfsr[:, day])
        return cls(panel.mean[:, day], height, panel.called[:, day], panel.follower)

    @classmethod
    def on_strongest_day(cls, panel: Panel) -> Points:
        """Genes each on its observed day of smallest lfsr; a tie: of larger effect."""
        seen = np.isfinite(panel.mean) & np.isfinite(panel.lfsr)  # [L, D]
        lfsr = np.where(seen, panel.lfsr, np.inf)
        smallest = lfsr == lfsr.min(axis=1, keepdims=True)
        day = np.where(seen & smallest, np.abs(panel.mean), -1).argmax(axis=1)  # [L]
        rows = np.arange(len(day))
        with np.errstate(divide="ignore"):
            height = -np.log10(panel.lfsr[rows, day])
        observed = seen[rows, day]
        effect, height = (np.where(observed, of, np.nan) for of in (panel.mean[rows, day], height))
        return cls(effect, height, panel.hit | panel.follower, panel.follower)


@styled
def volcano(run: Run, fate: str | None = None, *, scale: Scale | None = None) -> Figure:
    """Shrunken effect against -log10 of the local false sign rate, a panel a day.

    Parameters
    ----------
    run
        The run.
    fate
        Fate or contrast of the effects; None: that of the primary contrast.
    scale
        fate | contrast; None: ``calls.scale``.
    """
    effects, days, calls = effects_on(run, fate, scale), run.days, run.settings.calls
    eps, lfsr_day = calls.effect_size_eps, calls.lfsr_day
    panel = next(iter(effects.panels.values()))
    points = [Points.of_day(panel, day) for day in range(len(days))]
    effect, called, names = panel.mean, panel.called, panel.genes  # [L, D], [L, D], [L]
    height = np.stack([of.height for of in points], axis=1)  # [L, D]
    top = min(CAP, max(float(np.nanmax(height, initial=0)), -np.log10(lfsr_day)) + 0.3)

    longest = max((len(name) for name in names[called.any(axis=1)]), default=0)
    fig, axes = panel_grid(len(days), 1.9, grid_columns(len(days), 4 if longest <= 10 else 2))
    widest = max(float(np.nanmax(np.abs(effect), initial=0)), 2 * eps, 0.1)
    axes[0].set(xlim=(-1.1 * widest, 1.1 * widest), ylim=(-0.03 * top, 1.05 * top))
    for day, ax in enumerate(axes):
        draw_points(ax, points[day], top, effects.missing)
        draw_thresholds(ax, eps, lfsr_day)
        ax.set_title(f"{day_title(days[day])}: {called[:, day].sum():,} called")
    fig.supylabel("−log₁₀ local false sign rate")
    words = (effects.hit_words, effects.follower_words * effects.has_followers, "not called")
    handles = legend_handles(words, eps, lfsr_day, top if (height > top).any() else None)
    columns = legend_columns(handles, 5 if len(axes) > 1 else 3, fig.get_figwidth())
    add_foot(fig, effects.label(fig.get_figwidth()), handles, columns)
    add_title(fig, f"{effects.n_genes:,} genes", effects.notes)

    FigureCanvasAgg(fig)  # a canvas that can measure
    fig.draw_without_rendering()  # panels get their final size, in which names are placed
    strongest = [choose(effect[:, day], called[:, day]) for day in range(len(days))]
    widen(axes[0], [(effect[rows, day], names[rows]) for day, rows in enumerate(strongest)])
    for day, (ax, rows) in enumerate(zip(axes, strongest, strict=True)):
        name_points(ax, effect[rows, day], np.minimum(height[rows, day], top), names[rows])
    return fig


def draw_points(ax: Axes, panel: Points, top: float, missing: str) -> None:
    """Calls over the rest, hollow for followers; points above ``top`` are triangles at ``top``."""
    x, y = panel.effect, panel.height
    seen = np.isfinite(x) & ~np.isnan(y)
    if not seen.any():
        say(ax, missing)
    follows = panel.called & panel.follower
    for kind, rows, colour, order in (
        ("rest", seen & ~panel.called, GREY, 1),
        ("following", seen & follows, CALLED, 2),
        ("called", seen & panel.called & ~follows, CALLED, 2),
    ):
        hollow = {"mfc": "none", "mew": 0.5} if kind == "following" else {"mew": 0}
        for beyond, marker, size in ((False, "o", 2.2), (True, "^", 3.2)):
            part = rows & ((y > top) == beyond)
            ax.plot(x[part], np.minimum(y[part], top), marker, ms=size, color=colour, alpha=0.75,
                    zorder=order, rasterized=bool(part.sum() > MANY),
                    gid=f"{kind}{'-beyond' if beyond else ''}", **hollow)  # fmt: skip


def draw_thresholds(ax: Axes, eps: float, lfsr_day: float) -> None:
    """The smallest effect of interest, on both sides of zero, and the threshold of the lfsr."""
    for x in (-eps, eps):
        ax.axvline(x, color=BLACK, lw=0.5, ls=":", zorder=0)
    ax.axhline(-np.log10(lfsr_day), color=BLACK, lw=0.5, ls="--", zorder=0)


def legend_handles(
    words: tuple[str, str, str], eps: float, lfsr_day: float, beyond: float | None
) -> list[Line2D]:
    """Legend of a volcano.

    Parameters
    ----------
    words
        What calls, followers and the rest are; empty where there are none.
    eps, lfsr_day
        Thresholds.
    beyond
        Where points were cut, if any.
    """
    looks: list[dict[str, Any]] = [{"color": CALLED}, {"color": CALLED, "mfc": "none", "mew": 0.5}]
    looks.append({"color": GREY})
    handles = [
        Line2D([], [], marker="o", ls="", ms=3, label=label, **look)
        for label, look in zip(words, looks, strict=True)
        if label
    ]
    if beyond is not None:
        handles.append(Line2D([], [], marker="^", ls="", ms=3.5, color=GREY, label=f"beyond {beyond:g}"))
    return [
        *handles,
        Line2D([], [], color=BLACK, lw=0.5, ls=":", label=f"|effect| = {eps:g}"),
        Line2D([], [], color=BLACK, lw=0.5, ls="--", label=f"lfsr = {lfsr_day:g}"),
    ]


def choose(effect: np.ndarray, called: np.ndarray, most: int = N_LABELS) -> np.ndarray:
    """Rows of the strongest calls of a panel, at most ``most``."""
    rows = np.flatnonzero(called & np.isfinite(effect))
    return rows[np.argsort(-np.abs(effect[rows]), kind="stable")[:most]]


def widen(ax: Axes, labelled: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
    """Widen the common x axis until every name fits beside its point."""
    width = width_of(ax)
    limit = ax.get_xlim()[1]
    for x, names in labelled:
        for effect, name in zip(np.abs(x), names, strict=True):
            taken = (text_width(shown_as(name, width)) + 6) / (width / 2)  # share of the half axis
            limit = max(limit, effect / max(1 - taken, 0.3))
    ax.set_xlim(-limit, limit)


def width_of(ax: Axes) -> float:
    """Width of a panel, points."""
    return float(ax.get_window_extent().width * 72 / ax.figure.dpi)


def shown_as(name: str, width: float) -> str:
    """A name that fits one side of a panel of a width in points."""
    return cut_name(name, LONGEST * width / 2 / 72)


def name_points(ax: Axes, x: np.ndarray, y: np.ndarray, names: np.ndarray) -> None:
    """Name points on their outer side.

    Names left of zero end there and names right of zero start there, so only names of one side can
    meet; on a side they are kept a line apart.
    """
    points_per_unit = ax.get_window_extent().height * 72 / ax.figure.dpi / np.ptp(ax.get_ylim())
    for side in (-1, 1):
        rows = np.lexsort((-np.abs(x), -y))  # from the top down, outermost first
        rows = rows[np.sign(x[rows]) == side]
        at = y[rows] * points_per_unit
        for row, shift in zip(rows, keep_apart(at, LINE) - at, strict=True):
            text = ax.annotate(
                shown_as(names[row], width_of(ax)), (x[row], y[row]), (side * 4, shift),
                textcoords="offset points", ha="left" if side > 0 else "right", va="center",
                fontsize=TEXT, gid="name",
                arrowprops={"arrowstyle": "-", "lw": 0.3, "color": GREY, "shrinkA": 0, "shrinkB": 1,
                            "relpos": (0.0 if side > 0 else 1.0, 0.5)},
                path_effects=[withStroke(linewidth=1.2, foreground="white")],
            )  # fmt: skip
            text.set_in_layout(False)


def keep_apart(at: np.ndarray, line: float) -> np.ndarray:
    """Move names down until they are ``line`` apart, and up where they would leave the panel.

    Parameters
    ----------
    at : [n]
        Wanted heights above the foot of the panel, descending.
    line
        Least distance, in the same unit.

    Returns
    -------
    numpy.ndarray, float [n]
    """
    steps = line * np.arange(len(at))
    down = np.minimum.accumulate(at + steps) - steps
    return np.maximum(down, steps[::-1])


# --------------------------------------------------- all fates or contrasts


@styled
def overview_volcano(run: Run, *, scale: Scale | None = None) -> Figure:
    """Shrunken effect against -log10 of the lfsr, a panel a fate or contrast, a point a gene.

    Parameters
    ----------
    run
        The run.
    scale
        fate | contrast; None: ``calls.scale``.

    Raises
    ------
    FatewalkError
        If there is no contrast or a column is missing.
    """
    effects, calls = effects_of(run, panel_names(run, scale), scale), run.settings.calls
    eps, lfsr_day = calls.effect_size_eps, calls.lfsr_day
    panels = list(effects.panels.values())
    points = [Points.on_strongest_day(panel) for panel in panels]
    largest = np.concatenate([np.abs(of.effect) for of in points])
    heights = np.concatenate([of.height for of in points])
    top = min(CAP, max(float(np.nanmax(heights, initial=0)), -np.log10(lfsr_day)) + 0.3)

    # the best hits are named; a height of 300 is an lfsr of 0 but for rounding
    labelled = [
        choose(np.minimum(of.height, 300.0), panel.hit, N_NAMES)
        for of, panel in zip(points, panels, strict=True)
    ]
    shown = [panel.genes[rows] for panel, rows in zip(panels, labelled, strict=True)]
    columns = panel_columns(len(points), np.concatenate(shown), letters=10)
    fig, axes = panel_grid(len(points), 1.5 if columns == 3 else 1.75, columns)
    widest = max(float(np.nanmax(largest, initial=0)), 2 * eps, 0.1)
    axes[0].set(xlim=(-1.1 * widest, 1.1 * widest), ylim=(-0.03 * top, 1.05 * top))
    for ax, of in zip(axes, points, strict=True):
        draw_points(ax, of, top, effects.missing)
        draw_thresholds(ax, eps, lfsr_day)
    title_panels(axes, list(effects.panels), [panel.count for panel in panels], panel_width(fig, columns))
    fig.supylabel("−log₁₀ local false sign rate")
    beyond = top if (heights > top).any() else None
    words = ("hit", effects.follower_words * effects.has_followers, "no hit")
    handles = legend_handles(words, eps, lfsr_day, beyond)
    per_row = legend_columns(handles, 5 if len(axes) > 1 else 3, fig.get_figwidth())
    add_foot(fig, effects.label(fig.get_figwidth()), handles, per_row)
    title = f"{effects.n_genes:,} genes, each on the day of its smallest local false sign rate"
    add_title(fig, title, effects.notes)

    FigureCanvasAgg(fig)  # a canvas that can measure
    fig.draw_without_rendering()  # panels get their final size, in which names are placed
    widen(axes[0], [(of.effect[rows], name) for of, rows, name in zip(points, labelled, shown, strict=True)])
    for ax, of, rows, name in zip(axes, points, labelled, shown, strict=True):
        name_points(ax, of.effect[rows], np.minimum(of.height[rows], top), name)
    return fig

"""Effect against its local false sign rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from fatewalk.core.daywise import Daywise, active_matrix
from fatewalk.core.tables import as_bool, require_columns
from fatewalk.plot.columns import count_hits, notes_of
from fatewalk.plot.panels import (
    LINE,
    all_notes,
    each,
    most_rows,
    panel_columns,
    panel_width,
    require_contrasts,
    text_width,
    title_panels,
)
from fatewalk.plot.style import (
    AFTER_MASH,
    BLACK,
    CALLED,
    GREY,
    MANY,
    SMALL,
    add_foot,
    add_title,
    day_title,
    effect_label,
    grid_columns,
    panel_grid,
    say,
    styled,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fatewalk.run.files import Run

CAP = 10.0  # -log10 lfsr above this is drawn at this
N_LABELS = 6  # calls named in a panel of a day
N_NAMES = 5  # of a contrast


@styled
def volcano(run: Run, contrast: str | None = None) -> Figure:
    """Shrunken effect against -log10 of the local false sign rate, a panel a day.

    Parameters
    ----------
    run
        The run.
    contrast
        Fate of the effects; None: the primary contrast.
    """
    contrast = run.choose(contrast)
    hits, days, calls = run.table("hits_ranked.csv", contrast), run.days, run.settings.calls
    eps, lfsr_day = calls.effect_size_eps, calls.lfsr_day
    found = Daywise.of(hits, "table of hits", ["postmean", "lfsr"], ["gene"], len(days))
    effect = found["postmean"]  # [L, D]
    with np.errstate(divide="ignore"):
        height = -np.log10(found["lfsr"])  # [L, D]
    called = active_matrix(hits, len(days))
    top = min(CAP, max(float(np.nanmax(height, initial=0)), -np.log10(lfsr_day)) + 0.3)
    names = found["gene"].astype(str)

    longest = max((len(name) for name in names[called.any(axis=1)]), default=0)
    fig, axes = panel_grid(len(days), 1.9, grid_columns(len(days), 4 if longest <= 10 else 2))
    widest = max(float(np.nanmax(np.abs(effect), initial=0)), 2 * eps, 0.1)
    axes[0].set(xlim=(-1.1 * widest, 1.1 * widest), ylim=(-0.03 * top, 1.05 * top))
    for day, ax in enumerate(axes):
        draw_points(ax, effect[:, day], height[:, day], called[:, day], top)
        draw_thresholds(ax, eps, lfsr_day)
        ax.set_title(f"{day_title(days[day])}: {called[:, day].sum():,} called")
    fig.supylabel("−log₁₀ local false sign rate")
    handles = legend_handles(
        ("called active", "not called"), eps, lfsr_day, top if (height > top).any() else None
    )
    label = effect_label(contrast, run.reference, fig.get_figwidth(), AFTER_MASH)
    add_foot(fig, label, handles, 5 if len(axes) > 1 else 3)
    add_title(fig, f"{len(hits):,} genes", notes_of(hits))

    FigureCanvasAgg(fig)  # a canvas that can measure
    fig.draw_without_rendering()  # panels get their final size, in which names are placed
    strongest = [choose(effect[:, day], called[:, day]) for day in range(len(days))]
    widen(axes[0], [(effect[rows, day], names[rows]) for day, rows in enumerate(strongest)])
    for day, (ax, rows) in enumerate(zip(axes, strongest, strict=True)):
        name_points(ax, effect[rows, day], np.minimum(height[rows, day], top), names[rows])
    return fig


def draw_points(ax: Axes, x: np.ndarray, y: np.ndarray, called: np.ndarray, top: float) -> None:
    """Calls over the rest; points above ``top`` are triangles at ``top``. All arrays are [L]."""
    seen = np.isfinite(x) & ~np.isnan(y)
    if not seen.any():
        say(ax, "no cells observed")
    for rows, colour, order in ((seen & ~called, GREY, 1), (seen & called, CALLED, 2)):
        for beyond, marker, size in ((False, "o", 2.2), (True, "^", 3.2)):
            part = rows & ((y > top) == beyond)
            ax.plot(x[part], np.minimum(y[part], top), marker, ms=size, color=colour, mew=0, alpha=0.75,
                    zorder=order, rasterized=bool(part.sum() > MANY),
                    gid=f"{'called' if order == 2 else 'rest'}{'-beyond' if beyond else ''}")  # fmt: skip


def draw_thresholds(ax: Axes, eps: float, lfsr_day: float) -> None:
    """The smallest effect of interest, on both sides of zero, and the threshold of the lfsr."""
    for x in (-eps, eps):
        ax.axvline(x, color=BLACK, lw=0.5, ls=":", zorder=0)
    ax.axhline(-np.log10(lfsr_day), color=BLACK, lw=0.5, ls="--", zorder=0)


def legend_handles(names: tuple[str, str], eps: float, lfsr_day: float, beyond: float | None) -> list[Line2D]:
    """Legend of a volcano; ``names``: of calls and of the rest; ``beyond``: where points were cut, if any."""
    handles = [
        Line2D([], [], marker="o", ls="", ms=3, color=CALLED, label=names[0]),
        Line2D([], [], marker="o", ls="", ms=3, color=GREY, label=names[1]),
        Line2D([], [], color=BLACK, lw=0.5, ls=":", label=f"|effect| = {eps:g}"),
        Line2D([], [], color=BLACK, lw=0.5, ls="--", label=f"lfsr = {lfsr_day:g}"),
    ]
    if beyond is not None:
        handles.insert(2, Line2D([], [], marker="^", ls="", ms=3.5, color=GREY, label=f"beyond {beyond:g}"))
    return handles


def choose(effect: np.ndarray, called: np.ndarray, most: int = N_LABELS) -> np.ndarray:
    """Rows of the strongest calls of a panel, at most ``most``."""
    rows = np.flatnonzero(called & np.isfinite(effect))
    return rows[np.argsort(-np.abs(effect[rows]), kind="stable")[:most]]


def widen(ax: Axes, labelled: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
    """Widen the common x axis until every name fits beside its point."""
    width = ax.get_window_extent().width * 72 / ax.figure.dpi  # points
    limit = ax.get_xlim()[1]
    for x, names in labelled:
        for effect, name in zip(np.abs(x), names, strict=True):
            taken = (text_width(name) + 6) / (width / 2)  # share of the half axis
            limit = max(limit, effect / max(1 - taken, 0.3))
    ax.set_xlim(-limit, limit)


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
                names[row], (x[row], y[row]), (side * 4, shift), textcoords="offset points",
                ha="left" if side > 0 else "right", va="center", fontsize=SMALL, gid="name",
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


# ------------------------------------------------------------- all contrasts


@styled
def overview_volcano(run: Run) -> Figure:
    """Shrunken effect against -log10 of the local false sign rate, a panel a contrast, a point a gene.

    Parameters
    ----------
    run
        The run.

    Raises
    ------
    FatewalkError
        If there is no contrast or a column is missing.
    """
    require_contrasts(run.contrasts)
    hits, days, calls = run.tables("hits_ranked.csv"), run.days, run.settings.calls
    eps, lfsr_day = calls.effect_size_eps, calls.lfsr_day
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
    handles = legend_handles(("hit", "no hit"), eps, lfsr_day, beyond)
    label = effect_label(each(hits), run.reference, fig.get_figwidth(), AFTER_MASH)
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
    found = Daywise.of(hits, "table of hits", ["postmean", "lfsr"], n_days=n_days)
    effect, lfsr = found["postmean"], found["lfsr"]  # [L, D]
    seen = np.isfinite(effect) & np.isfinite(lfsr)
    lfsr = np.where(seen, lfsr, np.inf)
    smallest = lfsr == lfsr.min(axis=1, keepdims=True)
    day = np.where(seen & smallest, np.abs(effect), -1).argmax(axis=1)  # [L]
    rows = np.arange(len(day))
    observed = seen[rows, day]
    with np.errstate(divide="ignore"):
        height = -np.log10(lfsr[rows, day])
    return np.where(observed, effect[rows, day], np.nan), np.where(observed, height, np.nan)

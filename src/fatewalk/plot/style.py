"""The look that all figures share: sizes, colours, day labels, titles and warnings."""

from __future__ import annotations

import functools
import io
import re
import textwrap
from typing import TYPE_CHECKING, ParamSpec

import matplotlib.style
import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

SINGLE, DOUBLE = 89 / 25.4, 183 / 25.4  # widths of one and two columns of a journal page, inches
PAGE = 9.7  # height of a page, inches

#: Okabe and Ito's colours, told apart with every common kind of colour vision.
BLUE, VERMILLION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
BLACK, GREY, PALE = "#000000", "#8C8C8C", "#D9D9D9"
CALLED, WARNING = VERMILLION, VERMILLION

NOTEBOOK_DPI = 144
TEXT = 8  # size of all text, points: read from the last row, and in print
MANY = 2000  # more points than this become pixels in PDF and SVG, which stay small

RC = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same figure on every machine
    "font.size": TEXT,
    "axes.titlesize": TEXT,
    "axes.labelsize": TEXT,
    "xtick.labelsize": TEXT,
    "ytick.labelsize": TEXT,
    "legend.fontsize": TEXT,
    "figure.titlesize": TEXT,
    "figure.labelsize": TEXT,
    "axes.formatter.useoffset": False,  # a tick says its number, not what to add to or multiply it with
    "axes.formatter.limits": (-9, 9),
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 0.9,
    "hatch.linewidth": 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "text.parse_math": False,  # names may hold dollar signs
    "pdf.fonttype": 42,  # TrueType: text stays text for an editor or a screen reader
    "svg.fonttype": "none",  # likewise
    "svg.hashsalt": "fatewalk",  # names of parts, the same in every file
}

P = ParamSpec("P")


def styled(plot: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in the shared style, whatever the user's own matplotlib settings."""

    @functools.wraps(plot)
    def in_style(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.style.context(["default", RC]):
            return plot(*args, **kwargs)

    return in_style


def new_figure(width: float, height: float) -> Figure:
    """A figure of a size in inches whose parts are laid out without overlap."""
    return ShownFigure(figsize=(width, height), layout=ConstrainedLayoutEngine(h_pad=0.06, w_pad=0.04))


class ShownFigure(Figure):
    """A figure that a notebook shows by itself; others are shown only once pyplot is imported."""

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        self.savefig(content, format="png", dpi=NOTEBOOK_DPI)
        return content.getvalue()


def wrap(text: str, inches: float, points: float = TEXT) -> str:
    """Break a text into lines that fit a length."""
    per_line = int(inches * 72 / (0.56 * points))  # 0.56 em is a wide average character
    lines = text.split("\n")
    return "\n".join(textwrap.fill(line, per_line, break_long_words=False) for line in lines)


def add_title(fig: Figure, title: str, notes: Sequence[str] = ()) -> None:
    """Title of the figure, wrapped to its width, under the warnings.

    Parameters
    ----------
    fig
        The figure.
    title
        One or more sentences.
    notes
        What to distrust, see ``columns.notes_of``; set in bold colour above the title.
    """
    width = fig.get_figwidth()
    text = wrap(title, width)
    if notes:
        warning = wrap(" · ".join(notes), 0.88 * width)  # bold letters are wider
        text = "\n" * (warning.count("\n") + 1) + text  # the layout keeps these lines free
        top = 1 - 0.04 / fig.get_figheight()
        fig.text(0.01, top, warning, color=WARNING, weight="bold", va="top", gid="warning")
    fig.suptitle(text, x=0.01, ha="left", linespacing=1.25)


def add_foot(fig: Figure, label: str, handles: Sequence[Artist], n_columns: int) -> None:
    """Label of the common x axis and, under it, the legend."""
    rows = -(-len(handles) // n_columns)
    fig.supxlabel(label + "\n" * (rows + 1))  # the layout keeps these lines free for the legend
    fig.legend(handles=list(handles), loc="outside lower center", ncols=n_columns)


def effect_label(contrast: str, reference: str, what: str) -> str:
    """Axis label of an effect on a contrast, with its unit."""
    return f"{what} {contrast} against {reference} (logit)"


def day_ticks(days: Sequence[str], times: Sequence[float]) -> tuple[list[str], str]:
    """Tick texts that tell both the label of a day and its real time, and the label of their axis.

    Labels that already contain their time ("24hpf", "E8.5") stand alone.
    """
    numbers = [re.search(r"\d+(\.\d+)?", str(day)) for day in days]
    told = all(
        number is not None and float(number[0]) == time for number, time in zip(numbers, times, strict=True)
    )
    if told:
        return [str(day) for day in days], "day"
    return [f"{day}\n({time:g})" for day, time in zip(days, times, strict=True)], "day (time)"


def day_title(day: str) -> str:
    """Name of a day in a panel's title; a bare number needs the word."""
    return str(day) if re.search(r"[^\d.+-]", str(day)) else f"day {day}"


def thin_labels(texts: Sequence[str], positions: np.ndarray, least: float) -> list[str]:
    """Blank the tick texts that would touch the one before.

    Parameters
    ----------
    texts
        Tick texts.
    positions : [n]
        Where they stand, ascending.
    least
        Smallest distance between two texts, in the unit of ``positions``.
    """
    kept, last = [], -np.inf
    for text, position in zip(texts, positions, strict=True):
        show = position - last >= least
        kept.append(text if show else "")
        last = position if show else last
    return kept


def grid_columns(n: int, most: int) -> int:
    """Columns of a grid of ``n`` panels that leaves few places empty: 5 panels stand as 3 + 2, not 4 + 1."""
    rows = -(-n // most)
    return -(-n // rows)


def panel_grid(
    n: int,
    panel_height: float,
    columns: int,
    *,
    room: float = 0.9,
    width: float | None = None,
    common_x: bool = True,
) -> tuple[Figure, list[Axes]]:
    """A figure of ``n`` panels with common axes, filled row by row.

    Parameters
    ----------
    n
        Number of panels.
    panel_height
        Height of a panel in inches.
    columns
        Panels in a row.
    room
        Inches for title, legend and axis labels.
    width
        Width in inches; one journal column for one panel, else two.
    common_x
        Whether the panels have the x axis in common, as they have the y axis.
    """
    rows = -(-n // columns)
    fig = new_figure(width or (SINGLE if columns == 1 else DOUBLE), rows * panel_height + room)
    grid = fig.subplots(rows, columns, sharex=common_x, sharey=True, squeeze=False).ravel()
    for ax in grid[n:]:
        ax.remove()
    for ax in grid[max(n - columns, 0) : n]:  # the lowest of each column, also above an empty place
        ax.tick_params(labelbottom=True)
    return fig, list(grid[:n])


def say(ax: Axes, text: str) -> None:
    """Write in the middle of a panel why it is empty."""
    ax.text(
        0.5,
        0.5,
        text,
        transform=ax.transAxes,
        ha="center",
        va="center",
        color=GREY,
        backgroundcolor="white",
        zorder=5,
    )

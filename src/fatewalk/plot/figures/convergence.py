"""Whether the fit settled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator, NullFormatter

from fatewalk.core.outcome import criterion_words
from fatewalk.core.tables import require_columns
from fatewalk.plot.style import (
    BLACK,
    BLUE,
    DOUBLE,
    GREEN,
    GREY,
    ORANGE,
    TEXT,
    add_title,
    new_figure,
    say,
    styled,
    thin_labels,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fatewalk.run.files import Run

ROUNDS = {  # column of the trace, name, colour, where its dashes start
    "newton_step": ("step (SDs)", BLUE, 0),
    "scale_step": ("log scales", ORANGE, 0),
    "weight_step": ("log weights", GREEN, 4),
}
SOLVES = {"solve_residual": ("linear solves", GREY, 2)}  # not in traces of before 0.2
DRIFTS = {"drift_mean": ("means (SDs)", BLUE, 0), "drift_sd": ("log SDs", ORANGE, 4)}
TRACE = ("phase", "round", *ROUNDS, "step", "loss", "learning_rate", *DRIFTS)
STATUS = {
    "converged": "The fit converged",
    "budget": "The fit did not converge: its budget ran out",
    "diverged": "The fit diverged",
    "unanchored": "The fit has nothing to anchor it: no information from NTC guides",
}
FEWEST_WINDOWS = 6  # for a second half worth a look of its own
MOST_RATES = 12  # more changes of the learning rate than this are a smooth decay

#: ``criterion`` of the fit card: value and limit by name.
Criterion = Mapping[str, Mapping[str, float | None]]


@styled
def convergence(run: Run) -> Figure:
    """What each phase of the fit watched, against its limits, and the loss of SVI.

    Parameters
    ----------
    run
        The run; its trace has rounds of Newton-Laplace, then windows of SVI steps (none with ``family:
        laplace``).

    Returns
    -------
    matplotlib.figure.Figure
        One panel for the rounds; unless the family is laplace, three more for the windows.
    """
    trace, card = run.table("fit_trace.csv"), run.json("fit_card.json")
    require_columns(trace, TRACE, "trace of the fit")
    rounds, windows = (trace[trace["phase"] == phase] for phase in ("laplace", "svi"))
    if card["family"] == "laplace":
        fig = new_figure(DOUBLE, 2.7)
        draw_rounds(fig.subplots(), rounds, card["criterion"])
    else:
        fig = new_figure(DOUBLE, 5.4)
        zoomed = len(windows) >= FEWEST_WINDOWS
        places = fig.subplot_mosaic([["newton", "drift"], ["whole", "settled" if zoomed else "whole"]])
        draw_rounds(places["newton"], rounds, card["criterion"])
        draw_windows(places["drift"], places["whole"], places.get("settled"), windows, card["criterion"])
    status = card["status"]
    notes = [] if status == "converged" else [f"provisional: fit not converged ({status})"]
    add_title(fig, f"{STATUS.get(status, status)}.\nAt the end: {criterion_words(card['criterion'])}", notes)
    return fig


def draw_rounds(ax: Axes, rounds: pd.DataFrame, criterion: Criterion) -> None:
    """Change of mode, scales and weights by round of Newton-Laplace."""
    ax.set(title="Newton-Laplace: change in a round", xlabel="round", ylabel="change")
    lines = ROUNDS | (SOLVES if SOLVES.keys() <= set(rounds) else {})
    draw_limits(ax, rounds["round"], rounds, criterion, lines, "no rounds")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def draw_windows(
    drift: Axes, whole: Axes, settled: Axes | None, windows: pd.DataFrame, criterion: Criterion
) -> None:
    """Drift of the posterior by window of SVI, and its loss, whole and zoomed."""
    step, loss, rate = (windows[name].to_numpy(float) for name in ("step", "loss", "learning_rate"))
    half = len(windows) // 2
    drift.set(title="SVI: drift from window to window", ylabel="drift of posterior")
    draw_limits(drift, windows["step"], windows, criterion, DRIFTS, "fewer than two windows")
    draw_loss(whole, step, loss, "SVI: whole fit")
    if settled is not None:
        draw_loss(settled, step[half:], loss[half:], "SVI: second half, zoomed")
    for ax in filter(None, (drift, whole, settled)):
        ax.set_xlabel("optimiser step")
        mark_rates(ax, step, rate, named=ax is whole)


def draw_loss(ax: Axes, step: np.ndarray, loss: np.ndarray, title: str) -> None:
    """Negative ELBO by step; arrays are [windows]."""
    ax.plot(step, loss, color=BLUE, marker=".", ms=2)
    ax.set(title=title, ylabel="−ELBO (nats)")
    if not np.isfinite(loss).any():
        ax.set(xticks=[], yticks=[])
        say(ax, "no finite loss")


def draw_limits(
    ax: Axes,
    x: pd.Series,
    table: pd.DataFrame,
    criterion: Criterion,
    lines: Mapping[str, tuple[str, str, int]],
    if_empty: str,
) -> None:
    """Columns of the trace on a log axis, each with its limit as a dashed line.

    Parameters
    ----------
    ax
        Where to draw.
    x
        Round or step of each row.
    table
        Rows of the trace.
    criterion
        Limits by column.
    lines
        Name, colour and start of the dashes by column; different starts show both of two equal limits.
    if_empty
        What to say where nothing can be drawn.
    """
    values = table[list(lines)].to_numpy(dtype=float)  # [rows, columns]
    values[~(np.isfinite(values) & (values > 0))] = np.nan  # a log axis has no place for them
    if np.isnan(values).all():
        ax.set(xticks=[], yticks=[])
        say(ax, if_empty)
        return
    for column, (key, (name, colour, start)) in zip(values.T, lines.items(), strict=True):
        if np.isnan(column).all():  # a weight that was given never changes
            continue
        ax.plot(x, column, color=colour, marker=".", ms=3, label=name)
        limit = criterion.get(key, {}).get("limit")
        if limit:
            dashes = (start, (4, 4))
            ax.axhline(limit, color=colour, lw=1, ls=dashes, label=f"limit {limit:g}", gid=f"{key}_limit")
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())
    low, high = 10.0 ** np.array([np.floor(np.log10(ax.get_ylim()[0])), np.ceil(np.log10(ax.get_ylim()[1]))])
    drawn = int((~np.isnan(values)).any(axis=0).sum())
    ax.set_ylim(low, high * (high / low) ** (0.1 + 0.17 * drawn))  # for the legend, a line a curve
    ax.legend(loc="upper right", ncols=2, handlelength=1.2, columnspacing=1.0)


def mark_rates(ax: Axes, step: np.ndarray, rate: np.ndarray, named: bool) -> None:
    """Thin lines where the learning rate was changed, if ``named`` with the new rate."""
    changed = 1 + np.flatnonzero(np.diff(rate) != 0)
    if len(changed) > MOST_RATES:
        return
    low, high = ax.get_xlim()
    changed = changed[(step[changed] > low) & (step[changed] < high)]
    texts = [f"rate {rate[row]:.2g}" for row in changed]
    for row, text in zip(changed, thin_labels(texts, step[changed], 0.07 * (high - low)), strict=True):
        ax.axvline(step[row], color=GREY, lw=0.5, ls=":", zorder=0, gid="rate")
        if named:
            ax.text(step[row], 0.99, text, transform=ax.get_xaxis_transform(), fontsize=TEXT,
                    color=BLACK, rotation=90, ha="right", va="top")  # fmt: skip

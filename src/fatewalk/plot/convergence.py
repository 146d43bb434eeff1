"""Whether the fit settled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from fatewalk.plot.style import (
    BLACK,
    BLUE,
    DOUBLE,
    GREY,
    ORANGE,
    SMALL,
    add_title,
    new_figure,
    say,
    styled,
    thin_labels,
)
from fatewalk.tables import require_columns

TRACE = ("step", "loss", "learning_rate", "drift_mean", "drift_sd")
STATUS = {
    "converged": "The fit converged",
    "budget": "The fit did not converge: its budget of steps ran out",
    "diverged": "The fit diverged",
    "unanchored": "The fit has nothing to anchor it: no information from NTC guides",
}
MOST_RATES = 12  # more changes of the learning rate than this are a smooth decay


@styled
def plot_convergence(trace: pd.DataFrame, card: Mapping[str, Any]) -> Figure:
    """Loss of the fit, whole and zoomed, and the drift of the posterior against its limits.

    Parameters
    ----------
    trace
        Table ``fit_trace.csv``, a row a window of steps.
    card
        Content of ``fit_card.json``; ``status`` and ``criterion`` are read.

    Returns
    -------
    matplotlib.figure.Figure
    """
    require_columns(trace, TRACE, "trace of the fit")
    step, loss, rate = (trace[column].to_numpy(dtype=float) for column in TRACE[:3])  # [windows]
    fig = new_figure(DOUBLE, 2.7)
    whole, settled, drift = fig.subplots(1, 3)
    half = len(trace) // 2
    draw_loss(whole, step, loss, "whole fit")
    draw_loss(settled, step[half:], loss[half:], "second half, zoomed")
    draw_drift(drift, trace, card["criterion"])
    for ax in (whole, settled, drift):
        mark_rates(ax, step, rate, named=ax is whole)
    fig.supxlabel("optimiser step")
    status = card["status"]
    notes = [] if status == "converged" else [f"provisional: fit not converged ({status})"]
    add_title(fig, f"{STATUS.get(status, status)}.\n{criterion_words(card['criterion'])}", notes)
    return fig


def draw_loss(ax: Axes, step: np.ndarray, loss: np.ndarray, title: str) -> None:
    """Negative ELBO by step; arrays are [windows]."""
    ax.plot(step, loss, color=BLUE, marker=".", ms=2)
    ax.set(title=title, ylabel="−ELBO (nats)")
    if not np.isfinite(loss).any():
        ax.set(xticks=[], yticks=[])
        say(ax, "no finite loss")


def draw_drift(ax: Axes, trace: pd.DataFrame, criterion: Mapping[str, Any]) -> None:
    """Drift of posterior means and SDs by window, on a log axis, with the limits as dashed lines."""
    ax.set(title="drift from window to window")
    drifts = trace[["drift_mean", "drift_sd"]].to_numpy(dtype=float)  # [windows, 2]
    drifts[~(np.isfinite(drifts) & (drifts > 0))] = np.nan  # a log axis has no place for them
    if np.isnan(drifts).all():
        ax.set(xticks=[], yticks=[])
        say(ax, "fewer than two windows")
        return
    for column, (key, colour, name, start) in enumerate(
        (("drift_mean", BLUE, "means", 0), ("drift_sd", ORANGE, "SDs", 4))
    ):
        ax.plot(trace["step"], drifts[:, column], color=colour, marker=".", ms=3, label=name)
        if limit := criterion.get(f"{key}_limit"):
            dashes = (start, (4, 4))  # equal limits show both colours
            ax.axhline(limit, color=colour, lw=1, ls=dashes, label=f"limit {limit:g}", gid=f"{key}_limit")
    ax.set_yscale("log")
    ax.set_ylabel("drift of posterior")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())
    low, high = ax.get_ylim()
    ax.set_ylim(low, high * (high / low) ** 0.25)  # room for the legend
    ax.legend(loc="upper right", ncols=2)


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
            ax.text(step[row], 0.99, text, transform=ax.get_xaxis_transform(), fontsize=SMALL,
                    color=BLACK, rotation=90, ha="right", va="top")  # fmt: skip


def criterion_words(criterion: Mapping[str, Any]) -> str:
    """The drifts of the last window and their limits, in words."""
    parts = []
    for key, name in (("drift_mean", "posterior means"), ("drift_sd", "posterior SDs")):
        value, limit = (
            "–" if number is None else f"{number:.2g}"
            for number in (criterion.get(key), criterion.get(f"{key}_limit"))
        )
        parts.append(f"{name} {value} (limit {limit})")
    return "Last drift: " + ", ".join(parts)

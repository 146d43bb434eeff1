"""Estimates of a simulated screen against its truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D

from fatewalk.core.daywise import Daywise, find_rows
from fatewalk.core.errors import FatewalkError
from fatewalk.core.schema import Z95
from fatewalk.plot.columns import notes_of
from fatewalk.plot.panels import all_notes, each, most_rows, panel_width, require_contrasts, title_panels
from fatewalk.plot.style import (
    BLACK,
    BLUE,
    GREY,
    MANY,
    add_foot,
    add_title,
    day_title,
    effect_label,
    grid_columns,
    panel_grid,
    say,
    styled,
    wrap,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fatewalk.run.files import Run


@styled
def recovery(run: Run, contrast: str | None = None) -> Figure:
    """Estimates with 95 % intervals against the true effects, a panel a day.

    Parameters
    ----------
    run
        The run.
    contrast
        Fate of the effects; None: the primary contrast.

    Raises
    ------
    FatewalkError
        If a gene has no truth or the number of days differs.
    """
    contrast = run.choose(contrast)
    gene_table, truth = run.table("gene_daywise_for_mash.csv", contrast), run.truth(contrast)
    days, eps = run.days, run.settings.calls.effect_size_eps
    true, estimate, se = hold_against(truth, gene_table)  # [L, D] each

    columns = grid_columns(len(days), 4)
    fig, axes = panel_grid(len(days), 2.3 if columns > 1 else 3.0, columns, room=0.7)
    for day, ax in enumerate(axes):
        draw_day(ax, true[:, day], estimate[:, day], se[:, day], eps)
        ax.set_title(f"{day_title(days[day])}\n{quality(true[:, day], estimate[:, day], se[:, day])}")
    values = np.concatenate([true.ravel(), estimate.ravel()])
    limit = 1.08 * max(float(np.nanmax(np.abs(values), initial=0)), eps, 0.1)
    axes[0].set(xlim=(-limit, limit), ylim=(-limit, limit))
    for ax in axes:
        ax.set_box_aspect(1)
    for ax in axes[::columns]:
        ax.set_ylabel("estimate (logit)")
    label = wrap(effect_label(contrast, run.reference, "true effect on"), fig.get_figwidth())
    add_foot(fig, label, legend_handles(eps), 3 if len(days) > 1 else 2)
    add_title(fig, f"{len(gene_table):,} genes; bars: 95 % intervals", notes_of(gene_table))
    return fig


def draw_day(ax: Axes, true: np.ndarray, estimate: np.ndarray, se: np.ndarray, eps: float) -> None:
    """One panel; all arrays are [L]."""
    seen = np.isfinite(estimate)
    if not seen.any():
        say(ax, "no cells observed")
    ax.axline((0, 0), slope=1, color=BLACK, lw=0.6, ls="--", zorder=3)
    faint = seen.sum() > 300
    active = np.abs(true) >= eps
    for rows, colour, name in ((seen & ~active, GREY, "null"), (seen & active, BLUE, "active")):
        bars = ax.errorbar(
            true[rows], estimate[rows], Z95 * se[rows], fmt="o", color=colour, mew=0,
            ms=1.6 if faint else 2.4, elinewidth=0.4 if faint else 0.6, alpha=0.4 if faint else 0.7,
            rasterized=bool(rows.sum() > MANY), zorder=2 if name == "active" else 1,
        )  # fmt: skip
        bars.lines[0].set_gid(name)


def legend_handles(eps: float) -> list[Line2D]:
    """Legend of the two kinds of gene-days and of the diagonal."""
    return [
        Line2D([], [], color=BLUE, marker="o", ms=3, lw=0.5, label=f"active: |true effect| ≥ {eps:g}"),
        Line2D([], [], color=GREY, marker="o", ms=3, lw=0.5, label="not active"),
        Line2D([], [], color=BLACK, lw=0.6, ls="--", label="estimate = truth"),
    ]


def quality(true: np.ndarray, estimate: np.ndarray, se: np.ndarray) -> str:
    """RMSE and the share of 95 % intervals that hold the truth; all arrays are [L]."""
    seen = np.isfinite(estimate)
    if not seen.any():
        return "no estimates"
    error = estimate[seen] - true[seen]
    rmse = np.sqrt(np.mean(error**2))
    coverage = np.mean(np.abs(error) <= Z95 * se[seen])
    return f"RMSE {rmse:.3f}\ncoverage {100 * coverage:.0f} %"


# ------------------------------------------------------------- all contrasts


@styled
def overview_recovery(run: Run) -> Figure:
    """Estimates with 95 % intervals against the true effects, a panel a contrast, all days together.

    Parameters
    ----------
    run
        The run.

    Raises
    ------
    FatewalkError
        If there is no contrast, a contrast or a gene has no truth, or the number of days differs.
    """
    require_contrasts(run.contrasts)
    gene_tables, eps = run.tables("gene_daywise_for_mash.csv"), run.settings.calls.effect_size_eps
    pooled = [
        tuple(values.ravel() for values in hold_against(run.truth(contrast), table))
        for contrast, table in gene_tables.items()
    ]
    columns = grid_columns(len(pooled), 4)
    fig, axes = panel_grid(len(pooled), 2.1 if columns > 1 else 3.0, columns, room=0.8)
    for ax, (true, estimate, se) in zip(axes, pooled, strict=True):
        draw_day(ax, true, estimate, se, eps)
        ax.set_box_aspect(1)
    values = np.concatenate([part for true, estimate, _ in pooled for part in (true, estimate)])
    limit = 1.08 * max(float(np.nanmax(np.abs(values), initial=0)), eps, 0.1)
    axes[0].set(xlim=(-limit, limit), ylim=(-limit, limit))
    title_panels(axes, list(gene_tables), [quality(*part) for part in pooled], panel_width(fig, columns))
    for ax in axes[::columns]:
        ax.set_ylabel("estimate (logit)")
    label = wrap(effect_label(each(gene_tables), run.reference, "true effect on"), fig.get_figwidth())
    add_foot(fig, label, legend_handles(eps), 3 if columns > 1 else 2)
    title = f"{most_rows(gene_tables):,} genes on all days; bars: 95 % intervals"
    add_title(fig, title, all_notes(gene_tables.values()))
    return fig


def hold_against(truth: pd.DataFrame, gene_table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True effects, estimates and their SEs of the genes of a table, [L, D] each."""
    found = Daywise.of(gene_table, "gene table", ["betahat", "se"], ["gene"])
    if truth.shape[1] != found.n_days:
        raise FatewalkError(f"truth: found {truth.shape[1]} days; the estimates have {found.n_days}")
    rows = find_rows(truth.index, found["gene"], "gene", "truth")
    return truth.to_numpy(dtype=float)[rows], found["betahat"], found["se"]

"""What the certificate found: z where nothing acts, and what became of planted effects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D

from fatewalk.core.schema import Z95
from fatewalk.plot.panels import cut_name, panel_width
from fatewalk.plot.style import (
    BLACK,
    BLUE,
    DOUBLE,
    ORANGE,
    SINGLE,
    add_foot,
    add_title,
    grid_columns,
    new_figure,
    say,
    styled,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fatewalk.run.files import Run

NULLS = {"shuffled guides": BLUE, "control guides": ORANGE}
PLANTED = {
    "covered": ("95 % intervals that hold the truth", 0.95),
    "called": ("found (called active)", None),
}
SIDE = 1.7  # of a panel, inches


@styled
def certificate(run: Run) -> Figure:
    """Quantiles of z where nothing acts against those of a normal, a panel a fate; planted effects by size.

    Parameters
    ----------
    run
        The run; coverage and power have panels with ``calls.certificate: full``.
    """
    z, planted = run.table("certificate_z.csv"), run.table("certificate_planted.csv")
    fates = list(dict.fromkeys(z["fate"])) or ["no fate"]
    names = [*fates, *(PLANTED if len(planted) else ())]
    columns = grid_columns(len(names), 4)
    rows = -(-len(names) // columns)
    fig = new_figure(SINGLE if columns == 1 else DOUBLE, SIDE * rows + 0.9)
    axes = fig.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes[len(names) :]:
        ax.remove()
    limit = 1.05 * float(z[["normal", "z"]].abs().max().max()) if len(z) else 1.0
    for ax, fate in zip(axes, fates, strict=False):
        draw_nulls(ax, z[z["fate"] == fate], limit)
        ax.set_title(cut_name(str(fate), panel_width(fig, columns)))
    for ax, (column, (title, right)) in zip(axes[len(fates) : len(names)], PLANTED.items(), strict=False):
        draw_planted(ax, planted, column, right)
        ax.set_title(title)
    fig.supylabel("found (z)" if not len(planted) else "found (z); share of planted effects")
    handles = [
        *(Line2D([], [], color=c, marker="o", ms=2, lw=0.8, label=what) for what, c in NULLS.items()),
        Line2D([], [], color=BLACK, lw=0.6, ls="--", label="right errors"),
    ]
    planted_too = "; size of a planted effect (logit)" if len(planted) else ""
    add_foot(fig, f"expected where nothing acts (z){planted_too}", handles, 3 if columns > 1 else 2)
    add_title(fig, f"The certificate, on this very screen: {run.json('certificate.json')['words']}")
    return fig


def draw_nulls(ax: Axes, z: pd.DataFrame, limit: float) -> None:
    """Quantiles of one fate's z."""
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit))
    ax.axline((0, 0), slope=1, color=BLACK, lw=0.6, ls="--", zorder=3)
    for what, colour in NULLS.items():
        own = z[z["what"] == what]
        ax.plot(own["normal"], own["z"], color=colour, marker="o", ms=1.6, mew=0, lw=0.8, gid=what)
    if z.empty:
        say(ax, "not tried")


def draw_planted(ax: Axes, planted: pd.DataFrame, column: str, right: float | None) -> None:
    """A share of the planted effects by their size, with its 95 % interval."""
    share, n = planted[column].to_numpy(float), planted["n"].to_numpy(float)
    x = np.arange(len(planted))
    ax.errorbar(
        x, share, Z95 * np.sqrt(share * (1 - share) / n), fmt="o-", color=BLACK, ms=2.5, elinewidth=0.6
    )
    if right is not None:
        ax.axhline(right, color=BLACK, lw=0.6, ls="--")
    texts = [
        f"{low:g}–{high:g}" if np.isfinite(high) else f"> {low:g}"
        for low, high in zip(planted["size_from"], planted["size_to"], strict=True)
    ]
    ax.set_xticks(x, texts, rotation=45, ha="right", rotation_mode="anchor")
    ax.set(ylim=(-0.03, 1.05), xlim=(-0.5, len(x) - 0.5))

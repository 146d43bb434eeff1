"""``fatewalk power``: the smallest effect that a planned screen finds, by simulated screens that are fitted.

Dimensions: E simulated genes with an effect.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit, logit
from tqdm import tqdm

from fatewalk.api import fit, simulate
from fatewalk.cli.tables import aligned
from fatewalk.core.errors import FatewalkError
from fatewalk.core.tables import write_table
from fatewalk.core.words import count
from fatewalk.plot.save import save_figure
from fatewalk.plot.style import new_figure, styled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

POWER = 0.8
SIZES = (0.8, 5.2)  # range of the simulated effects, in standard errors of a gene on a day
RESAMPLES = 100  # of the genes, for the interval
RIDGE = 1e-2  # on the slope of the curve, so that it stays finite where sizes part found from missed
NAMES = {
    "cells": "cells",
    "moi": "guides in a cell",
    "guides_per_gene": "guides of a gene",
    "ntc_share": "share of controls",
    "days": "days",
}


@dataclass(frozen=True)
class Plan:
    """A planned screen: cells over all days, mean guides in a cell, guides of a gene, share of NTC, days."""

    cells: int
    moi: float
    guides_per_gene: int
    ntc_share: float
    days: int

    def sizes(self, genes: int, fates: int) -> tuple[float, float]:
        """Range of effects, log odds, about where found and missed part: by the cells of a gene on a day."""
        cells = self.cells * self.moi * (1 - self.ntc_share) / (self.days * genes)
        share = 1 / fates
        se = 1 / np.sqrt(cells * share * (1 - share))
        return SIZES[0] * se, SIZES[1] * se


def plan_screens(
    grid: Mapping[str, Sequence[Any]], genes: int, fates: int, screens: int, seed: int, output: Path
) -> Iterator[str]:
    """Simulate and fit screens of every plan, and write a table and a figure.

    Parameters
    ----------
    grid
        Values of each field of `Plan`.
    genes, fates
        Of the screen; half of the genes have an effect on one fate, on all days.
    screens
        Simulated for each plan.
    seed
        Of the first one.
    output
        The table, ``.csv``; the figure gets its name with ``.png``.

    Yields
    ------
    str
        Lines for the terminal.

    Raises
    ------
    FatewalkError
        If a file is there already, or a value is none that can be simulated.
    """
    table_path, figure_path = output.with_suffix(".csv"), output.with_suffix(".png")
    for path in (table_path, figure_path):
        if path.exists():
            raise FatewalkError(f"{path}: is there already; name another file with --output")
    plans = [Plan(*values) for values in itertools.product(*(grid[name] for name in NAMES))]
    rows = []
    with tqdm(total=len(plans) * screens, desc="simulated screens", disable=None) as bar:
        for plan in plans:
            found = []
            for screen in range(screens):
                found.append(_screen(plan, genes, fates, seed + screen))
                bar.update()
            size, hit = (np.concatenate(parts) for parts in zip(*found, strict=True))
            rows.append(asdict(plan) | summarise(size, hit, fates, plan.sizes(genes, fates)[1]))
            write_table(pd.DataFrame(rows), table_path)  # what is done stays, if the rest is stopped
    table = pd.DataFrame(rows)
    varied = [name for name in NAMES if len(grid[name]) > 1] or ["cells"]
    save_figure(draw(table, varied), [figure_path])
    yield "Smallest effect found with 80 % power (log odds; percentage points of a fate of average size)"
    yield from aligned(
        [[NAMES[name] for name in varied] + ["effect", "interval", "points"], *_rows(table, varied)]
    )
    yield ""
    each = f"Each from {screens * (genes // 2)} genes with an effect in {count(screens, 'simulated screen')}"
    yield f"{each}: {table_path}, {figure_path}"


def _screen(plan: Plan, genes: int, fates: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sizes of the effects of one simulated screen, and which of their genes were hits, [E] each."""
    names = [f"fate{f + 1}" for f in range(fates)]
    screen = simulate(
        cells=plan.cells,
        genes=genes,
        guides_per_gene=plan.guides_per_gene,
        ntc_share=plan.ntc_share,
        days=list(range(plan.days)),
        moi=plan.moi,
        fates=names,
        active_genes=genes // 2,
        effect_size=list(plan.sizes(genes, fates)),
        effect_patterns={"sustained": 1},
        effect_fates="one_fate",
        seed=seed,
    )
    result = fit(
        screen.cells,
        screen.guide_map,
        screen.guide_calls,
        fates=names,
        family="laplace",
        draws=200,
        require="none",
        certificate="none",  # of a planned screen; where one fails, hits would be withheld
        seed=seed,
    )
    size = screen.truth_theta.groupby("gene")["theta_gene"].agg(lambda theta: theta.abs().max())
    size = size[size > 0]
    return size.to_numpy(), size.index.isin(result.hits()["gene"])


def summarise(size: np.ndarray, hit: np.ndarray, fates: int, largest: float) -> dict[str, float]:
    """The effect at which the curve of found against size reaches 80 %, with its interval by resampling.

    Parameters
    ----------
    size : numpy.ndarray, float64 [E]
        Absolute effects, log odds.
    hit : numpy.ndarray, bool [E]
        Found.
    fates
        Number of fates, whose average share is one over it.
    largest
        Effect that was simulated.

    Returns
    -------
    dict
        effect, effect_low, effect_high (infinite beyond the largest effect simulated, and not below the
        smallest), percent_points, found (share of all E), smallest, largest.
    """
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(size), (RESAMPLES, len(size)))
    effect = smallest_found(size, hit, largest)
    again = [smallest_found(size[rows], hit[rows], largest) for rows in drawn]
    low, high = np.quantile(again, [0.025, 0.975], method="nearest")
    share = 1 / fates
    points = 100 * (expit(logit(share) + effect) - share) if np.isfinite(effect) else np.inf
    return {
        "effect": effect,
        "effect_low": float(low),
        "effect_high": float(high),
        "percent_points": float(points),
        "found": float(hit.mean()),
        "smallest": float(size.min()),
        "largest": largest,
    }


def smallest_found(size: np.ndarray, hit: np.ndarray, largest: float) -> float:
    """Where a logistic curve of hits against sizes reaches 80 %, among the sizes simulated.

    Infinite above them, and the smallest one where the curve is there before: nothing smaller was tried.
    """
    x, y = np.log(size), hit.astype(float)

    def loss(curve: np.ndarray) -> tuple[float, np.ndarray]:
        apart = x - curve[0]
        eta = curve[1] * apart
        left = expit(eta) - y
        value = np.logaddexp(0, eta).sum() - (y * eta).sum() + RIDGE * curve[1] ** 2
        return float(value), np.array([-curve[1] * left.sum(), left @ apart + 2 * RIDGE * curve[1]])

    start = np.array([np.median(x), 3.0])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(-5, 3), (0.1, 50)])
    middle, slope = found.x
    effect = float(np.exp(middle + logit(POWER) / slope))
    return max(effect, float(size.min())) if effect <= largest else np.inf


# ------------------------------------------------------------------------- table and figure


def _rows(table: pd.DataFrame, varied: Sequence[str]) -> Iterator[list[str]]:
    for row in table.to_dict("records"):
        yield [
            *(f"{row[name]:,}" if name == "cells" else f"{row[name]:g}" for name in varied),
            _in_words(row),
            f"{row['effect_low']:.2f} to {row['effect_high']:.2f}",
            f"{row['percent_points']:.1f}" if np.isfinite(row["percent_points"]) else "-",
        ]


def _in_words(row: Mapping[Any, float]) -> str:
    if not np.isfinite(row["effect"]):
        return f"above {row['largest']:.2g}"
    return f"{'at most ' if row['effect'] <= row['smallest'] else ''}{row['effect']:.2f}"


@styled
def draw(table: pd.DataFrame, varied: Sequence[str]) -> Figure:
    """The smallest effect against the first thing that varies, a line for each combination of the others.

    An arrow up stands where the interval goes beyond the largest effect that was simulated.
    """
    figure = new_figure(3.5, 2.8)
    ax = figure.add_subplot()
    first, others = varied[0], list(varied[1:])
    groups: Any = table.groupby(others) if others else [((), table)]
    for values, part in groups:
        part = part.sort_values(first)
        middle, low, high = (
            part[name].clip(upper=part["largest"]) for name in ("effect", "effect_low", "effect_high")
        )
        label = ", ".join(
            f"{value:g} {NAMES[name]}" for name, value in zip(others, np.atleast_1d(values), strict=True)
        )
        errors = [(middle - low).clip(lower=0), (high - middle).clip(lower=0)]
        line, *_ = ax.errorbar(part[first], middle, errors, marker="o", markersize=3, capsize=2, label=label)
        beyond = ~np.isfinite(part["effect_high"])
        ax.plot(part[first][beyond], high[beyond], "^", markersize=5, color=line.get_color(), clip_on=False)
    values = sorted(table[first].unique())
    if values[-1] > 3 * values[0] > 0:
        ax.set_xscale("log")
    ax.set_xticks(values, [f"{value:,g}" for value in values])
    ax.minorticks_off()
    ax.set_xlabel(NAMES[first])
    ax.set_ylabel("smallest effect found with\n80 % power (log odds)")
    ax.set_ylim(0, None)
    if others:
        ax.legend(frameon=False)
    return figure

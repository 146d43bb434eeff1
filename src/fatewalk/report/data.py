"""What the page shows, read off the finished tables of a run: plain lists and numbers, ready for JSON.

Letters: L genes, G guides, D days, R replicates. Arrays by gene or guide and day lie flat, row after row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fatewalk.core.schema import DETECTABLE, NTC, PROB_PREFIX, Z95, day_columns, prob_columns
from fatewalk.core.tables import read_own_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fatewalk.run.files import Run

DIGITS = 4  # of every number: more than a picture shows, and few bytes
CERTAIN = 0.8  # a cell whose likeliest fate has at least this probability has a clear label
STANDS_OUT = 3.0  # guides whose deviation is so many of its SDs
SEEN_UP_TO = 20  # change of the odds beyond which a smallest effect is none that could be seen
GENE_COLUMNS = ("estimate", "se", "mash_mean", "mash_sd", "lfsr")
POINT_COLUMNS = {
    "change": "percent_points", "low": "percent_points_low", "high": "percent_points_high",
}  # fmt: skip
GUIDE_COLUMNS = ("estimate", "se")


@dataclass(frozen=True)
class Axes:
    """Names along the arrays of a run.

    Attributes
    ----------
    scale
        ``fate`` (each fate's own probability) or ``contrast`` (against the reference), as the hits are.
    fates
        Fates or contrasts that effects are shown of.
    genes
        Hits in the order of their rank, then the others, the surest effect first, [L].
    days
        Labels, [D].
    """

    scale: str
    fates: list[str]
    genes: list[str]
    days: list[str]


def axes_of(run: Run) -> Axes:
    """The names along the arrays of a run."""
    scale = str(run.settings.calls.scale)
    effects = run.effects("gene", scale)
    surest = effects.groupby("gene")["lfsr"].min().fillna(1.0)
    others = surest.reset_index().sort_values(["lfsr", "gene"], kind="stable")["gene"]
    genes = list(dict.fromkeys([*run.all_hits["gene"], *others]))
    fates = list(run.contrasts) if scale == "contrast" else [run.reference, *run.contrasts]
    return Axes(scale, fates, genes, run.days)


def page_data(run: Run, axes: Axes) -> dict[str, Any]:
    """All numbers behind the pictures of the page.

    Parameters
    ----------
    run
        A finished run.
    axes
        From `axes_of`.

    Returns
    -------
    dict
        Only lists, texts and numbers; None for what is missing.
    """
    return {
        "scale": axes.scale,
        "reference": run.reference,
        "fates": axes.fates,
        "genes": axes.genes,
        "days": axes.days,
        "times": run.times,
        "eps": run.settings.calls.effect_size_eps,
        "effects": _effects(run, axes),
        "points": _points(run, axes),
        "hits": _rows(run.table("hits.csv")),
        "withheld": _rows(run.all_hits.loc[:, ["gene", axes.scale]]) if run.withheld else [],
        "guides": _guides(run, axes),
        "power": _power(run, axes),
        "composition": _composition(run),
        "burden": run.json("design_report.json")["guides_per_cell"]["share_of_cells_with"],
        "trace": _rows(run.table("fit_trace.csv").drop(columns=["seconds"], errors="ignore")),
        "truth": _truth(run, axes),
        "support": _of_genes(run, "hit_support.csv"),
        "survival": _survival(run),
        "certificate": _certificate(run),
    }


def _effects(run: Run, axes: Axes) -> dict[str, Any]:
    """Effects of genes by fate, [L D] each, with the cells behind them."""
    effects, found = run.effects("gene", axes.scale), {}
    for fate in axes.fates:
        table = _in_order(effects[effects["fate"] == fate], "gene", axes.genes, axes.days)
        called = table["called"].astype("boolean").fillna(False).astype(int).tolist()
        columns = {name: numbers(table[name]) for name in GENE_COLUMNS}
        found[fate] = {**columns, "called": called}
        cells = table["n_cells"].fillna(0).astype(int).tolist()
    return {"by_fate": found, "n_cells": cells}


def _points(run: Run, axes: Axes) -> dict[str, Any]:
    """Changes in percentage points by fate, with intervals, [L D] each."""
    effects, found = run.effects("gene", "fate"), {}
    for fate, rows in effects.groupby("fate", sort=False):
        table = _in_order(rows, "gene", axes.genes, axes.days)
        found[str(fate)] = {short: numbers(table[name]) for short, name in POINT_COLUMNS.items()}
    return found


def _guides(run: Run, axes: Axes) -> dict[str, Any]:
    """Effects of guides by fate as the labels alone tell them, [G D] each, the genes in order."""
    effects = run.effects("guide", axes.scale)
    place = {gene: n for n, gene in enumerate(axes.genes)}
    names = effects[["guide", "gene"]].drop_duplicates()
    names = names.assign(place=names["gene"].map(place)).sort_values(["place", "guide"], kind="stable")
    guides, found = names["guide"].tolist(), {}
    for fate in axes.fates:
        table = _in_order(effects[effects["fate"] == fate], "guide", guides, axes.days)
        found[fate] = {name: numbers(table[name]) for name in GUIDE_COLUMNS}
        cells = table["n_cells"].fillna(0).astype(int).tolist()
    return {
        "names": guides,
        "gene": names["place"].astype(int).tolist(),
        "by_fate": found,
        "n_cells": cells,
    }


def guide_deviations(run: Run) -> pd.DataFrame:
    """Guides by how far they stand away from their gene, the farthest first.

    Returns
    -------
    pandas.DataFrame
        guide, gene, contrast (the one on which it deviates most, in its SDs), deviation, low, high, in_sds,
        stands_out. Guides that are alone have no deviation and are left out.
    """
    arrays = run.arrays("delta_posterior_summary.npz")
    mean, sd = arrays["delta_mean"], arrays["delta_sd"]
    in_sds = np.divide(mean, sd, out=np.zeros_like(mean), where=sd > 0)  # [G, F*]
    best = np.abs(in_sds).argmax(axis=1)
    row = np.arange(len(best))
    table = pd.DataFrame(
        {
            "guide": arrays["guides"],
            "gene": arrays["genes"],
            "contrast": arrays["contrasts"][best],
            "deviation": mean[row, best],
            "low": mean[row, best] - Z95 * sd[row, best],
            "high": mean[row, best] + Z95 * sd[row, best],
            "in_sds": in_sds[row, best],
        }
    )
    table = table[table.groupby("gene")["guide"].transform("size") > 1]
    table = table.assign(size=table["in_sds"].abs()).sort_values(["size", "guide"], ascending=[False, True])
    return table.assign(stands_out=table["size"] >= STANDS_OUT).drop(columns="size").reset_index(drop=True)


def _power(run: Run, axes: Axes) -> dict[str, list[Any]]:
    """Smallest effect of a gene with the median error that is seen 4 times in 5, by fate or contrast, [D].

    Missing where even a change of the odds by `SEEN_UP_TO` would not show.
    """
    middle = run.effects("gene", axes.scale).pivot_table("se", "fate", "day", "median")
    smallest = DETECTABLE * middle.reindex(index=axes.fates, columns=axes.days)
    smallest = smallest.where(smallest <= np.log(SEEN_UP_TO))
    return {fate: numbers(row) for fate, row in zip(axes.fates, smallest.to_numpy(), strict=True)}


def _composition(run: Run) -> list[dict[str, Any]]:
    """Fates of the cells by day and replicate: mean probabilities, and how clear the labels are."""
    path = run.source / "cells.parquet"
    if not path.is_file():  # a run that was saved or copied without its input tables
        return []
    fates = [run.reference, *run.contrasts]
    columns = prob_columns(fates)
    cells = read_own_table(path, ["day", "rep", *columns], text=["day", "rep"])
    top = cells[columns].max(axis=1)
    cells = cells.assign(top=top, clear=top >= CERTAIN)
    found = []
    for day in run.days:
        of_day = cells[cells["day"].astype(str) == day]
        for rep, of_rep in of_day.groupby(of_day["rep"].astype(str)):
            means = of_rep[[*columns, "top", "clear"]].mean()
            share = {name.removeprefix(PROB_PREFIX): rounded(means[name]) for name in columns}
            found.append({"day": day, "rep": str(rep), "cells": len(of_rep), "share": share})
            found[-1] |= {"top": rounded(means["top"]), "clear": rounded(means["clear"])}
    return found


def _truth(run: Run, axes: Axes) -> dict[str, Any] | None:
    """Estimates against the truth of a simulated screen, by contrast; None of a real one."""
    name = "recovery_by_day.csv"
    if not run.has_truth or not run.path(run.primary, name).is_file():
        return None
    found = {}
    for contrast in run.contrasts:
        truth = run.truth(contrast).reindex(axes.genes)
        table = run.table("gene_daywise_for_mash.csv", contrast).set_index("gene").reindex(axes.genes)
        found[contrast] = {
            "true": numbers(truth.to_numpy().ravel()),
            "estimate": numbers(table[day_columns("betahat", len(axes.days))].to_numpy().ravel()),
            "se": numbers(table[day_columns("se", len(axes.days))].to_numpy().ravel()),
            "by_day": _rows(run.table(name, contrast)),
            "calls": _rows(run.table("daywise_confusion.csv", contrast)),
        }
    return found


def _of_genes(run: Run, name: str) -> list[dict[str, Any]]:
    """Rows of a table of genes that not every run has."""
    return _rows(run.table(name)) if (run.folder / name).is_file() else []


def _survival(run: Run) -> list[dict[str, Any]]:
    """Abundance of genes and guides by day, without the controls; of a run that has the table."""
    if not (run.folder / "survival.csv").is_file():
        return []
    table = run.table("survival.csv")
    return _rows(table.loc[table["gene"] != NTC, ["gene", "guide", "day", "change", "change_se", "depleted"]])


def _certificate(run: Run) -> dict[str, Any]:
    """Pictures of the certificate: quantiles of z where nothing acts, and what was planted and found."""
    return {"z": _of_genes(run, "certificate_z.csv"), "planted": _of_genes(run, "certificate_planted.csv")}


def _in_order(table: pd.DataFrame, level: str, names: Sequence[str], days: Sequence[str]) -> pd.DataFrame:
    """Rows for each name and day, in the order of both."""
    rows = pd.MultiIndex.from_product([names, days], names=[level, "day"])
    return table.set_index([level, "day"]).reindex(rows)


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as plain values by column."""
    columns = {str(name): [_plain(value) for value in table[name].tolist()] for name in table}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return rounded(value)
    return None if value is None or value is pd.NA else value


def numbers(values: Iterable[Any]) -> list[float | None]:
    """Plain numbers with few digits; None for what is missing."""
    return [rounded(value) for value in np.asarray(values, dtype=float)]


def rounded(value: float) -> float | None:
    """A number with few digits; None for one that is missing or infinite."""
    return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None

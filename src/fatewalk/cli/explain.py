"""``fatewalk explain``: one gene of a finished run, in a paragraph and a small table."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fatewalk.api import load
from fatewalk.cli.tables import aligned
from fatewalk.core.errors import FatewalkError, first_few
from fatewalk.core.schema import DETECTABLE, UNRESOLVED
from fatewalk.core.words import count, join, on_days

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from fatewalk.api import Result

NEAR = 5  # names suggested for one that is not there
INTERVAL = 1.96
CHANGE = {"gain": "becomes more frequent", "loss": "becomes rarer"}
LEGEND = (
    "  odds: by how much the odds of the fate are multiplied, after shrinkage (uncertain effects are pulled",
    "  towards none); lfsr: the chance that the direction is wrong, or that there is none; follows: called",
    "  because another fate moved. Fates are shrunk one by one, so their points add up to 0 only nearly",
)
TINY = 1e-4  # chances below this are not told apart


def find_run(folder: Path | None) -> Result:
    """Open a finished run: the one that is named, or the only one below ``results``.

    Raises
    ------
    FatewalkError
        If there is none, or there are several to choose from.
    """
    if folder is not None:
        return load(folder)
    runs = sorted(path.parent for path in Path("results").glob("*/*/run.json"))
    if len(runs) != 1:
        found = f"{len(runs)} runs: {first_few(runs, 6)}" if runs else "no run below ./results"
        raise FatewalkError(f"found {found}; name the folder of one with --run results/screen/main")
    return load(runs[0])


def in_words(result: Result, gene: str) -> list[str]:
    """Explain a gene.

    Parameters
    ----------
    result
        The run.
    gene
        Its name; case does not matter where only one gene is meant.

    Returns
    -------
    list of str
        Lines for the terminal.

    Raises
    ------
    FatewalkError
        If the run has no such gene; near names are suggested.
    """
    effects = result.effects("gene", "fate")
    gene = _name_of(gene, effects["gene"].unique().tolist(), result.folder)
    own = effects[effects["gene"] == gene]
    hits = result.run.all_hits
    hits = hits[hits["gene"] == gene]
    lines = [f"{gene} in {result.folder}", ""]
    if result.run.withheld and len(hits):
        lines += [
            "WITHHELD: the certificate of this run failed, so this is no hit until its reason is found."
        ]
        lines += [""]
    if hits.empty:
        lines += _without_hit(result, own)
    elif "fate" in hits:
        lines += [sentence for _, hit in hits.iterrows() for sentence in [*_of_hit(hit), ""]][:-1]
    else:
        lines += [_of_contrast(hit) for _, hit in hits.iterrows()]
    lines += ["", "Each fate by day (change of its probability in percentage points, with 95 % interval)"]
    lines += [*aligned(_rows(own, hits)), *LEGEND, "", *_guides(result, gene, hits, own)]
    return lines


def _name_of(gene: str, genes: list[str], folder: Path) -> str:
    """The gene as the run spells it."""
    if gene in genes:
        return gene
    alike = [name for name in genes if name.lower() == gene.strip().lower()]
    if len(alike) == 1:
        return alike[0]
    by_small = {name.lower(): name for name in genes}
    near = [by_small[name] for name in difflib.get_close_matches(gene.lower(), list(by_small), NEAR, 0.5)]
    meant = f"did you mean {', '.join(near)}?" if near else f"the first are {first_few(sorted(genes), NEAR)}"
    raise FatewalkError(f"{gene!r} is no gene of {folder}, which has {len(genes)}; {meant}")


def _of_hit(hit: pd.Series) -> list[str]:
    """A hit in sentences."""
    points = f"{hit['percent_points']:+.1f} percentage points"
    span = f"{hit['percent_points_low']:+.1f} to {hit['percent_points_high']:+.1f}"
    low, middle, high = (np.exp(hit[name]) for name in ("effect_low", "effect", "effect_high"))
    days = _days(hit["active_days"])
    lines = [
        f"Perturbed, {hit['fate']} {CHANGE.get(hit['direction'], hit['direction'])} on {days} "
        f"(rank {hit['rank']} of all hits).",
        f"Strongest on {_days(hit['strongest_day'])}: {points} (95 % interval {span}), odds times "
        f"{middle:.2f} ({low:.2f} to {high:.2f}).",
        f"How sure: the chance that the direction is wrong is {_chance(hit['lfsr'])}; {hit['guides_agree']} "
        f"guides agree{_replicates(hit)}; {count(int(hit['n_cells']), 'cell')} on that day.",
        f"Course over the days: {str(hit['pattern']).replace('_', ' ')} (probability "
        f"{hit['pattern_prob']:.2f}).",
    ]
    if hit.get("who_moved") == "cannot be told":
        others = str(hit["also_moved"]).replace("; ", ", ") if pd.notna(hit["also_moved"]) else ""
        lines.append(
            f"Fates add up to one, so others follow: whether {hit['fate']} moved itself or "
            f"{others or 'another'} did cannot be told."
        )
    if (words := _text(hit, "not_resolved")) != "":
        lines.append(f"Labels do not tell fates apart well on {_days(words)}.")
    if (words := _text(hit, "marks")) != "":
        lines.append(f"Look twice: {words}.")
    return lines


def _of_contrast(hit: pd.Series) -> str:
    """A hit of the scale ``contrast`` in a sentence."""
    return (
        f"Perturbed, it changes the odds of {hit['contrast']} against {hit['reference']}: {hit['direction']} "
        f"on {_days(hit['active_days'])}; on the strongest day times {np.exp(hit['effect']):.2f} "
        f"({np.exp(hit['effect_low']):.2f} to {np.exp(hit['effect_high']):.2f}). The chance that the "
        f"direction is wrong is {_chance(hit['lfsr'])}."
    )


def _without_hit(result: Result, own: pd.DataFrame) -> list[str]:
    """Why a gene is no hit: nothing there, or nothing to be seen."""
    seen = own[own["mash_mean"].notna()]
    if seen.empty:
        return ["No hit: no cell carries a guide of this gene on a day on which a fate could be judged."]
    calls = result.run.settings.calls
    best = seen.iloc[int(np.nanargmin(seen["lfsr"].to_numpy()))]
    lines = [
        f"No hit. The clearest effect is on {best['fate']}, {_days(best['day'])}: odds times "
        f"{np.exp(best['mash_mean']):.2f}, and the chance that its direction is wrong, or that there is "
        f"none, is {_chance(best['lfsr'])}.",
        f"That the odds change by more than {np.exp(calls.effect_size_eps) - 1:.0%} has probability "
        f"{best['plarge']:.2f}.",
    ]
    lines += _not_excluded(seen, calls.effect_size_eps, result.run.json("fit_card.json")["label_resolution"])
    called = own[own["called"].fillna(False).astype(bool)]
    if len(called):
        lines.append(
            f"It is active on single days on {join(called['fate'].unique().tolist())}, but does not pass the "
            f"rule for a gene over all days (calls.anyday_correction: {calls.anyday_correction})."
        )
    return lines


def _not_excluded(seen: pd.DataFrame, eps: float, resolution: Mapping[str, Any]) -> list[str]:
    """What a gene may do unseen, by day; where labels resolve little, small errors mean nothing."""
    blurred = [day for day in seen["day"].unique() if resolution[day]["all"] < UNRESOLVED]
    clear = seen[~seen["day"].isin(blurred) & seen["se"].notna()].groupby("day", sort=False)
    found = [
        f"{np.exp(max(DETECTABLE * se, eps)):.2f} on {on_days([str(day)])} ({count(int(cells), 'cell')})"
        for day, se, cells in zip(clear.groups, clear["se"].max(), clear["n_cells"].max(), strict=True)
    ]
    lines = []
    if found:
        lines.append(
            f"On any fate odds changed by a factor of {', '.join(found)} would be seen 4 times in 5: less "
            "than that cannot be excluded."
        )
    if blurred:
        lines.append(
            f"On {on_days(blurred)} labels hardly tell fates apart: what the gene does then may stay unseen."
        )
    return lines


# -------------------------------------------------------------------------------- tables


def _rows(own: pd.DataFrame, hits: pd.DataFrame) -> list[list[str]]:
    """The table of a gene, its head first; what is called and no hit follows fates that moved."""
    names = set(hits["fate"]) if "fate" in hits else set()
    rows = [["fate", "day", "points", "interval", "odds", "lfsr", "cells", ""]]
    before = None
    for row in own.to_dict("records"):
        known = pd.notna(row["mash_mean"])
        low, high = row["percent_points_low"], row["percent_points_high"]
        rows.append(
            [
                str(row["fate"]) if row["fate"] != before else "",
                str(row["day"]),
                f"{row['percent_points']:+.1f}" if known else "-",
                f"{low:+.1f} to {high:+.1f}" if known else "-",
                f"x {np.exp(row['mash_mean']):.2f}" if known else "-",
                f"{row['lfsr']:.1g}" if known else "-",
                f"{row['n_cells']:,}",
                ("called" if row["fate"] in names or not names else "follows")
                if pd.notna(row["called"]) and row["called"]
                else "",
            ]
        )
        before = row["fate"]
    return rows


def _guides(result: Result, gene: str, hits: pd.DataFrame, own: pd.DataFrame) -> Iterator[str]:
    """The guides of a gene on the fate and day where it is clearest."""
    if len(hits) and "fate" in hits:
        fate, day = hits.iloc[0]["fate"], hits.iloc[0]["strongest_day"]
    elif own["lfsr"].notna().any():
        best = own.iloc[int(np.nanargmin(own["lfsr"].to_numpy()))]
        fate, day = best["fate"], best["day"]
    else:
        return
    guides = result.effects("guide", "fate")
    guides = guides[(guides["gene"] == gene) & (guides["fate"] == fate) & (guides["day"] == day)]
    yield f"Its guides on {fate}, {_days(day)} (log odds before shrinkage, with 95 % interval)"
    rows = [["guide", "log odds", "interval", "cells"]]
    for guide in guides.to_dict("records"):
        known = pd.notna(guide["estimate"])
        low, high = (guide["estimate"] + sign * INTERVAL * guide["se"] for sign in (-1, 1))
        rows.append(
            [
                str(guide["guide"]),
                f"{guide['estimate']:+.2f}" if known else "-",
                f"{low:+.2f} to {high:+.2f}" if known else "-",
                f"{guide['n_cells']:,}",
            ]
        )
    yield from aligned(rows)


def _days(labels: object) -> str:
    """Days of a column, such as ``day1; day2``, in words."""
    return on_days(str(labels).split("; "))


def _chance(value: float) -> str:
    return f"below {TINY:g}" if value < TINY else f"{value:.2g}"


def _replicates(hit: pd.Series) -> str:
    words = _text(hit, "replicates_agree")
    return f", {words} replicates agree" if words else ""


def _text(hit: pd.Series, name: str) -> str:
    """A column that not every run has, or that is mostly empty."""
    return str(hit[name]) if name in hit and pd.notna(hit[name]) else ""

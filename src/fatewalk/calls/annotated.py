"""Effects on fates as annotated matrices, for scverse tools: genes or guides x (fate, day)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fatewalk.core.h5ad import write_h5ad

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: Columns of effects.parquet that become layers, with what they are.
LAYERS = {
    "estimate": "likelihood-only estimate: what the labels alone tell, before shrinkage (logit)",
    "se": "its standard error (logit)",
    "posterior_mean": "posterior mean of the hierarchical model, before mash (logit)",
    "posterior_sd": "its standard deviation (logit)",
    "mash_mean": "effect after shrinkage by mash, which the calls rest on (logit); also X",
    "mash_sd": "its standard deviation (logit)",
    "percent_points": "change of the fate's probability that mash_mean makes, in percentage points",
    "percent_points_low": "lower end of its 95 % interval",
    "percent_points_high": "upper end of its 95 % interval",
    "lfsr": "local false sign rate: probability that the sign is wrong",
    "plarge": "probability that the effect is larger than effect_size_eps, in either direction",
    "called": "1 where the gene is called active on the day, followers included; 0 where not",
    "n_cells": "cells of the day with the gene's guides, or the guide",
}
MISSING = {"gene": (), "guide": ("posterior_mean", "posterior_sd", "called")}  # not known of guides on fates


def write_annotated(
    path: Path,
    level: str,
    effects: pd.DataFrame,
    days: Sequence[str],
    times: Sequence[float],
    about: dict[str, str | float],
    *,
    hits: pd.DataFrame | None = None,
) -> None:
    """Write the effects of genes or of guides on each fate and day as an .h5ad file.

    Parameters
    ----------
    path
        The file.
    level
        gene | guide.
    effects
        Rows of effects.parquet.
    days, times : [D]
        Labels and real times.
    about
        Entries of ``uns``.
    hits
        hits.csv, for the number of hits of each gene; of genes only.
    """
    of_level = effects[(effects["level"] == level) & (effects["scale"] == "fate")]
    names, fates = list(dict.fromkeys(of_level[level])), list(dict.fromkeys(of_level["fate"]))
    order = pd.MultiIndex.from_product([names, fates, days])
    rows = of_level.set_index([level, "fate", "day"]).reindex(order)
    shape = len(names), len(fates) * len(days)
    words = {name: text for name, text in LAYERS.items() if name not in MISSING[level]}
    layers = {name: rows[name].to_numpy(float, na_value=np.nan).reshape(shape) for name in words}
    obs = pd.DataFrame(index=pd.Index(names, name=level))
    if level == "guide":
        obs["gene"] = of_level.drop_duplicates("guide")["gene"].to_numpy()
    if hits is not None:
        obs["n_hits"] = hits["gene"].value_counts().reindex(names, fill_value=0).to_numpy()
    var = pd.DataFrame(
        [(fate, day, time) for fate in fates for day, time in zip(days, times, strict=True)],
        columns=["fate", "day", "time"],
    ).set_axis([f"{fate}@{day}" for fate in fates for day in days])
    moved = rows["prob_moved"].to_numpy(float).reshape(len(names), len(fates), len(days))
    with_day = np.where(np.isnan(moved), -np.inf, moved).max(axis=2)  # the same on all days of a fate
    prob_moved = pd.DataFrame(np.where(with_day == -np.inf, np.nan, with_day), names, fates)
    obsm = {"prob_moved": prob_moved}
    write_h5ad(path, layers["mash_mean"], obs, var, layers, obsm, {**about, "layers": words})

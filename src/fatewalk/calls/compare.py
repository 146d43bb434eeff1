"""The modes and the engines of mash, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from fatewalk.calls.checks import Numbers, marks_of, observed_days, posterior_columns, refuse_repeats
from fatewalk.core.errors import FatewalkError, first_few
from fatewalk.core.schema import day_columns
from fatewalk.core.tables import count_days, require_columns


def compare_modes(
    tables: Mapping[str, pd.DataFrame],
    lfsr_day: float,
    second: Mapping[str, pd.DataFrame] = MappingProxyType({}),
    engine: str = "",
) -> pd.DataFrame:
    """Put the gene tables of the mash modes side by side, and those of a second engine beside them.

    Parameters
    ----------
    tables
        mash_gene_<mode>.csv by mode; one mode is enough.
    lfsr_day
        A gene-day is called if its lfsr is below this (the size of the effect plays no part here).
    second
        The same tables by the other engine; empty if it was not run.
    engine
        Its name.

    Returns
    -------
    pandas.DataFrame
        mash_mode_comparison.csv, one row per gene and day (gene order of the first table): gene,
        day ("d0"), n_cells, for each mode postmean_<mode>, lfsr_<mode>, called_<mode>, then agree (every
        mode calls the gene-day with the same sign, or none does); with a second engine for each mode
        postmean_<mode>_<engine>, lfsr_<mode>_<engine>, called_<mode>_<engine>, agree_engines_<mode>;
        and the marks of the first table. Calls are missing where there is no posterior, agreement
        where any side has none.

    Raises
    ------
    FatewalkError
        If there is no table, a column is missing, a gene is repeated, or the tables have other
        genes or days.
    """
    if not tables:
        raise FatewalkError("compare_modes: found no mash table; needed: one per mode")
    mode, first = next(iter(tables.items()))
    where = f"mash_gene table, mode {mode}"
    n_days = count_days(first, where)
    cells = day_columns("n_cells", n_days)
    require_columns(first, ["gene", *cells], where)
    head = {
        "gene": np.repeat(first["gene"].to_numpy(), n_days),
        "day": np.tile([f"d{day}" for day in range(n_days)], len(first)),
        "n_cells": first[cells].to_numpy().ravel(),
    }
    columns: dict[str, Any] = {}
    signs = {other: _called_signs(table, first, other, lfsr_day, columns) for other, table in tables.items()}
    columns["agree"] = _agreement(list(signs.values()))
    for other, table in second.items():
        sign = _called_signs(table, first, f"{other}_{engine}", lfsr_day, columns)
        columns[f"agree_engines_{other}"] = _agreement([signs[other], sign])
    marks = {mark: np.repeat(first[mark].to_numpy(), n_days) for mark in marks_of(first)}
    return pd.DataFrame(head | columns | marks)


def _called_signs(
    table: pd.DataFrame, first: pd.DataFrame, name: str, lfsr_day: float, columns: dict[str, Any]
) -> Numbers:
    """Add the columns of one table; sign of each called gene-day, 0 if not called, NaN if unknown [L * D]."""
    where = f"mash_gene table, mode {name}"
    table = _same_genes(table, first, where)
    n_days = count_days(first, where)
    observed = observed_days(table, "gene", n_days, where)  # [L, D]
    postmean, lfsr = (
        np.where(observed, table[day_columns(stem, n_days)].to_numpy(float), np.nan).ravel()
        for stem in ("postmean", "lfsr")
    )  # [L * D] each
    sign = np.where(lfsr < lfsr_day, np.sign(postmean), 0.0)
    missing = pd.Series(np.isnan(lfsr))
    columns |= {
        f"postmean_{name}": postmean,
        f"lfsr_{name}": lfsr,
        f"called_{name}": pd.Series(lfsr < lfsr_day, dtype="boolean").mask(missing),
    }
    return np.where(missing, np.nan, sign)


def _agreement(signs: Sequence[Numbers]) -> pd.Series:
    """Whether all signs are the same, missing where one is unknown [L * D]."""
    stacked = np.array(signs)
    same = pd.Series((stacked == stacked[0]).all(axis=0), dtype="boolean")
    return same.mask(pd.Series(np.isnan(stacked).any(axis=0)))


def _same_genes(table: pd.DataFrame, first: pd.DataFrame, where: str) -> pd.DataFrame:
    """The rows of `table` in the gene order of `first`; refuses other genes or days."""
    n_days = count_days(table, where)
    require_columns(table, ["gene", *posterior_columns(n_days)], where)
    refuse_repeats(table, "gene", where)
    differing = sorted(set(table["gene"].astype(str)) ^ set(first["gene"].astype(str)))
    if differing or n_days != count_days(first, where):
        what = f"gene {first_few(differing)}" if differing else "the number of days"
        raise FatewalkError(
            f"{where}: {what} is not the same as in the first mode; run mash again for both modes"
        )
    return table.set_index("gene").reindex(first["gene"]).reset_index()

"""The modes and the engines of mash, side by side."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fatewalk.calls.checks import Numbers, read_mash
from fatewalk.core.daywise import Daywise
from fatewalk.core.errors import FatewalkError, quoted
from fatewalk.core.schema import day_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


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
    mode, table = next(iter(tables.items()))
    first = Daywise.of(table, _where(mode), ["betahat", "n_cells"], ["gene"])
    head = {
        "gene": np.repeat(first["gene"], first.n_days),
        "day": np.tile(day_names(first.n_days), len(first)),
        "n_cells": first["n_cells"].ravel(),
    }
    columns: dict[str, Any] = {}
    signs = {other: _called_signs(table, first, other, lfsr_day, columns) for other, table in tables.items()}
    columns["agree"] = _agreement(list(signs.values()))
    for other, table in second.items():
        sign = _called_signs(table, first, f"{other}_{engine}", lfsr_day, columns)
        columns[f"agree_engines_{other}"] = _agreement([signs[other], sign])
    return pd.DataFrame(head | columns).assign(**first.marks)


def _where(mode: str) -> str:
    return f"mash_gene table, mode {mode}"


def _called_signs(
    table: pd.DataFrame, first: Daywise, name: str, lfsr_day: float, columns: dict[str, Any]
) -> Numbers:
    """Add the columns of one table; sign of each called gene-day, 0 if not called, NaN if unknown [L * D]."""
    found = _same_genes(table, first, _where(name))
    postmean, lfsr = found["postmean"].ravel(), found["lfsr"].ravel()  # [L * D] each
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


def _same_genes(table: pd.DataFrame, first: Daywise, where: str) -> Daywise:
    """A mash table in the gene order of the first; refuses other genes or days."""
    found = read_mash(table, "gene", where)
    differing = sorted(set(found["gene"].astype(str)) ^ set(first["gene"].astype(str)))
    if differing or found.n_days != first.n_days:
        what = f"gene {quoted(differing)}" if differing else "the number of days"
        raise FatewalkError(
            f"{where}: {what} is not the same as in the first mode; run mash again for both modes"
        )
    return found.rows_of("gene", first["gene"], where)

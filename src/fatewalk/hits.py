"""Calls and rankings: from the mash tables to active days, hits and second views of a gene."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fatewalk.config.sections import CallsConfig
from fatewalk.errors import FatewalkError, first_few
from fatewalk.tables import count_days, day_columns, require_columns

MARKS = ("provisional", "uncentred")
"""Columns that mark a table of a fit not to be trusted as it stands; carried through."""

Numbers = NDArray[np.float64]


def rank_hits(mash_table: pd.DataFrame, prob_large: ArrayLike, calls: CallsConfig) -> pd.DataFrame:
    """Call active days and hits, and rank the genes.

    A gene is *active* on day d if ``lfsr_d < lfsr_day`` and
    ``P(|effect_d| > effect_size_eps) >= effect_prob_large_min``. An unobserved gene-day (no
    estimate, or no cell) is never active, and its posterior columns are empty.

    A gene is a *hit* if both hold:

    - it has a day with ``lfsr_d < t`` and the same bound on P(|effect| > eps), where t is
      ``lfsr_day / D`` with `anyday_correction` "bonferroni" and ``lfsr_day`` with "none". D is the
      number of days of the screen, also for a gene that is unobserved on some of them;
    - it is active (with the uncorrected ``lfsr_day``) on at least `min_active_days` days.

    So a gene may have active days and be no hit; its active days are listed all the same.

    Ranks: hits first, by ``min_lfsr_among_active``; then the other genes by their smallest lfsr.
    Ties go to the larger ``max_abs_postmean``, then to the name that sorts first. Genes without an
    observed day come last.

    Parameters
    ----------
    mash_table
        mash_gene_<mode>.csv, n genes.
    prob_large
        P(|effect| > `calls.effect_size_eps`) under the mash mixture [n, D], rows as in
        `mash_table`; what stands at unobserved gene-days is ignored.
    calls
        Thresholds.

    Returns
    -------
    pandas.DataFrame
        hits_ranked.csv, one row per gene: rank (from 1), gene, n_guides, hit_anyday, active_days
        ("d0;d2"), n_active_days, best_day_among_active (smallest lfsr, the earlier day on a tie),
        min_lfsr_among_active, max_abs_postmean (over the observed days, logit), postmean_d*,
        postsd_d*, lfsr_d*, plarge_d*, n_cells_d*, and the marks of `mash_table`.

    Raises
    ------
    FatewalkError
        If a column is missing, a gene is repeated or without a name, an observed gene-day has no
        posterior, or `prob_large` has another shape or no value for an observed gene-day.
    """
    where = "mash_gene table"
    n_days = count_days(mash_table, where)
    n_cells = day_columns("n_cells", n_days)
    require_columns(mash_table, ["gene", "n_guides", *_posterior_columns(n_days), *n_cells], where)
    _refuse_repeats(mash_table, "gene", where)
    observed = _observed(mash_table, "gene", n_days, where)  # [n, D]
    observed &= mash_table[n_cells].to_numpy(float) > 0
    postmean, postsd, lfsr = (
        np.where(observed, mash_table[day_columns(stem, n_days)].to_numpy(float), np.nan)
        for stem in ("postmean", "postsd", "lfsr")
    )  # [n, D] each
    plarge = _checked_prob_large(prob_large, observed, mash_table["gene"])  # [n, D]

    active = (lfsr < calls.lfsr_day) & (plarge >= calls.effect_prob_large_min)  # missing: False
    n_active = active.sum(axis=1)
    anyday_lfsr = calls.lfsr_day / (n_days if calls.anyday_correction == "bonferroni" else 1)
    hit = (active & (lfsr < anyday_lfsr)).any(axis=1) & (n_active >= calls.min_active_days)

    min_active_lfsr = _smallest(np.where(active, lfsr, np.nan))  # [n]
    max_abs = -_smallest(-np.abs(postmean))  # [n]
    days = np.array([f"d{day}" for day in range(n_days)])
    best = days[np.argmin(np.where(active, lfsr, np.inf), axis=1)]  # [n]
    summary = pd.DataFrame(
        {
            "gene": mash_table["gene"].to_numpy(),
            "n_guides": mash_table["n_guides"].to_numpy(),
            "hit_anyday": hit,
            "active_days": [";".join(days[row]) for row in active],
            "n_active_days": n_active,
            "best_day_among_active": np.where(n_active > 0, best, ""),
            "min_lfsr_among_active": min_active_lfsr,
            "max_abs_postmean": max_abs,
        }
    )
    blocks = {"postmean": postmean, "postsd": postsd, "lfsr": lfsr, "plarge": plarge}
    daywise = [pd.DataFrame(block, columns=day_columns(stem, n_days)) for stem, block in blocks.items()]
    rest = mash_table[[*n_cells, *_marks(mash_table)]].reset_index(drop=True)
    table = pd.concat([summary, *daywise, rest], axis=1)

    names = mash_table["gene"].to_numpy().astype(str)
    key = np.where(hit, min_active_lfsr, _smallest(lfsr))
    order = np.lexsort((names, -max_abs, key, ~hit))  # the last key counts most; missing is last
    table = table.iloc[order].reset_index(drop=True)
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return table


def aggregate_guides(guide_table: pd.DataFrame, gene_table: pd.DataFrame) -> pd.DataFrame:
    r"""Combine the mash posteriors of the guides of each gene, day by day.

    A descriptive second view: do the guides of a gene tell the same story? Guides of a gene are
    not independent in the posterior (they share the gene's effect and one prior), and their means
    are shrunk. So ``meta_sd`` is too small and no substitute for the gene table's SD, and Q is no
    chi-square test; both are for comparing genes, not for calls.

    With mean m and SD s of the guides observed on a day, the fixed-effect combination (Cochran,
    Biometrics 10:101, 1954) is

    .. math:: \hat m = \sum m / s^2 \big/ \sum 1 / s^2, \quad sd = (\sum 1 / s^2)^{-1/2}, \quad
              Q = \sum (m - \hat m)^2 / s^2

    with df = n_guides_used - 1, and I2 = max(0, 1 - df / Q) (Higgins and Thompson, Stat. Med.
    21:1539, 2002). A guide with s = 0 (mash is certain that it does nothing) is the limit of
    s -> 0: such guides alone make the combination, its SD is 0, and they add nothing to Q.

    Parameters
    ----------
    guide_table
        mash_guide_<mode>.csv.
    gene_table
        Any gene table of the run; its cells per gene and day travel along (a cell with two guides
        of a gene counts once, so they are not the sum over guides).

    Returns
    -------
    pandas.DataFrame
        gene_from_guide_mash_<mode>.csv, genes by first appearance: gene, n_guides (in the table),
        then per day n_guides_used_d*, meta_mean_d*, meta_sd_d* (logit), q_d*, i2_d* (missing with
        fewer than two guides), sign_agreement_d* (number of guides with the sign of meta_mean; 0
        if that is exactly 0), then lfsr_min_guide (over guides and days), best_day (its day, the
        earlier one on a tie), n_cells_d*, and the marks of `guide_table`. Guide-days that are
        missing are left out; where none is left the two counts are 0 and the rest is missing.

    Raises
    ------
    FatewalkError
        If a column is missing, a guide is repeated, a guide or gene has no name, an observed
        guide-day has no posterior, or a posterior SD is negative.
    """
    where = "mash_guide table"
    n_days = count_days(guide_table, where)
    require_columns(guide_table, ["guide", "gene", *_posterior_columns(n_days)], where)
    _refuse_repeats(guide_table, "guide", where)
    if guide_table["gene"].isna().any():
        guides = guide_table.loc[guide_table["gene"].isna(), "guide"]
        raise FatewalkError(f"{where}: column gene is empty for guide {first_few(guides)}; name the gene")
    observed = _observed(guide_table, "guide", n_days, where)  # [G, D]
    mean, sd, lfsr = (
        guide_table[day_columns(stem, n_days)].set_axis(range(n_days), axis=1).astype(float).where(observed)
        for stem in ("postmean", "postsd", "lfsr")
    )  # [G, D] each
    negative = (sd < 0).any(axis=1)
    if negative.any():
        guides = guide_table.loc[negative, "guide"]
        raise FatewalkError(f"{where}: found a negative postsd for guide {first_few(guides)}; run mash again")

    codes, genes = pd.factorize(guide_table["gene"])  # [G], [L]
    lfsr_by_day = lfsr.groupby(codes).min().fillna(np.inf).to_numpy()  # [L, D]
    lfsr_min = lfsr_by_day.min(axis=1)  # [L]
    best = np.char.add("d", lfsr_by_day.argmin(axis=1).astype(str))
    heads = {"gene": np.asarray(genes), "n_guides": np.bincount(codes, minlength=len(genes))}
    ends = {
        "lfsr_min_guide": np.where(np.isfinite(lfsr_min), lfsr_min, np.nan),
        "best_day": np.where(np.isfinite(lfsr_min), best, ""),
    }
    daywise = [
        block.set_axis(day_columns(stem, n_days), axis=1) for stem, block in _combine(mean, sd, codes).items()
    ]
    cells = day_columns("n_cells", n_days)
    require_columns(gene_table, ["gene", *cells], "gene table")
    n_cells = gene_table.set_index("gene")[cells].reindex(genes).reset_index(drop=True)
    marks = guide_table[_marks(guide_table)].groupby(codes).first()
    return pd.concat([pd.DataFrame(heads), *daywise, pd.DataFrame(ends), n_cells, marks], axis=1)


def _combine(mean: pd.DataFrame, sd: pd.DataFrame, codes: NDArray[np.intp]) -> dict[str, pd.DataFrame]:
    """Fixed-effect combination of the guides [G, D] of each gene: columns of `aggregate_guides` [L, D]."""
    # Weights relative to the most certain guide neither overflow nor divide by zero: it has 1.
    sd_min = sd.groupby(codes).transform("min")  # [G, D]
    weight = (sd_min / sd).where(sd > sd_min, 1.0).where(sd.notna()) ** 2
    total = weight.groupby(codes).sum()  # [L, D], 0 where no guide is left
    meta_mean = (weight * mean).groupby(codes).sum() / total
    combined = meta_mean.take(codes).set_axis(mean.index)  # [G, D]
    n_used = mean.notna().groupby(codes).sum()  # [L, D]
    q = (((mean - combined) / sd.where(sd > 0)) ** 2).groupby(codes).sum().where(n_used > 1)
    i2 = (1 - (n_used - 1) / q.where(q > 0)).clip(lower=0)
    same_sign = (np.sign(mean) == np.sign(combined)) & (mean != 0)
    return {
        "n_guides_used": n_used,
        "meta_mean": meta_mean,
        "meta_sd": sd.groupby(codes).min() / np.sqrt(total),
        "q": q,
        "i2": i2.where(q != 0, 0.0),  # guides that agree exactly
        "sign_agreement": same_sign.groupby(codes).sum(),
    }


def compare_modes(tables: Mapping[str, pd.DataFrame], lfsr_day: float) -> pd.DataFrame:
    """Put the gene tables of the mash modes side by side.

    Parameters
    ----------
    tables
        mash_gene_<mode>.csv by mode; one mode is enough.
    lfsr_day
        A gene-day is called if its lfsr is below this (the size of the effect plays no part here).

    Returns
    -------
    pandas.DataFrame
        mash_mode_comparison.csv, one row per gene and day (gene order of the first table): gene,
        day ("d0"), n_cells, for each mode postmean_<mode>, lfsr_<mode>, called_<mode>, then agree (every
        mode calls the gene-day with the same sign, or none does), and the marks of the first
        table. Calls and agree are missing where any mode has no posterior.

    Raises
    ------
    FatewalkError
        If there is no table, a column is missing, a gene is repeated, or the modes have other
        genes or days.
    """
    if not tables:
        raise FatewalkError("compare_modes: found no mash table; needed: one per mode")
    mode, first = next(iter(tables.items()))
    n_days = count_days(first, f"mash_gene table, mode {mode}")
    columns: dict[str, Any] = {}
    lfsr, sign = [], []
    for other, table in tables.items():
        where = f"mash_gene table, mode {other}"
        table = _same_genes(table, first, where)
        observed = _observed(table, "gene", n_days, where)  # [L, D]
        postmean, lfsr_here = (
            np.where(observed, table[day_columns(stem, n_days)].to_numpy(float), np.nan).ravel()
            for stem in ("postmean", "lfsr")
        )  # [L * D] each
        lfsr.append(lfsr_here)
        called = lfsr_here < lfsr_day
        sign.append(np.where(called, np.sign(postmean), 0.0))
        columns |= {f"postmean_{other}": postmean, f"lfsr_{other}": lfsr_here, f"called_{other}": called}
    columns["agree"] = (np.array(sign) == sign[0]).all(axis=0)
    missing = pd.Series(np.isnan(np.array(lfsr)).any(axis=0))  # [L * D]
    for name in [*(f"called_{mode}" for mode in tables), "agree"]:
        columns[name] = pd.Series(columns[name], dtype="boolean").mask(missing)
    head = {
        "gene": np.repeat(first["gene"].to_numpy(), n_days),
        "day": np.tile([f"d{day}" for day in range(n_days)], len(first)),
    }
    cells = day_columns("n_cells", n_days)
    require_columns(first, cells, f"mash_gene table, mode {mode}")
    head["n_cells"] = first[cells].to_numpy().ravel()
    marks = {mark: np.repeat(first[mark].to_numpy(), n_days) for mark in _marks(first)}
    return pd.DataFrame(head | columns | marks)


def _same_genes(table: pd.DataFrame, first: pd.DataFrame, where: str) -> pd.DataFrame:
    """The rows of `table` in the gene order of `first`; refuses other genes or days."""
    n_days = count_days(table, where)
    require_columns(table, ["gene", *_posterior_columns(n_days)], where)
    _refuse_repeats(table, "gene", where)
    differing = sorted(set(table["gene"].astype(str)) ^ set(first["gene"].astype(str)))
    if differing or n_days != count_days(first, where):
        what = f"gene {first_few(differing)}" if differing else "the number of days"
        raise FatewalkError(
            f"{where}: {what} is not the same as in the first mode; run mash again for both modes"
        )
    return table.set_index("gene").reindex(first["gene"]).reset_index()


def _posterior_columns(n_days: int) -> list[str]:
    """Columns of a mash table that every function here reads."""
    stems = ("betahat", "se", "postmean", "postsd", "lfsr")
    return [column for stem in stems for column in day_columns(stem, n_days)]


def _marks(table: pd.DataFrame) -> list[str]:
    return [mark for mark in MARKS if mark in table]


def _smallest(values: Numbers) -> Numbers:
    """Smallest value of each row [n], missing where all are missing."""
    smallest = np.where(np.isnan(values), np.inf, values).min(axis=1)
    return np.where(np.isinf(smallest), np.nan, smallest)


def _refuse_repeats(table: pd.DataFrame, column: str, where: str) -> None:
    """Refuse names that are empty or stand in two rows."""
    if table[column].isna().any():
        rows = np.flatnonzero(table[column].isna())
        raise FatewalkError(
            f"{where}: column {column} is empty in row {first_few(rows)}; give every row a name"
        )
    repeated = table.loc[table[column].duplicated(), column].unique()
    if len(repeated):
        raise FatewalkError(
            f"{where}: column {column}: {first_few(repeated)} stands in more than one row; keep one row each"
        )


def _observed(table: pd.DataFrame, name: str, n_days: int, where: str) -> NDArray[np.bool_]:
    """Where the table has an estimate [n, D]; refuses an estimate without a posterior."""
    has = {
        stem: table[day_columns(stem, n_days)].notna().to_numpy()
        for stem in ("betahat", "se", "postmean", "postsd", "lfsr")
    }
    observed = has["betahat"] & has["se"]
    bad = observed & ~(has["postmean"] & has["postsd"] & has["lfsr"])
    if bad.any():
        cells = (f"{table[name].iloc[row]} on d{day}" for row, day in np.argwhere(bad))
        raise FatewalkError(
            f"{where}: an estimate has no postmean, postsd or lfsr: {first_few(cells)}; run mash again"
        )
    return observed


def _checked_prob_large(prob_large: ArrayLike, observed: NDArray[np.bool_], genes: pd.Series) -> Numbers:
    """P(|effect| > eps) [n, D], missing where unobserved."""
    values = np.asarray(prob_large, float)
    if values.shape != observed.shape:
        raise FatewalkError(
            f"prob_large: found the shape {values.shape}; needed: genes x days, {observed.shape}"
        )
    bad = observed & np.isnan(values)
    if bad.any():
        cells = (f"{genes.iloc[row]} on d{day}" for row, day in np.argwhere(bad))
        raise FatewalkError(f"prob_large: no value for an observed gene-day: {first_few(cells)}")
    return np.where(observed, values, np.nan)

"""A second view of a gene: its guides, combined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from scipy.special import chdtrc  # scipy.stats takes a second to import

from fatewalk.calls.checks import read_mash
from fatewalk.core.daywise import Daywise
from fatewalk.core.errors import FatewalkError, quoted
from fatewalk.core.schema import day_names

if TYPE_CHECKING:
    from numpy.typing import NDArray

Combined = Literal["posterior", "likelihood"]
MEAN_AND_SD: dict[Combined, tuple[str, str]] = {
    "posterior": ("postmean", "postsd"),
    "likelihood": ("betahat", "se"),
}


def aggregate_guides(
    guide_table: pd.DataFrame, gene_table: pd.DataFrame, estimates: Combined = "posterior"
) -> pd.DataFrame:
    r"""Combine the guides of each gene, day by day, by fixed-effect meta-analysis.

    Do the guides of a gene tell the same story? Of likelihood-only estimates, whose errors are
    independent but for what guides share (intercepts, cells with both), Q is a chi-square test of
    it. Of mash posteriors the combination is descriptive: guides of a gene share its effect and one
    prior there, and their means are shrunk, so that ``meta_sd`` is too small and no substitute for
    the gene table's SD, and Q is for comparing genes, not for a test.

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
        mash_guide_<mode>.csv, or mash_likelihood_guide.csv.
    gene_table
        Any gene table of the run; its cells per gene and day travel along (a cell with two guides
        of a gene counts once, so they are not the sum over guides).
    estimates
        What is combined: posterior (postmean, postsd) or likelihood (betahat, se, of
        mash_likelihood_guide.csv).

    Returns
    -------
    pandas.DataFrame
        gene_from_guide_mash_<mode>.csv or gene_from_guide_likelihood.csv, genes by first
        appearance: gene, n_guides (in the table), then per day n_guides_used_d*, meta_mean_d*,
        meta_sd_d* (logit), q_d*, i2_d* (missing with fewer than two guides), sign_agreement_d*
        (number of guides with the sign of meta_mean; 0 if that is exactly 0), q_pvalue_d* (of
        likelihood-only estimates), then lfsr_min_guide (over guides and days), best_day (its day, the
        earlier one on a tie), n_cells_d*, and the marks of `guide_table`. Guide-days that are
        missing are left out; where none is left the two counts are 0 and the rest is missing.

    Raises
    ------
    FatewalkError
        If a column is missing, a guide is repeated, a guide or gene has no name, an observed
        guide-day has no posterior, or a posterior SD is negative.
    """
    where = "mash_guide table"
    guides = read_mash(guide_table, "guide", where)
    if (unnamed := pd.isna(guides["gene"])).any():
        raise FatewalkError(
            f"{where}: column gene is empty for guide {quoted(guides['guide'][unnamed])}; name the gene"
        )
    mean, sd, lfsr = (pd.DataFrame(guides[name]) for name in (*MEAN_AND_SD[estimates], "lfsr"))  # [G, D]
    if (negative := (sd < 0).any(axis=1).to_numpy()).any():
        raise FatewalkError(
            f"{where}: found a negative {MEAN_AND_SD[estimates][1]} for guide "
            f"{quoted(guides['guide'][negative])}; run mash again"
        )

    codes, genes = pd.factorize(guides["gene"])  # [G], [L]
    blocks = _combine(mean, sd, codes)
    if estimates == "likelihood":
        blocks["q_pvalue"] = _p_value(blocks["q"], blocks["n_guides_used"] - 1)
    lfsr_by_day = lfsr.groupby(codes).min().fillna(np.inf).to_numpy()  # [L, D]
    lfsr_min = lfsr_by_day.min(axis=1)  # [L]
    best = np.array(day_names(guides.n_days))[lfsr_by_day.argmin(axis=1)]
    cells = Daywise.of(gene_table, "gene table", ["n_cells"], ["gene"])
    columns = {
        "gene": genes,
        "n_guides": np.bincount(codes, minlength=len(genes)),
        **{name: block.to_numpy() for name, block in blocks.items()},
        "lfsr_min_guide": np.where(np.isfinite(lfsr_min), lfsr_min, np.nan),
        "best_day": np.where(np.isfinite(lfsr_min), best, ""),
        "n_cells": cells.rows_of("gene", genes, "gene table")["n_cells"],
    }
    return Daywise(columns, guides.marks).table()


def _p_value(q: pd.DataFrame, df: pd.DataFrame) -> pd.DataFrame:
    """Chance of a larger Q if all guides had the same effect [L, D]."""
    return pd.DataFrame(chdtrc(df.clip(lower=1), q), q.index, q.columns).where(q.notna())


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

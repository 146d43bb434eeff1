"""Estimates as tables for mash and people: arrays over all contrasts, day-wise tables of each.

Letters: L genes, G guides, F fates, F* contrasts, D days.
"""

from __future__ import annotations

from itertools import combinations
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from fatewalk.core.daywise import Daywise
from fatewalk.core.schema import MIN_MULTI_GUIDE_GENES, UNCENTRED

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from fatewalk.core.marks import Marks
    from fatewalk.estimates.arrays import FateChange, Moments, Unshrunk

NO_DEFECTS: Mapping[str, str] = MappingProxyType({})


def gene_sd(
    theta_sd: np.ndarray, sigma_guide_square: np.ndarray, n_guides: np.ndarray
) -> tuple[np.ndarray, str]:
    """SD of the effect of knocking the gene down: guide sampling added to the library's SD.

    Var = Var(theta) + sigma_guide^2 / n_guides, shared by all days (docs/method.md, two estimands).

    Parameters
    ----------
    theta_sd : array [L, F*, D]
    sigma_guide_square : array [F*]
    n_guides : array [L]

    Returns
    -------
    sd : array [L, F*, D]
        All missing where fewer than ten genes have two or more guides.
    reason : str
        Why it is missing; empty if it is not.
    """
    sampling = guide_sampling(sigma_guide_square, n_guides)[:, :, None]
    several = int((n_guides >= 2).sum())
    reason = (
        f"{several} genes have two or more guides; {MIN_MULTI_GUIDE_GENES} are needed to learn sigma_guide"
    )
    return np.sqrt(theta_sd**2 + sampling), reason if np.isnan(sampling).any() else ""


def guide_sampling(sigma_guide_square: np.ndarray, n_guides: np.ndarray) -> np.ndarray:
    """Variance that guide sampling adds to a gene's effect, the same on all days: [F*], [L] -> [L, F*].

    All missing where fewer than ten genes have two or more guides.
    """
    learned = (n_guides >= 2).sum() >= MIN_MULTI_GUIDE_GENES
    return np.where(learned, sigma_guide_square / n_guides[:, None], np.nan)


def _both_days(observed: np.ndarray) -> np.ndarray:
    """Pairs of days that are both observed, [L, 1, D] -> [L, 1, D, D]."""
    return observed[..., :, None] & observed[..., None, :]


def summaries(moments: Moments, marks: Marks) -> dict[str, dict[str, Any]]:
    """Arrays of ``theta_posterior_summary.npz`` and ``delta_posterior_summary.npz``, by stem.

    Parameters
    ----------
    moments
        Of the posterior.
    marks
        Of the fit.

    Returns
    -------
    dict
        Keys ``theta`` and ``delta``. Effects of gene-days without cells are missing.
    """
    scales = {
        f"{name}_{what}": getattr(moments, f"{name}_{what}")
        for name in ("tau", "sigma_time", "sigma_guide")
        for what in ("mean", "sd")
    }
    theta_sd_gene, reason = gene_sd(moments.theta_sd, _sampling(moments, marks), moments.n_guides)
    observed = moments.gene_cells[:, None, :] > 0  # [L, 1, D]
    theta = {
        "theta_mean": np.where(observed, moments.theta_mean, np.nan),
        "theta_sd": np.where(observed, moments.theta_sd, np.nan),
        "theta_sd_gene": np.where(observed, theta_sd_gene, np.nan),
        "theta_sd_gene_missing_because": np.array(reason),
        "theta_cov": np.where(observed[:, None], moments.theta_cov, np.nan),
        "theta_day_cov": np.where(_both_days(observed), moments.theta_day_cov, np.nan),
        "guide_sampling": guide_sampling(_sampling(moments, marks), moments.n_guides),
        "n_cells": moments.gene_cells,
        "genes": moments.genes,
        "contrasts": moments.contrasts,
        "days": moments.days,
    }
    delta = {
        "delta_mean": moments.delta_mean,
        "delta_sd": moments.delta_sd,
        "guides": moments.guides,
        "genes": moments.genes[moments.guide_to_gene],
        "contrasts": moments.contrasts,
    }
    return {"theta": {**theta, **scales, **marks}, "delta": {**delta, **scales, **marks}}


def _sampling(moments: Moments, marks: Marks) -> np.ndarray:
    """Variance of a guide that the gene's SD adds, [F*]; without centring theta has it already."""
    return np.zeros_like(moments.sigma_guide_square) if UNCENTRED in marks else moments.sigma_guide_square


def gene_posterior_table(
    moments: Moments, contrast: int, marks: Marks, defects: Mapping[str, str] = NO_DEFECTS
) -> pd.DataFrame:
    """Table ``gene_daywise_for_mash.csv`` of one contrast.

    Parameters
    ----------
    moments
        Of the posterior.
    contrast
        Index of the contrast.
    marks
        Of the fit.
    defects
        What the design cannot tell of a gene, by name (``fit_card.json``).

    Returns
    -------
    pandas.DataFrame
        gene, betahat_d*, se_d* (theta alone, library estimand), se_gene_d* (guide sampling added),
        post_prior_var_d* (posterior over prior variance of theta), n_cells_d*, n_guides,
        se_gene_reason (why se_gene is missing) and defects (both mostly empty), marks.
    """
    theta_sd = moments.theta_sd[:, [contrast]]  # [L, 1, D]
    sampling = _sampling(moments, marks)
    theta_sd_gene, reason = gene_sd(theta_sd, sampling[[contrast]], moments.n_guides)
    blocks = {
        "betahat": moments.theta_mean[:, contrast],
        "se": moments.theta_sd[:, contrast],
        "se_gene": theta_sd_gene[:, 0],
        "post_prior_var": moments.theta_sd[:, contrast] ** 2 / moments.theta_prior_var[contrast],
    }
    columns = {
        "gene": moments.genes,
        **observed(blocks, moments.gene_cells),
        "n_guides": moments.n_guides,
        "se_gene_reason": np.full(len(moments.genes), reason),
        "defects": _defects(moments.genes, defects),
    }
    return Daywise(columns, marks).table()


def guide_posterior_table(
    moments: Moments, contrast: int, marks: Marks, defects: Mapping[str, str] = NO_DEFECTS
) -> pd.DataFrame:
    """Table ``guide_daywise_for_mash.csv`` of one contrast; ``defects`` as in ``gene_posterior_table``.

    Returns
    -------
    pandas.DataFrame
        guide, gene, betahat_d*, se_d* (beta = theta + delta, from joint draws), n_cells_d*, defects,
        marks.
    """
    blocks = {"betahat": moments.beta_mean[:, contrast], "se": moments.beta_sd[:, contrast]}
    columns = {
        "guide": moments.guides,
        "gene": moments.genes[moments.guide_to_gene],
        **observed(blocks, moments.guide_cells),
        "defects": _defects(moments.guides, defects),
    }
    return Daywise(columns, marks).table()


def _defects(names: np.ndarray, defects: Mapping[str, str]) -> np.ndarray:
    """Column of what the design cannot tell of each, mostly empty."""
    return np.array([defects.get(name, "") for name in names], dtype=object)


def pairwise_table(moments: Moments, marks: Marks) -> pd.DataFrame:
    """Table ``pairwise_fate_effects.csv``: gene effects between any two fates.

    The effect on log(P(fate) / P(reference)) is the difference of the two fates' theta, which is 0
    for the fate that the model's contrasts are against. Its variance is that of the difference in
    the joint draws. Guides deviate independently in each contrast, so that guide sampling adds
    (sigma_guide^2 of one + of the other) / n_guides.

    Returns
    -------
    pandas.DataFrame
        gene, fate, reference, betahat_d*, se_d*, se_gene_d*, n_cells_d*, se_gene_reason, marks. Gene
        by gene, each pair of fates once; the reference is the fate that comes first in
        (the model's reference, contrasts...).
    """
    fates = [str(moments.reference), *moments.contrasts.tolist()]
    mean = np.insert(moments.theta_mean, 0, 0.0, axis=1)  # [L, F, D]
    cov = np.insert(np.insert(moments.theta_cov, 0, 0.0, axis=1), 0, 0.0, axis=2)  # [L, F, F, D]
    square = np.insert(_sampling(moments, marks), 0, 0.0)  # [F]
    b, a = np.array(list(combinations(range(len(fates)), 2))).T  # [P] reference, fate
    variance = cov[:, a, a] + cov[:, b, b] - 2 * cov[:, a, b]  # [L, P, D]
    sd = np.sqrt(variance.clip(min=0))
    sd_gene, reason = gene_sd(sd, square[a] + square[b], moments.n_guides)
    names = np.array(fates)
    stacked = {"betahat": mean[:, a] - mean[:, b], "se": sd, "se_gene": sd_gene}
    blocks = {name: values.reshape(-1, len(moments.days)) for name, values in stacked.items()}  # [L * P, D]
    columns = {
        "gene": np.repeat(moments.genes, len(a)),
        "fate": np.tile(names[a], len(moments.genes)),
        "reference": np.tile(names[b], len(moments.genes)),
        **observed(blocks, np.repeat(moments.gene_cells, len(a), axis=0)),
        "se_gene_reason": np.full(len(a) * len(moments.genes), reason),
    }
    return Daywise(columns, marks).table()


def fate_change_table(change: FateChange, moments: Moments, marks: Marks) -> pd.DataFrame:
    """Table ``fate_probability_change.csv``.

    Parameters
    ----------
    change
        Of all genes.
    moments
        Of the same fit: names and cell counts.
    marks
        Of the fit.

    Returns
    -------
    pandas.DataFrame
        gene, fate, change_d*, low_d*, high_d* (percentage points), n_cells_d*, marks; gene by gene,
        the reference fate first. Gene-days without cells are missing.
    """
    L, F, D = change.mean.shape
    fates = [str(moments.reference), *moments.contrasts.tolist()]
    named = {"change": change.mean, "low": change.low, "high": change.high}
    blocks = {name: values.reshape(L * F, D) for name, values in named.items()}
    columns = {
        "gene": np.repeat(moments.genes, F),
        "fate": np.tile(fates, L),
        **observed(blocks, np.repeat(moments.gene_cells, F, axis=0)),
    }
    return Daywise(columns, marks).table()


def concordance_table(moments: Moments, contrast: int, marks: Marks) -> pd.DataFrame:
    """Table ``guide_concordance.csv`` of one contrast: whether the guides of a gene agree.

    Leaving out guide g, the effect of the gene is the mean of beta over its other guides; with
    centred deviations that is theta - delta_g / (n - 1). It is read off the posterior means: the
    fit is not repeated, and the left-out guide has still informed the others.

    Returns
    -------
    pandas.DataFrame
        gene, n_guides, n_guides_seen_d* (guides with cells on the day), n_agree_d* (those of them
        whose beta has the sign of theta), loo_low_d*, loo_high_d* (smallest and largest effect with
        one guide left out; missing for a single guide and for a gene-day without cells), marks.
    """
    gene, n_guides = moments.guide_to_gene, moments.n_guides
    theta, beta = moments.theta_mean[:, contrast], moments.beta_mean[:, contrast]  # [L, D], [G, D]
    seen = moments.guide_cells > 0  # [G, D]
    agree = seen & (np.sign(beta) == np.sign(theta[gene]))
    with np.errstate(invalid="ignore", divide="ignore"):
        left = (_by_gene(np.add, beta, moments)[gene] - beta) / (n_guides - 1)[gene, None]  # [G, D]
    several = ((n_guides > 1)[:, None]) & (moments.gene_cells > 0)  # [L, D]
    columns = {
        "gene": moments.genes,
        "n_guides": n_guides,
        "n_guides_seen": _by_gene(np.add, seen.astype(int), moments),
        "n_agree": _by_gene(np.add, agree.astype(int), moments),
        "loo_low": np.where(several, _by_gene(np.fmin, left, moments), np.nan),
        "loo_high": np.where(several, _by_gene(np.fmax, left, moments), np.nan),
    }
    return Daywise(columns, marks).table()


def _by_gene(reduce: np.ufunc, values: np.ndarray, moments: Moments) -> np.ndarray:
    """Reduce over the guides of each gene, [G, D] -> [L, D]."""
    order = np.argsort(moments.guide_to_gene, kind="stable")
    starts = np.cumsum(moments.n_guides) - moments.n_guides  # every gene has a guide
    return reduce.reduceat(values[order], starts, axis=0)


def observed(blocks: Mapping[str, np.ndarray], cells: np.ndarray) -> dict[str, np.ndarray]:
    """Columns by day, missing without cells: there the model would only extrapolate.

    Parameters
    ----------
    blocks
        Estimates [n, D] by name.
    cells : array [n, D]
        Cells behind each estimate.

    Returns
    -------
    dict
        The same with NaN where there are no cells, and the cells as ``n_cells``.
    """
    return {name: np.where(cells > 0, values, np.nan) for name, values in blocks.items()} | {"n_cells": cells}


# ------------------------------------------------------------------- likelihood-only estimates


def gene_likelihood_table(unshrunk: Unshrunk, contrast: int, marks: Marks) -> pd.DataFrame:
    """Table ``gene_daywise_likelihood.csv`` of one contrast.

    Parameters
    ----------
    unshrunk
        Of all contrasts.
    contrast
        Index of the contrast.
    marks
        Of the fit.

    Returns
    -------
    pandas.DataFrame
        gene, betahat_d*, se_d* (logit, library estimand), n_cells_d*, n_guides, marks.
    """
    blocks = _blocks(unshrunk.gene_mean, unshrunk.gene_covariance, contrast)
    columns = {
        "gene": unshrunk.genes,
        **observed(blocks, unshrunk.gene_cells),
        "n_guides": np.bincount(unshrunk.guide_to_gene, minlength=len(unshrunk.genes)),
    }
    return Daywise(columns, marks).table()


def guide_likelihood_table(unshrunk: Unshrunk, contrast: int, marks: Marks) -> pd.DataFrame:
    """Table ``guide_daywise_likelihood.csv`` of one contrast.

    Returns
    -------
    pandas.DataFrame
        guide, gene, betahat_d*, se_d* (logit), n_cells_d*, marks.
    """
    blocks = _blocks(unshrunk.guide_mean, unshrunk.guide_covariance, contrast)
    columns = {
        "guide": unshrunk.guides,
        "gene": unshrunk.genes[unshrunk.guide_to_gene],
        **observed(blocks, unshrunk.guide_cells),
    }
    return Daywise(columns, marks).table()


def _blocks(mean: np.ndarray, covariance: np.ndarray, contrast: int) -> dict[str, np.ndarray]:
    """Estimates and standard errors of one contrast, each [n, D]."""
    variance = np.diagonal(covariance[:, contrast, :, contrast], axis1=1, axis2=2)
    return {"betahat": mean[:, contrast], "se": np.sqrt(variance)}


def error_covariances(
    unshrunk: Unshrunk, contrast: int, sampling: np.ndarray, marks: Marks
) -> dict[str, Any]:
    """Arrays of ``mash_error_covariance.npz``: errors of one contrast, the other ones integrated out.

    Parameters
    ----------
    unshrunk
        Of all contrasts.
    contrast
        Index of the contrast.
    sampling
        Variance that guide sampling adds to each gene's effect, [L, F*] (``guide_sampling``).
    marks
        Of the fit.

    Returns
    -------
    dict
        gene [L, D, D] and guide [G, D, D] (logit squared; missing rows and columns for days that
        are missing in the tables), guide_sampling [L] (of the contrast), genes, guides, days,
        contrast, marks.
    """
    return {
        "gene": unshrunk.gene_covariance[:, contrast, :, contrast],
        "guide": unshrunk.guide_covariance[:, contrast, :, contrast],
        "guide_sampling": sampling[:, contrast],
        "genes": unshrunk.genes,
        "guides": unshrunk.guides,
        "days": unshrunk.days,
        "contrast": unshrunk.contrasts[contrast],
        **marks,
    }

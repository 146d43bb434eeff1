"""Files of the likelihood-only estimates: what ``summarise_posterior`` keeps and ``export_effects`` writes.

Letters: L genes, G guides, F* contrasts, D days.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fatewalk.estimates.arrays import ArrayFile
from fatewalk.estimates.export import daywise

if TYPE_CHECKING:  # the export needs no torch
    from fatewalk.estimates.likelihood_only import Estimates
    from fatewalk.screen.design import Design


@dataclass(frozen=True)
class Unshrunk(ArrayFile):
    """Likelihood-only estimates with their names; missing for a gene or guide without cells on a day.

    Attributes
    ----------
    gene_mean, guide_mean : array [L, F*, D], [G, F*, D]
        In logit.
    gene_covariance, guide_covariance : array [L, F*, D, F*, D], [G, F*, D, F*, D]
        Of their errors.
    genes, guides, contrasts, days : array of str
        Names along the axes.
    guide_to_gene : array [G]
        Gene of each guide.
    gene_cells, guide_cells : array [L, D], [G, D]
        Cells of the day that carry the gene's guides, or the guide.
    """

    gene_mean: np.ndarray
    gene_covariance: np.ndarray
    guide_mean: np.ndarray
    guide_covariance: np.ndarray
    genes: np.ndarray
    guides: np.ndarray
    contrasts: np.ndarray
    days: np.ndarray
    guide_to_gene: np.ndarray
    gene_cells: np.ndarray
    guide_cells: np.ndarray


def name_estimates(estimates: Estimates, design: Design) -> Unshrunk:
    """Put names to likelihood-only estimates; what has no cells is missing.

    Parameters
    ----------
    estimates
        From ``likelihood_estimates``.
    design
        The cells behind them.

    Returns
    -------
    Unshrunk
        In logit.
    """
    gene_cells, guide_cells = design.gene_cells.numpy(), design.guide_cells.numpy()
    gene_mean, gene_covariance = _observed(estimates.gene_mean, estimates.gene_covariance, gene_cells)
    guide_mean, guide_covariance = _observed(estimates.guide_mean, estimates.guide_covariance, guide_cells)
    return Unshrunk(
        gene_mean=gene_mean,
        gene_covariance=gene_covariance,
        guide_mean=guide_mean,
        guide_covariance=guide_covariance,
        genes=np.array(design.genes),
        guides=np.array(design.guides),
        contrasts=np.array(design.contrasts),
        days=np.array(design.days),
        guide_to_gene=design.guide_to_gene.numpy(),
        gene_cells=gene_cells,
        guide_cells=guide_cells,
    )


def _observed(mean: np.ndarray, covariance: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keep the days with cells [n, D] of means [n, F*, D] and covariances [n, F*, D, F*, D]."""
    seen = cells > 0  # [n, D]
    both = seen[:, None, :, None, None] & seen[:, None, None, None, :]
    return np.where(seen[:, None], mean, np.nan), np.where(both, covariance, np.nan)


def gene_table(unshrunk: Unshrunk, contrast: int, more: dict[str, Any]) -> pd.DataFrame:
    """Table ``gene_daywise_likelihood.csv`` of one contrast.

    Parameters
    ----------
    unshrunk
        Of all contrasts.
    contrast
        Index of the contrast.
    more
        ``marks`` of the fit.

    Returns
    -------
    pandas.DataFrame
        gene, betahat_d*, se_d* (logit, library estimand), n_cells_d*, n_guides, marks.
    """
    blocks = _blocks(unshrunk.gene_mean, unshrunk.gene_covariance, contrast)
    n_guides = np.bincount(unshrunk.guide_to_gene, minlength=len(unshrunk.genes))
    table = daywise({"gene": unshrunk.genes}, blocks, unshrunk.gene_cells)
    return table.assign(n_guides=n_guides, **more)


def guide_table(unshrunk: Unshrunk, contrast: int, more: dict[str, Any]) -> pd.DataFrame:
    """Table ``guide_daywise_likelihood.csv`` of one contrast.

    Returns
    -------
    pandas.DataFrame
        guide, gene, betahat_d*, se_d* (logit), n_cells_d*, marks.
    """
    ids = {"guide": unshrunk.guides, "gene": unshrunk.genes[unshrunk.guide_to_gene]}
    blocks = _blocks(unshrunk.guide_mean, unshrunk.guide_covariance, contrast)
    return daywise(ids, blocks, unshrunk.guide_cells).assign(**more)


def _blocks(mean: np.ndarray, covariance: np.ndarray, contrast: int) -> dict[str, np.ndarray]:
    """Estimates and standard errors of one contrast, each [n, D]."""
    variance = np.diagonal(covariance[:, contrast, :, contrast], axis1=1, axis2=2)
    return {"betahat": mean[:, contrast], "se": np.sqrt(variance)}


def error_covariances(
    unshrunk: Unshrunk, contrast: int, sampling: np.ndarray, more: dict[str, Any]
) -> dict[str, np.ndarray]:
    """Arrays of ``mash_error_covariance.npz``: errors of one contrast, the other ones integrated out.

    Parameters
    ----------
    unshrunk
        Of all contrasts.
    contrast
        Index of the contrast.
    sampling
        Variance that guide sampling adds to each gene's effect, [L, F*] (``guide_sampling``).
    more
        ``marks`` of the fit.

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
        **{name: np.array(value) for name, value in more.items()},
    }

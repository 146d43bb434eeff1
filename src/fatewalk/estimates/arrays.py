"""Posterior moments as arrays: what the stages after the fit read (no torch needed)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np

from fatewalk.core.files import atomic_path


@dataclass(frozen=True)
class ArrayFile:
    """Base of dataclasses whose fields are arrays: the file that holds them."""

    def save(self, path: Path) -> None:
        """Write as ``.npz``."""
        save_arrays({field.name: getattr(self, field.name) for field in fields(self)}, path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**{field.name: arrays[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class Moments(ArrayFile):
    """Posterior means and SDs; files store genes and guides first.

    Attributes
    ----------
    theta_mean, theta_sd : array [L, F*, D]
        Gene effects of the library's guides.
    delta_mean, delta_sd : array [G, F*]
        Guide deviations.
    beta_mean, beta_sd : array [G, F*, D]
        Guide effects, theta plus delta in every joint draw.
    delta_gene_mean : array [L, F*]
        Largest |mean of delta within the gene| over all draws; zero up to rounding when centred.
    offset_mean : array [L, F*, D]
        Posterior mean of mean(beta within the gene) - theta.
    tau_mean, tau_sd, sigma_guide_mean, sigma_guide_sd : array [F*]
    sigma_time_mean, sigma_time_sd : array [F*, D - 1]
    sigma_guide_square : array [F*]
        Posterior mean of sigma_guide squared, the variance of a guide.
    theta_cov : array [L, F*, F*, D]
        Posterior covariance of a gene's theta between contrasts, for the SD of other contrasts.
    theta_day_cov : array [L, F*, D, D]
        Posterior covariance of a gene's theta between days.
    theta_prior_var : array [F*, D]
        Prior variance of theta, tau^2 + sum of sigma_time^2 up to the day, at the posterior mean of
        the squares.
    draws : array []
        Number of draws.
    genes, guides, contrasts, days : array of str
        Names along the axes.
    reference : array [] of str
        The fate that the contrasts are against.
    guide_to_gene : array [G]
        Gene of each guide.
    gene_cells, guide_cells : array [L, D], [G, D]
        Cells of the day that carry the gene's guides, or the guide.
    """

    theta_mean: np.ndarray
    theta_sd: np.ndarray
    delta_mean: np.ndarray
    delta_sd: np.ndarray
    beta_mean: np.ndarray
    beta_sd: np.ndarray
    delta_gene_mean: np.ndarray
    offset_mean: np.ndarray
    tau_mean: np.ndarray
    tau_sd: np.ndarray
    sigma_time_mean: np.ndarray
    sigma_time_sd: np.ndarray
    sigma_guide_mean: np.ndarray
    sigma_guide_sd: np.ndarray
    sigma_guide_square: np.ndarray
    theta_cov: np.ndarray
    theta_day_cov: np.ndarray
    theta_prior_var: np.ndarray
    draws: np.ndarray
    genes: np.ndarray
    guides: np.ndarray
    contrasts: np.ndarray
    days: np.ndarray
    reference: np.ndarray
    guide_to_gene: np.ndarray
    gene_cells: np.ndarray
    guide_cells: np.ndarray

    @property
    def n_guides(self) -> np.ndarray:
        """Guides of each gene, [L]."""
        return np.bincount(self.guide_to_gene, minlength=len(self.genes))


@dataclass(frozen=True)
class FateChange(ArrayFile):
    """Average changes in percentage points, fates the reference first.

    Attributes
    ----------
    mean, low, high : array [L, F, D]
        Posterior mean and the ends of the 95 % interval (quantiles). Values of gene-days without
        cells are extrapolations.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def save_arrays(arrays: dict[str, np.ndarray], path: Path) -> None:
    """Write arrays as ``.npz`` (texts as fixed-width unicode, never pickled)."""
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)

"""Arrays of all contrasts: what ``summarise_posterior`` keeps for the stages after it (no torch needed)."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from fatewalk.core.schema import RARE
from fatewalk.core.tables import read_arrays, write_arrays
from fatewalk.screen.resolution import label_spread, mean_of_days

if TYPE_CHECKING:  # the stages after it need no torch
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from fatewalk.estimates.likelihood_only import Estimates, LabelEvidence
    from fatewalk.infer.further_errors import FurtherErrors
    from fatewalk.screen.design import Design


@dataclass(frozen=True)
class ArrayFile:
    """Base of dataclasses whose fields are arrays: the file that holds them."""

    def save(self, path: Path) -> None:
        """Write as ``.npz``."""
        write_arrays({field.name: getattr(self, field.name) for field in fields(self)}, path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote.

        Raises
        ------
        FatewalkError
            If it is not what the stage wrote.
        """
        names = [field.name for field in fields(cls)]
        arrays = read_arrays(path, names)
        return cls(**{name: arrays[name] for name in names})


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
    replicate_variance : array [L, F*, D]
        What differences between replicates add to a gene's variance for estimand population.
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
    replicate_variance: np.ndarray


@dataclass(frozen=True)
class FateEvidence(ArrayFile):
    """Score and information of the labels on all contrasts together, with their names.

    Attributes
    ----------
    gene_score, guide_score : array [L, F*, D], [G, F*, D]
        Zero where the labels see nothing.
    gene_information, guide_information : array [L, F*, D, F*, D], [G, F*, D, F*, D]
        In 1 / logit squared.
    guide_variance : array []
        sigma_guide squared, the same for all contrasts; 0 without centring.
    composition : array [F, D]
        Mean probability of each fate over all cells of the day, the reference first.
    label_spread : array [F, D]
        SD of the labels over that of labels that name one fate.
    steepness : array [F, D]
        Of the mean over the cells of a day, `LabelEvidence`.
    genes, guides, fates, days : array of str
        Names along the axes.
    guide_to_gene : array [G]
        Gene of each guide.
    gene_cells, guide_cells : array [L, D], [G, D]
        Cells of the day that carry the gene's guides, or the guide.
    ntc_shift : array [F*, D, F*, D]
        Covariance of one more error, the same error in all genes and guides: that of the NTC guides.
    replicate_variance : array [L, F*, D]
        What differences between replicates add to a gene's variance for estimand population.
    replicates_beyond_one : array []
        Sum over gene-days of replicates with cells, less one.
    """

    gene_score: np.ndarray
    gene_information: np.ndarray
    guide_score: np.ndarray
    guide_information: np.ndarray
    guide_variance: np.ndarray
    composition: np.ndarray
    label_spread: np.ndarray
    steepness: np.ndarray
    genes: np.ndarray
    guides: np.ndarray
    fates: np.ndarray
    days: np.ndarray
    guide_to_gene: np.ndarray
    gene_cells: np.ndarray
    guide_cells: np.ndarray
    ntc_shift: np.ndarray
    replicate_variance: np.ndarray
    replicates_beyond_one: np.ndarray


@dataclass(frozen=True)
class Refits(ArrayFile):
    """Estimates of B refits of a design that was drawn again.

    Attributes
    ----------
    number : array [B]
        Of each draw; of the replicate where one is left out.
    theta, likelihood : array [B, L, F*, D]
        Posterior mode, and likelihood-only estimate, in logit; missing without cells.
    score : array [B, L, F*, D]
    information : array [B, L, F*, D, F*, D]
        As in `FateEvidence`, in single precision.
    rounds, converged : array [B]
        Rounds of Newton-Laplace; whether they converged.
    genes, contrasts, days : array of str
        Names along the axes.
    """

    number: np.ndarray
    theta: np.ndarray
    likelihood: np.ndarray
    score: np.ndarray
    information: np.ndarray
    rounds: np.ndarray
    converged: np.ndarray
    genes: np.ndarray
    contrasts: np.ndarray
    days: np.ndarray

    @classmethod
    def of(cls, number: np.ndarray, each: Sequence[Mapping[str, np.ndarray]], design: Design) -> Self:
        """Stack the refits, each its arrays by name."""
        stacked = {name: np.stack([one[name] for one in each]) for name in each[0]}
        stacked["information"] = stacked["information"].astype(np.float32)
        names = {name: np.array(getattr(design, name)) for name in ("genes", "contrasts", "days")}
        return cls(number=number, **stacked, **names)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Refits of several jobs, one after the other."""
        by_refit = [f.name for f in fields(cls) if f.name not in ("genes", "contrasts", "days")]
        return replace(
            parts[0],
            **{name: np.concatenate([getattr(one, name) for one in parts]) for name in by_refit},
        )


@dataclass(frozen=True)
class GuideParts(ArrayFile):
    """What the cells of each guide, replicate and day say of each fate, one step from the mode.

    Attributes
    ----------
    score, information : array [G, R, F, D]
        Of the logit of the fate's probability, the reference first; 0 without cells.
    cells : array [G, R, D]
        Cells with the guide.
    at_mode : array [G, F*, D]
        Effects of the guides that the step starts from, by contrast, in logit.
    guides, replicates : array of str
        Names along the axes.
    controls : array [U] of str
        Clusters without targeting guides, where all cells of a cluster carry the same guides.
    control_shift : array [U, F, D]
        Shift of the effects of all genes without each of them, logit of the fate's probability.
    """

    score: np.ndarray
    information: np.ndarray
    cells: np.ndarray
    at_mode: np.ndarray
    guides: np.ndarray
    replicates: np.ndarray
    controls: np.ndarray
    control_shift: np.ndarray


def name_evidence(
    evidence: LabelEvidence, design: Design, further: FurtherErrors | None = None
) -> FateEvidence:
    """Put names to the evidence of the labels of a design; ``further`` as of `name_estimates`."""
    shift, variance, beyond_one = _further(further, design)
    return FateEvidence(
        gene_score=evidence.gene_score,
        gene_information=evidence.gene_information,
        guide_score=evidence.guide_score,
        guide_information=evidence.guide_information,
        guide_variance=np.array(evidence.guide_variance),
        composition=mean_composition(design),
        label_spread=label_spread(design.prob.numpy(), design.day.numpy(), len(design.days)),
        steepness=evidence.steepness,
        fates=np.array(design.fates),
        **_names_and_cells(design),
        ntc_shift=shift,
        replicate_variance=variance,
        replicates_beyond_one=beyond_one,
    )


def _names_and_cells(design: Design) -> dict[str, np.ndarray]:
    """What files of genes and guides say of the design beside their numbers."""
    return {
        "genes": np.array(design.genes),
        "guides": np.array(design.guides),
        "days": np.array(design.days),
        "guide_to_gene": design.guide_to_gene.numpy(),
        "gene_cells": design.gene_cells.numpy(),
        "guide_cells": design.guide_cells.numpy(),
    }


def mean_composition(design: Design) -> np.ndarray:
    """Mean probability of each fate over all cells of a day, [F, D]."""
    return mean_of_days(design.prob.numpy(), design.day.numpy(), len(design.days)).T


def told_contrasts(composition: np.ndarray) -> np.ndarray:
    """Days on which a contrast can be told, bool [F*, D]: neither its fate nor the reference is rare.

    Where a fate is absent, its intercept stops short of minus infinity at the prior, and all genes seem to
    take the fate away.

    Parameters
    ----------
    composition : array [F, D]
        Of `mean_composition`, the reference first.
    """
    common = composition > RARE
    told: np.ndarray = common[1:] & common[0]
    return told


def _further(further: FurtherErrors | None, design: Design) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Further errors as arrays; zero where there are none."""
    genes, n, days = len(design.genes), len(design.contrasts), len(design.days)
    if further is None:
        return np.zeros((n, days, n, days)), np.zeros((genes, n, days)), np.array(0)
    return further.ntc_shift.numpy(), further.replicate_variance.numpy(), further.beyond_one.numpy()


def name_estimates(estimates: Estimates, design: Design, further: FurtherErrors | None = None) -> Unshrunk:
    """Put names to likelihood-only estimates; what has no cells, or is of a rare fate, is missing.

    Parameters
    ----------
    estimates
        From ``likelihood_estimates``.
    design
        The cells behind them.
    further
        Errors beside those of the labels: that of the NTC guides is added here. None: there are none.

    Returns
    -------
    Unshrunk
        In logit.
    """
    gene_cells, guide_cells = design.gene_cells.numpy(), design.guide_cells.numpy()
    shift, variance, _ = _further(further, design)
    told = told_contrasts(mean_composition(design))
    gene_mean, gene_covariance = _observed(
        estimates.gene_mean, estimates.gene_covariance + shift, gene_cells, told
    )
    guide_mean, guide_covariance = _observed(
        estimates.guide_mean, estimates.guide_covariance + shift, guide_cells, told
    )
    return Unshrunk(
        gene_mean=gene_mean,
        gene_covariance=gene_covariance,
        guide_mean=guide_mean,
        guide_covariance=guide_covariance,
        contrasts=np.array(design.contrasts),
        **_names_and_cells(design),
        replicate_variance=variance,
    )


def _observed(
    mean: np.ndarray, covariance: np.ndarray, cells: np.ndarray, told: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Keep days with cells [n, D] and contrasts told [F*, D]: of [n, F*, D] and [n, F*, D, F*, D]."""
    seen = (cells > 0)[:, None] & told  # [n, F*, D]
    both = seen[:, :, :, None, None] & seen[:, None, None, :, :]
    return np.where(seen, mean, np.nan), np.where(both, covariance, np.nan)

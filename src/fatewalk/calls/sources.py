"""Four ways to the calls, in one form: mash on three kinds of estimates, and the joint posterior.

- ``mash_fates``: mash over fates and days together, on the evidence of the labels on all fates
  (`fatewalk.calls.fates`);
- ``mash_likelihood``: mash on the likelihood-only estimates, with the error covariance of each gene;
- ``mash_posterior``: mash on the posterior means and SDs, which are shrunk already;
- ``joint``: the posterior of the hierarchical model itself, taken as normal.

``fit_mash`` computes them while it has the fitted mixtures and keeps them in shrunk_gene.npz and
shrunk_guide.npz; ``rank_hits`` reads these.

Letters: n genes, D days, P patterns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from fatewalk import mash
from fatewalk.calls.patterns import PATTERNS, pattern_probabilities
from fatewalk.calls.shrink import MashResult, read_mash_of_r
from fatewalk.core.daywise import Daywise
from fatewalk.core.errors import FatewalkError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

    from fatewalk.core.marks import Marks
    from fatewalk.core.schema import Estimand

N_DRAWS = 4000  # joint draws behind the patterns: a probability of 0.9 is known to 0.005
SEED = 1
BLOCK = 2**22  # numbers of a block of draws: 32 MB

SOURCES = ("mash_fates", "mash_likelihood", "mash_posterior", "joint")
"""In the order of the columns of hits_ranked.csv."""

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Shrunk:
    """What one source says of the effects of n genes on D days.

    Parameters
    ----------
    mean, sd
        Posterior mean and SD, logit [n, D].
    lfsr
        Local false sign rate [n, D].
    prob_large
        P(|effect| > eps) [n, D].
    patterns
        Probability of each of `fatewalk.calls.patterns.PATTERNS` over the observed days [n, P]; NaN for
        a gene without one.
    """

    mean: Numbers
    sd: Numbers
    lfsr: Numbers
    prob_large: Numbers
    patterns: Numbers

    @property
    def prob_any_day(self) -> Numbers:
        """Probability that |effect| > eps on at least one observed day [n]."""
        return 1 - self.patterns[:, PATTERNS.index("none")]


#: Columns by day of the files, and the attributes of `Shrunk` that they hold.
BY_DAY = {"postmean": "mean", "postsd": "sd", "lfsr": "lfsr", "plarge": "prob_large"}


# ------------------------------------------------------------------- fit_mash: from estimates


def gene_sources(
    genes: pd.DataFrame,
    fates: Shrunk,
    likelihood: MashResult,
    posterior: MashResult | None,
    theta: Mapping[str, np.ndarray],
    contrast: str,
    estimand: Estimand,
    eps: float,
    replicate_variance: Numbers | None = None,
) -> dict[str, Shrunk]:
    """Effects of the genes by every source.

    Parameters
    ----------
    genes
        gene_daywise_for_mash.csv; its genes with cells on a day are the observed gene-days.
    fates
        Of the contrast, by mash over all of them.
    likelihood
        mash on gene_daywise_likelihood.csv.
    posterior
        mash on `genes` in the mode of the calls; None where R makes it. It describes the library, whatever
        the estimand, and is left out for estimand gene.
    theta
        Arrays of theta_posterior_summary.npz.
    contrast
        Name of the contrast.
    estimand
        library | gene | population.
    eps
        Smallest effect of interest, logit.
    replicate_variance
        Of the contrast [L, D], for estimand population.

    Raises
    ------
    FatewalkError
        If the files have other genes, or lack something.
    """
    observed = _observed(genes)
    names = genes["gene"].to_numpy()
    others = {
        "gene_daywise_likelihood.csv": likelihood.table["gene"].to_numpy(),
        "theta_posterior_summary.npz": theta["genes"],
    }
    for name, there in others.items():
        if not np.array_equal(names, there):
            raise FatewalkError(
                f"{name} has other genes than gene_daywise_for_mash.csv; run export_effects again"
            )
    c = theta["contrasts"].tolist().index(contrast)
    covariance = theta["theta_day_cov"][:, c]  # [L, D, D]
    if estimand == "gene":
        covariance = covariance + theta["guide_sampling"][:, c, None, None]
    elif estimand == "population" and replicate_variance is not None:
        own = replicate_variance[:, :, None] * np.eye(replicate_variance.shape[1])  # [L, D, D]
        covariance = covariance + np.nan_to_num(theta["guide_sampling"][:, c])[:, None, None] + own
    fits = {"mash_likelihood": likelihood}
    if posterior is not None and estimand != "gene":
        fits["mash_posterior"] = posterior
    found = {"mash_fates": fates} | {
        source: mash_effects(fit.prior, fit.data, fit.posterior, observed, eps)
        for source, fit in fits.items()
    }
    found["joint"] = joint_effects(theta["theta_mean"][:, c], covariance, observed, eps)
    return found


def genes_file(names: np.ndarray, sources: Mapping[str, Shrunk], marks: Marks) -> Daywise:
    """shrunk_gene.npz: what every source says of the genes.

    Returns
    -------
    Daywise
        gene; of every source postmean_<source>, postsd_<source>, lfsr_<source>, plarge_<source> [n, D]
        and the probability of each pattern, <pattern>_<source> [n]; marks.
    """
    columns = {"gene": names}
    for source, shrunk in sources.items():
        columns |= {f"{name}_{source}": getattr(shrunk, attribute) for name, attribute in BY_DAY.items()}
        columns |= {f"{name}_{source}": shrunk.patterns[:, place] for place, name in enumerate(PATTERNS)}
    return Daywise(columns, marks)


def guides_file(fates: Shrunk, likelihood: MashResult, eps: float) -> Daywise:
    """shrunk_guide.npz: what mash says of the guides, over all fates and on the likelihood-only estimates.

    Returns
    -------
    Daywise
        guide, gene; postmean_mash_fates, postsd_*, lfsr_*, plarge_* [n, D], and the same of
        mash_likelihood; marks.
    """
    by_day, names = ("postmean", "postsd", "lfsr"), ("guide", "gene")
    found = Daywise.of(likelihood.table, "mash_likelihood table", by_day, names)
    large = mash.prob_large(likelihood.prior, likelihood.data, eps)
    columns = {name: found[name] for name in names}
    columns |= {f"{name}_mash_fates": getattr(fates, attribute) for name, attribute in BY_DAY.items()}
    columns |= {f"{name}_mash_likelihood": found[name] for name in by_day}
    columns["plarge_mash_likelihood"] = np.where(likelihood.data.missing, np.nan, large)
    return Daywise(columns, found.marks)


# ------------------------------------------------------------------- rank_hits: from files


def read_sources(file: Daywise, genes: pd.DataFrame) -> dict[str, Shrunk]:
    """Effects by every source, as `genes_file` keeps them.

    Parameters
    ----------
    file
        shrunk_gene.npz.
    genes
        gene_daywise_for_mash.csv, which must have the same genes.

    Raises
    ------
    FatewalkError
        If it has others.
    """
    if not np.array_equal(file["gene"], genes["gene"]):
        raise FatewalkError(
            "shrunk_gene.npz has other genes than gene_daywise_for_mash.csv; run fit_mash again"
        )
    return {
        source: Shrunk(
            **{attribute: file[f"{name}_{source}"] for name, attribute in BY_DAY.items()},
            patterns=np.stack([file[f"{name}_{source}"] for name in PATTERNS], axis=1),
        )
        for source in SOURCES
        if f"lfsr_{source}" in file.columns
    }


def mashr_effects(genes: pd.DataFrame, table: pd.DataFrame, mixture: Mapping[str, Any], eps: float) -> Shrunk:
    """Source ``mash_posterior`` where R made it, from its mash_gene_<mode>.csv and .json.

    Raises
    ------
    FatewalkError
        If the files have other genes than `genes` (gene_daywise_for_mash.csv), or lack something.
    """
    if not np.array_equal(genes["gene"], table["gene"]):
        raise FatewalkError("mash_gene table has other genes than gene_daywise_for_mash.csv; run mash again")
    prior, data = read_mash_of_r(table, mixture, "mash_gene table")
    return mash_effects(prior, data, mash.posterior(prior, data), _observed(genes), eps)


def _observed(genes: pd.DataFrame) -> Flags:
    """Gene-days with cells and an estimate [n, D], from gene_daywise_for_mash.csv."""
    found = Daywise.of(genes, "gene_daywise table", ["betahat", "n_cells"])
    return (found["n_cells"] > 0) & ~np.isnan(found["betahat"])


# ------------------------------------------------------------------- one source each


def mash_effects(
    prior: mash.MashPrior, data: mash.MashData, posterior: mash.MashPosterior, observed: Flags, eps: float
) -> Shrunk:
    """Effects under a fitted mash mixture.

    Parameters
    ----------
    prior
        The mixture.
    data
        The data it was fitted to, n genes.
    posterior
        Of these data under the mixture.
    observed
        Gene-days that count [n, D].
    eps
        Smallest effect of interest, logit.

    Returns
    -------
    Shrunk
        NaN where not observed, though other days may inform them.
    """
    observed = observed & ~data.missing

    def draw(rows: slice) -> Numbers:
        return mash.posterior_samples(prior, data.take(rows), N_DRAWS, [SEED, rows.start])

    return Shrunk(
        mean=np.where(observed, posterior.mean, np.nan),
        sd=np.where(observed, posterior.sd, np.nan),
        lfsr=np.where(observed, posterior.lfsr, np.nan),
        prob_large=np.where(observed, mash.prob_large(prior, data, eps), np.nan),
        patterns=_patterns(draw, observed, eps),
    )


def joint_effects(mean: Numbers, covariance: Numbers, observed: Flags, eps: float) -> Shrunk:
    """Effects under the joint posterior of the hierarchical model, taken as normal.

    Parameters
    ----------
    mean, covariance
        Posterior mean [n, D] and covariance between days [n, D, D], logit.
    observed
        Gene-days that count [n, D].
    eps
        Smallest effect of interest, logit.

    Returns
    -------
    Shrunk
        NaN where not observed.
    """
    mean = np.where(observed, mean, np.nan)
    sd = np.where(observed, np.sqrt(np.diagonal(covariance, axis1=1, axis2=2)), np.nan)
    either = observed[:, :, None] & observed[:, None, :]
    values, vectors = np.linalg.eigh(np.where(either, covariance, 0.0))
    root = vectors * np.sqrt(values.clip(min=0))[:, None, :]  # [n, D, D]
    centre = np.nan_to_num(mean)

    def draw(rows: slice) -> Numbers:
        rng = np.random.default_rng([SEED, rows.start])
        noise = rng.normal(size=(len(centre[rows]), root.shape[2], N_DRAWS))
        return np.moveaxis(centre[rows][:, :, None] + root[rows] @ noise, 2, 0)  # [S, rows, D]

    return Shrunk(
        mean=mean,
        sd=sd,
        lfsr=ndtr(-np.abs(mean) / sd),
        prob_large=ndtr((mean - eps) / sd) + ndtr((-eps - mean) / sd),
        patterns=_patterns(draw, observed, eps),
    )


def _patterns(draw: Callable[[slice], Numbers], observed: Flags, eps: float) -> Numbers:
    """Probabilities of the patterns, block of genes by block of genes: [n, P]."""
    n_genes, n_days = observed.shape
    step = max(1, BLOCK // (N_DRAWS * n_days))
    blocks = [slice(start, start + step) for start in range(0, n_genes, step)]
    found = [pattern_probabilities(draw(rows), observed[rows], eps) for rows in blocks]
    return np.where(observed.any(axis=1, keepdims=True), np.concatenate(found), np.nan)

"""Three ways to the calls, in one form: mash on either kind of estimates, and the joint posterior.

- ``mash_likelihood``: mash on the likelihood-only estimates, with the error covariance of each gene;
- ``mash_posterior``: mash on the posterior means and SDs, which are shrunk already;
- ``joint``: the posterior of the hierarchical model itself, taken as normal.

Letters: n genes, D days.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from fatewalk import mash
from fatewalk.calls.patterns import PATTERNS, pattern_probabilities
from fatewalk.calls.shrink import mixture_data, read_mixture
from fatewalk.core.daywise import Daywise
from fatewalk.core.errors import FatewalkError

if TYPE_CHECKING:  # a stage that reads and writes tables needs no config models
    from fatewalk.config.sections import CallsConfig

N_DRAWS = 4000  # joint draws behind the patterns: a probability of 0.9 is known to 0.005
SEED = 1
BLOCK = 2**22  # numbers of a block of draws: 32 MB

Numbers = NDArray[np.float64]


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


def read_sources(
    genes: pd.DataFrame,
    posterior: tuple[pd.DataFrame, Mapping[str, Any]],
    likelihood: tuple[pd.DataFrame, Mapping[str, Any], Mapping[str, np.ndarray]],
    theta: Mapping[str, np.ndarray],
    contrast: str,
    calls: CallsConfig,
) -> dict[str, Shrunk]:
    """Effects by every source, from the files of one contrast.

    Parameters
    ----------
    genes
        gene_daywise_for_mash.csv; its genes with cells on a day are the observed gene-days.
    posterior
        mash_gene_<mode>.csv and its JSON file.
    likelihood
        mash_likelihood_gene.csv, its JSON file, and the arrays of mash_error_covariance.npz.
    theta
        Arrays of theta_posterior_summary.npz.
    contrast
        Name of the contrast.
    calls
        eps and the estimand. ``mash_posterior`` describes the library and is left out for estimand gene.

    Raises
    ------
    FatewalkError
        If the files have other genes, or lack something.
    """
    found = Daywise.of(genes, "gene_daywise table", ["betahat", "n_cells"], ["gene"])
    observed = (found["n_cells"] > 0) & ~np.isnan(found["betahat"])
    names = found["gene"]
    files = {"mash_gene table": posterior[0]["gene"], "mash_likelihood table": likelihood[0]["gene"]}
    for name, there in (files | {"theta_posterior_summary.npz": theta["genes"]}).items():
        if not np.array_equal(names, there):
            raise FatewalkError(f"{name} has other genes than gene_daywise_for_mash.csv; run mash again")
    c = theta["contrasts"].tolist().index(contrast)
    covariance = theta["theta_day_cov"][:, c]  # [L, D, D]
    if calls.estimand == "gene":
        covariance = covariance + theta["guide_sampling"][:, c, None, None]
    eps = calls.effect_size_eps
    table, mixture, errors = likelihood
    alone = mixture_data(table, mixture, errors, "mash_likelihood table")
    sources = {"mash_likelihood": mash_effects(read_mixture(mixture), alone, observed, eps)}
    if calls.estimand == "library":
        shrunk = mixture_data(*posterior, None, "mash_gene table")
        sources["mash_posterior"] = mash_effects(read_mixture(posterior[1]), shrunk, observed, eps)
    sources["joint"] = joint_effects(theta["theta_mean"][:, c], covariance, observed, eps)
    return sources


def mash_effects(
    prior: mash.MashPrior, data: mash.MashData, observed: NDArray[np.bool_], eps: float
) -> Shrunk:
    """Effects under a fitted mash mixture.

    Parameters
    ----------
    prior
        The mixture.
    data
        The data it was fitted to, n genes.
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
    found = mash.posterior(prior, data)

    def draw(rows: slice) -> Numbers:
        return mash.posterior_samples(prior, data.take(rows), N_DRAWS, [SEED, rows.start])

    return Shrunk(
        mean=np.where(observed, found.mean, np.nan),
        sd=np.where(observed, found.sd, np.nan),
        lfsr=np.where(observed, found.lfsr, np.nan),
        prob_large=np.where(observed, mash.prob_large(prior, data, eps), np.nan),
        patterns=_patterns(draw, observed, eps),
    )


def joint_effects(mean: Numbers, covariance: Numbers, observed: NDArray[np.bool_], eps: float) -> Shrunk:
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


def _patterns(draw: Callable[[slice], Numbers], observed: NDArray[np.bool_], eps: float) -> Numbers:
    """Probabilities of the patterns, block of genes by block of genes: [n, P]."""
    n_genes, n_days = observed.shape
    step = max(1, BLOCK // (N_DRAWS * n_days))
    blocks = [slice(start, start + step) for start in range(0, n_genes, step)]
    found = [pattern_probabilities(draw(rows), observed[rows], eps) for rows in blocks]
    return np.where(observed.any(axis=1, keepdims=True), np.concatenate(found), np.nan)

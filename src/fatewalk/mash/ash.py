"""Univariate adaptive shrinkage, one condition at a time (Stephens, Biostatistics 18, 2017).

    betahat_n | b_n ~ N(b_n, se_n^2),     b_n ~ pi_0 delta_0 + sum_g pi_g N(0, sd_g^2)

It shows which rows carry a signal at all, before their covariances are learned. The defaults are those
of R ashr with normal components; the mixture weights are solved to optimality.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import logsumexp, ndtr

from fatewalk.mash.covariances import scale_grid
from fatewalk.mash.data import need_data
from fatewalk.mash.errors import MashError, first_few, numbers
from fatewalk.mash.weights import mixture_weights

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from fatewalk.mash.data import Array, MashData

NULL_WEIGHT = 10.0  # Dirichlet parameter of the point mass; the other components have 1
GRID_RATIO = 2**0.5  # of neighbouring prior standard deviations


@dataclass(frozen=True)
class OneByOne:
    """Adaptive shrinkage of each condition on its own; made by `mash_1by1`.

    Parameters
    ----------
    mean, sd
        Posterior means and standard deviations [n, D].
    lfsr
        Local false sign rates [n, D].
    loglik
        Log-likelihood of each condition [D], without the penalty on the weights.
    prior_pi, prior_sd
        For each condition the mixture weights and their standard deviations [1 + G]; the first is the
        point mass, with standard deviation 0. Conditions differ in G.
    """

    mean: Array
    sd: Array
    lfsr: Array
    loglik: Array
    prior_pi: tuple[Array, ...]
    prior_sd: tuple[Array, ...]


def mash_1by1(data: MashData) -> OneByOne:
    """Shrink each condition by itself (``mash_1by1``), in the units of the model.

    Parameters
    ----------
    data
        The data; their error correlation plays no part.

    Returns
    -------
    OneByOne
        Posterior summaries and the fitted mixtures.
    """
    need_data(data)
    return one_by_one(data.betahat, data.se)


def one_by_one(betahat: ArrayLike, se: ArrayLike) -> OneByOne:
    """Shrink each column of a table by itself.

    Parameters
    ----------
    betahat
        Estimates [n, D] as mash uses them: divided by ``se^alpha``, 0 where missing.
    se
        Their standard errors [n, D], in the same units; very large where missing.

    Returns
    -------
    OneByOne
        Posterior summaries and the fitted mixtures.

    Raises
    ------
    MashError
        If the shapes disagree, there are no rows, an estimate is not finite or a standard error is not
        a positive number.
    """
    betahat, se = np.asarray(betahat, float), np.asarray(se, float)  # [n, D]
    if betahat.ndim != 2 or betahat.shape != se.shape or not betahat.size:
        raise MashError(
            "betahat and se must be tables of the same shape, rows x conditions, with at least one row; "
            f"found {betahat.shape} and {se.shape}"
        )
    bad = ~np.isfinite(betahat) | ~np.isfinite(se) | (se <= 0)
    if bad.any():
        where = (f"{betahat[r, c]} +- {se[r, c]} in row {r}, condition {c}" for r, c in np.argwhere(bad))
        raise MashError(
            "estimates must be finite and standard errors positive (rows and conditions counted from 0): "
            f"{first_few(where)}. Pass the arrays that set_data made, which stand in for missing cells"
        )
    mean, sd, lfsr = (np.empty_like(betahat) for _ in range(3))
    loglik = np.empty(betahat.shape[1])
    prior_pi, prior_sd = [], []
    for d in range(betahat.shape[1]):
        scales = prior_scales(betahat[:, d], se[:, d])
        penalty = np.zeros(len(scales))
        penalty[0] = NULL_WEIGHT - 1
        pi = mixture_weights(component_loglik(betahat[:, d], se[:, d], scales), penalty).pi
        mean[:, d], sd[:, d], lfsr[:, d], loglik[d] = ash_posterior(betahat[:, d], se[:, d], pi, scales)
        prior_pi.append(pi)
        prior_sd.append(scales)
    return OneByOne(mean, sd, lfsr, loglik, tuple(prior_pi), tuple(prior_sd))


def prior_scales(betahat: Array, se: Array) -> Array:
    """Standard deviations of the prior's components for one condition [1 + G]: 0, then the grid."""
    return np.concatenate([[0.0], scale_grid(betahat, se, GRID_RATIO)])


def component_loglik(betahat: Array, se: Array, prior_sd: Array) -> Array:
    """Log-likelihood of each estimate of one condition under each component [n, 1 + G]."""
    variance = se[:, None] ** 2 + prior_sd**2  # [n, 1 + G]
    return -(np.log(2 * np.pi * variance) + betahat[:, None] ** 2 / variance) / 2


def ash_posterior(betahat: Array, se: Array, pi: Array, prior_sd: Array) -> tuple[Array, Array, Array, float]:
    """Posterior mean, standard deviation and lfsr [n] of one condition, and its log-likelihood."""
    with np.errstate(divide="ignore"):
        joint = component_loglik(betahat, se, prior_sd) + np.log(pi)  # [n, 1 + G]
    row_loglik = logsumexp(joint, axis=1)
    share = np.exp(joint - row_loglik[:, None])  # [n, 1 + G]

    total_sd = np.hypot(se[:, None], prior_sd)
    means = betahat[:, None] * (prior_sd / total_sd) ** 2  # [n, 1 + G]
    sds = se[:, None] * prior_sd / total_sd
    mean = (share * means).sum(axis=1)
    variance = (share * (sds**2 + (means - mean[:, None]) ** 2)).sum(axis=1)

    # both tails, so that a small rate keeps its digits whatever the sign of the effect
    signal = betahat[:, None] * (prior_sd / (se[:, None] * total_sd))[:, 1:]  # means / sds [n, G]
    negative = (share[:, 1:] * ndtr(-signal)).sum(axis=1)
    positive = (share[:, 1:] * ndtr(signal)).sum(axis=1)
    lfsr = np.minimum(share[:, 0] + np.minimum(negative, positive), 1.0)
    return mean, np.sqrt(variance), lfsr, float(row_loglik.sum())


def get_significant_results(lfsr: ArrayLike, threshold: float = 0.05) -> NDArray[np.intp]:
    """Rows with a local false sign rate below `threshold` in any condition.

    Parameters
    ----------
    lfsr
        Local false sign rates [n, D].
    threshold
        Upper bound, itself not included.

    Returns
    -------
    array of int
        Row indices by ascending smallest lfsr; rows of equal lfsr keep their order.

    Raises
    ------
    MashError
        If `lfsr` is no table of rows x conditions or has values outside 0..1.
    """
    lfsr = numbers(lfsr, "lfsr")  # [n, D]
    if lfsr.ndim != 2 or not lfsr.shape[1]:
        raise MashError(f"lfsr must be a table, rows x conditions; found the shape {lfsr.shape}")
    bad = ~((lfsr >= 0) & (lfsr <= 1))
    if bad.any():
        where = (f"{lfsr[r, c]} in row {r}, condition {c}" for r, c in np.argwhere(bad))
        raise MashError(f"lfsr must lie in 0..1 (rows and conditions counted from 0): {first_few(where)}")
    smallest = lfsr.min(axis=1)  # [n]
    significant = np.flatnonzero(smallest < threshold)
    return significant[np.argsort(smallest[significant], kind="stable")]

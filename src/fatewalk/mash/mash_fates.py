"""mash over fates and days in one call, arrays in and arrays out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fatewalk.mash.errors import MashError, numbers
from fatewalk.mash.fates import Evidence, FatesFit, fit_fates
from fatewalk.mash.fates_posterior import Effects, contrast_effects, draw_effects
from fatewalk.mash.movers import Movers, movers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fatewalk.mash.data import Array


@dataclass(frozen=True)
class MashFates:
    """Results for n rows.

    Parameters
    ----------
    fit
        The fitted prior.
    contrast
        Effects on log odds against the reference [n, F*, D].
    fate
        Effects on each fate's own logit [n, F, D].
    who
        Which fates moved.
    """

    fit: FatesFit
    contrast: Effects
    fate: Effects
    who: Movers

    @property
    def moved(self) -> Array:
        """Probability that each fate moved itself [n, F]."""
        return self.who.moved


def mash_fates(
    score: ArrayLike,
    information: ArrayLike,
    composition: ArrayLike,
    *,
    eps: float = 0.2,
    null_weight: float = 10.0,
    seed: int = 1,
) -> MashFates:
    """Shrink effects on all fates and days together, and tell which fates moved.

    Parameters
    ----------
    score
        h of each row [n, F*, D]; contrasts are log odds of a fate against the first one.
    information
        J of each row [n, F*, D, F*, D]. Estimates with error covariances become both by `evidence_of`.
    composition
        Share of each of F = F* + 1 fates by day [F, D], the reference first.
    eps
        Smallest effect of interest, logit.
    null_weight
        As in `fit_fates`.
    seed
        Of the draws behind effects on each fate.

    Raises
    ------
    MashError
        If shapes or numbers are not usable.

    Examples
    --------
    Forty rows on three fates and two days; in the last ten the reference alone gains by two:

    >>> rng = np.random.default_rng(1)
    >>> truth = np.zeros((40, 2, 2))
    >>> truth[30:] = -2.0
    >>> error = np.eye(4).reshape(2, 2, 2, 2) * 0.04 + np.zeros((40, 1, 1, 1, 1))
    >>> estimates = truth + 0.2 * rng.normal(size=truth.shape)
    >>> found = mash_fates(*evidence_of(estimates, error), [[0.4, 0.4], [0.3, 0.3], [0.3, 0.3]])
    >>> found.moved[30:].mean(axis=0).round(1)
    array([1., 0., 0.])
    >>> found.fate.mean[30:, :, 0].mean(axis=0).round(0)
    array([ 2., -2., -2.])
    """
    if np.ndim(eps) or not eps >= 0:
        raise MashError(f"eps must be >= 0, one number for all effects; found {eps}")
    evidence = Evidence(numbers(score, "score"), numbers(information, "information"))
    fit = fit_fates(evidence, composition, null_weight=null_weight)
    blocks = list(draw_effects(fit, evidence, composition, eps, seed=seed))
    fate = Effects.joined(block.summary() for block in blocks)
    active = 1 - np.concatenate([block.null for block in blocks])
    return MashFates(fit, contrast_effects(fit, evidence, eps), fate, movers(fit, evidence, active))


def evidence_of(estimates: ArrayLike, errors: ArrayLike) -> tuple[Array, Array]:
    """Score and information of estimates with an error covariance each.

    Parameters
    ----------
    estimates
        [n, F*, D]; NaN where missing.
    errors
        Error covariances [n, F*, D, F*, D]; rows and columns of missing estimates are not read.

    Returns
    -------
    score, information
        [n, F*, D] and [n, F*, D, F*, D], zero where missing.

    Raises
    ------
    MashError
        If shapes disagree, or a covariance of what is there is not positive definite.
    """
    mean, covariance = numbers(estimates, "estimates"), numbers(errors, "errors")
    if np.isinf(mean).any():
        raise MashError("an estimate is infinite; correct it, or write NaN for one that is missing")
    if mean.ndim != 3 or covariance.shape != (*mean.shape, *mean.shape[1:]):
        raise MashError(
            "estimates are [rows, contrasts, days] and errors [rows, contrasts, days, contrasts, days]; "
            f"found the shapes {mean.shape} and {covariance.shape}"
        )
    size = mean[0].size
    flat, matrix = mean.reshape(-1, size), covariance.reshape(-1, size, size)
    seen = np.isfinite(flat)
    both = seen[:, :, None] & seen[:, None, :]
    whole = np.where(both, matrix, np.eye(size))  # a missing one stands alone, and is taken out below
    try:
        np.linalg.cholesky(whole)
    except np.linalg.LinAlgError:
        raise MashError("an error covariance is not positive definite; look at duplicate contrasts") from None
    information = np.where(both, np.linalg.inv(whole), 0.0)
    score = (information @ np.where(seen, flat, 0.0)[:, :, None])[:, :, 0]
    return score.reshape(mean.shape), information.reshape(covariance.shape)

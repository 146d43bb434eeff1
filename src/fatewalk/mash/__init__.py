"""Multivariate adaptive shrinkage (Urbut, Wang, Carbonetto and Stephens, Nature Genetics 2019).

    betahat_n | b_n ~ N(b_n, S_n V S_n),     b_n ~ pi_0 delta_0 + sum_gk pi_gk N(0, grid_g^2 U_k)

Rows n are genes or guides, the D conditions are days. The results are those of R mashr with exchangeable
effects (its ``alpha = 0``); the mixture weights are solved to optimality.
"""

from fatewalk.mash.covariances import autoselect_grid, cov_canonical
from fatewalk.mash.data import MISSING_SE, MashData, set_data
from fatewalk.mash.fit import MashFit, MashPrior, fit_mash
from fatewalk.mash.null_correlation import (
    NullCorrelation,
    estimate_null_correlation_simple,
    regularise_correlation,
)
from fatewalk.mash.posterior import MashPosterior, posterior, prob_large

__all__ = [
    "MISSING_SE",
    "MashData",
    "MashFit",
    "MashPosterior",
    "MashPrior",
    "NullCorrelation",
    "autoselect_grid",
    "cov_canonical",
    "estimate_null_correlation_simple",
    "fit_mash",
    "posterior",
    "prob_large",
    "regularise_correlation",
    "set_data",
]

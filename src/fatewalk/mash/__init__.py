"""Multivariate adaptive shrinkage (Urbut, Wang, Carbonetto and Stephens, Nature Genetics 2019).

    betahat_n | b_n ~ N(b_n, S_n V S_n),     b_n / s_n^alpha ~ pi_0 delta_0 + sum_gk pi_gk N(0, grid_g^2 U_k)

Rows n are genes or guides, the D conditions are days. The scope and the results are those of R mashr;
the mixture weights are solved to optimality. The functions carry the names of mashr without their
prefix ``mash_`` where they have one there: ``set_data``, ``cov_canonical``, ``cov_pca``, ``cov_ed``,
``mash_1by1``, ``get_significant_results``, ``compute_vloglik``. The module stands alone: it imports
nothing of the rest of fatewalk.
"""

from fatewalk.mash.ash import OneByOne, get_significant_results, mash_1by1
from fatewalk.mash.covariances import autoselect_grid, cov_canonical, cov_time
from fatewalk.mash.data import MISSING_SE, MashData, set_data
from fatewalk.mash.errors import MashError
from fatewalk.mash.extreme_deconvolution import EdFit, cov_ed, cov_pca, cov_teem
from fatewalk.mash.fit import MashFit, MashPrior, fit_mash
from fatewalk.mash.null_correlation import (
    EmCorrelation,
    NullCorrelation,
    estimate_null_correlation_em,
    estimate_null_correlation_simple,
    regularise_correlation,
)
from fatewalk.mash.posterior import (
    MashPosterior,
    VLoglik,
    compute_loglik,
    compute_vloglik,
    posterior,
    posterior_covariance,
    posterior_samples,
    prob_large,
)

__all__ = [
    "MISSING_SE",
    "EdFit",
    "EmCorrelation",
    "MashData",
    "MashError",
    "MashFit",
    "MashPosterior",
    "MashPrior",
    "NullCorrelation",
    "OneByOne",
    "VLoglik",
    "autoselect_grid",
    "compute_loglik",
    "compute_vloglik",
    "cov_canonical",
    "cov_ed",
    "cov_pca",
    "cov_teem",
    "cov_time",
    "estimate_null_correlation_em",
    "estimate_null_correlation_simple",
    "fit_mash",
    "get_significant_results",
    "mash_1by1",
    "posterior",
    "posterior_covariance",
    "posterior_samples",
    "prob_large",
    "regularise_correlation",
    "set_data",
]

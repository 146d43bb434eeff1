"""Multivariate adaptive shrinkage (Urbut, Wang, Carbonetto and Stephens, Nature Genetics 2019).

    betahat_n | b_n ~ N(b_n, S_n V S_n),     b_n / s_n^alpha ~ pi_0 delta_0 + sum_gk pi_gk N(0, grid_g^2 U_k)

Rows n are genes or guides, the D conditions are days. The scope and the results are those of R mashr;
the mixture weights are solved to optimality. The module stands alone: it imports nothing of the rest of
fatewalk.

    data = mash.set_data(betahat, se)                        # arrays [n, D]; NaN where missing
    strong = mash.get_significant_results(mash.mash_1by1(data).lfsr)
    learned = mash.cov_ed(data, mash.cov_pca(data, 3, strong), strong).covariances
    fit = mash.fit_mash(data, mash.cov_canonical(4) | learned)
    found = mash.posterior(fit, data)                        # mean, sd, lfsr, ...

Most functions carry the name that they have in mashr, without its prefix ``mash_``:

    mash_set_data                    set_data
    mash(data, Ulist)                fit_mash, then posterior
    mash(data, g = , fixg = TRUE)    posterior with a MashPrior, fitted elsewhere or made by hand
    estimate_null_correlation_simple the same
    mash_estimate_corr_em            estimate_null_correlation_em
    mash_compute_vloglik             compute_vloglik
    mash_compute_posterior_matrices  posterior, posterior_covariance, posterior_samples

Beyond mashr: rows over fates and days together, with a prior that treats all fates alike
(`fatewalk.mash.fates` has the equations).

    found = mash.mash_fates(score, information, composition)    # arrays in, arrays out
    found.fate.mean, found.fate.lfsr, found.moved                # [n, F, D], [n, F, D], [n, F]
"""

from fatewalk.mash.ash import OneByOne, get_significant_results, mash_1by1
from fatewalk.mash.covariances import autoselect_grid, cov_canonical, cov_onset, cov_time
from fatewalk.mash.data import MISSING_SE, MashData, set_data
from fatewalk.mash.errors import MashError
from fatewalk.mash.extreme_deconvolution import EdFit, cov_ed, cov_pca, cov_teem
from fatewalk.mash.fates import Evidence, FatesFit, FatesPrior, fit_fates
from fatewalk.mash.fates_posterior import (
    Effects,
    FateDraws,
    contrast_effects,
    draw_effects,
    fate_jacobian,
    fate_scale,
)
from fatewalk.mash.mash_fates import MashFates, evidence_of, mash_fates
from fatewalk.mash.mixture import MashFit, MashPrior, fit_mash
from fatewalk.mash.movers import Movers, movers
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
    "Effects",
    "EmCorrelation",
    "Evidence",
    "FateDraws",
    "FatesFit",
    "FatesPrior",
    "MashData",
    "MashError",
    "MashFates",
    "MashFit",
    "MashPosterior",
    "MashPrior",
    "Movers",
    "NullCorrelation",
    "OneByOne",
    "VLoglik",
    "autoselect_grid",
    "compute_loglik",
    "compute_vloglik",
    "contrast_effects",
    "cov_canonical",
    "cov_ed",
    "cov_onset",
    "cov_pca",
    "cov_teem",
    "cov_time",
    "draw_effects",
    "estimate_null_correlation_em",
    "estimate_null_correlation_simple",
    "evidence_of",
    "fate_jacobian",
    "fate_scale",
    "fit_fates",
    "fit_mash",
    "get_significant_results",
    "mash_1by1",
    "mash_fates",
    "movers",
    "posterior",
    "posterior_covariance",
    "posterior_samples",
    "prob_large",
    "regularise_correlation",
    "set_data",
]

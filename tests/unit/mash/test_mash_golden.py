"""Against recorded runs of R mashr 0.2.81."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fatewalk.mash import (
    MashData,
    MashFit,
    autoselect_grid,
    compute_loglik,
    compute_vloglik,
    cov_canonical,
    estimate_null_correlation_em,
    estimate_null_correlation_simple,
    fit_mash,
    posterior,
    posterior_covariance,
    prob_large,
    regularise_correlation,
)
from fatewalk.mash.likelihood import loglik_matrix
from tests.unit.mash.golden import BESIDE, Recorded, cases

if TYPE_CHECKING:
    from pathlib import Path

CASES = cases(
    here=[
        "b_simple_canonical",
        "d_simple_nullcorr",
        "e_alpha1_EZ",
        "f_D1_canonical",
        "l_uniform_nopointmass_gridmult2",
        "n_all_null",
    ],
    beside=[
        "a_fate_gene_conservative",
        "a_fate_gene_enriched",
        "a2_fate_gene_intendedV_conservative",
        "a2_fate_gene_intendedV_enriched",
        "b_simple_canonical",
        "c_simple_datadriven",
        "d_simple_nullcorr",
        "d2_hetero_nullcorr_datadriven",
        "e_alpha1_EZ",
        "e2_alpha0.5",
        "f_D1_canonical",
        "f_D1_identity",
        "g_D10_shared_canonical",
        "g2_D10_shared_datadriven",
        "l2_explicit_grid_nonormalize",
        "l_uniform_nopointmass_gridmult2",
        "n_all_null",
    ],
)
RECORDED = {
    "mean": "posterior_mean",
    "sd": "posterior_sd",
    "lfsr": "lfsr",
    "negative": "negative_prob",
    "zero": "zero_prob",
}


class Case(Recorded):
    """One recorded run."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.n_conditions = self.params["D"]
        self.recorded_fit = self.json("fit")

    def matrix(self, values: Any) -> np.ndarray:
        return np.reshape(values, (self.n_conditions, self.n_conditions))

    def covariances(self, which: str) -> dict[str, np.ndarray]:
        recorded = self.json("covariances")[which]
        return {name: self.matrix(matrix) for name, matrix in recorded.items()}

    def fit(self, data: MashData, which: str = "used_before_normalization") -> MashFit:
        grid = self.params["grid"]
        return fit_mash(
            data,
            self.covariances(which),
            grid=autoselect_grid(data, self.params["gridmult"]) if str(grid).startswith("auto") else grid,
            prior=self.params["prior"],
            null_weight=self.params["nullweight"],
            point_mass=self.params["usepointmass"],
            normalise=self.params["normalizeU"],
        )


@pytest.fixture(scope="module", params=CASES)
def run(request: pytest.FixtureRequest) -> tuple[Case, MashData, MashFit]:
    case = Case(request.param)
    data = case.data(case.matrix(case.params["V"]))
    return case, data, case.fit(data)


def test_canonical_covariances_and_names(run):
    case, _, _ = run
    recorded = case.covariances("canonical_raw")
    if len(recorded) == 1:
        pytest.skip("this run used the identity only")
    names = list(recorded)[1:-4]
    ours = cov_canonical(case.n_conditions, names)
    assert list(ours) == list(recorded)
    for name, matrix in recorded.items():
        np.testing.assert_allclose(ours[name], matrix, rtol=0, atol=1e-12)
    if names[0].startswith("singletons"):
        assert list(cov_canonical(case.n_conditions)) == list(recorded)


def test_components(run):
    case, _, fit = run
    used = case.covariances("used")
    np.testing.assert_allclose(fit.covariances, list(used.values()), rtol=0, atol=1e-10)
    np.testing.assert_allclose(fit.grid, case.csv("grid")["grid"], rtol=1e-12)
    assert fit.component_names == tuple(case.csv("pi")["name"])


def test_likelihood_matrix(run):
    case, data, fit = run
    recorded = case.numbers("loglik_matrix_first20")
    ours = loglik_matrix(data, fit.covariances, fit.grid, point_mass=fit.point_mass)
    # V near 0.95 for all pairs: there the recorded numbers carry rounding of up to 5e-9, as 60-digit
    # arithmetic shows, and ours of 1e-12
    atol = 1e-8 if case.folder.name.startswith("a_") else 1e-11
    np.testing.assert_allclose(ours[: len(recorded)], recorded, rtol=1e-12, atol=atol)


def test_posterior_at_the_recorded_weights(run):
    case, data, fit = run
    ours = posterior(replace(fit, pi=case.csv("pi")["pi"].to_numpy()), data)
    compared = {field: name for field, name in RECORDED.items() if case.has(name)}
    assert {"mean", "sd", "lfsr"} <= set(compared)
    for field, name in compared.items():
        np.testing.assert_allclose(getattr(ours, field), case.numbers(name), rtol=0, atol=1e-10)
    assert ours.loglik.sum() == pytest.approx(case.recorded_fit["loglik"], abs=1e-8)


def test_row_likelihoods_at_the_recorded_weights(run):
    case, data, fit = run
    if not case.has("row_loglik"):
        pytest.skip("not recorded")
    recorded = case.csv("row_loglik")
    prior = replace(fit, pi=case.csv("pi")["pi"].to_numpy())
    ours = compute_vloglik(prior, data)
    for column, values in {
        "vloglik": ours.total,
        "null_loglik": ours.null,
        "alt_loglik": ours.alternative,
        "log10bf": ours.log10_bayes_factor,
    }.items():
        if column in recorded:
            np.testing.assert_allclose(values, recorded[column], rtol=1e-11, atol=1e-10)
    assert compute_loglik(prior, data) == pytest.approx(case.recorded_fit["loglik"], abs=1e-8)


def test_posterior_covariances_at_the_recorded_weights(run):
    case, data, fit = run
    if not (case.folder / "posterior_cov_first20.json").exists():
        pytest.skip("not recorded")
    recorded = np.array(case.json("posterior_cov_first20")["posterior_cov"])
    prior = replace(fit, pi=case.csv("pi")["pi"].to_numpy())
    ours = posterior_covariance(prior, data.take(slice(len(recorded))))
    np.testing.assert_allclose(ours, recorded, rtol=0, atol=1e-10)


@pytest.mark.parametrize("folder", cases(here=["k_fixed_g"], beside=["k_fixed_g"]))
def test_a_mixture_fitted_on_other_rows(folder):
    case = Case(folder)
    correlation = case.matrix(case.params["V"])
    train, data = case.data(correlation, "input_train"), case.data(correlation)
    fit = case.fit(train, "used")
    assert fit.component_names == tuple(case.csv("pi")["name"])
    prior = replace(fit, pi=case.csv("pi")["pi"].to_numpy())
    assert fit.loglik >= compute_loglik(prior, train) - 1e-3
    assert compute_loglik(prior, train) == pytest.approx(case.recorded_fit["loglik_train"], abs=1e-8)
    ours = posterior(prior, data)
    for field, name in RECORDED.items():
        if case.has(name):
            np.testing.assert_allclose(getattr(ours, field), case.numbers(name), rtol=0, atol=1e-10)
    assert ours.loglik.sum() == pytest.approx(case.recorded_fit["loglik"], abs=1e-8)


def test_small_sign_rates_keep_their_digits(run):
    case, data, fit = run
    recorded = case.numbers("lfsr")
    ours = posterior(replace(fit, pi=case.csv("pi")["pi"].to_numpy()), data).lfsr
    # mashr subtracts from 1 for negative effects: below 1e-10 its digits there are rounding
    np.testing.assert_allclose(ours[recorded > 1e-10], recorded[recorded > 1e-10], rtol=1e-5)


def test_own_weights_reach_the_optimum(run):
    case, data, fit = run
    recorded = case.recorded_fit
    assert fit.kkt_gap <= 1e-8
    assert fit.objective >= recorded["penalized_objective"] - 1e-9
    assert fit.objective == pytest.approx(recorded["tight"]["penalized_objective"], abs=1e-8)
    assert fit.loglik == pytest.approx(recorded["tight"]["loglik"], abs=1e-6)
    ours = posterior(fit, data)
    assert ours.loglik.sum() == pytest.approx(fit.loglik, abs=1e-9)
    if case.has("posterior_tight_pi"):
        mean, sd, lfsr = np.hsplit(case.numbers("posterior_tight_pi"), 3)
        np.testing.assert_allclose(ours.mean, mean, rtol=0, atol=1e-8)
        np.testing.assert_allclose(ours.sd, sd, rtol=0, atol=1e-8)
        np.testing.assert_allclose(ours.lfsr, lfsr, rtol=0, atol=1e-8)


def test_large_effects_of_size_zero(run):
    _, data, fit = run
    ours = posterior(fit, data)
    zero = ours.zero
    assert max(zero.max(), ours.lfsr.max(), ours.negative.max(), prob_large(fit, data, 0.0).max()) <= 1
    np.testing.assert_allclose(prob_large(fit, data, 0.0), 1 - zero, rtol=0, atol=1e-12)


def test_null_correlation(run):
    case, _, _ = run
    recorded = case.json("pieces")["null_correlation_simple"]
    estimate = estimate_null_correlation_simple(case.data(None))
    assert estimate.note == ""
    if case.n_conditions == 1:  # mashr stops with an error here
        np.testing.assert_array_equal(estimate.correlation, [[1.0]])
    else:
        np.testing.assert_allclose(estimate.correlation, recorded, rtol=0, atol=1e-12)


def test_regularised_correlation_of_the_source_pipeline():
    case = Case(BESIDE / "a2_fate_gene_intendedV_conservative")
    params = case.params
    regularised = regularise_correlation(
        params["V_raw"], eigenvalue_floor=params["v_eig_floor"], shrinkage=params["v_shrink_rho"]
    )
    np.testing.assert_allclose(regularised, params["V"], rtol=0, atol=1e-12)


WITH_EM = ["b_simple_canonical", "d2_hetero_nullcorr_datadriven"]


@pytest.mark.parametrize("folder", cases(here=WITH_EM, beside=WITH_EM))
def test_null_correlation_by_em(folder):
    case = Recorded(folder)
    recorded = case.json("pieces")["null_correlation_em"]
    estimate = estimate_null_correlation_em(case.data(None), cov_canonical(case.params["D"]))
    np.testing.assert_allclose(estimate.correlation, recorded["V"], rtol=0, atol=1e-6)
    # ours are optimal for every V, mashr's within its optimiser's tolerance
    assert len(estimate.logliks) == len(recorded["loglik_trace"])
    np.testing.assert_allclose(estimate.logliks, recorded["loglik_trace"], rtol=0, atol=1e-4)

"""Posteriors, against textbook formulas, sampling and symmetry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from fatewalk.mash import (
    MashData,
    MashError,
    MashFit,
    MashPrior,
    compute_loglik,
    compute_vloglik,
    cov_canonical,
    fit_mash,
    posterior,
    posterior_covariance,
    posterior_samples,
    prob_large,
    set_data,
)

DAYS = ["d0", "d1", "d2"]


def error_correlation(n_conditions: int) -> np.ndarray:
    index = np.arange(n_conditions)
    return 0.4 ** np.abs(index[:, None] - index)


def screen(
    seed: int = 0, n: int = 40, n_conditions: int = 3, *, missing: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    se = rng.uniform(0.05, 0.3, (n, n_conditions))
    effect = rng.normal(0, 0.4, (n, 1)) * (rng.random((n, 1)) < 0.5)
    effect = effect + rng.normal(0, 0.2, (n, n_conditions)) * (rng.random((n, n_conditions)) < 0.2)
    noise = rng.multivariate_normal(np.zeros(n_conditions), error_correlation(n_conditions), n)
    betahat = effect + se * noise
    betahat[rng.random(betahat.shape) < missing] = np.nan
    return betahat, se


def fitted(seed: int = 0, **options: float) -> tuple[MashFit, MashData]:
    data = set_data(*screen(seed, **{"n": 15, **options}), error_correlation=error_correlation(3))
    covariances = cov_canonical(3, DAYS)
    factor = np.random.default_rng(5).normal(size=(3, 2))
    covariances["rank_2"] = factor @ factor.T
    return fit_mash(data, covariances), data


def textbook(prior: MashPrior, data: MashData, row: int) -> tuple[np.ndarray, list, list]:
    """Weights, means and covariances of one row's posterior mixture by the plain normal formulas.

    In units of standard errors, which keeps matrices with a missing cell (1e6) well conditioned.
    """
    se = data.se[row]
    z, units = data.betahat[row] / se, np.outer(se, se)
    noise = data.error_correlation[row] if data.has_own_correlations else data.error_correlation
    missing = data.missing[row]
    noise = np.where(missing[:, None] | missing, np.eye(len(se)), noise)
    scaled = [scale**2 * covariance for scale in prior.grid for covariance in prior.covariances]
    weight, mean, cov = [], [], []
    for pi, covariance in zip(prior.pi, [np.zeros_like(noise), *scaled], strict=True):
        total = noise + covariance / units
        gain = np.linalg.solve(total, (covariance / se).T).T
        weight.append(pi * np.exp(multivariate_normal.logpdf(z, cov=total) - np.log(se).sum()))
        mean.append(gain @ z)
        cov.append(covariance - gain @ (covariance / se).T)
    return np.array(weight), mean, cov


def own_correlations(n: int) -> np.ndarray:
    """One error correlation per row [n, 3, 3], from 0.1 to 0.8 between neighbours."""
    index = np.arange(3)
    return np.linspace(0.1, 0.8, n)[:, None, None] ** np.abs(index[:, None] - index)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_moments_are_those_of_the_textbook(missing, own):
    fit, data = fitted(missing=missing)
    if own:
        data = data.with_correlation(own_correlations(data.n_rows))
    ours = posterior(fit, data)
    covariance = posterior_covariance(fit, data)
    assert data.missing.any() == (missing > 0)
    for row in range(data.n_rows):
        weight, mean, cov = textbook(fit, data, row)
        assert ours.loglik[row] == pytest.approx(np.log(weight.sum()), abs=1e-9)
        weight = weight / weight.sum()
        expected = weight @ mean
        variance = sum(
            w * (np.diag(c) + (m - expected) ** 2) for w, m, c in zip(weight, mean, cov, strict=True)
        )
        np.testing.assert_allclose(ours.mean[row], expected, atol=1e-10)
        np.testing.assert_allclose(ours.sd[row], np.sqrt(variance), rtol=1e-8)
        second = sum(w * (c + np.outer(m, m)) for w, m, c in zip(weight, mean, cov, strict=True))
        np.testing.assert_allclose(covariance[row], second - np.outer(expected, expected), atol=1e-9)
        if own:
            alone = data.take([row])
            np.testing.assert_allclose(posterior(fit, alone).mean[0], ours.mean[row], atol=1e-12)


def test_own_correlations_that_are_all_the_same_change_nothing():
    fit, data = fitted(missing=0.2)
    same = data.with_correlation(np.tile(data.error_correlation, (data.n_rows, 1, 1)))
    ours, expected = posterior(fit, same), posterior(fit, data)
    for name in ("mean", "sd", "lfsr", "loglik"):
        np.testing.assert_allclose(getattr(ours, name), getattr(expected, name), atol=1e-10)


def test_a_missing_cell_says_nothing_of_the_errors_of_the_others():
    betahat, se = screen(n=30, missing=0.3)
    data = set_data(betahat, se, error_correlation=error_correlation(3))
    fit = fit_mash(data, cov_canonical(3))
    row = int(np.flatnonzero(data.missing.sum(axis=1) == 1)[0])
    seen = ~data.missing[row]
    part = replace(fit, covariances=fit.covariances[:, seen][:, :, seen])
    alone = set_data(
        betahat[[row]][:, seen],
        se[[row]][:, seen],
        error_correlation=error_correlation(3)[np.ix_(seen, seen)],
    )
    np.testing.assert_allclose(
        posterior(part, alone).mean[0], posterior(fit, data).mean[row, seen], atol=1e-8
    )
    np.testing.assert_allclose(posterior(part, alone).sd[0], posterior(fit, data).sd[row, seen], atol=1e-8)


def test_a_missing_cell_needs_no_correlation():
    betahat, se = screen(n=12, missing=0.3)
    correlation = own_correlations(12)
    holes = correlation.copy()
    either = np.isnan(betahat)[:, :, None] | np.isnan(betahat)[:, None, :]
    holes[either & ~np.eye(3, dtype=bool)] = np.nan
    assert np.isnan(holes).any()
    one = fit_mash(set_data(betahat, se, error_correlation=holes), cov_canonical(3))
    other = fit_mash(set_data(betahat, se, error_correlation=correlation), cov_canonical(3))
    assert one.loglik == pytest.approx(other.loglik, abs=1e-8)


@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_alpha_is_a_change_of_units(alpha):
    betahat, se = screen(n=30)
    data = set_data(betahat, se, alpha=alpha, error_correlation=error_correlation(3))
    divided = set_data(betahat / se**alpha, se ** (1 - alpha), error_correlation=error_correlation(3))
    fit, expected_fit = fit_mash(data, cov_canonical(3)), fit_mash(divided, cov_canonical(3))
    assert fit.loglik == pytest.approx(expected_fit.loglik - alpha * np.log(se).sum(), abs=1e-9)
    ours, expected = posterior(fit, data), posterior(expected_fit, divided)
    np.testing.assert_allclose(ours.mean, expected.mean * se**alpha, atol=1e-12)
    np.testing.assert_allclose(ours.sd, expected.sd * se**alpha, atol=1e-12)
    np.testing.assert_allclose(ours.lfsr, expected.lfsr, atol=1e-12)
    assert ours.loglik.sum() == pytest.approx(fit.loglik, abs=1e-9)
    large = prob_large(fit, data, 0.2)
    one_row = prob_large(expected_fit, divided.take([4]), 0.2 / se[4, 0] ** alpha)
    assert large[4, 0] == pytest.approx(one_row[0, 0], abs=1e-12)


def test_a_missing_cell_has_no_units_when_alpha_is_above_zero():
    betahat, se = screen(n=30, missing=0.2)
    data = set_data(betahat, se, alpha=1.0)
    fit = fit_mash(data, cov_canonical(3))
    ours = posterior(fit, data)
    np.testing.assert_array_equal(np.isnan(ours.mean), data.missing)
    np.testing.assert_array_equal(np.isnan(prob_large(fit, data, 0.1)), data.missing)
    assert np.isfinite(ours.lfsr).all()
    # what is missing says nothing: not "an observed zero with standard error 1"
    row = int(np.flatnonzero(data.missing.sum(axis=1) == 1)[0])
    seen = ~data.missing[row]
    marginal = MashPrior(
        fit.covariance_names,
        fit.covariances[:, seen][:, :, seen],
        fit.grid,
        fit.point_mass,
        fit.pi,
        alpha=1.0,
    )
    part = set_data(betahat[[row]][:, seen], se[[row]][:, seen], alpha=1.0)
    np.testing.assert_allclose(posterior(marginal, part).mean[0], ours.mean[row, seen], atol=1e-8)


@pytest.mark.parametrize("own", [False, True])
def test_samples_have_the_moments_of_the_posterior(own):
    fit, data = fitted(n=8, missing=0.2)
    if own:
        data = data.with_correlation(own_correlations(8))
    draws = posterior_samples(fit, data, 40_000, seed=3)
    ours = posterior(fit, data)
    error = 5 * ours.sd / np.sqrt(len(draws))
    assert (np.abs(draws.mean(axis=0) - ours.mean) < error + 1e-12).all()
    np.testing.assert_allclose((draws == 0).mean(axis=0), ours.zero, atol=0.012)
    np.testing.assert_allclose((draws < 0).mean(axis=0), ours.negative, atol=0.012)
    covariance = np.array([np.cov(draws[:, row].T) for row in range(8)])
    scale = ours.sd[:, :, None] * ours.sd[:, None, :]
    np.testing.assert_allclose(covariance / scale, posterior_covariance(fit, data) / scale, atol=0.1)
    np.testing.assert_array_equal(posterior_samples(fit, data, 5, seed=3).shape, (5, 8, 3))


def test_a_prior_is_for_one_alpha():
    betahat, se = screen(n=20)
    fit = fit_mash(set_data(betahat, se, alpha=1.0), cov_canonical(3))
    with pytest.raises(MashError, match="the data are for alpha = 0"):
        posterior(fit, set_data(betahat, se))


def test_a_huge_standard_error_beside_a_missing_cell_does_no_harm():
    betahat, se = screen(n=30, missing=0.2)
    betahat[3, 0], se[3, 0] = 2000.0, 5e5  # nearly as large as the one that stands for missing
    data = set_data(betahat, se, error_correlation=error_correlation(3))
    fit = fit_mash(data, cov_canonical(3))
    gone = betahat.copy()
    gone[3, 0] = np.nan
    without = set_data(gone, se, error_correlation=np.eye(3))
    kept = replace(without, error_correlation=data.error_correlation)
    others = np.arange(30) != 3
    np.testing.assert_allclose(posterior(fit, data).mean[others], posterior(fit, kept).mean[others])


def test_without_weight_outside_the_point_mass_there_is_no_bayes_factor():
    fit, data = fitted()
    pi = np.zeros_like(fit.pi)
    pi[0], pi[5] = 1 - 1e-12, 1e-12
    found = compute_vloglik(replace(fit, pi=pi), data)
    assert np.isnan(found.log10_bayes_factor).all()
    assert np.isfinite(found.total).all()


def test_bayes_factor_is_that_of_the_rest_of_the_mixture():
    fit, data = fitted()
    ours = compute_vloglik(fit, data)
    rest = replace(fit, pi=np.concatenate([[0.0], fit.pi[1:] / fit.pi[1:].sum()]))
    np.testing.assert_allclose(ours.alternative, posterior(rest, data).loglik, atol=1e-10)
    np.testing.assert_allclose(ours.log10_bayes_factor * np.log(10), ours.alternative - ours.null)
    assert compute_loglik(fit, data) == pytest.approx(fit.loglik, abs=1e-9)


def test_probabilities_match_sampling():
    fit, data = fitted(n=6)
    ours, rng = posterior(fit, data), np.random.default_rng(8)
    large = prob_large(fit, data, 0.15)
    for row in range(data.n_rows):
        weight, mean, cov = textbook(fit, data, row)
        counts = rng.multinomial(200_000, weight / weight.sum())
        effect = np.concatenate(
            [
                rng.multivariate_normal(m, c, n, check_valid="ignore", method="eigh")
                for m, c, n in zip(mean, cov, counts, strict=True)
                if n
            ]
        )
        effect[np.abs(effect) < 1e-7] = 0.0  # conditions without variance
        np.testing.assert_allclose(large[row], (np.abs(effect) > 0.15).mean(axis=0), atol=0.006)
        np.testing.assert_allclose(ours.negative[row], (effect < 0).mean(axis=0), atol=0.006)
        np.testing.assert_allclose(ours.zero[row], (effect == 0).mean(axis=0), atol=0.006)


def test_probability_of_a_large_effect_is_not_that_of_one_normal():
    # half the mass at zero, half far out: one normal of the same moments would put 32 % beyond 2
    data = set_data([[0.0]], [[10.0]])
    prior = MashPrior(("identity",), np.ones((1, 1, 1)), np.array([100.0]), True, np.array([0.5, 0.5]))
    weight, mean, cov = textbook(prior, data, 0)
    share, sd = weight[1] / weight.sum(), np.sqrt(cov[1][0, 0])
    from_normal = multivariate_normal.cdf(-2.0, mean[1][0], sd**2) * 2
    assert prob_large(prior, data, 2.0)[0, 0] == pytest.approx(share * from_normal, rel=1e-12)


def test_lfsr_is_the_probability_of_the_wrong_sign():
    fit, data = fitted()
    p = posterior(fit, data)
    positive = 1 - p.negative - p.zero
    np.testing.assert_allclose(p.lfsr, 1 - np.maximum(p.negative, positive), atol=1e-12)
    mirrored = posterior(fit, replace(data, betahat=-data.betahat))
    np.testing.assert_allclose(mirrored.lfsr, p.lfsr, rtol=1e-10)  # both tails keep their digits
    np.testing.assert_allclose(mirrored.mean, -p.mean, atol=1e-12)


def test_prob_large_falls_with_eps_from_one_minus_zero():
    fit, data = fitted()
    large = [prob_large(fit, data, eps) for eps in (0.0, 0.1, 0.5, np.inf)]
    np.testing.assert_allclose(large[0], 1 - posterior(fit, data).zero, atol=1e-12)
    assert (np.diff(large, axis=0) <= 0).all()
    assert large[1].mean() < large[0].mean() - 0.01
    assert (large[-1] == 0).all()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), order=st.permutations(range(3)))
def test_permuting_conditions_permutes_the_results(seed, order):
    betahat, se = screen(seed, missing=0.1)
    correlation = error_correlation(3)
    data = set_data(betahat, se, error_correlation=correlation)
    permuted = set_data(betahat[:, order], se[:, order], error_correlation=correlation[np.ix_(order, order)])
    one = fit_mash(data, cov_canonical(3))
    other = fit_mash(permuted, cov_canonical(3))
    assert other.objective == pytest.approx(one.objective, abs=1e-8)
    # weights need not be unique, the fitted densities and their posteriors are
    a, b = posterior(one, data), posterior(other, permuted)
    for name in ("mean", "sd", "lfsr", "negative", "zero"):
        np.testing.assert_allclose(getattr(b, name), getattr(a, name)[:, order], atol=1e-6)
    np.testing.assert_allclose(
        prob_large(other, permuted, 0.2), prob_large(one, data, 0.2)[:, order], atol=1e-6
    )


def test_blocks_cover_every_row_once():
    data = set_data(np.ones((10, 2)), np.ones((10, 2)))
    for cells_per_row in (1, 2**16, 2**17, 2**20):
        rows = np.concatenate([np.arange(10)[block] for block in data.blocks(cells_per_row)])
        np.testing.assert_array_equal(rows, np.arange(10))
    assert len(list(data.blocks(2**16))) == 3


def test_rows_do_not_depend_on_their_block(monkeypatch):
    fit, data = fitted(n=7)
    together = posterior(fit, data)
    monkeypatch.setattr(MashData, "blocks", lambda self, _: (slice(i, i + 2) for i in range(0, 7, 2)))
    apart, refit = posterior(fit, data), fit_mash(data, cov_canonical(3, DAYS))
    np.testing.assert_allclose(apart.sd, together.sd, rtol=1e-13)
    monkeypatch.undo()
    whole = fit_mash(data, cov_canonical(3, DAYS))
    assert refit.objective == pytest.approx(whole.objective, abs=1e-10)


def test_equal_standard_errors_take_the_short_way_to_the_same_numbers():
    betahat, _ = screen()
    alike = set_data(betahat, np.full(betahat.shape, 0.2))
    se = np.full(betahat.shape, 0.2)
    se[0, 0] *= 1 + 1e-15  # one rounding error of difference: the long way
    assert (se != 0.2).any()
    fit = fit_mash(alike, cov_canonical(3))
    short, long = posterior(fit, alike), posterior(fit, set_data(betahat, se))
    np.testing.assert_allclose(long.mean, short.mean, atol=1e-12)
    np.testing.assert_allclose(long.lfsr, short.lfsr, atol=1e-12)


def test_row_without_observations_gets_the_prior():
    betahat, se = screen(missing=0.2)
    betahat[3] = np.nan
    fit = fit_mash(data := set_data(betahat, se), cov_canonical(3, DAYS))
    ours = posterior(fit, data)
    np.testing.assert_allclose(ours.mean[3], 0, atol=1e-9)
    variance = np.einsum("gk,g,kdd->d", fit.pi[1:].reshape(len(fit.grid), -1), fit.grid**2, fit.covariances)
    np.testing.assert_allclose(ours.sd[3], np.sqrt(variance), rtol=1e-6)


def test_singular_covariances_leave_exact_zeros():
    fit, data = fitted()
    only_d0 = np.array([name.startswith("d0.") for name in fit.component_names])
    ours = posterior(replace(fit, pi=only_d0 / only_d0.sum()), data)
    assert (ours.sd[:, 1:] == 0).all()
    np.testing.assert_allclose(ours.zero[:, 1:], 1, rtol=1e-14)
    np.testing.assert_allclose(ours.lfsr[:, 1:], 1, rtol=1e-14)
    assert (ours.zero[:, 0] == 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_a_condition_without_variance_is_exactly_zero(seed):
    factor = np.random.default_rng(seed).normal(size=(3, 3))
    factor[1] = 0
    data = set_data(*screen(seed))
    fit = fit_mash(data, {"u": factor @ factor.T}, prior="uniform", point_mass=False)
    ours = posterior(fit, data)
    assert (ours.sd[:, 1] == 0).all()
    assert (ours.sd[:, [0, 2]] > 0).all()


def test_one_condition_and_one_row():
    fit = fit_mash(data := set_data([[1.0]], [[0.2]]), cov_canonical(1), prior="uniform")
    assert fit.kkt_gap <= 1e-8
    assert 0 < posterior(fit, data).mean[0, 0] < 1


def test_other_conditions_are_refused():
    fit, _ = fitted()
    with pytest.raises(MashError, match="3 conditions, the data 2"):
        posterior(fit, set_data([[1.0, 2.0]], [[1.0, 1.0]]))
    with pytest.raises(MashError, match="eps must be >= 0"):
        prob_large(fit, set_data([[1.0, 2.0, 3.0]], [[1.0, 1.0, 1.0]]), -0.1)
    with pytest.raises(MashError, match="weights"):
        replace(fit, pi=fit.pi[:-1])

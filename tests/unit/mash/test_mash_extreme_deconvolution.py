"""Data-driven covariances, alone and against recorded runs of R mashr 0.2.81."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from fatewalk.mash import cov_ed, cov_pca, cov_teem, extreme_deconvolution, set_data
from fatewalk.mash.errors import MashError
from fatewalk.mash.extreme_deconvolution import deconvolve, principal_covariances, truncated_eigenvalues
from tests.unit.mash.golden import Recorded, cases

if TYPE_CHECKING:
    from pathlib import Path

CASES = cases(
    here=["d2_hetero_nullcorr_datadriven"],
    beside=[
        "a2_fate_gene_intendedV_enriched",
        "a_fate_gene_enriched",
        "c_simple_datadriven",
        "d2_hetero_nullcorr_datadriven",
        "g2_D10_shared_datadriven",
    ],
)


class Run:
    """The input and the recorded pieces of one run."""

    def __init__(self, folder: Path) -> None:
        recorded = Recorded(folder)
        self.pieces = recorded.json("pieces")
        data = recorded.data(recorded.params["V"])
        strong = data.take(self.pieces["strong_rows_0based"])
        self.all_betahat, self.betahat, self.se = data.betahat, strong.betahat, strong.se
        self.error_covariance = strong.error_covariance()
        self.initial = principal_covariances(strong.betahat, self.pieces["npc"])


@pytest.fixture(scope="module", params=CASES)
def run(request: pytest.FixtureRequest) -> Run:
    return Run(request.param)


def assert_same_covariances(ours, recorded, atol):
    assert list(ours) == list(recorded)
    for name, matrix in recorded.items():
        np.testing.assert_allclose(ours[name], matrix, rtol=0, atol=atol)


def test_recorded_principal_components(run):
    assert_same_covariances(run.initial, run.pieces["cov_pca"], 1e-12)


def test_recorded_extreme_deconvolution(run):
    recorded = run.pieces["cov_ed"]
    ours = deconvolve(run.betahat, run.error_covariance, run.initial)
    assert_same_covariances(ours.covariances, recorded["U"], 1e-7)
    pi = np.array(list(recorded["pi"].values()))
    np.testing.assert_allclose(ours.pi, pi, rtol=0, atol=1e-7)
    np.testing.assert_array_equal(ours.pi == 0, pi == 0)
    assert ours.avg_loglik == pytest.approx(recorded["avg_loglik"], abs=1e-7)


def test_recorded_truncated_eigenvalues(run):
    recorded = run.pieces["cov_teem"]
    ours = truncated_eigenvalues(run.betahat / run.se, run.initial)
    assert ours.n_iterations == recorded["n_iter"]
    assert ours.avg_loglik * len(run.betahat) == pytest.approx(recorded["objective_last"], abs=1e-7)
    np.testing.assert_allclose(ours.pi, recorded["pi"], rtol=0, atol=1e-7)
    flat = [value for (value,) in (entry[0] for entry in recorded["U"].values())]  # D x D x K, flattened
    np.testing.assert_allclose(np.ravel(list(ours.covariances.values())), flat, rtol=0, atol=1e-7)


def simulated(seed=2, n=80, n_conditions=3):
    """Rows of two kinds with correlated errors of their own sizes, and full-rank initial covariances."""
    rng = np.random.default_rng(seed)
    se = rng.lognormal(-1, 0.5, (n, n_conditions))
    correlation = 0.3 + 0.7 * np.eye(n_conditions)
    noise = se[:, :, None] * correlation * se[:, None, :]  # [n, D, D]
    shared = rng.normal(size=(n, 1)) * np.where(rng.random((n, 1)) < 0.5, 2.0, 0.0)
    effect = shared + 0.3 * rng.normal(size=(n, n_conditions))
    betahat = effect + (np.linalg.cholesky(noise) @ rng.normal(size=(n, n_conditions, 1)))[..., 0]
    ones = np.ones((n_conditions, n_conditions))
    return betahat, noise, {"equal": ones + 0.1 * np.eye(n_conditions), "own": 0.5 * np.eye(n_conditions)}


def textbook_step(betahat, noise, pi, covariances):
    """The update as the paper writes it, row by row."""
    n = len(betahat)
    share = np.empty((n, len(pi)))
    for k, u in enumerate(covariances):
        for i in range(n):
            share[i, k] = pi[k] * multivariate_normal.pdf(betahat[i], cov=u + noise[i])
    avg_loglik = np.log(share.sum(axis=1)).mean()
    share /= share.sum(axis=1, keepdims=True)
    updated = []
    for k, u in enumerate(covariances):
        total = 0.0
        for i in range(n):
            gain = u @ np.linalg.inv(u + noise[i])
            b = gain @ betahat[i]
            total = total + share[i, k] * (np.outer(b, b) + u - gain @ u)
        updated.append(total / share[:, k].sum())
    return avg_loglik, share.mean(axis=0), updated


@pytest.mark.parametrize("n_conditions", [1, 3])
def test_every_iteration_is_the_textbook_update(n_conditions):
    betahat, noise, initial = simulated(n_conditions=n_conditions)
    ours = deconvolve(betahat, noise, initial, tol=1e-3)
    assert 3 <= ours.n_iterations < 100
    pi, covariances = np.array([0.5, 0.5]), list(initial.values())
    for avg_loglik in ours.path:
        expected, pi, covariances = textbook_step(betahat, noise, pi, covariances)
        assert avg_loglik == pytest.approx(expected, abs=1e-10)
    assert list(ours.covariances) == ["ED_equal", "ED_own"]
    added = np.eye(n_conditions) / np.sqrt(len(betahat))
    for matrix, expected in zip(ours.covariances.values(), covariances, strict=True):
        np.testing.assert_allclose(matrix, expected + added, rtol=0, atol=1e-10)
    np.testing.assert_allclose(ours.pi, pi, rtol=0, atol=1e-12)


def test_it_stops_at_the_first_small_gain():
    gains = np.diff(deconvolve(*simulated(), tol=1e-4).path)
    assert (gains[:-1] > 1e-4).all()
    assert gains[-1] <= 1e-4


@pytest.mark.parametrize("seed", range(5))
def test_the_likelihood_never_falls(seed):
    betahat, noise, initial = simulated(seed)
    initial = initial | principal_covariances(betahat, 3)
    assert np.diff(deconvolve(betahat, noise, initial).path).min() > -1e-12
    z = betahat / np.sqrt(np.diagonal(noise, axis1=1, axis2=2))
    assert np.diff(truncated_eigenvalues(z, initial).path).min() > -1e-12


def test_nearly_singular_errors_do_not_lower_the_likelihood():
    # differences of large matrices lose all digits here
    betahat, noise, initial = simulated()
    noise = 1e-4 * (noise * 1e-6 + np.ones((3, 3)))
    path = deconvolve(betahat, noise, {"a": np.ones((3, 3))} | initial).path
    assert np.diff(path).min() > -1e-9


def test_shared_errors_equal_repeated_ones():
    betahat, noise, initial = simulated()
    shared, repeated = (
        deconvolve(betahat, errors, initial) for errors in (noise[0], np.repeat(noise[:1], 80, axis=0))
    )
    assert shared.n_iterations == repeated.n_iterations
    np.testing.assert_allclose(shared.pi, repeated.pi, rtol=0, atol=1e-12)
    assert_same_covariances(shared.covariances, repeated.covariances, 1e-12)


def test_blocks_of_rows_do_not_matter(monkeypatch):
    betahat, noise, initial = simulated()
    for errors in (noise, noise[0]):
        whole = deconvolve(betahat, errors, initial)
        with monkeypatch.context() as patch:
            patch.setattr(extreme_deconvolution, "BLOCK_NUMBERS", 130)  # 7 rows
            blocks = deconvolve(betahat, errors, initial)
        np.testing.assert_allclose(blocks.path, whole.path, rtol=0, atol=1e-12)
        assert_same_covariances(blocks.covariances, whole.covariances, 1e-11)


@pytest.mark.parametrize("factor", [1e-4, 1e3])
def test_units_do_not_matter(factor):
    betahat, noise, initial = simulated()
    one = deconvolve(betahat, noise, initial)
    scaled = {name: matrix * factor**2 for name, matrix in initial.items()}
    other = deconvolve(betahat * factor, noise * factor**2, scaled)
    np.testing.assert_allclose(other.path, one.path - 3 * np.log(factor), rtol=0, atol=1e-9)
    added = np.eye(3) / np.sqrt(80)
    for ours, matrix in zip(other.covariances.values(), one.covariances.values(), strict=True):
        np.testing.assert_allclose((ours - added) / factor**2, matrix - added, rtol=0, atol=1e-7)


def test_weights_that_underflow_become_zero():
    betahat, noise, initial = simulated()
    betahat = betahat + 200 * np.sign(betahat)  # no row can come from an effect of 0
    ours = deconvolve(betahat, noise, initial | {"none": np.zeros((3, 3))})
    assert ours.pi[2] == 0.0
    assert ours.pi.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(ours.covariances["ED_none"], np.eye(3) / np.sqrt(80))
    assert all(np.isfinite(matrix).all() for matrix in ours.covariances.values())
    teem = truncated_eigenvalues(betahat, initial | {"none": np.zeros((3, 3))})
    assert teem.pi[2] == 0.0
    assert all(np.isfinite(matrix).all() for matrix in teem.covariances.values())


def test_a_weight_below_the_normal_numbers_is_dropped():
    pi, factors = np.array([1.0, 1e-309]), np.array([[[1.0]], [[2.0]]])
    _, pi, updated = extreme_deconvolution._em_step(np.ones((5, 1)), np.ones((1, 1, 1)), pi, factors)
    np.testing.assert_array_equal(pi, [1.0, 0.0])
    np.testing.assert_array_equal(updated[1], factors[1])


@pytest.mark.parametrize("precision", [1.0, 1e-12])
def test_a_covariance_keeps_its_rank(precision):
    # precise estimates would blow up the rounding errors of the initial covariances
    betahat, noise, _ = simulated()
    ours = deconvolve(betahat, noise * precision, principal_covariances(betahat, 2))
    ranks = [
        np.linalg.matrix_rank(matrix - np.eye(3) / np.sqrt(80), tol=1e-12, hermitian=True)
        for matrix in ours.covariances.values()
    ]
    assert ranks == [1, 1, 2]


def test_a_condition_that_is_missing_everywhere_teaches_nothing():
    betahat, noise, _ = simulated(n_conditions=2)
    betahat[:, 1], noise[:, :, 1], noise[:, 1, :] = 0.0, 0.0, 0.0
    noise[:, 1, 1] = 1e12
    both = deconvolve(betahat, noise, {"a": np.eye(2)})
    alone = deconvolve(betahat[:, :1], noise[:, :1, :1], {"a": np.eye(1)})
    assert both.n_iterations == alone.n_iterations
    assert both.covariances["ED_a"][0, 0] == pytest.approx(alone.covariances["ED_a"][0, 0], rel=1e-9)
    assert both.covariances["ED_a"][1, 1] == pytest.approx(1 + 1 / np.sqrt(80))


def test_it_finds_the_covariance_that_made_the_effects():
    rng = np.random.default_rng(1)
    truth = np.array([[1.0, 0.8], [0.8, 1.0]])
    se = rng.lognormal(-1.5, 0.3, (4000, 2))
    betahat = rng.multivariate_normal([0, 0], truth, 4000) + se * rng.normal(size=(4000, 2))
    ours = deconvolve(betahat, se[:, :, None] ** 2 * np.eye(2), {"start": np.eye(2)}, tol=1e-8)
    np.testing.assert_allclose(ours.covariances["ED_start"] - np.eye(2) / np.sqrt(4000), truth, atol=0.06)


def test_truncated_eigenvalues_in_one_condition():
    z = np.array([[3.0], [-1.0], [0.5], [2.0]])
    ours = truncated_eigenvalues(z, {"a": [[2.0]]})
    assert ours.covariances["TEEM_a"][0, 0] == pytest.approx((z**2).mean() - 1)
    assert truncated_eigenvalues(z / 10, {"a": [[2.0]]}).covariances["TEEM_a"][0, 0] == pytest.approx(
        0, abs=1e-6
    )


def test_components_span_the_estimates():
    betahat, _, _ = simulated()
    rows = np.array([3, 5, 8, 13, 21])
    ours = principal_covariances(betahat[rows], 3)
    assert list(ours) == ["PCA_1", "PCA_2", "PCA_3", "tPCA"]
    np.testing.assert_allclose(sum(list(ours.values())[:3]), np.eye(3), atol=1e-12)
    np.testing.assert_allclose(ours["tPCA"], betahat[rows].T @ betahat[rows] / 5, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"betahat": np.zeros((0, 3))}, "canonical covariances alone"),
        ({"betahat": np.full((80, 3), np.nan)}, "nan in row 0, condition 0"),
        ({"error_covariance": np.zeros((3, 3))}, "not for the rows .* 0"),
        ({"error_covariance": np.eye(2)}, r"\(80, 3, 3\).*found \(2, 2\)"),
        ({"error_covariance": np.eye(3) + np.triu(np.ones((3, 3)), 1) / 2}, "symmetric"),
        ({"error_covariance": np.where(np.eye(3) > 0, 1.0, np.nan)}, "finite"),
        ({"initial": {}}, "at least one initial"),
        ({"initial": {"u": np.eye(2)}}, "'u' must be 3 x 3"),
        ({"initial": {"u": np.triu(np.ones((3, 3)))}}, "'u' must be symmetric"),
        ({"initial": {"u": -np.eye(3)}}, "'u' has a negative eigenvalue"),
    ],
)
def test_unusable_input(change, message):
    betahat, noise, initial = simulated()
    with pytest.raises(MashError, match=message):
        deconvolve(**({"betahat": betahat, "error_covariance": noise, "initial": initial} | change))


def test_the_rows_of_bad_errors_are_named():
    betahat, noise, initial = simulated()
    noise[[4, 9]] = -noise[[4, 9]]
    with pytest.raises(MashError, match=r"row 0\) 4, 9$"):
        deconvolve(betahat, noise, initial)


def test_too_many_components():
    betahat, _, _ = simulated()
    with pytest.raises(MashError, match="found 3 for 2 rows x 3 conditions"):
        principal_covariances(betahat[[0, 1]], 3)


def test_no_convergence(monkeypatch):
    monkeypatch.setattr(extreme_deconvolution, "MAX_ITERATIONS", 3)
    betahat, noise, initial = simulated()
    with pytest.warns(RuntimeWarning, match="did not converge in 3 iterations"):
        assert deconvolve(betahat, noise, initial, tol=0.0).n_iterations == 3
    with pytest.warns(RuntimeWarning, match="did not converge in 3 iterations"):
        assert truncated_eigenvalues(betahat * 5, initial).n_iterations == 3


def test_the_verbs_take_data_and_the_rows_with_a_signal():
    rng = np.random.default_rng(5)
    betahat, se = rng.normal(0, 1, (40, 3)), rng.uniform(0.2, 0.4, (40, 3))
    betahat[3, 1] = np.nan
    correlation = 0.3 + 0.7 * np.eye(3)
    data, rows = set_data(betahat, se, error_correlation=correlation), np.arange(30)
    start = cov_pca(data, 2, rows)
    filled = np.nan_to_num(betahat[rows])
    for name, matrix in principal_covariances(filled, 2).items():
        np.testing.assert_array_equal(start[name], matrix)
    ed = cov_ed(data, start, rows)
    assert list(ed.covariances) == ["ED_PCA_1", "ED_PCA_2", "ED_tPCA"]
    noise = correlation * se[rows][:, :, None] * se[rows][:, None, :]
    noise[3, 1], noise[3, :, 1], noise[3, 1, 1] = 0, 0, 1e12  # a missing cell
    np.testing.assert_allclose(ed.pi, deconvolve(filled, noise, start).pi, atol=1e-9)
    teem = cov_teem(data, start, rows)
    z = filled / np.where(np.isnan(betahat[rows]), 1e6, se[rows])
    np.testing.assert_allclose(teem.pi, truncated_eigenvalues(z, start).pi, atol=1e-9)

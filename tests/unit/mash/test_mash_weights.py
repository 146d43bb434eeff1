"""The mixture weights, against the conditions of optimality and against EM."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fatewalk.mash import weights as solver
from fatewalk.mash.weights import mixture_weights


def objective(pi: np.ndarray, loglik: np.ndarray, penalty: np.ndarray) -> float:
    likelihood = np.exp(loglik - loglik.max(axis=1, keepdims=True))
    counted = penalty > 0
    return np.log(likelihood @ pi).sum() + penalty[counted] @ np.log(pi[counted])


def gap(pi: np.ndarray, loglik: np.ndarray, penalty: np.ndarray) -> float:
    likelihood = np.exp(loglik - loglik.max(axis=1, keepdims=True))
    gradient = (likelihood / (likelihood @ pi)[:, None]).sum(axis=0)
    gradient[penalty > 0] += (penalty / np.where(penalty > 0, pi, 1))[penalty > 0]
    return gradient.max() / (len(loglik) + penalty.sum()) - 1


def em(loglik: np.ndarray, penalty: np.ndarray, steps: int) -> np.ndarray:
    likelihood = np.exp(loglik - loglik.max(axis=1, keepdims=True))
    pi = np.full(loglik.shape[1], 1 / loglik.shape[1])
    for _ in range(steps):
        share = likelihood * pi / (likelihood @ pi)[:, None]
        pi = (share.sum(axis=0) + penalty) / (len(loglik) + penalty.sum())
    return pi


def scale_mixture(z: np.ndarray, n_components: int) -> np.ndarray:
    """Log-likelihoods of z-scores under normals of growing variance: overlapping, as in mash."""
    variance = 1 + np.append(0, np.geomspace(0.01, 100, n_components - 1))
    return -0.5 * (z[:, None] ** 2 / variance + np.log(variance))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 60),
    n_components=st.integers(1, 40),
    spread=st.floats(0.01, 300),
    smooth=st.booleans(),
    null_count=st.sampled_from([0.0, 0.5, 9.0, 1000.0]),
)
def test_optimal_and_never_below_em(seed, n, n_components, spread, smooth, null_count):
    rng = np.random.default_rng(seed)
    if smooth:
        loglik = scale_mixture(rng.normal(0, spread, n), n_components)
    else:
        loglik = rng.normal(0, spread, (n, n_components))
    penalty = np.zeros(n_components)
    penalty[0] = null_count
    solution = mixture_weights(loglik, penalty)
    assert solution.pi.min() >= 0
    assert solution.pi.sum() == pytest.approx(1, abs=1e-12)
    assert gap(solution.pi, loglik, penalty) <= 1e-8
    assert solution.kkt_gap == pytest.approx(gap(solution.pi, loglik, penalty), abs=1e-10)
    assert solution.objective == pytest.approx(objective(solution.pi, loglik, penalty), rel=1e-12, abs=1e-10)
    assert solution.objective >= objective(em(loglik, penalty, 300), loglik, penalty) - 1e-9
    assert solution.steps < 60


def test_known_solution():
    # two components that explain 30 and 10 rows of their own, and 20 prior counts
    loglik = np.where(np.arange(40)[:, None] < 30, [0.0, -np.inf], [-np.inf, 0.0])
    solution = mixture_weights(loglik, np.array([0.0, 20.0]))
    np.testing.assert_allclose(solution.pi, [0.5, 0.5], rtol=1e-12)


def test_duplicate_components_change_nothing():
    loglik = scale_mixture(np.random.default_rng(1).standard_t(3, 500), 25)
    penalty = np.zeros(25)
    penalty[0] = 9.0
    once = mixture_weights(loglik, penalty)
    repeated = mixture_weights(np.tile(loglik, 6), np.append(penalty, np.zeros(125)))
    assert repeated.objective == pytest.approx(once.objective, abs=1e-9)
    np.testing.assert_allclose(
        np.exp(loglik) @ repeated.pi.reshape(6, 25).sum(axis=0), np.exp(loglik) @ once.pi, rtol=1e-7
    )


def test_thousand_components_need_few_steps():
    rng = np.random.default_rng(2)
    loglik = np.hstack([scale_mixture(rng.standard_t(2, 1000) * 3, 20) for _ in range(50)])
    solution = mixture_weights(loglik, np.zeros(1000))
    assert solution.kkt_gap <= 1e-8
    assert solution.steps < 40


@pytest.mark.parametrize("seed", range(30))
def test_extreme_likelihood_ratios(seed):
    # a full Newton step would take the last component that explains a row to zero
    rng = np.random.default_rng(seed)
    n, n_components = rng.integers(2, 60, 2)
    loglik = rng.normal(0, 500, (n, n_components))
    penalty = np.zeros(n_components)
    penalty[0] = 1000.0
    solution = mixture_weights(loglik, penalty)
    assert gap(solution.pi, loglik, penalty) <= 1e-8
    assert solution.steps < 30


def test_step_size():
    row = np.ones(11)
    change = np.append(10.0, np.full(10, -0.85))  # uphill at first, far downhill at full size
    size = solver._step_size(change, 0.0, row)
    assert 0 < size < 0.25
    assert row @ np.log1p(size * change) > 0
    assert solver._step_size(0.01 * change, 0.0, row) == 1.0
    assert solver._step_size(-change, 0.0, row) == 0.0


def test_pure_null_data_stay_null():
    loglik = scale_mixture(np.zeros(200), 20)
    penalty = np.zeros(20)
    penalty[0] = 9.0
    np.testing.assert_allclose(mixture_weights(loglik, penalty).pi, np.eye(20)[0], atol=1e-12)


def test_an_unfinished_solution_is_refused(monkeypatch):
    monkeypatch.setattr(solver, "MAX_STEPS", 2)
    loglik = scale_mixture(np.random.default_rng(3).standard_t(2, 300), 30)
    with pytest.raises(RuntimeError, match="KKT gap"):
        mixture_weights(loglik, np.zeros(30))

"""Weights of classes and shapes that do not depend on each other: the mode, by moving them."""

import numpy as np
import pytest

from fatewalk.mash.product_weights import CLASS_ROWS, SHAPE_ROWS, product_weights

NULL_WEIGHT = 4.0


@pytest.fixture(scope="module")
def loglik():
    """40 rows, 2 classes, 5 shapes; the last 15 rows speak for class 1 and the first two shapes."""
    rng = np.random.default_rng(2)
    values = rng.normal(-1, 1, size=(40, 2, 5))
    values[25:, 1, :2] += 6
    return values


def objective(loglik, pi0, classes, shapes):
    """Log posterior of weights, written from its definition."""
    value = (NULL_WEIGHT - 1) * np.log(pi0)
    value += CLASS_ROWS / 2 * np.log(classes).sum() + SHAPE_ROWS / 5 * np.log(shapes).sum()
    for row in np.exp(loglik):
        value += np.log(pi0 + (1 - pi0) * classes @ row @ shapes)
    return value


def test_no_weights_nearby_are_better(loglik):
    found = product_weights(loglik, NULL_WEIGHT)
    best = objective(loglik, found.pi0, found.classes, found.shapes)
    assert found.gain < 1e-5
    rng = np.random.default_rng(0)
    for size in (0.01, 0.1):
        for _ in range(100):
            classes = found.classes * np.exp(size * rng.normal(size=2))
            shapes = found.shapes * np.exp(size * rng.normal(size=5))
            pi0 = np.clip(found.pi0 * np.exp(size * rng.normal()), 0.01, 0.99)
            moved = objective(loglik, pi0, classes / classes.sum(), shapes / shapes.sum())
            assert moved < best + 1e-4


def test_weights_are_shares_and_the_components_their_products(loglik):
    found = product_weights(loglik, NULL_WEIGHT)
    assert found.classes.sum() == pytest.approx(1)
    assert found.shapes.sum() == pytest.approx(1)
    assert found.pi0 + found.pi().sum() == pytest.approx(1)
    assert found.classes[1] > 0.8
    assert found.shapes[:2].sum() > 0.75
    assert (found.shapes > 0.01).all()  # rows that speak for all shapes alike
    assert product_weights(loglik, 40.0).pi0 > found.pi0


def test_rows_without_any_effect_leave_no_weight():
    found = product_weights(np.full((50, 2, 5), -3.0), 10.0)
    assert found.pi0 == pytest.approx(1, abs=1e-6)
    assert np.isfinite(found.loglik)


def test_rows_that_all_have_an_effect_leave_none_without(loglik):
    with np.errstate(all="raise", under="ignore"):
        found = product_weights(loglik + 50, 1.0)
    assert found.pi0 < 1e-6
    assert found.gain < 1e-5


def test_large_likelihoods_do_not_overflow(loglik):
    found = product_weights(loglik + 2000, NULL_WEIGHT)
    assert np.isfinite(found.loglik)
    assert found.pi0 < 0.1

"""Correlation of the errors: estimation and repair."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fatewalk.mash import (
    MashError,
    cov_canonical,
    estimate_null_correlation_em,
    estimate_null_correlation_simple,
    fit_mash,
    regularise_correlation,
    set_data,
)


def test_strong_rows_are_left_out():
    rng = np.random.default_rng(0)
    noise = rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], 5000)
    noise = noise[(np.abs(noise) < 2).all(axis=1)]
    strong = np.column_stack([rng.normal(0, 1, 500), np.full(500, 2.0)])  # |z| = 2 is not below 2
    data = set_data(0.1 * np.vstack([noise, strong]), np.full((len(noise) + 500, 2), 0.1))
    estimate = estimate_null_correlation_simple(data)
    assert estimate.n_null_rows == len(noise)
    assert estimate.note == ""
    np.testing.assert_allclose(estimate.correlation, np.corrcoef(noise.T), atol=1e-12)


def test_too_few_null_rows_are_said():
    data = set_data([[9.0, 9.0, 9.0], [0.1, 0.2, 0.3], [0.2, 0.1, 0.3]], np.ones((3, 3)))
    estimate = estimate_null_correlation_simple(data)
    np.testing.assert_array_equal(estimate.correlation, np.eye(3))
    assert estimate.n_null_rows == 2
    assert "2 of 3 rows" in estimate.note
    assert "uncorrelated" in estimate.note


def test_a_condition_that_never_varies_is_said():
    z = np.random.default_rng(0).uniform(-1, 1, (30, 3))
    z[:, 1] = np.nan
    estimate = estimate_null_correlation_simple(set_data(z, np.ones_like(z)))
    assert "conditions 1 " in estimate.note
    np.testing.assert_array_equal(estimate.correlation[1], [0, 1, 0])
    assert estimate.correlation[0, 2] == pytest.approx(np.corrcoef(z[:, 0], z[:, 2])[0, 1])


def test_threshold_must_be_positive():
    with pytest.raises(MashError, match="z_thresh"):
        estimate_null_correlation_simple(set_data([[1.0]], [[1.0]]), 0.0)


def test_nearest_correlation_of_the_literature():
    # Higham, IMA J. Numer. Anal. 22 (2002), section 4
    matrix = [[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0]]
    nearest = regularise_correlation(matrix, eigenvalue_floor=1e-12, shrinkage=0.0)
    expected = [[1.0, 0.7607, 0.1573], [0.7607, 1.0, 0.7607], [0.1573, 0.7607, 1.0]]
    np.testing.assert_allclose(nearest, expected, atol=5e-5)


def test_good_correlation_is_only_shrunk():
    matrix = np.array([[1.0, 0.8], [0.8, 1.0]])
    np.testing.assert_allclose(
        regularise_correlation(matrix, shrinkage=0.25), [[1.0, 0.6], [0.6, 1.0]], atol=1e-12
    )
    np.testing.assert_array_equal(regularise_correlation(matrix, shrinkage=1.0), np.eye(2))


def test_floor_lifts_a_singular_correlation():
    repaired = regularise_correlation(np.ones((3, 3)), eigenvalue_floor=0.3, shrinkage=0.0)
    # eigenvalues 3, 0.3, 0.3 before the diagonal (1.2) is brought back to 1
    np.testing.assert_allclose(np.linalg.eigvalsh(repaired), [0.25, 0.25, 2.5])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 6))
def test_result_is_always_usable(seed, n):
    matrix = np.random.default_rng(seed).uniform(-1, 1, (n, n))
    matrix = (matrix + matrix.T) / 2
    np.fill_diagonal(matrix, 1.0)
    repaired = regularise_correlation(matrix)
    assert np.linalg.eigvalsh(repaired)[0] > 0.04
    set_data(np.ones((1, n)), np.ones((1, n)), error_correlation=repaired)


@pytest.mark.parametrize("options", [{"shrinkage": 1.5}, {"eigenvalue_floor": 0.0}, {"shrinkage": np.nan}])
def test_parameters_out_of_range_are_refused(options):
    with pytest.raises(MashError, match="eigenvalue_floor"):
        regularise_correlation(np.eye(2), **options)


@pytest.mark.parametrize("missing", [0.0, 0.2, 0.5])
def test_missing_cells_do_not_draw_correlations_to_zero(missing):
    rng = np.random.default_rng(8)
    correlation = 0.4 * np.eye(4) + 0.6
    betahat = rng.multivariate_normal(np.zeros(4), correlation, 3000)
    betahat[rng.random(betahat.shape) < missing] = np.nan
    data = set_data(betahat, np.ones((3000, 4)))
    off = ~np.eye(4, dtype=bool)
    # of rows without a large z: the truncation itself takes the correlation down to about 0.5
    simple = estimate_null_correlation_simple(data).correlation[off]
    assert 0.42 < simple.mean() < 0.56
    em = estimate_null_correlation_em(data, cov_canonical(4))
    assert 0.55 < em.correlation[off].mean() < 0.65
    assert em.fit.loglik > fit_mash(data.with_correlation(correlation), cov_canonical(4)).loglik - 5


def test_pairs_that_are_hardly_seen_together_are_uncorrelated():
    rng = np.random.default_rng(9)
    betahat = rng.normal(size=(40, 2))
    betahat[:20, 0], betahat[23:, 1] = np.nan, np.nan  # three rows have both
    found = estimate_null_correlation_simple(set_data(betahat, np.ones((40, 2))))
    np.testing.assert_array_equal(found.correlation, np.eye(2))
    assert "1 pairs of conditions are seen together in fewer than 10" in found.note

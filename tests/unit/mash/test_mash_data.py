"""Input of the mash engine: what is settled, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from fatewalk.mash import MISSING_SE, MashError, autoselect_grid, cov_canonical, fit_mash, set_data

NAN = np.nan


def test_inflation_then_floor_then_missing():
    data = set_data([[1.0, 2.0, NAN, 4.0]], [[0.1, 0.01, 0.1, NAN]], se_inflate=1.5, se_floor=0.02)
    np.testing.assert_allclose(data.se, [[0.15, 0.02, MISSING_SE, MISSING_SE]])
    np.testing.assert_array_equal(data.betahat, [[1.0, 2.0, 0.0, 0.0]])
    np.testing.assert_array_equal(data.missing, [[False, False, True, True]])
    np.testing.assert_array_equal(data.error_correlation, np.eye(4))


def test_input_is_copied():
    betahat, se = np.array([[1.0, NAN]]), np.array([[1.0, 1.0]])
    set_data(betahat, se)
    assert np.isnan(betahat[0, 1])
    assert se[0, 1] == 1.0


@pytest.mark.parametrize(
    ("betahat", "se", "message"),
    [
        ([[1.0, 2.0]], [[1.0]], r"\(1, 2\) and \(1, 1\)"),
        ([1.0], [1.0], "same shape"),
        ([[NAN, 1.0]], [[1.0, NAN]], "at least one observed"),
        (np.empty((0, 3)), np.empty((0, 3)), "0 rows x 3"),
        ([[1.0], [2.0]], [[1.0], [0.0]], r"not positive .*0.0 in row 1, condition 0"),
        ([[1.0]], [[-1.0]], "not positive"),
        ([[1.0]], [[np.inf]], "standard error is infinite"),
        ([[-np.inf]], [[1.0]], "estimate is infinite"),
        ([[-2e6, NAN]], [[1.0, 1.0]], "reach 2e\\+06: divide"),
        ([[1.0, NAN]], [[1e7, 1.0]], "reach 1e\\+07: divide"),
    ],
)
def test_unusable_cells_are_refused(betahat, se, message):
    with pytest.raises(MashError, match=message):
        set_data(betahat, se)


def test_standard_errors_of_missing_cells_are_not_judged():
    assert set_data([[1.0, NAN]], [[1.0, 0.0]]).missing[0, 1]


@pytest.mark.parametrize(
    ("correlation", "message"),
    [
        ([[1.0, NAN], [NAN, 1.0]], r"not finite numbers: \(0, 1\), \(1, 0\)"),
        ([[1.0, 0.5], [0.4, 1.0]], "symmetric"),
        ([[2.0, 0.0], [0.0, 1.0]], "ones on its diagonal"),
        ([[1.0, 1.0], [1.0, 1.0]], "regularise_correlation"),
        ([[1.0]], "1 x 1; the data have 1 rows and 2"),
        ([1.0, 2.0], "square"),
    ],
)
def test_unusable_error_correlations_are_refused(correlation, message):
    with pytest.raises(MashError, match=message):
        set_data([[1.0, 1.0]], [[1.0, 1.0]], error_correlation=correlation)


@pytest.mark.parametrize("options", [{"se_inflate": 0.0}, {"se_inflate": NAN}, {"se_floor": -1.0}])
def test_unusable_standard_error_options_are_refused(options):
    with pytest.raises(MashError, match="se_inflate must be > 0"):
        set_data([[1.0]], [[1.0]], **options)


def test_large_values_are_fine_without_missing_cells():
    assert set_data([[1e8]], [[1e7]]).se[0, 0] == 1e7


def test_grid_ignores_missing_cells_and_is_short_without_effects():
    full = autoselect_grid(set_data([[3.0, 0.5]], [[1.0, 1.0]]))
    partly = autoselect_grid(set_data([[3.0, 0.5, NAN]], [[1.0, 1.0, 1e-9]]))
    np.testing.assert_array_equal(partly, full)
    assert full[-1] == pytest.approx(2 * np.sqrt(8))
    assert 0.1 / np.sqrt(2) < full[0] <= 0.1
    weak = autoselect_grid(set_data([[0.1]], [[1.0]]), 2.0)
    np.testing.assert_allclose(weak, [0.1, 0.2, 0.4, 0.8])
    # the largest estimate barely exceeds its error: mashr's grid then runs up from the tiny effect
    barely = autoselect_grid(set_data([[np.sqrt(1 + 1e-4)]], [[1.0]]), 2.0)
    np.testing.assert_allclose(barely, [0.02, 0.04, 0.08], rtol=1e-8)
    with pytest.raises(MashError, match="gridmult"):
        autoselect_grid(set_data([[1.0]], [[1.0]]), 1.0)


@pytest.mark.parametrize("names", [["a"], ["a", "a"], ["a", "identity"], ["a", "b", "c"]])
def test_names_of_conditions_must_be_distinct_and_free(names):
    with pytest.raises(MashError, match="distinct names"):
        cov_canonical(2, names)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"covariances": {}}, "at least one"),
        ({"covariances": {"u": np.eye(3)}}, r"'u' must be 2 x 2"),
        ({"covariances": {"u": np.zeros((2, 2))}}, "positive variance"),
        ({"covariances": {"u": [[1.0, 0.5], [0.0, 1.0]]}}, "symmetric"),
        ({"covariances": {"u": [[1.0, 2.0], [2.0, 1.0]]}}, "negative eigenvalue"),
        ({"grid": [0.1, 0.0]}, "positive scales"),
        ({"grid": []}, "positive scales"),
        ({"prior": "flat"}, "nullbiased, uniform or numbers"),
        ({"prior": [1.0, 0.5]}, "one for each of the"),
        ({"null_weight": 0.5}, "null_weight >= 1"),
        ({"point_mass": False}, "point mass"),
    ],
)
def test_unusable_models_are_refused(options, message):
    data = set_data([[1.0, 1.0]], [[1.0, 1.0]])
    with pytest.raises(MashError, match=message):
        fit_mash(data, **{"covariances": cov_canonical(2), **options})


def test_covariances_are_scaled_to_largest_variance_one():
    data = set_data([[1.0, 1.0]], [[1.0, 1.0]])
    fit = fit_mash(data, {"u": [[4.0, 1.0], [1.0, 2.0]]})
    np.testing.assert_allclose(fit.covariances[0], [[1.0, 0.25], [0.25, 0.5]])

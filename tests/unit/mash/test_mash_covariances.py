"""Covariances for effects over time."""

from __future__ import annotations

import numpy as np
import pytest

from fatewalk.mash import cov_canonical, cov_time


@pytest.mark.parametrize("n_days", [2, 3, 4, 7])
def test_time_covariances_are_new_and_usable(n_days):
    known = cov_canonical(n_days)
    found = cov_time(n_days)
    both = {name: matrix / np.diag(matrix).max() for name, matrix in (known | found).items()}
    assert len(both) == len(known) + len(found)
    names = list(both)
    for i, first in enumerate(names):
        assert np.linalg.eigvalsh(both[first])[0] > -1e-12
        for second in names[i + 1 :]:
            assert not np.allclose(both[first], both[second]), (first, second)


def test_a_single_day_has_no_pattern():
    assert cov_time(1) == {}


def test_shapes_over_four_days():
    found = cov_time(4)
    assert set(found) == {
        *(
            "sustained",
            "early_2",
            "early_3",
            "late_1",
            "late_2",
            "sign_switch_1",
            "sign_switch_2",
            "sign_switch_3",
        ),
        *("transient_1_2", "ramp_up", "ramp_down", "switch_1", "switch_2", "switch_3", "random_walk"),
    }
    lines = {
        "sustained": [1, 1, 1, 1],
        "early_2": [1, 1, 0, 0],
        "late_1": [0, 1, 1, 1],
        "sign_switch_3": [1, 1, 1, -1],
        "transient_1_2": [0, 1, 1, 0],
        "ramp_up": [0.25, 0.5, 0.75, 1],
        "ramp_down": [1, 0.75, 0.5, 0.25],
    }
    for name, line in lines.items():
        share = 0.25 if name.startswith("ramp") else 0.1
        between = np.outer(line, line) * (1 - share * (1 - np.eye(4)))
        np.testing.assert_allclose(found[name], between)
    levels = [[1, 0, 0, 0], [0, 1, 0.9, 0.9], [0, 0.9, 1, 0.9], [0, 0.9, 0.9, 1]]
    np.testing.assert_allclose(found["switch_1"], levels)
    steps = np.tril(np.ones((4, 4)))
    np.testing.assert_allclose(found["random_walk"], steps @ steps.T)

"""Patterns of effects over days."""

import numpy as np
import pytest

from fatewalk.calls.patterns import PATTERNS, classify, pattern_probabilities

ALL = np.ones((1, 4), dtype=bool)


def name(effects, observed=ALL, eps=0.2):
    (code,) = classify(np.array([effects], float), observed, eps)
    return PATTERNS[code]


@pytest.mark.parametrize(
    ("effects", "expected"),
    [
        ([0, 0.1, -0.1, 0.2], "none"),  # 0.2 is not above eps
        ([0.5, 0, 0, 0], "early"),
        ([0.5, 0.6, 0.3, 0], "early"),
        ([0, 0, 0, -0.5], "late"),
        ([0.1, -0.5, -0.5, -0.5], "late"),
        ([0, 0.5, 0, 0], "transient"),
        ([0, 0.5, 0.4, 0], "transient"),
        ([0.5, 0.3, 0.4, 1], "sustained"),
        ([0.5, 0.1, 0, 0.5], "intermittent"),
        ([0, 0.5, 0.1, 0.5], "intermittent"),
        ([0.5, 0, 0, -0.5], "sign_switch"),
        ([0.5, 0.5, -0.3, -0.5], "sign_switch"),
        ([0.5, 0.5, 0.5, -0.1], "early"),  # the last day has no effect of interest
    ],
)
def test_patterns_by_hand(effects, expected):
    assert name(effects) == expected


def test_days_without_cells_are_skipped():
    observed = np.array([[False, True, True, False]])
    assert name([9, 0.5, 0, -9], observed) == "early"
    assert name([9, 0, 0.5, 9], observed) == "late"
    assert name([0, 0.5, 0.5, 0], observed) == "sustained"
    assert name([0.5, 0, 0.5, 0.1], np.array([[True, False, True, True]])) == "early"
    assert name([9, 9, 9, 9], np.zeros((1, 4), dtype=bool)) == "none"
    assert name([0, 0, 9, 0], np.array([[False, False, True, False]])) == "sustained"


def test_probabilities_are_shares_of_draws():
    draws = np.array([[[0.5, 0.0]], [[0.5, 0.5]], [[0.5, 0.0]], [[0.1, 0.1]]])  # [S, 1, 2]
    found = pattern_probabilities(draws, np.ones((1, 2), dtype=bool), 0.2)
    assert dict(zip(PATTERNS, found[0], strict=True)) == {
        "none": 0.25, "early": 0.5, "late": 0, "transient": 0, "sustained": 0.25, "intermittent": 0,
        "sign_switch": 0,
    }  # fmt: skip

"""Patterns of effects over days."""

import numpy as np
import pytest

from fatewalk.calls.patterns import (
    PATTERNS,
    classify,
    on_both_scales,
    pattern_probabilities,
    stretch,
    unresolved_words,
)

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


def test_patterns_on_both_scales_and_days_that_only_one_calls_active():
    effects = np.array([[0.1, 0.5, 0.5, 0.5], [0.0, 0.5, 0.5, 0.5], [0.1, 0.0, 0.0, 0.0], [0.1, 0.5, 0, 0]])
    code, gained = on_both_scales(effects, effects * [5, 1, 1, 1], np.broadcast_to(ALL, (4, 4)), 0.2)
    assert [PATTERNS[one] if one >= 0 else None for one in code] == [None, "late", None, None]
    assert gained[:, 0].tolist() == [True, False, True, True]
    assert not gained[:, 1:].any()
    unseen = np.array([[False, True, True, True]] * 4)
    code, gained = on_both_scales(effects, effects * [5, 1, 1, 1], unseen, 0.2)
    assert PATTERNS[code[0]] == "sustained"
    assert not gained.any()


def test_effects_are_stretched_to_the_day_whose_labels_spread_most():
    np.testing.assert_allclose(stretch(np.array([[0.1, 0.5], [0.4, 0.2]])), [[5, 1], [1, 2]])
    assert np.isfinite(stretch(np.array([[0.0, 0.5], [0.0, 0.0]]))).all()  # labels that never move


@pytest.mark.parametrize(
    ("pattern", "present", "words"),
    [
        ("late", ["5", "7"], "present from day 5 on; day 3 not resolved"),
        ("early", ["1", "2"], "present until day 2; day 3 not resolved"),
        ("transient", ["5", "7"], "present on day 5 and 7; day 3 not resolved"),
    ],
)
def test_words_of_what_is_seen_and_what_is_not(pattern, present, words):
    assert unresolved_words(pattern, present, ["3"]) == words

"""What labels of a day resolve."""

import numpy as np
import pytest

from fatewalk.screen.resolution import label_resolution, label_spread


def entropy(p):
    return -sum(x * np.log(x) for x in p if x > 0)


def test_resolution_is_one_minus_the_entropy_left():
    prob = np.array([[0.5, 0.25, 0.25], [0.1, 0.9, 0.0], [1, 0, 0], [0, 1, 0]])
    found = label_resolution(prob, np.array([0, 0, 1, 1]), 2)
    mean = prob[:2].mean(axis=0)
    assert found.of_day[0] == pytest.approx(1 - (entropy(prob[0]) + entropy(prob[1])) / 2 / entropy(mean))
    first = [entropy([p, 1 - p]) for p in (0.5, 0.1, mean[0])]
    assert found.of_fate[0, 0] == pytest.approx(1 - (first[0] + first[1]) / 2 / first[2])
    assert found.of_day[1] == 1
    assert found.of_fate[:2, 1].tolist() == [1, 1]
    assert np.isnan(found.of_fate[2, 1])  # nobody takes the third fate
    report = found.report(["A", "B", "C"], ["d1", "d2"])
    assert report["d2"] == {"all": 1.0, "A": 1.0, "B": 1.0, "C": None}
    assert list(report) == ["d1", "d2"]


@pytest.mark.parametrize("factor", [1, 0.7, 0.1])
def test_labels_drawn_towards_their_mean_spread_and_resolve_less(factor):
    prob = np.random.default_rng(1).dirichlet([1, 2, 3], 500)
    day = np.zeros(500, dtype=int)
    shrunk = prob.mean(axis=0) + factor * (prob - prob.mean(axis=0))
    np.testing.assert_allclose(label_spread(shrunk, day, 1), factor * label_spread(prob, day, 1))
    whole, part = (label_resolution(p, day, 1) for p in (prob, shrunk))
    assert (part.of_day <= whole.of_day).all()
    assert (part.of_fate <= whole.of_fate).all()
    assert factor == 1 or part.of_day[0] < factor * whole.of_day[0]


def test_spread_of_labels_that_name_one_fate_is_one_however_rare_it_is():
    prob = np.eye(3)[np.random.default_rng(1).choice(3, 1000, p=[0.02, 0.18, 0.8])]
    np.testing.assert_allclose(label_spread(prob, np.zeros(1000, dtype=int), 1), 1)
    assert label_spread([[1, 0], [1, 0]], [0, 0], 1).tolist() == [[0], [0]]

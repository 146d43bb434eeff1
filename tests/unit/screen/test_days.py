"""Day labels in the wild."""

import numpy as np
import pandas as pd
import pytest

from fatewalk.core.errors import FatewalkError
from fatewalk.screen.days import read_days


@pytest.mark.parametrize(
    ("column", "labels", "times", "unit"),
    [
        (["d10", "d0", "d2"], ("d0", "d2", "d10"), (0, 2, 10), "day"),
        (["day 3", "Day_12"], ("day 3", "Day_12"), (3, 12), "day"),
        ([18.0, 24.0], ("18", "24"), (18, 24), ""),
        ([0.75, 1.5], ("0.75", "1.5"), (0.75, 1.5), ""),
        (np.array([0.1, 2], dtype="float32"), ("0.1", "2"), (0.1, 2), ""),
        ([7, -1], ("-1", "7"), (-1, 7), ""),
        (["18.0", "7"], ("7", "18"), (7, 18), ""),
        (["72hpf", "24 hpf"], ("24 hpf", "72hpf"), (24, 72), "hpf"),
        (["E8.5", "E10.5"], ("E8.5", "E10.5"), (8.5, 10.5), "e"),
        (["3h", "12 hours"], ("3h", "12 hours"), (3, 12), "hour"),
        (["D10"], ("D10",), (10,), "day"),
    ],
)
def test_reads_label_time_and_unit(column, labels, times, unit):
    days = read_days(pd.Series(column, name="day"), "x.csv")
    assert (days.labels, days.times, days.unit) == (labels, times, unit)
    assert days.index.tolist() == [times.index(pytest.approx(t)) for t in _numbers(column)]


def _numbers(column):
    return [float("".join(c for c in str(value) if c in "0123456789.-")) for value in column]


def test_index_follows_time_not_the_order_of_a_categorical():
    column = pd.Series(pd.Categorical(["d2", "d0", "d2"], categories=["d9", "d2", "d0"]), name="day")
    days = read_days(column, "x")
    assert days.index.tolist() == [1, 0, 1]
    assert days.labels == ("d0", "d2")
    assert days.unused == ("d9",)
    assert [day["cells"] for day in days.report()] == [1, 2]


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (["d0", "baseline"], ["'baseline'", "exactly one number", "day_key"]),
        (["d1_r2"], ["'d1_r2'"]),
        (["2024-01-05"], ["2024-01-05"]),
        (["day-3"], ["'day-3'"]),  # minus or dash?
        (["day.5"], ["'day.5'"]),  # 5 or 0.5?
        (["nan"], ["'nan'"]),
        (["d0", "24h"], ["mix units", "'d0'", "'24h'", "one unit"]),
        (["E18", "P0"], ["mix units"]),
        (["0", "d3"], ["no unit"]),
        (["d3", "day 3"], ["'d3', 'day 3'", "same number"]),
        (["18", "18.0"], ["same number"]),
        (["d0", None], ["'day'", "empty in 1 of 2 rows", "row 2"]),
    ],
)
def test_refuses_what_it_cannot_order(column, words):
    with pytest.raises(FatewalkError) as error:
        read_days(pd.Series(column, name="day"), "x.csv")
    assert all(word in str(error.value) for word in ["x.csv", *words])


def test_refuses_a_continuous_covariate():
    with pytest.raises(FatewalkError, match=r"101 different days.*pseudotime"):
        read_days(pd.Series(np.linspace(0, 1, 101), name="day"), "x")

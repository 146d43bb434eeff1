"""``fatewalk power``: the smallest effect that a planned screen finds."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fatewalk.api import fit
from fatewalk.cli import power
from tests.unit.cli.test_init import invoke


def curve(n, middle, slope, seed=0):
    """Sizes and hits of a logistic curve in log size."""
    rng = np.random.default_rng(seed)
    size = np.exp(rng.uniform(np.log(0.1), np.log(2), n))
    return size, rng.random(n) < 1 / (1 + np.exp(-slope * (np.log(size) - np.log(middle))))


def test_the_smallest_effect_is_where_the_curve_reaches_80_percent():
    size, hit = curve(4000, 0.5, 4.0)
    assert power.smallest_found(size, hit, 2.0) == pytest.approx(0.5 * 4 ** (1 / 4), rel=0.05)


def test_an_effect_beyond_those_simulated_is_none():
    size, _ = curve(60, 0.5, 4.0)
    found = power.summarise(size, np.zeros(60, dtype=bool), 3, 2.0)
    assert np.isinf(found["effect"])
    assert found["found"] == 0


def test_an_effect_below_those_simulated_is_none_either():
    """All were found: the smallest of them is all that is known."""
    size, _ = curve(60, 0.5, 4.0)
    for hit in (np.ones(60, dtype=bool), np.arange(60) != 7):
        found = power.summarise(size, hit, 3, 2.0)
        assert found["effect_low"] >= size.min()
        assert found["smallest"] == size.min()
    assert found["effect"] <= found["effect_high"]
    assert power._in_words(power.summarise(size, np.ones(60, dtype=bool), 3, 2.0)).startswith("at most 0.1")


def test_a_screen_whose_certificate_fails_is_still_counted(monkeypatch):
    """A planned screen is certified by nobody, and its hits are not withheld."""
    asked = {}
    monkeypatch.setattr(power, "fit", lambda *args, **keys: asked.update(keys) or fit(*args, **keys))
    power._screen(power.Plan(cells=1500, moi=2, guides_per_gene=2, ntc_share=0.1, days=1), 6, 2, 1)
    assert asked["certificate"] == "none"


def test_the_interval_holds_the_truth_mostly():
    truth = 0.5 * 4 ** (1 / 6)
    inside = []
    for seed in range(10):
        found = power.summarise(*curve(60, 0.5, 6.0, seed), 3, 2.0)
        inside.append(found["effect_low"] <= truth <= found["effect_high"])
    assert np.mean(inside) >= 0.8


def test_an_interval_beyond_the_effects_simulated_ends_in_an_arrow():
    table = pd.DataFrame(
        {"cells": [2000, 4000], "effect": [0.9, 0.5], "effect_low": [0.7, 0.4], "effect_high": [np.inf, 0.6],
         "largest": 1.5}
    )  # fmt: skip
    arrows = [line for line in power.draw(table, ["cells"]).axes[0].lines if line.get_marker() == "^"]
    assert [line.get_xydata().tolist() for line in arrows] == [[[2000, 1.5]]]


def test_a_table_and_a_figure_of_every_plan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(power, "RESAMPLES", 10)
    monkeypatch.setattr(
        power, "_screen", lambda plan, genes, fates, seed: curve(60, 50 / np.sqrt(plan.cells), 6.0, seed)
    )
    said = invoke("power", "--cells", "5000,20000", "--moi", "2,5", "--screens", 3)
    table = pd.read_csv("power.csv")
    assert table[["cells", "moi"]].to_numpy().tolist() == [[5000, 2], [5000, 5], [20000, 2], [20000, 5]]
    assert table.loc[0, "effect"] > 1.5 * table.loc[2, "effect"]
    assert "guides in a cell" in said
    assert Path("power.png").stat().st_size > 5000
    assert "is there already" in invoke("power", code=1)


def test_a_real_screen_with_large_effects_finds_most(tmp_path):
    plan = power.Plan(cells=2500, moi=2, guides_per_gene=2, ntc_share=0.1, days=2)
    low, high = plan.sizes(8, 2)
    size, hit = power._screen(plan, 8, 2, 1)
    assert len(size) == 4
    assert np.all((size > 0.99 * low) & (size < 1.01 * high))
    assert hit[size > 0.8 * high].all()


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [("--cells", "many", "whole numbers"), ("--moi", "0", "at least 0.1"), ("--fates", "1", "x>=2")],
)
def test_wrong_numbers_are_told(option, value, words):
    assert words in invoke("power", option, value, code=2)

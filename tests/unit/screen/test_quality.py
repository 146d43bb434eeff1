"""Ambient guides, lost calls and contradicted burdens are told, and right ones are not."""

import numpy as np
import pandas as pd
import pytest

from fatewalk.screen.quality import warn_of_ambient, warn_of_burden, warn_of_cells_without, warn_of_few_cells

RIGHT = {
    "deep": lambda rng, n: 1 + rng.negative_binomial(2, 0.15, n),
    "geometric": lambda rng, n: rng.geometric(0.1, n),
    "shallow": lambda rng, n: rng.geometric(1 / 3, n),
    "very shallow": lambda rng, n: 1 + rng.poisson(0.3, n),
    "all one": lambda rng, n: np.ones(n),
    "wide": lambda rng, n: np.ceil(rng.lognormal(3, 1.2, n)),
    "overdispersed": lambda rng, n: 1 + rng.poisson(rng.gamma(0.5, 16, n)),
    "two kinds of cells": lambda rng, n: 1 + rng.poisson(np.where(rng.random(n) < 0.5, 8, 30)),
}


def said(draw, ambient, umi_of_ambient=0.0, moi=2.0, seed=0, n_cells=3000):
    """Warnings for calls of a right screen with further calls afloat, so many a cell."""
    rng = np.random.default_rng(seed)
    n, more = rng.poisson(moi * n_cells), rng.poisson(ambient * n_cells)
    umi = np.concatenate([draw(rng, n), 1 + rng.poisson(umi_of_ambient, more)]).astype(float)
    report = {"warnings": []}
    guide = rng.integers(0, 40, len(umi))
    warn_of_ambient(umi, guide, pd.Index([f"g{i}" for i in range(40)]), report)
    return report["warnings"]


@pytest.mark.parametrize("moi", [0.3, 2, 8])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", RIGHT)
def test_no_false_alarm(kind, seed, moi):
    assert said(RIGHT[kind], 0, moi=moi, seed=seed) == []


@pytest.mark.parametrize(
    "kind", ["deep", "geometric", "shallow", "wide", "overdispersed", "two kinds of cells"]
)
@pytest.mark.parametrize("ambient", [1, 3])
def test_ambient_guides(kind, ambient):
    (sentence,) = said(RIGHT[kind], ambient)
    assert "look like ambient guides" in sentence
    assert "design.min_umi" in sentence


def test_ambient_guides_of_several_umis_lie_below_a_valley():
    (sentence,) = said(lambda rng, n: 1 + rng.negative_binomial(5, 0.05, n), 1, 1.5)
    assert "32% of the guide calls have fewer than 8 UMIs" in sentence
    assert "8 keeps 68%" in sentence


def test_the_shares_are_those_of_the_calls():
    umi = np.repeat([1.0, 3.0, 6.0], [50, 25, 25])
    report = {"warnings": []}
    warn_of_ambient(umi, np.zeros(100, int), pd.Index(["g"]), report)
    (sentence,) = report["warnings"]
    assert sentence.startswith("50% of the guide calls have 1 UMI")
    assert "min_umi 2 keeps 50%, 3 keeps 50%, 5 keeps 25%" in sentence


def test_one_guide_afloat_among_right_ones():
    rng = np.random.default_rng(0)
    umi = np.concatenate([RIGHT["deep"](rng, 4000), np.ones(200)]).astype(float)
    guide = np.concatenate([rng.integers(0, 40, 4000), np.full(200, 7)])
    report = {"warnings": []}
    warn_of_ambient(umi, guide, pd.Index([f"g{i}" for i in range(40)]), report)
    (sentence,) = report["warnings"]
    assert "1 guide has mostly calls of 1 UMI" in sentence
    assert "'g7'" in sentence


@pytest.mark.parametrize("moi", [0.05, 0.2, 0.5, 1, 2, 5])
def test_cells_without_guides_of_a_poisson_screen(moi):
    report = {"warnings": [], "notes": []}
    warn_of_cells_without(np.random.default_rng(0).poisson(moi, 5000), True, report)
    assert report["warnings"] == []
    assert len(report["notes"]) == (moi <= 0.5)  # how many they are is said, and how they are used


def test_cells_without_cassettes():
    # guides come in pairs: the few cells of one guide let expect cells of dozens
    report = {"warnings": [], "notes": []}
    pairs = np.random.default_rng(0).poisson(0.9, 5000)
    warn_of_cells_without(2 * pairs - (np.arange(5000) % 40 == 0) * (pairs > 0), True, report)
    assert report == {"warnings": [], "notes": []}


@pytest.mark.parametrize("moi", [0.3, 1, 2, 5])
def test_cells_that_lost_their_guides(moi):
    rng, report = np.random.default_rng(0), {"warnings": []}
    warn_of_cells_without(rng.poisson(moi, 5000) * (rng.random(5000) < 0.4), True, report)
    (sentence,) = report["warnings"]
    assert "have no guide call" in sentence
    assert "drop leaves them out" in sentence


@pytest.mark.parametrize(
    ("burden", "words"),
    [
        ([2, 1, 0, 3], None),
        ([2.5, 1, 4, 3], None),
        ([2, 0, 0, 3], "less than the guides called in 1 of 4 cells: 'b' (burden 0, 1 guide)"),
        ([200, 100, 0, 300], "100 times the guides called"),
        ([2, 1e9, 0, 3], "far beyond the guides called in 1 cell: 'b' (burden 1e+09, 1 guide)"),
    ],
)
def test_burden_against_calls(burden, words):
    report = {"warnings": []}
    warn_of_burden(np.array(burden, dtype=float), np.array([2, 1, 0, 3]), pd.Index(list("abcd")), report)
    assert [words in sentence for sentence in report["warnings"]] == ([True] if words else [])


def test_few_cells():
    report = {"warnings": []}
    warn_of_few_cells(["d0", "d1"], np.array([500, 3]), ["A", "B"], np.array([1, 90]), report)
    assert "1 day has fewer than 30 cells: 'd1' (3)" in report["warnings"][0]
    assert "1 gene has fewer than 5 cells on all days together: 'A' (1)" in report["warnings"][1]
    report = {"warnings": []}
    warn_of_few_cells(["d0"], np.array([500]), ["A"], np.array([90]), report)
    assert report["warnings"] == []

"""Peers of the benchmarks: right about nothing and about a large effect."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from benchmarks.common import draw_screen, true_effects
from benchmarks.peers.cells import from_design, pseudobulk
from benchmarks.peers.found import Found, Test
from benchmarks.peers.measure import Outcome
from benchmarks.peers.moderate import moderate
from benchmarks.peers.run import ONLY_FATES, ONLY_ONE_HOT, PEERS
from fatewalk.mash import fate_scale

SMALL = {"cells": 3000, "genes": 30, "active_genes": 0, "days": [0, 1], "moi": 3, "guide_sd": 0,
         "guides_per_gene": 4, "ntc_guides": 10, "seed": 5}  # fmt: skip
MOVED = SMALL | {
    "cells": 6000,
    "active_genes": 3,
    "effect_size": [2.0, 2.0],
    "effect_patterns": {"sustained": 1},
}
CASES = [
    (name, scale, labels)
    for name in PEERS
    for scale in ("contrast", "fate")
    for labels in ("one_hot", "dirichlet")
    if not (name in ONLY_FATES and scale != "fate") and not (name in ONLY_ONE_HOT and labels != "one_hot")
]


def draw(simulate, labels):
    """Cells of a screen, and true effects on contrasts."""
    screen, design = draw_screen(simulate | {"labels": labels})
    cells = from_design(design, screen.cells, screen.guide_calls, screen.guide_map)
    return cells, true_effects(screen, design, "theta")


@pytest.fixture(scope="module")
def cells_without_effects():
    return {labels: draw(SMALL, labels)[0] for labels in ("one_hot", "dirichlet")}


@pytest.fixture(scope="module")
def cells_with_effects():
    return {labels: draw(MOVED, labels) for labels in ("one_hot", "dirichlet")}


@pytest.mark.parametrize(("name", "scale", "labels"), CASES)
def test_without_effects_p_values_are_uniform(name, scale, labels, cells_without_effects):
    p = PEERS[name](cells_without_effects[labels], scale).p
    p = p[np.isfinite(p)]
    assert len(p) > 100
    # tests of a screen share its controls, so that a mean strays more than that of as many numbers would
    assert 0.4 < p.mean() < 0.6
    assert (p < 0.05).mean() < 0.12
    assert (p < 0.001).mean() < 0.02


@pytest.mark.parametrize(("name", "scale", "labels"), CASES)
def test_a_large_effect_is_found_with_its_sign(name, scale, labels, cells_with_effects):
    cells, truth = cells_with_effects[labels]
    truth = fate_scale(truth, cells.composition) if scale == "fate" else truth
    found = PEERS[name](cells, scale).found()
    large, none = np.abs(truth) > 1.5, np.abs(truth) < 1e-9
    assert large.sum() >= 6
    assert found.called[large].mean() > 0.8
    assert (found.sign[large] == np.sign(truth[large])).all()
    assert found.called[none].mean() < 0.05


@pytest.mark.parametrize("name", ["multinomial GLM", "permutation"])
def test_more_cells_of_the_same_clusters_say_nothing_new(name):
    cells, _ = draw(SMALL | {"cells": 1500}, "one_hot")
    once = replace(cells, clustered=True, group=np.arange(1500))
    parts = ("labels", "day", "rep", "burden", "group")
    thrice = replace(
        once,
        carries=sparse.vstack([once.carries] * 3).tocsr(),
        **{part: np.concatenate([getattr(once, part)] * 3) for part in parts},
    )
    np.testing.assert_allclose(PEERS[name](thrice, "fate").p, PEERS[name](once, "fate").p, atol=0.02)


def test_pseudobulks_hold_every_call_once():
    cells, _ = draw(SMALL, "one_hot")
    units = pseudobulk(cells)
    assert units.n_cells.sum() == cells.carries.sum()
    assert (units.gene < 0).sum() == 10 * 2 * 2  # control guides, days, replicates
    day = cells.labels[np.asarray(cells.carries[:, [0]].todense()).ravel() > 0].sum(axis=0)
    np.testing.assert_allclose(units.total[:4].sum(axis=0), day)


def test_moderation_keeps_variances_that_differ_and_joins_those_that_do_not():
    rng = np.random.default_rng(1)
    df = np.full((500, 1), 5.0)
    noise = rng.chisquare(5, (500, 1)) / 5
    same, _ = moderate(noise, df)
    other, more = moderate(noise * np.repeat([1, 100], 250)[:, None], df)
    assert np.ptp(same) < 0.5
    assert np.median(other[250:]) > 10 * np.median(other[:250])
    assert (more < 10).all()
    assert np.isnan(moderate(np.full((3, 1), np.nan), np.zeros((3, 1)))[0]).all()


def test_calls_by_benjamini_and_hochberg_leave_out_what_is_missing():
    p = np.array([[[0.001, 0.02, np.nan, 0.5]]])
    found = Test("fate", np.array([[[1.0, -2.0, np.nan, 1.0]]]), p).found()
    assert found.called.tolist() == [[[True, True, False, False]]]
    assert found.sign[0, 0, :2].tolist() == [1, -1]


def test_outcome_walks_down_to_the_last_set_with_few_false_signs():
    truth = np.array([[[0.5, 0.0, -0.5, 0.5, 0.1]]])
    sign = np.array([[[1.0, 1.0, -1.0, -1.0, 1.0]]])
    found = Found(
        "fate", sign, np.array([[[0.1, 0.3, 0.2, 0.4, np.nan]]]), np.array([[[1, 1, 0, 0, 0]]], bool)
    )
    outcome = Outcome.of([(found, truth)])
    assert outcome.at_false_signs(0.05) == pytest.approx(2 / 3)
    summary = outcome.summary()
    assert (summary["calls"], summary["precision"], summary["fsr"]) == (2, 0.5, 0.5)
    assert summary["recall"] == pytest.approx(1 / 3)

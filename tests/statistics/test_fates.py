"""Calls by fate say no more than they know: who moved, signs, screens without effect, the reference."""

import numpy as np
import pytest
import torch

from benchmarks.calls.movers import true_movers
from benchmarks.common import draw_screen, fit_config, true_effects
from fatewalk import mash
from fatewalk.calls import FateCalls
from fatewalk.calls.fates import shrink_fates
from fatewalk.config import CallsConfig, DesignConfig, ModelConfig
from fatewalk.estimates.arrays import name_evidence
from fatewalk.estimates.likelihood_only import label_evidence
from fatewalk.screen.design import build_design
from fatewalk.stages.fit_effects import fit_effects
from tests.statistics.test_calls import largest_wrong

CALLS = CallsConfig()
SCREEN = {"cells": 6000, "genes": 60, "guides_per_gene": 4, "ntc_guides": 12, "days": [0, 1, 2], "moi": 5}


def draw(**simulate):
    torch.set_num_threads(1)
    return draw_screen(SCREEN | simulate)


def fitted(design):
    """Arrays of evidence.npz."""
    fit = fit_config("laplace", None, threads=1, device="cpu")
    posterior, card, _ = fit_effects(design, ModelConfig(fates=list(design.fates)), fit, progress=False)
    assert card["status"] == "converged"
    return vars(name_evidence(label_evidence(posterior, design), design))


def shrunk(evidence, times=1.0):
    """Effects on fates; with `times` the labels count for so many."""
    more = {name: evidence[name] * times for name in ("gene_score", "gene_information")}
    return shrink_fates({**evidence, **more}, "gene", "library", 10.0, CALLS.effect_size_eps)


@pytest.fixture(scope="module")
def one_moves():
    """In each of 15 genes of 60 one of four fates moves."""
    screen, design = draw(
        fates=["A", "B", "C", "E"], fate_shares=[0.5, 0.2, 0.2, 0.1], effect_fates="one_fate",
        active_genes=15, effect_size=[0.8, 1.6], labels="one_hot", seed=4,
    )  # fmt: skip
    return fitted(design), true_movers(true_effects(screen, design, "theta"))


def test_a_fate_that_follows_is_not_named(one_moves):
    evidence, truth = one_moves
    calls = FateCalls.of(shrunk(evidence).by_fate, CALLS)
    assert (calls.named & truth).sum() > 10
    assert (calls.named & truth).sum() >= 0.9 * (calls.hit & truth).sum()
    assert (calls.named & ~truth).sum() <= 0.1 * calls.named.sum()
    # without the question who moved there would be many
    assert (calls.hit & ~truth).sum() > 0.3 * calls.hit.sum()


@pytest.fixture(scope="module")
def independent():
    screen, design = draw(active_genes=15, labels="one_hot", seed=5)
    return screen, design, fitted(design)


def wrong_signs(found, truth, evidence):
    """Wrong signs among lfsr < .05 on fates, and how many are below it."""
    by_fate = mash.fate_scale(truth, evidence["composition"])
    below = found.by_fate.lfsr < 0.05
    wrong = (np.abs(by_fate) < 1e-9) | (np.sign(found.by_fate.mean) != np.sign(by_fate))
    return int((below & wrong).sum()), int(below.sum())


def test_signs_on_fates_are_as_sure_as_they_say(independent):
    screen, design, evidence = independent
    truth = true_effects(screen, design, "theta")
    wrong, below = wrong_signs(shrunk(evidence), truth, evidence)
    assert below > 40
    assert wrong <= largest_wrong(below)
    wrong, below = wrong_signs(shrunk(evidence, 6.0), truth, evidence)  # cells that count six times
    assert wrong > largest_wrong(below)


def test_a_screen_without_effects_has_no_hit():
    _, design = draw(active_genes=0, labels="one_hot", seed=6)
    evidence = fitted(design)
    assert not FateCalls.of(shrunk(evidence).by_fate, CALLS).hit.any()
    assert FateCalls.of(shrunk(evidence, 6.0).by_fate, CALLS).hit.any()


def test_the_reference_does_not_matter(independent):
    """But for what is close to the limit of the rule; contrasts against the other fate are another matter."""
    screen, design, evidence = independent
    fates = design.fates[::-1]
    turned, _ = build_design(screen.cells, screen.guide_calls, screen.guide_map, DesignConfig(), fates)
    first, second = shrunk(evidence).by_fate, shrunk(fitted(turned)).by_fate
    moved = np.abs(first.mean - second.mean[:, ::-1]) / np.maximum(first.sd, 0.02)
    assert 0 < moved.max() < 0.2  # of which draws are 0.1
    assert np.quantile(moved, 0.9) < 0.1
    one, two = FateCalls.of(first, CALLS).active, FateCalls.of(second, CALLS).active[:, ::-1]
    limit = first.prob_large[one].min()
    assert (one == two)[np.abs(first.prob_large - limit) > 0.05].all()

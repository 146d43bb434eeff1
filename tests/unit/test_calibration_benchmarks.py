"""Benchmarks of the labels' graph and of simulation-based calibration, in small."""

import numpy as np
import pytest
import torch

from benchmarks import label_graph, sbc
from benchmarks.common import draw_screen
from fatewalk.config import FitConfig, ModelConfig, PriorsConfig
from fatewalk.stages.fit_effects import fit_effects

SCREEN = {**sbc.SCREEN, "cells": 400, "genes": 5}


def test_ranks_that_lean_are_told_from_even_ones():
    even = np.arange(200) * 2
    assert sbc.uniformity(sbc.counted(even)) > 0.99
    assert sbc.uniformity(sbc.counted(even // 2)) < 1e-6  # all below the middle
    assert sbc.uniformity(sbc.counted(100 + even // 2)) < 1e-6  # posteriors too wide


def test_draws_that_were_shared_out_add_up():
    parts = [[dict.fromkeys(sbc.KINDS, rank) for rank in ranks] for ranks in ([5, 390], [200, None])]
    parts[1][1] = None
    both = sbc.gather([sbc.summarise(one) for one in parts])
    assert (both["draws"], both["not_converged"]) == (4, 1)
    assert both["kinds"]["tau"]["counts"] == sbc.counted(np.array([5, 390, 200])).tolist()


@pytest.fixture(scope="module")
def effects_and_draws():
    """True effects and deviations of some prior draws, and draws from the posteriors, all values of each."""
    _, design = draw_screen(SCREEN)
    config = ModelConfig(fates=SCREEN["fates"], priors=PriorsConfig(**sbc.PRIORS))
    fit = FitConfig(family="laplace", likelihood_weight=1.0)
    found = []
    for seed in range(6):
        labels, truth = sbc.draw_truth(design, config, np.random.default_rng([2, seed]))
        posterior = fit_effects(sbc.replace(design, prob=labels), config, fit, progress=False)[0]
        found.append((truth, sbc.posterior_draws(posterior, 99, seed)))
    return found


@pytest.mark.parametrize("kind", ["theta_first", "theta_last", "delta"])
def test_the_truth_of_prior_draws_lies_anywhere_in_the_posterior(effects_and_draws, kind):
    """All effects of a few draws: the shares below the truth have mean and spread of a uniform."""
    shares = [
        (draws[kind].reshape(99, -1) < truth[kind].reshape(-1)).double().mean(dim=0)
        for truth, draws in effects_and_draws
    ]
    every = torch.cat(shares).numpy()
    assert abs(every.mean() - 0.5) < 0.12
    assert 0.23 < every.std() < 0.35  # 0.289 of a uniform
    doubled = [
        (draws[kind].reshape(99, -1) < 2.5 * truth[kind].reshape(-1)).double().mean(dim=0)
        for truth, draws in effects_and_draws
    ]
    assert torch.cat(doubled).numpy().std() > 0.35  # it would be seen


def test_a_graph_of_controls_alone_loses_what_lies_off_it():
    """Cells in a state of their own find their future on all cells, and that of controls on controls."""
    table = label_graph.measure(1200, 2, 1.5, [0.5], [6.0]).set_index(["cells", "graph"])["mean"]
    assert table["early", "all"] > 0.6
    assert table["early", "controls"] < 0.4
    assert table["late", "all"] > 0.7


def test_a_walk_over_one_fate_ends_there():
    rng = np.random.default_rng(1)
    expression, time, perturbed, fate_a = label_graph.draw(300, 1.0, 0.3, 0.0, rng)
    label = label_graph.labels_on(expression, time, np.ones(300, bool), np.ones(300, bool))
    assert (label[time >= 0.9] == 1).all()
    assert label[time < 0.8].min() > 0.9
    window = np.ones(300, bool)
    label = np.where(perturbed, 0.75, 0.5)
    assert label_graph.effect_in(label, perturbed, window) == pytest.approx(np.log(3))
    assert fate_a.any()

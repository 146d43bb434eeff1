"""Intervals hold the truth as often as they say, and the check that shows it can fail.

A small part of the grid of ``benchmarks/calibration``: few cells and genes, so that a wrong scale of
the likelihood or a wrong posterior family is as visible as in a large screen.
"""

import numpy as np
import pytest

from benchmarks.baselines import MeanField
from benchmarks.common import true_effects
from fatewalk.config import FitConfig, ModelConfig
from fatewalk.core.schema import Z95
from fatewalk.estimates.from_draws import posterior_moments
from fatewalk.stages.fit_effects import fit_effects
from tests.conftest import make_design

GRID = {
    "cells": 2000, "genes": 20, "guides_per_gene": 4, "active_genes": 20, "guide_sd": 0.3, "moi": 5,
    "effect_fates": "independent", "effect_patterns": {"random_walk": 1},
}  # fmt: skip
SCREENS = [
    {"labels": "one_hot", "seed": 1},
    {"labels": "one_hot", "seed": 2, "moi": 2, "ntc_share": 0.05},
    {"labels": "one_hot", "seed": 3, "guides_per_gene": {1: 1, 2: 1}},
    {"labels": "dirichlet", "concentration": 10, "seed": 4},
    {"labels": "dirichlet", "concentration": 50, "seed": 5, "moi": 2},
    {"labels": "dirichlet", "concentration": 200, "seed": 6, "guides_per_gene": {1: 1, 2: 1}},
]
ALL_DAYS, EACH_DAY = (0.92, 0.98), (0.86, 1.0)  # of 960 gene-days, of 240; those of a screen share errors


@pytest.fixture(scope="module")
def screens():
    return [make_design(**{**GRID, **knobs}) for knobs in SCREENS]


def coverage_by_day(screens, outside=None, **fit) -> np.ndarray:
    """Share of gene-days whose 95 % interval holds the truth, by day, [D]."""
    covered = []
    for screen, design in screens:
        posterior, *_ = fit_effects(design, ModelConfig(), FitConfig(**fit), family=outside)
        moments = posterior_moments(posterior, design, 1000, 1)
        error = moments.theta_mean - true_effects(screen, design, "theta")  # [L, F*, D]
        covered.append((np.abs(error) <= Z95 * moments.theta_sd).mean(axis=(0, 1)))
    return np.mean(covered, axis=0)


def is_calibrated(coverage: np.ndarray) -> bool:
    """Whether the coverage over all days, and on each, is near 95 %."""
    within = ALL_DAYS[0] <= coverage.mean() <= ALL_DAYS[1]
    return bool(within and (coverage >= EACH_DAY[0]).all() and (coverage <= EACH_DAY[1]).all())


@pytest.mark.parametrize("family", ["structured", "laplace"])
def test_intervals_cover(screens, family):
    coverage = coverage_by_day(screens, family=family)
    assert is_calibrated(coverage), coverage


def test_a_likelihood_scaled_by_the_number_of_cells_is_caught(screens):
    """The trap of a summed likelihood inside a plate of Pyro: data counted N times."""
    coverage = coverage_by_day(screens[:2], family="laplace", likelihood_weight=GRID["cells"])
    assert not is_calibrated(coverage)
    assert coverage.mean() < 0.4


def test_a_mean_field_family_is_caught(screens):
    """Its SDs are too small on the first days, whatever a single factor would do for the others."""
    coverage = coverage_by_day(screens[:2], MeanField, max_steps=400)
    assert not is_calibrated(coverage), coverage
    assert coverage[0] < 0.8

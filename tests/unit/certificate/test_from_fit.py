"""Nulls of a fit: residuals stretched to the dispersion of the day, gains of genes, controls as genes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fatewalk import mash
from fatewalk.certificate.from_fit import Cells, draw_nulls, units_of
from fatewalk.certificate.from_fit import _gains as gains_of
from fatewalk.certificate.from_fit import _of_guides as of_guides
from fatewalk.certificate.from_fit import _summed as summed
from fatewalk.certificate.plasmode import _planted as planted
from fatewalk.certificate.plasmode import _tilted as tilted
from fatewalk.certificate.plasmode import by_size, plant
from fatewalk.config import FitConfig, ModelConfig
from fatewalk.model.information import fate_probabilities
from fatewalk.stages.fit_effects import fit_effects
from tests.conftest import make_design

SCREEN = {
    "cells": 1500,
    "genes": 8,
    "guides_per_gene": 2,
    "ntc_guides": 6,
    "days": [0, 1],
    "moi": 3,
    "active_genes": 3,
}


def fitted(**knobs):
    """A small screen and its fit."""
    design = make_design(**{**SCREEN, **knobs})[1]
    fit = FitConfig(family="laplace", device="cpu")
    return design, fit_effects(design, ModelConfig(), fit, progress=False)[0]


@pytest.fixture(scope="module")
def soft():
    """Soft labels."""
    return fitted(labels="dirichlet", concentration=20, seed=3)


def test_gains_are_the_probabilities_with_and_without_the_gene(soft):
    design, posterior = soft
    cells = Cells.of(posterior, design, None)
    gains = gains_of(cells, design, units_of(design))
    carried = gains.carried
    for pair in range(0, len(carried.unit), 97):
        cell, gene = carried.unit[pair], carried.item[pair]
        guides = design.cell_guides[design.cell_offsets[cell] : design.cell_offsets[cell + 1]]
        own = guides[design.guide_to_gene[guides] == gene]
        assert carried.count[pair] == len(own)
        without = cells.eta[cell] - cells.beta[:, design.day[cell], own].sum(dim=1)
        wanted = cells.weight[cell] * (cells.pi[cell] - fate_probabilities(without[None])[0])
        assert gains.own[pair] == pytest.approx(wanted.numpy())


def test_residuals_are_as_large_as_the_dispersion_of_their_day(soft):
    design, posterior = soft
    cells = Cells.of(posterior, design, None)
    units = summed(cells, design, units_of(design), posterior.scatter)
    size = cells.weight.square() * cells.dispersion * (1 - cells.pi.square().sum(dim=1))
    for day in range(len(design.days)):
        found = (units.residual[units.day == day] ** 2).sum()
        assert found == pytest.approx(float(size[design.day == day].sum()))


@pytest.mark.parametrize(
    "knobs",
    [{"seed": 3}, {"seed": 4, "labels": "dirichlet", "concentration": 20},
     {"seed": 5, "clusters": 40, "cluster_shares_guides": True}],
)  # fmt: skip
def test_shuffled_guides_of_a_right_screen_have_z_of_one(knobs):
    design, posterior = fitted(**knobs)
    nulls = draw_nulls(posterior, design, None)
    assert np.sqrt((nulls.z_sd**2).mean(axis=1)) == pytest.approx(1.0, abs=0.12)
    if "clusters" not in knobs:  # of clusters there are too few with controls
        assert np.sqrt(np.nanmean(nulls.control_z**2)) == pytest.approx(1.0, abs=0.4)
    assert nulls.weight_ratio == pytest.approx(1.0, abs=0.1)
    assert nulls.p_value.shape == (8, 3)
    assert int(nulls.units) == (1500 if "clusters" not in knobs else len(design.clusters))


def test_a_weight_that_is_twice_too_large_is_seen(soft):
    design, posterior = soft
    phi = np.array([float((1 / posterior.weight).mean())] * 2)
    doubled = {**posterior.symmetric, "weight": 2 * posterior.symmetric["weight"]}
    wrong = replace(posterior, symmetric=doubled, scatter=None)
    nulls = draw_nulls(wrong, design, phi)
    assert nulls.weight_ratio == pytest.approx(2.0, rel=0.1)
    assert nulls.z_sd == pytest.approx(np.sqrt(2), rel=0.15)


def test_a_fate_that_hardly_any_cell_of_a_day_has_is_missing_there(soft):
    design, posterior = soft
    prob = design.prob.clone()
    first = design.day == 0
    prob[first, 0] += prob[first, 2]
    prob[first, 2] = 0.0
    nulls = draw_nulls(posterior, replace(design, prob=prob), None)
    assert np.isnan(nulls.z_sd[2]).tolist() == [True, False]
    assert not nulls.z_sd_freedom[2, 0]
    assert np.isnan(nulls.control_z[:, 0, 2]).all()
    assert not nulls.gene_share[:, 0, 2].any()
    assert np.isfinite(nulls.z_sd[:2]).all()


def test_deviations_of_guides_do_not_cancel_over_the_cells_of_a_gene(soft):
    design, posterior = soft
    found = of_guides(posterior, design)
    mine = (design.guide_to_gene == 2).numpy()
    share = design.guide_cells.numpy()[mine, 1] / design.guide_cells.numpy()[mine, 1].sum()
    even = np.full(mine.sum(), 1 / mine.sum())
    covariance = np.eye(mine.sum()) - even[:, None]
    ratio = found[2, 1] / found[3, 1]
    other = (design.guide_to_gene == 3).numpy()
    of_other = design.guide_cells.numpy()[other, 1] / design.guide_cells.numpy()[other, 1].sum()
    assert ratio == pytest.approx((share @ covariance @ share) / (of_other @ covariance @ of_other))


def test_planted_effects_come_back(soft):
    design, posterior = soft
    shares = cells_of_day(design)
    grid, pi0 = np.array([0.8]), 0.5
    empty = mash.fates.fate_classes(shares), mash.fates.time_shapes(len(design.days))
    pi = np.zeros((len(empty[0]), len(empty[1]), 1))
    pi[0, 0, 0] = 0.5
    prior = mash.FatesPrior.over(shares, grid, pi0, pi)
    screen, theta = plant(posterior, design, prior, 0.0, seed=1)
    assert torch.equal(screen.gene_cells, design.gene_cells)
    assert screen.prob.sum(dim=1).numpy() == pytest.approx(1.0)
    assert sorted(screen.burden.tolist()) == sorted(design.burden.tolist())
    found = fit_effects(screen, ModelConfig(), FitConfig(family="laplace", device="cpu"), progress=False)[0]
    beta = Cells.of(found, screen, None).beta  # [F*, D, G]
    seen = np.stack([beta[:, :, screen.guide_to_gene == gene].mean(dim=2).numpy() for gene in range(8)])
    assert np.corrcoef(seen.ravel(), theta.transpose(0, 1, 2).ravel())[0, 1] > 0.9


def test_planted_soft_labels_move_as_far_as_the_model():
    """Labels near one fate hardly follow a tilt, so that the tilt of each day is stretched."""
    design = make_design(**SCREEN, labels="dirichlet", concentration=[2, 10], seed=5)[1]
    shares = torch.from_numpy(cells_of_day(design)).T[design.day]  # [N, F]
    before = (shares[:, 1:] / shares[:, :1]).log()
    carry = torch.arange(design.n_cells) % 2 == 0
    change = torch.where(carry[:, None], torch.tensor([0.8, 0.0]), torch.tensor([0.0, 0.0])).to(before)
    labels = planted(design, before, before + change, np.random.default_rng(0))
    plain = tilted(design.prob, change)
    for d in range(2):
        mine = carry & (design.day == d)
        wanted = (fate_probabilities(before + change) - shares)[mine].mean(dim=0)[1]
        moved, unstretched = ((x - design.prob)[mine].mean(dim=0)[1] for x in (labels, plain))
        assert moved == pytest.approx(wanted.item(), rel=0.02)
        assert unstretched < (0.75, 0.95)[d] * wanted
    assert torch.equal(labels[~carry], plain[~carry])


def cells_of_day(design):
    """Mean probability of each fate by day, [F, D]."""
    return np.stack(
        [design.prob[design.day == d].mean(dim=0).numpy() for d in range(len(design.days))], axis=1
    )


def test_the_table_of_planted_effects_counts_by_size():
    import pandas as pd

    effects = pd.DataFrame(
        {"truth": [0.0, 0.05, -0.5, 0.6], "covered": [True, True, False, True],
         "called": [False, False, True, True], "wrong_sign": [False, False, True, False]}
    )  # fmt: skip
    table = by_size(effects)
    assert table["n"].tolist() == [2, 2]
    assert table["called"].tolist() == [0.0, 1.0]
    assert table["wrong_sign"].tolist()[1] == 0.5

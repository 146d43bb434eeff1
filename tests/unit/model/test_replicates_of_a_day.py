"""Levels of replicates: each day's own, so that a batch of one sample makes no gene's effect."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fatewalk.config import ModelConfig
from fatewalk.estimates.likelihood_only import gene_estimates
from fatewalk.model import make_rows, make_terms
from fatewalk.model.terms import Replicates
from fatewalk.screen.resample import _of_cells
from tests.conftest import laplace_fit, make_design

KNOBS = {
    "cells": 4000, "genes": 8, "guides_per_gene": 1, "ntc_guides": 4, "days": [0, 1], "replicates": 2,
    "moi": 1, "active_genes": 0, "guide_sd": 0, "replicate_sd": 0,
    "burden_slope": 0, "labels": "dirichlet", "seed": 5,
}  # fmt: skip


def terms_of(design, s_rep_day=0.4):
    return make_terms(design, ModelConfig(priors={"s_rep_day": s_rep_day}))


def kept(design, keep):
    return _of_cells(design, np.flatnonzero(keep)).design


def with_batch(shift):
    """Day 1 of replicate 2 moved on one fate, and there three quarters of the cells of gene 0 missing."""
    design = make_design(**KNOBS)[1]
    sample = (design.day == 1) & (design.rep == 1)
    eta = design.prob.clamp(min=1e-9).log()
    eta[sample, 1] += shift
    design = replace(design, prob=torch.softmax(eta, dim=1))
    cell = design.cell_of_call[design.guide_to_gene[design.cell_guides] == 0]
    carries = torch.zeros(design.n_cells, dtype=torch.bool)
    carries[cell] = True
    lost = carries & sample & (torch.arange(design.n_cells) % 4 != 0)
    return kept(design, ~lost.numpy())


@pytest.mark.parametrize(("s_rep_day", "lowest", "highest"), [(0.4, 0.0, 2.0), (0.0, 3.0, np.inf)])
def test_a_batch_of_one_sample_is_no_effect_of_the_gene_that_it_lacks(s_rep_day, lowest, highest):
    design = with_batch(1.5)
    terms = terms_of(design, s_rep_day)
    fit = laplace_fit(design, terms, weight=21.0)
    rows = make_rows(design, terms).weighted(21.0)
    estimates = gene_estimates(fit.coordinates, fit.state(), rows, design.gene_cells > 0)
    z = abs(float(estimates[0, 0, 1] / estimates[1:, 0, 1].std()))
    assert lowest <= z < highest


def test_samples_deviate_from_their_replicate_and_from_the_mean_of_their_day():
    """Three replicates, of which the second lacks a day and the third has the first day alone."""
    design = make_design(**KNOBS | {"replicates": 3, "days": [0, 1, 2]})[1]
    rep, day = design.rep.numpy(), design.day.numpy()
    design = kept(design, ~((rep == 1) & (day == 1)) & ~((rep == 2) & (day != 0)))
    term = terms_of(design).nuisance(Replicates)
    assert term.samples.tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [2, 0], [2, 1]]
    assert term.size == 3 + 6
    words = term.words(design)
    assert len(words) == term.size
    assert words[1].startswith("replicate rep2")
    assert words[-1].startswith("replicate rep2")
    assert words[-1].endswith("on day2")
    level, deviation = torch.tensor([1.0, 3, 8]).double(), torch.arange(6.0).double()
    x = torch.cat([level, deviation / (0.4 / 0.8)])  # in units of the SD of levels
    of_cell = (term.map @ x[:, None])[term.entries(design)[0][0], 0]
    sums = level[term.samples[:, 1]] + deviation  # 1, 4, 10; 4; 5, 8
    expected = sums - torch.tensor([5.0, 5, 5, 4, 6.5, 6.5]).double()
    sample = (
        (term.samples == torch.stack([design.day, design.rep], dim=1)[:, None]).all(dim=-1).int().argmax(1)
    )
    torch.testing.assert_close(of_cell, expected[sample])
    torch.testing.assert_close(term.day_means(level), torch.tensor([4.0, 1, 2]).double())
    laplace_fit(design, terms_of(design))


def test_no_levels_where_no_two_replicates_can_be_compared():
    design = make_design(**KNOBS)[1]
    assert terms_of(design, 0.0).nuisance(Replicates).size == 2
    one = kept(design, design.rep.numpy() == 0)
    assert terms_of(one).nuisance(Replicates) is None
    nested = kept(design, design.rep.numpy() == design.day.numpy())  # each replicate is a day
    assert terms_of(nested).nuisance(Replicates) is None
    of_one_day = kept(design, design.day.numpy() == 0)
    assert terms_of(of_one_day).nuisance(Replicates).size == 2  # a sample is a replicate

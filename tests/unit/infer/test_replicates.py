"""Differences of gene effects between replicates, by moments."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fatewalk.infer.replicates import measure_replicates, two_way
from tests.conftest import laplace_fit, make_design

KNOBS = {
    "cells": 4000, "genes": 20, "guides_per_gene": 1, "moi": 3, "active_genes": 5, "labels": "dirichlet",
    "concentration": 20, "days": [0, 1], "replicates": 2, "seed": 3,
}  # fmt: skip


@pytest.fixture(scope="module")
def design():
    return make_design(**KNOBS)[1]


def disagreeing(design, sd, common=0.0):
    """The design with labels moved on the first contrast: by gene, replicate and day, or by replicate."""
    rng = np.random.default_rng(4)
    shape = (len(design.genes), len(design.reps), len(design.days))
    deviation = sd * rng.normal(size=shape) + common * rng.normal(size=(1, *shape[1:]))
    cell = np.repeat(np.arange(design.n_cells), design.cell_offsets.diff().numpy())
    gene = design.guide_to_gene.numpy()[design.cell_guides.numpy()]
    eta = design.prob.clamp(min=1e-9).log()
    moves = deviation[gene, design.rep.numpy()[cell], design.day.numpy()[cell]]
    eta[:, 1] += torch.from_numpy(np.bincount(cell, weights=moves, minlength=design.n_cells))
    return replace(design, prob=torch.softmax(eta, dim=1))


def measured(design):
    return measure_replicates(laplace_fit(design, weight=21.0), design, shared=False)


def test_replicates_that_agree_add_nothing(design):
    found = measured(design)
    assert (found.p > 0.05).all()
    assert not found.variance.any()
    assert found.beyond_one == 40
    np.testing.assert_array_equal(found.n_cells.sum(axis=1), design.gene_cells)


def test_replicates_that_disagree_are_measured(design):
    found = measured(disagreeing(design, 0.3))
    assert found.p[0] < 1e-6
    assert found.sd[0] == pytest.approx(0.3, rel=0.3)
    share = found.n_cells / found.n_cells.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.variance[:, 0], found.sd[0] ** 2 * (share**2).sum(axis=1))


def test_a_replicate_whose_cells_all_differ_is_no_difference_between_genes(design):
    assert (measured(disagreeing(design, 0.0, common=0.3)).p > 0.01).all()


def test_two_way_is_least_squares():
    rng = np.random.default_rng(1)
    values, weight = rng.normal(size=(7, 3)), rng.uniform(0.5, 2, size=(7, 3))
    weight[2, 1] = weight[5] = 0.0
    seen = weight > 0
    row, column = np.nonzero(seen)
    design = np.hstack([np.eye(7)[row], np.eye(3)[column]])
    root = np.sqrt(weight[seen])
    left = np.eye(len(root)) - (root[:, None] * design) @ np.linalg.pinv(root[:, None] * design)
    wanted = (((left @ (root * values[seen])) ** 2).sum(), np.trace(left), left.diagonal() @ weight[seen])
    np.testing.assert_allclose(two_way(values, weight), wanted)

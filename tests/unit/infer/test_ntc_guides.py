"""NTC guides one by one: their deviations, their SD, and how the effects of all genes answer to them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fatewalk.infer.ntc_guides import cochran, measure_ntc_guides, sd_of_guides, why_not_measured
from tests.conftest import laplace_fit, make_design

KNOBS = {
    "cells": 4000, "genes": 20, "guides_per_gene": 2, "ntc_guides": 6, "ntc_share": 0.2, "moi": 3,
    "active_genes": 5, "labels": "dirichlet", "concentration": 50, "days": [0, 1], "seed": 3,
}  # fmt: skip


@pytest.fixture(scope="module")
def screen():
    return make_design(**KNOBS)


@pytest.fixture(scope="module")
def fitted(screen):
    return laplace_fit(screen[1], weight=51.0)


def moved(design, guide, by):
    """The design with labels as if one NTC guide acted on the first contrast."""
    offsets = design.ntc_offsets.numpy()
    cell = np.repeat(np.arange(design.n_cells), np.diff(offsets))[design.ntc_guides.numpy() == guide]
    eta = design.prob.log()
    eta[cell, 1] += by
    return replace(design, prob=torch.softmax(eta, dim=1))


def test_lists_of_ntc_guides_are_those_of_the_calls(screen):
    tables, design = screen
    calls = tables.guide_calls.merge(tables.guide_map.query("is_ntc"), left_on="guide", right_on="guide_name")
    place = {name: i for i, name in enumerate(design.ntc_names)}
    row = tables.cells.set_index("cell_id").index.get_indexer(calls["cell_id"])
    of_row = {int(r): i for i, r in enumerate(design.row.tolist())}
    wanted = sorted((of_row[r], place[g]) for r, g in zip(row.tolist(), calls["guide"], strict=True))
    cells = np.repeat(np.arange(design.n_cells), design.ntc_offsets.diff().numpy())
    assert list(zip(cells.tolist(), design.ntc_guides.tolist(), strict=True)) == wanted
    torch.testing.assert_close(design.ntc_offsets.diff(), design.n_ntc)


def test_a_guide_that_acts_is_found_and_moves_all_genes_as_said(screen, fitted):
    _, design = screen
    before = measure_ntc_guides(fitted, design)
    by = 0.1
    again = laplace_fit(moved(design, 2, by), weight=51.0)
    after = measure_ntc_guides(again, moved(design, 2, by))
    assert after.effect[2, 0] - before.effect[2, 0] == pytest.approx(by, rel=0.15)
    assert np.abs(np.delete(after.effect - before.effect, 2, axis=0)).max() < 0.02
    # the common shift of theta, at the mode: a little less than where a gene's own prior is left out
    theta = [c.coordinates.theta(c.coordinates.sd(c.coordinates.scales.log_scales(c.vector)) * c.y)
             for c in (fitted, again)]  # fmt: skip
    shift = (theta[1] - theta[0]).mean(dim=2)[0].numpy() / by  # [D]
    np.testing.assert_allclose(before.response[2, 0, 0], shift, rtol=0.25)
    # left out, its shift is undone
    np.testing.assert_allclose(
        (after.left_out - before.left_out)[2, 0], -by * before.response[2, 0, 0], rtol=0.2
    )


def test_the_covariance_of_the_shift_is_that_of_independent_guides(fitted, screen):
    found = measure_ntc_guides(fitted, screen[1])
    draws = np.random.default_rng(1).normal(size=(20000, *found.effect.shape)) * found.sigma
    shifts = np.einsum("tja,jafd->tfd", draws, found.response)
    np.testing.assert_allclose(
        found.shift_covariance[0, :, 0], np.cov(shifts[:, 0].T), atol=0.05 * found.shift_covariance.max()
    )


@pytest.mark.parametrize("sd", [0.0, 0.1, 0.2])
def test_sd_is_found_and_its_prior_holds_where_nothing_tells(sd):
    rng = np.random.default_rng(5)
    errors = np.full(300, 0.1)
    found, (low, high) = sd_of_guides(rng.normal(size=300) * np.hypot(sd, errors), np.diag(errors**2))
    assert low <= max(sd, 0.0025) * 1.001 <= high or sd == 0.0
    assert found == pytest.approx(sd, abs=0.03)
    unknown, _ = sd_of_guides(np.zeros(3), 100.0 * np.eye(3))
    # root of the mean square of a half Cauchy with median 0.05, cut off at 1
    assert unknown == pytest.approx(np.sqrt(0.05 * (1 - 0.05 * np.arctan(20)) / np.arctan(20)), rel=0.02)


def test_cochran_does_not_see_what_guides_have_in_common():
    effect, errors = np.array([0.1, 0.3, -0.2]), np.diag([0.01, 0.02, 0.03])
    assert cochran(effect + 5.0, errors) == pytest.approx(cochran(effect, errors))
    assert cochran(effect, errors + 100.0) == pytest.approx(cochran(effect, errors), rel=1e-3)


def test_where_it_is_not_asked_for(screen):
    _, design = screen
    assert why_not_measured(design, shared=False) == ""
    assert "clusters" in why_not_measured(design, shared=True)
    few = replace(design, ntc_names=design.ntc_names[:2])
    assert "2 NTC guides are too few" in why_not_measured(few, shared=False)
    assert "no cell carries" in why_not_measured(replace(design, ntc_names=()), shared=False)

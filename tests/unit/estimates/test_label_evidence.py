"""Evidence on all fates: likelihood-only estimates in another form, whatever the reference."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fatewalk.config import FitConfig, ModelConfig
from fatewalk.core.outcome import NumericalError
from fatewalk.estimates.likelihood_only import label_evidence, likelihood_estimates
from fatewalk.infer import laplace
from fatewalk.stages.fit_effects import fit_effects
from tests.conftest import make_design
from tests.unit.estimates.test_likelihood_estimates import thinned, unequal

LAPLACE = FitConfig(family="laplace")
SMALL = {
    "cells": 1500, "genes": 8, "guides_per_gene": {1: 0.3, 2: 0.3, 4: 0.4}, "ntc_guides": 4,
    "days": [0, 1, 3], "moi": 3, "active_genes": 3, "seed": 5,
}  # fmt: skip


def fitted(design, **fit):
    """A Laplace fit."""
    config = ModelConfig(fates=list(design.fates))
    return fit_effects(design, config, LAPLACE.model_copy(update=fit), progress=False)[0]


def solved(score, information):
    """Estimates and errors from evidence, [m, F*, D] and [m, F* D, F* D]."""
    size = score[0].size
    error = np.linalg.inv(information.reshape(-1, size, size))
    return np.einsum("mij,mj->mi", error, score.reshape(-1, size)).reshape(score.shape), error


@pytest.mark.parametrize("scattered", [False, True])
@pytest.mark.parametrize("dense_limit", [12_000, 1])
def test_with_two_fates_it_is_the_likelihood_only_estimate_and_its_error(dense_limit, scattered):
    """Two fates are symmetric already, so that both come from one mode; errors and guides, too."""
    design = make_design(**SMALL, fates=["A", "B"])[1]
    posterior = fitted(design, dense_limit=dense_limit)
    if scattered:
        posterior = replace(posterior, scatter=unequal(posterior.rows(design), len(design.days)))
    estimates = likelihood_estimates(posterior, design, posterior.rows(design))
    evidence = label_evidence(posterior, design)
    for level in ("gene", "guide"):
        score, information = (getattr(evidence, f"{level}_{what}") for what in ("score", "information"))
        mean, error = solved(score, information)
        expected = getattr(estimates, f"{level}_covariance").reshape(error.shape)
        scale = np.sqrt(np.diagonal(expected, axis1=1, axis2=2))  # [m, K]
        difference = (mean - getattr(estimates, f"{level}_mean")).reshape(scale.shape) / scale
        np.testing.assert_allclose(difference, 0, atol=1e-7)
        both = scale[:, :, None] * scale[:, None, :]
        np.testing.assert_allclose(error / both, expected / both, atol=1e-7)


def test_it_does_not_depend_on_the_reference():
    """In standard errors (about .2 and .4); the estimates by contrast move by half of one."""
    design = make_design(**SMALL, fates=["A", "B", "C"], labels="dirichlet", concentration=20)[1]
    found = []
    for order in ([0, 1, 2], [2, 0, 1]):
        turned = replace(design, fates=tuple(design.fates[f] for f in order), prob=design.prob[:, order])
        evidence = label_evidence(fitted(turned), turned)
        back = np.argsort(order)
        for level in ("gene", "guide"):
            mean, _ = solved(getattr(evidence, f"{level}_score"), getattr(evidence, f"{level}_information"))
            by_fate = np.insert(mean, 0, 0.0, axis=1)[:, back]
            found.append(by_fate - by_fate.mean(axis=1, keepdims=True))
        found.append(np.sqrt(evidence.guide_variance))
    for one, other in zip(found[:3], found[3:], strict=True):
        np.testing.assert_allclose(one, other, atol=0.002)


def test_what_the_labels_do_not_see_is_zero(small_design):
    """A gene without cells on a day, one without any, and their guides; the others stay finite."""
    design = thinned(small_design)
    evidence = label_evidence(fitted(design), design)
    for level, cells in (("gene", design.gene_cells), ("guide", design.guide_cells)):
        unseen = (cells == 0).numpy()  # [m, D]
        score, information = (getattr(evidence, f"{level}_{what}") for what in ("score", "information"))
        assert unseen.any()
        assert np.isfinite(score).all()
        assert np.isfinite(information).all()
        own = np.einsum("mfdfd->mdf", information)  # [m, D, F*]
        assert (np.abs(own[unseen]) < 1e-9).all()
        assert (own[~unseen] > 1e-3).all()
        assert (np.abs(np.moveaxis(score, 1, 2)[unseen]) < 1e-9).all()


def test_a_second_pass_without_a_first_round_is_diverged(small_design, monkeypatch):
    """It ends neither the fit nor the card; nothing is exported then."""
    take_round = laplace._take_round

    def fail(problem, state):
        if problem.c.root is not None:
            raise NumericalError("no")
        return take_round(problem, state)

    monkeypatch.setattr(laplace, "_take_round", fail)
    posterior, card, _ = fit_effects(small_design, ModelConfig(), LAPLACE, progress=False)
    assert card["status"] == "diverged"
    assert any("second pass" in warning for warning in card["warnings"])
    assert all(bool(torch.isfinite(value).all()) for value in posterior.symmetric.values())


def test_without_centring_the_errors_hold_the_sampling_of_guides_already(small_design):
    for centred in (True, False):
        posterior = fit_effects(small_design, ModelConfig(center_delta=centred), LAPLACE, progress=False)[0]
        assert (label_evidence(posterior, small_design).guide_variance > 0) is centred

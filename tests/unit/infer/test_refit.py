"""Refits of designs that were drawn again start at the mode of the first fit, and end at their own."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fatewalk.config import FitConfig, ModelConfig
from fatewalk.estimates.likelihood_only import (
    gene_estimates,
    gene_evidence,
    label_evidence,
    likelihood_estimates,
)
from fatewalk.infer import refit as refits
from fatewalk.infer.intercepts import day_intercepts
from fatewalk.infer.laplace import fit_laplace
from fatewalk.infer.refit import refit
from fatewalk.model import make_rows, make_terms
from fatewalk.model.coordinates import Coordinates
from fatewalk.model.terms import Replicates
from fatewalk.screen.resample import Resampled, resample
from fatewalk.stages.fit_effects import fit_effects
from tests.conftest import make_design

LIMIT = 12_000


@pytest.fixture(scope="module")
def fitted():
    """A screen with clusters of mixed guides, and its fit."""
    design = make_design(
        cells=1500, genes=6, guides_per_gene={1: 0.3, 3: 0.7}, days=[0, 2], moi=2, active_genes=3,
        replicates=2, clusters=6, seed=3,
    )[1]  # fmt: skip
    return design, fit_effects(design, ModelConfig(), FitConfig(family="laplace"), progress=False)[0]


def itself(design):
    parts = (len(getattr(design, name)) for name in ("genes", "guides", "reps", "clusters"))
    return Resampled(design, *map(np.arange, parts))


def test_a_refit_of_the_same_cells_stays_where_it_is(fitted):
    design, posterior = fitted
    laplace, symmetric = refit(posterior, itself(design), None, LIMIT)
    assert laplace.status == symmetric.outcome.status == "converged"
    assert len(laplace.trace) <= 3
    assert laplace.trace[0].newton_step < 0.3
    observed = design.gene_cells > 0
    rows = posterior.rows(design)
    before = likelihood_estimates(posterior, design, rows)
    error = np.sqrt(np.einsum("lfdfd->lfd", before.gene_covariance))
    after = gene_estimates(laplace.coordinates, laplace.state(), laplace.rows, observed).numpy()
    assert np.nanmax(np.abs(after - before.gene_mean) / error) < 0.02
    c = Coordinates(laplace.coordinates.terms, symmetric=True)
    score, information = gene_evidence(c, symmetric.state(), laplace.rows, observed, True, posterior.scatter)
    evidence = label_evidence(posterior, design)
    scale = np.abs(evidence.gene_score).max(), np.abs(evidence.gene_information).max()
    np.testing.assert_allclose(score.numpy() / scale[0], evidence.gene_score / scale[0], atol=0.01)
    np.testing.assert_allclose(
        information.numpy() / scale[1], evidence.gene_information / scale[1], atol=0.01
    )


@pytest.mark.parametrize("unit", ["cells", "clusters", "guides", "replicates"])
def test_a_warm_start_begins_nearer_and_ends_where_a_cold_one_ends(fitted, unit, monkeypatch):
    design, posterior = fitted
    drawn = resample(design, unit, 1, seed=2)
    monkeypatch.setattr(refits, "SLACK", 1.0)
    warm, _ = refit(posterior, drawn, None, LIMIT)
    terms = make_terms(drawn.design, ModelConfig())
    c = Coordinates(terms)
    cold = fit_laplace(c, make_rows(drawn.design, terms), day_intercepts(drawn.design), None, False, LIMIT)
    assert warm.status == cold.status == "converged"
    assert warm.trace[0].newton_step < 0.5 * cold.trace[0].newton_step
    assert warm.trace[0].log_posterior == pytest.approx(cold.trace[-1].log_posterior, rel=0.05)
    theta = [
        one.coordinates.theta(one.coordinates.sd(c.scales.log_scales(one.vector)) * one.y)
        for one in (warm, cold)
    ]
    assert float((theta[0] - theta[1]).abs().max()) < 0.01


def test_the_start_predicts_what_the_first_fit_does(fitted):
    """Guides that were drawn have the effects of their sources, whichever gene they are of now."""
    design, posterior = fitted
    drawn = resample(design, "guides", 1, seed=2)
    old = Coordinates(posterior.model.terms)
    x = old.sd(old.scales.log_scales(posterior.laplace["vector"])) * posterior.laplace["y"]
    c = Coordinates(make_terms(drawn.design, ModelConfig()))
    start = refits._start(posterior, posterior.laplace, c, drawn)
    before = old.coefficients(x)[:, old.terms.first_guide :].view(2, 2, -1)
    after = c.coefficients(start.x)[:, c.terms.first_guide :].view(2, 2, -1)
    torch.testing.assert_close(after, before[:, :, torch.from_numpy(drawn.guide)])


def test_levels_of_replicates_start_at_those_of_their_sources(fitted):
    design, posterior = fitted
    drawn = resample(design, "replicates", 1, seed=2)
    drawn = replace(drawn, design=replace(drawn.design, rep=1 - drawn.design.rep), rep=np.array([1, 0]))
    term = make_terms(drawn.design, ModelConfig()).nuisance(Replicates)
    before = posterior.model.terms.nuisance(Replicates)
    assert refits._source(term, before, drawn).tolist() == [1, 0, 3, 2, 5, 4]
    left = resample(design, "leave_one_replicate_out", 1, seed=2)
    laplace, _ = refit(posterior, left, None, LIMIT)
    assert laplace.coordinates.terms.nuisance(Replicates) is None
    assert laplace.status == "converged"

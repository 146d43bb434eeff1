"""Fates that scatter 1, 3 and 10 times: honest errors for each, on its contrast and on its own log odds."""

from dataclasses import replace

import numpy as np
import pytest

from fatewalk import mash
from fatewalk.calls.fates import unshrunk
from fatewalk.config import FitConfig, ModelConfig
from fatewalk.estimates.arrays import mean_composition
from fatewalk.estimates.likelihood_only import label_evidence, likelihood_estimates
from fatewalk.stages.fit_effects import fit_effects
from tests.conftest import make_design


@pytest.fixture(scope="module")
def fits():
    """Two screens without effects."""
    found = []
    for seed, factors in ((3, [1.0, 3.0, 10.0]), (4, [10.0, 1.0, 3.0])):
        design = make_design(
            cells=7000, genes=80, guides_per_gene=1, moi=2, days=[0, 1, 2], active_genes=0, guide_sd=0,
            fate_shares=[0.5, 0.35, 0.15], labels="dirichlet", concentration=40, dispersion_by_fate=factors,
            seed=seed,
        )[1]  # fmt: skip
        posterior, card, _ = fit_effects(design, ModelConfig(), FitConfig(family="laplace"), progress=False)
        assert card["status"] == "converged"
        found.append((design, posterior))
    return found


def spread(fits, **changes):
    """SD of z around the mean of the day, which all genes share: by contrast, and by fate."""
    z = []
    for design, posterior in fits:
        changed = replace(posterior, **changes)
        e = likelihood_estimates(changed, design, changed.rows(design))
        by_contrast = e.gene_mean / np.sqrt(np.einsum("lfdfd->lfd", e.gene_covariance))
        evidence = label_evidence(changed, design)
        given = mash.Evidence(evidence.gene_score, evidence.gene_information)
        mean, se = unshrunk(given, mean_composition(design))
        z.append(np.concatenate([by_contrast, mean / se], axis=1))
    return np.array([(one - one.mean(axis=0)).std(axis=(0, 2)) for one in z])  # [screens, F* + F]


def test_null_genes_have_the_stated_errors_on_every_fate(fits):
    np.testing.assert_allclose(spread(fits), 1, atol=0.13)


def test_one_dispersion_for_all_fates_would_not_have_done(fits):
    pooled = spread(fits, scatter=None)
    assert pooled.max() > 1.2
    assert pooled.min() < 0.85

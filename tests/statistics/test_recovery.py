"""Simulated truth and long NUTS runs against the whole fit."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.reference import compare, load_reference
from fatewalk.config import FitConfig, ModelConfig
from fatewalk.estimates.export import gene_posterior_table
from fatewalk.estimates.from_draws import posterior_moments
from fatewalk.evaluate.recovery import recovery_by_day, truth_for_contrast
from fatewalk.stages.fit_effects import fit_effects
from tests.conftest import make_design

ROOT = Path(__file__).parents[2]
REFERENCES = [ROOT / "tests" / "data" / "reference_posteriors" / "small_3fates_4days"]
REFERENCES += [  # the others lie beside the checkout, where they are at hand
    ROOT.parent / "shared" / "reference_posteriors" / name
    for name in ("lowmoi_4fates_3days", "perday_3fates_4days")
]


def test_a_simulated_screen_is_recovered():
    """Random-walk truth as the model has it: intervals cover, errors are of the size of the SDs."""
    screen, design = make_design(
        cells=6000, genes=30, guides_per_gene=4, moi=4, active_genes=30, effect_fates="independent",
        effect_patterns={"random_walk": 1}, seed=3,
    )  # fmt: skip
    posterior, card, _ = fit_effects(design, ModelConfig(), FitConfig())
    assert card["status"] == "converged"
    moments = posterior_moments(posterior, design, 2000, 1)
    for contrast, fate in enumerate(design.contrasts):
        truth = truth_for_contrast(screen.truth_theta, fate, "EC")
        found = (
            recovery_by_day(gene_posterior_table(moments, contrast, {}), truth)
            .set_index("day")
            .loc["overall"]
        )
        assert found["correlation"] > 0.9
        assert 0.9 < found["coverage95"] <= 1.0
        assert found["rmse"] < 1.2 * moments.theta_sd[:, contrast].mean()
    np.testing.assert_allclose(moments.tau_mean, 0.6, atol=0.25)
    np.testing.assert_allclose(moments.sigma_time_mean, 0.4, atol=0.2)


@pytest.fixture(scope="module", params=REFERENCES, ids=lambda folder: folder.name)
def reference(request):
    """A reference screen, its variant of the model, and its NUTS posterior."""
    if not request.param.exists():
        pytest.skip(f"no reference posterior {request.param.name} here")
    return load_reference(request.param)


def measure(reference, family):
    """Table of ``benchmarks.reference.compare`` for a fit at weight 1, which converged."""
    design, config, nuts = reference
    fit = FitConfig(family=family, likelihood_weight=1.0)
    posterior, card, _ = fit_effects(design, config, fit)
    assert card["status"] == "converged"
    return compare(posterior_moments(posterior, design, 6000, 1), design, nuts).set_index("what")


def test_structured_agrees_with_nuts(reference):
    """SDs of each contrast and day within 5 %, their spread within 6 %, means within 0.1 SD."""
    table = measure(reference, "structured")
    ratio = table.loc["theta SD / NUTS SD", "value"]
    assert ratio.between(0.95, 1.05).all(), ratio.tolist()
    assert table.loc["SD of log theta SD ratio", "value"] <= 0.06
    assert table.loc["theta: RMS of mean difference", "value"] <= 0.10
    assert table.loc["delta: RMS of mean difference", "value"] <= 0.10


def test_laplace_alone_is_near(reference):
    ratio = measure(reference, "laplace").loc["theta SD / NUTS SD", "value"]
    assert ratio.between(0.93, 1.10).all(), ratio.tolist()

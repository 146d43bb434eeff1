"""Likelihood-only estimates on simulated screens: honest errors, and no shrinkage."""

import numpy as np
import pytest

from fatewalk.config import FitConfig, ModelConfig
from fatewalk.estimates.from_draws import posterior_moments
from fatewalk.estimates.likelihood_only import likelihood_estimates
from fatewalk.stages.fit_effects import fit_effects
from tests.conftest import make_design


@pytest.fixture(scope="module")
def screens():
    """Three screens with a tenth of the gene-days active: truth, estimate, SD and posterior mean."""
    found = []
    for seed in (11, 12, 13):
        screen, design = make_design(
            cells=4000, genes=40, guides_per_gene=3, moi=3, active_genes=8, effect_size=[0.6, 1.2],
            labels="dirichlet", seed=seed,
        )  # fmt: skip
        posterior, card, _ = fit_effects(design, ModelConfig(), FitConfig(family="laplace"), progress=False)
        assert card["status"] == "converged"
        estimates = likelihood_estimates(posterior, design, posterior.rows(design))
        shape = (len(design.genes), len(design.contrasts), len(design.days))
        truth = screen.truth_theta.assign(day=screen.truth_theta["day"].astype(int))
        truth = truth[truth["fate"].isin(design.contrasts)].set_index(["gene", "fate", "day"])["theta"]
        index = [(g, f, d) for g in design.genes for f in design.contrasts for d in range(shape[2])]
        found.append(
            {
                "truth": truth.loc[index].to_numpy().reshape(shape),
                "mean": estimates.gene_mean,
                "sd": np.sqrt(np.einsum("lfdfd->lfd", estimates.gene_covariance)),
                "posterior": posterior_moments(posterior, design, 300, 1).theta_mean,
            }
        )
    return {name: np.concatenate([screen[name] for screen in found]) for name in found[0]}


def test_errors_of_null_gene_days_have_the_stated_size(screens):
    null = screens["truth"] == 0
    assert null.sum() > 500
    z = screens["mean"][null] / screens["sd"][null]
    assert 0.9 < z.std() < 1.1
    assert abs(z.mean()) < 0.35  # all genes of a day share the error of the intercept


def test_intervals_of_active_gene_days_cover(screens):
    active = screens["truth"] != 0
    z = (screens["mean"] - screens["truth"])[active] / screens["sd"][active]
    assert 0.85 < z.std() < 1.2


def test_large_effects_are_not_shrunk(screens):
    """The slope of estimate on truth; the posterior's is below one by what the prior takes away."""
    large = np.abs(screens["truth"]) > 0.5
    assert large.sum() > 40
    truth = screens["truth"][large]

    def slope(estimate):
        return (truth * estimate[large]).sum() / (truth**2).sum()

    error = np.sqrt(((truth * screens["sd"][large]) ** 2).sum()) / (truth**2).sum()
    assert abs(slope(screens["mean"]) - 1) < 3 * error
    assert slope(screens["posterior"]) < slope(screens["mean"]) - 0.02

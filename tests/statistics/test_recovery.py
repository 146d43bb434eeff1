"""Simulated truth and a long NUTS run against the whole fit."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fatewalk.config import DesignConfig, FitConfig, ModelConfig
from fatewalk.design import build_design
from fatewalk.evaluate import recovery_by_day, truth_for_contrast
from fatewalk.export import gene_table
from fatewalk.infer.fit import fit_effects
from fatewalk.posterior import posterior_moments
from tests.conftest import make_design

REFERENCE = Path(__file__).parents[1] / "data" / "reference_posteriors" / "small_3fates_4days"


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
        found = recovery_by_day(gene_table(moments, contrast, {}), truth).set_index("day").loc["overall"]
        assert found["correlation"] > 0.9
        assert 0.84 < found["coverage95"] <= 1.0
        assert found["rmse"] < 1.35 * moments.theta_sd[:, contrast].mean()
    np.testing.assert_allclose(moments.tau_mean, 0.6, atol=0.25)
    np.testing.assert_allclose(moments.sigma_time_mean, 0.4, atol=0.2)


@pytest.fixture(scope="module")
def reference():
    """The reference screen, and its NUTS posterior."""
    meta = json.loads((REFERENCE / "meta.json").read_text())
    cells = pd.read_parquet(REFERENCE / "cells.parquet").astype({"day": str, "rep": str})
    cells["time"] = pd.factorize(cells["day"], sort=True)[0].astype(float)
    calls = pd.read_parquet(REFERENCE / "guide_calls.parquet")
    guide_map = pd.read_csv(REFERENCE / "guide_map.csv")
    design, _ = build_design(cells, calls, guide_map, DesignConfig(), meta["fates"])
    config = ModelConfig(
        fates=meta["fates"], priors=meta["priors"], burden_slope="shared", replicate_effect="free"
    )
    with np.load(REFERENCE / "posterior.npz", allow_pickle=False) as arrays:
        nuts = {name: arrays[name] for name in arrays.files}
    return design, config, nuts


def test_gene_block_agrees_with_nuts(reference):
    """Means within a fifth of an SD; SDs short by what the coupling between genes carries."""
    design, config, nuts = reference
    posterior, card, _ = fit_effects(design, config, FitConfig())
    assert card["status"] == "converged"
    moments = posterior_moments(posterior, design, 2000, 1)
    order = [design.genes.index(gene) for gene in nuts["gene_names"]]
    mean, sd = moments.theta_mean[order], moments.theta_sd[order]
    error = (mean - nuts["theta_mean"]) / nuts["theta_sd"]
    assert np.sqrt((error**2).mean()) < 0.25
    ratio = np.exp(np.log(sd / nuts["theta_sd"]).mean(axis=0))  # [F*, D]
    assert (ratio > 0.72).all(), ratio
    assert (ratio < 1.02).all(), ratio

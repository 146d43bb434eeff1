"""Stage fit_effects: convergence, reproducibility, devices, files, the stopping rules."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch

from benchmarks.baselines import GeneBlock, MeanField
from fatewalk.config import FitConfig, ModelConfig
from fatewalk.core.errors import FatewalkError
from fatewalk.core.files import read_json, write_json
from fatewalk.diagnostics.centring import delta_verdict
from fatewalk.estimates.from_draws import posterior_moments
from fatewalk.infer import laplace, svi
from fatewalk.infer.families import NEWTON, Structured
from fatewalk.infer.fitted import load_posterior
from fatewalk.screen.design import save_design
from fatewalk.stages.export_effects import refuse
from fatewalk.stages.fit_effects import choose_device, fit_effects, write_fit
from tests.conftest import make_design

SHORT = FitConfig(max_steps=70)
LAPLACE = FitConfig(family="laplace")


@pytest.fixture(scope="module")
def short_fit(small_design):
    """70 steps on the small screen, with a limit that no drift meets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(svi, "DRIFT_MEAN_LIMIT", 1e-9)
        return fit_effects(small_design, ModelConfig(), SHORT)


def test_card_of_a_fit_that_ran_out_of_steps(short_fit):
    _, card, trace = short_fit
    assert card["status"] == "budget"
    assert card["steps"] == 70
    windows = trace[trace["phase"] == "svi"]
    assert windows["step"].tolist() == [35, 70]
    assert math.isnan(windows["drift_mean"].iloc[0])
    assert card["criterion"]["drift_mean"] == {"value": windows["drift_mean"].iloc[1], "limit": 1e-9}
    assert sum("Raise fit.max_steps" in warning for warning in card["warnings"]) == 1
    assert card["device"] == "cpu"
    assert card["seed"] == 1
    json.dumps(card)


def test_card_of_a_fit_that_ran_out_of_rounds(small_design, monkeypatch):
    """More steps of SVI would not help, and ``laplace`` takes none."""
    monkeypatch.setattr(laplace, "MAX_ROUNDS", 4)
    _, card, trace = fit_effects(small_design, ModelConfig(), LAPLACE)
    assert card["status"] == "budget"
    assert (card["rounds"], card["steps"], card["loss"]) == (4, 0, None)
    assert set(card["criterion"]) == {"newton_step", "scale_step", "weight_step", "common_shift_sd"}
    assert set(trace["phase"]) == {"laplace", "symmetric"}
    (warning,) = [w for w in card["warnings"] if w.startswith("Newton-Laplace used its 4 rounds")]
    assert f"(limit {laplace.SCALE_LIMIT:g})" in warning
    assert "max_steps" not in warning


def test_a_converged_fit_meets_every_limit_it_names(small_design):
    _, card, trace = fit_effects(small_design, ModelConfig(), FitConfig())
    assert card["status"] == "converged"
    assert len(card["criterion"]) == 6
    assert all(item["value"] <= item["limit"] for item in card["criterion"].values())
    rounds = trace[trace["phase"] == "laplace"]
    assert rounds["round"].tolist() == list(range(1, card["rounds"] + 1))
    assert card["criterion"]["newton_step"]["value"] == rounds["newton_step"].iloc[-1]


def test_the_same_seed_gives_the_same_posterior(small_design, short_fit):
    again, *_ = fit_effects(small_design, ModelConfig(), SHORT)
    other, *_ = fit_effects(small_design, ModelConfig(), FitConfig(max_steps=70, seed=2))
    for (name, first), second in zip(
        short_fit[0].family.state_dict().items(), again.family.state_dict().values(), strict=True
    ):
        assert torch.equal(first, second), name
    assert not torch.equal(
        short_fit[0].family.state_dict()["location_unconstrained"],
        other.family.state_dict()["location_unconstrained"],
    )


@pytest.mark.parametrize("family", ["structured", "laplace", GeneBlock, MeanField])
def test_files_restore_the_posterior_without_pickle(small_design, tmp_path, family):
    """Also that of a family from outside the package."""
    name, outside = (family, None) if isinstance(family, str) else ("structured", family)
    save_design(small_design, [f"c{i}" for i in range(small_design.n_cells)], tmp_path)
    results = fit_effects(small_design, ModelConfig(), FitConfig(max_steps=50, family=name), family=outside)
    paths = [tmp_path / name for name in ("posterior.pt", "card.json", "trace.csv")]
    write_fit(*results, tmp_path / "design.pt", *paths)
    restored = load_posterior(paths[0], small_design, family=outside)
    assert results[1]["family"] == restored.name == (outside.__name__ if outside else name)
    torch.manual_seed(0)
    first = results[0].family.draw(2)
    torch.manual_seed(0)
    second = restored.family.draw(2)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(restored.weight, results[0].weight)
    assert all(torch.equal(value, restored.laplace[name]) for name, value in results[0].laplace.items())
    assert len(json.loads(paths[1].read_text())["hash_of_config_and_design"]) == 64


def test_a_device_that_is_not_there_fails_loudly(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(FatewalkError, match=r"no CUDA device.*fit\.gpus: 1"):
        choose_device("cuda")
    device, reason = choose_device("auto")
    assert device.type == "cpu"
    assert "sees no CUDA device" in reason


def test_an_elbo_that_is_not_finite_is_called_diverged(small_design, monkeypatch, tmp_path):
    wild = dataclasses.replace(
        NEWTON, optimiser=lambda family: torch.optim.SGD(family.parameters(), lr=1e6), clip=math.inf
    )
    monkeypatch.setattr(Structured, "schedule", wild)
    posterior, card, trace = fit_effects(small_design, ModelConfig(), FitConfig(max_steps=300))
    assert card["status"] == "diverged"
    assert len(card["warnings"]) == 1
    assert list(trace) == [
        "phase", "step", "loss", "learning_rate", "drift_mean", "drift_sd",
        "round", "log_posterior", "newton_step", "scale_step", "weight_step", "solve_residual", "seconds",
    ]  # fmt: skip
    verdict = delta_verdict(posterior_moments(posterior, small_design, 100, 1), center_delta=True)
    write_json({"card": card, "verdict": verdict}, tmp_path / "both.json")
    with pytest.raises(FatewalkError, match="the fit diverged"):
        refuse(*read_json(tmp_path / "both.json").values(), "none")


def test_card_holds_the_keys_that_were_given_and_no_others(small_design, short_fit):
    assert short_fit[1]["config"] == {"model": {}, "fit": {"max_steps": 70}}


def test_drift_sees_a_shift_that_all_genes_share():
    """0.04 SD for each of 400 genes is 0.8 SD of their mean."""
    before, after = svi._Average([]), svi._Average([])
    for average, shift in ((before, 0.0), (after, 0.04)):
        average._location = {"z": torch.full((1, 400, 1), shift)}
        average._log_scale = {"z": torch.zeros(1, 400, 1)}
        average._readings = 1
    mean, sd = after.drift(before)
    assert mean == pytest.approx(0.8)
    assert sd == 0


@pytest.mark.parametrize(("labels", "expected"), [("one_hot", 1.0), ("dirichlet", 21.0)])
def test_weight_is_one_for_one_hot_and_large_for_soft_labels(labels, expected):
    """Within 3 %; and a wrong weight is named, with the cure."""
    _, design = make_design(
        cells=8000, genes=5, labels=labels, concentration=20, days=[0, 1], active_genes=1, moi=2
    )
    _, card, _ = fit_effects(design, ModelConfig(), LAPLACE)
    for weight in card["weight_by_day"].values():
        assert weight == pytest.approx(expected, rel=0.03)
    assert card["warnings"] == []
    _, card, _ = fit_effects(design, ModelConfig(), FitConfig(family="laplace", likelihood_weight=1.0))
    assert set(card["weight_by_day"].values()) == {1.0}
    assert any("about 1 / phi" in w for w in card["warnings"]) == (labels == "dirichlet")


CLUSTERED = {"cells": 600, "genes": 3, "days": [0, 1], "moi": 2, "active_genes": 1, "clusters": 5}


def test_clusters_do_not_hide_a_wrong_weight():
    """One below 1 is no mistake there, one far above 1 / phi is."""
    _, soft = make_design(**CLUSTERED, labels="dirichlet")
    _, hard = make_design(**CLUSTERED, labels="one_hot")
    told = [
        fit_effects(d, ModelConfig(), FitConfig(family="laplace", likelihood_weight=w))[1]["warnings"]
        for d, w in ((soft, 1.0), (hard, 0.6))
    ]
    assert [any("about 1 / phi" in w for w in warnings) for warnings in told] == [True, False]


@pytest.mark.parametrize("shared", [True, False])
def test_clusters_lower_the_weight_or_get_intercepts(shared):
    """Where a cluster shares its guides by rho, otherwise by a random intercept."""
    _, design = make_design(
        **{**CLUSTERED, "clusters": 60, "cells": 4800, "cluster_sd": 0.8}, cluster_shares_guides=shared
    )
    _, card, _ = fit_effects(design, ModelConfig(), LAPLACE)
    assert card["status"] == "converged"
    assert ("sigma_cluster" in card["scales"]) == (not shared)
    if shared:
        assert all(0.03 < rho < 0.3 for rho in card["rho_by_day"].values())
        assert all(weight < 0.6 for weight in card["weight_by_day"].values())
    else:
        assert card["rho_by_day"] is None
        for found in card["scales"]["sigma_cluster"].values():
            assert found["mean"] == pytest.approx(0.8, abs=4 * found["sd"])
            assert found["sd"] < 0.1


def test_gaps_agree_with_free_steps_on_equal_gaps():
    """One scale in place of one for each step: the same effects where the steps are alike."""
    _, design = make_design(
        cells=6000, genes=20, days=[0, 2, 4, 6], moi=3, active_genes=20, effect_patterns={"random_walk": 1}
    )
    found = {}
    for time_scale in ("free", "gaps"):
        posterior, card, _ = fit_effects(design, ModelConfig(time_scale=time_scale), LAPLACE)
        assert card["status"] == "converged"
        found[time_scale] = posterior_moments(posterior, design, 1000, 1)
    free, gaps = found["free"], found["gaps"]
    moved = (gaps.sigma_time_mean - free.sigma_time_mean) / free.sigma_time_sd  # [F*, D - 1]
    assert np.sqrt((moved**2).mean()) < 1.0
    assert np.abs(moved).max() < 2.5  # a scale that may be zero is far from normal
    narrower = gaps.sigma_time_sd / free.sigma_time_sd  # steps inform one another
    assert narrower.max() < 1
    assert narrower.mean() < 0.9
    assert float(abs((gaps.theta_mean - free.theta_mean) / free.theta_sd).max()) < 0.6


def test_a_constant_burden_drops_the_slope_and_the_fit_runs(small_design):
    design = dataclasses.replace(small_design, burden=torch.full_like(small_design.burden, 3.0))
    posterior, card, _ = fit_effects(design, ModelConfig(), LAPLACE)
    assert card["status"] == "converged"
    assert "gamma" not in posterior.family.draw(1)

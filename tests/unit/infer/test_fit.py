"""Stage fit_effects: convergence, reproducibility, devices, files, the stopping rule."""

import json
import math

import pytest
import torch

from fatewalk.check_delta import delta_verdict
from fatewalk.config import FitConfig, ModelConfig
from fatewalk.design import save_design
from fatewalk.errors import FatewalkError
from fatewalk.export import refuse
from fatewalk.infer import svi
from fatewalk.infer.fit import choose_device, dispersion, fit_effects, load_posterior, write_fit
from fatewalk.model.rows import make_rows
from fatewalk.posterior import posterior_moments
from tests.conftest import make_design

SHORT = FitConfig(max_steps=200)


@pytest.fixture(scope="module")
def short_fit(small_design):
    """200 steps on the small screen."""
    return fit_effects(small_design, ModelConfig(), SHORT)


def test_card_of_a_fit_that_ran_out_of_steps(short_fit):
    _, card, trace = short_fit
    assert card["status"] == "budget"
    assert card["steps"] == 200
    assert trace["step"].tolist() == [100, 200]
    assert math.isnan(trace["drift_mean"][0])
    assert card["criterion"]["drift_mean"] == trace["drift_mean"][1] > card["criterion"]["drift_mean_limit"]
    assert any("Raise fit.max_steps" in warning for warning in card["warnings"])
    assert card["device"] == "cpu"
    assert card["seed"] == 1
    json.dumps(card)


def test_the_same_seed_gives_the_same_posterior(small_design, short_fit):
    again, *_ = fit_effects(small_design, ModelConfig(), SHORT)
    other, *_ = fit_effects(small_design, ModelConfig(), FitConfig(max_steps=200, seed=2))
    for (name, first), second in zip(
        short_fit[0].guide.state_dict().items(), again.guide.state_dict().values(), strict=True
    ):
        assert torch.equal(first, second), name
    assert not torch.equal(
        short_fit[0].guide.state_dict()["location_unconstrained"],
        other.guide.state_dict()["location_unconstrained"],
    )


@pytest.mark.parametrize("guide", ["gene_block", "mean_field"])
def test_files_restore_the_posterior_without_pickle(small_design, tmp_path, guide):
    save_design(small_design, [f"c{i}" for i in range(small_design.n_cells)], tmp_path)
    results = fit_effects(small_design, ModelConfig(), FitConfig(max_steps=100, guide=guide))
    paths = [tmp_path / name for name in ("posterior.pt", "card.json", "trace.csv")]
    write_fit(*results, tmp_path / "design.pt", *paths)
    restored = load_posterior(paths[0])
    torch.manual_seed(0)
    first = results[0].guide.draw(2)
    torch.manual_seed(0)
    second = restored.guide.draw(2)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert len(json.loads(paths[1].read_text())["hash_of_config_and_design"]) == 64


def test_minibatches_end_near_the_full_batch(small_design):
    found = {}
    for batch_size in (None, 200):
        config = FitConfig(max_steps=800, batch_size=batch_size)
        posterior, *_ = fit_effects(small_design, ModelConfig(), config)
        found[batch_size] = [x.detach() for x in posterior.guide.location_scale()["alpha"]]
    (full, sd), (batched, _) = found[None], found[200]
    assert float(((full - batched) / sd).abs().max()) < 0.7


def test_a_device_that_is_not_there_fails_loudly(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(FatewalkError, match=r"no CUDA device.*fit\.gpus: 1"):
        choose_device("cuda")
    device, reason = choose_device("auto")
    assert device.type == "cpu"
    assert "sees no CUDA device" in reason


def test_an_elbo_that_is_not_finite_is_called_diverged(small_design, monkeypatch):
    monkeypatch.setattr(svi, "LEARNING_RATE", 1e4)
    posterior, card, trace = fit_effects(small_design, ModelConfig(), FitConfig(max_steps=300))
    assert card["status"] == "diverged"
    assert len(card["warnings"]) == 1
    assert list(trace) == ["step", "loss", "learning_rate", "drift_mean", "drift_sd"]
    verdict = delta_verdict(posterior_moments(posterior, small_design, 100, 1), center_delta=True)
    card, verdict = (json.loads(json.dumps(x).replace("NaN", "null")) for x in (card, verdict))
    with pytest.raises(FatewalkError, match="the fit diverged"):
        refuse(card, verdict, "none")


def test_card_holds_the_keys_that_were_given_and_no_others(small_design, short_fit):
    assert short_fit[1]["config"] == {"model": {}, "fit": {"max_steps": 200}}


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


@pytest.mark.parametrize(("labels", "expected"), [("one_hot", 1.0), ("dirichlet", 1 / 21)])
def test_dispersion_is_one_for_one_hot_and_small_for_soft_labels(labels, expected):
    _, design = make_design(
        cells=3000, genes=5, labels=labels, concentration=20, days=[0, 1], active_genes=1, moi=2
    )
    posterior, card, _ = fit_effects(design, ModelConfig(), FitConfig(max_steps=400))
    phi = dispersion(posterior, make_rows(design), design)
    torch.testing.assert_close(phi, torch.full_like(phi, expected), rtol=0.15, atol=0)
    assert any("about 1 / phi" in w for w in card["warnings"]) == (labels == "dirichlet")


def test_clusters_are_named_and_do_not_hide_a_wrong_weight():
    knobs = {"cells": 600, "genes": 3, "days": [0, 1], "moi": 2, "active_genes": 1, "clusters": 5}
    _, soft = make_design(**knobs, labels="dirichlet")
    _, hard = make_design(**knobs, labels="one_hot")
    told = [fit_effects(d, ModelConfig(), FitConfig(max_steps=100, likelihood_weight=w))[1]["warnings"]
            for d, w in ((soft, 1.0), (hard, 0.6))]  # fmt: skip
    assert all(any("clusters are not in the model" in w for w in warnings) for warnings in told)
    assert [any("about 1 / phi" in w for w in warnings) for warnings in told] == [True, False]

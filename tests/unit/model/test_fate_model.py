"""The Pyro program: the scale of the likelihood, priors, options, invariances."""

import dataclasses
import math

import pyro
import pytest
import torch
from pyro import poutine

from fatewalk.config import ModelConfig
from fatewalk.model import FateModel, make_terms
from fatewalk.model.rows import linear_predictor
from tests.conftest import make_design, rows_of


def trace_of(model, rows, seed=0):
    pyro.set_rng_seed(seed)
    trace = poutine.trace(model).get_trace(rows)
    trace.compute_log_prob()
    return trace


def latents_of(trace):
    return {name: site["value"] for name, site in trace.iter_stochastic_nodes() if name != "labels"}


@pytest.mark.parametrize("weight", [1.0, 0.25, 40.0])
@pytest.mark.parametrize("cells", [120, 480])
def test_likelihood_is_counted_once(cells, weight):
    """The site's log-probability is the analytic value, whatever the number of cells."""
    _, design = make_design(cells=cells, genes=3, ntc_guides=2, days=[0, 1], moi=2, active_genes=1)
    rows = rows_of(design).weighted(weight)
    model = FateModel(make_terms(design, ModelConfig()))
    trace = trace_of(model, rows)
    latents = latents_of(trace)
    eta = linear_predictor(rows, model.coefficients(latents, model.effects(latents)))
    log_pi = torch.cat([eta.new_zeros(len(eta), 1), eta], dim=1).log_softmax(dim=1)
    expected = weight * float((rows.target * log_pi).sum())
    assert float(trace.nodes["labels"]["log_prob_sum"]) == pytest.approx(expected, rel=1e-12)


def test_log_prior_is_that_of_the_config(small_design):
    config = ModelConfig(priors={"s_alpha": 1.5, "s_tau": 0.7, "s_guide": 2.0})
    trace = trace_of(FateModel(make_terms(small_design, config)), None)

    def log_prob(name):
        return float(trace.nodes[name]["log_prob_sum"])

    def normal(x, sd):
        return float((-0.5 * (x / sd) ** 2 - math.log(sd * math.sqrt(2 * math.pi))).sum())

    latents = latents_of(trace)
    assert log_prob("alpha") == pytest.approx(normal(latents["alpha"], 1.5))
    assert log_prob("z") == pytest.approx(normal(latents["z"], 1.0))
    n = latents["tau"].numel()
    assert log_prob("tau") == pytest.approx(normal(latents["tau"], 0.7) + n * math.log(2))
    shapes = {name: tuple(value.shape) for name, value in latents.items()}
    assert shapes["z"] == (2, 6, 3)
    assert shapes["sigma_time"] == (2, 2)
    assert shapes["gamma"] == (2, 3)


@pytest.mark.parametrize(("option", "shape"), [("per_day", (2, 3)), ("shared", (2, 1)), ("none", None)])
def test_burden_slope(small_design, option, shape):
    model = FateModel(make_terms(small_design, ModelConfig(burden_slope=option)))
    latents = latents_of(trace_of(model, None))
    assert (tuple(latents["gamma"].shape) if "gamma" in latents else None) == shape
    coefficients = model.coefficients(latents, model.effects(latents))
    assert len(coefficients) == 3 + 6 + (3 if shape else 0) + 3 * len(small_design.guides)
    if shape:
        slopes = coefficients[3 + 6 : 3 + 6 + 3]  # after 3 days and 2 replicates on each
        assert bool((slopes == slopes[0]).all()) == (option == "shared")


@pytest.mark.parametrize(("s_rep_day", "size"), [(0.4, 2 + 6), (0, 2)])
def test_replicate_effects_sum_to_zero(small_design, s_rep_day, size):
    model = FateModel(make_terms(small_design, ModelConfig(priors={"s_rep_day": s_rep_day})))
    latents = latents_of(trace_of(model, None))
    assert latents["b"].shape == (2, size)
    b = model.coefficients(latents, model.effects(latents))[3 : 3 + 6].reshape(3, 2, 2)  # day, replicate
    assert b.sum(dim=1).abs().max() < 1e-12 < b.abs().min()
    assert bool((b == b[0]).all()) == (s_rep_day == 0)


def test_one_day_one_replicate_two_fates():
    _, design = make_design(cells=100, genes=3, days=[5], replicates=1, fates=["A", "B"], active_genes=1)
    rows = rows_of(design)
    trace = trace_of(FateModel(make_terms(design, ModelConfig(fates=["A", "B"]))), rows)
    assert "sigma_time" not in trace.nodes
    assert "b" not in trace.nodes
    assert torch.isfinite(trace.nodes["labels"]["log_prob_sum"])


def test_debug_check_passes_when_centred_and_catches_a_broken_centring(small_design, monkeypatch):
    model = FateModel(make_terms(small_design, ModelConfig()), debug=True)
    trace_of(model, None)
    monkeypatch.setattr("fatewalk.model.terms.center_within_gene", lambda u, *_: u)
    with pytest.raises(AssertionError, match="not centred"):
        trace_of(model, None)


def test_uncentred_delta_keeps_the_gene_mean(small_design):
    model = FateModel(make_terms(small_design, ModelConfig(center_delta=False)))
    latents = latents_of(trace_of(model, None))
    expected = latents["sigma_guide"][:, None] * latents["u"]
    torch.testing.assert_close(model.effects(latents).delta, expected)


def test_no_in_place_error_under_anomaly_detection(small_design):
    rows = rows_of(small_design)
    model = FateModel(make_terms(small_design, ModelConfig()), debug=True)
    shapes = {k: v.shape for k, v in latents_of(trace_of(model, None)).items()}
    values = {k: torch.full(s, 0.3, dtype=torch.float64, requires_grad=True) for k, s in shapes.items()}
    with torch.autograd.set_detect_anomaly(True):
        trace_of(poutine.condition(model, data=values), rows).log_prob_sum().backward()
    for name in ("z", "tau", "alpha", "gamma", "u"):
        assert values[name].grad is not None, name
        assert torch.isfinite(values[name].grad).all(), name


def test_a_burden_that_never_varies_within_a_day_has_no_slope(small_design):
    design = dataclasses.replace(small_design, burden=2.0 + small_design.day.double())
    latents = latents_of(trace_of(FateModel(make_terms(design, ModelConfig())), None))
    assert "gamma" not in latents


def test_steps_follow_the_gaps(small_design):
    """Days 0, 1, 3: the median gap is 1.5; a step's SD grows with the square root of its gap."""
    model = FateModel(make_terms(small_design, ModelConfig(time_scale="gaps")))
    trace = trace_of(model, None)
    latents = latents_of(trace)
    assert "sigma_time" not in latents
    assert tuple(latents["s_gap"].shape) == (2,)
    assert tuple(latents["e_gap"].shape) == (2, 2)
    flat = latents | {"e_gap": torch.zeros(2, 2).double(), "s_gap": torch.tensor([0.2, 0.5]).double()}
    expected = torch.tensor([[0.2], [0.5]]).double() * torch.tensor([[1 / 1.5, 2 / 1.5]]).double().sqrt()
    torch.testing.assert_close(model.day_scales(flat)[:, 1:], expected)
    up = flat | {"e_gap": torch.ones(2, 2).double()}
    torch.testing.assert_close(model.day_scales(up)[:, 1:], expected * math.exp(0.3))
    s, prior = latents["s_gap"], ModelConfig().priors.s_time
    half_normal = -0.5 * (s / prior) ** 2 + math.log(2) - math.log(prior * math.sqrt(2 * math.pi))
    assert float(trace.nodes["s_gap"]["log_prob_sum"]) == pytest.approx(float(half_normal.sum()))
    theta = model.effects(latents).theta
    steps = model.day_scales(latents)[:, None, 1:] * latents["z"][..., 1:]
    torch.testing.assert_close(theta.diff(dim=-1), steps)

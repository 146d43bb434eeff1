"""On a GPU the fit is that of the CPU, phase by phase. Left out where there is no CUDA device."""

import numpy as np
import pytest
import torch

from fatewalk.config import FitConfig, ModelConfig
from fatewalk.estimates.from_draws import posterior_moments
from fatewalk.estimates.likelihood_only import label_evidence, likelihood_estimates
from fatewalk.infer.checkpoint import Checkpoint
from fatewalk.infer.fitted import load_posterior
from fatewalk.screen.design import save_design
from fatewalk.stages.fit_effects import fit_effects, write_fit
from tests.conftest import CutOff

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

CONFIG = ModelConfig()
FITS = {
    "laplace": {"family": "laplace"},
    "structured": {"max_steps": 200},
    "blocks": {"max_steps": 200, "dense_limit": 1},
    "fixed weight": {"family": "laplace", "likelihood_weight": 0.7},
}


def fit_on(device, design, checkpoint=None, **settings):
    """Posterior and card of a fit on one device."""
    return fit_effects(design, CONFIG, FitConfig(device=device, **settings), False, checkpoint)[:2]


def assert_close(first, second, tolerance):
    """Every array of two states, relative to its largest entry; missing in the same places."""
    assert set(first) == set(second)
    for name, value in first.items():
        one, other = (np.asarray(x, dtype=float) for x in (value, second[name]))
        scale = max(np.nanmax(abs(one)), 1e-8)
        assert np.allclose(one / scale, other / scale, rtol=0, atol=tolerance, equal_nan=True), name


@pytest.fixture(scope="module", params=FITS)
def both(request, small_design):
    """The same fit on the CPU and on CUDA."""
    return [fit_on(device, small_design, **FITS[request.param]) for device in ("cpu", "cuda")]


def test_the_card_names_the_device(both):
    (_, on_cpu), (_, on_cuda) = both
    assert (on_cpu["device"], on_cuda["device"]) == ("cpu", "cuda")
    assert torch.cuda.get_device_name() in on_cuda["device_reason"]
    assert (on_cpu["status"], on_cpu["rounds"]) == (on_cuda["status"], on_cuda["rounds"])


def test_both_laplace_passes_end_where_those_of_the_cpu_end(both):
    (cpu, _), (cuda, _) = both
    assert_close(cpu.laplace, cuda.laplace, 1e-5)
    assert_close(cpu.symmetric, cuda.symmetric, 1e-5)
    assert_close({"weight": cpu.weight}, {"weight": cuda.weight}, 1e-6)


def test_estimates_are_those_of_the_cpu(both, small_design):
    evidence = [vars(label_evidence(fit, small_design)) for fit, _ in both]
    estimates = [vars(likelihood_estimates(fit, small_design, fit.rows(small_design))) for fit, _ in both]
    assert_close(*evidence, 1e-4)
    assert_close(*estimates, 1e-4)


def test_posterior_means_and_sds_are_those_of_the_cpu(both, small_design):
    """Noise is drawn on the CPU, so that both take the same steps, up to rounding."""
    first, second = (posterior_moments(fit, small_design, 200, seed=1) for fit, _ in both)
    moved = abs(first.theta_mean - second.theta_mean) / first.theta_sd
    assert moved.max() < 0.02
    assert abs(second.theta_sd / first.theta_sd - 1).max() < 0.02


@pytest.mark.parametrize("after", [3, 60])
def test_a_fit_on_cuda_resumes_from_its_checkpoint(small_design, tmp_path, after):
    path = tmp_path / "checkpoint-x.pt"
    settings = FITS["structured"]
    whole, _ = fit_on("cuda", small_design, **settings)
    with pytest.raises(SystemExit):
        fit_on("cuda", small_design, CutOff(path, after), **settings)
    resumed, _ = fit_on("cuda", small_design, Checkpoint(path), **settings)
    assert_close(whole.family.state_dict(), resumed.family.state_dict(), 1e-6)


def test_a_fit_on_cuda_is_read_where_there_is_none(small_design, tmp_path):
    """Files hold tensors of the CPU."""
    save_design(small_design, [f"c{i}" for i in range(small_design.n_cells)], tmp_path)
    results = fit_effects(small_design, CONFIG, FitConfig(device="cuda", max_steps=50), False)
    write_fit(
        *results, *(tmp_path / name for name in ("design.pt", "posterior.pt", "card.json", "trace.csv"))
    )
    restored = load_posterior(tmp_path / "posterior.pt", small_design)
    assert all(value.device.type == "cpu" for value in restored.family.state_dict().values())
    assert all(value.device.type == "cpu" for value in restored.laplace.values())

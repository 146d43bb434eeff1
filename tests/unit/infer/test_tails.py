"""The noise of log scales: its shape and its derivatives."""

import math

import numpy as np
import pytest
import torch
from scipy.special import erfinv, ndtr
from scipy.stats import halfnorm

from fatewalk.config import FitConfig, ModelConfig
from fatewalk.infer.tails import bent, slope_and_bend
from fatewalk.stages.fit_effects import fit_effects
from tests.conftest import make_design

NOISE = torch.tensor([-7.0, -2.0, -0.3, 0.0, 1.0, 4.0], dtype=torch.float64)
SHARES = [0.0, 0.3, 1.0]


@pytest.mark.parametrize("share", SHARES)
def test_between_a_normal_and_a_half_normal_distribution(share):
    quantiles = math.sqrt(2) * erfinv(ndtr(NOISE.numpy()))  # of |N(0, 1)|
    whole = math.sqrt(2) * torch.from_numpy(np.log(quantiles))
    found = bent(NOISE, torch.tensor(share, dtype=torch.float64))
    torch.testing.assert_close(
        found, (1 - share) * NOISE + share * whole, rtol=1e-6, atol=0
    )  # erfinv of torch


@pytest.mark.parametrize("share", SHARES)
def test_derivatives(share):
    share = torch.tensor(share, dtype=torch.float64)
    e = NOISE.clone().requires_grad_()
    slope, bend = slope_and_bend(e, share)
    by_e = torch.autograd.grad(bent(e, share).sum(), e)[0]
    torch.testing.assert_close(slope.detach(), by_e, rtol=1e-7, atol=0)
    second = torch.autograd.grad(slope.sum(), e)[0]
    torch.testing.assert_close(bend.detach(), second, rtol=1e-5, atol=1e-9)
    assert bool((slope > 0).all())


def test_a_scale_of_which_the_data_say_nothing_keeps_its_prior():
    """And a log-normal one would hardly ever be below a tenth of the prior's scale."""
    _, design = make_design(cells=30, genes=3, days=[0, 2], moi=2, active_genes=0)
    posterior, _, _ = fit_effects(design, ModelConfig(), FitConfig(family="laplace", likelihood_weight=1e-3))
    draws = (
        posterior.family.draw(20_000)["sigma_time"].detach().flatten().numpy() / ModelConfig().priors.s_time
    )
    shares = [0.02, 0.05, 0.25, 0.5, 0.9]
    np.testing.assert_allclose(np.quantile(draws, shares), halfnorm.ppf(shares), rtol=0.05)

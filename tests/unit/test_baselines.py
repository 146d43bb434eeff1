"""Posterior families from outside the package: what they draw is what they score."""

import math

import pytest
import torch
from pyro import poutine

from benchmarks.baselines import BASELINES, GeneBlock, MeanField, unfold
from fatewalk.infer.families import make_family
from fatewalk.model import FateModel
from tests.conftest import laplace_fit


@pytest.fixture(scope="module")
def fitted(small_design):
    """Model, rows and Laplace approximation of the small screen."""
    laplace = laplace_fit(small_design)
    return FateModel(laplace.coordinates.terms), laplace.rows, laplace.state()


def shake(family):
    """Move all parameters away from their start."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for p in family.parameters():
            p.add_(0.1 * torch.randn(p.shape, dtype=p.dtype, generator=generator))
    return family


@pytest.mark.parametrize("baseline", BASELINES.values())
def test_draws_have_the_location_and_scale_that_the_family_tells(fitted, baseline):
    model, _, laplace = fitted
    family = shake(make_family(baseline, model, laplace))
    torch.manual_seed(0)
    draws = family.draw(20000)
    for site, (location, scale) in family.location_scale().items():
        positive = site in {"tau", "sigma_time", "sigma_guide"}
        unconstrained = draws[site].log() if positive else draws[site]
        z = (unconstrained.mean(dim=0) - location) / scale * math.sqrt(20000)
        assert float(z.detach().abs().max()) < 5, site
        ratio = unconstrained.std(dim=0) / scale
        torch.testing.assert_close(ratio, torch.ones_like(ratio), atol=0.03, rtol=0)


def test_gene_block_scores_its_own_draws_exactly(fitted):
    """The density of a draw is that of the multivariate normal with the covariance it draws from."""
    model, _, laplace = fitted
    family = shake(make_family(GeneBlock, model, laplace))
    torch.manual_seed(1)
    trace = poutine.trace(family).get_trace(None)
    site = trace.nodes["_GeneBlock_latent"]
    packed, found = site["value"], float(site["fn"].log_prob(site["value"]))

    torch.manual_seed(1)
    noise = torch.randn(family.latent_dim, dtype=torch.float64)
    torch.testing.assert_close(family.from_noise(noise), packed)
    jacobian = torch.autograd.functional.jacobian(family.from_noise, noise)
    expected = -0.5 * float((noise**2).sum()) - 0.5 * len(noise) * math.log(2 * math.pi)
    assert found == pytest.approx(expected - float(torch.linalg.slogdet(jacobian).logabsdet))


def test_gene_block_couples_days_and_contrasts_of_a_gene_and_nothing_else(fitted):
    model, _, laplace = fitted
    family = shake(make_family(GeneBlock, model, laplace))
    jacobian = torch.autograd.functional.jacobian(family.from_noise, torch.zeros(family.latent_dim).double())
    covariance = jacobian @ jacobian.T
    is_coupled = (covariance.abs() > 1e-12).sum(dim=1)
    t = model.terms
    assert sorted(set(is_coupled.tolist())) == [1, t.n_contrasts * t.n_days]
    assert int((is_coupled > 1).sum()) == t.n_contrasts * t.n_days * t.n_genes


def test_unfold_applies_the_factor_gene_by_gene():
    torch.manual_seed(0)
    factor = torch.randn(5, 6, 6, dtype=torch.float64)
    step = torch.randn(4, 2, 5, 3, dtype=torch.float64)  # draws, contrasts, genes, days
    found = unfold(factor, step)
    block = step[1, :, 2, :].reshape(-1)
    torch.testing.assert_close(found[1, :, 2, :].reshape(-1), factor[2] @ block)


def test_baselines_start_at_the_mode_for_fixed_scales(fitted):
    """No small step of any latent variable raises the joint density."""
    model, rows, laplace = fitted
    scales = {"tau", "sigma_time", "sigma_guide"}
    start = make_family(GeneBlock, model, laplace).location_scale()
    assert start.keys() > scales
    values = {
        name: location.detach().exp() if name in scales else location.detach().requires_grad_()
        for name, (location, _) in start.items()
    }
    trace = poutine.trace(poutine.condition(model, data=values)).get_trace(rows)
    trace.log_prob_sum().backward()
    for name in values.keys() - scales:
        assert float((values[name].grad * start[name][1]).abs().max()) < 0.1, name


def test_training_leaves_the_laplace_approximation_alone(fitted):
    model, _, laplace = fitted
    before = {name: value.clone() for name, value in laplace.items()}
    shake(make_family(MeanField, model, laplace))
    assert all(torch.equal(before[name], laplace[name]) for name in before)


@pytest.mark.parametrize("baseline", BASELINES.values())
def test_saved_parameters_restore_the_posterior(fitted, baseline):
    model, _, laplace = fitted
    family = shake(make_family(baseline, model, laplace))
    copy = make_family(baseline, model, laplace)
    copy.load_state_dict(family.state_dict())
    torch.manual_seed(0)
    first = family.draw(3)
    torch.manual_seed(0)
    second = copy.draw(3)
    for site in first:
        torch.testing.assert_close(first[site], second[site], atol=0, rtol=0)

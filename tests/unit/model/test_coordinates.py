"""Coordinates and information against automatic derivatives of the model itself, on tiny screens."""

import dataclasses
import math

import pytest
import torch
from pyro import poutine
from torch.autograd.functional import hessian

from fatewalk.config import ModelConfig
from fatewalk.infer.families import make_family
from fatewalk.infer.laplace import SCALE_LIMIT
from fatewalk.model import FateModel, make_terms
from fatewalk.model.coordinates import Coordinates
from fatewalk.model.information import RowIndex, curvature, fate_probabilities, information
from fatewalk.model.rows import make_rows
from tests.conftest import laplace_fit, make_design

TINY = {"cells": 120, "genes": 3, "guides_per_gene": {1: 1, 3: 1}, "ntc_guides": 2, "days": [0, 1, 4],
        "moi": 2, "active_genes": 2, "seed": 1}  # fmt: skip


def with_covariates(design):
    generator = torch.Generator().manual_seed(7)
    values = torch.randn(design.n_cells, 2, generator=generator, dtype=torch.float64)
    return dataclasses.replace(design, covariates=values, covariate_names=("x", "y"))


def tiny(**knobs):
    return make_design(**{**TINY, **knobs})[1]


CASES = {
    "plain": (tiny, {}),
    "shared_slope": (tiny, {"burden_slope": "shared"}),
    "no_slope": (tiny, {"burden_slope": "none"}),
    "uncentred": (tiny, {"center_delta": False}),
    "gaps": (tiny, {"time_scale": "gaps"}),
    "covariates": (lambda: with_covariates(tiny()), {}),
    "clusters": (lambda: tiny(clusters=4), {}),
    "everything": (lambda: with_covariates(tiny(clusters=2)), {"burden_slope": "shared"}),
    "one_day_one_replicate": (lambda: tiny(days=[2], replicates=1), {}),
    "two_fates": (lambda: tiny(fates=["A", "B"]), {"fates": ["A", "B"]}),
}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    """Design, coordinates and rows with unequal weights."""
    make, options = CASES[request.param]
    design = make()
    model = FateModel(make_terms(design, ModelConfig(**options)))
    rows = make_rows(design, model.terms)
    generator = torch.Generator().manual_seed(2)
    weight = 0.5 + torch.rand(len(rows), generator=generator, dtype=torch.float64)
    return design, Coordinates(model.terms), rows.weighted(weight)


def some(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def coefficients_of_model(c, vector, y):
    """The model's own coefficients at scales and standardised coordinates, [Q, F*]."""
    means = y.new_zeros(len(y), c.n_means)
    latents = c.scales.latents(vector) | c.latents(y, means)
    model = FateModel(c.terms)
    return model.coefficients(latents, model.effects(latents))


def log_posterior(c, rows, vector):
    """Log density of y at fixed scales, by the model's own formulas and a dense matrix."""
    matrix = rows.matrix.to_dense()

    def value(flat):
        y = flat.view(c.terms.n_contrasts, c.size)
        pi = fate_probabilities(matrix @ coefficients_of_model(c, vector, y))
        return (rows.weight[:, None] * rows.target * pi.log()).sum() - 0.5 * flat.square().sum()

    return value


def test_coordinates_mean_what_the_model_means(case):
    """Unpacked into latent variables they give the coefficients of their own linear map."""
    _, c, _ = case
    vector = c.scales.start(0.5) + 0.3 * some(c.scales.size)
    y = some(c.terms.n_contrasts, c.size, seed=1)
    x = c.sd(c.scales.log_scales(vector)) * y
    torch.testing.assert_close(c.coefficients(x).T, coefficients_of_model(c, vector, y))


def test_mean_directions_change_no_coefficient_and_are_orthonormal_to_the_others(case):
    """The u of a gene are a rotation of its directions and its mean: independent standard normals."""
    _, c, _ = case
    F, G = c.terms.n_contrasts, c.terms.n_guides
    assert c.n_directions + c.n_means == G
    eye = torch.eye(F * G, dtype=torch.float64).view(F * G, F, G)
    y = torch.cat([torch.zeros(F * G, F, c.size - c.n_directions).double(), eye[..., : c.n_directions]], -1)
    u = c.latents(y, eye[..., c.n_directions :])["u"].reshape(F * G, F * G)
    torch.testing.assert_close(u @ u.T, torch.eye(F * G, dtype=torch.float64))


def test_adjoint_is_the_transpose(case):
    _, c, _ = case
    x, gradient = some(4, 2, c.size), some(4, 2, c.terms.n_columns, seed=1)
    left = (c.coefficients(x) * gradient).sum(dim=(1, 2))
    right = (x * c.adjoint(gradient)).sum(dim=(1, 2))
    torch.testing.assert_close(left, right)


def test_day_map_gives_the_coefficients_of_a_day(case):
    _, c, rows = case
    x = some(c.size)
    whole, local = c.coefficients(x), c.terms.local()
    columns, first = rows.matrix.col_indices(), c.terms.first_guide
    row = torch.repeat_interleave(torch.arange(len(rows)), rows.matrix.crow_indices().diff())
    theta = x[c.walk].view(c.terms.n_days, c.terms.n_genes).cumsum(dim=0)
    for day in range(c.terms.n_days):
        of_day = c.day_map(day) @ torch.cat([x[: c.n_nuisance], theta[day], x[c.directions]])
        used = columns[rows.day[row] == day].unique()
        assert set((used[used >= first] - first).div(c.terms.n_guides, rounding_mode="floor").tolist()) <= {
            day
        }
        torch.testing.assert_close(of_day[local[used]], whole[used])


def test_information_is_the_hessian_of_the_model(case, monkeypatch):
    monkeypatch.setattr("fatewalk.model.information.PAIRS", 200)  # many blocks
    _, c, rows = case
    vector = c.scales.start(0.5) + 0.3 * some(c.scales.size)
    y = some(c.terms.n_contrasts, c.size, seed=1)
    expected = -hessian(log_posterior(c, rows, vector), y.reshape(-1))
    sd = c.sd(c.scales.log_scales(vector))
    eta = rows.matrix @ c.coefficients(sd * y).T
    found = information(RowIndex(rows, c), c, curvature(rows, fate_probabilities(eta)))
    found = sd.reshape(-1)[:, None] * found * sd.reshape(-1) + torch.eye(sd.numel(), dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


def test_prior_of_the_scales_is_that_of_the_model(case):
    """Slope and curvature of the log prior of the unconstrained scales, by finite differences."""
    _, c, _ = case
    vector = c.scales.start(0.7) + 0.2 * some(c.scales.size)
    sites = c.terms.sites()

    def log_prior(v):
        total = v.new_zeros(())
        for name, value in c.scales.latents(v).items():
            total = total - 0.5 * (value / sites[name].scale).square().sum()
            total = total + (value.log().sum() if sites[name].is_scale else 0)  # of the change of variables
        return total

    slope, bend = c.scales.prior_slope_and_curvature(vector)
    v = vector.clone().requires_grad_()
    torch.testing.assert_close(torch.autograd.grad(log_prior(v), v)[0], slope)
    torch.testing.assert_close(-hessian(log_prior, vector), torch.diag(bend))
    steps = c.scales.log_scales(vector)[:, : c.terms.n_days].exp()
    torch.testing.assert_close(FateModel(c.terms).day_scales(c.scales.latents(vector)), steps)


# ------------------------------------------------------------------ Newton-Laplace


@pytest.fixture(scope="module")
def laplace(case):
    """Fit at weights of one."""
    design, c, _ = case
    return laplace_fit(design, terms=c.terms)


def factor_of(laplace):
    """Lower Cholesky factor of the information of y."""
    return laplace.state()["factor"]


def gaussian(laplace):
    """The likelihood as a Gaussian in x: information W [P, P] and linear term h [P]."""
    c = laplace.coordinates
    sd = c.sd(c.scales.log_scales(laplace.vector)).reshape(-1)
    precision = factor_of(laplace) @ factor_of(laplace).T - torch.eye(len(sd), dtype=torch.float64)
    W = precision / sd[:, None] / sd
    x = sd * laplace.y.reshape(-1)
    return W, W @ x + x / sd.square()


def mode_at(c, W, h, vector):
    """Mode of y at other scales, and its precision."""
    sd = c.sd(c.scales.log_scales(vector)).reshape(-1)
    precision = sd[:, None] * W * sd + torch.eye(len(sd), dtype=torch.float64)
    return torch.linalg.solve(precision, sd * h), precision


def test_mode_and_factor_are_those_of_the_model(case, laplace):
    _, c, rows = case
    value = log_posterior(c, rows.weighted(1.0), laplace.vector)
    y = laplace.y.reshape(-1).clone().requires_grad_()
    gradient = torch.autograd.grad(value(y), y)[0]
    precision = factor_of(laplace) @ factor_of(laplace).T
    length = float((gradient @ torch.linalg.solve(precision, gradient)).sqrt())
    assert length < 0.02  # in posterior SDs
    torch.testing.assert_close(precision, -hessian(value, y.detach()), rtol=1e-6, atol=1e-6)
    variance = torch.linalg.inv(precision).diagonal()
    torch.testing.assert_close(laplace.ratio.reshape(-1), variance)


def test_scales_are_at_the_maximum_of_their_marginal_posterior(laplace):
    """Gradient and curvature by differentiating the Gaussian marginal likelihood."""
    c = laplace.coordinates
    W, h = gaussian(laplace)

    def log_marginal(vector):
        y, precision = mode_at(c, W, h, vector)
        sd = c.sd(c.scales.log_scales(vector)).reshape(-1)
        return 0.5 * (sd * h) @ y - 0.5 * torch.linalg.slogdet(precision).logabsdet

    slope, bend = c.scales.prior_slope_and_curvature(laplace.vector)
    vector = laplace.vector.clone().requires_grad_()
    gradient = torch.autograd.grad(log_marginal(vector), vector)[0] + slope
    covariance = laplace.scale_factor @ laplace.scale_factor.T
    assert float((covariance @ gradient).abs().max()) < 2 * SCALE_LIMIT
    precision = torch.diag(bend) - hessian(log_marginal, laplace.vector)
    values = torch.linalg.eigvalsh(precision)
    if float(values.min()) > 0.5:  # else the engine keeps the covariance from exploding
        torch.testing.assert_close(
            torch.linalg.inv(covariance), precision, rtol=1e-4, atol=1e-4 * float(values.max())
        )


def test_slope_and_ratio_tell_how_the_mode_moves_with_the_scales(laplace):
    c = laplace.coordinates
    W, h = gaussian(laplace)
    expected = torch.autograd.functional.jacobian(lambda v: mode_at(c, W, h, v)[0], laplace.vector)
    of_scale = c.scales.matrix[:, c.scale_of.clamp(min=0)]  # [F*, p, S]
    of_scale = of_scale * (c.scale_of >= 0)[None, :, None]
    own = (2 * laplace.ratio - 1) * laplace.y  # d/dt of y exp(t) (1 + q) / (exp(2 t) + q) at 0
    found = laplace.slope + (own[..., None] * of_scale).reshape(len(h), -1)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_laplace_draws_have_the_inverse_information_as_covariance(case, laplace):
    """At fixed scales the family is linear in its noise, and exactly this Gaussian."""
    _, c, _ = case
    state = laplace.state()
    state["scale_factor"] = torch.zeros_like(state["scale_factor"])
    family = make_family("laplace", FateModel(c.terms), state)
    n = len(laplace.vector)
    means = torch.zeros(c.terms.n_contrasts * c.n_means, dtype=torch.float64)

    def coefficients(e):
        latents, _ = family._unpack(torch.cat([torch.zeros(n, dtype=torch.float64), e]), means)
        positive = set(c.scales.shapes) - {"e_gap"}
        latents = {k: v.exp() if k in positive else v for k, v in latents.items()}
        model = FateModel(c.terms)
        return model.coefficients(latents, model.effects(latents)).T.reshape(-1)

    linear = torch.autograd.functional.jacobian(coefficients, torch.zeros(laplace.y.numel()).double())
    sd = c.sd(c.scales.log_scales(laplace.vector))
    covariance = torch.linalg.inv(factor_of(laplace) @ factor_of(laplace).T)
    covariance = sd.reshape(-1)[:, None] * covariance * sd.reshape(-1)
    eye = torch.eye(laplace.y.numel(), dtype=torch.float64).view(-1, *laplace.y.shape)
    to_coefficients = c.coefficients(eye).reshape(len(eye), -1)  # [P, F* Q]
    torch.testing.assert_close(linear @ linear.T, to_coefficients.T @ covariance @ to_coefficients)


# ------------------------------------------------------------------ the structured family


def shaken(family, size=0.3):
    """Move the parameters away from the Laplace approximation."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for p in family.parameters():
            p.add_(size * torch.randn(p.shape, dtype=p.dtype, generator=generator))
    return family


def test_structured_guide_scores_its_own_draws_exactly(case, laplace):
    """Log density of a draw of all unconstrained latents: noise density over |Jacobian| of the map."""
    _, c, _ = case
    family = shaken(make_family("structured", FateModel(c.terms), laplace.state()))
    torch.manual_seed(1)
    trace = poutine.trace(family).get_trace(None)
    site = trace.nodes["_Structured_latent"]
    noise = family.noise.clone()
    assert float(family.tail.max()) > 0.1

    def packed(e):
        n = len(e) - family._n_means
        place, _ = family._unpack(family._standard(e[:n]), e[n:])
        return torch.cat([place[name].reshape(-1) for name in family._unconstrained_shapes])

    torch.testing.assert_close(packed(noise), site["value"])
    jacobian = torch.autograd.functional.jacobian(packed, noise)
    assert jacobian.shape[0] == jacobian.shape[1]
    expected = -0.5 * float(noise @ noise) - 0.5 * len(noise) * math.log(2 * math.pi)
    expected -= float(torch.linalg.slogdet(jacobian).logabsdet)
    assert float(site["fn"].log_density.detach()) == pytest.approx(expected, rel=1e-9)


def test_the_gradient_of_the_density_is_its_slope(case, laplace):
    """Along the draw with the parameters held, which path derivatives need."""
    _, c, _ = case
    family = shaken(make_family("structured", FateModel(c.terms), laplace.state()))
    torch.manual_seed(1)
    n = len(family.vector) + family.y.numel()
    e = torch.randn(n, dtype=torch.float64)

    def place_and_density(e):
        with torch.no_grad():
            standard = family._standard(e)
            return standard, family._held_density(e, standard)

    standard = family._standard(e).detach().requires_grad_()
    found = torch.autograd.grad(family._held_density(e, standard), standard)[0]
    for k in (0, len(family.vector) - 1, len(family.vector), n - 1):
        step = torch.zeros(n, dtype=torch.float64)
        step[k] = 1e-5
        (right, above), (left, below) = place_and_density(e + step), place_and_density(e - step)
        assert float((above - below) / (right - left)[k]) == pytest.approx(float(found[k]), rel=1e-6)


def test_noise_comes_in_mirrored_pairs(case, laplace):
    _, c, _ = case
    family = make_family("structured", FateModel(c.terms), laplace.state())
    torch.manual_seed(5)
    draws = []
    for _ in range(4):
        family(None)
        draws.append(family.noise.clone())
    # setting the family up drew once already
    pairs = [(0, 1), (2, 3)] if torch.equal(draws[0], -draws[1]) else [(1, 2)]
    assert all(torch.equal(draws[i], -draws[j]) for i, j in pairs)
    assert not torch.equal(draws[0].abs(), draws[3].abs())

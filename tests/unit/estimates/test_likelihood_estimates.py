"""Likelihood-only estimates against brute force: one dense regression with one flat prior."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from fatewalk.config import FitConfig, ModelConfig
from fatewalk.estimates.likelihood_only import _solve_seen, likelihood_estimates
from fatewalk.infer.scatter import Scatter
from fatewalk.model.coordinates import Coordinates
from fatewalk.model.information import RowIndex, curvature, fate_probabilities, information
from fatewalk.model.rows import linear_predictor
from fatewalk.stages.fit_effects import fit_effects

UNSEEN_GENE, UNSEEN_DAY, NEVER_SEEN = 3, 1, 4


def without_calls(design, gone):
    """The design without the guide calls of a mask [E]; its counts follow."""
    cell = torch.repeat_interleave(torch.arange(design.n_cells), design.cell_offsets.diff())[~gone]
    guides = design.cell_guides[~gone]
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), torch.bincount(cell, minlength=design.n_cells)])
    guide_cells, gene_cells = torch.zeros_like(design.guide_cells), torch.zeros_like(design.gene_cells)
    ones = torch.ones_like(guides)
    guide_cells.index_put_((guides, design.day[cell]), ones, accumulate=True)
    pair = torch.unique(torch.stack([cell, design.guide_to_gene[guides]]), dim=1)  # a cell counts once
    gene_cells.index_put_((pair[1], design.day[pair[0]]), torch.ones_like(pair[0]), accumulate=True)
    return replace(
        design,
        cell_offsets=offsets.cumsum(0), cell_guides=guides, guide_cells=guide_cells, gene_cells=gene_cells,
    )  # fmt: skip


def thinned(design):
    """One gene is not seen on one day, another one on no day."""
    cell = torch.repeat_interleave(torch.arange(design.n_cells), design.cell_offsets.diff())
    gene = design.guide_to_gene[design.cell_guides]
    on_day = (gene == UNSEEN_GENE) & (design.day[cell] == UNSEEN_DAY)
    return without_calls(design, on_day | (gene == NEVER_SEEN))


@dataclass
class Case:
    """A fit at its exact mode, and its linearised likelihood as dense arrays.

    H and score are those of the cells in x = (coordinates of a contrast), flattened [F* p].
    """

    design: object
    posterior: object
    c: Coordinates
    sd: np.ndarray  # [P]
    x: np.ndarray  # [P] the mode
    z: np.ndarray  # [M, p] regression on the coordinates
    weights: np.ndarray  # [M, F*, F*]
    residual: np.ndarray  # [M, F*]
    rows: object
    estimates: object = None

    @property
    def contrasts(self):
        return self.residual.shape[1]

    def regression(self, more=None):
        """H and score of the coordinates and of more columns [M, k], each with all contrasts."""
        z = self.z if more is None else np.hstack([self.z, more])
        h = np.einsum("mi,mfg,mj->figj", z, self.weights, z, optimize=True)
        size = self.contrasts * z.shape[1]
        return h.reshape(size, size), (self.residual.T @ z).reshape(-1)


def make_case(design, log_scale_shift=0.0, **model):
    """Fit, then walk to the exact mode at the fitted scales, or at those times exp(shift)."""
    fit = FitConfig(family="laplace", dispersion="pooled")
    posterior = fit_effects(design, ModelConfig(**model), fit, progress=False)[0]
    c = Coordinates(posterior.model.terms)
    rows = posterior.rows(design)
    vector = posterior.laplace["vector"] + log_scale_shift
    sd = c.sd(c.scales.log_scales(vector))
    index, y = RowIndex(rows, c), posterior.laplace["y"]
    for _ in range(10):
        pi = fate_probabilities(linear_predictor(rows, c.coefficients(sd * y).T.contiguous()))
        weights = curvature(rows, pi)
        residual = (rows.weight[:, None] * (rows.target - rows.cells[:, None] * pi))[:, 1:]
        h = information(index, c, weights) * sd.reshape(-1) * sd.reshape(-1, 1)
        factor = torch.linalg.cholesky(h + torch.eye(len(h), dtype=h.dtype))
        gradient = sd * c.adjoint((rows.transpose @ residual).T) - y
        step = torch.cholesky_solve(gradient.reshape(-1, 1), factor).view_as(y)
        y = y + step
    assert float(step.abs().max()) < 1e-10
    posterior = replace(posterior, laplace=posterior.laplace | {"vector": vector, "y": y, "factor": factor})
    columns = c.coefficients(torch.eye(c.size, dtype=y.dtype))  # [p, Q], the same for every contrast
    z = (rows.matrix @ columns.T.contiguous()).numpy()
    arrays = (t.numpy() for t in (sd.reshape(-1), (sd * y).reshape(-1)))
    case = Case(design, posterior, c, *arrays, z, weights.numpy(), residual.numpy(), rows)
    case.estimates = likelihood_estimates(posterior, design, rows)
    return case


@pytest.fixture(scope="module")
def case(small_design):
    return make_case(small_design)


def unequal(rows, days):
    """A scatter that differs by fate and day, and mixes fates."""
    rng = np.random.default_rng(4)
    n_fates = rows.target.shape[1]
    base, excess = np.exp(rng.normal(size=days)), np.exp(rng.normal(size=(n_fates, days)))
    mix = np.eye(n_fates) + 0.2 * rng.normal(size=(days, n_fates, n_fates))
    mix -= mix.mean(axis=1, keepdims=True) - 1 / n_fates  # labels still sum to one
    unit = rng.uniform(0.5, 2, size=len(rows)) / rows.weight.numpy()
    return Scatter(*(torch.tensor(values) for values in (base, excess, mix, unit)))


@pytest.fixture(scope="module")
def scattered(case):
    """The same labels, whose score has another covariance than their weights say."""
    scatter = unequal(case.rows, len(case.design.days))
    posterior = replace(case.posterior, scatter=scatter)
    estimates = likelihood_estimates(posterior, case.design, case.rows)
    return replace(case, posterior=posterior, estimates=estimates)


def score_covariances(case):
    """Row by row w^2 n u Sigma(pi) of the contrasts, as `fatewalk.infer.scatter` has it, [M, F*, F*]."""
    s, rows = case.posterior.scatter, case.rows
    eta = np.einsum("mi,fi->mf", case.z, case.x.reshape(case.contrasts, -1))
    weight = np.exp(np.insert(eta, 0, 0.0, axis=1))
    out = []
    for row, p in enumerate(weight / weight.sum(axis=1, keepdims=True)):
        day = int(rows.day[row])
        sigma = s.base[day].item() * (np.diag(p) - np.outer(p, p))
        for f, away in enumerate(np.eye(len(p)) - p):
            sigma += s.excess[f, day].item() * p[f] / (1 - p[f]) * np.outer(away, away)
        mix = s.mix[day].numpy()
        size = rows.weight[row] ** 2 * rows.cells[row] * s.unit[row]
        out.append(size.item() * (mix @ sigma @ mix.T)[1:, 1:])
    return np.array(out)


@pytest.fixture(scope="module")
def thin(small_design):
    return make_case(thinned(small_design))


def theta_of(case, gene):
    """Map from the coordinates to the gene's theta, [F* D, P]."""
    c, n = case.c, case.contrasts
    days = len(case.design.days)
    out = np.zeros((n, days, n, c.size))
    walk = c.n_nuisance + np.arange(days) * c.terms.n_genes + gene
    for f in range(n):
        for day in range(days):
            out[f, day, f, walk[: day + 1]] = 1
    return out.reshape(n * days, -1)


def beta_of(case, guide, extra):
    """Map from the coordinates and the guide's shifts [F*, extra] to its beta, [F* D, F* (p + extra)]."""
    c, n, days = case.c, case.contrasts, len(case.design.days)
    out = np.zeros((n, days, n, c.size + extra))
    theta = theta_of(case, int(case.design.guide_to_gene[guide])).reshape(n, days, n, c.size)
    rotation = c.rotation.to_dense().numpy()[guide]
    for f in range(n):
        out[f, :, f, : c.size] = theta[f, :, f]
        out[f, :, f, c.directions] += rotation
        out[f, :, f, c.size :] = np.eye(days)
    return out.reshape(n * days, -1)


@pytest.mark.parametrize("which", ["case", "thin"])
def test_a_genes_information_is_the_schur_complement(which, request):
    """J = H_ll - H_lr (H_rr + K_rr)^-1 H_rl; the estimate maximises the linearised likelihood."""
    case = request.getfixturevalue(which)
    c, n, days = case.c, case.contrasts, len(case.design.days)
    h = information(RowIndex(case.rows, c), c, torch.tensor(case.weights)).numpy()
    np.testing.assert_allclose(h, case.regression()[0], atol=1e-9)
    right = h @ case.x + case.regression()[1]  # H x0 + score
    for gene in range(c.terms.n_genes):
        to_theta = theta_of(case, gene)
        own = np.flatnonzero(to_theta.any(axis=0))
        rest = np.setdiff1d(np.arange(len(h)), own)
        others = np.linalg.inv(h[np.ix_(rest, rest)] + np.diag(case.sd[rest] ** -2))
        cross = h[np.ix_(own, rest)]
        back = np.linalg.inv(to_theta[:, own])
        j = back.T @ (h[np.ix_(own, own)] - cross @ others @ cross.T) @ back
        b = back.T @ (right[own] - cross @ others @ right[rest])
        seen = np.tile(case.design.gene_cells[gene].numpy() > 0, n)
        covariance = case.estimates.gene_covariance[gene].reshape(n * days, n * days)
        mean = case.estimates.gene_mean[gene].reshape(-1)
        assert np.isnan(mean[~seen]).all()
        assert np.isnan(covariance[~seen]).all()
        assert np.isnan(covariance[:, ~seen]).all()
        expected = np.linalg.inv(j[np.ix_(seen, seen)])
        np.testing.assert_allclose(covariance[np.ix_(seen, seen)], expected, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(mean[seen], expected @ b[seen], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("which", ["case", "thin"])
def test_a_guides_estimate_is_that_with_free_shifts_of_its_own(which, request):
    """The guide gets a column with a flat prior on each day and contrast; all else keeps its prior."""
    case = request.getfixturevalue(which)
    c, n, days = case.c, case.contrasts, len(case.design.days)
    matrix = case.rows.matrix.to_dense().numpy()
    for guide in range(c.terms.n_guides):
        seen = case.design.guide_cells[guide].numpy() > 0
        columns = matrix[:, c.terms.first_guide + np.flatnonzero(seen) * c.terms.n_guides + guide]
        h, score = case.regression(columns)
        extra = columns.shape[1]
        mode = np.concatenate([case.x.reshape(n, -1), np.zeros((n, extra))], axis=1).reshape(-1)
        prior = np.concatenate([case.sd.reshape(n, -1) ** -2, np.zeros((n, extra))], axis=1).reshape(-1)
        covariance = np.linalg.inv(h + np.diag(prior))
        to_beta = beta_of(case, guide, days).reshape(n * days, n, -1)
        keep = np.r_[np.ones(c.size, dtype=bool), seen]
        to_beta = to_beta[:, :, keep].reshape(n * days, -1)
        observed = np.tile(seen, n)
        expected = (to_beta @ covariance @ to_beta.T)[np.ix_(observed, observed)]
        mean = (to_beta @ covariance @ (h @ mode + score))[observed]
        found = case.estimates.guide_covariance[guide].reshape(n * days, n * days)
        found_mean = case.estimates.guide_mean[guide].reshape(-1)
        assert np.isnan(found_mean[~observed]).all()
        assert np.isnan(found[~observed]).all()
        assert np.isnan(found[:, ~observed]).all()
        np.testing.assert_allclose(found[np.ix_(observed, observed)], expected, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(found_mean[observed], mean, rtol=1e-6, atol=1e-7)


def test_errors_of_a_gene_hold_the_scatter_of_the_labels(scattered):
    """The sandwich: estimate = P (H x0 + score), P = (H + prior without the gene's)^-1."""
    case = scattered
    n, days = case.contrasts, len(case.design.days)
    h = case.regression()[0]
    meat = replace(case, weights=score_covariances(case)).regression()[0]
    for gene in range(case.c.terms.n_genes):
        to_theta = theta_of(case, gene)
        prior = np.diag(np.where(to_theta.any(axis=0), 0.0, case.sd**-2))
        bread = to_theta @ np.linalg.inv(h + prior)
        found = case.estimates.gene_covariance[gene].reshape(n * days, n * days)
        np.testing.assert_allclose(found, bread @ (meat + prior) @ bread.T, rtol=1e-6, atol=1e-9)


def test_errors_of_a_guide_hold_the_scatter_of_the_labels(scattered, case):
    n, days = scattered.contrasts, len(scattered.design.days)
    c, matrix = case.c, case.rows.matrix.to_dense().numpy()
    of_scores = replace(case, weights=score_covariances(scattered))
    for guide in range(c.terms.n_guides):
        columns = matrix[:, c.terms.first_guide + np.arange(days) * c.terms.n_guides + guide]
        h, meat = (one.regression(columns)[0] for one in (case, of_scores))
        prior = np.concatenate([case.sd.reshape(n, -1) ** -2, np.zeros((n, days))], axis=1)
        prior = np.diag(prior.reshape(-1))
        bread = beta_of(case, guide, days) @ np.linalg.inv(h + prior)
        found = scattered.estimates.guide_covariance[guide].reshape(n * days, n * days)
        np.testing.assert_allclose(found, bread @ (meat + prior) @ bread.T, rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(scattered.estimates.guide_mean, case.estimates.guide_mean)


def test_what_is_not_seen_is_missing_and_nothing_else(thin):
    e = thin.estimates
    missing = np.isnan(e.gene_mean).any(axis=1)  # [L, D]
    expected = np.zeros_like(missing)
    expected[UNSEEN_GENE, UNSEEN_DAY] = True
    expected[NEVER_SEEN] = True
    assert missing.tolist() == expected.tolist()
    guides = thin.design.guide_to_gene.numpy()
    assert np.isnan(e.guide_mean).any(axis=1).tolist() == expected[guides].tolist()
    variance = np.einsum("lfdfd->lfd", e.gene_covariance)
    assert (np.isnan(variance) == np.isnan(e.gene_mean)).all()
    assert (variance[~np.isnan(variance)] > 0).all()


def test_without_cells_a_gene_day_is_missing_also_where_rounding_is_large(small_design):
    """With scales near zero the gene's information is a small difference of large numbers."""
    tiny = make_case(thinned(small_design), log_scale_shift=-9.0)
    assert np.isnan(tiny.estimates.gene_mean[UNSEEN_GENE, :, UNSEEN_DAY]).all()
    assert np.isnan(tiny.estimates.gene_mean[NEVER_SEEN]).all()


@pytest.mark.parametrize("which", ["case", "thin"])
def test_the_only_guide_of_a_gene_has_the_genes_estimate(which, request):
    case = request.getfixturevalue(which)
    single = np.flatnonzero(case.design.n_guides_per_gene.numpy() == 1)
    assert len(single) == 3
    for gene in single:
        guide = np.flatnonzero(case.design.guide_to_gene.numpy() == gene)[0]
        e = case.estimates
        np.testing.assert_allclose(e.guide_mean[guide], e.gene_mean[gene], rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(e.guide_covariance[guide], e.gene_covariance[gene], rtol=1e-6, atol=1e-9)


def test_other_settings_of_the_model_agree_with_brute_force(small_design):
    """Shared slope, tied scales, deviations not centred."""
    other = make_case(small_design, burden_slope="shared", time_scale="gaps", center_delta=False)
    h, score = other.regression()
    for gene in range(other.c.terms.n_genes):
        to_theta = theta_of(other, gene)
        precision = np.where(to_theta.any(axis=0), 0.0, other.sd**-2)
        covariance = to_theta @ np.linalg.inv(h + np.diag(precision))
        found = other.estimates.gene_mean[gene].reshape(-1)
        np.testing.assert_allclose(found, covariance @ (h @ other.x + score), rtol=1e-6, atol=1e-7)


def test_solve_seen_leaves_out_what_a_singular_matrix_does_not_see():
    """Of three effects the data tell the first; of the others only the sum."""
    j = torch.tensor([[4.0, 0, 0], [0, 9, 9], [0, 9, 9]], dtype=torch.float64)[None]
    mean, error = _solve_seen(j, torch.tensor([[8.0, 1, 1]], dtype=torch.float64))
    np.testing.assert_allclose(mean, [[2.0, np.nan, np.nan]])
    expected = np.full((1, 3, 3), np.nan)
    expected[0, 0, 0] = 0.25
    np.testing.assert_allclose(error, expected)


def test_solve_seen_of_nothing_is_missing():
    mean, error = _solve_seen(
        torch.zeros(1, 2, 2, dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64)
    )
    assert mean.isnan().all()
    assert error.isnan().all()


def test_solve_seen_takes_rounding_for_nothing():
    """An information that is rounding of a difference of large numbers is none."""
    j = torch.tensor([[50.0, 2e-8], [2e-8, 3e-14]], dtype=torch.float64)[None]
    mean, error = _solve_seen(j, torch.tensor([[100.0, 1e-14]], dtype=torch.float64))
    np.testing.assert_allclose(mean, [[2.0, np.nan]])
    np.testing.assert_allclose(error[0, 0, 0], 0.02)
    assert error[0, 1].isnan().all()

"""Dispersion of labels that are drawn with a known one, at their true probabilities."""

import dataclasses

import numpy as np
import pytest
import torch

from fatewalk.infer.dispersion import SMALLEST_PHI, Learned, estimate, weights
from fatewalk.model import Rows
from tests.conftest import laplace_fit, make_design
from tests.conftest import rows_of as rows_of_design

DAYS = 2
NOTHING = Learned(torch.zeros(DAYS).double(), torch.zeros(DAYS).double())


def rows_of(labels, row, day, cluster=()):
    """Rows of which only the labels matter: sums over the cells [N, F] of each row."""
    zeros = torch.zeros(len(day), labels.shape[1], dtype=torch.float64)
    labels, row = torch.as_tensor(labels), torch.as_tensor(row)
    none = torch.zeros(0)
    return Rows(
        matrix=none,
        transpose=none,
        target=zeros.index_add(0, row, labels),
        square=zeros.index_add(0, row, labels.square()),
        day=torch.as_tensor(day),
        cluster=torch.as_tensor(cluster, dtype=torch.int64),
        weight=torch.ones(len(day), dtype=torch.float64),
    )


def draw_labels(rng, pi, concentration):
    """One-hot labels, or Dirichlet ones of a concentration by cell."""
    if concentration is None:
        return rng.multinomial(1, pi / pi.sum(axis=1, keepdims=True)).astype(float)
    draws = rng.standard_gamma(pi * np.asarray(concentration)[:, None] + 1e-9)
    return draws / draws.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("concentration", [None, (9.0, 49.0)])
def test_phi_by_day_and_fate(concentration):
    """1 for one-hot labels, 1 / (c + 1) for Dirichlet(c), also for cells that share a row."""
    rng = np.random.default_rng(1)
    M, N = 500, 20000
    pi, day = rng.dirichlet([2, 2, 2], size=M), rng.integers(0, DAYS, size=M)
    row = np.sort(np.concatenate([np.arange(M), rng.integers(0, M, size=N - M)]))
    each = None if concentration is None else np.array(concentration)[day[row]]
    rows = rows_of(draw_labels(rng, pi[row], each), row, day)
    found = estimate(rows, torch.as_tensor(pi), NOTHING, shared=False)
    expected = np.ones(DAYS) if concentration is None else 1 / (np.array(concentration) + 1)
    np.testing.assert_allclose(found.phi, expected, rtol=0.03)
    np.testing.assert_allclose(found.phi_by_fate, np.tile(expected, (3, 1)), rtol=0.05)
    assert (found.rho == 0).all()
    np.testing.assert_allclose(weights(rows, found, shared=False), 1 / found.phi[rows.day])


def test_what_the_fit_followed_is_added_and_counted_off():
    """Sum of (p - pi)^2 + var pi over the sum of pi (1 - pi) - var pi, by hand, at weight 1 / phi."""
    n = 40
    rows = rows_of(np.array([[1.0, 0.0]] * n), [0] * n, [0] * n)
    pi = torch.tensor([[0.75, 0.25]] * len(rows)).double()
    learned = Learned(torch.tensor([1.0]).double(), torch.tensor([0.1 * n]).double())
    expected = (2 * 0.25**2 + 0.1) / (2 * 0.75 * 0.25 - 0.1)
    found = estimate(rows.weighted(1 / expected), pi, learned, shared=False)
    assert float(found.phi) == pytest.approx(expected)


def test_a_fixed_weight_does_not_change_phi():
    """The fit follows labels of a small weight less: phi must not be corrected as if it did."""
    _, design = make_design(cells=2500, genes=8, active_genes=4, guides_per_gene=4, labels="dirichlet")
    found = [laplace_fit(design, weight=weight).dispersion.phi for weight in (None, 1.0)]
    torch.testing.assert_close(found[1], found[0], rtol=0.45, atol=0)  # plain shrinkage is left


@pytest.mark.parametrize("spread", [0.0, 1e-6])
def test_a_day_of_nearly_constant_labels_does_not_break_the_others(spread):
    _, design = make_design(
        cells=2000, genes=8, guides_per_gene=4, active_genes=4, labels="dirichlet", days=[0, 1]
    )
    on_first = design.day == 0
    noise = spread * torch.rand(int(on_first.sum()), 1, generator=torch.Generator().manual_seed(1)).double()
    prob = design.prob.clone()
    prob[on_first] = torch.tensor([1.0, 0.0, 0.0]).double()
    prob[on_first] += torch.cat([-2 * noise, noise, noise], dim=1)
    found = laplace_fit(dataclasses.replace(design, prob=prob), weight=None)
    assert found.status == "converged"
    assert float((1 / found.dispersion.phi).max()) <= 1 / SMALLEST_PHI + 1e-6


def test_a_cluster_on_several_days_is_one_unit_a_day():
    _, design = make_design(
        cells=3000, genes=4, active_genes=1, guides_per_gene=1, moi=1, days=[0, 1, 2], replicates=1,
        clusters=20, cluster_shares_guides=True, cluster_sd=0.5,
    )  # fmt: skip
    recurring = dataclasses.replace(design, cluster=design.cluster % 20, clusters=design.clusters[:20])
    rows, pi = rows_of_design(design), torch.full((1, 3), 1 / 3).double()
    again = rows_of_design(recurring)
    learned = Learned(*torch.zeros(2, 3).double())
    expected = estimate(rows, pi.expand(len(rows), -1), learned, shared=True).rho
    found = estimate(again, pi.expand(len(again), -1), learned, shared=True).rho
    assert (expected > 0.01).all()
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("concentration", [None, 9.0])
@pytest.mark.parametrize("between", [0.0, 0.05, 0.2])
def test_rho_of_cluster_totals(between, concentration):
    """Probabilities of a cluster vary with variance ``between`` x pi (1 - pi), sizes from 2 to 60.

    A cell then has phi = between + (1 - between) / (c + 1), two cells of a cluster share ``between``.
    """
    rng = np.random.default_rng(2)
    C = 4000
    size, day = rng.integers(2, 61, size=C), rng.integers(0, DAYS, size=C)
    pi = rng.dirichlet([3, 3, 3], size=C)
    own = pi if between == 0 else draw_labels(rng, pi, np.full(C, 1 / between - 1))
    cluster = np.repeat(np.arange(C), size)
    each = None if concentration is None else np.full(len(cluster), concentration)
    rows = rows_of(draw_labels(rng, own[cluster], each), cluster, day, np.arange(C))
    found = estimate(rows, torch.as_tensor(pi), NOTHING, shared=True)
    phi = 1.0 if concentration is None else between + (1 - between) / (concentration + 1)
    rho = between / phi
    np.testing.assert_allclose(found.phi, phi, rtol=0.03)
    np.testing.assert_allclose(found.rho, rho, rtol=0.06, atol=0.002)
    expected = 1 / (phi * (1 + (size - 1) * rho))
    np.testing.assert_allclose(weights(rows, found, shared=True), expected, rtol=0.12)


def test_a_cluster_in_several_rows_counts_its_whole_size():
    """Half of a cluster's cells stand in another row: same rho, same weight."""
    rng = np.random.default_rng(3)
    C, n = 12000, 20
    pi = np.tile([0.5, 0.3, 0.2], (C, 1))
    own = draw_labels(rng, pi, np.full(C, 9.0))
    cluster = np.repeat(np.arange(C), n)
    labels = draw_labels(rng, own[cluster], None)
    day = np.arange(C) % DAYS
    whole = rows_of(labels, cluster, day, np.arange(C))
    row = 2 * cluster + np.tile([0, 1], C * n // 2)
    halves = rows_of(labels, row, np.repeat(day, 2), np.repeat(np.arange(C), 2))
    first = estimate(whole, torch.as_tensor(pi), NOTHING, shared=True)
    second = estimate(halves, torch.as_tensor(np.repeat(pi, 2, axis=0)), NOTHING, shared=True)
    torch.testing.assert_close(first.rho, second.rho)
    torch.testing.assert_close(
        weights(whole, first, shared=True).repeat_interleave(2), weights(halves, second, shared=True)
    )
    np.testing.assert_allclose(first.rho, 0.1, rtol=0.06)

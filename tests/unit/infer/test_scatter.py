"""How the scatter of labels falls on fates: labels that are drawn with a known covariance."""

import numpy as np
import pytest
import torch

from fatewalk.infer.scatter import estimate_scatter
from fatewalk.model import Rows

SHARES = np.array([0.55, 0.3, 0.15])
KEPT = np.sqrt([0.1, 0.3, 1.0])  # the variance of the fates' own noise goes from 1 to 10


def mixing(pi):
    """Each fate keeps a share of its noise; the rest is dealt out, so that labels sum to one, [F, F]."""
    dealt = pi * (1 - KEPT)
    return np.diag(KEPT) + np.outer(dealt / dealt.sum(), 1 - KEPT)


def draw(rng, pi, n, concentration=20.0):
    """Labels [n, F] of mean pi, and their covariance [F, F]."""
    mix = mixing(pi)
    labels = rng.dirichlet(pi * concentration, size=n) @ mix.T
    return labels, mix @ (np.diag(pi) - np.outer(pi, pi)) @ mix.T / (concentration + 1)


def rows_of(labels, phi, cluster=()):
    """One row a cell, on one day."""
    none = torch.zeros(0)
    day = torch.zeros(len(labels), dtype=torch.int64)
    labels = torch.as_tensor(labels)
    weight = torch.full((len(labels),), 1 / phi, dtype=torch.float64)
    cluster = torch.as_tensor(cluster, dtype=torch.int64)
    return Rows(none, none, labels, labels.square(), day, cluster, weight)


def estimate(labels, pi, phi, cluster=(), shared=False):
    rows = rows_of(labels, phi, cluster)
    pi = torch.as_tensor(np.broadcast_to(pi, labels.shape).copy())
    each = torch.arange(len(labels))
    unit = torch.full((len(labels),), phi, dtype=torch.float64)
    none = torch.ones(1, dtype=torch.float64)
    return rows, pi, estimate_scatter(rows, pi, torch.as_tensor(labels), each, unit, none, shared)


def pooled(covariance, pi):
    return np.trace(covariance) / (pi * (1 - pi)).sum()


def test_the_covariance_of_the_labels_is_found():
    labels, truth = draw(np.random.default_rng(1), SHARES, 20_000)
    phi = pooled(truth, SHARES)
    rows, pi, found = estimate(labels, SHARES, phi)
    np.testing.assert_allclose(found.covariance(rows, pi)[0] * phi**2, truth[1:, 1:], rtol=0.06)
    factors = np.sqrt(np.diag(truth) / phi / SHARES / (1 - SHARES))
    np.testing.assert_allclose(found.error_factors(pi[:1])[:, 0], factors, rtol=0.03)
    assert factors.max() / factors.min() > 1.5


def test_it_follows_a_fate_that_grows():
    """What was found where the third fate is rare holds where it is not: a pooled covariance would not."""
    rare, common = np.array([0.65, 0.3, 0.05]), np.array([0.48, 0.22, 0.3])
    labels, truth = draw(np.random.default_rng(2), rare, 20_000)
    _, _, found = estimate(labels, rare, pooled(truth, rare))
    covariance = draw(np.random.default_rng(3), common, 1)[1]
    factors = np.sqrt(np.diag(covariance) / pooled(truth, rare) / common / (1 - common))
    np.testing.assert_allclose(found.error_factors(torch.tensor(common)[None])[:, 0], factors, rtol=0.08)


def test_labels_that_scatter_alike_need_nothing():
    labels = np.random.default_rng(4).dirichlet(20 * SHARES, size=5000)
    _, pi, found = estimate(labels, SHARES, 1 / 21)
    np.testing.assert_allclose(found.error_factors(pi[:1]), 1, atol=0.03)


def test_few_units_are_not_believed():
    """Ten cells of a fate that scatters ten times as much: less than they show, and not nothing."""
    rng = np.random.default_rng(5)
    found, shown = [], []
    for _ in range(50):
        labels, _ = draw(rng, SHARES, 10)
        square = np.square(labels - SHARES).sum(axis=0)
        phi = square.sum() / 10 / (SHARES * (1 - SHARES)).sum()
        found.append(estimate(labels, SHARES, phi)[2].error_factors(torch.tensor(SHARES)[None])[:, 0])
        shown.append(np.sqrt(square / 10 / phi / SHARES / (1 - SHARES)))
    found, shown = np.array(found), np.array(shown)
    ratio = (np.log(found).std(axis=0) / np.log(shown).std(axis=0)).max()
    assert ratio < 0.95
    assert found[:, 2].mean() > 1.1


def test_units_are_totals_of_clusters_that_share_their_guides():
    """Cells are one-hot, so that fates scatter alike by cell; by cluster one fate scatters far more."""
    rng = np.random.default_rng(6)
    cluster = np.repeat(np.arange(400), 50)
    share = draw(rng, SHARES, 400, concentration=10)[0].clip(0, 1)
    labels = np.array([rng.multinomial(1, p / p.sum()) for p in share[cluster]], dtype=float)
    totals = np.zeros((400, 3))
    np.add.at(totals, cluster, labels - SHARES)
    phi = np.square(totals).mean(axis=0) / 50 / SHARES / (1 - SHARES)
    level = np.square(totals).mean(axis=0).sum() / 50 / (SHARES * (1 - SHARES)).sum()
    _, pi, by_cell = estimate(labels, SHARES, 1.0, cluster)
    np.testing.assert_allclose(by_cell.error_factors(pi[:1]), 1, atol=0.05)
    _, pi, found = estimate(labels, SHARES, level, cluster, shared=True)
    np.testing.assert_allclose(found.error_factors(pi[:1])[:, 0], np.sqrt(phi / level), rtol=0.05)


@pytest.mark.parametrize("rare", [0.0, 1e-9])
def test_a_fate_that_nobody_takes_harms_nothing(rare):
    pi = np.array([0.6 - rare, 0.4, rare])
    labels = np.random.default_rng(7).dirichlet([12, 8], size=500)
    rows, pi, found = estimate(np.insert(labels, 2, 0.0, axis=1), pi, 1 / 21)
    assert found.covariance(rows, pi).isfinite().all()

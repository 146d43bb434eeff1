"""Guides permuted over cells: exact variances, z of the right size, p-values that are uniform."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kstest

from fatewalk.certificate.nulls import Gains, freedom, permute, tell
from fatewalk.certificate.permutation import Carried, Units, by_item_and_day, permuted_scores, scores
from fatewalk.certificate.strata import strata

DAYS, FATES, GENES = 2, 3, 12


def screen(seed=0, n=900, scatter=1.0, smallest=20):
    """One-hot labels of cells whose guides do nothing; `scatter` multiplies the residuals."""
    rng = np.random.default_rng(seed)
    day, rep, burden = rng.integers(0, DAYS, n), rng.integers(0, 2, n), rng.integers(1, 6, n)
    stratum = strata(day, rep, burden, smallest)
    pi = np.array([0.5, 0.3, 0.2])
    label = np.eye(FATES)[rng.choice(FATES, n, p=pi)]
    bend = np.diag(pi) - np.outer(pi, pi)
    every = np.broadcast_to(bend, (stratum.max() + 1, FATES, FATES))
    variance = np.broadcast_to(bend.diagonal(), (n, FATES))
    units = Units(stratum, day, scatter * (label - pi), every, every, variance, np.ones(DAYS))
    cell, gene = np.nonzero(rng.random((n, GENES)) < burden[:, None] / 30)
    return units, Carried(cell, gene, rng.integers(1, 3, len(cell)).astype(float), GENES)


def dense(carried, units):
    """X of each unit and item, [U, L]."""
    x = np.zeros((len(units.stratum), carried.n_items))
    x[carried.unit, carried.item] = carried.count
    return x


def test_strata_keep_day_and_replicate_apart_and_are_large_enough():
    rng = np.random.default_rng(1)
    day, rep, burden = rng.integers(0, 3, 700), rng.integers(0, 2, 700), rng.poisson(5, 700)
    found = strata(day, rep, burden)
    assert np.array_equal(np.unique(found), np.arange(found.max() + 1))
    assert np.bincount(found).min() >= 20
    for s in range(found.max() + 1):
        inside = found == s
        assert len(set(zip(day[inside], rep[inside], strict=True))) == 1
        others = (day == day[inside][0]) & (rep == rep[inside][0]) & ~inside
        between = (burden[others] > burden[inside].min()) & (burden[others] < burden[inside].max())
        assert not between.any(), "a stratum holds neighbouring burdens"


def test_strata_of_a_small_group_are_one():
    assert strata(np.zeros(7, int), np.zeros(7, int), np.arange(7)).tolist() == [0] * 7


def test_scores_and_their_covariance_are_those_of_a_loop():
    units, carried = screen()
    x, centred = dense(carried, units), units.centred()
    found = scores(carried.matrix(units), centred, DAYS)
    variance = by_item_and_day(carried.spread(units), units, units.scatter())
    for gene in (0, GENES - 1):
        for day in range(DAYS):
            score, covariance = np.zeros(FATES), np.zeros((FATES, FATES))
            for s in np.flatnonzero(units.day_of_stratum == day):
                inside = units.stratum == s
                apart = x[inside, gene] - x[inside, gene].mean()
                score += apart @ units.residual[inside]
                covariance += apart @ apart * np.cov(units.residual[inside].T)
            assert found[gene, day] == pytest.approx(score, abs=1e-9)
            assert variance[gene, day] == pytest.approx(covariance, abs=1e-9)


def test_permuted_scores_have_the_covariance_that_is_written_down():
    units, carried = screen()
    exact = by_item_and_day(carried.spread(units), units, units.scatter())
    some = np.concatenate(list(permuted_scores(carried.matrix(units), units, 2000, seed=3)))
    found = np.einsum("bldf,bldg->ldfg", some, some) / len(some)
    assert found.mean(axis=(0, 1)) == pytest.approx(exact.mean(axis=(0, 1)), rel=0.05, abs=0.05)
    assert some.mean(axis=0) / np.sqrt(exact.diagonal(axis1=2, axis2=3)) == pytest.approx(0, abs=0.1)


def test_guides_stay_in_their_stratum():
    units = screen()[0]
    only = Carried(np.array([0]), np.array([0]), np.array([1.0]), 1)
    some = np.concatenate(list(permuted_scores(only.matrix(units), units, 300, seed=3)))
    inside = units.stratum == units.stratum[0]
    allowed = units.centred()[inside].round(9)
    assert set(map(tuple, some[:, 0, units.day[0]].round(9))) <= set(map(tuple, allowed))


@pytest.mark.parametrize(("scatter", "sd"), [(1.0, 1.0), (1.4, 1.4)])
def test_sd_of_permuted_z_tells_whether_the_errors_fit_the_labels(scatter, sd):
    units, carried = screen(n=4000, scatter=scatter)
    gains = Gains(carried, np.zeros((len(carried.unit), FATES)))
    found, *_ = permute(gains, units, 200)
    assert found.z_sd == pytest.approx(sd, rel=0.06)


def test_p_values_are_uniform_where_guides_do_nothing_and_small_where_one_acts():
    p = []
    for seed in range(20):
        units, carried = screen(seed)
        _, found, _, _ = permute(Gains(carried, np.zeros((len(carried.unit), FATES))), units, 96)
        p.append(found[:, 1])
    assert kstest(np.concatenate(p), "uniform").pvalue > 1e-3
    units, carried = screen(5)
    own = np.where(
        carried.item[:, None] == 4, [[-0.3, 0.3, 0.0]], 0.0
    )  # taken out of the residuals by the fit
    _, found, _, _ = permute(Gains(carried, own), units, 96)
    assert found[4, 1] < 1e-3 < found[3, 1]


def test_a_gene_is_not_taken_for_those_in_the_same_cells():
    """A strong gene, of whose effect shrinkage left a part in the labels, shares most of its cells."""
    p = []
    for seed in range(20):
        units, carried = screen(seed)
        x = dense(carried, units)
        x[:, 3] = x[:, 4] * (np.random.default_rng(seed).random(len(x)) < 0.8)
        cell, gene = np.nonzero(x)
        carried = Carried(cell, gene, x[cell, gene], GENES)
        left = 0.2 * x[:, [4]] * [[-1.0, 1.0, 0.0]]
        units = replace(units, residual=units.residual + left)
        _, found, _, _ = permute(Gains(carried, np.zeros((len(cell), FATES))), units, 96)
        p.append(found[[3, 4], 1])
    beside, acting = np.transpose(p)
    assert (beside < 0.05).sum() <= 4
    assert (acting < 0.05).sum() >= 10


def test_how_well_the_spread_of_permuted_z_is_known():
    squares, known = [], []
    for seed in range(40):
        units, carried = screen(seed, n=240)
        told = tell(carried, units)
        known.append(freedom(carried.spread(units), told, units))
        gains = Gains(carried, np.zeros((len(carried.unit), FATES)))
        squares.append(permute(gains, units, 48)[0].z_sd ** 2)
    known = np.array(known)
    assert known.mean() == pytest.approx(110, rel=0.15)  # 120 units a day in some ten strata
    # the variance of a variance is 2 / degrees of freedom; that permutations are 48 adds a little
    ratio = np.var(squares, axis=0).mean() / (2 / known).mean()
    assert 0.3 < ratio < 1.6, ratio

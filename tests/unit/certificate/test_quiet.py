"""z of controls and genes: of the right size whatever a fit took up, each counted for what it is worth."""

from dataclasses import replace

import numpy as np
import pytest

from fatewalk.certificate.permutation import Carried
from fatewalk.certificate.quiet import _gene_moments, z_of_controls, z_of_genes
from tests.unit.certificate.test_permutation import DAYS, FATES, GENES, dense, screen

BEND, ALIKE = 40 * np.ones((GENES, DAYS, FATES)), np.zeros((GENES, DAYS))


def one_reagent(units, seed=1):
    """Every cell carries one of four genes or one of six controls."""
    of_cell = np.random.default_rng([7, seed]).integers(0, 10, len(units.stratum))
    cells = np.arange(len(of_cell))
    of_gene, ones = of_cell < 4, np.ones(len(of_cell))
    return (
        Carried(cells[of_gene], of_cell[of_gene], ones[of_gene], 4),
        Carried(cells[~of_gene], of_cell[~of_gene] - 4, ones[~of_gene], 6),
    )


def taken_up(units, genes, controls):
    """Residuals as a fit leaves them: the mean of the controls of a stratum, and of each gene, is gone."""
    x = dense(genes, units)
    residual = units.residual.copy()
    is_control = x.sum(axis=1) == 0
    for s in range(len(units.sizes)):
        inside = units.stratum == s
        residual[inside] -= residual[inside & is_control].mean(axis=0)
    for day in range(DAYS):
        for gene in range(4):
            own = (x[:, gene] > 0) & (units.day == day)
            residual[own] -= residual[own].mean(axis=0)
    return replace(units, residual=residual)


def test_what_a_fit_takes_up_is_no_matter():
    z, squares, n = [], 0.0, 0.0
    for seed in range(30):
        units = screen(seed, n=400)[0]
        genes, controls = one_reagent(units, seed)
        before, share = z_of_controls(controls, genes, units)
        after = z_of_controls(controls, genes, taken_up(units, genes, controls))[0]
        assert after == pytest.approx(before, abs=1e-3)
        z.append(before)
        squares, n = squares + (share * before**2).sum(), n + share.sum()
    z = np.array(z)
    assert np.sqrt((z**2).mean()) == pytest.approx(1.0, abs=0.04)
    assert squares / n == pytest.approx(1.0, abs=0.08)
    # six controls told from each other: five independent ones, with two fates, on each of two days
    assert n / 30 == pytest.approx(5 * 2 * DAYS, rel=0.06)
    # and the sum of squares varies as much as that of so many
    together = (z**2).sum(axis=(1, 2, 3)) / z[0].size
    assert together.var() == pytest.approx(2 / (n / 30), rel=0.6)


def test_controls_that_cannot_be_told_from_a_gene_are_left_out():
    units = screen()[0]
    genes = one_reagent(units)[0]
    same = Carried(genes.unit, genes.item, genes.count, 4)
    z, share = z_of_controls(same, genes, units)
    assert np.isnan(z).all()
    assert not share.any()
    few = Carried(np.arange(12), np.repeat([0, 1], [9, 3]), np.ones(12), 2)
    assert np.isnan(z_of_controls(few, genes, units)[0]).all()


def test_moments_of_genes_are_those_of_a_loop():
    units, carried = screen()
    rng = np.random.default_rng(2)
    units = replace(units, variance=rng.random(units.residual.shape), stretch=np.array([1.1, 1.2]))
    score, variance, _ = _gene_moments(carried, units)
    x = dense(carried, units)[:, 3]
    for day in range(DAYS):
        wanted, spread = np.zeros(FATES), np.zeros(FATES)
        for s in np.flatnonzero(units.day_of_stratum == day):
            inside = units.stratum == s
            apart = x[inside] - x[inside].mean()
            wanted += apart @ units.residual[inside] / units.stretch[day]
            spread += apart**2 @ units.variance[inside]
        assert score[3, day] == pytest.approx(wanted)
        assert variance[3, day] == pytest.approx(spread)


def test_genes_that_all_shift_alike_are_quiet():
    units, carried = screen(n=3000)
    nothing = np.zeros((GENES, DAYS, FATES))
    quiet, share = z_of_genes(carried, units, nothing, BEND, ALIKE)
    assert np.sqrt((share * quiet**2).sum() / share.sum()) == pytest.approx(1.0, abs=0.3)
    shifted, _ = z_of_genes(carried, units, nothing + 3 * BEND, BEND, ALIKE)
    assert shifted == pytest.approx(quiet)
    acting = nothing.copy()
    acting[5] = 10 * BEND[5]
    found, _ = z_of_genes(carried, units, acting, BEND, ALIKE)
    assert np.abs(found[5]).min() > 5
    assert found[6] == pytest.approx(quiet[6], abs=1.0)


def test_a_few_cells_of_a_rare_fate_count_for_little():
    units, carried = screen(n=3000)
    share = z_of_genes(carried, units, np.zeros((GENES, DAYS, FATES)), BEND, ALIKE)[1]
    residual, variance = units.residual.copy(), units.variance.copy()
    residual[:, 2] = (np.random.default_rng(3).random(len(residual)) < 0.003) - 0.003
    variance[:, 2] = 0.003
    rare = replace(units, residual=residual, variance=variance)
    seldom = z_of_genes(carried, rare, np.zeros((GENES, DAYS, FATES)), BEND, ALIKE)[1]
    middle = (share > 0) & (seldom > 0)
    assert seldom[..., 2][middle[..., 2]].mean() < 0.7 * share[..., 2][middle[..., 2]].mean()


def test_guides_that_differ_make_their_gene_uncertain():
    units, carried = screen(n=3000)
    nothing = np.zeros((GENES, DAYS, FATES))
    alike = z_of_genes(carried, units, nothing, BEND, ALIKE)[0]
    variance = _gene_moments(carried, units)[1]
    more = variance.mean(axis=2) / BEND[..., 0] ** 2
    differ = z_of_genes(carried, units, nothing, BEND, ALIKE + more)[0]
    assert np.median(np.abs(differ).sum(axis=(1, 2)) / np.abs(alike).sum(axis=(1, 2))) == pytest.approx(
        0.5**0.5, rel=0.15
    )

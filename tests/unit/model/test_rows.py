"""Collapsing identical cells is exact, and the sparse matrix is the linear predictor."""

import dataclasses

import pytest
import torch

from fatewalk.config import ModelConfig
from fatewalk.model import make_terms
from fatewalk.model.cells import centred_burden, guides_vary_in_clusters
from fatewalk.model.rows import linear_predictor, row_of_cells
from fatewalk.model.terms import Clusters
from tests.conftest import make_design, rows_of


def terms_of(design):
    return make_terms(design, ModelConfig())


def brute_force_predictor(design, coefficients):
    """One cell after the other, [N, F*]."""
    D, R, G, K = len(design.days), len(design.reps), len(design.guides), len(design.covariate_names)
    C = len(design.clusters) if guides_vary_in_clusters(design) else 0
    burden = centred_burden(design)
    eta = []
    for i in range(design.n_cells):
        d, r = int(design.day[i]), int(design.rep[i])
        value = coefficients[d] + coefficients[D + d * R + r] + burden[i] * coefficients[D + D * R + d]
        value = value + design.covariates[i] @ coefficients[2 * D + D * R : 2 * D + D * R + K]
        if C:
            value = value + coefficients[2 * D + D * R + K + int(design.cluster[i])]
        for g in design.cell_guides[design.cell_offsets[i] : design.cell_offsets[i + 1]]:
            value = value + coefficients[2 * D + D * R + K + C + d * G + g]
        eta.append(value)
    return torch.stack(eta)


def loglik(eta, target):
    logits = torch.cat([eta.new_zeros(len(eta), 1), eta], dim=1)
    return (target * logits.log_softmax(dim=1)).sum()


def coefficients_for(design, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (terms_of(design).n_columns, len(design.fates) - 1)
    return torch.randn(shape, dtype=torch.float64, generator=generator)


def with_covariates(design):
    """A covariate of two values, and one that is its double: cells of a row share both."""
    values = torch.arange(design.n_cells).remainder(2).double()
    covariates = torch.stack([values, 2 * values], dim=1)
    return dataclasses.replace(design, covariates=covariates, covariate_names=("x", "y"))


def few(**knobs):
    return make_design(
        **{"cells": 400, "genes": 4, "ntc_guides": 3, "days": [0, 2], "active_genes": 2} | knobs
    )[1]


@pytest.mark.parametrize(
    "make",
    [
        lambda: few(moi=1),
        lambda: few(moi=4),
        lambda: with_covariates(few(moi=1)),
        lambda: few(moi=1, clusters=3),
        lambda: few(moi=2, clusters=3, cluster_shares_guides=True),
        lambda: with_covariates(few(moi=2, clusters=2)),
    ],
)
def test_collapsed_rows_give_the_likelihood_of_the_cells(make):
    design = make()
    rows, coefficients = rows_of(design), coefficients_for(design)
    by_cell = brute_force_predictor(design, coefficients)
    torch.testing.assert_close(
        loglik(linear_predictor(rows, coefficients), rows.target), loglik(by_cell, design.prob)
    )
    torch.testing.assert_close(
        linear_predictor(rows, coefficients)[row_of_cells(design, terms_of(design))], by_cell
    )
    assert rows.n_cells == pytest.approx(design.n_cells)
    assert len(rows) < design.n_cells
    assert float(rows.square.sum()) == pytest.approx(float(design.prob.square().sum()))
    if design.clusters:
        assert torch.equal(rows.cluster[row_of_cells(design, terms_of(design))], design.cluster)


def test_clusters_get_columns_only_where_their_guides_vary():
    design = few(clusters=3)
    assert terms_of(design).nuisance(Clusters).n_columns == len(design.clusters) == 12
    assert terms_of(few(clusters=3, cluster_shares_guides=True)).nuisance(Clusters) is None
    assert terms_of(few()).nuisance(Clusters) is None


def test_local_columns_are_those_of_a_day():
    """Each day's columns, in the order of all columns, take the places of one day without gaps."""
    terms = terms_of(with_covariates(few(moi=2, clusters=2, days=[0, 1, 2])))
    G, local = terms.n_guides, terms.local()
    sizes = [3, 6, 3, 2, 12]  # days, replicates by day, burden by day, covariates, clusters
    assert [term.n_columns for term in terms.nuisances] == sizes
    assert len(local) == terms.n_columns == sum(sizes) + 3 * G
    for day in range(3):
        columns = [day, 3 + 2 * day, 4 + 2 * day, 9 + day, *range(12, 26)]
        assert terms.columns_of_day(day).tolist() == columns
        columns += [26 + day * G + g for g in range(G)]
        assert local[columns].tolist() == list(range(terms.n_local_columns))


def test_gradient_uses_the_transpose(small_design):
    rows, coefficients = rows_of(small_design), coefficients_for(small_design).requires_grad_()
    loglik(linear_predictor(rows, coefficients), rows.target).backward()
    found, coefficients.grad = coefficients.grad.clone(), None
    loglik(rows.matrix.to_dense() @ coefficients, rows.target).backward()
    torch.testing.assert_close(found, coefficients.grad)


def test_burden_is_centred_within_each_day(small_design):
    for day in range(len(small_design.days)):
        assert float(centred_burden(small_design)[small_design.day == day].mean()) == pytest.approx(
            0, abs=1e-12
        )


def test_cells_that_differ_in_one_thing_stay_apart(small_design):
    """Rows of a design whose burdens are all made distinct cannot collapse."""
    n = small_design.n_cells
    burden = torch.arange(n, dtype=torch.float64)
    assert len(rows_of(dataclasses.replace(small_design, burden=burden))) == n

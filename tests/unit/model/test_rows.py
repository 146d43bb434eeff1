"""Collapsing identical cells is exact, and the sparse matrix is the linear predictor."""

import dataclasses

import pytest
import torch

from fatewalk.model.rows import centred_burden, linear_predictor, make_rows, split_rows
from tests.conftest import make_design


def brute_force_predictor(design, coefficients):
    """One cell after the other, [N, F*]."""
    D, R, G = len(design.days), len(design.reps), len(design.guides)
    burden = centred_burden(design)
    eta = []
    for i in range(design.n_cells):
        d, r = int(design.day[i]), int(design.rep[i])
        value = coefficients[d] + coefficients[D + r] + burden[i] * coefficients[D + R + d]
        for g in design.cell_guides[design.cell_offsets[i] : design.cell_offsets[i + 1]]:
            value = value + coefficients[2 * D + R + d * G + g]
        eta.append(value)
    return torch.stack(eta)


def loglik(eta, target):
    logits = torch.cat([eta.new_zeros(len(eta), 1), eta], dim=1)
    return (target * logits.log_softmax(dim=1)).sum()


def coefficients_for(design, seed=0):
    n = 2 * len(design.days) + len(design.reps) + len(design.days) * len(design.guides)
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, len(design.fates) - 1, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("moi", [1, 4])
def test_collapsed_rows_give_the_likelihood_of_the_cells(moi):
    _, design = make_design(cells=400, genes=4, ntc_guides=3, moi=moi, days=[0, 2], active_genes=2)
    rows, coefficients = make_rows(design), coefficients_for(design)
    by_cell = loglik(brute_force_predictor(design, coefficients), design.prob)
    torch.testing.assert_close(loglik(linear_predictor(rows, coefficients), rows.target), by_cell)
    assert rows.n_cells == pytest.approx(design.n_cells)
    assert len(rows) < design.n_cells or moi > 1
    assert float(rows.square.sum()) == pytest.approx(float(design.prob.square().sum()))


def test_gradient_uses_the_transpose(small_design):
    rows, coefficients = make_rows(small_design), coefficients_for(small_design).requires_grad_()
    loglik(linear_predictor(rows, coefficients), rows.target).backward()
    found, coefficients.grad = coefficients.grad.clone(), None
    loglik(rows.matrix.to_dense() @ coefficients, rows.target).backward()
    torch.testing.assert_close(found, coefficients.grad)


def test_batches_partition_the_rows(small_design):
    rows, coefficients = make_rows(small_design), coefficients_for(small_design)
    batches = split_rows(rows, 50, torch.Generator().manual_seed(0))
    assert max(len(b) for b in batches) <= 50
    assert sum(len(b) for b in batches) == len(rows)
    parts = [loglik(linear_predictor(b, coefficients), b.target) for b in batches]
    whole = loglik(linear_predictor(rows, coefficients), rows.target)
    torch.testing.assert_close(torch.stack(parts).sum(), whole)


def test_burden_is_centred_within_each_day(small_design):
    for day in range(len(small_design.days)):
        assert float(centred_burden(small_design)[small_design.day == day].mean()) == pytest.approx(
            0, abs=1e-12
        )


def test_cells_that_differ_in_one_thing_stay_apart(small_design):
    """Rows of a design whose burdens are all made distinct cannot collapse."""
    n = small_design.n_cells
    burden = torch.arange(n, dtype=torch.float64)
    assert len(make_rows(dataclasses.replace(small_design, burden=burden))) == n

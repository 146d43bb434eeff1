"""What must not matter does not matter; what must count twice counts twice."""

import dataclasses

import pyro
import pytest
import torch
from pyro import poutine

from fatewalk.config import ModelConfig
from fatewalk.model import FateModel, make_terms
from fatewalk.screen.design import Design
from tests.conftest import laplace_fit, rows_of


def mode(design: Design):
    """Effects at the posterior mode, scales at theirs: a deterministic estimate."""
    laplace = laplace_fit(design)
    return FateModel(laplace.coordinates.terms).effects(laplace.mode())


def take_cells(design: Design, index) -> Design:
    """The design of the given cells, in their order, repeats allowed."""
    lists = [design.cell_guides[design.cell_offsets[i] : design.cell_offsets[i + 1]] for i in index.tolist()]
    counts = torch.tensor([0, *(len(x) for x in lists)])
    by_cell = {name: getattr(design, name)[index] for name in ("prob", "day", "rep", "burden", "n_ntc")}
    times = len(index) // design.n_cells
    return dataclasses.replace(
        design,
        **by_cell,
        cell_offsets=counts.cumsum(0),
        cell_guides=torch.cat(lists),
        gene_cells=design.gene_cells * times,
        guide_cells=design.guide_cells * times,
    )


def permute_guides(design: Design, order) -> Design:
    """Guide j of the new design is guide order[j] of the old one."""
    new_index = torch.argsort(order)
    guide_to_gene = design.guide_to_gene[order]
    calls = new_index[design.cell_guides]
    for i in range(design.n_cells):
        start, end = design.cell_offsets[i : i + 2]
        calls[start:end] = calls[start:end].sort().values
    return dataclasses.replace(
        design,
        guides=tuple(design.guides[g] for g in order),
        cell_guides=calls,
        guide_to_gene=guide_to_gene,
        guides_by_gene=torch.argsort(guide_to_gene, stable=True),
        guide_cells=design.guide_cells[order],
    )


def test_order_of_cells(small_design):
    order = torch.randperm(small_design.n_cells, generator=torch.Generator().manual_seed(1))
    plain, permuted = mode(small_design), mode(take_cells(small_design, order))
    torch.testing.assert_close(permuted.theta, plain.theta, atol=1e-6, rtol=0)
    torch.testing.assert_close(permuted.delta, plain.delta, atol=1e-6, rtol=0)


def test_order_of_guides(small_design):
    order = torch.randperm(len(small_design.guides), generator=torch.Generator().manual_seed(2))
    plain, permuted = mode(small_design), mode(permute_guides(small_design, order))
    torch.testing.assert_close(permuted.theta, plain.theta, atol=1e-6, rtol=0)
    torch.testing.assert_close(permuted.delta, plain.delta[:, order], atol=1e-6, rtol=0)


def test_order_of_the_fates_but_the_reference(small_design):
    swapped = dataclasses.replace(small_design, prob=small_design.prob[:, [0, 2, 1]])
    plain, permuted = mode(small_design), mode(swapped)
    torch.testing.assert_close(permuted.theta, plain.theta[[1, 0]], atol=1e-6, rtol=0)


@pytest.mark.parametrize("times", [2, 3])
def test_repeating_all_cells_multiplies_the_information(small_design, times):
    """The log-likelihood of the Pyro program is multiplied everywhere, so its curvature is as well."""
    repeated = take_cells(small_design, torch.arange(small_design.n_cells).repeat(times))
    for seed in range(3):
        once, often = (loglik_at_random_latents(design, seed) for design in (small_design, repeated))
        assert often == pytest.approx(times * once, rel=1e-12)


def loglik_at_random_latents(design: Design, seed: int) -> float:
    rows = rows_of(design)
    pyro.set_rng_seed(seed)
    trace = poutine.trace(FateModel(make_terms(design, ModelConfig()))).get_trace(rows)
    trace.compute_log_prob()
    return float(trace.nodes["labels"]["log_prob_sum"])

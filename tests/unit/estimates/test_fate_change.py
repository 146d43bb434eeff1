"""Average change in the probability of each fate, against loops over cells and draws."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from fatewalk.config import FitConfig, ModelConfig
from fatewalk.estimates.arrays import FateChange
from fatewalk.estimates.export import fate_change_table
from fatewalk.estimates.fate_change import average_fate_change, representative_rows
from fatewalk.estimates.from_draws import draw_effects
from fatewalk.stages.fit_effects import fit_effects
from tests.conftest import make_design

DRAWS = 40


@pytest.fixture(scope="module")
def posterior(small_design):
    return fit_effects(small_design, ModelConfig(), FitConfig(max_steps=100))[0]


@pytest.fixture(scope="module")
def change(posterior, small_design):
    return average_fate_change(posterior, small_design, posterior.rows(small_design), DRAWS, seed=3)


def softmax(logits):
    """Probabilities of the fates, the reference first, [F*] -> [F]."""
    weights = np.exp([0.0, *logits])
    return weights / weights.sum()


@torch.no_grad()
def brute_force(posterior, design, genes):
    """Changes of the given genes in every draw by loops over cells, [n, S, F, D]."""
    latents, effects = next(draw_effects(posterior, DRAWS, seed=3))  # one chunk
    theta = effects.theta.numpy()  # [S, F*, L, D]
    beta = effects.beta(design.guide_to_gene).mean(dim=0).numpy()  # [F*, G, D]
    alpha, gamma, b = (latents[name].mean(dim=0).numpy() for name in ("alpha", "gamma", "b"))
    n_reps, n_days, priors = len(design.reps), len(design.days), ModelConfig().priors
    own = b[:, n_reps:].reshape(-1, n_days, n_reps) * priors.s_rep_day / priors.s_rep
    b = b[:, None, :n_reps] + own
    b = b - b.mean(axis=2, keepdims=True)  # [F*, D, R]
    day, rep, burden = (x.numpy() for x in (design.day, design.rep, design.burden))
    gene_of = design.guide_to_gene.numpy()
    found = np.zeros((len(genes), DRAWS, 3, len(design.days)))
    for i in range(design.n_cells):
        d = day[i]
        guides = design.cell_guides[design.cell_offsets[i] : design.cell_offsets[i + 1]].numpy()
        slope = gamma[:, d] * (burden[i] - burden[day == d].mean())
        for place, gene in enumerate(genes):
            off = alpha[:, d] + b[:, d, rep[i]] + slope
            off = off + beta[:, [g for g in guides if gene_of[g] != gene], d].sum(axis=1)
            before = softmax(off)
            for draw in range(DRAWS):
                on = softmax(off + theta[draw, :, gene, d])
                found[place, draw, :, d] += 100 * (on - before) / (day == d).sum()
    return found


def test_equals_a_loop_over_cells_and_draws(posterior, small_design, change):
    assert len(small_design.reps) > 1  # the loop reads b
    genes = [0, 3, 5]
    expected = brute_force(posterior, small_design, genes)
    np.testing.assert_allclose(change.mean[genes], expected.mean(axis=1), atol=1e-4)
    low, high = np.quantile(expected, [0.025, 0.975], axis=1)
    np.testing.assert_allclose(change.low[genes], low, atol=1e-4)
    np.testing.assert_allclose(change.high[genes], high, atol=1e-4)
    assert np.abs(expected.mean(axis=1)).max() > 2  # percentage points: something to compare


def test_small_blocks_change_nothing(posterior, small_design, change, monkeypatch):
    monkeypatch.setattr("fatewalk.estimates.fate_change.BLOCK_NUMBERS", 1)  # one gene a block
    again = average_fate_change(posterior, small_design, posterior.rows(small_design), DRAWS, seed=3)
    np.testing.assert_allclose(again.high, change.high, atol=1e-9)


def test_changes_of_a_gene_day_sum_to_zero_and_lie_in_their_interval(change):
    np.testing.assert_allclose(change.mean.sum(axis=1), 0, atol=1e-9)
    assert (change.low <= change.mean).all()
    assert (change.mean <= change.high).all()


@pytest.mark.parametrize(("contrasts", "limit"), [(1, 0.0003), (2, 0.002), (6, 0.015)])
def test_representative_rows_stand_for_all(contrasts, limit):
    """Relative error of the mean change of the first fate over 20 starts, 6,000 rows against 512."""
    g = torch.Generator().manual_seed(contrasts)
    eta = torch.randn(6000, contrasts, generator=g, dtype=torch.float64)
    cells = torch.randint(1, 5, (6000,), generator=g).double()

    def probability(logits):
        return logits[:, 0].exp() / (1 + logits.exp().sum(dim=1))

    change = probability(eta + 0.7 * torch.eye(contrasts, dtype=torch.float64)[0]) - probability(eta)  # [M]
    every = (cells @ change) / cells.sum()
    errors = []
    for seed in range(20):
        chosen, weight = representative_rows(eta, cells, 512, np.random.default_rng(seed))
        assert len(chosen) == len(set(chosen.tolist())) <= 512
        assert float(weight.sum()) == pytest.approx(1)
        errors.append(float(weight @ change[chosen] / every - 1))
    assert np.sqrt(np.mean(np.square(errors))) < limit


def test_few_rows_are_all_taken_with_their_cell_counts():
    cells = torch.tensor([3.0, 1.0, 4.0])
    chosen, weight = representative_rows(torch.zeros(3, 2), cells, 3, np.random.default_rng(1))
    assert chosen.tolist() == [0, 1, 2]
    assert weight.tolist() == [0.375, 0.125, 0.5]


def test_sampled_rows_keep_the_answer(posterior, small_design, change):
    few = average_fate_change(
        posterior, small_design, posterior.rows(small_design), DRAWS, seed=3, most_rows=60
    )
    assert not np.array_equal(few.mean, change.mean)
    assert np.abs(few.mean - change.mean).max() < 0.05 * np.abs(change.mean).max()


def test_table(small_design):
    L, F, D = 6, 3, 3
    numbers = np.arange(L * F * D, dtype=float).reshape(L, F, D)
    cells = small_design.gene_cells.numpy().copy()
    cells[1, 2] = 0
    names = SimpleNamespace(
        genes=np.array(small_design.genes),
        contrasts=np.array(small_design.contrasts),
        reference=np.array(small_design.fates[0]),
        gene_cells=cells,
    )
    table = fate_change_table(FateChange(numbers, numbers - 1, numbers + 1), names, {"provisional": "budget"})
    stems = ("change", "low", "high", "n_cells")
    assert list(table) == ["gene", "fate", *(f"{s}_d{d}" for s in stems for d in range(D)), "provisional"]
    assert table["fate"].tolist() == list(small_design.fates) * L
    row = table.query(f"gene == '{small_design.genes[2]}' and fate == 'MES'").iloc[0]
    assert row[["change_d1", "low_d1", "high_d1"]].tolist() == [22, 21, 23]
    assert table.loc[3:5, ["change_d2", "low_d2", "high_d2"]].isna().all(axis=None)
    assert table["change_d2"].isna().sum() == 3
    assert pd.api.types.is_integer_dtype(table["n_cells_d0"])


def test_one_contrast_one_replicate_one_guide_per_gene_runs():
    _, design = make_design(
        cells=300, genes=3, guides_per_gene=1, days=[0, 2], moi=1, fates=["EC", "MES"], replicates=1,
        active_genes=1, seed=2,
    )  # fmt: skip
    posterior = fit_effects(design, ModelConfig(fates=["EC", "MES"]), FitConfig(max_steps=100))[0]
    change = average_fate_change(posterior, design, posterior.rows(design), 100, seed=1)
    assert change.mean.shape == (3, 2, 2)
    np.testing.assert_allclose(change.low[:, 0], -change.high[:, 1], atol=1e-9)

"""Parts of a screen: what each guide in each replicate says of each fate."""

from dataclasses import asdict

import numpy as np
import pytest
import torch

from fatewalk.calls.fates import evidence_of_level, unshrunk
from fatewalk.calls.support import Parts, _Gene
from fatewalk.config import DesignConfig, FitConfig, ModelConfig
from fatewalk.estimates.arrays import name_evidence
from fatewalk.estimates.likelihood_only import label_evidence
from fatewalk.estimates.parts import guide_parts
from fatewalk.screen.design import build_design
from fatewalk.stages.fit_effects import fit_effects
from tests.conftest import make_design

FATES = ["A", "B", "C"]
SCREEN = {
    "cells": 2500, "genes": 6, "guides_per_gene": {1: 0.2, 2: 0.4, 4: 0.4}, "ntc_guides": 6, "days": [0, 2],
    "moi": 2, "active_genes": 3, "fates": FATES, "seed": 3,
}  # fmt: skip


def fitted(design):
    """Parts, and likelihood-only estimates with errors by fate, [L, F, D]."""
    config = ModelConfig(fates=FATES)
    posterior = fit_effects(design, config, FitConfig(family="laplace"), progress=False)[0]
    evidence = asdict(name_evidence(label_evidence(posterior, design), design))
    given = evidence_of_level(evidence, "gene", "library")
    parts = guide_parts(posterior, design)
    return posterior, parts, Parts.of(parts, evidence), *unshrunk(given, evidence["composition"])


@pytest.fixture(scope="module")
def screen():
    """A small screen, its design and what was read off its fit."""
    screen, design = make_design(**SCREEN)
    return screen, design, fitted(design)


def test_scores_are_sums_over_cells(screen):
    """One part counted cell by cell; the rest by what holds of probabilities."""
    _, design, (posterior, parts, *_) = screen
    guide, rep, day = 2, 1, 0
    carriers = [
        i
        for i in range(design.n_cells)
        if guide in design.cell_guides[design.cell_offsets[i] : design.cell_offsets[i + 1]]
        and (design.rep[i], design.day[i]) == (rep, day)
    ]
    assert parts.cells[guide, rep, day] == len(carriers) > 5
    np.testing.assert_array_equal(parts.cells.sum(axis=1), design.guide_cells.numpy())
    np.testing.assert_allclose(parts.score.sum(axis=2), 0, atol=1e-9)  # probabilities sum to one
    # of one-hot labels each cell gives at most the weight to the score and a quarter of it to the information
    weight = posterior.symmetric["weight"]
    assert (np.abs(parts.score) <= float(weight.max()) * parts.cells[:, :, None]).all()
    assert (parts.information <= 0.25 * float(weight.max()) * parts.cells[:, :, None]).all()
    assert ((parts.information > 0) == (parts.cells > 0)[:, :, None]).all()


def test_without_a_replicate_the_estimate_is_that_of_a_new_fit(screen):
    """One replicate of a gene is left out, by its parts and by a fit without its cells: within .4 SE."""
    given, design, (_, _, parts, estimate, se) = screen
    far = []
    for gene in (1, 3):
        own = [design.guides[g] for g in torch.nonzero(design.guide_to_gene == gene)[:, 0]]
        carriers = given.guide_calls.loc[given.guide_calls["guide"].isin(own), "cell_id"]
        lost = given.cells["cell_id"].isin(carriers) & (given.cells["rep"] == design.reps[1])
        cells = given.cells[~lost]
        calls = given.guide_calls[given.guide_calls["cell_id"].isin(cells["cell_id"])]
        again = build_design(cells, calls, given.guide_map, DesignConfig(), FATES)[0]
        expected, error = fitted(again)[3:]
        one = _Gene(
            *(x[parts.gene == gene] for x in (parts.step, parts.information, parts.cells)),
            parts.guide_variance, parts.guides[parts.gene == gene], parts.replicates,
            estimate[gene], se[gene], np.sign(estimate[gene]),
        )  # fmt: skip
        keep = np.ones(one.cells.shape[:2], dtype=bool)
        keep[:, 1] = False
        found, variance = one.without(keep)
        far.append((found - expected[gene]) / error[gene])
        np.testing.assert_allclose(np.sqrt(variance) / error[gene], 1, atol=0.2)
        moved = np.abs(estimate[gene] - expected[gene]) / error[gene]
        assert moved.max() > 0.5  # it is a change worth computing
    assert np.sqrt(np.mean(np.square(far))) < 0.3
    assert np.abs(far).max() < 0.6


def test_without_a_control_embryo_all_genes_shift_as_in_a_new_fit():
    """By its own sums and by a fit without it: the mean shift of the genes, which their prior holds back."""
    given, design = make_design(
        cells=3000, genes=4, guides_per_gene=1, ntc_guides=1, ntc_share=0.4, days=[0, 2], replicates=1, moi=1,
        moi_distribution="fixed", active_genes=0, clusters=24, cluster_sd=0.6, cluster_shares_guides=True,
        fates=FATES, seed=2,
    )  # fmt: skip
    _, parts, _, estimate, _ = fitted(design)
    assert 6 < len(parts.controls) < 30
    shift = np.abs(parts.control_shift).max(axis=1)  # [U, D]
    u, day = np.unravel_index(shift.argmax(), shift.shape)
    lost = given.cells["cluster"] == parts.controls[u]
    assert lost.any()
    cells = given.cells[~lost]
    calls = given.guide_calls[given.guide_calls["cell_id"].isin(cells["cell_id"])]
    again = build_design(cells, calls, given.guide_map, DesignConfig(), FATES)[0]
    moved = (fitted(again)[3] - estimate)[:, :, day].mean(axis=0)  # [F]
    assert np.abs(moved).max() > 0.05
    ratio = moved / parts.control_shift[u, :, day]
    assert ((ratio > 0.4) & (ratio < 1.1)).all()
    assert (parts.control_shift[u, :, 1 - day] == 0).all()

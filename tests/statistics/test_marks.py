"""One clone in a gene without effect, in a screen that is fitted: its hits carry a mark, true ones few."""

import pytest

from benchmarks.support.chain import design_of, hits_and_support
from benchmarks.support.clones import FATES, SCREEN, null_genes, with_clone
from fatewalk.calls.support import ONE_PART, marks_of_parts
from fatewalk.config.simulate import SimulateConfig
from fatewalk.screen.simulate import simulate_screen


@pytest.fixture(scope="module")
def spoilt():
    """A screen with a clone, the gene of the clone, its hits' support and their marks."""
    small = {"cells": 4000, "genes": 20, "active_genes": 6, "guides_per_gene": 4, "seed": 3}
    screen, gene = with_clone(simulate_screen(SimulateConfig.model_validate(SCREEN | small)), 3, one_day=True)
    support = hits_and_support(design_of(screen, FATES))[1]
    return screen, gene, support.assign(mark=[ONE_PART in one for one in marks_of_parts(support)])


def test_hits_of_a_clone_are_marked(spoilt):
    _, gene, support = spoilt
    of_clone = support[support["gene"] == gene]
    assert len(of_clone) > 0
    assert of_clone["mark"].all()


def test_true_hits_are_not(spoilt):
    screen, _, support = spoilt
    true = support[~support["gene"].isin(null_genes(screen))]
    assert len(true) > 3
    assert true["mark"].mean() <= 0.2

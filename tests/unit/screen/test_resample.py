"""Designs that are drawn again: what is drawn, and that the rest stays with it."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch

from fatewalk.core.errors import FatewalkError
from fatewalk.screen.resample import resample
from tests.conftest import make_design


@pytest.fixture(scope="module")
def clustered():
    """Clusters whose cells carry the same guides."""
    return make_design(
        cells=300, genes=4, guides_per_gene=3, days=[0, 2], moi=2, active_genes=2, replicates=3, clusters=5,
        cluster_shares_guides=True, seed=3,
    )[1]  # fmt: skip


def cells_of(design):
    """Everything that a cell has but its names, as text, in a list by cell."""
    offsets = design.cell_offsets.tolist()
    guides = [design.cell_guides[a:b].tolist() for a, b in pairwise(offsets)]
    own = (design.prob, design.day, design.burden, design.n_ntc)
    own = zip(*(values.tolist() for values in own), guides, strict=True)
    return list(map(str, own))


def counted(design):
    """Cells by gene and day, and by guide and day, counted one by one."""
    genes, guides = torch.zeros_like(design.gene_cells), torch.zeros_like(design.guide_cells)
    offsets = design.cell_offsets.tolist()
    for cell, day in enumerate(design.day.tolist()):
        own = design.cell_guides[offsets[cell] : offsets[cell + 1]]
        guides[own, day] += 1
        genes[design.guide_to_gene[own].unique(), day] += 1
    return genes, guides


@pytest.mark.parametrize("unit", ["cells", "clusters", "guides", "replicates", "leave_one_replicate_out"])
def test_a_drawn_design_holds_together(clustered, unit):
    drawn = resample(clustered, unit, 2, seed=1)
    genes, guides = counted(drawn.design)
    assert torch.equal(genes, drawn.design.gene_cells)
    assert torch.equal(guides, drawn.design.guide_cells)
    assert drawn.design.genes[:4] == clustered.genes
    assert len(drawn.design.guides) == len(drawn.guide) == len(drawn.design.guide_to_gene)
    assert (
        clustered.guide_to_gene[drawn.guide] == torch.from_numpy(drawn.gene)[drawn.design.guide_to_gene]
    ).all()
    assert cells_of(drawn.design) != cells_of(clustered)
    assert cells_of(drawn.design) == cells_of(resample(clustered, unit, 2, seed=1).design)
    if unit != "leave_one_replicate_out":
        assert cells_of(drawn.design) != cells_of(resample(clustered, unit, 1, seed=1).design)


def test_cells_are_drawn_within_day_and_replicate(clustered):
    drawn = resample(clustered, "cells", 1, seed=1).design
    strata = [Counter(zip(d.day.tolist(), d.rep.tolist(), strict=True)) for d in (clustered, drawn)]
    assert strata[0] == strata[1]
    assert set(cells_of(drawn)) <= set(cells_of(clustered))
    assert 0.55 < len(drawn.row.unique()) / clustered.n_cells < 0.72  # 1 - 1 / e


def test_clusters_are_drawn_whole_and_each_draw_is_a_cluster(clustered):
    drawn = resample(clustered, "clusters", 1, seed=1)
    assert len(drawn.design.clusters) == len(clustered.clusters)
    for slot, source in enumerate(drawn.cluster):
        of_slot = [c for c, k in zip(cells_of(drawn.design), drawn.design.cluster, strict=True) if k == slot]
        of_source = [c for c, k in zip(cells_of(clustered), clustered.cluster, strict=True) if k == source]
        assert Counter(of_slot) == Counter(of_source)
    assert len(set(drawn.cluster)) < len(drawn.cluster)


def test_replicates_are_drawn_whole(clustered):
    drawn = resample(clustered, "replicates", 4, seed=1)
    assert len(drawn.design.reps) == 3
    for slot, source in enumerate(drawn.rep):
        of_slot = [c for c, r in zip(cells_of(drawn.design), drawn.design.rep, strict=True) if r == slot]
        of_source = [c for c, r in zip(cells_of(clustered), clustered.rep, strict=True) if r == source]
        assert Counter(of_slot) == Counter(of_source)
    # a replicate that is drawn twice has its clusters twice
    assert len(drawn.design.clusters) == len(drawn.cluster) == 5 * 2 * 3


def test_one_replicate_is_left_out(clustered):
    drawn = resample(clustered, "leave_one_replicate_out", 1, seed=1).design
    assert sorted(drawn.rep.unique().tolist()) == [0, 2]
    assert drawn.n_cells == int((clustered.rep != 1).sum())


def test_guides_are_drawn_within_genes_and_the_others_keep_their_cells(clustered):
    drawn = resample(clustered, "guides", 1, seed=1)
    n, design = len(clustered.guides), drawn.design
    assert (clustered.guide_to_gene[drawn.guide[:n]] == clustered.guide_to_gene).all()
    left = drawn.guide[n:]
    assert set(left) == set(range(n)) - set(drawn.guide[:n])
    assert design.genes[4:] == tuple(clustered.guides[one] for one in left)
    # every call is still there, of a guide that was drawn from its own
    cells = torch.zeros_like(clustered.guide_cells).index_add(
        0, torch.from_numpy(drawn.guide), design.guide_cells
    )
    assert torch.equal(cells, clustered.guide_cells)
    twice = [one for one, times in Counter(drawn.guide[:n].tolist()).items() if times == 2]
    shares = [design.guide_cells[np.flatnonzero(drawn.guide == one)].sum(1) for one in twice]
    assert all(0.25 < float(a / (a + b)) < 0.75 for a, b in shares)


def test_a_unit_that_the_screen_has_not_is_refused(small_design):
    with pytest.raises(FatewalkError, match=r"found clusters, but the cells name none; .*cluster_key"):
        resample(small_design, "clusters", 1, seed=1)
    one = make_design(cells=100, genes=3, guides_per_gene=2, days=[0], moi=1, replicates=1, active_genes=1)[1]
    with pytest.raises(FatewalkError, match=r"found replicates, but all cells are of one replicate"):
        resample(one, "replicates", 1, seed=1)

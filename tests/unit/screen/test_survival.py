"""Guides that get rarer over time."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from fatewalk.calls.support import marks_of_survival
from fatewalk.screen.survival import COLUMNS, changes, overdispersion, survival_table, trend
from tests.conftest import make_design

SCREEN = {
    "cells": 20_000, "genes": 12, "guides_per_gene": 3, "ntc_guides": 8, "days": [0, 1, 3], "moi": 3,
    "active_genes": 0, "fates": ["A", "B"], "seed": 4,
}  # fmt: skip


@pytest.fixture(scope="module")
def killed():
    """A gene that kills cells of one fate by a third a day."""
    return make_design(**SCREEN, growth={"Gene001": {"A": 2 / 3}})[1]


def test_a_gene_that_kills_is_depleted_and_others_are_not(killed):
    table = survival_table(killed)
    assert list(table) == list(COLUMNS)
    genes = table[table["level"] == "gene"].set_index(["gene", "day"])
    # half of the cells are of fate A, which loses a third a day: by day 3 the gene has .5 + .5 (2/3)^3
    last = genes.loc["Gene001", "day3"]
    assert last["change"] == pytest.approx(np.log(0.5 + 0.5 * (2 / 3) ** 3), abs=3 * last["change_se"])
    assert last["depleted"] == "yes"
    others = genes.drop("Gene001", level="gene")
    later = others[others.index.get_level_values("day") != "day0"]
    assert (later["depleted"] == "yes").mean() < 0.1
    z = later["change"] / later["change_se"]
    assert 0.5 < np.sqrt((z**2).mean()) < 1.3
    first = genes.xs("day0", level="day")
    assert (first["change"] == 0).all()
    assert (first["depleted"] == "").all()
    assert set(table.loc[table["gene"] == "NTC", "guide"]) == set(killed.ntc_names)


def test_counts_are_cells(killed):
    table = survival_table(killed)
    guides = table[(table["level"] == "guide") & (table["gene"] != "NTC")]
    np.testing.assert_array_equal(
        guides["n_cells"].to_numpy().reshape(-1, 3), killed.guide_cells.numpy().round()
    )
    genes = table[table["level"] == "gene"]  # a cell with two guides of a gene is one cell
    np.testing.assert_array_equal(
        genes["n_cells"].to_numpy().reshape(-1, 3), killed.gene_cells.numpy().round()
    )
    ntc = table[table["gene"] == "NTC"]
    assert ntc["n_cells"].sum() == int(killed.n_ntc.sum())


def test_the_slope_over_all_days_tells_more_than_the_last_day():
    everyone = np.full((2, 4), 1e6)
    counts = np.array([1000 * 0.9 ** np.arange(4), np.full(4, 1000.0)])[:, None].repeat(
        2, axis=1
    )  # [2, R, D]
    change, precision = changes(counts, everyone)
    last = (change[0, :, 2] * precision[0, :, 2]).sum() / np.sqrt(precision[0, :, 2].sum())
    slope = trend(counts, everyone)
    assert slope[0, 2] < last < -4
    assert (np.diff(slope[0]) < 0).all()  # each day adds to it
    np.testing.assert_allclose(slope[1], 0, atol=1e-6)
    everyone[1] = 0  # a replicate without NTC cells says nothing
    assert trend(counts, everyone)[0, 2] == pytest.approx(slope[0, 2] / np.sqrt(2), rel=1e-6)


def test_scatter_beyond_poisson_widens_the_errors():
    """Counts that scatter nine times as much, over replicates or as NTC guides, and Poisson counts."""
    rng = np.random.default_rng(2)
    poisson = rng.poisson(200, (300, 2, 4)).astype(float)
    ntc, gene = rng.poisson(200, (20, 2, 4)).astype(float), np.repeat(np.arange(150), 2)
    assert overdispersion(poisson, ntc, gene) == pytest.approx(1, abs=0.15)
    wild = 200 + (poisson - 200) * 3
    assert overdispersion(wild, ntc, gene) == pytest.approx(9, rel=0.2)
    alike = 200 + (poisson[:, :1] - 200) * 3 + 0 * poisson  # in both replicates: guides alone tell
    assert overdispersion(alike, ntc, gene) > 8
    of_genes = np.repeat(alike[::2], 2, axis=0)  # genes differ, their guides do not
    assert overdispersion(of_genes, ntc, gene) < 1.3
    of_ntc = 200 + (ntc[:, :1] - 200) * 3 + 0 * ntc
    assert overdispersion(poisson, of_ntc, np.arange(300)) > 8  # one guide a gene: NTC guides
    assert overdispersion(poisson[:, :1], ntc[:, :1], gene) < 1.3  # one replicate


def test_where_nothing_can_be_told_there_is_only_the_header(killed):
    few = replace(killed, ntc_names=killed.ntc_names[:2])
    assert survival_table(few).empty
    assert list(survival_table(few)) == list(COLUMNS)
    # embryos: all cells of a cluster carry the same guides
    design = make_design(**SCREEN | {"cells": 600}, clusters=5, cluster_shares_guides=True)[1]
    assert survival_table(design).empty
    assert not survival_table(
        replace(killed, clusters=("a", "b"), cluster=torch.arange(killed.n_cells) % 2)
    ).empty


def test_a_replicate_without_the_first_day_is_left_out(killed):
    """Its cells say nothing of a change; with the other replicate nothing else changes."""
    kept = (killed.rep == 0) | (killed.day > 0)
    table = survival_table(killed)
    assert (table["change_se"] > 0).any()
    dropped = make_part(killed, kept)
    less = survival_table(dropped)
    one = less[(less["level"] == "gene") & (less["day"] == "day3")]
    assert one["change"].notna().all()
    assert (one["change_se"] > table.loc[one.index, "change_se"]).all()
    nothing = survival_table(make_part(killed, killed.day > 0))
    assert set(nothing.loc[nothing["day"] == "day3", "depleted"]) == {""}


def make_part(design, kept):
    """The design without some cells; days and guides stay."""

    def lists(offsets, guides):
        counts = offsets.diff()
        inside = torch.repeat_interleave(kept, counts)
        return torch.cat([torch.zeros(1, dtype=torch.int64), counts[kept].cumsum(0)]), guides[inside]

    cell_offsets, cell_guides = lists(design.cell_offsets, design.cell_guides)
    ntc_offsets, ntc_guides = lists(design.ntc_offsets, design.ntc_guides)
    return replace(
        design, day=design.day[kept], rep=design.rep[kept], n_ntc=design.n_ntc[kept],
        cell_offsets=cell_offsets, cell_guides=cell_guides, ntc_offsets=ntc_offsets, ntc_guides=ntc_guides,
    )  # fmt: skip


def test_marks_name_the_first_day():
    survival = pd.DataFrame(
        {
            "level": ["gene"] * 3 + ["guide"],
            "gene": ["a", "a", "a", "b"],
            "day": ["day 0", "day 3", "day 5", "day 3"],
            "depleted": ["", "yes", "yes", "yes"],
        }
    )
    support = pd.DataFrame({"gene": ["b", "a"]})
    assert marks_of_survival(support, survival) == [[], ["depleted by day 3"]]
    assert marks_of_survival(support, survival[:0]) == [[], []]
    numbers = survival.assign(day=["0", "3.5", "5", "3.5"])
    assert marks_of_survival(support, numbers)[1] == ["depleted by day 3.5"]

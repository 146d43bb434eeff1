"""Guides of a gene combined, against numbers computed by hand."""

import numpy as np
import pandas as pd
import pytest

from fatewalk.calls import aggregate_guides
from fatewalk.core.errors import FatewalkError
from tests.unit.calls.tables import NAN, daywise, mash_guides


def aggregate(table):
    """Combine guides; each gene has 80 cells a day."""
    n_days = sum(column.startswith("betahat_d") for column in table)
    genes = pd.Series(table["gene"].unique(), name="gene").dropna().to_frame()
    return aggregate_guides(table, genes.join(daywise(n_cells=np.full((len(genes), n_days), 80))))


def test_combination_by_hand():
    # weights 1 and 4: mean (1 + 4 * 0.5) / 5 = 0.6, SD 1 / sqrt(5), Q = 0.4^2 + 4 * 0.1^2 = 0.2
    # second gene: weights 100, 100: mean 0, Q = 2 * 100 = 200, I2 = 1 - 1 / 200
    table = mash_guides(["A", "B", "A", "B"], [[1.0], [1.0], [0.5], [-1.0]], [[1.0], [0.1], [0.5], [0.1]])
    result = aggregate(table)
    assert result["gene"].tolist() == ["A", "B"]
    assert result["n_guides"].tolist() == [2, 2]
    assert result["meta_mean_d0"].tolist() == pytest.approx([0.6, 0.0])
    assert result["meta_sd_d0"].tolist() == pytest.approx([5**-0.5, 0.1 / 2**0.5])
    assert result["q_d0"].tolist() == pytest.approx([0.2, 200.0])
    assert result["i2_d0"].tolist() == pytest.approx([0.0, 0.995])
    assert result["sign_agreement_d0"].tolist() == [2, 0]


def test_signs_are_counted_by_day():
    table = mash_guides(["A"] * 3, [[1, -1], [1, -1], [-0.5, 3]], np.ones((3, 2)))
    result = aggregate(table)
    assert result.loc[0, ["meta_mean_d0", "meta_mean_d1"]].tolist() == pytest.approx([0.5, 1 / 3])
    assert result.loc[0, ["sign_agreement_d0", "sign_agreement_d1"]].tolist() == [2, 1]


def test_missing_guide_days_are_left_out():
    postmean = [[1.0, NAN], [0.5, 0.4], [NAN, NAN]]
    table = mash_guides(["A", "A", "B"], postmean, [[1.0, NAN], [0.5, 0.2], [NAN, NAN]])
    a, b = (row for _, row in aggregate(table).iterrows())
    assert (a["n_guides"], a["n_guides_used_d0"], a["n_guides_used_d1"]) == (2, 2, 1)
    assert (a["meta_mean_d1"], a["meta_sd_d1"]) == pytest.approx((0.4, 0.2))
    assert np.isnan(a["q_d1"])  # one guide: no heterogeneity
    assert np.isnan(a["i2_d1"])
    assert (b["n_guides"], b["n_guides_used_d0"], b["sign_agreement_d0"]) == (1, 0, 0)
    assert b[["meta_mean_d0", "meta_sd_d0", "q_d0", "lfsr_min_guide"]].isna().all()
    assert b["best_day"] == ""


def test_zero_posterior_sd_is_the_limit_of_small_ones():
    exact = aggregate(mash_guides(["A", "A"], [[0.0], [1.0]], [[0.0], [0.5]]))
    almost = aggregate(mash_guides(["A", "A"], [[0.0], [1.0]], [[1e-200], [0.5]]))
    assert exact.loc[0, "meta_mean_d0"] == 0
    assert exact.loc[0, "meta_sd_d0"] == 0
    assert exact.loc[0, "q_d0"] == pytest.approx(4.0)  # the other guide lies 2 SD away
    assert exact.loc[0, "sign_agreement_d0"] == 0
    assert almost.loc[0, "q_d0"] == pytest.approx(4.0)
    assert almost.loc[0, "meta_sd_d0"] == pytest.approx(1e-200)
    same = aggregate(mash_guides(["A"] * 3, [[0.1]] * 3, [[0.0]] * 3))
    assert same.loc[0, "q_d0"] == 0  # although the mean of three 0.1 is not 0.1 but for rounding
    both = aggregate(mash_guides(["A", "A"], [[0.0], [0.0]], [[0.0], [0.0]]))
    assert both.loc[0, ["meta_mean_d0", "meta_sd_d0", "q_d0", "i2_d0"]].tolist() == [0, 0, 0, 0]


def test_smallest_guide_lfsr_and_its_day():
    lfsr = [[0.5, 0.2, 0.01], [0.4, 0.01, 0.3], [0.3, 0.9, 0.9]]
    table = mash_guides(["A", "A", "B"], np.ones((3, 3)), np.ones((3, 3)), lfsr)
    result = aggregate(table.assign(uncentred=True).set_axis([7, 7, 7]))
    assert result["lfsr_min_guide"].tolist() == [0.01, 0.3]
    assert result["best_day"].tolist() == ["d1", "d0"]  # the earlier one of the tie
    assert result["uncentred"].tolist() == [True, True]
    assert list(result.columns[:2]) == ["gene", "n_guides"]
    assert list(result.columns[-4:]) == ["n_cells_d0", "n_cells_d1", "n_cells_d2", "uncentred"]
    assert result["n_cells_d1"].tolist() == [80, 80]  # of the gene, not summed over guides


def test_aggregate_guides_refuses_bad_input():
    table = mash_guides(["A", "A"], [[1.0], [1.0]], [[1.0], [1.0]])
    with pytest.raises(FatewalkError, match="postsd_d0 is missing"):
        aggregate(table.drop(columns="postsd_d0"))
    with pytest.raises(FatewalkError, match="'s0' stands in more than one row"):
        aggregate(table.assign(guide="s0"))
    with pytest.raises(FatewalkError, match="gene is empty for guide 's1'"):
        aggregate(table.assign(gene=["A", None]))
    with pytest.raises(FatewalkError, match="negative postsd for guide 's0'"):
        aggregate(table.assign(postsd_d0=[-1.0, 1.0]))
    with pytest.raises(FatewalkError, match="lfsr: 's0' on d0"):
        aggregate(table.assign(lfsr_d0=[NAN, 0.5]))

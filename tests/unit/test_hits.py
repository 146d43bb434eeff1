"""Calls, ranking, guide aggregation and mode comparison, against numbers computed by hand."""

import numpy as np
import pandas as pd
import pytest

from fatewalk.config.sections import CallsConfig
from fatewalk.errors import FatewalkError
from fatewalk.hits import aggregate_guides, compare_modes, rank_hits
from fatewalk.tables import day_columns, read_table, write_table

NAN = np.nan


def daywise(**stems):
    """Columns <stem>_d* from lists of rows."""
    blocks = [
        pd.DataFrame(rows, columns=day_columns(stem, len(rows[0])), dtype=float)
        for stem, rows in stems.items()
    ]
    return pd.concat(blocks, axis=1)


def mash_genes(lfsr, postmean=None, n_cells=None, genes=None):
    """A mash_gene table; a missing lfsr makes the gene-day unobserved."""
    lfsr = np.array(lfsr, float)
    seen = np.where(np.isnan(lfsr), NAN, 1.0)
    postmean = seen if postmean is None else np.array(postmean, float) * seen
    n_cells = np.nan_to_num(seen * 50) if n_cells is None else n_cells
    columns = daywise(
        betahat=seen, se=seen, n_cells=n_cells, postmean=postmean, postsd=0.25 * seen, lfsr=lfsr
    )
    genes = genes or [f"g{i}" for i in range(len(lfsr))]
    return pd.concat([pd.DataFrame({"gene": genes, "n_guides": 4}), columns], axis=1)


def mash_guides(genes, postmean, postsd, lfsr=None):
    """A mash_guide table; a missing postmean makes the guide-day unobserved."""
    seen = np.where(np.isnan(np.array(postmean, float)), NAN, 1.0)
    lfsr = 0.5 * seen if lfsr is None else lfsr
    names = pd.DataFrame({"guide": [f"s{i}" for i in range(len(genes))], "gene": genes})
    columns = daywise(betahat=seen, se=seen, n_cells=50 * seen, postmean=postmean, postsd=postsd, lfsr=lfsr)
    return pd.concat([names, columns], axis=1)


# ------------------------------------------------------------------ rank_hits


def test_active_needs_small_lfsr_and_large_effect():
    table = mash_genes([[0.01, 0.01, 0.30, 0.05]])
    hits = rank_hits(table, [[0.90, 0.89, 0.99, 0.99]], CallsConfig())
    assert hits["active_days"].tolist() == ["d0"]  # 0.90 is enough; lfsr 0.05 is not below 0.05
    assert hits["n_active_days"].tolist() == [1]


def test_anyday_bonferroni_divides_by_the_days_of_the_screen():
    table = mash_genes([[0.02, 0.5, 0.5, 0.5], [0.012, 0.5, 0.5, 0.5], [0.02, NAN, NAN, NAN]])
    plarge = np.full((3, 4), 0.95)
    corrected = rank_hits(table, plarge, CallsConfig()).set_index("gene")
    assert corrected["hit_anyday"].to_dict() == {"g0": False, "g1": True, "g2": False}
    assert (corrected["active_days"] == "d0").all()  # the days are active all the same
    plain = rank_hits(table, plarge, CallsConfig(anyday_correction="none"))
    assert plain["hit_anyday"].all()


def test_the_corrected_day_must_be_large_too():
    table = mash_genes([[0.001, 0.04]])
    hits = rank_hits(table, [[0.5, 0.95]], CallsConfig())
    assert hits.loc[0, "active_days"] == "d1"
    assert not hits.loc[0, "hit_anyday"]  # d0 passes 0.025 but is small; d1 is large but not below 0.025


def test_min_active_days_counts_days_by_the_plain_criterion():
    table = mash_genes([[0.001, 0.04], [0.001, 0.06]])
    hits = rank_hits(table, np.full((2, 2), 0.95), CallsConfig(min_active_days=2)).set_index("gene")
    assert hits["hit_anyday"].to_dict() == {"g0": True, "g1": False}
    assert hits.loc["g0", "active_days"] == "d0;d1"


def test_unobserved_gene_days_are_never_active_and_stay_empty():
    table = mash_genes([[0.001, NAN], [0.001, 0.001], [NAN, NAN]], n_cells=[[50, 0], [50, 0], [0, 0]])
    hits = rank_hits(table, np.ones((3, 2)), CallsConfig()).set_index("gene")
    assert hits["active_days"].to_dict() == {"g0": "d0", "g1": "d0", "g2": ""}
    assert hits.loc["g1", ["lfsr_d1", "plarge_d1", "postmean_d1", "postsd_d1"]].isna().all()
    assert hits.loc["g2", ["min_lfsr_among_active", "max_abs_postmean"]].isna().all()
    assert hits.loc["g2", "best_day_among_active"] == ""
    assert hits.loc["g2", "rank"] == 3
    assert hits.loc["g1", "n_cells_d1"] == 0


def test_summary_columns_by_hand():
    table = mash_genes([[0.030, 0.002, 0.001]], postmean=[[0.4, -0.6, -0.9]])
    table["provisional"] = "budget"
    hits = rank_hits(table, [[0.95, 0.95, 0.10]], CallsConfig())
    assert list(hits.columns) == [
        *["rank", "gene", "n_guides", "hit_anyday", "active_days", "n_active_days"],
        *["best_day_among_active", "min_lfsr_among_active", "max_abs_postmean"],
        *day_columns("postmean", 3), *day_columns("postsd", 3), *day_columns("lfsr", 3),
        *day_columns("plarge", 3), *day_columns("n_cells", 3), "provisional",
    ]  # fmt: skip
    row = hits.iloc[0]
    assert (row["active_days"], row["best_day_among_active"]) == ("d0;d1", "d1")
    assert row["min_lfsr_among_active"] == 0.002
    assert row["max_abs_postmean"] == 0.9
    assert row["plarge_d2"] == 0.10
    assert row["provisional"] == "budget"


def test_ranking_and_its_ties():
    lfsr = {
        "small": [1e-9, 0.5],  # smallest lfsr of all, effect too small: no hit
        "b": [0.001, 0.5],
        "a": [0.001, 0.5],  # tie with b in all but the name
        "big": [0.001, 0.5],  # tie in lfsr, larger effect
        "late": [1e-7, 0.004],  # ranked by the lfsr of its active day, d1
        "absent": [NAN, NAN],
        "none": [0.4, 0.5],
    }
    postmean = [[0.1, 0], [0.5, 0], [-0.5, 0], [-0.7, 0], [0.1, 0.9], [NAN, NAN], [0, 0]]
    plarge = np.array([[0.1, 0], [1, 0], [1, 0], [1, 0], [0.1, 1], [0, 0], [0, 0]])
    table = mash_genes(list(lfsr.values()), postmean, genes=list(lfsr))
    expected = ["big", "a", "b", "late", "small", "none", "absent"]
    hits = rank_hits(table, plarge, CallsConfig())
    assert hits["gene"].tolist() == expected
    assert hits["rank"].tolist() == list(range(1, 8))
    assert hits["hit_anyday"].tolist() == [True] * 4 + [False] * 3
    shuffled = np.array([3, 6, 1, 0, 5, 2, 4])  # the order of the input does not matter
    again = rank_hits(table.iloc[shuffled], plarge[shuffled], CallsConfig())
    pd.testing.assert_frame_equal(again, hits)


def test_one_day_and_no_hits():
    hits = rank_hits(mash_genes([[0.04], [0.9]]), [[1.0], [0.0]], CallsConfig())
    assert hits["hit_anyday"].tolist() == [True, False]  # D = 1: nothing to divide by
    nothing = rank_hits(mash_genes([[0.5, 0.6]]), [[0.1, 0.1]], CallsConfig())
    assert nothing["active_days"].tolist() == [""]
    assert not nothing["hit_anyday"].any()
    assert nothing["min_lfsr_among_active"].isna().all()


def test_hits_survive_the_file(tmp_path):
    hits = rank_hits(mash_genes([[0.001, 0.5], [NAN, NAN]]), np.ones((2, 2)), CallsConfig())
    write_table(hits, tmp_path / "hits_ranked.csv")
    back = read_table(tmp_path / "hits_ranked.csv", text=["gene"])
    assert back["hit_anyday"].tolist() == [True, False]
    assert back["active_days"].isna().tolist() == [False, True]
    assert back["lfsr_d0"].isna().tolist() == [False, True]


def test_rank_hits_refuses_bad_input():
    table, plarge = mash_genes([[0.01, 0.5], [0.01, NAN]]), np.ones((2, 2))
    with pytest.raises(FatewalkError, match="column lfsr_d1 is missing"):
        rank_hits(table.drop(columns="lfsr_d1"), plarge, CallsConfig())
    with pytest.raises(FatewalkError, match="n_cells_d0"):
        rank_hits(table.drop(columns="n_cells_d0"), plarge, CallsConfig())
    with pytest.raises(FatewalkError, match=r"shape \(2, 1\)"):
        rank_hits(table, plarge[:, :1], CallsConfig())
    with pytest.raises(FatewalkError, match="observed gene-day: g0 on d1"):
        rank_hits(table, [[1, NAN], [1, NAN]], CallsConfig())
    with pytest.raises(FatewalkError, match="no postmean, postsd or lfsr: g0 on d1"):
        rank_hits(table.assign(lfsr_d1=NAN), plarge, CallsConfig())
    with pytest.raises(FatewalkError, match="g0 stands in more than one row"):
        rank_hits(table.assign(gene="g0"), plarge, CallsConfig())
    with pytest.raises(FatewalkError, match="column gene is empty in row 1"):
        rank_hits(table.assign(gene=["g0", None]), plarge, CallsConfig())


# ----------------------------------------------------------- aggregate_guides


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
    with pytest.raises(FatewalkError, match="s0 stands in more than one row"):
        aggregate(table.assign(guide="s0"))
    with pytest.raises(FatewalkError, match="gene is empty for guide s1"):
        aggregate(table.assign(gene=["A", None]))
    with pytest.raises(FatewalkError, match="negative postsd for guide s0"):
        aggregate(table.assign(postsd_d0=[-1.0, 1.0]))
    with pytest.raises(FatewalkError, match="lfsr: s0 on d0"):
        aggregate(table.assign(lfsr_d0=[NAN, 0.5]))


# -------------------------------------------------------------- compare_modes


def test_modes_side_by_side():
    first = mash_genes([[0.01, 0.20], [0.01, NAN]], [[1.0, 1.0], [2.0, NAN]], genes=["A", "B"])
    second = mash_genes([[0.01, NAN], [0.01, 0.01]], [[-2.0, NAN], [1.0, 1.0]], genes=["B", "A"])
    result = compare_modes({"conservative": first, "enriched": second}, lfsr_day=0.05)
    assert result["gene"].tolist() == ["A", "A", "B", "B"]
    assert result["day"].tolist() == ["d0", "d1", "d0", "d1"]
    assert result["n_cells"].tolist() == [50, 50, 50, 0]
    assert result["postmean_enriched"].tolist()[:3] == [1.0, 1.0, -2.0]
    assert result["lfsr_conservative"].tolist()[:3] == [0.01, 0.20, 0.01]
    assert result["called_conservative"].tolist() == [True, False, True, pd.NA]
    assert result["called_enriched"].tolist() == [True, True, True, pd.NA]
    assert result["agree"].tolist() == [True, False, False, pd.NA]  # B on d0: opposite signs


def test_one_mode_agrees_with_itself():
    table = mash_genes([[0.05], [0.01]]).assign(provisional="budget")
    result = compare_modes({"conservative": table}, lfsr_day=0.05)
    assert result["called_conservative"].tolist() == [False, True]
    assert result["agree"].tolist() == [True, True]
    assert list(result.columns) == [
        *["gene", "day", "n_cells", "postmean_conservative", "lfsr_conservative", "called_conservative"],
        *["agree", "provisional"],
    ]


def test_compare_modes_refuses_bad_input():
    table = mash_genes([[0.05, 0.1], [0.01, 0.1]])
    with pytest.raises(FatewalkError, match="no mash table"):
        compare_modes({}, 0.05)
    with pytest.raises(FatewalkError, match="mode enriched: gene g1, x"):
        compare_modes({"conservative": table, "enriched": table.assign(gene=["g0", "x"])}, 0.05)
    with pytest.raises(FatewalkError, match="mode enriched: the number of days"):
        compare_modes({"conservative": table, "enriched": mash_genes([[0.1], [0.1]])}, 0.05)
    with pytest.raises(FatewalkError, match="mode conservative: column gene is missing"):
        compare_modes({"conservative": table.drop(columns="gene")}, 0.05)

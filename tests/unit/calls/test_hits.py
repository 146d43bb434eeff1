"""Calls and ranking, against numbers computed by hand."""

import numpy as np
import pandas as pd
import pytest

from fatewalk.calls import PATTERNS, Shrunk, rank_hits
from fatewalk.config import CallsConfig
from fatewalk.core.errors import FatewalkError
from fatewalk.core.schema import day_columns
from fatewalk.core.tables import read_table, write_table
from tests.unit.calls.tables import NAN, daywise

SOURCE = "mash_likelihood"


def by_lfsr(**settings):
    """Section ``calls`` with the rule that looks at each gene-day alone."""
    return CallsConfig(**{"rule": "lfsr", "source": SOURCE} | settings)


def gene_rows(lfsr, n_cells=None, genes=None):
    """A gene_daywise table; a missing lfsr makes the gene-day unobserved."""
    seen = np.where(np.isnan(np.array(lfsr, float)), NAN, 1.0)
    n_cells = np.nan_to_num(seen * 50) if n_cells is None else n_cells
    genes = genes or [f"g{i}" for i in range(len(seen))]
    names = pd.DataFrame({"gene": genes, "n_guides": 4})
    return pd.concat([names, daywise(betahat=seen, se=seen, n_cells=n_cells)], axis=1)


def shares(n, **probabilities):
    """Pattern probabilities of n genes; the rest is none."""
    found = np.zeros((n, len(PATTERNS)))
    for name, values in probabilities.items():
        found[:, PATTERNS.index(name)] = values
    found[:, 0] = 1 - found.sum(axis=1)
    return found


def effects(lfsr, plarge, postmean=None, patterns=None):
    lfsr = np.array(lfsr, float)
    seen = np.where(np.isnan(lfsr), NAN, 1.0)
    mean = seen if postmean is None else np.array(postmean, float) * seen
    patterns = shares(len(lfsr), early=0.9) if patterns is None else patterns
    return Shrunk(mean, 0.25 * seen, lfsr, np.array(plarge, float) * seen, patterns)


def ranked(lfsr, plarge, calls=None, postmean=None, patterns=None, **table):
    """Ranked hits from one source."""
    found = effects(lfsr, plarge, postmean, patterns)
    return rank_hits(gene_rows(lfsr, **table), {SOURCE: found}, calls or by_lfsr())


def test_active_needs_small_lfsr_and_large_effect():
    hits = ranked([[0.01, 0.01, 0.30, 0.05]], [[0.90, 0.89, 0.99, 0.99]])
    assert hits["active_days"].tolist() == ["d0"]  # 0.90 is enough; lfsr 0.05 is not below 0.05
    assert hits["n_active_days"].tolist() == [1]


def test_anyday_bonferroni_divides_by_the_days_of_the_screen():
    lfsr = [[0.02, 0.5, 0.5, 0.5], [0.012, 0.5, 0.5, 0.5], [0.02, NAN, NAN, NAN]]
    plarge = np.full((3, 4), 0.95)
    corrected = ranked(lfsr, plarge).set_index("gene")
    assert corrected["hit_anyday"].to_dict() == {"g0": False, "g1": True, "g2": False}
    assert (corrected["active_days"] == "d0").all()  # the days are active all the same
    plain = ranked(lfsr, plarge, by_lfsr(anyday_correction="none"))
    assert plain["hit_anyday"].all()


def test_anyday_fdr_is_that_of_the_called_set():
    lfsr = [[0.01], [0.01], [0.01], [0.5], [0.01]]
    plarge = [[0.99], [0.95], [0.95], [0.5], [0.92]]
    # errors .01 .04 .09 (not active) .12: running means .01 .025 .0467 and .065
    patterns = shares(5, late=[0.99, 0.96, 0.91, 0.999, 0.88])
    calls = by_lfsr(anyday_correction="fdr", anyday_fdr=0.05)
    hits = ranked(lfsr, plarge, calls, patterns=patterns).set_index("gene")
    assert hits.loc[["g0", "g1", "g2", "g4"], "bayesian_fdr"].tolist() == pytest.approx(
        [0.01, 0.025, 0.14 / 3, 0.26 / 4]
    )
    assert np.isnan(hits.loc["g3", "bayesian_fdr"])
    assert hits["hit_anyday"].to_dict() == {"g0": True, "g1": True, "g2": True, "g3": False, "g4": False}
    assert hits["prob_any_day"].to_dict() == pytest.approx(
        {"g0": 0.99, "g1": 0.96, "g2": 0.91, "g3": 0.999, "g4": 0.88}
    )


def test_genes_with_the_same_error_have_the_same_fdr():
    calls = by_lfsr(anyday_correction="fdr", anyday_fdr=0.06)
    hits = ranked([[0.01]] * 3, [[0.95]] * 3, calls, patterns=shares(3, early=[0.99, 0.9, 0.9]))
    assert hits.set_index("gene")["bayesian_fdr"].tolist() == pytest.approx([0.01, 0.07, 0.07])
    assert hits["hit_anyday"].sum() == 1


def test_the_corrected_day_must_be_large_too():
    hits = ranked([[0.001, 0.04]], [[0.5, 0.95]])
    assert hits.loc[0, "active_days"] == "d1"
    assert not hits.loc[0, "hit_anyday"]  # d0 passes 0.025 but is small; d1 is large but not below 0.025


def test_active_days_are_by_the_plain_criterion():
    hits = ranked([[0.001, 0.04], [0.001, 0.06]], np.full((2, 2), 0.95)).set_index("gene")
    assert hits["hit_anyday"].all()
    assert hits["active_days"].to_dict() == {"g0": "d0;d1", "g1": "d0"}


def test_unobserved_gene_days_are_never_active_and_stay_empty():
    lfsr = [[0.001, NAN], [0.001, NAN], [NAN, NAN]]
    hits = ranked(lfsr, np.ones((3, 2)), n_cells=[[50, 0], [50, 0], [0, 0]]).set_index("gene")
    assert hits["active_days"].to_dict() == {"g0": "d0", "g1": "d0", "g2": ""}
    assert hits.loc["g1", ["lfsr_d1", "plarge_d1", "postmean_d1", "postsd_d1"]].isna().all()
    assert hits.loc["g2", ["min_lfsr_among_active", "max_abs_postmean", "pattern_prob"]].isna().all()
    assert hits.loc["g2", "best_day_among_active"] == ""
    assert hits.loc["g2", "rank"] == 3
    assert hits.loc["g1", "n_cells_d1"] == 0


def test_the_pattern_of_a_gene_with_an_active_day():
    patterns = shares(2, early=[0.2, 0.2], sustained=[0.3, 0.1])
    hits = ranked([[0.01, 0.5], [0.5, 0.5]], [[0.95, 0.1], [0.1, 0.1]], patterns=patterns)
    assert hits["pattern"].tolist() == ["sustained", ""]  # none is likelier, but the gene is active
    assert hits["pattern_prob"].tolist()[0] == pytest.approx(0.3)
    assert np.isnan(hits["pattern_prob"].tolist()[1])


def test_columns_by_hand_and_the_other_sources():
    lfsr = [[0.030, 0.002, 0.001]]
    table = gene_rows(lfsr).assign(provisional="budget")
    main = effects(lfsr, [[0.95, 0.95, 0.10]], [[0.4, -0.6, -0.9]])
    other = effects([[0.001, 0.5, 0.5]], [[0.99, 0.5, 0.5]], [[0.3, 0.0, 0.0]])
    quiet = effects([[0.5, 0.5, 0.5]], [[0.1, 0.5, 0.5]])
    sources = {"joint": other, SOURCE: main, "mash_posterior": quiet}
    hits = rank_hits(table, sources, by_lfsr(estimand="library"))
    beside = [
        column
        for name in ("joint", "mash_posterior")
        for column in (
            f"hit_{name}", f"active_days_{name}", *day_columns(f"postmean_{name}", 3),
            *day_columns(f"lfsr_{name}", 3), *day_columns(f"plarge_{name}", 3),
        )
    ]  # fmt: skip
    assert list(hits.columns) == [
        *["rank", "gene", "n_guides", "hit_anyday", "active_days", "n_active_days"],
        *["best_day_among_active", "min_lfsr_among_active", "max_abs_postmean", "prob_any_day"],
        *["bayesian_fdr", "pattern", "pattern_prob", "n_sources_hit", "source", "estimand"],
        *day_columns("postmean", 3), *day_columns("postsd", 3), *day_columns("lfsr", 3),
        *day_columns("plarge", 3), *day_columns("n_cells", 3), *beside, "provisional",
    ]  # fmt: skip
    row = hits.iloc[0]
    assert (row["active_days"], row["best_day_among_active"]) == ("d0;d1", "d1")
    assert row["min_lfsr_among_active"] == 0.002
    assert row["max_abs_postmean"] == 0.9
    assert row["plarge_d2"] == 0.10
    assert row["provisional"] == "budget"
    assert (row["source"], row["estimand"], row["n_sources_hit"]) == (SOURCE, "library", 2)
    assert (row["active_days_joint"], row["hit_joint"], row["hit_mash_posterior"]) == ("d0", True, False)
    assert row["postmean_joint_d0"] == 0.3
    by_other = rank_hits(table, sources, by_lfsr(source="joint")).iloc[0]
    assert by_other["active_days"] == "d0"
    assert by_other[f"active_days_{SOURCE}"] == "d0;d1"


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
    rows = np.array(list(lfsr.values()))
    postmean = np.array([[0.1, 0], [0.5, 0], [-0.5, 0], [-0.7, 0], [0.1, 0.9], [NAN, NAN], [0, 0]])
    plarge = np.array([[0.1, 0], [1, 0], [1, 0], [1, 0], [0.1, 1], [0, 0], [0, 0]])
    expected = ["big", "a", "b", "late", "small", "none", "absent"]
    hits = ranked(rows, plarge, postmean=postmean, genes=list(lfsr))
    assert hits["gene"].tolist() == expected
    assert hits["rank"].tolist() == list(range(1, 8))
    assert hits["hit_anyday"].tolist() == [True] * 4 + [False] * 3
    shuffled = np.array([3, 6, 1, 0, 5, 2, 4])  # the order of the input does not matter
    names = [list(lfsr)[i] for i in shuffled]
    again = ranked(rows[shuffled], plarge[shuffled], postmean=postmean[shuffled], genes=names)
    pd.testing.assert_frame_equal(again, hits)


def test_genes_without_any_effect_are_ranked_by_the_other_sources():
    lfsr = np.ones((3, 2))
    sources = {
        SOURCE: effects(lfsr, np.zeros((3, 2)), np.zeros((3, 2))),
        "joint": effects([[0.4, 0.3], [0.2, 0.5], [0.5, 0.1]], np.zeros((3, 2))),
    }
    hits = rank_hits(gene_rows(lfsr), sources, by_lfsr())
    assert hits["gene"].tolist() == ["g2", "g1", "g0"]


def test_one_day_and_no_hits():
    hits = ranked([[0.04], [0.9]], [[1.0], [0.0]])
    assert hits["hit_anyday"].tolist() == [True, False]  # D = 1: nothing to divide by
    nothing = ranked([[0.5, 0.6]], [[0.1, 0.1]])
    assert nothing["active_days"].tolist() == [""]
    assert not nothing["hit_anyday"].any()
    assert nothing[["min_lfsr_among_active", "bayesian_fdr"]].isna().all(axis=None)


def test_hits_survive_the_file(tmp_path):
    hits = ranked([[0.001, 0.5], [NAN, NAN]], np.ones((2, 2)))
    write_table(hits, tmp_path / "hits_ranked.csv")
    back = read_table(tmp_path / "hits_ranked.csv", text=["gene"])
    assert back["hit_anyday"].tolist() == [True, False]
    assert back["active_days"].isna().tolist() == [False, True]
    assert back["lfsr_d0"].isna().tolist() == [False, True]


def test_rank_hits_refuses_bad_input():
    lfsr = [[0.01, 0.5], [0.01, NAN]]
    table, sources = gene_rows(lfsr), {SOURCE: effects(lfsr, np.ones((2, 2)))}
    with pytest.raises(FatewalkError, match="n_cells_d0"):
        rank_hits(table.drop(columns="n_cells_d0"), sources, by_lfsr())
    with pytest.raises(FatewalkError, match="'g0' stands in more than one row"):
        rank_hits(table.assign(gene="g0"), sources, by_lfsr())
    with pytest.raises(FatewalkError, match="column gene is empty in row 1"):
        rank_hits(table.assign(gene=["g0", None]), sources, by_lfsr())
    with pytest.raises(FatewalkError, match="here are only mash_likelihood"):
        rank_hits(table, sources, by_lfsr(source="joint"))


@pytest.mark.parametrize(
    ("main", "beside"),
    [
        ("mash_fates", ["mash_posterior", "joint"]),
        ("mash_likelihood", ["mash_posterior", "joint"]),
        ("joint", ["mash_likelihood", "mash_posterior"]),
    ],
)
def test_two_other_sources_stand_beside_that_of_the_calls(main, beside):
    """The table has the columns that other people's scripts know, whatever the source."""
    lfsr = [[0.01, 0.5]]
    sources = {name: effects(lfsr, [[0.95, 0.5]]) for name in ("mash_fates", "mash_likelihood", *beside)}
    hits = rank_hits(gene_rows(lfsr), sources | {main: effects(lfsr, [[0.95, 0.5]])}, by_lfsr(source=main))
    assert [name.removeprefix("hit_") for name in hits if name.startswith("hit_")] == ["anyday", *beside]
    assert hits["n_sources_hit"].tolist() == [3]

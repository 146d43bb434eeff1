"""Truth against calls and estimates, against numbers computed by hand."""

import numpy as np
import pandas as pd
import pytest

from fatewalk.config.sections import CallsConfig
from fatewalk.core.errors import FatewalkError
from fatewalk.core.files import read_json, write_json
from fatewalk.core.schema import day_columns
from fatewalk.core.tables import read_table, write_table
from fatewalk.evaluate.recovery import (
    ablation_table,
    call_summary,
    daywise_confusion,
    recovery_by_day,
    truth_for_contrast,
)

NAN = np.nan


def truth_of(rows, genes="ABCDEFGH"):
    """Truth, genes x d0.., as `truth_for_contrast` gives it."""
    index = pd.Index(list(genes)[: len(rows)], name="gene")
    return pd.DataFrame(np.array(rows, float), index=index, columns=[f"d{d}" for d in range(len(rows[0]))])


def hits_of(active_days, hit, lfsr, postmean=None, genes="ABCDEFGH"):
    """The columns of hits_ranked.csv that are read here."""
    lfsr = np.array(lfsr, float)
    n_days = lfsr.shape[1]
    table = pd.DataFrame(
        {"gene": list(genes)[: len(lfsr)], "hit_anyday": hit, "active_days": active_days, "rank": 1}
    )
    postmean = np.ones_like(lfsr) if postmean is None else postmean
    columns = [
        pd.DataFrame(postmean, columns=day_columns("postmean", n_days)),
        pd.DataFrame(lfsr, columns=day_columns("lfsr", n_days)),
    ]
    return pd.concat([table, *columns], axis=1)


# --------------------------------------------------------- truth_for_contrast


@pytest.fixture
def truth_theta():
    """Two genes (Z first), fates MES and NEU against EC, two days."""
    rows = [
        ("Z", "MES", 0, 0.5), ("Z", "MES", 1, 0.0), ("Z", "NEU", 0, 0.3), ("Z", "NEU", 1, -0.2),
        ("A", "MES", 0, 1.0), ("A", "MES", 1, 2.0), ("A", "NEU", 0, 0.0), ("A", "NEU", 1, 4.0),
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["gene", "fate", "day", "theta"])
    return table.assign(theta_gene=table["theta"] * 10)


@pytest.mark.parametrize(
    ("contrast", "reference", "expected"),
    [
        ("MES", "EC", [[0.5, 0.0], [1.0, 2.0]]),
        ("MES", "NEU", [[0.2, 0.2], [1.0, -2.0]]),
        ("EC", "NEU", [[-0.3, 0.2], [0.0, -4.0]]),
    ],
)
def test_truth_against_any_reference(truth_theta, contrast, reference, expected):
    shuffled = truth_theta.iloc[[0, 7, 3, 1, 2, 6, 5, 4]]
    truth = truth_for_contrast(shuffled, contrast, reference)
    assert truth.index.tolist() == ["Z", "A"]
    assert truth.columns.tolist() == ["d0", "d1"]
    np.testing.assert_allclose(truth, expected)


def test_truth_of_the_gene_estimand(truth_theta):
    truth = truth_for_contrast(truth_theta, "MES", "EC", "gene")
    np.testing.assert_allclose(truth, [[5, 0], [10, 20]])


def test_truth_refuses_bad_input(truth_theta):
    with pytest.raises(FatewalkError, match="theta_gene is missing"):
        truth_for_contrast(truth_theta.drop(columns="theta_gene"), "MES", "EC")
    with pytest.raises(FatewalkError, match="cannot give 'MES' against 'MES'"):
        truth_for_contrast(truth_theta, "MES", "MES")
    with pytest.raises(FatewalkError, match="cannot give 'X' against 'Y'; found fates 'MES', 'NEU'"):
        truth_for_contrast(truth_theta, "X", "Y")
    with pytest.raises(FatewalkError, match="missing for gene 'A'"):
        truth_for_contrast(truth_theta.iloc[:-1], "NEU", "EC")
    with pytest.raises(FatewalkError, match="gene 'Z' has two rows"):
        truth_for_contrast(pd.concat([truth_theta, truth_theta.iloc[:1]]), "MES", "EC")
    with pytest.raises(FatewalkError, match="column day: found 0, 2"):
        truth_for_contrast(truth_theta.replace({"day": {1: 2}}), "MES", "EC")


# ---------------------------------------------------------- daywise_confusion


@pytest.fixture
def screen():
    """Four genes, two days; D is unobserved on d1, where it is truly active."""
    truth = truth_of([[0.5, 0.0], [0.0, -0.3], [0.2, 0.1], [0.0, 0.9]])
    hits = hits_of(
        ["d0;d1", "", "d0", "d0"],
        [True, False, True, False],
        [[0.01, 0.01], [0.9, 0.9], [0.01, 0.9], [0.04, NAN]],
    )
    return hits, truth


def test_confusion_by_hand(screen):
    table = daywise_confusion(*screen, eps=0.2).set_index("day")
    assert table.index.tolist() == ["d0", "d1", "overall", "any"]
    assert table[["tp", "fp", "fn", "tn"]].to_numpy().tolist() == [
        [2, 1, 0, 1],  # A and C (|theta| = eps counts), D, -, B
        [0, 1, 1, 1],  # -, A, B, C; D is left out
        [2, 2, 1, 2],
        [2, 0, 1, 1],  # A, C; -; B; D: active only where it was not observed
    ]
    overall = table.loc["overall", ["precision", "recall", "f1", "fpr"]].tolist()
    assert overall == pytest.approx([1 / 2, 2 / 3, 4 / 7, 1 / 2])
    assert table.loc["d1", "f1"] == 0


def test_division_by_zero_is_missing():
    nothing = hits_of(["", ""], [False, False], [[0.9], [0.9]])
    null = daywise_confusion(nothing, truth_of([[0.0], [0.0]]), 0.2).set_index("day")
    assert null.loc["d0", ["precision", "recall", "f1"]].isna().all()
    assert null.loc["d0", "fpr"] == 0
    full = daywise_confusion(nothing, truth_of([[1.0], [1.0]]), 0.2).set_index("day")
    assert np.isnan(full.loc["any", "fpr"])
    assert full.loc["any", ["recall", "f1"]].tolist() == [0, 0]


def test_truth_at_eps_survives_rounding_and_zero_is_never_active():
    hits = hits_of(["", ""], [False, False], [[0.9], [0.9]])
    truth = truth_of([[0.5 - 0.3], [0.3 - 0.1 - 0.2]])  # 0.2 and 0, but for rounding
    assert truth.iloc[0, 0] != 0.2 or truth.iloc[1, 0] != 0
    assert daywise_confusion(hits, truth, 0.2)["fn"].tolist() == [1, 1, 1]
    assert daywise_confusion(hits, truth, 0.0)["fn"].tolist() == [1, 1, 1]
    assert daywise_confusion(hits, truth_of([[0.2 - 1e-13], [0.0]]), 0.2)["fn"].tolist() == [1, 1, 1]


def test_genes_without_an_observed_day_are_in_no_row():
    hits = hits_of(["", ""], [False, False], [[NAN, NAN], [NAN, NAN]])
    table = daywise_confusion(hits, truth_of([[1.0, 1.0], [0.0, 0.0]]), 0.2)
    assert (table[["tp", "fp", "fn", "tn"]] == 0).all(axis=None)
    assert table[["precision", "recall", "f1", "fpr"]].isna().all(axis=None)


def test_confusion_from_files(screen, tmp_path):
    hits, truth = screen
    write_table(hits, tmp_path / "hits_ranked.csv")
    back = read_table(tmp_path / "hits_ranked.csv", text=["gene"])
    pd.testing.assert_frame_equal(daywise_confusion(back, truth, 0.2), daywise_confusion(hits, truth, 0.2))
    nothing = hits.assign(active_days=NAN, hit_anyday=False)  # as a file without calls is read
    assert daywise_confusion(nothing, truth, 0.2)["tp"].sum() == 0


def test_confusion_refuses_bad_input(screen):
    hits, truth = screen
    with pytest.raises(FatewalkError, match="gene 'D' is not in the truth"):
        daywise_confusion(hits, truth.drop(index="D"), 0.2)
    with pytest.raises(FatewalkError, match="has 2 days, the truth 'd0'"):
        daywise_confusion(hits, truth[["d0"]], 0.2)
    with pytest.raises(FatewalkError, match="column active_days is missing"):
        daywise_confusion(hits.drop(columns="active_days"), truth, 0.2)
    with pytest.raises(FatewalkError, match="column lfsr_d0 is missing"):
        daywise_confusion(hits.drop(columns=["lfsr_d0", "lfsr_d1"]), truth, 0.2)
    with pytest.raises(FatewalkError, match="active_days: found 'd7'; allowed"):
        daywise_confusion(hits.assign(active_days="d7"), truth, 0.2)


# ------------------------------------------------------------ recovery_by_day


def gene_table_of(betahat, se, genes="ABCDEFGH"):
    betahat, se = np.array(betahat, float), np.array(se, float)
    names = pd.DataFrame({"gene": list(genes)[: len(betahat)]})
    estimates = pd.DataFrame(betahat, columns=day_columns("betahat", betahat.shape[1]))
    return pd.concat([names, estimates, pd.DataFrame(se, columns=day_columns("se", se.shape[1]))], axis=1)


def test_recovery_by_hand():
    truth = truth_of([[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]])
    table = gene_table_of([[0.1, 0.5], [-0.3, NAN], [1.2, 0.4]], [[0.1, 0.1], [0.1, NAN], [0.2, 0.2]])
    result = recovery_by_day(table, truth).set_index("day")
    assert list(result.columns[:5]) == ["n", "rmse", "bias_null", "sd_z_null", "coverage95"]
    assert result.index.tolist() == ["d0", "d1", "overall"]
    assert result["n"].tolist() == [3, 2, 5]
    assert result["n_null"].tolist() == [2, 1, 3]
    # errors d0: .1, -.3, .2; d1: -.5, .4
    assert result["rmse"].tolist() == pytest.approx([(0.14 / 3) ** 0.5, (0.41 / 2) ** 0.5, (0.55 / 5) ** 0.5])
    assert result["bias_null"].tolist() == pytest.approx([-0.1, 0.4, 0.2 / 3])
    # z of the nulls: 1, -3 and 2; their SDs by hand
    assert result.loc["d0", "sd_z_null"] == pytest.approx(8**0.5)
    assert np.isnan(result.loc["d1", "sd_z_null"])  # one null
    assert result.loc["overall", "sd_z_null"] == pytest.approx(7**0.5)
    assert result["coverage95"].tolist() == pytest.approx([2 / 3, 0.0, 2 / 5])
    assert result.loc["d0", "correlation"] == pytest.approx(np.corrcoef([0.1, -0.3, 1.2], [0, 0, 1])[0, 1])


def test_coverage_uses_1_96_standard_errors():
    truth = truth_of([[0.0], [0.0], [0.0]])
    table = gene_table_of([[1.95], [-1.95], [1.97]], [[1.0], [1.0], [1.0]])
    assert recovery_by_day(table, truth)["coverage95"].tolist() == pytest.approx([2 / 3, 2 / 3])


@pytest.mark.filterwarnings("error")
def test_recovery_without_data_is_missing():
    truth = truth_of([[1.0, 1.0]])
    result = recovery_by_day(gene_table_of([[NAN, 1.0]], [[NAN, 0.1]]), truth).set_index("day")
    assert result.loc["d0", ["n", "n_null"]].tolist() == [0, 0]
    assert result.loc["d0"].drop(["n", "n_null"]).isna().all()
    assert result.loc["d1", ["bias_null", "sd_z_null", "correlation"]].isna().all()
    assert result.loc["d1", "coverage95"] == 1


def test_recovery_looks_genes_up_by_name():
    truth = truth_of([[0.0], [5.0]])
    table = gene_table_of([[5.0], [0.0]], [[1.0], [1.0]], genes="BA")
    assert recovery_by_day(table, truth)["rmse"].tolist() == [0, 0]


def test_recovery_refuses_bad_input():
    table, truth = gene_table_of([[0.1]], [[0.1]]), truth_of([[0.0]])
    with pytest.raises(FatewalkError, match="se_d0 is missing"):
        recovery_by_day(table.drop(columns="se_d0"), truth)
    with pytest.raises(FatewalkError, match="not positive: gene 'A'"):
        recovery_by_day(table.assign(se_d0=0.0), truth)
    with pytest.raises(FatewalkError, match="gene 'X' is not in the truth"):
        recovery_by_day(table.assign(gene="X"), truth)


# --------------------------------------------------------------- call_summary


def test_summary_counts_what_was_left_out(screen, tmp_path):
    hits, truth = screen
    truth = pd.concat([truth, truth_of([[1.0, 1.0]], "Q")])
    hits = hits.assign(provisional="budget", postmean_d0=[-0.5, 0.0, 0.2, 0.1])  # A has the wrong sign
    calls = CallsConfig()
    write_json(call_summary(hits, truth, calls), tmp_path / "pred_call_summary.json")
    summary = read_json(tmp_path / "pred_call_summary.json")
    assert summary["effect_size_eps"] == 0.2
    assert summary["effect_prob_large_min"] == 0.9
    assert summary["anyday_correction"] == "bonferroni"
    assert (summary["n_genes"], summary["n_days"], summary["n_hits"]) == (4, 2, 2)
    assert summary["n_active_gene_days"] == 4
    assert summary["n_wrong_sign"] == 1
    assert [summary["overall"][kind] for kind in ("tp", "fp", "fn", "tn")] == [2, 2, 1, 2]
    assert summary["any"]["fn"] == 1
    assert list(summary["by_day"]) == ["d0", "d1"]
    assert summary["by_day"]["d1"]["fp"] == 1
    assert summary["left_out"] == {
        "gene_days_unobserved": 1,
        "gene_days_unobserved_truly_active": 1,
        "genes_without_observed_day": 0,
        "genes_of_truth_not_in_table": 1,
    }
    assert summary["provisional"] == "budget"


def test_summary_takes_wrong_signs_and_left_out_days_for_what_they_are():
    truth = truth_of([[0.5, 0.5], [0.5, -0.1], [0.0, 0.5]])
    hits = hits_of(
        ["d0;d1", "d0;d1", "d1"],
        True,
        [[0.01, 0.01], [0.01, 0.01], [NAN, 0.01]],
        postmean=[[-1.0, 1.0], [1.0, 1.0], [NAN, 1.0]],
    )
    summary = call_summary(hits, truth, CallsConfig())
    assert summary["overall"]["tp"] == 4
    assert summary["n_wrong_sign"] == 1  # A on d0; B on d1 is a false positive and no wrong sign
    assert summary["left_out"]["gene_days_unobserved"] == 1
    assert summary["left_out"]["gene_days_unobserved_truly_active"] == 0


def test_summary_uses_the_eps_of_the_calls(screen):
    assert call_summary(*screen, CallsConfig(effect_size_eps=0.4))["overall"]["tp"] == 1


# ------------------------------------------------------------- ablation_table


def ablation_inputs(fp, rmse, offset):
    """Tables of each (dataset, run) with one number each, on days d0, overall, any."""
    confusions, recoveries, offsets = {}, {}, {}
    for key in fp:
        confusions[key] = pd.DataFrame(
            {"day": ["d0", "overall", "any"], "tp": 5, "fp": fp[key], "fn": 1, "tn": 9, "f1": 0.5}
        )
        recoveries[key] = pd.DataFrame({"day": ["d0", "overall"], "rmse": rmse[key]})
        offsets[key] = pd.DataFrame({"gene": ["A", "B"], "offset_mean": [offset[key], -3 * offset[key]]})
    return confusions, recoveries, offsets


@pytest.fixture
def ablation():
    keys = [("s1", "main"), ("s1", "uncentred"), ("s2", "main"), ("s2", "uncentred")]
    return ablation_inputs(
        dict(zip(keys, [1, 4, 2, 9], strict=True)),
        dict(zip(keys, [0.1, 0.2, 0.1, 0.4], strict=True)),
        dict(zip(keys, [0.0, 0.1, 0.0, 0.3], strict=True)),
    )


@pytest.mark.filterwarnings("error")
def test_ablation_by_hand(ablation):
    table = ablation_table(*ablation)
    assert list(table.columns) == ["kind", "dataset", "run", "day", "fp", "fn", "tp", "rmse", "offset"]
    assert table["kind"].value_counts().to_dict() == {
        "screen": 12, "mean": 6, "difference": 3, "difference_se": 3,
    }  # fmt: skip
    rows = table.set_index(["kind", "dataset", "run", "day"])
    one = rows.loc[("screen", "s2", "uncentred", "overall")]
    assert one.to_dict() == pytest.approx({"fp": 9, "fn": 1, "tp": 5, "rmse": 0.4, "offset": 0.6})
    assert np.isnan(rows.loc[("screen", "s2", "uncentred", "d0"), "offset"])
    assert np.isnan(rows.loc[("screen", "s2", "uncentred", "any"), "rmse"])
    assert rows.loc[("mean", "", "uncentred", "overall")].to_dict() == pytest.approx(
        {"fp": 6.5, "fn": 1, "tp": 5, "rmse": 0.3, "offset": 0.4}
    )
    # paired differences of fp: 3 and 7, mean 5, SE = SD / sqrt(2) = 2; of rmse: .1 and .3
    gap = rows.loc[("difference", "", "uncentred - main", "d0")]
    assert (gap["fp"], gap["rmse"]) == pytest.approx((5, 0.2))
    error = rows.loc[("difference_se", "", "uncentred - main", "d0")]
    assert (error["fp"], error["fn"], error["rmse"]) == pytest.approx((2, 0, 0.1))


@pytest.mark.filterwarnings("error")
def test_ablation_of_one_screen_has_no_standard_error(ablation):
    one = [{key: table for key, table in tables.items() if key[0] == "s1"} for tables in ablation]
    table = ablation_table(*one)
    assert table.loc[table["kind"] == "difference", "fp"].tolist() == [3, 3, 3]
    assert table.loc[table["kind"] == "difference_se", "fp"].isna().all()


def test_ablation_refuses_bad_input(ablation):
    confusions, recoveries, offsets = ablation
    key = ("s2", "uncentred")
    with pytest.raises(FatewalkError, match="missing for some"):
        ablation_table(confusions, {k: v for k, v in recoveries.items() if k != key}, offsets)
    unpaired = [{k: v for k, v in tables.items() if k != key} for tables in ablation]
    with pytest.raises(FatewalkError, match="same two runs on every dataset"):
        ablation_table(*unpaired)
    with pytest.raises(FatewalkError, match="found runs none"):
        ablation_table({}, {}, {})
    with pytest.raises(FatewalkError, match="dataset s1, run main: recovery_by_day table: column rmse"):
        ablation_table(confusions, {k: v.drop(columns="rmse") for k, v in recoveries.items()}, offsets)

"""Runs of a data set side by side."""

import numpy as np
import pandas as pd

from fatewalk.evaluate.over_runs import HANGS, OneRun, calls_over_runs, label_table, sweep_table


def one_run(called, effects=(0.5, -0.2), counts=(), rmse=()):
    genes, fates = zip(*called, strict=True) if called else ((), ())
    places = {"gene": ["A", "B"], "fate": ["EC", "MES"], "day": ["d0", "d0"]}
    confusion = [
        pd.DataFrame({"day": ["d0", "overall", "any"], "tp": [9, tp, 9], "fp": [9, fp, 9], "fn": [9, fn, 9]})
        for tp, fp, fn in counts
    ]
    recovery = [
        pd.DataFrame({"day": ["d0", "overall"], "n": [5, n], "rmse": [9, r], "coverage95": [0, c]})
        for n, r, c in rmse
    ]
    return OneRun(
        pd.DataFrame({"gene": list(genes), "fate": list(fates)}),
        pd.DataFrame({**places, "mash_mean": list(effects)}),
        confusion,
        recovery,
    )


def test_hits_are_shared_gained_and_lost_and_effects_move():
    runs = {
        "main": one_run([("A", "EC"), ("B", "EC"), ("C", "EC")]),
        "x": one_run([("A", "EC"), ("B", "MES")], effects=(0.8, -0.6)),
    }
    row = sweep_table(runs, {"x": ("fit.seed", "2")}).iloc[1]
    assert (row["hits"], row["shared"], row["gained"], row["lost"]) == (2, 1, 1, 2)
    np.testing.assert_allclose([row["effect_rms"], row["effect_max"]], [np.sqrt((0.09 + 0.16) / 2), 0.4])
    assert np.isnan(row["precision"])  # no truth


def test_effects_are_compared_by_name_not_by_place():
    other = one_run([])
    other.effects.iloc[:] = other.effects.iloc[::-1].to_numpy()
    table = sweep_table({"main": one_run([]), "x": other}, {"x": ("fit.seed", "2")})
    assert table["effect_max"].tolist() == [0, 0]


def test_recovery_is_of_all_contrasts_together():
    run = one_run([], counts=[(6, 1, 2), (2, 1, 2)], rmse=[(10, 0.3, 1.0), (30, 0.1, 0.9)])
    row = sweep_table({"main": run}, {}).iloc[0]
    assert (row["tp"], row["fp"], row["fn"]) == (8, 2, 4)
    np.testing.assert_allclose([row["precision"], row["recall"], row["f1"]], [0.8, 8 / 12, 16 / 22])
    np.testing.assert_allclose(row["rmse"], np.sqrt((0.09 * 10 + 0.01 * 30) / 40))
    np.testing.assert_allclose(row["coverage95"], 0.925)


def test_a_hit_names_the_runs_that_lack_it():
    runs = {"main": one_run([("A", "EC")]), "x": one_run([("A", "EC"), ("B", "EC")]), "y": one_run([])}
    table = calls_over_runs(runs).set_index("gene")
    assert table["called_in"].to_dict() == {"A": 2, "B": 1}
    assert table["not_in"].to_dict() == {"A": "y", "B": "main; y"}


def test_label_sets_tell_the_range_of_effects_and_calls_that_hang_on_one():
    runs = {
        "main": one_run([("A", "EC"), ("B", "MES")], effects=(0.5, -0.2)),
        "x": one_run([("B", "MES")], effects=(0.1, -0.3)),
        "y": one_run([], effects=(0.2, np.nan)),
    }
    for run in runs.values():
        run.effects["estimate"] = 2 * run.effects["mash_mean"]
    table = label_table(runs).set_index("gene")
    np.testing.assert_allclose(table.loc["A", ["lowest", "highest", "range"]].astype(float), [0.1, 0.5, 0.4])
    np.testing.assert_allclose(table.loc["A", "range_unshrunk"], 0.8)
    assert table["sets"].to_dict() == {"A": 3, "B": 2}
    assert table["called_by"].to_dict() == {"A": "main", "B": "main; x"}
    assert table["mark"].to_dict() == {"A": HANGS, "B": ""}

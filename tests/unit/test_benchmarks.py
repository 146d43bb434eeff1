"""Helpers of the benchmark scripts."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks import prototype
from benchmarks.calibration.gather import plot_coverage, read_blocks, report, summarise
from benchmarks.calibration.screens import compare
from benchmarks.calls import compare as ways
from benchmarks.calls import reference as references
from benchmarks.calls import screens as call_screens
from benchmarks.common import draw_screen, true_effects, true_weights, weights_by_day
from benchmarks.speed import CASES, simulate_settings
from fatewalk.calls import PATTERNS, FateCalls, Shrunk
from fatewalk.config.sections import CallsConfig
from fatewalk.config.simulate import SimulateConfig
from fatewalk.core.errors import FatewalkError
from fatewalk.screen.simulate import simulate_screen
from tests.unit.calls.test_fate_hits import evidence

SMALL = {"cells": 200, "genes": 5, "active_genes": 5, "effect_patterns": {"random_walk": 1},
         "guide_effects": "uncentred", "moi": 2}  # fmt: skip


def test_compare_counts_what_is_covered_and_leaves_out_what_is_missing():
    estimate = np.array([1.0, 3.0, np.nan, 0.5, 5.0])
    se = np.array([1.0, 1.0, 1.0, 1.0, np.nan])
    found = compare(estimate, se, np.zeros(5), np.array([True, False, True, True, True]))
    assert (found["n"], found["covered"], found["null_n"]) == (3, 2, 2)
    assert found["rmse"] == pytest.approx(np.sqrt((1 + 9 + 0.25) / 3))
    assert found["bias"] == pytest.approx(1.5)
    assert (found["null_z"], found["null_z_square"]) == (1.5, 1.25)


def test_true_effects_follow_the_design():
    screen, design = draw_screen(SMALL)
    theta, gene = (true_effects(screen, design, estimand) for estimand in ("theta", "theta_gene"))
    for row in screen.truth_theta.itertuples():
        assert theta[design.genes.index(row.gene), design.contrasts.index(row.fate), row.day] == row.theta
    assert theta.shape == (5, 2, 4)
    assert np.ptp(theta - gene, axis=2).max() < 1e-12  # the library's shift is the same on all days
    assert np.abs(theta - gene).max() > 0


def test_weights_follow_the_days_of_the_design():
    _, design = draw_screen(SMALL)
    card = {"likelihood_weight": "auto", "weight_by_day": {f"day{day}": 3.0 + day for day in (3, 1, 0, 2)}}
    np.testing.assert_array_equal(weights_by_day(card, design), [3, 4, 5, 6])
    np.testing.assert_array_equal(weights_by_day({"likelihood_weight": 2.0}, design), [2] * 4)


def test_true_weights():
    np.testing.assert_array_equal(true_weights({"labels": "one_hot"}, 2), [1, 1])
    dirichlet = {"labels": "dirichlet", "concentration": [10, 50, 200, 5]}
    np.testing.assert_array_equal(true_weights(dirichlet, 4), [11, 51, 201, 6])


@pytest.fixture
def blocks(tmp_path):
    """Three screens of two cells of a grid: 18 of 20 intervals cover, on day 1 all."""
    for moi in (10, 5):
        rows = [
            {"cell": f"truth=sparse,labels=one-hot,moi={moi},ntc=2,guides=1-2", "seed": seed,
             "status": "budget" if seed == 3 else "converged", "seconds": seed, "contrast": "MES", "day": day,
             "weight": 1.0 + 0.1 * day, "weight_true": 1.0, "kind": "posterior", "estimand": estimand,
             "n": 10, "covered": 8 + 2 * day - (seed == 3), "rmse": 0.1, "bias": 0.0, "mean_se": 0.1,
             "null_n": 2, "null_z": 0.0, "null_z_square": 2.0}
            for seed in (1, 2, 3) for day in (0, 1) for estimand in ("library", "gene")
        ]  # fmt: skip
        (tmp_path / f"moi{moi}").mkdir()
        pd.DataFrame(rows).to_csv(tmp_path / f"moi{moi}" / "1-3.csv", index=False)
    return tmp_path


def test_a_grid_is_summarised(blocks):
    table = summarise(read_blocks(blocks))
    assert list(table["moi"]) == ["5", "10"]
    row = table.iloc[0]
    assert row["coverage"] == pytest.approx((18 + 18 + 16) / 60)
    assert row["coverage_se"] == pytest.approx(np.std([0.9, 0.9, 0.8], ddof=1) / np.sqrt(3))
    assert (row["worst_day"], row["screens"], row["not_converged"], row["seconds"]) == (0, 3, 1, 2)
    assert row["null_z_sd"] == pytest.approx(np.sqrt(12 / 11))  # 12 z with square 1, sum 0
    assert row["weight_ratio"] == pytest.approx(1.1)
    assert not row["within"]
    assert "2 outside 0.91 to 0.98" in report(table)
    assert len(plot_coverage(table).axes) == 3


def test_a_screen_in_two_blocks_is_refused(blocks):
    (blocks / "moi5" / "1-1.csv").write_text((blocks / "moi5" / "1-3.csv").read_text())
    with pytest.raises(FatewalkError, match=r"1-1\.csv"):
        read_blocks(blocks)


def test_cases_of_the_speed_script_have_their_sizes():
    for case in CASES:
        SimulateConfig.model_validate(simulate_settings(case))
    few_cells = simulate_settings("2000-guides") | {"cells": 8}
    guide_map = simulate_screen(SimulateConfig.model_validate(few_cells)).guide_map
    assert (~guide_map["is_ntc"]).sum() == 2000


def test_calls_of_the_prototype_screen_are_counted():
    theta = np.array([0.5, -0.24, 0.28, 0.9, 0.0, 0.1, 0.0, 0.22])
    lfsr = np.array([0.01, 0.01, 0.2, 0.01, 0.01, 0.5, 0.5, 0.01])
    prob_large = np.array([0.99, 0.8, 0.95, 0.9, 0.95, 0.1, 0.1, 0.95])
    counts = prototype.count_calls(lfsr, prob_large, theta, CallsConfig())
    assert counts == {"tp": 3, "fn": 2, "fp": 1, "tn": 2, "fn_below_0.25": 1, "fn_below_0.3": 2}


def test_the_prototype_screen_is_run_once(tmp_path, monkeypatch, capsys):
    small = {"cells": 600, "genes": 6, "guides_per_gene": 2, "active_genes": 2, "days": [0, 1]}
    monkeypatch.setattr(prototype, "SCREEN", prototype.SCREEN | small)
    path = tmp_path / "rows.csv"
    monkeypatch.setattr("sys.argv", ["prototype", "--seeds", "1", "--draws", "100", "--output", str(path)])
    prototype.main()
    table = pd.read_csv(path)
    keys = zip(table["contrast"], table["source"], table["day"], strict=True)
    assert list(keys) == list(itertools.product(["MES", "NEU"], prototype.SOURCES, [0, 1]))
    assert (table[["tp", "fp", "fn", "tn"]].sum(axis=1) == 6).all()
    assert (table["tp"] + table["fn"] == 2).all()
    assert table["coverage"].between(0.3, 1).all()
    assert table["rmse"].between(0.005, 0.5).all()
    text = capsys.readouterr().out
    assert "NEU, calls from joint: a screen has" in text
    monkeypatch.setattr(prototype, "run_screen", None)  # a second run has nothing to do
    prototype.main()
    assert capsys.readouterr().out in text
    monkeypatch.setattr(prototype, "SOURCES", (*prototype.SOURCES, "other"))
    assert not prototype.is_done(table, 1)


def test_ways_to_the_calls_are_measured_against_the_truth():
    mean = np.array([[0.5, -0.5], [0.3, 0.0]])
    lfsr = np.array([[0.001, 0.04], [0.04, 0.5]])
    large = np.array([[0.96, 0.96], [0.96, 0.1]])
    truth = np.array([[0.6, 0.4], [0.0, 0.3]])  # found; wrong sign; null; missed
    effects = Shrunk(mean, mean, lfsr, large, np.zeros((2, len(PATTERNS))))
    found = ways.measure(effects, truth)
    assert [found[f"n_{level}"] for level in ways.LEVELS] == [1, 3, 3]
    assert [found[f"wrong_{level}"] for level in ways.LEVELS] == [0, 2, 2]
    assert found["expected_0.05"] == pytest.approx(0.081)
    by_lfsr = {"tp_lfsr": 2, "fp_lfsr": 1, "zero_lfsr": 1, "sign_lfsr": 1, "hits_lfsr": 1, "large": 3}
    assert {name: found[name] for name in by_lfsr} == by_lfsr
    assert (found["tp_fdr"], found["fp_fdr"], found["hits_fdr"]) == (2, 1, 2)
    rates = ways.summarise(pd.DataFrame([found | {"screen": "s", "source": "x"}]), ["source"])
    assert rates.loc[0, "fsr_0.05"] == pytest.approx(2 / 3, abs=1e-5)
    assert rates.loc[0, "recall_lfsr"] == pytest.approx(2 / 3, abs=1e-5)
    assert rates.loc[0, "precision_lfsr"] == pytest.approx(2 / 3, abs=1e-5)
    assert rates.loc[0, "rmse"] == pytest.approx(np.sqrt((0.01 + 0.81 + 0.09 + 0.09) / 4), abs=1e-5)


def test_screens_for_the_calls_are_a_grid_without_repeats(tmp_path):
    screens = dict(call_screens.screens("grid"))
    assert len(screens) == 240
    for name in call_screens.SETS:
        of_set = dict(call_screens.screens(name))
        assert len({settings["seed"] for settings in of_set.values()}) == len(of_set)
    small = {"cells": 600, "genes": 12, "guides_per_gene": 2, "active_genes": 4, "days": [0, 1]}
    settings = screens["single_day,dirichlet,uncentred,1"] | small
    call_screens.run_screen(settings, tmp_path / "single_day,dirichlet,uncentred,1.npz")
    (tmp_path / "grid").mkdir()
    kept = (tmp_path / "single_day,dirichlet,uncentred,1.npz").rename(tmp_path / "grid" / "a,1.npz")
    rows = ways.compare_screen(kept)
    of_contrast = ["mash_fates", "joint", "mash_posterior", "mash_likelihood"]
    library = ["mash_fates"] + of_contrast * 2
    assert rows.loc[rows["estimand"] == "library", "source"].tolist() == library
    of_gene = [source for source in library if source != "mash_posterior"]
    assert rows.loc[rows["estimand"] == "gene", "source"].tolist() == of_gene
    assert rows.loc[rows["scale"] == "fate", "gene_days"].tolist() == [72, 72]  # 12 genes, 3 fates, 2 days


def test_another_reference_changes_what_it_is_said_to_change():
    given = evidence()
    first = references.View.of(given, [0, 1, 2])
    other = references.View.of(references.turned(given, [2, 0, 1]), [1, 2, 0])
    found = references.compare(first, other)
    assert found["hits"] == first.calls.named.sum() > 0
    assert (found["hits_differ"], found["active_far"]) == (0, 0)
    assert (found["pair"] < 1e-6, found["mean"] < 0.1, found["estimate"] < 1e-6) == (True, True, True)
    mixed_up = references.View.of(references.turned(given, [2, 0, 1]), [0, 1, 2])
    found = references.compare(first, mixed_up)
    assert min(found["mean"], found["pair"], found["estimate"]) > 1
    assert found["hits_far"] == found["hits_differ"] > 5
    large = first.effects.prob_large.copy()
    large[-1] = 0  # a gene that is active on all fates and days
    lower = replace(first.effects, prob_large=large)
    found = references.compare(
        first, replace(first, effects=lower, calls=FateCalls.of(lower, references.CALLS))
    )
    assert found["active_far"] == found["active_differ"] == 6
    assert found["hits_far"] == found["hits_differ"] == 1
    assert found["active_shift"] == pytest.approx(first.effects.prob_large[-1].max())

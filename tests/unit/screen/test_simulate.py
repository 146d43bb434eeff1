"""The simulator: every setting does what it says, and the tables follow from the truth."""

from __future__ import annotations

import functools
import logging
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy.special import softmax

from fatewalk.config import SimulateConfig
from fatewalk.core.errors import FatewalkError
from fatewalk.core.files import read_json
from fatewalk.core.schema import prob_columns
from fatewalk.core.tables import read_table
from fatewalk.screen.simulate import STREAMS, SimulatedScreen, guides, simulate_screen, write_screen
from fatewalk.screen.simulate import screen as screen_module


@functools.cache
def _cached(settings: str) -> SimulatedScreen:
    return simulate_screen(SimulateConfig.model_validate_json(settings))


def draw(**settings: Any) -> SimulatedScreen:
    """A small screen; drawn once for the same settings, so tests must not change it."""
    config = SimulateConfig.model_validate({"cells": 4000, "genes": 20, "active_genes": 8, **settings})
    return _cached(config.model_dump_json())


def burden(screen: SimulatedScreen) -> np.ndarray:
    """Distinct guides of each cell, [N]."""
    return np.bincount(screen.guide_calls["cell_id"].cat.codes, minlength=len(screen.cells))


def cube(screen: SimulatedScreen, column: str = "theta") -> np.ndarray:
    """A column of the truth as an array, [L, F*, D]."""
    table = screen.truth_theta
    return table[column].to_numpy().reshape(table["gene"].nunique(), table["fate"].nunique(), -1)


def terms_of_eta(screen: SimulatedScreen) -> dict[str, np.ndarray]:
    """The terms of eta, [N, F*] each, by joins on names: nothing in common with the simulator."""
    truth, contrasts = screen.truth, screen.truth["contrasts"]
    cells = screen.cells.astype({"cell_id": str}).set_index("cell_id")
    day = cells["day"].map({label: index for index, label in enumerate(truth["days"])})
    rep = cells["rep"].map({label: index for index, label in enumerate(truth["reps"])})
    calls = screen.guide_calls.astype(str)
    k = calls.groupby("cell_id").size().reindex(cells.index, fill_value=0)
    excess = k - k.groupby(day).transform("mean")
    terms = {
        "alpha": truth["alpha"][:, day].T,
        "b": truth["b"][:, rep].T,
        "gamma": (truth["gamma"][:, day] * excess.to_numpy()).T,
    }
    if "cluster" in cells:
        cluster = pd.Index(truth["clusters"]).get_indexer(cells["cluster"])
        terms["cluster"] = truth["cluster_intercepts"][:, cluster].T
    if "covariate" in cells:
        terms["covariate"] = cells[["covariate"]].to_numpy() @ truth["covariate_slopes"].T
    calls["day"] = calls["cell_id"].map(day)
    targeting = calls.merge(
        screen.guide_map.query("not is_ntc"), left_on="guide", right_on="guide_name"
    ).rename(columns={"gene_name": "gene"})
    for name, table, key in (
        ("theta", screen.truth_theta, ["gene", "day"]),
        ("delta", screen.truth_delta.drop(columns="gene"), ["guide"]),
    ):
        joined = targeting.merge(table, on=key)
        total = joined.pivot_table(index="cell_id", columns="fate", values=name, aggfunc="sum")
        terms[name] = total.reindex(index=cells.index, columns=contrasts).fillna(0).to_numpy()
    return terms


def fate_shares(terms: dict[str, np.ndarray]) -> np.ndarray:
    """Softmax of the sum of the terms, with the reference first, [N, F]."""
    eta = np.sum(list(terms.values()), axis=0)
    return softmax(np.column_stack([np.zeros(len(eta)), eta]), axis=1)


def labels(screen: SimulatedScreen) -> np.ndarray:
    return screen.cells[prob_columns(screen.truth["fates"])].to_numpy()


def log_likelihood(screen: SimulatedScreen, terms: dict[str, np.ndarray]) -> float:
    return float((labels(screen) * np.log(fate_shares(terms))).sum())


# ------------------------------------------------------------------- tables


def test_tables_have_the_canonical_columns() -> None:
    screen = draw(days=[0, 0.5, 3])
    assert list(screen.cells) == ["cell_id", "day", "time", "rep", "p_EC", "p_MES", "p_NEU"]
    assert list(screen.guide_calls) == ["cell_id", "guide"]
    assert list(screen.guide_map) == ["guide_name", "gene_name", "is_ntc"]
    assert list(screen.truth_theta) == ["gene", "fate", "day", "theta", "theta_gene"]
    assert list(screen.truth_delta) == ["guide", "gene", "fate", "delta"]
    assert screen.cells["cell_id"].iloc[0] == "cell0000001"
    assert screen.cells.groupby("day")["time"].unique().map(list).to_dict() == {
        "day0": [0.0], "day0.5": [0.5], "day3": [3.0],
    }  # fmt: skip
    assert sorted(screen.cells["rep"].unique()) == ["rep1", "rep2"]
    assert screen.cells["cell_id"].is_unique
    ntc = screen.guide_map[screen.guide_map["is_ntc"]]
    assert list(ntc["guide_name"][:2]) == ["NTC_01", "NTC_02"]
    assert set(ntc["gene_name"]) == {"NTC"}
    assert len(ntc) == 20
    assert screen.guide_map["guide_name"].iloc[0] == "Gene001_g1"
    assert screen.guide_map["guide_name"].is_unique
    assert not screen.truth_delta["guide"].isin(ntc["guide_name"]).any()
    assert len(screen.truth_theta) == 20 * 2 * 3
    assert set(screen.truth_theta["day"]) == {0, 1, 2}
    assert set(screen.truth_theta["fate"]) == {"MES", "NEU"}


def test_guide_names_tell_their_gene() -> None:
    guide_map = draw().guide_map.query("not is_ntc")
    assert (guide_map["guide_name"].str.split("_g").str[0] == guide_map["gene_name"]).all()
    number = guide_map["guide_name"].str.split("_g").str[1].astype(int)
    assert (number == guide_map.groupby("gene_name").cumcount() + 1).all()
    delta = draw().truth_delta
    assert dict(zip(delta["guide"], delta["gene"], strict=True)) == dict(
        zip(guide_map["guide_name"], guide_map["gene_name"], strict=True)
    )


@pytest.mark.parametrize("clusters", [0, 5])
def test_cells_are_spread_evenly(clusters: int) -> None:
    screen = draw(cells=1003, clusters=clusters, replicates=3)
    keys = ["day", "rep", "cluster"][: 3 if clusters else 2]
    sizes = screen.cells.groupby(keys).size()
    assert len(sizes) == 4 * 3 * max(clusters, 1)
    assert sizes.max() - sizes.min() <= 1
    by = ["time", *keys[1:]]
    order = screen.cells[by]
    assert order.equals(order.sort_values(by, kind="stable"))
    if clusters:
        assert len(screen.cells[["day", "rep", "cluster"]].drop_duplicates()) == len(sizes)
        assert screen.cells["cluster"].nunique() == len(sizes)


def test_days_keep_different_labels() -> None:
    labels = draw(days=[1_234_567, 1_234_568], cells=100).cells["day"]
    assert list(labels.unique()) == ["day1234567", "day1234568"]


def test_guides_per_gene_follows_the_probabilities() -> None:
    assert set(draw(guides_per_gene=3).guide_map.query("not is_ntc").groupby("gene_name").size()) == {3}
    sizes = draw(genes=2000, guides_per_gene={1: 1, 5: 3}).guide_map.groupby("gene_name").size().drop("NTC")
    share = (sizes == 5).mean()
    assert set(sizes) == {1, 5}
    assert abs(share - 0.75) < 4 * np.sqrt(0.75 * 0.25 / 2000)


def test_written_tables_come_back(tmp_path: Any) -> None:
    screen = draw(clusters=3)
    write_screen(screen, tmp_path / "input")
    assert sorted(path.name for path in (tmp_path / "input").iterdir()) == [
        "cells.parquet", "guide_calls.parquet", "guide_map.csv",
        "truth.json", "truth_delta.csv", "truth_theta.csv",
    ]  # fmt: skip
    for name in ("cells", "guide_calls"):
        back = pd.read_parquet(tmp_path / "input" / f"{name}.parquet")
        pd.testing.assert_frame_equal(back, getattr(screen, name), check_categorical=False)
        assert isinstance(back["cell_id"].dtype, pd.CategoricalDtype)
    for name in ("guide_map", "truth_theta", "truth_delta"):
        pd.testing.assert_frame_equal(read_table(tmp_path / "input" / f"{name}.csv"), getattr(screen, name))
    truth = read_json(tmp_path / "input" / "truth.json")
    np.testing.assert_array_equal(truth["alpha"], screen.truth["alpha"])
    assert SimulateConfig.model_validate(truth["settings"]).clusters == 3


# ------------------------------------------------------------------- truth


@pytest.mark.parametrize("guide_effects", ["centred", "uncentred"])
def test_deviations_sum_to_zero_and_singletons_are_exactly_zero(guide_effects: str) -> None:
    delta = draw(genes=60, guides_per_gene={1: 1, 4: 1}, guide_effects=guide_effects).truth_delta
    groups = delta.groupby(["gene", "fate"])["delta"]
    assert groups.sum().abs().max() < 1e-12
    assert (groups.size() == 1).any()
    assert (groups.sum()[groups.size() == 1] == 0).all()
    assert (groups.std()[groups.size() > 1] > 0).all()


def test_centred_effects_have_one_truth() -> None:
    truth = draw().truth_theta
    assert (truth["theta"] == truth["theta_gene"]).all()


def test_uncentred_effects_move_the_library_truth_on_all_days_alike() -> None:
    screen = draw(genes=1500, guides_per_gene={1: 1, 4: 1}, guide_effects="uncentred", guide_sd=0.5)
    gap = cube(screen) - cube(screen, "theta_gene")  # [L, F*, D]
    np.testing.assert_allclose(gap, np.broadcast_to(gap[:, :, :1], gap.shape), atol=1e-12)
    n_guides = screen.guide_map.groupby("gene_name", sort=False).size().drop("NTC").to_numpy()
    for n in (1, 4):
        moved = gap[n_guides == n, :, 0]
        assert abs(moved.std() / (0.5 / np.sqrt(n)) - 1) < 4 / np.sqrt(2 * moved.size)
    spread = screen.truth_delta["delta"].to_numpy().reshape(-1, 2)[np.repeat(n_guides, n_guides) == 4]
    assert abs(spread.std() / (0.5 * np.sqrt(3 / 4)) - 1) < 4 / np.sqrt(1.5 * spread.size)


def test_scales_and_nuisance_have_the_size_that_was_asked_for() -> None:
    fates = [f"f{index}" for index in range(400)]
    truth = draw(cells=40, fates=fates, replicates=4, intercept_sd=0.7, replicate_sd=0.3, clusters=2).truth
    assert truth["alpha"].shape == truth["gamma"].shape == (399, 4)
    assert abs(truth["alpha"].std() / 0.7 - 1) < 0.08
    np.testing.assert_allclose(truth["b"].sum(axis=1), 0, atol=1e-12)
    assert abs(truth["b"].std() / (0.3 * np.sqrt(3 / 4)) - 1) < 0.08
    assert abs(truth["cluster_intercepts"].std() / 0.3 - 1) < 0.05
    assert truth["cluster_intercepts"].shape == (399, 4 * 4 * 2)
    assert (draw(burden_slope=[0, 0.1, 0.2, 0.3]).truth["gamma"] == [[0, 0.1, 0.2, 0.3]] * 2).all()
    screen = draw()
    assert screen.truth["scales"]["tau"][1] == pytest.approx(np.sqrt((cube(screen)[:, 1, 0] ** 2).mean()))
    steps = cube(screen)[:, 0, 3] - cube(screen)[:, 0, 2]
    assert screen.truth["scales"]["sigma_time"][0, 2] == pytest.approx(np.sqrt((steps**2).mean()))


def test_streams_keep_their_place() -> None:
    """The place is the stream: a name that moves changes the screens of every seed."""
    assert STREAMS[:16] == (
        "guides_per_gene", "abundance", "moi", "guides", "active", "pattern", "size", "hit", "walk",
        "guide_effect", "intercept", "replicate", "cluster", "label", "covariate", "burden_slope",
    )  # fmt: skip


def test_contrasts_can_have_burden_slopes_of_their_own() -> None:
    fates = [f"f{index}" for index in range(400)]
    by_day = [0.5, 0.6, 0.7, 0.8]
    bare, screen = (draw(cells=40, fates=fates, burden_slope=by_day, burden_slope_sd=sd) for sd in (0, 0.1))
    own = screen.truth["gamma"] - by_day  # [F*, D]
    np.testing.assert_allclose(own, np.broadcast_to(own[:, :1], own.shape), atol=1e-12)
    assert abs(own[:, 0].std() / 0.1 - 1) < 0.15
    assert abs(own[:, 0].mean()) < 4 * 0.1 / 20
    assert (bare.truth["gamma"] == by_day).all()
    assert (bare.truth["alpha"] == screen.truth["alpha"]).all()


def test_a_covariate_is_one_more_column_and_changes_no_draw_but_the_labels() -> None:
    bare, screen = draw(), draw(covariate_effect=0.5)
    assert list(screen.cells) == [*bare.cells, "covariate"]
    covariate = screen.cells["covariate"].to_numpy()
    assert abs(covariate.mean()) < 4 / np.sqrt(4000)
    assert covariate.std() == pytest.approx(1, abs=4 / np.sqrt(8000))
    assert screen.truth["covariate_slopes"].tolist() == [[0.5], [0.5]]
    assert bare.truth["covariate_slopes"].shape == (2, 0)
    assert screen.truth["settings"]["covariate_effect"] == 0.5
    pd.testing.assert_frame_equal(bare.guide_calls, screen.guide_calls)
    pd.testing.assert_frame_equal(bare.truth_theta, screen.truth_theta)
    assert (bare.truth["alpha"] == screen.truth["alpha"]).all()
    assert 0 < (labels(bare) != labels(screen)).any(axis=1).mean() < 0.3


def test_active_genes_are_those_with_effects() -> None:
    screen = draw(genes=50, active_genes=13)
    has_effect = (cube(screen) != 0).any(axis=(1, 2))
    assert has_effect.sum() == 13
    assert set(screen.truth["patterns"]) == set(screen.truth_theta["gene"].unique()[has_effect])


def test_no_active_genes() -> None:
    screen = draw(active_genes=0)
    assert (screen.truth_theta["theta"] == 0).all()
    assert screen.truth["patterns"] == {}
    assert (screen.truth_delta["delta"] != 0).any()


# ------------------------------------------------------------------- patterns

PROFILES: dict[str, dict[int, list[float]]] = {
    "sustained": {1: [1], 2: [1, 1], 3: [1, 1, 1], 4: [1, 1, 1, 1], 5: [1, 1, 1, 1, 1]},
    "early": {1: [1], 2: [1, 0], 3: [1, 1, 0], 4: [1, 1, 2 / 3, 0], 5: [1, 1, 1, 0.5, 0]},
    "late": {1: [1], 2: [0, 1], 3: [0, 1, 1], 4: [0, 2 / 3, 1, 1], 5: [0, 0.5, 1, 1, 1]},
    "transient": {1: [1], 2: [1, 1], 3: [0, 1, 0], 4: [0, 1, 1, 0], 5: [0, 0, 1, 0, 0]},
    "sign_switch": {1: [1], 2: [1, -1], 3: [1, 1, -1], 4: [1, 1, -1, -1], 5: [1, 1, 1, -1, -1]},
}


@pytest.mark.parametrize("n_days", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("pattern", sorted(PROFILES))
def test_pattern_over_days(pattern: str, n_days: int) -> None:
    screen = draw(cells=100, days=list(range(n_days)), effect_patterns={pattern: 1}, effect_size=[0.5, 1.5])
    theta = cube(screen)
    theta = theta[(theta != 0).any(axis=(1, 2))]
    assert len(theta) == 8
    profile = np.array(PROFILES[pattern][n_days], dtype=float)
    size = (theta @ profile) / (profile @ profile)  # [A, F*]
    np.testing.assert_allclose(theta, size[:, :, None] * profile, atol=1e-12)
    assert (np.abs(size) >= 0.5).all()
    assert (np.abs(size) <= 1.5).all()
    assert (size > 0).any()
    assert (size < 0).any()


@pytest.mark.parametrize("n_days", [1, 2, 4])
def test_single_day_is_one_random_day(n_days: int) -> None:
    screen = draw(
        cells=100, genes=200, active_genes=200, days=list(range(n_days)), effect_patterns={"single_day": 1}
    )
    is_on = cube(screen) != 0  # [L, F*, D]
    assert (is_on.sum(axis=2) == 1).all()
    assert (is_on[:, 0] == is_on[:, 1]).all()
    assert np.bincount(is_on[:, 0].argmax(axis=1), minlength=n_days).min() > 200 / n_days / 2


def test_random_walk_takes_its_size_from_its_own_settings() -> None:
    screen = draw(
        cells=100, genes=3000, active_genes=3000, effect_patterns={"random_walk": 2},
        effect_size=[9, 9], walk_start_sd=0.3, walk_step_sd=0.8,
    )  # fmt: skip
    theta = cube(screen)
    assert abs(theta[:, :, 0].std() / 0.3 - 1) < 0.05
    np.testing.assert_allclose(np.diff(theta, axis=2).std(axis=0), 0.8, rtol=0.06)
    assert np.corrcoef(theta.reshape(3000, -1).T)[0, 4] == pytest.approx(0, abs=0.08)


def test_patterns_come_by_weight() -> None:
    screen = draw(
        cells=100, genes=3000, active_genes=3000, effect_patterns={"late": 3, "early": 1, "transient": 0}
    )
    counts = pd.Series(screen.truth["patterns"]).value_counts()
    assert set(counts.index) == {"late", "early"}
    assert abs(counts["late"] / 3000 - 0.75) < 4 * np.sqrt(0.75 * 0.25 / 3000)


@pytest.mark.parametrize("pattern", ["sustained", "random_walk"])
def test_contrasts_hit(pattern: str) -> None:
    settings = {
        "cells": 100, "genes": 300, "active_genes": 300, "effect_patterns": {pattern: 1},
        "fates": ["A", "B", "C", "D"],
    }  # fmt: skip
    independent, same, one = (
        cube(draw(effect_fates=fates, **settings)) for fates in ("independent", "same", "one")
    )
    assert np.abs(np.corrcoef(independent[:, :, 0].T)[0, 1:]).max() < 0.25
    assert (independent != 0).all()
    assert (same == same[:, :1]).all()
    assert (same != 0).all()
    is_hit = (one != 0).any(axis=2)  # [L, F*]
    assert (is_hit.sum(axis=1) == 1).all()
    assert is_hit.sum(axis=0).min() > 60


@pytest.mark.parametrize(("moved", "n_moved"), [("one_fate", 1), ("two_fates", 2)])
def test_fates_moved(moved: str, n_moved: int) -> None:
    """Where the reference alone moves, all contrasts move against it alike."""
    settings = {"cells": 100, "genes": 400, "active_genes": 400, "fates": list("ABCD"), "effect_size": [1, 2]}
    theta = cube(draw(effect_fates=moved, effect_patterns={"sustained": 1}, **settings))[:, :, 0]  # [L, F*]
    by_fate = np.insert(theta, 0, 0.0, axis=1)  # [L, F]
    still = by_fate - np.sort(by_fate, axis=1)[:, [1]]  # against the middle: two or three fates do not move
    if n_moved == 2:
        values, counts = zip(*(np.unique(row.round(9), return_counts=True) for row in by_fate), strict=True)
        still = by_fate - np.array([v[c.argmax()] for v, c in zip(values, counts, strict=True)])[:, None]
    has_moved = np.abs(still) > 1e-9
    assert (has_moved.sum(axis=1) == n_moved).all()
    assert has_moved.sum(axis=0).min() > 60 * n_moved
    size = np.abs(still[has_moved])
    assert 1 <= size.min() < 1.1 < 1.9 < size.max() <= 2


def test_shares_of_fates() -> None:
    screen = draw(cells=20000, fates=list("ABC"), fate_shares=[6, 3, 1], intercept_sd=0, active_genes=0,
                  burden_slope=0, replicate_sd=0, guide_sd=0)  # fmt: skip
    np.testing.assert_allclose(screen.cells[["p_A", "p_B", "p_C"]].mean(), [0.6, 0.3, 0.1], atol=0.012)


def test_active_genes_can_be_drawn_anew_on_every_day() -> None:
    settings = {"cells": 100, "genes": 1000, "active_genes": 200, "active_per": "day"}
    screen = draw(effect_fates="same", effect_size=[0.2, 1], **settings)
    theta = cube(screen)  # [L, F*, D]
    assert (theta == theta[:, :1]).all()
    is_active = theta[:, 0] != 0  # [L, D]
    assert (is_active.sum(axis=0) == 200).all()
    # Days are independent: 1,000 genes x 0.2^2 are active on both of two days, SD 5 (hypergeometric).
    both = (is_active.T.astype(int) @ is_active)[np.triu_indices(4, 1)]
    assert np.abs(both - 40).max() < 4 * 5.1
    size = np.abs(theta[:, 0][is_active])
    assert size.min() >= 0.2
    assert size.max() <= 1
    assert abs(size.mean() - 0.6) < 4 * 0.8 / np.sqrt(12 * 800)
    assert abs((theta[:, 0][is_active] > 0).mean() - 0.5) < 4 * 0.5 / np.sqrt(800)
    twice = is_active[:, 0] & is_active[:, 1]
    assert abs(np.corrcoef(theta[twice, 0, :2].T)[0, 1]) < 4 / np.sqrt(twice.sum())
    genes = screen.truth_theta["gene"].unique()
    days = {gene: ";".join(f"d{d}" for d in np.flatnonzero(is_active[genes == gene][0])) for gene in genes}
    assert screen.truth["patterns"] == {gene: text for gene, text in days.items() if text}

    independent, one = (cube(draw(effect_fates=fates, **settings)) != 0 for fates in ("independent", "one"))
    assert (independent[:, 0] == independent[:, 1]).all()
    assert (one.sum(axis=1).max(), one.sum()) == (1, 800)
    assert one.sum(axis=(0, 2)).min() > 300
    assert (cube(draw(**{**settings, "active_genes": 0})) == 0).all()


# ------------------------------------------------------------------- guides of cells


@pytest.mark.parametrize("distribution", ["poisson", "uniform", "fixed"])
@pytest.mark.parametrize("moi", [1, 3.5, 10])
def test_cells_have_distinct_guides_and_the_moi_asked_for(distribution: str, moi: float) -> None:
    screen = draw(cells=8000, genes=100, moi=moi, moi_distribution=distribution)
    assert not screen.guide_calls.duplicated().any()
    k = burden(screen)
    if distribution == "fixed":
        assert set(k) == {{1: 1, 3.5: 4, 10: 10}[moi]}
        return
    assert abs(k.mean() - moi) < 4 * k.std() / np.sqrt(len(k)) + 1e-12
    if distribution == "uniform":
        assert set(k) == set(range(1, int(2 * moi)))
    else:
        assert abs(k.var() / moi - 1) < 0.1
        assert abs((k == 0).mean() - np.exp(-moi)) < 4 * np.sqrt(np.exp(-moi) / len(k)) + 1e-3
        assert len(screen.cells) == 8000


def test_guides_are_drawn_by_their_shares() -> None:
    screen = draw(cells=60_000, genes=200, moi=2, moi_distribution="fixed", guide_abundance_sd=0.8)
    shares = screen.truth["guide_shares"]
    is_ntc = screen.guide_map["is_ntc"].to_numpy()
    assert shares[is_ntc].sum() == pytest.approx(0.1)
    assert abs(np.log(shares[~is_ntc]).std() / 0.8 - 1) < 0.1
    counts = np.bincount(screen.guide_calls["guide"].cat.codes, minlength=len(shares))
    assert abs(counts[is_ntc].sum() / counts.sum() - 0.1) < 4 * np.sqrt(0.09 / counts.sum())
    # Successive sampling of two: the second draw leaves out the first guide.
    included = shares * (1 + (shares / (1 - shares)).sum() - shares / (1 - shares))
    z = (counts - 60_000 * included) / np.sqrt(60_000 * included)
    assert np.abs(z).max() < 5
    assert abs((z**2).mean() - 1) < 0.25


def test_sampling_without_replacement_is_exact() -> None:
    shares = np.array([0.6, 0.3, 0.1])
    drawn = guides.draw_distinct(np.full(30_000, 2), shares, np.random.default_rng(1)).reshape(-1, 2)
    assert (drawn[:, 0] < drawn[:, 1]).all()
    for a, b in ((0, 1), (0, 2), (1, 2)):
        expected = shares[a] * shares[b] * (1 / (1 - shares[a]) + 1 / (1 - shares[b]))
        found = ((drawn == (a, b)).all(axis=1)).mean()
        assert abs(found - expected) < 4 * np.sqrt(expected / 30_000)


def test_no_ntc_share_means_no_ntc_guide_in_a_cell() -> None:
    assert not draw(ntc_share=0).guide_calls["guide"].str.startswith("NTC").any()
    assert not draw(ntc_share=0, ntc_guides=0).guide_map["is_ntc"].any()


def test_cells_that_want_too_many_guides_are_capped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        screen = draw(genes=3, active_genes=1, guides_per_gene=1, ntc_guides=2, moi=3, guide_abundance_sd=0.1)
    k = burden(screen)
    assert k.max() == 5
    assert screen.truth["n_cells_capped"] > 0
    assert abs(screen.truth["n_cells_capped"] / 4000 - 0.084) < 0.02  # P(Poisson(3) > 5)
    assert f"{screen.truth['n_cells_capped']} cells" in caplog.text
    assert draw().truth["n_cells_capped"] == 0


def test_more_guides_than_the_library_has_are_refused() -> None:
    with pytest.raises(FatewalkError, match="moi: found 9 distinct guides a cell, but only 6 guides"):
        draw(genes=6, active_genes=1, guides_per_gene=1, ntc_share=0, moi=9)


def test_hardly_drawable_guides_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guides, "MAX_ROUNDS", 20)
    with pytest.raises(FatewalkError, match="some are hardly ever drawn"):
        draw(genes=4, active_genes=1, guides_per_gene=1, ntc_share=1e-9, ntc_guides=1, moi=5,
             moi_distribution="fixed")  # fmt: skip


def test_cluster_can_share_its_guides() -> None:
    screen = draw(cells=2000, genes=60, clusters=20, cluster_shares_guides=True)
    calls = screen.guide_calls.astype(str).groupby("cell_id")["guide"].agg(tuple)
    sets = calls.reindex(screen.cells["cell_id"].astype(str))
    by_cluster = sets.fillna("").groupby(screen.cells["cluster"].to_numpy()).agg(set)
    assert (by_cluster.map(len) == 1).all()
    assert by_cluster.map(lambda one: next(iter(one))).nunique() > 0.9 * 160
    apart = draw(cells=2000, genes=60, clusters=20)
    assert apart.guide_calls.groupby("cell_id", observed=True)["guide"].agg(tuple).nunique() > 1000


# ------------------------------------------------------------------- labels

SCREENS: dict[str, dict[str, Any]] = {
    "one_hot": {},
    "dirichlet": {"labels": "dirichlet", "concentration": 20},
    "one day": {"days": [7]},
    "two fates": {"fates": ["A", "B"]},
    "six fates": {"fates": list("ABCDEF"), "effect_fates": "one"},
    "two fates moved": {"fates": list("ABCD"), "effect_fates": "two_fates", "fate_shares": [4, 3, 2, 1]},
    "uncentred": {"guide_effects": "uncentred"},
    "clusters": {"clusters": 10},
    "clusters share guides": {"clusters": 60, "cluster_shares_guides": True},
    "three replicates": {"replicates": 3, "days": [0, 1, 10]},
    "covariate": {"covariate_effect": -0.7},
}


@pytest.mark.parametrize("settings", SCREENS.values(), ids=SCREENS.keys())
def test_eta_is_the_sum_of_its_terms(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = screen_module.draw_labels

    def spy(config: SimulateConfig, eta: np.ndarray, *others: Any) -> np.ndarray:
        seen.append(eta)
        return real(config, eta, *others)

    monkeypatch.setattr(screen_module, "draw_labels", spy)
    # Few clusters that share guides have mean burdens that differ between days.
    screen = simulate_screen(SimulateConfig.model_validate({"cells": 1000, "genes": 20, **settings}))
    (eta,) = seen
    assert (eta[:, 0] == 0).all()
    np.testing.assert_allclose(eta[:, 1:], np.sum(list(terms_of_eta(screen).values()), axis=0), atol=1e-9)


@pytest.mark.parametrize("settings", SCREENS.values(), ids=SCREENS.keys())
def test_labels_follow_the_truth(settings: dict[str, Any]) -> None:
    """Score test of each term: its slope on the labels must be 1, neither 0 nor half nor double."""
    # Effects large enough, and a seed, that leaving any term out is seen.
    screen = draw(
        seed=3, cells=20_000, guide_sd=0.3, cluster_sd=0.4, replicate_sd=0.6, burden_slope=0.15, **settings
    )
    terms, observed = terms_of_eta(screen), labels(screen)
    pi = fate_shares(terms)
    full = log_likelihood(screen, terms)
    variance_share = 1 / 21 if screen.truth["settings"]["labels"] == "dirichlet" else 1
    for name, term in terms.items():
        direction = np.column_stack([np.zeros(len(term)), term])  # [N, F]
        mean = (pi * direction).sum(axis=1)
        variance = (pi * direction**2).sum(axis=1) - mean**2
        z = ((observed - pi) * direction).sum() / np.sqrt(variance_share * variance.sum())
        assert abs(z) < 4, name
        without = {key: value for key, value in terms.items() if key != name}
        assert full - log_likelihood(screen, without) > 10, name
    residual = (observed - pi).sum(axis=0) / np.sqrt(variance_share * (pi * (1 - pi)).sum(axis=0))
    assert np.abs(residual).max() < 4


def test_truth_beats_shuffled_truth_by_far() -> None:
    screen = draw(cells=20_000)
    full = log_likelihood(screen, terms_of_eta(screen))
    rng = np.random.default_rng(0)
    table = screen.truth_theta
    for _ in range(3):
        theta = cube(screen)[rng.permutation(20)].ravel()
        shuffled = SimulatedScreen(
            screen.cells, screen.guide_calls, screen.guide_map, table.assign(theta=theta),
            screen.truth_delta, screen.truth,
        )  # fmt: skip
        assert full - log_likelihood(screen, terms_of_eta(shuffled)) > 200


def test_mean_burden_counts_ntc_guides() -> None:
    screen = draw(ntc_share=0.5)
    k = pd.Series(burden(screen)).groupby(screen.cells["day"]).mean()
    np.testing.assert_allclose(screen.truth["mean_burden"], k.loc[screen.truth["days"]])


def test_one_hot_labels_are_one_fate() -> None:
    assert set(np.unique(labels(draw()))) == {0.0, 1.0}
    assert (labels(draw()).sum(axis=1) == 1).all()


def test_dirichlet_labels_have_their_concentration_by_day() -> None:
    concentration = [2.0, 10.0, 50.0, 1000.0]
    screen = draw(cells=20_000, labels="dirichlet", concentration=concentration)
    observed, pi = labels(screen), fate_shares(terms_of_eta(screen))
    np.testing.assert_allclose(observed.sum(axis=1), 1, atol=1e-12)
    for day, c in zip(screen.truth["days"], concentration, strict=True):
        is_day = (screen.cells["day"] == day).to_numpy()
        phi = ((observed - pi)[is_day] ** 2).sum() / (pi * (1 - pi))[is_day].sum()
        assert phi * (c + 1) == pytest.approx(1, abs=0.06)


def test_tiny_concentration_gives_nearly_one_hot_labels() -> None:
    observed = labels(draw(labels="dirichlet", concentration=1e-3))
    np.testing.assert_allclose(observed.sum(axis=1), 1, atol=1e-12)
    assert (observed.max(axis=1) > 0.99).mean() > 0.98


def test_clusters_are_overdispersed() -> None:
    def ratio(cluster_sd: float) -> float:
        """Variance of cluster totals, over that of independent cells with the same fate shares."""
        screen = draw(cells=24_000, clusters=30, cluster_sd=cluster_sd)
        terms = terms_of_eta(screen)
        terms.pop("cluster")
        pi = fate_shares(terms)
        cluster = screen.cells["cluster"].to_numpy()
        residual = pd.DataFrame(labels(screen) - pi).groupby(cluster).sum()
        return float((residual**2).sum().sum() / (pi * (1 - pi)).sum())

    assert ratio(0) == pytest.approx(1, abs=0.2)
    assert ratio(0.6) > 4


# ------------------------------------------------------------------- seeds and settings


def test_smallest_screen() -> None:
    screen = draw(
        cells=1, genes=1, active_genes=1, guides_per_gene=1, ntc_guides=0, ntc_share=0, days=[2],
        replicates=1, moi=1, moi_distribution="fixed", fates=["A", "B"],
    )  # fmt: skip
    assert len(screen.cells) == len(screen.guide_calls) == len(screen.guide_map) == 1
    assert (screen.truth["b"] == 0).all()
    assert len(screen.truth_theta) == 1


def test_same_seed_same_tables() -> None:
    config = SimulateConfig(cells=500, clusters=2, labels="dirichlet")
    one, two = simulate_screen(config), simulate_screen(config)
    for name in ("cells", "guide_calls", "guide_map", "truth_theta", "truth_delta"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(two, name))
    np.testing.assert_equal(one.truth, two.truth)


def test_a_setting_leaves_the_draws_of_others_alone() -> None:
    base, soft = draw(), draw(labels="dirichlet", intercept_sd=1, guide_sd=0.5)
    pd.testing.assert_frame_equal(base.guide_calls, soft.guide_calls)
    pd.testing.assert_frame_equal(base.truth_theta, soft.truth_theta)
    np.testing.assert_array_equal(base.truth["b"], soft.truth["b"])


#: Another value for each setting, and where it must show.
KNOBS: dict[str, tuple[Any, str]] = {
    "seed": (2, "guide_calls"),
    "cells": (1300, "cells"),
    "genes": (31, "truth_theta"),
    "guides_per_gene": (2, "guide_map"),
    "ntc_guides": (7, "guide_map"),
    "ntc_share": (0.3, "guide_calls"),
    "days": ([0, 1, 2, 4], "cells"),
    "replicates": (3, "cells"),
    "moi": (5, "guide_calls"),
    "moi_distribution": ("uniform", "guide_calls"),
    "guide_abundance_sd": (1.5, "guide_calls"),
    "fates": (["EC", "X", "Y"], "cells"),
    "labels": ("dirichlet", "cells"),
    "concentration": (3, "cells"),
    "active_genes": (4, "truth_theta"),
    "effect_size": ([2, 3], "truth_theta"),
    "effect_fates": ("one", "truth_theta"),
    "effect_patterns": ({"late": 1}, "truth_theta"),
    "walk_start_sd": (2, "truth_theta"),
    "walk_step_sd": (2, "truth_theta"),
    "guide_sd": (0.9, "truth_delta"),
    "guide_effects": ("uncentred", "truth_theta"),
    "active_per": ("day", "truth_theta"),
    "burden_slope": (0.5, "cells"),
    "burden_slope_sd": (0.5, "cells"),
    "fate_shares": ([3, 2, 1], "cells"),
    "intercept_sd": (2, "cells"),
    "replicate_sd": (2, "cells"),
    "clusters": (3, "cells"),
    "cluster_sd": (2, "cells"),
    "cluster_shares_guides": (True, "guide_calls"),
    "covariate_effect": (1.5, "cells"),
    "dispersion_by_fate": ([1, 2, 5], "cells"),
    "ntc_guide_sd": (2, "cells"),
    "gene_replicate_sd": (2, "cells"),
    "clones": (3, "guide_calls"),
    "clone_cells": (40, "guide_calls"),
    "clone_sd": (3, "cells"),
    "jackpot_cells": (50, "guide_calls"),
    "jackpot_deviation": (6, "cells"),
    "growth": ({"Gene001": {"MES": 0.3}}, "cells"),
    "label_shrink": (0.5, "cells"),
    "label_smoothing": (5, "cells"),
    "guide_dropout": (0.2, "guide_calls"),
    "ambient_guides": (0.2, "guide_calls"),
}
NEEDED: dict[str, dict[str, Any]] = {
    "concentration": {"labels": "dirichlet"},
    "cluster_sd": {"clusters": 4},
    "dispersion_by_fate": {"labels": "dirichlet"},
    "clone_cells": {"clones": 3},
    "clone_sd": {"clones": 3},
    "jackpot_deviation": {"jackpot_cells": 200},
    "cluster_shares_guides": {"clusters": 4},
    "walk_start_sd": {"effect_patterns": {"random_walk": 1}},
    "walk_step_sd": {"effect_patterns": {"random_walk": 1}},
}


def test_knobs_are_complete() -> None:
    assert set(KNOBS) == set(SimulateConfig.model_fields)


@pytest.mark.parametrize("knob", sorted(KNOBS))
def test_every_knob_shows(knob: str) -> None:
    value, table = KNOBS[knob]
    settings = {"cells": 1200, **NEEDED.get(knob, {})}
    before, after = draw(**settings), draw(**{**settings, knob: value})
    assert not getattr(before, table).equals(getattr(after, table))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cells": 7}, "cells: found 7; allowed: at least 8"),
        ({"cells": 30, "clusters": 4}, "cells: found 30; allowed: at least 32"),
        ({"moi": 0.5, "moi_distribution": "fixed"}, "moi: found 0.5; allowed with moi_distribution fixed"),
        ({"cluster_shares_guides": True}, "clusters is 0"),
        ({"days": [0, float("nan")]}, "finite number"),
        ({"concentration": float("inf"), "labels": "dirichlet"}, "finite number"),
        ({"seed": -1}, "greater than or equal to 0"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SimulateConfig.model_validate(settings)

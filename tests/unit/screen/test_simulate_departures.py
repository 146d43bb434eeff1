"""What the simulator has and the model has not: each knob does what it says, and is off by default."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy.spatial import KDTree

from fatewalk.config import SimulateConfig
from fatewalk.core.errors import FatewalkError
from fatewalk.core.files import read_json
from fatewalk.screen.simulate import SimulatedScreen, simulate_screen, write_screen
from tests.unit.screen.test_simulate import fate_shares, labels, terms_of_eta

#: No effects at all: whatever the labels show is the knob's.
FLAT: dict[str, Any] = {
    "cells": 6000, "genes": 20, "active_genes": 0, "guide_sd": 0, "burden_slope": 0, "replicate_sd": 0,
    "intercept_sd": 0,
}  # fmt: skip


def draw(**settings: Any) -> SimulatedScreen:
    return simulate_screen(SimulateConfig.model_validate({"cells": 4000, "genes": 20, **settings}))


def logits(prob: np.ndarray) -> np.ndarray:
    return np.log(prob[..., 1:] / prob[..., :1])


def carried(screen: SimulatedScreen) -> pd.Series:
    """Guides of each cell as one text, by cell."""
    names = screen.guide_calls.astype(str).sort_values(["cell_id", "guide"])
    return (
        names.groupby("cell_id")["guide"]
        .agg(" ".join)
        .reindex(screen.cells["cell_id"].astype(str), fill_value="")
    )


# Written by the simulator before it had any of these keys. A digest that changes means that every seed of
# every user gives another screen: raise the stage's number and say so in CHANGELOG.md, if it must be.
DEMO = {
    "cells": "5755e55b7cac",
    "guide_calls": "fcf587f8d1ad",
    "guide_map": "111e08eb41cc",
    "truth_theta": "955ad6be249e",
    "truth_delta": "d88ffc8ed3bb",
}


def digest(table: pd.DataFrame) -> str:
    return hashlib.sha256(table.to_csv(index=False, float_format="%.9g").encode()).hexdigest()[:12]


def test_the_demo_is_the_screen_that_it_was() -> None:
    screen = simulate_screen(SimulateConfig())
    tables = ("cells", "guide_calls", "guide_map", "truth_theta", "truth_delta")
    assert {name: digest(getattr(screen, name)) for name in tables} == DEMO


def test_fates_scatter_by_their_factors_and_keep_their_mean() -> None:
    factors = [1, 10, 2, 1, 4]
    screen = draw(**FLAT | {"cells": 20_000}, fates=list("ABCDE"), fate_shares=[4, 3, 1, 1, 1], days=[0, 1],
                  labels="dirichlet", concentration=[30, 100], dispersion_by_fate=factors)  # fmt: skip
    found, pi = labels(screen), fate_shares(terms_of_eta(screen))
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)
    assert found.min() >= 0
    day = screen.cells["day"].to_numpy()
    for d, (name, c) in enumerate(zip(screen.truth["days"], (30, 100), strict=True)):
        residual = (found - pi)[day == name]
        se = residual.std(axis=0) / np.sqrt(len(residual))
        assert (np.abs(residual.mean(axis=0)) < 4 * se).all()
        dispersion = (residual**2).mean(axis=0) / (pi * (1 - pi))[day == name].mean(axis=0)
        np.testing.assert_allclose(dispersion, screen.truth["label_dispersion"][d], rtol=0.1)
        assert dispersion[1] * (c + 1) == pytest.approx(10, rel=0.08)
        assert (dispersion[2:] * (c + 1) / factors[2:]).max() < 2
        assert dispersion[[0, 2, 3, 4]].max() < dispersion[1] / 2


def test_equal_factors_change_nothing() -> None:
    settings = {"cells": 500, "labels": "dirichlet"}
    np.testing.assert_allclose(
        labels(draw(**settings, dispersion_by_fate=[1, 1, 1])), labels(draw(**settings)), atol=1e-12
    )


def test_cluster_effects_can_differ_by_fate() -> None:
    screen = draw(clusters=200, cluster_sd=[0.1, 1.0])
    sd = screen.truth["cluster_intercepts"].std(axis=1)
    np.testing.assert_allclose(sd, [0.1, 1.0], rtol=0.1)


def test_ntc_guides_have_effects_of_their_own() -> None:
    screen = draw(**FLAT | {"cells": 30_000}, ntc_guides=4, ntc_share=0.5, ntc_guide_sd=1.0, moi=1,
                  moi_distribution="fixed", fates=["A", "B"])  # fmt: skip
    guide = carried(screen)
    own = screen.truth["ntc_effects"][:, 0]
    assert own.shape == (4,)
    assert np.std(own) > 0.3
    for k in range(4):
        mine = labels(screen)[(guide == f"NTC_{k + 1:02d}").to_numpy()]
        share = 1 / (1 + np.exp(-own[k]))
        assert abs(mine[:, 1].mean() - share) < 4 * np.sqrt(share * (1 - share) / len(mine))
    many = draw(cells=100, ntc_guides=2000, ntc_guide_sd=0.2).truth["ntc_effects"]
    assert many.std() == pytest.approx(0.2, rel=0.06)


def test_genes_deviate_in_replicates() -> None:
    screen = draw(**FLAT | {"cells": 24_000, "genes": 2}, ntc_share=0, ntc_guides=0, gene_replicate_sd=1.0,
                  days=[0, 1], replicates=3, moi=1, moi_distribution="fixed", fates=["A", "B"])  # fmt: skip
    deviation = screen.truth["gene_replicate"]
    assert deviation.shape == (2, 1, 2, 3)
    gene = carried(screen).str.split("_").str[0].to_numpy()
    cells = screen.cells.assign(gene=gene).groupby(["gene", "day", "rep"])["p_B"]
    share = 1 / (1 + np.exp(-deviation[:, 0].ravel()))
    se = np.sqrt(share * (1 - share) / cells.size().to_numpy())
    assert np.abs((cells.mean().to_numpy() - share) / se).max() < 4
    many = draw(cells=100, genes=500, gene_replicate_sd=0.3, active_genes=0).truth["gene_replicate"]
    assert many.std() == pytest.approx(0.3, rel=0.05)
    assert np.abs(many.sum(axis=3)).min() > 0  # not centred


def test_clones_share_guides_replicate_and_deviation() -> None:
    screen = draw(**FLAT, clones=30, clone_cells=40, clone_sd=2.0)
    clones = screen.truth["clones"]
    assert len(clones) == 30
    guides = carried(screen)
    cells = screen.cells.astype({"cell_id": str}).set_index("cell_id")
    seen: list[str] = []
    for clone in clones:
        assert set(cells.loc[clone["cells"], "rep"]) == {clone["rep"]}
        assert len(set(guides[clone["cells"]])) == 1
        assert len(set(cells.loc[clone["cells"], "day"])) > 1
        seen += clone["cells"]
    assert len(seen) == len(set(seen)) == 1200
    deviation = np.array([clone["deviation"] for clone in clones])  # [clones, F*]
    assert deviation.std() == pytest.approx(2, rel=0.35)
    eta = np.column_stack([np.zeros(30), deviation])
    share = np.exp(eta) / np.exp(eta).sum(axis=1, keepdims=True)
    found = np.array([labels(screen)[cells.index.isin(clone["cells"])].mean(axis=0) for clone in clones])
    assert (((found - share) ** 2 / (share * (1 - share) / 40)).mean()) < 2


def test_a_jackpot_is_one_clone_of_a_gene_without_effect() -> None:
    screen = draw(cells=4000, active_genes=19, jackpot_cells=200, jackpot_deviation=4.0)
    (jackpot,) = screen.truth["clones"]
    gene = jackpot["jackpot_guide"].split("_")[0]
    assert gene not in screen.truth["patterns"]
    assert (carried(screen)[jackpot["cells"]] == jackpot["jackpot_guide"]).all()
    assert len(jackpot["cells"]) == 200
    is_clone = screen.cells["cell_id"].isin(jackpot["cells"])
    assert set(screen.cells.loc[is_clone, "rep"]) == {jackpot["rep"]}
    assert screen.cells.loc[is_clone, "p_MES"].mean() > 0.7 > screen.cells.loc[~is_clone, "p_MES"].mean()
    with pytest.raises(FatewalkError, match="every gene has an effect"):
        draw(active_genes=20, jackpot_cells=200)


def test_a_gene_can_kill_cells_of_one_fate() -> None:
    """A cell's odds to be sampled are the factor to the power of the time, by its gene and fate."""
    screen = draw(**FLAT | {"cells": 30_000}, days=[0, 1, 3], moi=1, moi_distribution="fixed", ntc_share=0.5,
                  growth={"Gene001": {"MES": 0.5}, "Gene002": dict.fromkeys(("EC", "MES", "NEU"), 1.4)},
                  guide_abundance_sd=0, guides_per_gene=1)  # fmt: skip
    guide = carried(screen).to_numpy()
    fate = labels(screen).argmax(axis=1)
    base = 0.5 / 20  # share of each gene among the guides drawn
    for time in (0, 1, 3):
        of_day = (screen.cells["time"] == time).to_numpy()
        killed, grown = (of_day & (guide == f"Gene{k:03d}_g1") for k in (1, 2))
        weight = np.array([1, 0.5**time, 1]) / 3
        share = weight / weight.sum()
        n = killed.sum()
        se = np.sqrt(share * (1 - share) / n)
        assert (np.abs(np.bincount(fate[killed], minlength=3) / n - share) < 4 * se).all()
        total = 1 - 2 * base + base * weight.sum() + base * 1.4**time
        for cells, expected in ((killed, base * weight.sum() / total), (grown, base * 1.4**time / total)):
            assert abs(cells.sum() / of_day.sum() - expected) < 4 * np.sqrt(expected / of_day.sum())
    assert screen.truth["n_cells_lost"] > 0
    assert len(screen.cells) == 30_000


def test_growth_that_leaves_nobody_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fatewalk.screen.simulate.survival.MAX_ROUNDS", 3)
    dead = {"Gene001": dict.fromkeys(("EC", "MES", "NEU"), 0.001)}
    with pytest.raises(FatewalkError, match=r"growth: found \d+ cells that no draw of 3 filled"):
        draw(cells=100, genes=1, active_genes=0, growth=dead, ntc_share=0, ntc_guides=0)
    with pytest.raises(FatewalkError, match="found gene 'Gene999'; the simulated genes are Gene001"):
        draw(growth={"Gene999": {"EC": 0.5}})


@pytest.mark.parametrize("kind", ["one_hot", "dirichlet"])
def test_labels_are_drawn_towards_the_mean_of_their_day(kind: str) -> None:
    bare, shrunk = (draw(cells=800, labels=kind, label_shrink=factor) for factor in (1, [0.3, 1, 0, 0.9]))
    for name, factor in zip(bare.truth["days"], (0.3, 1, 0, 0.9), strict=True):
        of_day = (bare.cells["day"] == name).to_numpy()
        before, after = labels(bare)[of_day], labels(shrunk)[of_day]
        mean = before.mean(axis=0)
        np.testing.assert_allclose(after - mean, factor * (before - mean), atol=1e-12)


def test_smoothed_labels_are_means_over_neighbours_of_the_day() -> None:
    bare, smooth = (draw(**FLAT, label_smoothing=k) for k in (0, 30))
    assert set(np.unique(labels(smooth) * 30 % 1).round(9)) <= {0.0, 1.0}
    assert labels(smooth).std() == pytest.approx(labels(bare).std() / np.sqrt(30), rel=0.15)
    np.testing.assert_allclose(labels(smooth).sum(axis=1), 1, atol=1e-12)
    # Cells of one day share neighbours, so many pairs have nearly the same label.
    found = labels(smooth)[:1500]
    distance = KDTree(found).query(found, k=2)[0][:, 1]
    assert np.median(distance) < 0.02
    pd.testing.assert_frame_equal(bare.guide_calls, smooth.guide_calls)


def test_guides_are_lost_and_false_calls_come() -> None:
    true = draw(cells=5000)
    before = set(map(tuple, true.guide_calls.astype(str).to_numpy()))
    lost = draw(cells=5000, guide_dropout=0.3)
    seen = set(map(tuple, lost.guide_calls.astype(str).to_numpy()))
    assert seen < before
    assert 1 - len(seen) / len(before) == pytest.approx(0.3, abs=4 * np.sqrt(0.21 / len(before)))
    assert lost.truth["n_calls_lost"] == len(before) - len(seen)
    ambient = draw(cells=5000, ambient_guides=0.2)
    seen = set(map(tuple, ambient.guide_calls.astype(str).to_numpy()))
    assert before < seen
    assert len(seen - before) / len(seen) == pytest.approx(0.2, abs=1e-3)
    assert ambient.truth["n_calls_false"] == len(seen - before)
    false = pd.Series([guide for _, guide in seen - before]).value_counts(normalize=True)
    shares = pd.Series(ambient.truth["guide_shares"], ambient.guide_map["guide_name"])
    assert np.corrcoef(false.reindex(shares.index, fill_value=0), shares)[0, 1] > 0.8
    for screen in (lost, ambient):
        np.testing.assert_array_equal(labels(screen), labels(true))
        assert screen.guide_calls["cell_id"].cat.codes.is_monotonic_increasing
        assert not screen.guide_calls.duplicated().any()


def test_ambient_calls_need_room() -> None:
    with pytest.raises(FatewalkError, match="ambient_guides: found"):
        draw(cells=50, genes=2, active_genes=0, guides_per_gene=1, ntc_guides=0, ntc_share=0, moi=2,
             moi_distribution="fixed", ambient_guides=0.5)  # fmt: skip


def test_all_departures_at_once_are_written_and_come_back(tmp_path: Any) -> None:
    screen = draw(labels="dirichlet", dispersion_by_fate=[1, 3, 9], ntc_guide_sd=0.1, gene_replicate_sd=0.3,
                  clones=4, jackpot_cells=50, label_shrink=0.5, label_smoothing=5, guide_dropout=0.1,
                  ambient_guides=0.1)  # fmt: skip
    write_screen(screen, tmp_path)
    truth = read_json(tmp_path / "truth.json")
    np.testing.assert_allclose(truth["gene_replicate"], screen.truth["gene_replicate"])
    assert [clone["jackpot_guide"] is None for clone in truth["clones"]] == [True] * 4 + [False]
    assert SimulateConfig.model_validate(truth["settings"]).label_smoothing == 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dispersion_by_fate": [1, 2, 3]}, "labels are one_hot, whose scatter is fixed"),
        ({"labels": "dirichlet", "dispersion_by_fate": [1, 2]}, r"allowed: one per fate \(3\)"),
        ({"labels": "dirichlet", "dispersion_by_fate": [1, 2, 60]}, "more than one-hot labels scatter"),
        ({"clusters": 2, "cluster_sd": [1, 2, 3]}, r"one per fate but the first \(2\)"),
        ({"label_shrink": [1, 1]}, r"label_shrink: found 2 values; allowed: one, or one per day \(4\)"),
        ({"label_smoothing": 3001}, "label_smoothing: found 3001; allowed: at most the cells of a day"),
        ({"clones": 400}, "clones: found up to 4000 cells of clones in a replicate; allowed: at most half"),
        ({"jackpot_cells": 5000}, "found up to 5000 cells of clones"),
        ({"clones": 1, "clusters": 9, "cluster_shares_guides": True}, "cells share guides by cluster"),
        ({"growth": {"Gene001": {"XY": 1}}}, "growth: found fate 'XY'; allowed: EC, MES, NEU"),
        ({"growth": {"Gene001": {"EC": 0.5}}, "days": [-1, 0]}, "found day -1; it counts from time 0"),
        ({"growth": {"Gene001": {"EC": 0.5}}, "clones": 2}, "growth: found together with clones"),
    ],
)  # fmt: skip
def test_impossible_departures_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SimulateConfig.model_validate(settings)

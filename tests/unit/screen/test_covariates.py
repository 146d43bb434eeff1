"""Cell covariates become columns of the design; what says nothing of its own is dropped and said."""

import time

import numpy as np
import pandas as pd
import pytest
import torch

from fatewalk.config import DesignConfig
from fatewalk.core.errors import FatewalkError
from fatewalk.screen.design import Design, build_design, load_design, save_design

N = 12
DAY = np.repeat([0, 1], 6)
REP = np.tile([0, 0, 1], 4)
X = np.array([3.0, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8])
PHASE = ["S", "G1", "S", "G1", "G1", "G2M", "G1", "S", "G1", "G2M", "G1", "S"]  # G1 6, S 4, G2M 2
CELLS = pd.DataFrame(
    {
        "cell_id": [f"c{i}" for i in range(N)],
        "day": [f"d{d}" for d in DAY],
        "time": DAY.astype(float),
        "rep": [f"r{r}" for r in REP],
        "p_EC": np.linspace(0.2, 0.8, N),
        "p_MES": 1 - np.linspace(0.2, 0.8, N),
    }
)
CALLS = pd.DataFrame({"cell_id": CELLS["cell_id"][:9], "guide": ["a", "b", "n"] * 3})
GUIDE_MAP = pd.DataFrame(
    {"guide_name": ["a", "b", "n"], "gene_name": ["A", "A", "NTC"], "is_ntc": [False, False, True]}
)


def build(calls=CALLS, drop=(), options=None, **columns):
    cells = CELLS.drop(columns=list(drop)).assign(**columns)
    return build_design(cells, calls, GUIDE_MAP, DesignConfig(**(options or {})), ["EC", "MES"])


def refused(*words, **changes):
    with pytest.raises(FatewalkError) as error:
        build(**changes)
    for word in words:
        assert word in str(error.value)


def sentences(report, word="ovariate"):
    return [text for text in report["warnings"] if word in text]


# ------------------------------------------------------------------- columns


def test_numbers_are_centred_and_scaled():
    design, report = build(pct_mito=X)
    assert design.covariate_names == ("pct_mito",)
    expected = (X - X.mean()) / np.sqrt(((X - X.mean()) ** 2).mean())
    assert design.covariates[:, 0].tolist() == pytest.approx(expected.tolist())
    assert report["covariates"] == [
        {"name": "pct_mito", "kind": "numeric", "mean": X.mean(), "sd": X.std(), "columns": ["pct_mito"]}
    ]
    assert not sentences(report)


@pytest.mark.parametrize("kind", [int, bool, "Int64", "boolean", object])
def test_whole_numbers_and_truth_values_are_numbers(kind):
    values = pd.Series(X.astype(int) % 2 == 1)
    values = values.astype(int).astype(kind) if kind in (int, "Int64") else values.astype(kind)
    design, report = build(x=values)
    share = (X % 2).mean()
    assert design.covariates[:, 0].tolist() == pytest.approx(
        ((X % 2 - share) / np.sqrt(share * (1 - share))).tolist()
    )
    assert (report["covariates"][0]["kind"], report["covariates"][0]["mean"]) == ("numeric", share)


@pytest.mark.parametrize("kind", [object, "category", "string"])
def test_categories_become_centred_indicators_against_the_most_frequent(kind):
    design, report = build(phase=pd.Series(PHASE).astype(kind))
    assert design.covariate_names == ("phase=G2M", "phase=S")
    phase = np.array(PHASE)
    expected = np.column_stack([(phase == "G2M") - 2 / 12, (phase == "S") - 4 / 12])
    assert design.covariates.numpy() == pytest.approx(expected)
    assert report["covariates"] == [
        {
            "name": "phase", "kind": "categorical", "levels": {"G1": 6, "G2M": 2, "S": 4}, "baseline": "G1",
            "columns": ["phase=G2M", "phase=S"],
        }
    ]  # fmt: skip


def test_categories_that_are_numbers_stay_categories():
    lane = pd.Series(pd.Categorical([1, 2, 1, 3, 1, 2] * 2, categories=[1, 2, 3, 4]))
    design, report = build(lane=lane)
    assert design.covariate_names == ("lane=2", "lane=3")
    assert report["covariates"][0]["levels"] == {"1": 6, "2": 4, "3": 2}


def test_ties_go_to_the_first_level_by_name():
    assert build(sex=["m", "f"] * 6)[0].covariate_names == ("sex=m",)


def test_which_covariates_and_in_which_order():
    both = {"x": X, "phase": PHASE}
    assert build(**both)[0].covariate_names == ("x", "phase=G2M", "phase=S")
    chosen = build(options={"covariates": ["phase", "x"]}, **both)[0]
    assert chosen.covariate_names == ("phase=G2M", "phase=S", "x")
    design, report = build(options={"covariates": []}, **both)
    assert (design.covariate_names, tuple(design.covariates.shape)) == ((), (N, 0))
    assert report["covariates"] == []
    assert "leaves out: x, phase." in report["notes"][0]
    refused(
        "'Phase'", "did you mean 'phase'?", "it carries: x, phase", options={"covariates": ["Phase"]}, **both
    )
    refused("it carries: none", options={"covariates": ["x"]})


def test_only_cells_of_the_fit_count():
    x = np.where(np.arange(N) < 9, X, 1e6)  # the last three cells carry no guide
    design, report = build(x=x, options={"cells_without_guides": "drop"})
    assert report["covariates"][0]["mean"] == X[:9].mean()
    assert design.covariates.shape == (9, 1)
    assert float(design.covariates.square().mean()) == pytest.approx(1)


# ------------------------------------------------------------------ refusals


@pytest.mark.parametrize("bad", [np.nan, np.inf, None])
def test_missing_numbers_are_refused(bad):
    x = pd.Series(X.copy())
    x[[2, 7]] = bad
    refused("covariate 'x' is missing", "in 2 of 12 cells: 'c2', 'c7';", "fill it in", x=x)


@pytest.mark.parametrize("bad", [None, "", "NA", "nan"])
@pytest.mark.parametrize("kind", [object, "category"])
def test_missing_categories_are_refused(bad, kind):
    phase = pd.Series(PHASE)
    phase[[1, 3, 4, 5]] = bad
    refused("'phase' is missing", "in 4 of 12 cells: 'c1', 'c3', 'c4' (and 1 more)", phase=phase.astype(kind))


def test_missing_truth_values_are_refused():
    refused(
        "'x' is missing", "1 of 12 cells: 'c0'", x=pd.Series([None, *[True, False] * 5, True], dtype=object)
    )


def test_an_identifier_is_no_covariate():
    cells = pd.concat([CELLS] * 5, ignore_index=True).assign(cell_id=[f"c{i}" for i in range(60)])
    for levels in (51, 50):
        cells["barcode"] = [f"b{i % levels:02d}" for i in range(60)]
        arguments = (cells, CALLS, GUIDE_MAP, DesignConfig(), ["EC", "MES"])
        if levels == 50:
            assert build_design(*arguments)[0].covariates.shape == (60, 49)
        else:
            with pytest.raises(FatewalkError, match=r"'barcode' has 51 levels \('b00', .*identifier"):
                build_design(*arguments)


def test_two_columns_of_one_name():
    refused("two covariates give a column 'phase=S'", **{"phase": PHASE, "phase=S": X})


# ------------------------------------------------------------ dropped columns


@pytest.mark.parametrize(("constant", "shown"), [(0.1, "0.1"), (0, "0"), (True, "1"), ("G1", "G1")])
def test_constant_covariates_are_dropped_and_said(constant, shown):
    design, report = build(x=[constant] * N, y=X)
    assert design.covariate_names == ("y",)
    assert sentences(report) == [f"Covariate x is {shown} in all cells of the fit and is left out."]
    assert report["covariates"][0]["columns"] == []


def test_what_days_and_replicates_determine_is_dropped_and_named():
    batch = np.array(["b1", "b2"])[REP]
    design, report = build(hours=24.0 * DAY, batch=batch, both=2.5 * DAY - 7 * REP, x=X)
    assert design.covariate_names == ("x",)
    assert [text.split(", so")[0] for text in sentences(report)] == [
        "Covariate hours is determined by the days",
        "Covariate batch=b2 is determined by the replicates",
        "Covariate both is determined by the days and the replicates",
    ]
    assert [c["columns"] for c in report["covariates"]] == [[], [], [], ["x"]]


def test_an_interaction_of_day_and_replicate_stays():
    assert build(x=DAY * REP)[0].covariate_names == ("x",)


def test_a_copy_of_other_covariates_is_dropped_and_named():
    phase = np.array(PHASE)
    design, report = build(x=X, phase=PHASE, cycling=phase != "G1", minus=5 - 1e4 * X)
    assert design.covariate_names == ("x", "phase=G2M", "phase=S")
    assert [text.split(", so")[0] for text in sentences(report)] == [
        "Covariate cycling is determined by phase=G2M and phase=S",
        "Covariate minus is determined by x",
    ]


def test_a_noisy_copy_stays():
    noise = np.random.default_rng(0).standard_normal(N)
    assert build(x=X, y=X + 1e-3 * noise)[0].covariate_names == ("x", "y")


@pytest.mark.parametrize("seed", range(8))
def test_the_kept_columns_have_the_full_rank(seed):
    """Rank of the whole regression by SVD: the columns that stay are as many as add to it."""
    rng = np.random.default_rng(seed)
    base = rng.standard_normal((N, 3))
    pool = np.column_stack([base, base @ rng.integers(-2, 3, (3, 2)), 1e5 * REP + 3, base[:, 0] + DAY])
    chosen = rng.permutation(pool.shape[1])
    columns = {f"x{i}": pool[:, i] for i in chosen if np.ptp(pool[:, i]) > 0}
    design, _ = build(**columns)
    intercepts = np.column_stack([DAY == 0, DAY == 1, REP == 0, REP == 1])
    given = np.column_stack([intercepts, *[(c - c.mean()) / c.std() for c in columns.values()]])
    rank = np.linalg.matrix_rank(intercepts)
    assert len(design.covariate_names) == np.linalg.matrix_rank(given) - rank
    kept = np.column_stack([intercepts, design.covariates.numpy()])
    assert np.linalg.matrix_rank(kept) == rank + len(design.covariate_names)


@pytest.mark.parametrize("name", ["batch", "batch_id", "donor", "seurat.cluster", "leiden", "sample_no"])
def test_numbers_that_are_names(name):
    codes = np.arange(len(CELLS)) % 3
    report = build(**{name: codes})[1]
    assert any(f"Covariate {name!r} holds whole numbers (3 values)" in one for one in report["warnings"])


@pytest.mark.parametrize("name", ["library_size", "n_counts", "n_groups", "total_umi", "age", "passage"])
def test_numbers_that_are_quantities(name):
    codes = np.arange(len(CELLS)) % 3
    report = build(**{name: codes})[1]
    assert not [one for one in report["warnings"] if "whole number" in one]


# --------------------------------------------------------- missing nuisances


def test_no_burden_slope_and_no_replicates_are_noted():
    one_each = pd.DataFrame({"cell_id": CELLS["cell_id"], "guide": ["a", "b", "n"] * 4})
    report = build(calls=one_each, drop=["rep"])[1]
    assert report["notes"] == [
        "All cells of a day have the same burden, so there is no burden slope to estimate.",
    ]
    assert any("All 12 cells are of one replicate ('rep1')" in warning for warning in report["warnings"])
    assert list(report)[-2:] == ["notes", "warnings"]
    assert build()[1]["notes"] == [
        "All cells of day 'd0' have the same burden, so there is no burden slope to estimate on it."
    ]
    assert build(burden=X)[1]["notes"] == []


# --------------------------------------------------------------------- files


def test_files_round_trip(tmp_path):
    cells = CELLS.assign(x=X, phase=PHASE)
    design, _ = build(x=X, phase=PHASE)
    save_design(design, cells["cell_id"], tmp_path)
    again = load_design(tmp_path / "design.pt")
    assert again.covariate_names == design.covariate_names
    assert torch.equal(again.covariates, design.covariates)
    assert again.covariates.dtype == torch.float64
    assert not {"x", "phase"} & set(pd.read_parquet(tmp_path / "cells.parquet"))


def test_a_design_from_before_has_no_covariates():
    content = build(x=X)[0].to_dict()
    del content["covariates"], content["covariate_names"]
    design = Design.from_dict(content)
    assert (tuple(design.covariates.shape), design.covariates.dtype) == ((N, 0), torch.float64)


def test_many_cells_take_seconds():
    n = 500_000
    rng = np.random.default_rng(1)
    p = rng.choice([0.25, 0.75], n)
    cells = pd.DataFrame(
        {
            "cell_id": [f"c{i}" for i in range(n)],
            "day": "d1",
            "time": 1.0,
            "rep": rng.choice(["a", "b"], n),
            "p_EC": p,
            "p_MES": 1 - p,
            **{f"x{i}": rng.standard_normal(n) for i in range(8)},
            "phase": rng.choice(["G1", "S", "G2M"], n),
        }
    )
    start = time.process_time()
    bare = build_design(cells, CALLS, GUIDE_MAP, DesignConfig(covariates=[]), ["EC", "MES"])
    between = time.process_time()
    design, _ = build_design(cells, CALLS, GUIDE_MAP, DesignConfig(), ["EC", "MES"])
    assert design.covariates.shape == (n, 10)
    assert bare[0].covariates.shape == (n, 0)
    assert time.process_time() - between < between - start + 5  # about 0.5 s more

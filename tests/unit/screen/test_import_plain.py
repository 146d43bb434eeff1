"""Plain tables become the canonical tables."""

import time

import numpy as np
import pandas as pd
import pytest

from fatewalk.core.errors import FatewalkError
from fatewalk.core.files import read_json
from fatewalk.screen.readers.plain import PlainDataset
from fatewalk.stages import import_screen

FATES = ["EC", "NEU"]
CELLS = pd.DataFrame(
    {
        "cell_id": ["001", "002", "003"],
        "day": ["d2", "d0", "d2"],
        "rep": ["01", "02", "01"],
        "p_NEU": [0.25, 1.0, 0.0],
        "p_EC": [0.75, 0.0, 1.0],
    }
)
CALLS = pd.DataFrame({"cell_id": ["001", "003", "001"], "guide": ["b", "NA", "a"], "umi": [3, 5, 7]})
GUIDE_MAP = pd.DataFrame(
    {"guide_name": ["a", "b", "NA"], "gene_name": ["A", "B", "NTC"], "is_ntc": ["FALSE", "no", "1"]}
)


@pytest.fixture
def screen(tmp_path):
    def run(cells=CELLS, calls=CALLS, guide_map=GUIDE_MAP, fates=FATES, suffix="csv", **keys):
        paths = {}
        for name, table in {"cells": cells, "guide_calls": calls, "guide_map": guide_map}.items():
            paths[name] = str(tmp_path / f"{name}.{suffix}")
            if suffix == "parquet":
                table.to_parquet(paths[name])
            else:
                table.to_csv(paths[name], index=False, sep="\t" if "tsv" in suffix else ",")
        import_screen.main(tmp_path / "input", PlainDataset(**paths, **keys), fates)
        return read_input(tmp_path / "input")

    return run


def read_input(folder):
    cells, calls = (pd.read_parquet(folder / f"{name}.parquet") for name in ("cells", "guide_calls"))
    guide_map = pd.read_csv(folder / "guide_map.csv", keep_default_na=False)
    return cells, calls, guide_map, read_json(folder / "import_report.json")


@pytest.mark.parametrize("suffix", ["csv", "tsv.gz", "csv.gz", "parquet"])
def test_canonical_tables(screen, suffix):
    cells, calls, guide_map, report = screen(suffix=suffix)
    assert cells.columns.tolist() == ["cell_id", "day", "time", "rep", "p_NEU", "p_EC"]
    assert cells.to_numpy().tolist() == [
        ["001", "d2", 2.0, "01", 0.25, 0.75],
        ["002", "d0", 0.0, "02", 1.0, 0.0],
        ["003", "d2", 2.0, "01", 0.0, 1.0],
    ]
    assert calls.to_numpy().tolist() == [["001", "a", 7], ["001", "b", 3], ["003", "NA", 5]]
    assert guide_map.to_numpy().tolist() == [["a", "A", False], ["b", "B", False], ["NA", "NTC", True]]
    assert report["days"][1] == {"label": "d2", "index": 1, "time": 2.0, "cells": 2}
    assert (report["time_unit"], report["fates"], report["umi"]) == ("day", ["NEU", "EC"], True)
    assert report["notes"] == []


def test_labels_become_one_hot(screen):
    cells = CELLS.drop(columns=["p_EC", "p_NEU"]).assign(fate=["NEU", "EC", "NEU"])
    out = screen(cells)[0]
    assert out.columns[-2:].tolist() == ["p_EC", "p_NEU"]
    assert out[["p_EC", "p_NEU"]].to_numpy().tolist() == [[0, 1], [1, 0], [0, 1]]
    with pytest.raises(FatewalkError, match="'fate' is empty in 1 of 3"):
        screen(cells.assign(fate=["NEU", None, "EC"]))
    with pytest.raises(FatewalkError, match="neither columns p_<fate>"):
        screen(cells.drop(columns="fate"))


def test_named_columns_cluster_and_burden(screen):
    cells = CELLS.rename(columns={"day": "hpf", "rep": "batch"}).assign(embryo=[1, 1, 2], k=[1, 2, 0.5])
    keys = {"day_key": "hpf", "rep_key": "batch", "cluster_key": "embryo", "burden_key": "k"}
    out, _, _, report = screen(cells, **keys)
    assert out["cluster"].tolist() == ["1", "1", "2"]
    assert out["burden"].tolist() == [1, 2, 0.5]
    assert (report["clusters"], report["burden"]) == (2, "column")
    assert out["rep"].tolist() == ["01", "02", "01"]
    with pytest.raises(FatewalkError, match="'k' must hold numbers"):
        screen(cells.assign(k=["1", "x", "2"]), **keys)


def test_a_column_that_is_not_used_is_said(screen):
    out, _, _, report = screen(CELLS.assign(cluster=["a", "b", "c"]))
    assert "cluster" not in out
    assert "cluster_key is not set" in report["notes"][0]


def test_missing_columns_name_the_remedy(screen):
    with pytest.raises(FatewalkError, match=r"'rep' is missing \(did you mean 'Rep'\?\).*rep_key.*to null"):
        screen(CELLS.rename(columns={"rep": "Rep"}))
    assert screen(CELLS.drop(columns="rep"), rep_key=None)[0]["rep"].tolist() == ["rep1"] * 3
    with pytest.raises(FatewalkError, match=r"'day' is missing.*Set day_key"):
        screen(CELLS.drop(columns="day"))
    with pytest.raises(FatewalkError, match=r"no column is_ntc \(did you mean 'IsNTC'\?\)"):
        screen(guide_map=GUIDE_MAP.rename(columns={"is_ntc": "IsNTC"}))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("empty", [None, ""])
@pytest.mark.parametrize("column", ["cell_id", "rep", "day"])
def test_empty_names_are_refused(screen, suffix, column, empty):
    with pytest.raises(FatewalkError, match=f"'{column}' is empty in 1 of 3 rows, first in row 2"):
        screen(CELLS.assign(**{column: ["1", empty, "3"]}), suffix=suffix)


def test_fates_must_agree(screen):
    with pytest.raises(FatewalkError) as error:
        screen(fates=["EC", "Neu"])
    for word in ["'Neu' is not in the data (did you mean 'NEU'?)", "'NEU' is not in model.fates",
                 "model.fates: 'EC', 'Neu'", "Data: 'NEU', 'EC'"]:  # fmt: skip
        assert word in str(error.value)
    with pytest.raises(FatewalkError, match=r"'MES' is not in the data\. "):
        screen(fates=["EC", "MES", "NEU"])
    with pytest.raises(FatewalkError, match=r"'MES' is not in the data.*'NEU' is not in model\.fates"):
        screen(fates=["EC", "MES"])


def test_a_fate_without_probability_is_left_out_and_said(screen):
    cells, _, _, report = screen(CELLS.assign(p_MES=0.0))
    assert "p_MES" not in cells
    assert "fate 'MES'" in report["notes"][0]
    with pytest.raises(FatewalkError, match=r"'MES' is not in model\.fates"):
        screen(CELLS.assign(p_MES=[0, 0, 1e-9]))


def test_10x_calls_are_recognised(screen):
    calls = pd.DataFrame(
        {
            "cell_barcode": ["003", "001", "002"],
            "num_features": [1, 2, 0],
            "feature_call": ["NA", "b|a", None],
            "num_umis": ["5", "3|7", None],
        }
    )
    _, out, _, report = screen(calls=calls)
    pd.testing.assert_frame_equal(out, screen()[1])
    assert report["notes"][0].startswith("1 rows of")


def test_umi_counts(screen):
    zero = CALLS.assign(umi=[3, 0, 7])
    _, calls, _, report = screen(calls=zero)
    assert (len(calls), report["guide_calls_without_umi_dropped"], report["guides_called"]) == (2, 1, 2)
    for bad in ([1, 2, -1], [1, 2, 0.5], [1, 2, None]):
        with pytest.raises(FatewalkError, match="column 'umi' of 1 call is no count"):
            screen(calls=CALLS.assign(umi=bad))
    assert "umi" not in screen(calls=CALLS.drop(columns="umi"))[1]


def test_a_screen_of_real_size_takes_seconds(screen):
    n = 241_000
    rng = np.random.default_rng(1)
    cells = pd.DataFrame(
        {
            "cell_id": [f"c{i}" for i in range(n)],
            "day": rng.choice(["d0", "d1"], n),
            "rep": "r",
            "fate": rng.choice(FATES, n),
        }
    )
    calls = pd.DataFrame({"cell_id": cells["cell_id"], "guide": rng.choice(["a", "b"], n)})
    start = time.process_time()
    screen(cells, calls, suffix="csv.gz")
    assert time.process_time() - start < 15  # about 3 s, of which writing the files takes half


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_covariates_are_carried(screen, suffix):
    cells = CELLS.assign(
        pct_mito=[1, 2.5, 4], phase=["G1", "S", "G1"], doublet=[True, False, True], n=[7, 8, 9]
    )
    names = ["phase", "pct_mito", "doublet", "n"]
    out, _, _, report = screen(cells, suffix=suffix, covariates=names)
    assert out.columns.tolist() == ["cell_id", "day", "time", "rep", "p_NEU", "p_EC", *names]
    assert out[names].to_numpy().tolist() == [["G1", 1, 1, 7], ["S", 2.5, 0, 8], ["G1", 4, 1, 9]]
    assert set(map(str, out[names[1:]].dtypes)) == {"float64"}
    assert report["covariates"] == {
        "phase": "categorical", "pct_mito": "numeric", "doublet": "numeric", "n": "numeric",
    }  # fmt: skip
    assert screen(cells, suffix=suffix)[0].columns.tolist() == out.columns.tolist()[:6]
    with pytest.raises(FatewalkError, match=r"'Phase' is missing \(did you mean 'phase'\?\).*Set covariates"):
        screen(cells, suffix=suffix, covariates=["Phase"])


@pytest.mark.parametrize("bad", [["1.5", "NA", "2"], ["G1", "", "S"], [1.5, None, 2]])
def test_missing_covariates_are_refused(screen, bad):
    with pytest.raises(
        FatewalkError, match=r"covariate 'x' is missing .* in 1 of 3 cells: '002'; fill it in"
    ):
        screen(CELLS.assign(x=bad), covariates=["x"])


@pytest.mark.parametrize("name", ["cell_id", "day", "time", "rep", "cluster", "burden", "p_NEU", ""])
def test_covariates_must_not_take_the_place_of_other_columns(name):
    paths = {"cells": "c.csv", "guide_calls": "g.csv", "guide_map": "m.csv"}
    with pytest.raises(ValueError, match=f"{name!r} is a column of the cells table with a meaning"):
        PlainDataset(**paths, covariates=["x", name])
    with pytest.raises(ValueError, match="found 'x' twice; delete one"):
        PlainDataset(**paths, covariates=["x", "x"])

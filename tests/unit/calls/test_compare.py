"""Modes and engines side by side, against numbers computed by hand."""

import pandas as pd
import pytest

from fatewalk.calls import compare_modes
from fatewalk.core.errors import FatewalkError
from tests.unit.calls.tables import NAN, mash_genes


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
    with pytest.raises(FatewalkError, match="mode enriched: gene 'g1', 'x'"):
        compare_modes({"conservative": table, "enriched": table.assign(gene=["g0", "x"])}, 0.05)
    with pytest.raises(FatewalkError, match="mode enriched: the number of days"):
        compare_modes({"conservative": table, "enriched": mash_genes([[0.1], [0.1]])}, 0.05)
    with pytest.raises(FatewalkError, match="mode conservative: column gene is missing"):
        compare_modes({"conservative": table.drop(columns="gene")}, 0.05)


def test_the_second_engine_stands_beside_the_first():
    first = mash_genes([[0.01, 0.20], [0.01, NAN]], [[1.0, 1.0], [2.0, NAN]], genes=["A", "B"])
    other = mash_genes([[0.01, 0.01], [0.02, NAN]], [[1.0, 1.0], [2.5, NAN]], genes=["A", "B"])
    result = compare_modes({"conservative": first}, 0.05, {"conservative": other}, "mashr")
    assert result["agree"].tolist() == [True, True, True, pd.NA]  # of the modes
    assert result["agree_engines_conservative"].tolist() == [True, False, True, pd.NA]
    assert result["postmean_conservative_mashr"].tolist()[:3] == [1.0, 1.0, 2.5]
    assert result["called_conservative_mashr"].tolist() == [True, True, True, pd.NA]

"""Arrays by day and their tables: there and back, with marks, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from fatewalk.core.daywise import Daywise, active_matrix, count_days, join_days
from fatewalk.core.errors import FatewalkError
from fatewalk.core.marks import marks_of, marks_of_card
from fatewalk.core.schema import day_columns
from fatewalk.core.tables import read_table, write_table

MARKS = {"provisional": "budget", "uncentred": True}


@pytest.fixture
def found():
    """Three genes, two days; columns by day stand between others."""
    columns = {
        "gene": np.array(["NA", "Müller", "c"]),
        "betahat": np.array([[0.1, np.nan], [1 / 3, 1e-300], [-2.0, 4.0]]),
        "n_cells": np.array([[5, 0], [7, 8], [9, 10]]),
        "n_guides": np.array([4, 1, 2]),
    }
    return Daywise(columns, MARKS)


def assert_same(one, other):
    assert list(one.columns) == list(other.columns)
    for name, values in one.columns.items():
        np.testing.assert_array_equal(values, other[name])
        assert values.dtype.kind in ("U", "O") or values.dtype == other[name].dtype, name
    assert one.marks == other.marks


def test_the_table_keeps_the_order_of_the_columns_and_ends_with_the_marks(found):
    table = found.table()
    assert list(table) == [
        "gene", "betahat_d0", "betahat_d1", "n_cells_d0", "n_cells_d1", "n_guides", "provisional",
        "uncentred",
    ]  # fmt: skip
    assert table.loc[1, "betahat_d0"] == 1 / 3
    assert table["n_cells_d1"].dtype.kind == "i"  # counts are written as counts
    assert (table["provisional"] == "budget").all()
    assert (len(found), found.n_days) == (3, 2)


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_there_and_back_as_a_table(found, tmp_path, name):
    write_table(found.table(), tmp_path / name)
    table = read_table(tmp_path / name, text=["gene"])
    back = Daywise.of(table, name, ["betahat", "n_cells"], ["gene", "n_guides"])
    assert_same(Daywise({column: found[column] for column in back.columns}, MARKS), back)


def test_there_and_back_as_arrays(found, tmp_path):
    found.save(tmp_path / "t.npz")
    assert_same(found, Daywise.load(tmp_path / "t.npz"))
    plain = Daywise(found.columns)
    plain.save(tmp_path / "t.npz")
    assert Daywise.load(tmp_path / "t.npz").marks == {}


def test_rows_are_taken_by_place_and_by_name(found):
    assert found.take([2, 0])["n_guides"].tolist() == [2, 4]
    assert found.take(found["n_guides"] > 1)["gene"].tolist() == ["NA", "c"]
    by_name = found.rows_of("gene", ["c", "NA"], "t")
    assert by_name["betahat"][:, 0].tolist() == [-2.0, 0.1]
    assert by_name.marks == MARKS
    with pytest.raises(FatewalkError, match="t: no row for gene 'x', 'y'"):
        found.rows_of("gene", ["x", "c", "y"], "t")
    with pytest.raises(FatewalkError, match="t: more than one row for gene 'c'"):
        found.take([2, 0, 2]).rows_of("gene", ["c"], "t")


def test_missing_columns_and_days_are_refused_by_name(found):
    table = found.table()
    with pytest.raises(
        FatewalkError, match=r"t.csv: column se_d0, se_d1 is missing; found: 'gene', 'betahat_d0'"
    ):
        Daywise.of(table, "t.csv", ["betahat", "se"])
    with pytest.raises(FatewalkError, match="column betahat_d1 is missing"):
        Daywise.of(table.drop(columns="betahat_d1"), "t.csv", ["betahat", "n_cells"])
    with pytest.raises(FatewalkError, match="column betahat_d0 is missing"):  # a gap
        Daywise.of(table[["gene", "betahat_d1"]], "t.csv", ["betahat"])
    with pytest.raises(FatewalkError, match="column betahat_d0 is missing; found: 'gene'"):
        Daywise.of(table[["gene"]], "t.csv", ["betahat"])
    with pytest.raises(FatewalkError, match=r"column guide is missing.*found: 'gene'"):
        Daywise.of(table, "t.csv", ["betahat"], ["guide"])
    with pytest.raises(FatewalkError, match="column betahat_d2 is missing"):
        Daywise.of(table, "t.csv", ["betahat"], n_days=3)


def test_days_are_counted_by_the_whole_name():
    table = pd.DataFrame(columns=[*day_columns("lfsr", 2), *day_columns("lfsr_joint", 11)])
    assert count_days(table, "lfsr") == 2
    assert count_days(table, "lfsr_joint") == 11


def test_lists_of_days_there_and_back():
    flags = np.array([[True, False, True], [False, False, False], [False, True, False]])
    assert join_days(flags).tolist() == ["d0;d2", "", "d1"]
    hits = pd.DataFrame({"active_days": ["d0;d2", np.nan, "d1"]})  # as a file with an empty list is read
    np.testing.assert_array_equal(active_matrix(hits, 3), flags)
    with pytest.raises(FatewalkError, match="active_days: found 'd2'; allowed: 'd0', 'd1'"):
        active_matrix(hits, 2)


def test_marks_are_those_of_the_fit_and_hold_for_all_rows():
    card = {"status": "converged", "center_delta": True}
    assert marks_of_card(card) == {}
    assert marks_of_card(card | {"status": "budget", "center_delta": False}) == MARKS
    assert marks_of(pd.DataFrame({"gene": ["a", "b"], "provisional": "budget"})) == {"provisional": "budget"}
    assert marks_of(pd.DataFrame({"gene": ["a"], "provisional": [np.nan]})) == {}
    assert marks_of(pd.DataFrame({"provisional": []})) == {}


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"se": np.zeros((2, 2)), "lfsr": np.zeros((3, 2))}, r"found: se \(2, 2\), lfsr \(3, 2\)"),
        ({"se": np.zeros((2, 2)), "lfsr": np.zeros((2, 3))}, "the same rows and days"),
        ({"se": np.zeros((2, 1)), "se_d0": np.zeros(2)}, "two columns would have the name se_d0"),
        ({}, "the same rows and days"),
    ],
)
def test_columns_that_do_not_fit_together_are_refused(columns, words):
    with pytest.raises(ValueError, match=words):
        Daywise(columns)

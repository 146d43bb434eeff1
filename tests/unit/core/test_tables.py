"""Checked reading and atomic writing."""

import json

import numpy as np
import pandas as pd
import pytest

from fatewalk.core.errors import FatewalkError
from fatewalk.core.files import atomic_path, read_json, write_json
from fatewalk.core.tables import as_bool, read_arrays, read_table, write_arrays, write_table


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.csv.gz", "t.parquet"])
def test_round_trip(tmp_path, name):
    table = pd.DataFrame({"gene": ["NA", "None", "007"], "x": [1 / 3, np.nan, 1e-300]})
    path = tmp_path / name
    if name == "t.tsv":
        table.to_csv(path, sep="\t", index=False)
    else:
        write_table(table, path)
    found = read_table(path, ["gene", "x"], text=["gene"])
    assert found["gene"].tolist() == ["NA", "None", "007"]
    np.testing.assert_array_equal(found["x"], table["x"])


def test_names_with_accents_survive(tmp_path):
    path = tmp_path / "t.csv"
    write_table(pd.DataFrame({"gene": ["Müller", "β-cat"]}), path)
    assert read_table(path, text=["gene"])["gene"].tolist() == ["Müller", "β-cat"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("absent.csv", None, "no such file"),
        ("t.xlsx", b"x", "is a spreadsheet, not a text table; save the sheet as 'CSV UTF-8'"),
        ("t.docx", b"x", "unknown kind of table '.docx'"),
        ("t.parquet", b"not parquet", "is no Parquet file; correct its name"),
        ("t.csv", b"a,b\n1,2\n", "column gene is missing; found: 'a', 'b'"),
        ("t.csv", b"", "the file is empty"),
    ],
)
def test_unreadable_tables_are_named(tmp_path, name, content, words):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FatewalkError, match=words.replace("(", r"\(")) as caught:
        read_table(path, ["gene"])
    assert name in str(caught.value)


def test_truth_values_in_their_usual_spellings():
    column = pd.Series(["True", "FALSE", "1", "0", " yes", "no"], name="is_ntc")
    assert as_bool(column, "map.csv").tolist() == [True, False, True, False, True, False]
    assert as_bool(pd.Series([True, False]), "map.csv").tolist() == [True, False]
    with pytest.raises(
        FatewalkError, match=r"map.csv: column is_ntc: found 'maybe' in 1 rows, first in row 2; allowed: True"
    ):
        as_bool(pd.Series(["True", "maybe"], name="is_ntc"), "map.csv")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("old")

    def write_half():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]


def test_json_takes_numpy_and_writes_missing_as_null(tmp_path):
    path = tmp_path / "deep" / "t.json"
    write_json({"a": np.arange(2), "b": [np.float64(0.5), float("nan")], "c": {1: np.bool_(True)}}, path)
    assert json.loads(path.read_text()) == {"a": [0, 1], "b": [0.5, None], "c": {"1": True}}
    assert read_json(path)["b"][1] is None


def test_arrays_come_back_in_their_order_and_texts_are_not_pickled(tmp_path):
    path = tmp_path / "t.npz"
    write_arrays(
        {"genes": np.array(["a", "Müller"], dtype=object), "x": [1.5, np.nan], "mark": "budget"}, path
    )
    found = read_arrays(path)
    assert list(found) == ["genes", "x", "mark"]
    assert found["genes"].tolist() == ["a", "Müller"]
    assert found["genes"].dtype.kind == "U"
    np.testing.assert_array_equal(found["x"], [1.5, np.nan])
    assert found["mark"].item() == "budget"


def test_too_little_memory_is_no_wrong_file(tmp_path, monkeypatch):
    (tmp_path / "cells.csv").write_text("a\n1\n")

    def full(*_, **__):
        raise MemoryError

    monkeypatch.setattr("pandas.read_csv", full)
    with pytest.raises(MemoryError):
        read_table(tmp_path / "cells.csv")

"""Cells of the calls are those of the table, however their barcodes are written; else it is said."""

import pandas as pd
import pytest

from fatewalk.core.errors import FatewalkError
from fatewalk.screen.barcodes import match_barcodes, refuse_repeated_cells

BARCODES = ["AAACCCGT", "AAACCCGA", "TTACCCGT", "GGACCCGT"]


def match(names, ids):
    return match_barcodes(pd.Index(names), pd.Index(ids), "calls.csv", "cells.csv")


def lane(suffix, barcodes=BARCODES):
    return [f"{barcode}{suffix}" for barcode in barcodes]


def test_names_that_are_the_same_are_left_alone():
    names, notes = match(["c", "a", "x", "y", "z"], ["a", "b", "c"])
    assert names.tolist() == ["c", "a", "x", "y", "z"]
    assert notes == []


def test_one_suffix_of_all_is_removed_or_added_and_said():
    names, notes = match(lane("-1"), lane("", BARCODES[:3]))
    assert names.tolist() == BARCODES
    assert "without their suffix '-1'" in notes[0]
    names, notes = match(lane(""), lane("-2", BARCODES[1:]))
    assert names.tolist() == lane("-2")
    assert "with the suffix '-2'" in notes[0]


@pytest.mark.parametrize(
    ("names", "ids", "words"),
    [
        (
            BARCODES,
            [*lane("-1"), *lane("-2")],
            "'AAACCCGT' in the calls and 'AAACCCGT-1' and 'AAACCCGT-2' in",
        ),
        (lane("-1"), lane("-1-0"), "'AAACCCGT-1' in the calls and 'AAACCCGT-1-0' in the cells"),
        (lane("-1"), [f"lane1_{name}" for name in lane("-1")], "and 'lane1_AAACCCGT-1' in the cells"),
        (lane("-1"), lane("-2"), "'AAACCCGT-1' in the calls and 'AAACCCGT-2' in the cells"),
        (["c1", "c2"], ["cell1", "cell2"], "none of its 2 cells ('c1', 'c2') is in cells.csv"),
        (lane("-1"), ["CCCCCCCC", "CCCCCCCA"], "with or without '-1'"),
    ],
)
def test_what_is_not_clear_is_refused(names, ids, words):
    with pytest.raises(FatewalkError) as error:
        match(names, ids)
    assert words in str(error.value)


def test_files_of_different_cells_meet_by_chance():
    names = [f"x{i}" for i in range(100)]
    with pytest.raises(FatewalkError, match=r"only 2 % of the 100 cells of calls.csv.* meet by chance"):
        match(names, [*names[:2], *(f"y{i}" for i in range(98))])
    assert "Only 20 % of the 100" in match(names, [*names[:20], *(f"y{i}" for i in range(80))])[1][0]
    few_pass, few_called = names[:5], names[:5]
    assert match(names, few_pass)[1] == []  # calls of cells that failed quality control are usual
    assert match(few_called, names)[1] == []  # and so are cells without a call


def test_cells_that_were_numbered_anew_are_told():
    with pytest.raises(FatewalkError, match=r"4 cells such as 'AAACCCGT-1-1' are named like a second 'AAAC"):
        match(lane("-1"), [*lane("-1"), *lane("-1-1")])
    assert match([*lane("-1"), "AAACCCGT-1-1"], [*lane("-1"), *lane("-1-1")])[1] == []


def test_repeated_cells():
    refuse_repeated_cells(pd.Index(["a", "b"]), "cells.csv")
    with pytest.raises(FatewalkError, match=r"cells.csv: 1 name of a cell occurs more than once: 'a'"):
        refuse_repeated_cells(pd.Index(["a", "b", "a"]), "cells.csv")

"""Which names are one, mean nothing, or are what a spreadsheet left."""

import pytest

from fatewalk.core.names import (
    is_missing,
    is_spoilt,
    is_unplaced,
    nearest_spelling,
    same_to_the_ear,
    same_to_the_eye,
    spellings,
)


@pytest.mark.parametrize(
    "names",
    [
        ("A", "A "),
        ("A 1", "A\xa01"),
        ("M\u00fcller", "Mu\u0308ller"),
        ("rep1", "ｒep1"),
        ("A", "А"),
        ("a-1", "a–1"),
    ],
)
def test_one_name_to_the_eye(names):
    assert same_to_the_eye(names) == [list(names)]
    assert same_to_the_ear([*names, "other"]) == [list(names)]


@pytest.mark.parametrize(
    "names",
    [
        ("Sox2", "SOX2"),
        ("rep1", "rep-1", "Rep_01"),
        ("1", "1.0", "01"),
        ("NKX2-1", "NKX2.1"),
        ("HLA-A", "HLAA"),
    ],
)
def test_one_name_to_the_ear(names):
    assert same_to_the_eye(names) == []
    assert same_to_the_ear(names) == [list(names)]


@pytest.mark.parametrize(
    "names",
    [
        ("CD34-", "CD34+", "CD34"), ("-1", "1"), ("1.1", "11"), ("NKX2-1", "NKX21"), ("rep1", "rep10"),
        ("HOXA1", "HOXA10"), ("12345678901234567890", "12345678901234567891"), ("A", "B"), ("E8.5", "E85"),
        ("Sox2_1", "Sox21"), ("MIR21", "MIR210"), ("µ", "m"), ("0", "00x"),
    ],
)  # fmt: skip
def test_names_that_differ(names):
    assert same_to_the_ear(names) == []


def test_spellings_show_what_no_eye_sees():
    assert spellings([["A", "A "], ["é", "e\u0301"]]) == r"'A' and 'A ', '\xe9' and 'e\u0301'"


@pytest.mark.parametrize(
    "name", ["NA", "nan", "None", "<NA>", "null", "-", " ", "\xa0", "#N/A", "#REF!", "N/A", "NaT"]
)
def test_words_for_a_missing_value(name):
    assert is_missing(name)


@pytest.mark.parametrize("name", ["NANOG", "NAA10", "A", "0", "NONO", "none_1", "NaN1", "Missing link"])
def test_names_that_are_there(name):
    assert not is_missing(name)


def test_words_for_cells_without_a_unit():
    assert all(map(is_unplaced, ["Doublet", "NEGATIVE", "unassigned"]))
    assert not any(map(is_unplaced, ["clone1", "neg1", "A"]))


@pytest.mark.parametrize(
    "name",
    [
        "1-Mar",
        "2-Sep",
        "Mar-01",
        "Sep-02",
        "2024-03-01",
        "2024-03-01 00:00:00",
        "01/03/2024",
        "3/1/24",
        "01.Mrz",
        "1-Dec",
        "2.31E+19",
        "1.2e+10",
        "2E+05",
        "1,2E+10",
    ],
)
def test_what_a_spreadsheet_makes_of_names(name):
    assert is_spoilt(name)


@pytest.mark.parametrize(
    "name",
    [
        "MARCHF1",
        "MARCH1",
        "SEPT2",
        "SEPTIN2",
        "DEC1",
        "OCT4",
        "OCT-4",
        "JUN",
        "Jun",
        "MAR1",
        "Nov",
        "Apr3",
        "1110E01Rik",
        "2310009E13Rik",
        "2310009E13",
        "1E5",
        "1.5",
        "NKX2-1",
        "100-1",
        "12345",
    ],
)
def test_names_of_genes_that_resemble_dates_and_numbers(name):
    assert not is_spoilt(name)


def test_the_nearest_spelling_is_the_only_one():
    assert nearest_spelling("sox2-1 ", ["Sox2_1", "Sox2_2"]) == "Sox2_1"
    assert nearest_spelling("sox2", ["Sox2", "SOX2"]) is None
    assert nearest_spelling("Sox21", ["Sox2_1"]) is None

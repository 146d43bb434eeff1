"""The guide map from a file, from the screen's own file, or from the calls; controls are never guessed."""

import pandas as pd
import pytest

from fatewalk.core.errors import FatewalkError
from fatewalk.screen.guide_map import read_guide_map
from fatewalk.screen.raw import RawScreen

GUIDES = {"c1": ["A_1", "NT_1"], "c2": ["A_2", "B_1"], "c3": ["B_2", "NT_1"], "c4": ["NT_2"]}
PLAIN = pd.DataFrame(
    {"guide_name": ["A_1", "A_2", "B_1", "B_2", "NT_1", "NT_2"], "gene_name": list("AABB") + ["NT"] * 2}
)
REFERENCE = pd.DataFrame(
    {
        "id": PLAIN["guide_name"],
        "name": [f"sg{i}" for i in range(6)],
        "read": "R2",
        "feature_type": "CRISPR Guide Capture",
        "target_gene_id": ["E1", "E1", "E2", "E2", "Non-Targeting", "Non-Targeting"],
        "target_gene_name": [*"AABB", "Non-Targeting", "Non-Targeting"],
    }
)  # fmt: skip
IS_NTC = [False] * 4 + [True] * 2


@pytest.fixture
def read(tmp_path):
    def run(table=None, ntc_names=None, guides=GUIDES, own=None):
        path = None
        if table is not None:
            path = str(tmp_path / "map.csv")
            table.to_csv(path, index=False)
        rows = [(cell, guide) for cell, names in guides.items() for guide in names]
        calls = pd.DataFrame(rows, columns=["cell_id", "guide"]).astype("category")
        raw = RawScreen("cells.csv", *[None] * 6, calls, "calls.csv", [], guide_map=own)
        return read_guide_map(raw, calls, path, ntc_names)

    return run


def test_the_file_goes_before_what_the_screen_carries(read):
    own = PLAIN.assign(gene_name="other", is_ntc=False)
    found, where, notes = read(PLAIN.assign(is_ntc=IS_NTC), own=own)
    assert found["gene_name"].tolist() == PLAIN["gene_name"].tolist()
    assert found["is_ntc"].tolist() == IS_NTC
    assert where.endswith("map.csv")
    assert notes == []
    found, where, _ = read(own=own)
    assert (set(found["gene_name"]), where) == ({"other"}, "calls.csv")


@pytest.mark.parametrize("names", [["NT"], ["NT_1", "NT_2"]])
def test_controls_by_guide_or_gene(read, names):
    assert read(PLAIN, names)[0]["is_ntc"].tolist() == IS_NTC
    assert read(own=PLAIN, ntc_names=names)[0]["is_ntc"].tolist() == IS_NTC


def test_controls_are_added_to_those_that_the_map_marks(read):
    found, _, notes = read(PLAIN.assign(is_ntc=IS_NTC), ["B"])
    assert found["is_ntc"].tolist() == [False, False, True, True, True, True]
    assert "2 guides, beside 2" in notes[0]


def test_a_control_that_is_not_there_is_told_with_the_nearest(read):
    with pytest.raises(FatewalkError, match=r"map\.csv: ntc_names lists 'nt' \(did you mean 'NT'\?\)"):
        read(PLAIN, ["nt"])


def test_without_marks_the_list_is_proposed(read):
    with pytest.raises(FatewalkError) as error:
        read(PLAIN)
    assert "the guide map has no column is_ntc" in str(error.value)
    assert "'NT' (2 guides, 3 cells)" in str(error.value)
    assert "\n    ntc_names: [NT]\n" in str(error.value)
    assert not read(PLAIN, [])[0]["is_ntc"].any()


def test_perturbations_are_genes_of_their_own(read):
    guides = {"c1": ["Sox17"], "c2": ["non-targeting"], "c3": ["Gata4"], "c4": ["Gata4"]}
    with pytest.raises(FatewalkError) as error:
        read(guides=guides)
    assert "calls.csv: there is no guide_map" in str(error.value)
    assert "ntc_names: [non-targeting]" in str(error.value)
    assert "guides of one gene" not in str(error.value)
    found, where, notes = read(guides=guides, ntc_names=["non-targeting"])
    assert found.to_numpy().tolist() == [
        ["Gata4", "Gata4", False], ["Sox17", "Sox17", False], ["non-targeting", "non-targeting", True],
    ]  # fmt: skip
    assert where == "calls.csv"
    assert "each of the 3 values" in notes[0]
    assert "guides of one gene" not in notes[0]


def test_no_name_that_looks_like_a_control(read):
    with pytest.raises(FatewalkError, match=r"None looks like a control; there are 'B' \(2 cells\), 'A' \(1"):
        read(guides={"c1": ["A", "B"], "c2": ["B"]})


def test_guides_of_one_gene_ask_for_a_guide_map(read):
    with pytest.raises(FatewalkError, match=r"such as 'A_1', 'A_2' look like guides of one gene"):
        read()
    assert "'A_1', 'A_2' look like guides of one gene" in read(ntc_names=["NT_1", "NT_2"])[2][0]


@pytest.mark.parametrize("column", ["id", "name"])
def test_a_10x_feature_reference_is_a_guide_map(read, column):
    other = dict(zip(REFERENCE["id"], REFERENCE[column], strict=True))
    guides = {cell: [other[name] for name in names] for cell, names in GUIDES.items()}
    antibody = {"id": "CD4", "name": "CD4", "feature_type": "Antibody Capture"}
    found, _, notes = read(pd.concat([REFERENCE, pd.DataFrame([antibody])]), guides=guides)
    assert found["guide_name"].tolist() == REFERENCE[column].tolist()
    assert found["gene_name"].tolist() == REFERENCE["target_gene_name"].tolist()
    assert found["is_ntc"].tolist() == IS_NTC
    assert f"guides by {column}" in notes[0]
    assert notes[1].startswith("1 features of")


def test_a_feature_reference_without_what_is_needed(read):
    with pytest.raises(FatewalkError, match="no feature_type is 'CRISPR Guide Capture'; found: 'Custom'"):
        read(REFERENCE.assign(feature_type="Custom"))
    with pytest.raises(FatewalkError, match="without columns target_gene_id and target_gene_name"):
        read(REFERENCE.drop(columns=["target_gene_id", "target_gene_name"]))
    unmarked = REFERENCE.assign(target_gene_name=PLAIN["gene_name"]).drop(columns="target_gene_id")
    with pytest.raises(FatewalkError, match=r"ntc_names: \[NT\]"):
        read(unmarked)
    assert read(unmarked, ["NT"])[0]["is_ntc"].tolist() == IS_NTC
    ignored = REFERENCE.assign(target_gene_name=["Ignore", *REFERENCE["target_gene_name"][1:]])
    with pytest.raises(FatewalkError, match=r"map\.csv: 1 guides have no gene: 'A_1'"):
        read(ignored.drop(columns="target_gene_id"))

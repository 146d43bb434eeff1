"""The guide table of Cell Ranger."""

import pytest

from fatewalk.core.errors import FatewalkError
from fatewalk.screen.readers.tenx import read_protospacer_calls

HEADER = "cell_barcode,num_features,feature_call,num_umis\n"


def test_one_row_per_call(tmp_path):
    path = tmp_path / "protospacer_calls_per_cell.csv"
    path.write_text(HEADER + "AA-1,1,g1,42\nCC-1,3,g1|g2|NA,4|5|16\nGG-1,0,None,0\nTT-1,,,\n")
    calls, n_without = read_protospacer_calls(path)
    assert calls.astype(str).to_numpy().tolist() == [
        ["AA-1", "g1", "42"], ["CC-1", "g1", "4"], ["CC-1", "g2", "5"], ["CC-1", "NA", "16"],
    ]  # fmt: skip
    assert n_without == 2


def test_uneven_entries_are_refused(tmp_path):
    path = tmp_path / "calls.csv"
    path.write_text(HEADER + "AA-1,1,g1,4\nCC-1,2,g1|g2,4\n")
    with pytest.raises(FatewalkError, match=r"calls\.csv.*CC-1"):
        read_protospacer_calls(path)


def test_other_tables_are_refused(tmp_path):
    path = tmp_path / "calls.csv"
    path.write_text("cell_id,guide\na,g1\n")
    with pytest.raises(FatewalkError, match="cell_barcode"):
        read_protospacer_calls(path)

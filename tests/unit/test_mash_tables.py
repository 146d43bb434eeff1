"""The tables that R's mash step reads are a contract: names, columns and every byte."""

from pathlib import Path

import pytest

from fatewalk.core.tables import write_table
from fatewalk.estimates.arrays import Moments
from fatewalk.estimates.export import gene_posterior_table, guide_posterior_table

RECORDED = Path(__file__).parents[1] / "data" / "mash_tables"


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("gene_daywise_for_mash.csv", gene_posterior_table),
        ("guide_daywise_for_mash.csv", guide_posterior_table),
    ],
)
def test_exported_tables_are_the_same_byte_for_byte(name, make, tmp_path):
    moments = Moments.load(RECORDED / "moments.npz")
    write_table(make(moments, moments.contrasts.tolist().index("MES"), {}), tmp_path / name)
    assert (tmp_path / name).read_bytes() == (RECORDED / name).read_bytes()

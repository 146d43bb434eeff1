"""One screen as CellRank leaves it gives the same calls from every form that its guides are kept in."""

from pathlib import Path

import anndata as ad
import pandas as pd
import pytest

from fatewalk.screen.readers.anndata import AnnDataDataset
from fatewalk.stages import import_screen

FOLDER = Path(__file__).parents[4] / "shared" / "cellrank_output"
GUIDES = {"guide_map": str(FOLDER / "guides.csv")}

pytestmark = [
    pytest.mark.skipif(not FOLDER.is_dir(), reason="CellRank's output is not here"),
    pytest.mark.filterwarnings("ignore:.*zarr:UserWarning"),
]


def read(tmp_path, file="a_sparse_uns.h5ad", **keys):
    entry = AnnDataDataset(anndata=str(FOLDER / file), rep_key="batch", **keys)
    import_screen.main(tmp_path, entry, entry.read().prob.columns.tolist())
    tables = [pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("cells", "guide_calls")]
    return *tables, pd.read_csv(tmp_path / "guide_map.csv")


@pytest.mark.parametrize(
    "keys",
    [
        {"file": "b_df.h5ad", **GUIDES},
        {"file": "e_screen.h5mu"},
        {"file": "e_screen2.h5mu"},
        {"guide_anndata": str(FOLDER / "f_crispr.h5ad")},
        {"file": "f2_multi.h5ad", **GUIDES},
        {"protospacer_calls": str(FOLDER / "protospacer_calls_per_cell.csv"), **GUIDES},
        {"file": "d_obs.h5ad", "guide_key": "guide_identity", **GUIDES},
        {"file": "d_obs.h5ad", "guide_key": "gRNA", **GUIDES},
    ],
    ids=["data frame", "MuData", "MuData rna", "guide AnnData", "features of X", "10x", "obs ;", "obs +"],
)
def test_every_form_gives_the_same_tables(tmp_path, keys):
    cells, calls, guide_map = read(tmp_path, **GUIDES)
    assert (len(cells), len(calls), guide_map["is_ntc"].sum()) == (3000, 5981, 8)
    found = read(tmp_path, **keys)
    pd.testing.assert_frame_equal(found[0], cells)
    expected = calls.drop(columns="umi") if "guide_key" in keys else calls  # text says no counts
    pd.testing.assert_frame_equal(found[1], expected)
    pd.testing.assert_frame_equal(found[2], guide_map)


@pytest.mark.parametrize("file", ["a_sparse_uns", "b_df", "f2_multi"])
def test_zarr_gives_the_same_tables(tmp_path, file):
    ad.read_h5ad(FOLDER / f"{file}.h5ad").write_zarr(tmp_path / "screen.zarr")
    stored = read(tmp_path, tmp_path / "screen.zarr", **GUIDES)
    for one, other in zip(stored, read(tmp_path, **GUIDES), strict=True):
        pd.testing.assert_frame_equal(one, other)


@pytest.mark.parametrize(("key", "control", "values"), [("perturbation", "control", 16), ("NT", "NT", 46)])
def test_a_column_of_one_perturbation(tmp_path, key, control, values):
    """One a cell, controls under one name: the first of the cell's guides, which is not all that it has."""
    _, all_calls, _ = read(tmp_path, **GUIDES)
    _, calls, guide_map = read(tmp_path, "d_obs.h5ad", guide_key=key, ntc_names=[control])
    assert guide_map["guide_name"].nunique() == values
    assert guide_map.loc[guide_map["is_ntc"], "guide_name"].tolist() == [control]
    assert set(calls["cell_id"]) == set(all_calls["cell_id"])
    assert not calls["cell_id"].duplicated().any()
    gene = all_calls["guide"].astype(str).str.rsplit("_", n=1).str[0].replace("non-targeting", control)
    names = gene if key == "perturbation" else all_calls["guide"].astype(str).where(gene != control, control)
    known = set(zip(all_calls["cell_id"], names, strict=True))
    assert set(zip(calls["cell_id"], calls["guide"], strict=True)) <= known

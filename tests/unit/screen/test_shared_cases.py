"""Inputs that went wrong once, and forms of one screen, read in place."""

from pathlib import Path

import pandas as pd
import pytest

from fatewalk.core.errors import FatewalkError
from fatewalk.core.files import read_json
from fatewalk.screen.readers.anndata import AnnDataDataset
from fatewalk.screen.readers.plain import PlainDataset
from fatewalk.stages import import_screen

SHARED = Path(__file__).parents[4] / "shared"
CASES, FORMS = SHARED / "cases", SHARED / "cellrank_output"
FATES = ["EC", "MES", "NEU"]

needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not here")
needs_forms = pytest.mark.skipif(not FORMS.is_dir(), reason="the screen in all forms is not here")


def read(dataset, folder, fates=FATES):
    import_screen.main(folder, dataset, fates)
    tables = [pd.read_parquet(folder / f"{name}.parquet") for name in ("cells", "guide_calls")]
    return *tables, pd.read_csv(folder / "guide_map.csv"), read_json(folder / "import_report.json")


@needs_cases
def test_counts_of_calls_are_found(tmp_path):
    names = {"cells": "cells.csv", "guide_calls": "calls_column_UMI.csv", "guide_map": "guides.csv"}
    _, calls, _, report = read(PlainDataset(**{k: str(CASES / v) for k, v in names.items()}), tmp_path)
    assert (len(calls), report["guide_calls_without_umi_dropped"]) == (1798, 2700)
    assert "Column 'UMI'" in report["notes"][0]


@needs_cases
@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_equal_barcodes_of_two_lanes(tmp_path):
    screen, calls = (
        str(CASES / f"two_lanes_{name}") for name in ("equal_barcodes.h5ad", "protospacer_calls.csv")
    )
    keys = {"protospacer_calls": calls, "guide_map": str(CASES / "guides.csv")}
    with pytest.raises(
        FatewalkError, match=r"40 names of cells occur more than once.*give the barcodes of each"
    ):
        read(AnnDataDataset(anndata=screen, **keys), tmp_path)
    import anndata

    adata = anndata.read_h5ad(screen)
    adata.obs_names_make_unique()
    adata.write_h5ad(tmp_path / "unique.h5ad")
    with pytest.raises(FatewalkError, match=r"30 barcodes stand in several rows.*of several lanes"):
        read(AnnDataDataset(anndata=str(tmp_path / "unique.h5ad"), **keys), tmp_path)
    table = pd.read_csv(calls)
    table[~table["cell_barcode"].duplicated()].to_csv(tmp_path / "calls.csv", index=False)
    keys["protospacer_calls"] = str(tmp_path / "calls.csv")
    with pytest.raises(FatewalkError, match=r"\d+ cells such as .* are named like a second"):
        read(AnnDataDataset(anndata=str(tmp_path / "unique.h5ad"), **keys), tmp_path)


@needs_cases
def test_fates_in_another_order(tmp_path):
    keys = {"guide_map": str(CASES / "guides.csv")}
    before = {"anndata": str(CASES / "fate_order_before.h5ad"), **keys}
    after = {"anndata": str(CASES / "fate_order_after.h5ad"), **keys}
    cells, _, _, report = read(AnnDataDataset(**before), tmp_path)
    assert report["notes"] == []
    with pytest.raises(FatewalkError) as error:
        read(AnnDataDataset(**after), tmp_path)
    for words in ["0.31 of EC, 0.14 of MES, 0.01 of NEU", "fate_names: [NEU, EC, MES]", "'term_states_fwd'"]:
        assert words in str(error.value)
    again = read(AnnDataDataset(**after, fate_names=["NEU", "EC", "MES"]), tmp_path)[0]
    probabilities = sorted(name for name in cells if name.startswith("p_"))
    assert sorted(map(tuple, again[probabilities].to_numpy())) == sorted(
        map(tuple, cells[probabilities].to_numpy())
    )
    with pytest.raises(FatewalkError, match="the names of the fates do not fit"):
        read(AnnDataDataset(**before, fate_names=["EC", "NEU", "MES"]), tmp_path)


@needs_forms
@pytest.mark.parametrize("calls", ["protospacer_calls_per_cell.csv", "calls_nosuffix.csv"])
@pytest.mark.parametrize("guide_map", ["guides.csv", "feature_reference.csv"])
def test_10x_files_say_the_same_as_the_matrix(tmp_path, calls, guide_map):
    screen = {"anndata": str(FORMS / "a_sparse_uns.h5ad"), "rep_key": "batch"}
    fates = fates_of(FORMS / "a_sparse_uns.h5ad")
    expected = read(AnnDataDataset(**screen, guide_map=str(FORMS / "guides.csv")), tmp_path, fates)
    dataset = AnnDataDataset(**screen, protospacer_calls=str(FORMS / calls), guide_map=str(FORMS / guide_map))
    found = read(dataset, tmp_path, fates)
    for one, other in zip(found[:2], expected[:2], strict=True):
        pd.testing.assert_frame_equal(one, other)
    same = ["guide_name", "is_ntc"]
    pd.testing.assert_frame_equal(found[2][same], expected[2][same])
    targeting = ~expected[2]["is_ntc"]
    assert found[2]["gene_name"][targeting].tolist() == expected[2]["gene_name"][targeting].tolist()


def fates_of(path):
    import h5py

    with h5py.File(path) as file:
        return [name.decode() for name in file["obs/term_states_fwd/categories"][:]]

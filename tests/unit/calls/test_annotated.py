"""Effects on fates as annotated matrices, as scverse tools open them."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import anndata
import numpy as np
import pandas as pd
import pytest

from fatewalk.calls.annotated import LAYERS, write_annotated

if TYPE_CHECKING:
    from pathlib import Path

GENES, FATES, DAYS = ["b", "a", "c"], ["EC", "MES"], ["d2", "d10"]
ABOUT = {"reference": "EC", "effect_size_eps": 0.2}


def make_effects(level: str) -> pd.DataFrame:
    """Rows of effects.parquet, in no order; gene c has no cells on d10."""
    names = GENES if level == "gene" else [f"{gene}_g1" for gene in GENES]
    index = pd.MultiIndex.from_product([names, FATES, DAYS], names=["name", "fate", "day"])
    rows = index.to_frame(index=False)
    for at, column in enumerate(LAYERS):
        rows[column] = 100.0 * at + np.arange(len(rows))
    rows["prob_moved"] = np.repeat([0.1, 0.9, 0.2, 0.8, 0.3, 0.7], 2)
    rows["called"] = pd.array(rows["called"] % 2 == 0, dtype="boolean")
    empty = (rows["name"].str[0] == "c") & (rows["day"] == "d10")
    rows.loc[empty, ["mash_mean", "called", "prob_moved"]] = [np.nan, pd.NA, np.nan]
    rows = rows.rename(columns={"name": level}).assign(level=level, scale="fate")
    rows["gene"] = rows["gene"] if level == "gene" else rows["guide"].str[0]
    other = rows.assign(scale="contrast", mash_mean=-1.0)
    return pd.concat([rows, other]).sort_values("day", kind="stable")


def written(tmp_path: Path, level: str, **tables: pd.DataFrame) -> anndata.AnnData:
    path = tmp_path / "results.h5ad"
    write_annotated(path, level, make_effects(level), DAYS, [2.0, 10.0], ABOUT, **tables)
    return anndata.read_h5ad(path)


def test_genes_are_rows_and_fates_by_days_are_columns(tmp_path: Path) -> None:
    hits = pd.DataFrame({"gene": ["a", "a", "c"]})
    found = written(tmp_path, "gene", hits=hits)
    assert list(found.obs_names) == GENES
    assert list(found.var_names) == ["EC@d2", "EC@d10", "MES@d2", "MES@d10"]
    assert found.var["time"].tolist() == [2.0, 10.0, 2.0, 10.0]
    assert found.var["day"].tolist() == DAYS * 2
    assert found.obs["n_hits"].tolist() == [0, 2, 1]
    np.testing.assert_array_equal(found.layers["estimate"], np.arange(12.0).reshape(3, 4))
    np.testing.assert_array_equal(
        found["a", "MES@d10"].layers["lfsr"], [[100.0 * list(LAYERS).index("lfsr") + 7]]
    )
    np.testing.assert_array_equal(found.X, found.layers["mash_mean"])
    np.testing.assert_array_equal(np.isnan(found.X[2]), [False, True, False, True])
    np.testing.assert_array_equal(found.layers["called"][2], [1, np.nan, 1, np.nan])
    place = 100.0 * list(LAYERS).index("percent_points_high")
    np.testing.assert_array_equal(found["a"].layers["percent_points_high"], [place + np.arange(4.0, 8.0)])
    assert found.obsm["prob_moved"].loc["c"].tolist() == [0.3, 0.7]
    assert set(found.uns["layers"]) == set(found.layers)
    assert found.uns["reference"] == "EC"
    assert found.uns["effect_size_eps"] == 0.2


def test_guides_know_their_gene_and_lack_what_is_not_known_of_them(tmp_path: Path) -> None:
    found = written(tmp_path, "guide")
    assert found.obs["gene"].tolist() == GENES
    assert list(found.obs_names) == ["b_g1", "a_g1", "c_g1"]
    assert set(LAYERS) - set(found.layers) == {"posterior_mean", "posterior_sd", "called"}


def test_the_same_effects_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.h5ad", "two.h5ad"):
        write_annotated(tmp_path / name, "gene", make_effects("gene"), DAYS, [2.0, 10.0], ABOUT)
        time.sleep(1.1)  # HDF5 counts in seconds
    assert (tmp_path / "one.h5ad").read_bytes() == (tmp_path / "two.h5ad").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("change", ["to_df", "copy", "write"])
def test_what_was_read_can_be_worked_with(tmp_path: Path, change: str) -> None:
    found = written(tmp_path, "gene")
    if change == "to_df":
        assert found[:, found.var["fate"] == "MES"].to_df("se").shape == (3, 2)
    elif change == "copy":
        found[["a", "b"]].copy().obs["mine"] = 1
    else:
        found.write_h5ad(tmp_path / "mine.h5ad")


def test_anndata_is_not_loaded_to_write() -> None:
    code = "import sys, fatewalk.calls.annotated; sys.exit('anndata' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""AnnData files become the canonical tables."""

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from pydantic import ValidationError

from fatewalk.core.errors import FatewalkError
from fatewalk.core.files import read_json
from fatewalk.screen.readers.anndata import AnnDataDataset
from fatewalk.stages import import_screen

FATES = ["EC", "MES", "NEU"]
GUIDES = ["gA1", "gA2", "ntc1"]
P = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [0.0, 0.5, 0.5], [1.0, 0.0, 0.0]])  # columns NEU, EC, MES
P_NAMES = ["NEU", "EC", "MES"]
UMI = np.array([[4, 0, 1], [0, 0, 0], [0, 2, 0], [1, 1, 0]])
CALLS = [
    ["AAAC-1", "gA1", 4],
    ["AAAC-1", "ntc1", 1],
    ["AAAG-1", "gA2", 2],
    ["AAAT-1", "gA1", 1],
    ["AAAT-1", "gA2", 1],
]


def make(**changes):
    """A screen as CellRank 2 leaves it: a bare array, its names in the categories of the terminal states."""
    states = pd.Categorical(["NEU", None, None, "EC"], categories=P_NAMES)
    parts = {
        "obs": pd.DataFrame(
            {"day": ["d1", "d0", "d0", "d1"], "rep": ["a", "a", "b", "b"], "term_states_fwd": states},
            index=["AAAC-1", "AAAG-2", "AAAG-1", "AAAT-1"],
        ),
        "obsm": {"lineages_fwd": P.astype("float32"), "guide": sp.csr_matrix(UMI)},
        "uns": {"guide_names": np.array(GUIDES), "term_states_fwd_colors": np.array(["#1", "#2", "#3"])},
    }
    for name, change in changes.items():
        parts[name] = {**parts[name], **change} if isinstance(change, dict) else change
    return ad.AnnData(**parts)


@pytest.fixture
def screen(tmp_path):
    guide_map = tmp_path / "map.csv"
    guide_map.write_text("guide_name,gene_name,is_ntc\ngA1,A,False\ngA2,A,False\nntc1,NTC,True\n")

    def run(adata=None, fates=FATES, **keys):
        path = tmp_path / "screen.h5ad"
        if adata is not None:
            adata.write_h5ad(path)
        entry = AnnDataDataset(anndata=str(path), guide_map=str(guide_map), **keys)
        import_screen.main(tmp_path / "out", entry, fates)
        tables = [pd.read_parquet(tmp_path / "out" / f"{name}.parquet") for name in ("cells", "guide_calls")]
        return *tables, read_json(tmp_path / "out" / "import_report.json")

    return run


def check_cells(cells):
    assert cells.columns.tolist() == ["cell_id", "day", "time", "rep", "p_NEU", "p_EC", "p_MES"]
    assert cells["cell_id"].tolist() == ["AAAC-1", "AAAG-2", "AAAG-1", "AAAT-1"]
    assert cells["time"].tolist() == [1, 0, 0, 1]
    assert (cells[["p_NEU", "p_EC", "p_MES"]].to_numpy() == P).all()


def test_cellrank_file(screen):
    cells, calls, report = screen(make())
    check_cells(cells)
    assert calls.to_numpy().tolist() == CALLS
    assert report["kind"] == "anndata"
    assert report["fates"] == P_NAMES
    assert report["umi"] is True


@pytest.mark.parametrize(
    ("obsm", "keys"),
    [
        ({"lineages_fwd": pd.DataFrame(P, columns=P_NAMES)}, {}),
        ({"lineages_fwd": P}, {"fate_names": P_NAMES}),
        ({"lineages_fwd": P}, {"fate_names_key": "fate_names"}),
        ({"lineages_fwd": sp.csr_matrix(P)}, {}),
        ({"fates": P}, {"fate_key": "fates", "fate_names": P_NAMES}),
    ],
    ids=["data frame", "config", "uns", "sparse", "other key"],
)
def test_where_fate_names_come_from(screen, obsm, keys):
    if isinstance(frame := obsm.get("lineages_fwd"), pd.DataFrame):
        frame.index = make().obs_names
    check_cells(screen(make(obsm=obsm, uns={"fate_names": np.array(P_NAMES)}), **keys)[0])


def test_lost_names_are_refused_with_the_remedy(screen):
    bare = make()
    del bare.obs["term_states_fwd"]
    with pytest.raises(FatewalkError, match=r"without names of the fates.*fate_names_key.*or fate_names"):
        screen(bare)
    frame = pd.DataFrame(P, columns=["0", "1", "2"], index=make().obs_names)
    with pytest.raises(FatewalkError, match=r"named '0', '1', '2', which is what remains.*Set fate_names"):
        screen(make(obsm={"lineages_fwd": frame}), fates=["0", "1", "2"])
    bare.obs["term_states_fwd"] = pd.Categorical(["EC", "MES", None, None])
    with pytest.raises(
        FatewalkError, match=r"3 columns, but 'term_states_fwd' gives 2 names.*Set fate_names"
    ):
        screen(bare)
    named = make(obsm={"lineages_fwd": pd.DataFrame(P, columns=P_NAMES, index=make().obs_names)})
    with pytest.raises(FatewalkError, match="the columns of the data frame are 'NEU', 'EC', 'MES'"):
        screen(named, fate_names=FATES)


def test_digits_are_fine_when_the_config_says_so(screen):
    cells = screen(make(), fates=["0", "1", "2"], fate_names=["0", "1", "2"])[0]
    assert "p_0" in cells


@pytest.mark.parametrize(
    "guide",
    [
        sp.csr_matrix(UMI),
        sp.csc_matrix(UMI),
        sp.csr_array(UMI.astype("float32")),
        UMI,
        pd.DataFrame(UMI, columns=GUIDES, index=["AAAC-1", "AAAG-2", "AAAG-1", "AAAT-1"]),
    ],
    ids=["csr", "csc", "csr_array", "dense", "data frame"],
)
def test_kinds_of_guide_matrix(screen, guide):
    adata = make(obsm={"guide": guide})
    if isinstance(guide, pd.DataFrame):
        del adata.uns["guide_names"]
    calls = screen(adata)[1]
    assert calls.to_numpy().tolist() == CALLS
    assert calls["umi"].dtype == np.int32


def test_only_counts_become_umis(screen):
    _, calls, report = screen(make(obsm={"guide": sp.csr_matrix((UMI > 0).astype(int))}))
    assert ("umi" in calls, report["notes"]) == (False, [])
    _, calls, report = screen(make(obsm={"guide": sp.csr_matrix(UMI * 0.3)}))
    assert ("umi" in calls, len(calls)) == (False, len(CALLS))
    assert "holds no counts" in report["notes"][0]
    for bad, told in ((-1.0, "holds negative"), (np.nan, "missing or infinite")):
        with pytest.raises(FatewalkError, match=told):
            screen(make(obsm={"guide": sp.csr_matrix(np.where(UMI == 4, bad, UMI))}))


def test_guide_names(screen):
    bare = make()
    del bare.uns["guide_names"]
    with pytest.raises(FatewalkError, match=r"without names of the guides.*guide_names_key or guide_names"):
        screen(bare)
    assert screen(bare, guide_names=GUIDES)[1].to_numpy().tolist() == CALLS
    with pytest.raises(FatewalkError, match="guide 'gA1' stands in several columns"):
        screen(bare, guide_names=["gA1", "gA1", "ntc1"])
    with pytest.raises(FatewalkError, match="guide_names gives 2 names"):
        screen(bare, guide_names=["gA1", "gA2"])


def test_protospacer_calls_instead_of_the_matrix(screen, tmp_path):
    path = tmp_path / "protospacer_calls_per_cell.csv"
    path.write_text(
        "cell_barcode,num_features,feature_call,num_umis\n"
        "AAAT-1,2,gA2|gA1,1|1\nAAAC-1,2,gA1|ntc1,4|1\nAAAG-1,1,gA2,2\n"
    )
    adata = make()
    del adata.obsm["guide"]
    _, calls, report = screen(adata, protospacer_calls=str(path))
    assert calls.to_numpy().tolist() == CALLS
    assert report["sources"]["guide_calls"] == str(path)
    with pytest.raises(ValidationError, match="protospacer_calls: found beside guide_key"):
        screen(adata, protospacer_calls=str(path), guide_key="umis")


def test_the_entry_survives_a_dump():
    entry = AnnDataDataset(anndata="a.h5ad", guide_map="m.csv", protospacer_calls="p.csv")
    assert AnnDataDataset(**entry.model_dump(mode="json")) == entry


def test_columns_of_obs_or_obsm(screen):
    adata = make()
    adata.obsm["hours"] = np.array([[24.0], [0.0], [0.0], [24.0]])
    adata.obsm["embryo"] = np.array([3, 1, 1, 2])[:, None]
    adata.obs["n_guides"] = [5, 2, 3, 4]
    cells = screen(adata, day_key="hours", cluster_key="embryo", burden_key="n_guides", rep_key=None)[0]
    assert cells["day"].tolist() == ["24", "0", "0", "24"]
    assert cells["cluster"].tolist() == ["3", "1", "1", "2"]
    assert cells["burden"].tolist() == [5, 2, 3, 4]
    assert cells["rep"].tolist() == ["rep1"] * 4
    with pytest.raises(FatewalkError, match=r"obsm\['lineages_fwd'\] has 3 columns, cluster_key needs one"):
        screen(cluster_key="lineages_fwd")


def test_absent_keys_name_what_is_there(screen):
    with pytest.raises(FatewalkError, match=r"obs\['Day'\] is missing \(did you mean 'day'\?\).*Set day_key"):
        screen(make(), day_key="Day")
    with pytest.raises(
        FatewalkError, match=r"obsm\['fate'\] is missing; found in obsm: 'guide', 'lineages_fwd'"
    ):
        screen(fate_key="fate")
    with pytest.raises(FatewalkError, match=r"obs\['batch'\].*Set rep_key to the right key, or to null"):
        screen(rep_key="batch")


def test_unused_day_category_is_said(screen):
    adata = make()
    adata.obs["day"] = pd.Categorical(adata.obs["day"], categories=["d0", "d1", "d7"])
    report = screen(adata)[2]
    assert [day["label"] for day in report["days"]] == ["d0", "d1"]
    assert "'d7'" in report["notes"][0]


def test_repeated_cell_names_are_refused(screen):
    adata = make()
    adata.obs_names = ["a", "a", "b", "c"]
    with pytest.raises(
        FatewalkError, match=r"more than once: 'a'\. If .* give the barcodes of each lane a suffix"
    ):
        screen(adata)


def test_files_that_are_no_h5ad(screen, tmp_path):
    with pytest.raises(FatewalkError, match="no such file"):
        screen()
    (tmp_path / "screen.h5ad").write_text("no HDF5")
    with pytest.raises(FatewalkError, match="cannot be read as"):
        screen()
    with h5py.File(tmp_path / "screen.h5ad", "w"):
        pass
    with pytest.raises(FatewalkError, match="no table obs"):
        screen()


def test_expression_is_never_read(screen, tmp_path):
    """X and a layer claim 16 TB each and hold nothing: whoever reads them fails."""
    make().write_h5ad(tmp_path / "screen.h5ad")
    with h5py.File(tmp_path / "screen.h5ad", "a") as file:
        for name in ("X", "layers/spliced", "obsp/T_fwd"):
            array = file.create_dataset(name, shape=(4, 10**12), dtype="f4", chunks=(1, 10**6))
            array.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    with pytest.raises(MemoryError):
        ad.read_h5ad(tmp_path / "screen.h5ad", backed="r")
    check_cells(screen()[0])


def test_sparse_guides_are_never_made_dense(screen, monkeypatch):
    adata = make()

    def refuse(*_args, **_kwargs):
        raise AssertionError("made dense")

    for kind in (sp.csr_matrix, sp.csc_matrix, sp.coo_matrix, sp.csr_array, sp.csc_array, sp.coo_array):
        for method in ("toarray", "todense"):
            monkeypatch.setattr(kind, method, refuse)
    assert len(screen(adata)[1]) == len(CALLS)


def test_covariates_are_carried(screen):
    adata = make()
    adata.obs["phase"] = pd.Categorical(["S", "G1", "G1", "S"], categories=["G1", "G2M", "S"])
    adata.obs["lane"] = pd.Categorical([2, 1, 1, 2])
    adata.obs["pct_mito"] = np.array([1, 2, 3, 4.5], dtype="float32")
    adata.obs["treated"] = pd.array([True, False, None, True], dtype="boolean")
    adata.obsm["depth"] = np.arange(4.0)[:, None]
    names = ["phase", "lane", "pct_mito", "depth"]
    cells, _, report = screen(adata, covariates=names)
    assert cells.columns.tolist()[-4:] == names
    assert cells[names].to_numpy().tolist() == [
        ["S", "2", 1, 0], ["G1", "1", 2, 1], ["G1", "1", 3, 2], ["S", "2", 4.5, 3],
    ]  # fmt: skip
    assert list(report["covariates"].values()) == ["categorical", "categorical", "numeric", "numeric"]
    with pytest.raises(FatewalkError, match=r"'treated' is missing .* in 1 of 4 cells: 'AAAG-1'"):
        screen(covariates=["treated"])
    with pytest.raises(
        FatewalkError, match=r"obs\['Lane'\] is missing \(did you mean 'lane'\?\).*Set covariates"
    ):
        screen(covariates=["Lane"])


@pytest.mark.parametrize("rows", [3, 6])
@pytest.mark.parametrize("key", ["guide", "lineages_fwd"])
def test_matrices_with_other_rows_than_cells_are_refused(screen, tmp_path, key, rows):
    screen(make(obsm={"guide": UMI}))
    with h5py.File(tmp_path / "screen.h5ad", "r+") as file:
        matrix = file[f"obsm/{key}"]
        attributes, values = dict(matrix.attrs), np.resize(matrix[:], (rows, 3))
        del file[f"obsm/{key}"]
        file[f"obsm/{key}"] = values
        file[f"obsm/{key}"].attrs.update(attributes)
    with pytest.raises(FatewalkError, match=rf"obsm\['{key}'\] has {rows} rows, but the file has 4 cells"):
        screen()

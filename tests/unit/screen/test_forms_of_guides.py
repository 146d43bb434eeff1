"""Guides in every form that people keep them in give the same calls; what is not clear is asked for."""

import fcntl
from types import SimpleNamespace

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr
from anndata.io import write_elem
from hypothesis import given, settings
from hypothesis import strategies as st

from fatewalk.core.errors import FatewalkError
from fatewalk.core.files import read_json
from fatewalk.screen.readers import matrices
from fatewalk.screen.readers.anndata import AnnDataDataset
from fatewalk.screen.readers.guide_places import Place
from fatewalk.screen.readers.guides import read_guides
from fatewalk.stages import import_screen

FATES = ["EC", "MES"]
CELLS = ["AAAC-1", "AAAG-2", "AAAG-1", "AAAT-1"]
GUIDES = ["A_1", "A_2", "NT_1"]
UMI = np.array([[4, 0, 1], [0, 0, 0], [0, 2, 0], [1, 1, 0]])
CALLS = [["AAAC-1", "A_1"], ["AAAC-1", "NT_1"], ["AAAG-1", "A_2"], ["AAAT-1", "A_1"], ["AAAT-1", "A_2"]]
UMIS = [4, 1, 2, 1, 1]
MAP = "guide_name,gene_name,is_ntc\nA_1,A,False\nA_2,A,False\nNT_1,NT,True\n"
VAR = pd.DataFrame({"intended_target_name": ["A", "A", "NT"], "targeting": [True, True, False]}, index=GUIDES)
P = np.array([[0.5, 0.5], [0.0, 1.0], [0.25, 0.75], [1.0, 0.0]])


def cells(**obs):
    """The cells with day, replicate and fates, and no guides."""
    table = pd.DataFrame({"day": [1, 0, 0, 1], "rep": list("aabb"), **obs}, index=CELLS)
    return ad.AnnData(obs=table, obsm={"lineages_fwd": pd.DataFrame(P, columns=FATES, index=CELLS)})


def guides_alone(rows=slice(None), var=VAR, **layers):
    """An AnnData whose X are the guide counts of some cells."""
    counts = UMI[rows].astype("float32")
    obs = pd.DataFrame(index=np.array(CELLS)[rows])
    return ad.AnnData(sp.csr_matrix(counts), obs=obs, var=var, layers=layers)


def genes_and_guides(kind):
    """Genes with guides between and after them, in one X."""
    x = np.zeros((4, 7))
    x[:, [1, 5, 6]] = UMI
    x[:, [0, 2, 3, 4]] = 3
    types = np.array(["Gene Expression"] * 7, dtype=object)
    types[[1, 5, 6]] = "CRISPR Guide Capture"
    names = ["TP53", "A_1", "SOX2", "MYC", "ACTB", "A_2", "NT_1"]
    screen = cells()
    var = pd.DataFrame({"feature_types": pd.Categorical(types)}, index=names)
    return ad.AnnData(kind(x), obs=screen.obs, obsm=dict(screen.obsm), var=var)


def write_mudata(path, shared=None, **modalities):
    with h5py.File(path, "w") as file:
        write_elem(file, "obs", pd.DataFrame(index=CELLS) if shared is None else shared)
        member = {name: np.isin(CELLS, part.obs_names) for name, part in modalities.items()}
        write_elem(file, "obsm", member)
        for name, part in modalities.items():
            write_elem(file, f"mod/{name}", part)


pytestmark = pytest.mark.filterwarnings("ignore:.*zarr:UserWarning", "ignore:Consolidated metadata")


@pytest.fixture
def read(tmp_path):
    def run(screen=None, name="screen.h5ad", guide_map=True, **keys):
        path = tmp_path / name
        if screen is not None:
            (screen.write_zarr if name.endswith("zarr") else screen.write_h5ad)(path)
        if guide_map:
            (tmp_path / "map.csv").write_text(MAP)
            keys["guide_map"] = str(tmp_path / "map.csv")
        entry = AnnDataDataset(anndata=str(path), **keys)
        import_screen.main(tmp_path / "out", entry, FATES)
        tables = (pd.read_parquet(tmp_path / "out" / f"{name}.parquet") for name in ("cells", "guide_calls"))
        found, calls = tables
        assert found["cell_id"].tolist() == CELLS
        assert found["time"].tolist() == [1, 0, 0, 1]
        assert (found[["p_EC", "p_MES"]].to_numpy() == P).all()
        written = (tmp_path / "out" / "guide_map.csv").read_text()
        return calls, written, read_json(tmp_path / "out" / "import_report.json")["notes"]

    return run


def check(calls, umis=True):
    assert calls[["cell_id", "guide"]].to_numpy().tolist() == CALLS
    assert ("umi" in calls) == umis
    assert not umis or calls["umi"].tolist() == UMIS


# ------------------------------------------------------------------ matrices


def frame():
    return pd.DataFrame(UMI, columns=GUIDES, index=CELLS)


@pytest.mark.parametrize("key", ["guide", "guide_counts", "sgRNA", "X_guide_umi", "crispr"])
def test_one_obsm_element_that_can_only_be_the_guides(read, key):
    screen = cells()
    screen.obsm[key] = frame()
    screen.obsm["X_umap"] = P
    screen.obsm["adt"] = frame()
    calls, _, notes = read(screen)
    check(calls)
    assert [f"obsm[{key!r}]." in note for note in notes] == ([] if key == "guide" else [True])


def test_texts_that_may_be_missing(read):
    """Pandas' own texts, as names of cells too, which anndata keeps as several arrays."""
    names = pd.Index(CELLS, dtype="string")
    words = pd.DataFrame({"guide": pd.array(list("abcd"), dtype="string")}, index=names)
    obsm = {"lineages_fwd": pd.DataFrame(P, columns=FATES, index=names), "guide_words": words}
    obsm["guide_counts"] = frame().set_axis(names)
    obs = cells().obs.set_axis(names)
    with ad.settings.override(allow_write_nullable_strings=True):
        check(read(ad.AnnData(obs=obs, obsm=obsm))[0])


def test_an_embedding_is_no_guide_matrix(read):
    screen = cells()
    screen.obsm["X_umap_of_guides"] = P
    screen.obsm["guide_words"] = pd.DataFrame({"guide": ["a", "b", "c", "d"]}, index=CELLS)
    screen.obsm["counts"] = frame()
    with pytest.raises(FatewalkError, match=r"no guides were found; found in obsm: .*counts.*Set guide_key"):
        read(screen)
    check(read(screen, guide_key="counts")[0])


def test_two_obsm_elements_of_guides_are_asked_for(read):
    screen = cells()
    screen.obsm["guide_counts"], screen.obsm["guide_calls"] = frame(), frame() > 0
    words = r"from 2 places. Set guide_key to one of them: 'guide_calls': obsm.*; 'guide_counts': obsm"
    with pytest.raises(FatewalkError, match=words):
        read(screen)
    check(read(screen, guide_key="guide_calls")[0], umis=False)


def test_fractions_are_not_taken_for_calls_unasked(read):
    screen = cells()
    screen.obsm["guide_per_10k"] = frame() * 1.5
    with pytest.raises(FatewalkError, match=r"holds no counts.*set guide_key to 'guide_per_10k'; else make"):
        read(screen)
    calls, _, notes = read(screen, guide_key="guide_per_10k")
    check(calls, umis=False)
    assert "holds no counts: each value above 0 is taken as a call" in notes[0]


def test_a_list_of_names_is_proposed(read):
    screen = cells()
    screen.obsm["sgrna"] = sp.csr_matrix(UMI)
    screen.uns |= {"sgrnas": np.array(GUIDES), "leiden_colors": np.array(list("rgb")), "two": np.arange(2)}
    with pytest.raises(FatewalkError, match=r"\(a list of 3 is uns\['sgrnas'\]\); set guide_names_key"):
        read(screen)
    check(read(screen, guide_names_key="sgrnas")[0])


@pytest.mark.parametrize("chunk", [1, 2, 3, 2**24])
@pytest.mark.parametrize(
    "kind", [sp.csr_matrix, sp.csc_matrix, np.asarray, lambda x: np.asfortranarray(x, dtype="int16")]
)
def test_guides_among_the_features_of_x(read, monkeypatch, kind, chunk):
    monkeypatch.setattr(matrices, "CHUNK", chunk)
    calls, _, notes = read(genes_and_guides(kind))
    check(calls)
    assert notes[1] == "3 of 7 variables are guides."
    check(read(guide_key="X")[0])


@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csc_matrix, np.asarray, frame().__class__])
@pytest.mark.parametrize("chunk", [1, 4])
def test_chunks_of_an_obsm_element(read, monkeypatch, kind, chunk):
    monkeypatch.setattr(matrices, "CHUNK", chunk)
    screen = cells()
    screen.obsm["guide"] = frame() if kind is pd.DataFrame else kind(UMI)
    check(read(screen, guide_names=GUIDES)[0])


def test_only_the_guides_of_x_are_held(read, monkeypatch):
    """X of the genes is read in pieces; no piece is kept, and none is made dense."""
    held = []
    original = matrices._of_sparse

    def watched(element, wanted):
        for entries in original(element, wanted):
            held.append(len(entries.value))
            yield entries

    monkeypatch.setattr(matrices, "_of_sparse", watched)
    read(genes_and_guides(sp.csr_matrix))
    assert sum(held) == (UMI > 0).sum()


def test_features_that_are_genes_alone(read):
    screen = genes_and_guides(sp.csr_matrix)
    screen.var["feature_types"] = "Gene Expression"
    with pytest.raises(FatewalkError, match="no guides were found"):
        read(screen)
    with pytest.raises(FatewalkError, match=r"X: no variable is a guide; .* holds 'Gene Expression'"):
        read(screen, guide_key="X")


def test_x_of_guides_beside_days_and_fates(read):
    screen, alone = cells(), guides_alone()
    adata = ad.AnnData(alone.X, obs=screen.obs, obsm=dict(screen.obsm), var=alone.var)
    calls, guide_map, _ = read(adata, guide_map=False)  # var says what it is
    check(calls)
    assert guide_map == MAP
    adata.var = pd.DataFrame(index=GUIDES)
    with pytest.raises(FatewalkError, match="or to X or a layer if the variables are guides"):
        read(adata)
    check(read(adata, guide_key="X")[0])
    adata.layers["raw"] = adata.X.copy()
    adata.X = None
    check(read(adata, guide_key="raw")[0])
    with pytest.raises(FatewalkError, match="'X' is neither in obsm nor in obs, and no layer"):
        read(adata, guide_key="X")


def test_a_second_file_of_guides(read, tmp_path):
    path = tmp_path / "guides.h5ad"
    guides_alone(rows=[3, 0, 2]).write_h5ad(path)  # other order, a cell less
    calls, guide_map, _ = read(cells(), guide_map=False, guide_anndata=str(path))
    check(calls)
    assert guide_map == MAP
    guides_alone(var=pd.DataFrame(index=GUIDES)).write_h5ad(path)
    check(read(guide_anndata=str(path))[0])
    with pytest.raises(FatewalkError, match=r"lineages_fwd.* of guides alone, name it as guide_anndata"):
        read(guides_alone())
    with pytest.raises(ValueError, match="protospacer_calls: found beside guide_anndata"):
        read(guide_anndata=str(path), protospacer_calls="calls.csv")


@pytest.mark.parametrize("rows", [3, 5])
@pytest.mark.parametrize(
    ("key", "names"), [("guide", {"guide_names": GUIDES}), ("lineages_fwd", {"fate_names": [*FATES, "NEU"]})]
)
def test_a_matrix_of_other_cells(read, tmp_path, rows, key, names):
    screen = cells()
    screen.obsm["guide"] = frame()
    screen.write_h5ad(tmp_path / "screen.h5ad")
    with h5py.File(tmp_path / "screen.h5ad", "a") as file:
        del file[f"obsm/{key}"]
        write_elem(file["obsm"], key, np.ones((rows, 3), dtype=int))
    with pytest.raises(FatewalkError, match=rf"obsm\['{key}'\] has {rows} rows, but the file has 4 cells"):
        read(**names)


# -------------------------------------------------------------------- MuData


def mudata(path, guides="guide", expression="rna", rows=slice(None), **layers):
    write_mudata(path, **{expression: cells(), guides: guides_alone(rows, **layers)})


@pytest.mark.parametrize(
    ("expression", "guides"),
    [("rna", "guide"), ("gene", "grna"), ("gex", "sgRNA"), ("rna", "CRISPR Guide Capture"), ("x", "crispr"),
     ("RNA", "GDO")],
)  # fmt: skip
def test_mudata(read, tmp_path, expression, guides):
    mudata(tmp_path / "screen.h5mu", guides, expression, rows=[3, 0, 2])  # other order, a cell less
    calls, guide_map, _ = read(name="screen.h5mu", guide_map=False)
    check(calls)
    assert guide_map == MAP
    check(read(name="screen.h5mu", guide_key=guides)[0])
    check(read(name="screen.h5mu", guide_key=f"{guides}:X")[0])


def test_the_layer_of_calls_goes_before_counts(read, tmp_path):
    called = sp.csr_matrix((UMI > 1).astype("int8"))
    mudata(tmp_path / "screen.h5mu", guide_assignment=called)
    calls = read(name="screen.h5mu")[0]
    assert calls.to_numpy().tolist() == [["AAAC-1", "A_1", 4], ["AAAG-1", "A_2", 2]]
    everywhere = sp.csr_matrix(np.ones((4, 3), dtype="int8"))  # called where X has no count
    mudata(tmp_path / "screen.h5mu", guide_assignment=everywhere)
    calls, _, notes = read(name="screen.h5mu")
    assert (len(calls), "umi" in calls) == (12, False)
    assert "7 of 12 calls" in notes[1]
    assert "have no UMI count in X: none are read" in notes[1]


def test_columns_that_other_parts_of_mudata_hold(read, tmp_path):
    path = tmp_path / "screen.h5mu"
    bare = cells()
    guides = guides_alone([3, 2, 1, 0])
    guides.obs["rep"] = list("bbaa")
    shared = bare.obs[["day"]].iloc[::-1].rename(columns={"day": "rna:day"})
    del bare.obs["day"], bare.obs["rep"]
    write_mudata(path, shared, rna=bare, guide=guides)
    with pytest.raises(FatewalkError, match=r"obs\['day'\] is missing \(did you mean 'rna:day'\?\)"):
        read(name="screen.h5mu")
    check(read(name="screen.h5mu", day_key="rna:day")[0])
    check(read(name="screen.h5mu", day_key="rna:day", rep_key="guide:rep")[0])
    write_mudata(path, shared, rna=bare, guide=guides[:3])
    with pytest.raises(
        FatewalkError, match=r"1 of 4 cells are not in .*modality 'guide', where column 'rep' is: 'AAAC-1'"
    ):
        read(name="screen.h5mu", day_key="rna:day")


def test_what_is_in_two_modalities_is_asked_for(read, tmp_path):
    write_mudata(tmp_path / "screen.h5mu", rna=cells(), atac=cells(), guide=guides_alone())
    with pytest.raises(FatewalkError, match="set fate_key to atac:lineages_fwd or rna:lineages_fwd"):
        read(name="screen.h5mu")
    check(read(name="screen.h5mu", fate_key="rna:lineages_fwd")[0])
    write_mudata(tmp_path / "screen.h5mu", rna=cells(), guide=guides_alone(), grna=guides_alone())
    with pytest.raises(FatewalkError, match=r"Set guide_key to one of them: 'grna': X .*; 'guide': X of"):
        read(name="screen.h5mu")
    write_mudata(tmp_path / "screen.h5mu", rna=cells(guide_id=["A_1"] * 4), hto=guides_alone(var=VAR[[]]))
    calls = read(name="screen.h5mu")[0]
    assert len(calls) == 4
    with pytest.raises(FatewalkError, match=r"guide_key 'htoo' is neither .* mean 'hto'"):
        read(name="screen.h5mu", guide_key="htoo")


def test_expression_of_mudata_is_never_read(read, tmp_path):
    mudata(tmp_path / "screen.h5mu")
    with h5py.File(tmp_path / "screen.h5mu", "a") as file:
        for name in ("mod/rna/X", "mod/rna/layers/spliced"):
            array = file.create_dataset(name, shape=(4, 10**12), dtype="f4", chunks=(1, 10**6))
            array.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    check(read(name="screen.h5mu")[0])


# ------------------------------------------------------------------ columns


@pytest.mark.parametrize(
    ("separator", "empty"),
    [(";", None), ("+", "None"), (",", ""), ("|", "nan"), ("; ", "NA"), (" + ", "unassigned"),
     (";", "no_guide"), (";", "No guide"), (";", "-")],
)  # fmt: skip
def test_guides_in_a_column(read, separator, empty):
    text = [f"A_1{separator}NT_1", empty, "A_2", f"A_2{separator}A_1"]
    calls, _, notes = read(cells(guide_identity=text))
    check(calls, umis=False)
    assert f"separated by {separator.strip()!r}" in notes[1]
    assert "1 cells name no guide" in notes[2]


def test_a_strand_is_no_separator(read):
    column = ["A_+_58.23-P1", "chr1:7:+", "A_-_58.23-P1+chr1:7:+", "NT+A_+_58.23-P1"]
    calls = read(cells(guide=column), guide_map=False, ntc_names=["NT"])[0]
    assert calls["guide"].tolist() == [
        "A_+_58.23-P1", "A_-_58.23-P1", "chr1:7:+", "chr1:7:+", "A_+_58.23-P1", "NT",
    ]  # fmt: skip


def test_several_separators_are_asked_for(read):
    screen = cells(sgRNA=["A,1;A_2", "A,1", None, "NT"])
    with pytest.raises(FatewalkError, match=r"';' in 'A,1;A_2', ',' in .*set guide_separator"):
        read(screen)
    calls = read(screen, guide_map=False, ntc_names=["NT"], guide_separator=";")[0]
    assert calls["guide"].tolist() == ["A,1", "A_2", "A,1", "NT"]
    calls = read(cells(sgRNA=["A_1/A_2", "A_1", None, "NT_1"]), guide_separator="/")[0]
    assert calls["guide"].tolist() == ["A_1", "A_2", "A_1", "NT_1"]


@pytest.mark.parametrize("control", ["NT", "control", "non-targeting"])
@pytest.mark.parametrize("kind", ["category", object])
def test_a_column_of_one_perturbation_of_a_cell(read, control, kind):
    screen = cells(perturbation=pd.Series(["SOX2", control, "MYC", control], index=CELLS, dtype=kind))
    with pytest.raises(FatewalkError, match=rf"ntc_names: \[{control}\]"):
        read(screen, guide_map=False)
    calls, guide_map, _ = read(screen, guide_map=False, ntc_names=[control])
    assert calls["guide"].tolist() == ["SOX2", "MYC", control, control]
    assert f"{control},{control},True" in guide_map
    assert "SOX2,SOX2,False" in guide_map


@pytest.mark.parametrize("word", ["doublet", "Multiplet", "multiple"])
def test_cells_with_guides_that_nobody_told_apart(read, word):
    with pytest.raises(
        FatewalkError, match=f"2 cells have '{word}', which tells none.*leave these cells out"
    ):
        read(cells(guide=["A_1", word, "A_2", word]))


def test_columns_of_guides_are_asked_for(read):
    screen = cells(gRNA=["A_1", None, None, "A_2"], NT=["A_1", None, None, "NT"], guide_id=[1, 2, 3, 4])
    with pytest.raises(FatewalkError, match=r"'gRNA': obs\['gRNA'\], such as 'A_1'; 'NT': obs"):
        read(screen)
    assert read(screen, guide_key="gRNA")[0]["guide"].tolist() == ["A_1", "A_2"]
    with pytest.raises(FatewalkError, match=r"obs\['guide_id'\] holds numbers .*names of guides"):
        read(screen, guide_key="guide_id")
    with pytest.raises(FatewalkError, match=r"no cell has a guide; set guide_key"):
        read(cells(gRNA=["None", "", "NA", None]))


PIECES = st.one_of(
    st.text(st.characters(exclude_characters="\0"), max_size=6),  # HDF5 ends a text at NUL
    st.lists(st.sampled_from(["A_1", "B_+_2", "NT", "doublet", "None", " ", ""]), max_size=4).flatmap(
        lambda names: st.sampled_from(";|,+ ").map(lambda sign: sign.join(names))
    ),
)


@settings(max_examples=200, deadline=None)
@given(texts=st.lists(st.none() | PIECES, min_size=1, max_size=8))
def test_any_text_gives_calls_or_one_refusal(texts):
    names = pd.Index([f"cell{i}" for i in range(len(texts))])
    obs = pd.DataFrame({"guide": pd.Series(texts, index=names, dtype=object)})
    part = SimpleNamespace(obs=obs, cell_id=names, path="x.h5ad", name="")
    try:
        found = read_guides(Place(part, "obs/guide"), AnnDataDataset(anndata="x.h5ad", guide_key="guide"))
    except FatewalkError as error:
        words = (
            "no cell has a guide",
            "several signs",
            "tells none of their guides",
            "holds numbers",
            "holds lists",
        )
        assert any(word in str(error) for word in words)  # noqa: PT017 - only some are refused
        return
    cell, guide = (found.calls[name].astype(str) for name in ("cell_id", "guide"))
    assert not found.calls.isna().any(axis=None)
    of_cell = dict(zip(names, texts, strict=True))
    for each, one in zip(cell, guide, strict=True):
        assert one in of_cell[each]
        assert one == one.strip() != ""


def test_columns_joined_from_10x(read):
    calls = read(cells(feature_call=["A_1|NT_1", None, "A_2", "A_2|A_1"], num_umis=["4|1", None, "2", "1|1"]))
    check(calls[0])


def test_a_matrix_goes_before_columns_of_text(read):
    screen = cells(guide=["A_1", None, None, None])
    screen.obsm["guide"] = frame()
    check(read(screen)[0])


# --------------------------------------------------------------- guide map


@pytest.mark.parametrize(
    ("columns", "is_ntc"),
    [
        ({"targeting": ["TRUE", "TRUE", "FALSE"]}, True),
        ({"is_control": [0, 0, 1]}, True),
        ({"non_targeting": [False, False, True]}, True),
        ({"type": ["targeting", "targeting", "non-targeting"]}, True),
        ({"control": ["x", "y", "z"]}, False),
        ({"type": ["protein_coding"] * 3}, False),
        ({}, False),
    ],
)
def test_the_controls_in_var(read, tmp_path, columns, is_ntc):
    var = pd.DataFrame({"gene": ["A", "A", "NT"], **columns}, index=GUIDES)
    write_mudata(tmp_path / "screen.h5mu", rna=cells(), guide=guides_alone(var=var))
    if is_ntc:
        assert read(name="screen.h5mu", guide_map=False)[1] == MAP
    else:
        with pytest.raises(FatewalkError, match=r"no column is_ntc.*\n +ntc_names: \[NT\]"):
            read(name="screen.h5mu", guide_map=False)
        assert read(name="screen.h5mu", guide_map=False, ntc_names=["NT"])[1] == MAP


@pytest.mark.parametrize("gene", ["intended_target_name", "target_gene", "guide_target", "Gene Name"])
def test_the_genes_in_var(read, tmp_path, gene):
    var = pd.DataFrame({"name": GUIDES, gene: ["A", "A", "NT"], "gene": GUIDES}, index=GUIDES)
    write_mudata(tmp_path / "screen.h5mu", rna=cells(), guide=guides_alone(var=var))
    assert read(name="screen.h5mu", guide_map=False, ntc_names=["NT"])[1] == MAP


# ------------------------------------------------------------- other stores


@pytest.mark.parametrize("version", [2, 3])
def test_zarr(read, tmp_path, version):
    with ad.settings.override(zarr_write_format=version):
        screen = cells()
        screen.obsm["guide"] = frame()
        check(read(screen, name="frame.zarr")[0])
        check(read(genes_and_guides(sp.csr_matrix), name="sparse.zarr")[0])
        check(read(genes_and_guides(np.asarray), name="dense.zarr")[0])
        store = zarr.open_group(tmp_path / "mudata.zarr", mode="w", zarr_format=version)
        for name, part in {"rna": cells(), "guide": guides_alone()}.items():
            write_elem(store, f"mod/{name}", part)
        write_elem(store, "obs", pd.DataFrame(index=CELLS))
        check(read(name="mudata.zarr", guide_map=False)[0])


def test_zarr_without_its_package(read, monkeypatch):
    screen = cells(guide=["A_1", "A_2", None, "NT_1"])
    read(screen, name="screen.zarr")
    monkeypatch.setitem(__import__("sys").modules, "zarr", None)
    with pytest.raises(FatewalkError, match=r"pip install zarr, or in Python .*read_zarr\(.*write_h5ad"):
        read(name="screen.zarr")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("x.loom", "is a loom file.*read_loom"),
        ("x.rds", "is a file of R.*writeH5AD"),
        ("x.RData", "is a file of R"),
        ("x.h5Seurat", "SeuratDisk::Convert"),
        ("x.pkl", "is a Python pickle.*write_h5ad"),
        ("x.mtx", "read_10x_mtx.*guide_anndata"),
        ("matrix.mtx.gz", "read_10x_mtx"),
        ("x.h5ad.gz", "is a packed file; .*unpack"),
        ("x.zarr.zip", "is a packed file"),
        ("x.xlsx", "is a spreadsheet.*CSV"),
        ("x.npz", "bare array"),
    ],
)
def test_forms_that_are_not_read(read, tmp_path, name, words):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(FatewalkError, match=words):
        read(name=name)


@pytest.mark.parametrize(
    ("element", "words"),
    [
        ("matrix/barcodes", "10x matrix.*read_10x_h5"),
        ("row_attrs/Gene", "loom"),
        ("meta.data/x", "SeuratDisk"),
    ],
)
def test_foreign_hdf5_is_told_by_what_it_holds(read, tmp_path, element, words):
    with h5py.File(tmp_path / "screen.h5ad", "w") as file:
        file[element] = [1]
    with pytest.raises(FatewalkError, match=words):
        read()


def test_folders(read, tmp_path):
    (tmp_path / "filtered").mkdir()
    with pytest.raises(FatewalkError, match="is a folder, and no zarr store"):
        read(name="filtered")
    (tmp_path / "filtered" / "matrix.mtx.gz").write_bytes(b"x")
    with pytest.raises(FatewalkError, match="read_10x_mtx"):
        read(name="filtered")


def test_a_file_that_is_cut_off(read, tmp_path):
    screen = cells(guide=["A_1", "A_2", None, "NT_1"])
    read(screen)
    whole = (tmp_path / "screen.h5ad").read_bytes()
    (tmp_path / "screen.h5ad").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FatewalkError, match="it is cut off: copy or write it again"):
        read()


def test_a_file_that_another_program_writes(read, tmp_path):
    cells(guide=["A_1", "A_2", None, "NT_1"]).write_h5ad(tmp_path / "screen.h5ad")
    with (tmp_path / "screen.h5ad").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(
            FatewalkError, match="it is locked, another program has it open for writing: close that program"
        ):
            read()
    read()


@pytest.mark.parametrize("part", ["indices", "indptr", "data"])
@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csc_matrix])
def test_a_sparse_matrix_that_does_not_fit_itself(read, tmp_path, part, kind):
    screen = cells()
    screen.obsm["guide"] = kind(UMI)
    screen.write_h5ad(tmp_path / "screen.h5ad")
    with h5py.File(tmp_path / "screen.h5ad", "a") as file:
        stored = file[f"obsm/guide/{part}"]
        if part == "data":
            del file["obsm/guide/data"]
            file["obsm/guide/data"] = [1, 1]
        else:
            stored[1] = 77
    with pytest.raises(FatewalkError, match=r"obsm\['guide'\] is damaged: its indices do not fit .* 4 x 3"):
        read(guide_names=GUIDES)


@pytest.mark.parametrize("damage", ["bytes", "attribute"])
def test_a_damaged_file(read, tmp_path, damage):
    screen = cells()
    screen.obsm["guide_counts"] = frame()
    screen.write_h5ad(tmp_path / "screen.h5ad")
    if damage == "attribute":
        with h5py.File(tmp_path / "screen.h5ad", "a") as file:
            del file["obsm/guide_counts"].attrs["column-order"]
    else:
        raw = (tmp_path / "screen.h5ad").read_bytes()
        (tmp_path / "screen.h5ad").write_bytes(raw.replace(b"SNOD", b"xxxx"))  # nodes of HDF5's tables
    with pytest.raises(FatewalkError, match=r"screen.h5ad: (is damaged or incomplete|obs cannot be read)"):
        read()


# --------------------------------------------------------------------- fates


@pytest.mark.parametrize("states", [["EC"], ["EC", "MES", "NEU"]])
def test_a_subset_that_lost_a_fate(read, states):
    """Categories of the terminal states are pruned with the cells; the matrix keeps its columns."""
    screen = cells(guide=["A_1", "A_2", None, "NT_1"])
    screen.obsm["lineages_fwd"] = P
    screen.obs["term_states_fwd"] = pd.Categorical([None, "EC", None, None], categories=states)
    with pytest.raises(
        FatewalkError, match=rf"has 2 columns, but .* gives {len(states)} names .*a subset .*Set fate_names"
    ):
        read(screen)
    read(screen, fate_names=FATES)

"""AnnData and MuData: where guides, days and fates are, in which form, and what is not clear about it."""

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
import yaml
from anndata.io import write_elem

from tests.hostile.screen import FATES, PLAIN, Case


def from_tables(screen):
    """The right screen without its guides, and the guides apart: variables of an AnnData."""
    cells = screen.table("cells.csv").set_index("cell_id")
    calls, guides = screen.table("calls.csv"), screen.table("guides.csv")["guide_name"]
    prob = cells[[f"p_{fate}" for fate in FATES]].astype(float).set_axis(FATES, axis=1)
    row, column = cells.index.get_indexer(calls["cell_id"]), pd.Index(guides).get_indexer(calls["guide"])
    counts = sp.csr_matrix((np.ones(len(calls)), (row, column)), shape=(len(cells), len(guides)))
    adata = ad.AnnData(obs=cells[["day", "rep"]], obsm={"lineages_fwd": prob})
    names = cells.index[row]
    adata.obs["text"] = calls.groupby(names)["guide"].agg(";".join).reindex(cells.index)
    return adata, ad.AnnData(counts, obs=cells[[]], var=pd.DataFrame(index=guides))


def entry(screen, **keys):
    """The entry of an AnnData file, instead of that of tables; None leaves a key out."""
    config = yaml.safe_load(screen.path("config.yaml").read_text())
    keys = {"anndata": "screen.h5ad", "guide_map": "guides.csv"} | keys
    config["datasets"]["screen"] = {key: value for key, value in keys.items() if value is not None}
    screen.text(yaml.safe_dump(config))


def anndata(change=lambda adata, guides: None, **keys):
    """Write ``screen.h5ad`` with guides in obsm, changed."""

    def spoil(screen):
        adata, guides = from_tables(screen)
        text = adata.obs.pop("text")
        adata.obsm["guide"] = guides.X
        adata.uns["guide_names"] = guides.var_names.to_numpy()
        adata.uns["text"] = text.fillna("").to_numpy(dtype=str)
        change(adata, guides)
        del adata.uns["text"]
        adata.write_h5ad(screen.path("screen.h5ad"))
        entry(screen, **keys)

    return spoil


def text(change, key="guide_identity", **keys):
    """Guides as text in a column of obs, changed."""

    def put(adata, guides):
        del adata.obsm["guide"]
        adata.obs[key] = change(pd.Series(adata.uns["text"], index=adata.obs_names))

    return anndata(put, **keys)


def mudata(change=lambda modalities: None, **keys):
    """Write ``screen.h5mu``, its modalities changed."""

    def spoil(screen):
        adata, guides = from_tables(screen)
        table = screen.table("guides.csv").set_index("guide_name")
        guides.var["intended_target_name"] = table["gene_name"]
        guides.var["targeting"] = table["is_ntc"] == "False"
        del adata.obs["text"]
        modalities = {"rna": adata, "guide": guides}
        change(modalities)
        with h5py.File(screen.path("screen.h5mu"), "w") as file:
            write_elem(file, "obs", adata.obs[[]])
            for name, part in modalities.items():
                write_elem(file, f"mod/{name}", part)
        entry(screen, **{"anndata": "screen.h5mu", "guide_map": None} | keys)

    return spoil


def obsm(**elements):
    """Put elements into obsm, or take them out (None), each a function of the guide counts."""

    def change(adata, guides):
        for key, make in elements.items():
            if make is None:
                del adata.obsm[key]
            else:
                adata.obsm[key] = make(guides)

    return anndata(change)


def table_of(guides):
    return pd.DataFrame(guides.X.toarray(), columns=guides.var_names, index=guides.obs_names)


def fewer_guides(screen):
    def change(adata, guides):
        del adata.obsm["guide"]
        guides[:120].write_h5ad(screen.path("guides.h5ad"))

    anndata(change, guide_anndata="guides.h5ad")(screen)


def scaled(screen, **keys):
    """A file of guides whose X is scaled, its counts in a layer."""

    def change(adata, guides):
        del adata.obsm["guide"]
        guides.layers["counts"] = guides.X.copy()
        guides.X = guides.X.toarray() - 0.1
        guides.write_h5ad(screen.path("guides.h5ad"))

    anndata(change, guide_anndata="guides.h5ad", **keys)(screen)


def counts_in_layer(screen):
    scaled(screen, guide_key="counts")


def two_places(adata, guides):
    adata.obsm["guide_counts"] = adata.obsm["guide_calls"] = table_of(guides)
    del adata.obsm["guide"]


def bytes_of(name, content=b"x"):
    """A file of another form under its own name."""

    def spoil(screen):
        screen.path(name).write_bytes(content)
        entry(screen, anndata=name)

    return spoil


def cut(screen):
    anndata()(screen)
    whole = screen.path("screen.h5ad").read_bytes()
    screen.path("screen.h5ad").write_bytes(whole[: len(whole) // 2])


def hdf5(**elements):
    def spoil(screen):
        with h5py.File(screen.path("screen.h5ad"), "w") as file:
            for name, value in elements.items():
                file[name.replace("__", "/")] = value
        entry(screen)

    return spoil


def renamed(old, new):
    def change(modalities):
        modalities[new] = modalities.pop(old)

    return change


def pruned(adata, guides):
    """A subset whose terminal states lost the cells of a fate, and so their category."""
    adata.obsm["lineages_fwd"] = adata.obsm["lineages_fwd"].to_numpy()
    adata.obs["term_states_fwd"] = pd.Categorical([FATES[0], *[None] * (len(adata) - 1)], FATES[:2])


def one_a_cell(names):
    """The first guide's gene of each cell; controls under one name."""
    gene = names.str.split(";").str[0].str.replace(r"_g?\d+$", "", regex=True)
    return gene.where(~gene.str.contains("NTC|non"), "control").where(gene != "", None)


def add(column, value):
    def change(adata, guides):
        adata.obs[column] = value

    return change


def other_cells(modalities):
    modalities["guide"].obs_names = "x" + modalities["guide"].obs_names


def more_cells(modalities):
    modalities["rna"] = modalities["rna"][20:].copy()


def day_of_guides(modalities):
    modalities["guide"].obs["day"] = modalities["rna"].obs.pop("day")
    modalities["guide"] = modalities["guide"][5:].copy()


def two_fates(adata, guides):
    adata.obsm["lineages_fwd"] = adata.obsm["lineages_fwd"][FATES[:2]]


def guides_only(screen):
    guides = from_tables(screen)[1]
    guides.var["feature_types"] = "CRISPR Guide Capture"
    guides.write_h5ad(screen.path("screen.h5ad"))
    entry(screen)


def folder(name, file):
    def spoil(screen):
        screen.path(name).mkdir()
        screen.path(name).joinpath(file).write_bytes(b"x")
        entry(screen, anndata=name)

    return spoil


def plain(screen, **keys):
    """The entry of tables, some of them other files."""
    config = yaml.safe_load(screen.path("config.yaml").read_text())
    config["datasets"]["screen"] = PLAIN | keys
    screen.text(yaml.safe_dump(config))


def h5ad_as(key):
    def spoil(screen):
        anndata()(screen)
        plain(screen, **{key: "screen.h5ad"})

    return spoil


def r_object_as(key):
    def spoil(screen):
        screen.path("calls.rds").write_bytes(b"x")
        plain(screen, **{key: "calls.rds"})

    return spoil


def zarr(screen):
    anndata()(screen)
    ad.read_h5ad(screen.path("screen.h5ad")).write_zarr(screen.path("screen.zarr"))
    entry(screen, anndata="screen.zarr")


CASES = [
    Case("guides in obsm, names in uns", "design", anndata(), "right"),
    Case(
        "guides in a data frame under another key", "design", obsm(guide=None, gRNA_counts=table_of), "right",
        ("Guides are read from", "obsm['gRNA_counts']"), snakemake=True,
    ),
    Case(
        "two elements that can be the guides", "import", anndata(two_places), "refused",
        ("screen.h5ad", "from 2 places", "guide_key", "'guide_calls'", "'guide_counts'"),
    ),
    Case(
        "no guides at all", "import", obsm(guide=None), "refused",
        ("screen.h5ad", "no guides were found", "lineages_fwd", "guide_key", "protospacer_calls"),
    ),
    Case(
        "a guide_key that is not there", "import", anndata(guide_key="gide"), "refused",
        ("screen.h5ad", "'gide'", "did you mean 'guide'?"),
    ),
    Case(
        "a guide_key of an embedding", "import",
        anndata(lambda adata, guides: adata.obsm.update(X_umap=np.ones((240, 2)) * -1), guide_key="X_umap",
                guide_names=["a", "b"]), "refused",
        ("obsm['X_umap']", "negative", "UMI counts"),
    ),
    Case(
        "words in the guide matrix", "import",
        obsm(guide=lambda guides: table_of(guides).astype(str)), "refused",
        ("obsm['guide']", "must hold numbers", "UMI counts or 0/1"),
    ),
    Case(
        "missing values in the guide matrix", "import",
        obsm(guide=lambda guides: table_of(guides).replace(1, np.nan)), "refused",
        ("obsm['guide']", "missing or infinite", "first of cell", "fillna(0)"),
    ),
    Case(
        "a scaled guide matrix", "import", scaled, "refused",
        ("guides.h5ad: X holds negative values", "of cell", "layers['counts']", "set guide_key to its name"),
    ),
    Case("counts in the layer that the message names", "design", counts_in_layer, "right"),
    Case(
        "genes for the names of guides", "import",
        anndata(lambda adata, guides: adata.uns.update(guide_names=guides.var_names.str[:7].to_numpy())),
        "refused", ("obsm['guide']", "'Gene001'", "stands in several columns", "names of genes"),
    ),
    Case(
        "posteriors instead of calls", "import",
        obsm(guide=None, guide_posterior=lambda guides: table_of(guides) * 0.9 + 0.01), "refused",
        ("obsm['guide_posterior'] must hold UMI counts or 0/1", "of 3360 are below 0.5", "threshold"),
    ),
    Case("guides as text", "design", text(lambda names: names), "right", ("separated by ';'",)),
    Case("guides as text with +", "design", text(lambda names: names.str.replace(";", " + ")), "right",
         ("separated by '+'",)),
    Case(
        "None written for cells without a guide", "design",
        text(lambda names: names.str.replace(";", ",").replace("", "None")), "right",
        ("cells name no guide", "'None'", "separated by ','"),
    ),
    Case(
        "two separators", "import", text(lambda names: names + ",x"), "refused",
        ("obs['guide_identity']", "';'", "','", "guide_separator"),
    ),
    Case(
        "doublets among the guides", "import", text(lambda names: names.replace("", "doublet")), "refused",
        ("obs['guide_identity']", "cells have 'doublet'", "leave these cells out"),
    ),
    Case(
        "several columns that can be the guides", "import",
        text(lambda names: pd.DataFrame({"gRNA": names, "NT": names}), key=["gRNA", "NT"]), "refused",
        ("from 2 places", "'gRNA': obs['gRNA'], such as", "'NT': obs['NT']", "guide_key"),
    ),
    Case(
        "a column of counts as guides", "import",
        anndata(add("nCount_guide", range(240)), guide_key="nCount_guide"), "refused",
        ("obs['nCount_guide'] holds numbers", "names of guides"),
    ),
    Case(
        "no cell with a guide", "import", text(lambda names: names.map(lambda name: "None")), "refused",
        ("obs['guide_identity']", "no cell has a guide", "guide_key"),
    ),
    Case(
        "perturbations without a guide map", "import",
        text(one_a_cell, key="perturbation", guide_map=None), "refused",
        ("no guide_map", "'control'", "ntc_names: [control]"), snakemake=True,
    ),
    Case(
        "perturbations with their controls named", "design",
        text(one_a_cell, key="perturbation", guide_map=None, ntc_names=["control"]), "warned",
        ("each of the 6 values", "Controls by ntc_names: 1", "All NTC calls carry one label"),
    ),
    Case(
        "perturbations beside a map of guides", "design", text(one_a_cell, key="perturbation"), "refused",
        ("are genes of the map", "leave guide_map out", "ntc_names"),
    ),
    Case("guides as lists", "import", text(lambda x: "['" + x.str.replace(";", "', '") + "']"), "refused",
         ("obs['guide_identity'] holds lists, such as", "';'.join(guides)")),
    Case("a guide without a name", "import",
         anndata(lambda a, g: a.uns.update(guide_names=np.array(["", *g.var_names[1:]]))), "refused",
         ("screen.h5ad: obsm['guide']: column 1 of 14 has no name",)),
    Case("names of guides as a table", "import",
         anndata(lambda a, g: a.uns.update(guide_names=pd.DataFrame({"guide": g.var_names}))), "refused",
         ("screen.h5ad: uns['guide_names'] is a table or a mapping", "list(names)")),
    Case("guides of half of the cells", "design", fewer_guides, "warned",
         ("120 of 240 cells are not in", "guides.h5ad: X", "No cell of day 'day2' (120 cells)")),
    Case("MuData", "design", mudata(), "right", ("modality 'guide'",), snakemake=True),
    Case("MuData under names of Seurat", "design", mudata(renamed("guide", "GDO")), "right", ("'GDO'",)),
    Case(
        "MuData with guides under an unusual name", "design", mudata(renamed("guide", "library")), "right",
        ("modality 'library'",),  # var tells
    ),
    Case(
        "MuData with two modalities of guides", "import",
        mudata(lambda parts: parts.update(grna=parts["guide"].copy())), "refused",
        ("screen.h5mu", "from 2 places", "'grna'", "'guide'"),
    ),
    Case(
        "MuData with fates in two modalities", "import",
        mudata(lambda parts: parts.update(atac=parts["rna"].copy())), "refused",
        ("screen.h5mu", "lineages_fwd", "fate_key", "atac:lineages_fwd or rna:lineages_fwd"),
    ),
    Case(
        "MuData without a modality of guides", "import", mudata(lambda parts: parts.pop("guide")), "refused",
        ("screen.h5mu", "no guides were found", "modality 'rna'"),
    ),
    Case(
        "a modality that is not there", "import", mudata(guide_key="gide"), "refused",
        ("screen.h5mu", "'gide'", "did you mean 'guide'?"),
    ),
    Case(
        "MuData whose guides have other cells", "import", mudata(other_cells), "refused",
        ("screen.h5mu", "none of its 201 cells", "'xcell0000001'", "alike in both"),
    ),
    Case(
        "MuData whose guides have more cells", "design", mudata(more_cells), "warned",
        ("of 16 cells are not in the cells table",),
    ),
    Case(
        "a day that only some cells of MuData have", "import", mudata(day_of_guides), "refused",
        ("cells are not in", "modality 'guide'", "'day'"),
    ),
    Case(
        "the wrong modality as guides", "import", mudata(guide_key="rna"), "refused",
        ("modality 'rna'", "has no X"),
    ),
    Case(
        "names of fates that a subset lost", "import", anndata(pruned), "refused",
        ("screen.h5ad", "has 3 columns", "gives 2 names", "a subset", "fate_names"), snakemake=True,
    ),
    Case(
        "a fate that a subset dropped from the matrix", "import", anndata(two_fates), "refused",
        ("'NEU' is not in the data", "model.fates"),
    ),
    Case("guides alone", "import", guides_only, "refused", ("lineages_fwd", "guide_anndata", "and fates")),
    Case("10x file under the name of an AnnData file", "import", hdf5(matrix__barcodes=[1]), "refused",
         ("screen.h5ad", "10x matrix", "read_10x_h5", "guide_anndata")),
    Case("a loom file under another name", "import", hdf5(row_attrs__Gene=[1]), "refused",
         ("screen.h5ad", "loom", "read_loom")),
    Case("some HDF5", "import", hdf5(table=[1]), "refused", ("screen.h5ad", "no table obs", "anndata")),
    Case("a loom file", "import", bytes_of("screen.loom"), "refused", ("screen.loom", "read_loom")),
    Case("an R object", "import", bytes_of("screen.rds"), "refused",
         ("screen.rds", "a file of R", "writeH5AD"), snakemake=True),
    Case("a file of SeuratDisk", "import", bytes_of("screen.h5Seurat"), "refused",
         ("screen.h5Seurat", "SeuratDisk::Convert")),
    Case("a pickle", "import", bytes_of("screen.pkl"), "refused", ("screen.pkl", "pickle", "write_h5ad")),
    Case("a packed file", "import", bytes_of("screen.h5ad.gz"), "refused", ("screen.h5ad.gz", "unpack")),
    Case("a 10x matrix", "import", bytes_of("matrix.mtx.gz"), "refused", ("read_10x_mtx", "guide_anndata")),
    Case("a table as AnnData", "import", lambda s: entry(s, anndata="cells.csv"), "refused",
         ("cells.csv", "is a table", "name it as cells")),
    Case("an AnnData file as a table", "import", h5ad_as("cells"), "refused",
         ("screen.h5ad", "an AnnData or MuData file", "name it as anndata")),
    Case("an AnnData file as 10x calls", "import", anndata(protospacer_calls="screen.h5ad"), "refused",
         ("screen.h5ad", "an AnnData or MuData file", "guide_anndata")),
    Case("an R object as a table", "import", r_object_as("guide_calls"), "refused",
         ("calls.rds", "a file of R", "write_parquet")),
    Case("a 10x matrix as calls", "config", lambda s: (folder("counts", "matrix.mtx.gz")(s),
         plain(s, guide_calls="counts")), "refused", ("counts", "read_10x_mtx", "guide_anndata")),
    Case("a file that is no HDF5", "import", bytes_of("screen.h5ad"), "refused",
         ("screen.h5ad", "cannot be read", "it is no HDF5 file")),
    Case("a file that is cut off", "import", cut, "refused", ("screen.h5ad", "cut off", "write it again")),
    Case("a folder of a 10x matrix", "config", folder("counts", "matrix.mtx.gz"), "refused",
         ("counts", "read_10x_mtx")),
    Case("some folder", "config", folder("counts", "readme.txt"), "refused",
         ("counts", "name the file in it")),
    Case("some folder with a suffix", "import", folder("counts.h5ad", "readme.txt"), "refused",
         ("counts.h5ad", "no zarr store")),
    Case("a zarr store", "design", zarr, "right", snakemake=True),
]  # fmt: skip

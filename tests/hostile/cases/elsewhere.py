"""Guides, fates and tables that are there, but elsewhere, in another form, or damaged."""

import gzip
import pickle

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import yaml

from tests.hostile.cases.anndata import anndata, entry, from_tables, mudata, obsm, table_of, text
from tests.hostile.screen import Case

# ------------------------------------------------------------------ matrices of guides


def layer(change):
    """Calls of MuData in the layer guide_assignment, changed."""

    def put(modalities):
        guides = modalities["guide"]
        guides.layers["guide_assignment"] = change(guides.X.toarray())

    return mudata(put)


def twice_in_a_place(adata, guides):
    """What a copy of a store leaves that lacks the indices of its columns."""
    adata.obsm["guide"].indices[:] = 0


def tenx_of_obs(change):
    """10x calls, changed."""

    def spoil(screen):
        calls = screen.table("calls.csv").assign(umi="7").groupby("cell_id")
        table = calls.agg(num_features=("guide", "size"), feature_call=("guide", "|".join),
                          num_umis=("umi", "|".join)).rename_axis("cell_barcode").reset_index()  # fmt: skip
        change(table)
        screen.write("calls.csv", table)

    return spoil


def with_commas(table):
    for name in ("feature_call", "num_umis"):
        table[name] = table[name].str.replace("|", ",")


def cut_lists(table):
    for name in ("feature_call", "num_umis"):
        table[name] = table[name].str.split("|").str[0]


# ------------------------------------------------------------------ where guides are


def in_raw(screen):
    adata, guides = from_tables(screen)
    guides.obs, guides.obsm["lineages_fwd"] = adata.obs[["day", "rep"]], adata.obsm["lineages_fwd"]
    guides.var["feature_types"] = "CRISPR Guide Capture"
    cut = guides[:, :0].copy()
    cut.raw = guides
    cut.write_h5ad(screen.path("screen.h5ad"))
    entry(screen)


def in_x(change, **keys):
    """An AnnData of guides with days and fates, changed."""

    def spoil(screen):
        adata, guides = from_tables(screen)
        guides.obs, guides.obsm["lineages_fwd"] = adata.obs[["day", "rep"]], adata.obsm["lineages_fwd"]
        change(guides)
        guides.write_h5ad(screen.path("screen.h5ad"))
        entry(screen, **keys)

    return spoil


def custom(guides):
    guides.var["feature_types"] = "Custom"


def named_by_sequence(guides):
    guides.var["guide_name"] = guides.var_names.to_numpy()
    guides.var_names = [f"ACGTACGTACGTACGT{i:04d}" for i in range(guides.n_vars)]


def in_two_columns(adata, guides):
    names = guides.var_names[:2]
    adata.obs["guide_A"], adata.obs["guide_B"] = names


def numbered(adata, guides):
    adata.obs["guide"] = np.arange(adata.n_obs) % 3 + 1.0


def listed_in_uns(adata, guides):
    adata.uns["guide_calls"] = np.array(["cell0000001 Gene001_g1"])


def another_modality(name):
    return mudata(lambda modalities: modalities.update({name: modalities.pop("guide")}))


def no_sign_of_guides(modalities):
    guides = modalities.pop("guide")
    guides.var = guides.var[[]]
    modalities["protein"] = guides


def names_of(change):
    return anndata(lambda adata, guides: adata.uns.update(guide_names=change(guides.var_names)))


def numbers_of_rows(screen):
    adata, guides = from_tables(screen)
    del adata.obs["text"]
    guides = guides[40:].copy()
    for one in (adata, guides):
        one.obs_names = [str(i) for i in range(one.n_obs)]
    adata.write_h5ad(screen.path("screen.h5ad"))
    guides.write_h5ad(screen.path("guides.h5ad"))
    entry(screen, guide_anndata="guides.h5ad")


def fates_of_fewer_cells(modalities):
    rna = modalities["rna"]
    modalities["velocity"] = ad.AnnData(obs=rna.obs[[]], obsm={"lineages_fwd": rna.obsm["lineages_fwd"]})[
        :200
    ]
    del rna.obsm["lineages_fwd"]


def perturbation(change):
    """Genes of a cell in obs, changed; no guide map."""
    return text(change, "perturbation", guide_key="perturbation", guide_map=None, ntc_names=["NTC"])


def gene_or(nothing):
    return perturbation(lambda names: names.str.split("_").str[0].where(names != "", nothing))


def pairs_of_genes(names):
    return names.str.replace(r"_(g\d|\d\d)", "", regex=True).str.replace(";", "_").replace("", "NTC")


def calls_of_genes(word):
    def spoil(screen):
        screen.change("calls.csv", "guide", slice(None), lambda guide: guide.split("_")[0])
        screen.change("calls.csv", "guide", slice(0, 9), word)
        config = yaml.safe_load(screen.path("config.yaml").read_text())
        del config["datasets"]["screen"]["guide_map"]
        config["datasets"]["screen"]["ntc_names"] = ["NTC"]
        screen.text(yaml.safe_dump(config))

    return spoil


def coordinates(screen):
    """Guides named by where they cut, with a comma."""
    text(lambda names: names.str.split(";").str[0].map(lambda name: name and f"chr1:1,000_{name}"))(screen)
    screen.change("guides.csv", "guide_name", slice(None), lambda name: f"chr1:1,000_{name}")


def in_one_row(screen):
    table = screen.table("guides.csv").groupby(["gene_name", "is_ntc"], as_index=False)
    screen.write("guides.csv", table.agg({"guide_name": "; ".join}))


def cut_in_a_name(screen):
    content = screen.path("calls.csv").read_text().rstrip()
    screen.path("calls.csv").write_text(content[: content.rindex("_")])


# ------------------------------------------------------------------ where fates are


def fates_in(put, **keys):
    """Fates taken out of obsm and put elsewhere."""
    return anndata(lambda adata, guides: put(adata, adata.obsm.pop("lineages_fwd")), **keys)


def columns_of_obs(before=""):
    return lambda adata, prob: [adata.obs.insert(0, before + name, prob[name]) for name in prob]


def with_missing_as_a_name(adata, guides):
    """Terminal states that were text for a while: a state nan, and none of EC."""
    adata.obsm["lineages_fwd"] = adata.obsm["lineages_fwd"].to_numpy()
    states = np.array(["MES", "NEU", "nan"])[np.arange(adata.n_obs) % 3]
    adata.obs["term_states_fwd"] = pd.Categorical(states)


def without_names(adata, guides):
    adata.obsm["lineages_fwd"] = adata.obsm["lineages_fwd"].to_numpy()


def of_records(adata, prob):
    adata.obsm["lineages_fwd"] = prob.to_records(index=False)


def named_two_in_one(adata, guides):
    adata.obsm["lineages_fwd"].columns = ["EC, MES", "NEU", "x"]


# ------------------------------------------------------------------ files of other forms


def as_file(key, name, content):
    """Give a file, made of the bytes of the right table, under a key of plain tables."""

    def spoil(screen):
        config = yaml.safe_load(screen.path("config.yaml").read_text())
        right = screen.path(config["datasets"]["screen"][key]).read_bytes()
        screen.path(name).write_bytes(content(right))
        screen.config(entry={key: name})

    return spoil


def as_anndata(name, content):
    """Give a file as AnnData, made of the bytes of the right one."""

    def spoil(screen):
        anndata()(screen)
        right = screen.path("screen.h5ad").read_bytes()
        screen.path("screen.h5ad").unlink()
        screen.path(name).write_bytes(content(right))
        entry(screen, anndata=name)

    return spoil


def above(lines):
    return lambda content: lines.encode() + content


def units_below(content):
    names, rest = content.split(b"\n", 1)
    return names + b"\nid" + b",unit" * names.count(b",") + b"\n" + rest


def in_parts(screen):
    cells = screen.table("cells.csv")
    screen.path("cells.parquet").mkdir()
    cells[:100].to_parquet(screen.path("cells.parquet") / "part-0.parquet")
    screen.config(entry={"cells": "cells.parquet"})


def one_column_for_each(screen):
    calls = screen.table("calls.csv").groupby("cell_id")["guide"].agg(list)
    table = pd.DataFrame(calls.tolist(), index=calls.index).add_prefix("guide_")
    table.to_csv(screen.path("calls.csv"))


def zarr_without_suffix(of=""):
    def spoil(screen):
        anndata()(screen)
        ad.read_h5ad(screen.path("screen.h5ad")).write_zarr(screen.path("store"))
        entry(screen, anndata=f"store{of}")

    return spoil


def matrix_of_a_genome(screen):
    with h5py.File(screen.path("matrix.h5"), "w") as file:
        file["GRCh38/barcodes"] = file["GRCh38/genes"] = file["GRCh38/data"] = [1]
    entry(screen, anndata="matrix.h5")


PAGE = b"\n<!DOCTYPE html>\n<html><title>Sign in</title></html>\n"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1\n"
FEATURES = b"ENSG1\tA\tGene Expression\ng1\tg1\tCRISPR Guide Capture\n"


def reference_without_names(screen):
    """A 10x feature reference that names genes by their ids alone."""
    table = screen.table("guides.csv")
    gene = table["gene_name"].where(table["is_ntc"] == "False", "Non-Targeting")
    table = table.assign(id=table["guide_name"], feature_type="CRISPR Guide Capture", target_gene_id=gene,
                         target_gene_name="")  # fmt: skip
    screen.write("guides.csv", table[["id", "feature_type", "target_gene_id", "target_gene_name"]])


CASES = [
    Case("posteriors under the usual key", "import", obsm(guide=lambda g: table_of(g) * 0.9 + 0.01),
         "refused", ("obsm['guide']", "of 3360 are below 0.5", "threshold")),
    Case("posteriors in the layer of calls", "import", layer(lambda x: x * 0.9 + 0.01), "refused",
         ("layers['guide_assignment'] of modality 'guide'", "are below 0.5", "> 0.5")),
    Case("counts that were smoothed over cells", "import", obsm(guide=lambda g: table_of(g) * 5.5 + 0.7),
         "refused", ("obsm['guide']", "a cell would have 14 of 14 guides on average", "threshold")),
    Case("counts of a cell as a share of 10,000", "design", obsm(guide=lambda g: table_of(g) * 1234.5),
         "right", ("holds no counts: each value above 0 is taken as a call",)),
    Case("a matrix with several values in a place", "import", anndata(twice_in_a_place), "refused",
         ("obsm['guide'] is damaged", "stand in a place that has one", "sum_duplicates")),
    Case("10x calls with commas between guides", "import", tenx_of_obs(with_commas), "refused",
         ("calls.csv", "another number of guides in feature_call than num_features", "'|'")),
    Case("10x calls whose lists were cut", "import", tenx_of_obs(cut_lists), "refused",
         ("calls.csv", "another number of guides", "'cell0000002': 'Gene001_g1' for 4")),
    Case("guides only in raw", "import", in_raw, "refused",
         ("screen.h5ad", "no guides were found", "The guides are in raw", "adata.raw.to_adata()",
          "guide_anndata")),
    Case("guides as custom features", "import", in_x(custom), "refused",
         ("var['feature_types'] holds 'Custom'", "'CRISPR Guide Capture'")),
    Case("variables named by sequences", "design", in_x(named_by_sequence, guide_key="X"), "refused",
         ("'ACGTACGTACGTACGT0000'", "var['guide_name']", "'Gene001_g1'", "adata.var_names =")),
    Case("guides in two columns", "import", anndata(lambda adata, guides: (in_two_columns(adata, guides),
         adata.obsm.pop("guide"))), "refused", ("'guide_A', 'guide_B'", "';'.join")),
    Case("guides by number", "import", anndata(lambda adata, guides: (numbered(adata, guides),
         adata.obsm.pop("guide"))), "refused", ("obs['guide'] holds numbers", ".astype(str)")),
    Case("guides by number, asked for", "import", anndata(numbered, guide_key="guide_number"), "refused",
         ("guide_number",)),
    Case("guides in uns", "import", anndata(lambda adata, guides: (listed_in_uns(adata, guides),
         adata.obsm.pop("guide"))), "refused", ("not read from uns ('guide_calls'", "obsm")),
    Case("an unusual name of the modality of guides", "design", another_modality("crispr_gdo_counts"),
         "right", ("modality 'crispr_gdo_counts'",)),
    Case("no modality that can be guides", "import", mudata(no_sign_of_guides), "refused",
         ("modalities: protein, rna", "guide_key", "in MuData to their modality")),
    Case("names of guides as bytes", "design", names_of(lambda names: names.to_numpy().astype("S")), "right"),
    Case("names of guides as a column", "design", names_of(lambda names: names.to_numpy(str)[:, None]),
         "right"),
    Case("names of guides as a table of two columns", "import",
         names_of(lambda names: names.to_numpy(str).reshape(-1, 2)), "refused",
         ("uns['guide_names'] is a table", "list(names)")),
    Case("cells named by the numbers of their rows in two files", "import", numbers_of_rows, "refused",
         ("guides.h5ad", "200 cells", "240", "numbers of their rows", "barcodes")),
    Case("fates of fewer cells than the days", "design", mudata(fates_of_fewer_cells), "warned",
         ("40 cells of other modalities are left out", "which holds the fates", "'cell0000201'")),
    Case("unknown guides in a column of genes", "design", gene_or("unknown"), "warned",
         ("39 cells name no guide", "'unknown'", "each of the 6 values")),
    Case("signs in a column of genes", "design", gene_or("*"), "warned",
         ("39 cells name no guide", "'*'", "each of the 6 values")),
    Case("pairs of genes with a sign between", "design", perturbation(pairs_of_genes), "warned",
         ("are several of the others, such as 'Gene001_Gene00", "guide_separator")),
    Case("unknown guides in calls without a guide map", "import", calls_of_genes("unknown"), "refused",
         ("calls.csv", "'unknown' names no guide", "leave these calls out")),
    Case("multiplets in calls without a guide map", "import", calls_of_genes("multiplet"), "refused",
         ("calls.csv", "'multiplet' names no guide")),
    Case("guides of a cell as tuples in text", "import", text(lambda names: "(" + names + ",)"), "refused",
         ("holds lists", "';'.join")),
    Case("guides named with a comma", "design", coordinates, "refused",
         ("'chr1:1,000_Gene001_g1' of the map is several of them with ',' between", "guide_separator")),
    Case("guides of a gene in one row of the map", "design", in_one_row, "refused",
         ("of the map is several of them with ';' between", "one row for each guide")),
    Case("a name of a guide that is cut", "design", cut_in_a_name, "refused",
         ("1 guide of 1 call is not in the guide map", "write them as in guide_map"), ("are genes",)),
    Case("fates in columns of obs", "import", fates_in(columns_of_obs()), "refused",
         ("obsm['lineages_fwd'] is missing", "'NEU', 'MES', 'EC' of obs add up to 1",
          "adata.obsm['lineages_fwd'] = adata.obs[")),
    Case("fates in columns of obs, by what they begin with", "import",
         fates_in(lambda adata, prob: (columns_of_obs("fate_")(adata, prob),
                                       adata.obs.insert(0, "mito", 0.1)), fate_key="fate_"), "refused",
         ("'fate_NEU', 'fate_MES', 'fate_EC' of obs add up to 1",)),
    Case("one column of obs is no fate", "import",
         fates_in(lambda adata, prob: adata.obs.insert(0, "x", 1.0)), "refused",
         ("obsm['lineages_fwd'] is missing",), ("add up",)),
    Case("fates as a column of labels", "import",
         fates_in(lambda adata, prob: adata.obs.insert(0, "fate", prob.idxmax(axis=1)), fate_key="fate"),
         "refused", ("obs['fate'] holds labels", "get_dummies")),
    Case("fates in uns", "import", fates_in(lambda adata, prob: adata.uns.update(lineages_fwd=prob)),
         "refused", ("uns['lineages_fwd'] is not read", "adata.obsm['lineages_fwd'] =")),
    Case("terminal states with a category for missing", "import", anndata(with_missing_as_a_name), "refused",
         ("has 3 columns, but 'term_states_fwd' gives 2 names ('MES', 'NEU')", "fate_names")),
    Case("no names of fates and no key for them", "import", lambda s: (anndata(without_names)(s),
         s.config(entry={"fate_names_key": None})),
         "refused", ("an array without names of the fates. Set fate_names_key",), ("None",)),
    Case("fates as an array with named columns", "design", fates_in(of_records), "right"),
    Case("names of fates with a comma", "import", anndata(named_two_in_one), "refused",
         ("'EC, MES' is not in model.fates", "Data: 'EC, MES', 'NEU', 'x'")),
    Case("a page of the web as cells", "import", as_file("cells", "page.csv", lambda right: PAGE), "refused",
         ("page.csv", "a page of the web", "download")),
    Case("a pointer of Git LFS as cells", "import", as_file("cells", "lfs.csv", lambda right: POINTER),
         "refused", ("lfs.csv", "Git LFS", "git lfs pull")),
    Case("what macOS keeps beside a file", "import",
         as_file("cells", "._cells.csv", lambda right: b"\0\5\x16\7" + bytes(80)), "refused",
         ("._cells.csv", "macOS", "without '._'")),
    Case("a table packed twice", "import",
         as_file("guide_calls", "calls.csv.gz", lambda right: gzip.compress(gzip.compress(right))), "refused",
         ("calls.csv.gz", "a packed file", "unpack it")),
    Case("comments above the names", "import", as_file("cells", "c.csv", above("# by me\n# 2024-01-01\n")),
         "refused", ("c.csv", "'cell_id'", "is line 3", "'# by me'")),
    Case("a title above the names", "import", as_file("guide_map", "g.csv", above("Table S3,,\n\n")),
         "refused", ("g.csv", "'guide_name'", "is line 3", "'Table S3,,'")),
    Case("units below the names", "import", as_file("cells", "u.csv", units_below), "refused",
         ("u.csv", "cannot read a time from 'unit' (first in row 1)")),
    Case("features of Cell Ranger as the guide map", "import",
         as_file("guide_map", "features.tsv", lambda right: FEATURES), "refused",
         ("features.tsv", "list of features of Cell Ranger", "feature_reference.csv")),
    Case("a table in parts", "import", in_parts, "refused",
         ("cells.parquet", "a folder of Parquet files", "pandas.read_parquet")),
    Case("a column for each guide of a cell", "import", one_column_for_each, "refused",
         ("calls.csv", "'guide_0', 'guide_1'", "melt('cell_id'")),
    Case("an HDF5 file as calls", "import",
         as_file("guide_calls", "matrix.h5", lambda right: b"\x89HDF" + bytes(80)), "refused",
         ("matrix.h5", "an HDF5 file", "read_10x_h5")),
    Case("a 10x matrix of a genome", "import", matrix_of_a_genome, "refused",
         ("matrix.h5", "a 10x matrix", "guide_anndata")),
    Case("a zarr store without a suffix", "design", zarr_without_suffix(), "right"),
    Case("a part of a zarr store", "import", zarr_without_suffix("/obs"), "refused",
         ("store/obs", "has no table obs", "found: ", "'day'")),
    Case("a pointer of Git LFS as AnnData", "import", as_anndata("screen.h5ad", lambda right: POINTER),
         "refused", ("screen.h5ad", "git lfs pull")),
    Case("a packed AnnData file without its suffix", "import", as_anndata("screen.h5ad", gzip.compress),
         "refused", ("screen.h5ad", "a packed file", "unpack it")),
    Case("an R object without its suffix", "import",
         as_anndata("screen.h5ad", lambda right: gzip.compress(b"X\n\0\0\0\3")), "refused",
         ("screen.h5ad", "a file of R", "writeH5AD")),
    Case("a pickle without its suffix", "import", as_anndata("screen.h5ad", lambda right: pickle.dumps(1)),
         "refused", ("screen.h5ad", "a Python pickle")),
    Case("a feature reference without names of genes", "design", reference_without_names, "right",
         ("genes by target_gene_name, and of 10 guides without one by target_gene_id",)),
]  # fmt: skip

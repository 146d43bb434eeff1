"""Guides, fates and tables that are there, but elsewhere, in another form, or damaged."""

from tests.hostile.cases.anndata import anndata, mudata, obsm, table_of
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
]  # fmt: skip

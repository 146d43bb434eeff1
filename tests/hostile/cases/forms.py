"""Forms of guides, maps and files."""

import gzip
import zipfile

import numpy as np
import pandas as pd

from tests.hostile.screen import Case

CASES = [
    Case(
        "no file of the cells", "import", lambda s: s.path("cells.csv").unlink(), "refused",
        ("cells.csv", "no such file", "correct the path"),
    ),
]  # fmt: skip


# ------------------------------------------------------------------ text and Parquet tables


def rewrite(name, change):
    """Change the bytes of a table."""
    return lambda s: s.path(name).write_bytes(change(s.path(name).read_bytes()))


def as_parquet(name, index):
    """Move a table to Parquet with names of its rows in the index."""

    def spoil(s):
        key = {"cells.csv": "cells", "calls.csv": "guide_calls", "guides.csv": "guide_map"}[name]
        pd.read_csv(s.path(name), index_col=index).to_parquet(s.path("table.parquet"))
        s.config(entry={key: "table.parquet"})

    return spoil


def in_parquet(name, column, change):
    """Move a table to Parquet, the values of a column changed."""

    def spoil(s):
        key = {"cells.csv": "cells", "calls.csv": "guide_calls", "guides.csv": "guide_map"}[name]
        table = pd.read_csv(s.path(name))
        table.assign(**{column: table[column].map(change)}).to_parquet(s.path("table.parquet"))
        s.config(entry={key: "table.parquet"})

    return spoil


def header_again(name):
    def again(content):
        lines = content.splitlines(keepends=True)
        return b"".join([*lines[:6], lines[0], *lines[6:]])

    return rewrite(name, again)


def matrix(change):
    """Calls as a matrix, changed."""

    def spoil(s):
        calls = s.table("calls.csv")
        change(pd.crosstab(calls["cell_id"], calls["guide"])).to_csv(s.path("calls.csv"))

    return spoil


def in_long_form(s):
    calls = s.table("calls.csv")
    counts = pd.crosstab(calls["cell_id"], calls["guide"]).reset_index()
    s.write("calls.csv", counts.melt("cell_id", var_name="guide"))


def joined(sign):
    def spoil(s):
        calls = s.table("calls.csv").groupby("cell_id")["guide"].agg(sign.join)
        s.write("calls.csv", calls.reset_index())

    return spoil


def unnamed(s):
    """Write cells as pandas writes names of cells: without a header."""
    s.write("cells.csv", s.table("cells.csv").rename(columns={"cell_id": ""}))


def as_r_writes(name, numbered):
    """Write a table as write.table(sep = ",") of R does: the header lacks a name for the rows."""

    def spoil(s):
        table = s.table(name)
        rows = table.to_csv(header=False, index=numbered).splitlines()
        first = 0 if numbered else 1
        s.path(name).write_text("\n".join([",".join(table.columns[first:]), *rows]))

    return spoil


def spreadsheet(s):
    with zipfile.ZipFile(s.path("cells.csv"), "w") as file:
        file.writestr("xl/workbook.xml", "<xml/>")


def cut_gzip(s):
    packed = gzip.compress(s.path("cells.csv").read_bytes())
    s.path("cells.csv.gz").write_bytes(packed[: len(packed) // 2])
    s.config(entry={"cells": "cells.csv.gz"})


def cut_parquet(s):
    pd.read_csv(s.path("cells.csv")).to_parquet(s.path("cells.parquet"))
    content = s.path("cells.parquet").read_bytes()
    s.path("cells.parquet").write_bytes(content[: len(content) // 2])
    s.config(entry={"cells": "cells.parquet"})


def every_line(end):
    """Put something at the end of every line of the cells but the header."""
    return rewrite("cells.csv", lambda b: b.replace(b"\n", end + b"\n").replace(end, b"", 1))


def no_rows(b):
    return b.splitlines()[0] + b"\n"


def no_header(b):
    return b.split(b"\n", 1)[1]


def line(number, change):
    """Change one line of the cells, the header being line 1."""

    def spoil(s):
        lines = s.path("cells.csv").read_text().splitlines()
        lines[number - 1] = change(lines[number - 1])
        s.path("cells.csv").write_text("\n".join(lines))

    return spoil


def rename(name, old, new):
    return lambda s: s.write(name, s.table(name).rename(columns={old: new}))


def counts(name):
    """Give calls a column of counts by another name, 0 in all but the first 40 of the first 440."""

    def spoil(s):
        calls = s.table("calls.csv").rename(columns={"umi": name})
        calls[name] = "3"
        calls.loc[40:439, name] = "0"
        s.write("calls.csv", calls)

    return spoil


def probabilities(scale):
    """Write probabilities on a scale, and the likeliest fate beside them."""

    def spoil(s):
        cells = s.table("cells.csv")
        names = ["p_EC", "p_MES", "p_NEU"]
        p = np.random.default_rng(1).dirichlet(np.ones(3), len(cells))
        cells["fate"] = np.array(["EC", "MES", "NEU"])[p.argmax(axis=1)]
        cells[names] = scale(p)
        s.write("cells.csv", cells)

    return spoil


def in_one_field(separator):
    def spoil(s):
        calls = s.table("calls.csv").groupby("cell_id")["guide"].agg(separator.join)
        calls.reset_index().to_csv(s.path("calls.csv"), index=False)

    return spoil


def no_map(ntc_names):
    return lambda s: s.config(entry={"guide_map": None, "ntc_names": ntc_names})


def perturbations(ntc_names):
    """Name genes in the calls, and no guide map."""

    def spoil(s):
        s.change("calls.csv", "guide", slice(None), lambda guide: guide.split("_")[0])
        no_map(ntc_names)(s)

    return spoil


def feature_reference(feature_type):
    """Write the guide map as Cell Ranger wants it."""

    def spoil(s):
        guides = s.table("guides.csv")
        target = guides["gene_name"].where(guides["is_ntc"] != "True", "Non-Targeting")
        table = pd.DataFrame(
            {"id": guides["guide_name"], "name": guides["guide_name"] + "_name", "read": "R2"}
        )
        table["feature_type"] = feature_type("CRISPR Guide Capture")
        s.write("guides.csv", table.assign(target_gene_id=target, target_gene_name=target))

    return spoil


def tenx(rename_cell):
    """Write the calls as Cell Ranger does, the barcodes renamed."""

    def spoil(s):
        calls = s.table("calls.csv")
        calls["umi"] = calls.get("umi", "3")
        rows = calls.groupby("cell_id", sort=False).agg({"guide": "|".join, "umi": "|".join}).reset_index()
        rows.columns = ["cell_barcode", "feature_call", "num_umis"]
        rows["cell_barcode"] = rows["cell_barcode"].map(rename_cell)
        s.write("calls10x.csv", rows)
        s.config(entry={"guide_calls": "calls10x.csv"})

    return spoil


TABLES = [
    *(
        Case(f"{name} with {what}", "design", rewrite(name, change), "right")
        for name in ("cells.csv", "calls.csv", "guides.csv")
        for what, change in {
            "semicolons": lambda b: b.replace(b",", b";"),
            "tabs": lambda b: b.replace(b",", b"\t"),
            "a byte order mark": lambda b: b"\xef\xbb\xbf" + b,
            "UTF-16": lambda b: b.decode().encode("utf-16"),
            "line ends of Windows": lambda b: b.replace(b"\n", b"\r\n"),
            "blank lines at the top": lambda b: b"\n\n" + b,
            "gzip but no .gz": gzip.compress,
        }.items()
    ),
    Case(
        "an umlaut that is not UTF-8", "import", lambda s: (
            s.change("cells.csv", "rep", [3], "W\u00fcrzburg"),
            rewrite("cells.csv", lambda b: b.decode().encode("cp1252"))(s),
        ), "refused", ("cells.csv", "is not UTF-8: line 5", "W\u00fcrzburg", "'CSV UTF-8'"), snakemake=True,
    ),
    Case(
        "a spreadsheet", "import", lambda s: (
            s.path("cells.csv").rename(s.path("cells.xlsx")), s.config(entry={"cells": "cells.xlsx"})
        ), "refused", ("cells.xlsx", "is a spreadsheet", "'CSV UTF-8'"),
    ),
    Case("a spreadsheet called .csv", "import", spreadsheet, "refused",
         ("cells.csv", "is a spreadsheet or a zip archive", "'CSV UTF-8'")),
    Case("a Parquet table called .csv", "import", lambda s: s.path("calls.csv").write_bytes(b"PAR1..PAR1"),
         "refused", ("calls.csv", "is a Parquet file", "end in .parquet")),
    Case("bytes that are no text", "import", lambda s: s.path("calls.csv").write_bytes(bytes(range(256)) * 9),
         "refused", ("calls.csv", "holds no text")),
    Case("an empty file", "import", rewrite("calls.csv", lambda b: b""), "refused",
         ("calls.csv", "the file is empty")),
    Case("an empty file of cells", "import", rewrite("cells.csv", lambda b: b"\n"), "refused",
         ("cells.csv", "the file is empty")),
    Case("no rows of cells", "import", rewrite("cells.csv", no_rows), "refused",
         ("cells.csv", "has no rows")),
    Case("no rows of calls", "import", rewrite("calls.csv", no_rows), "refused",
         ("calls.csv", "holds no call of a guide: it has no rows")),
    Case("no rows of the guide map", "import", rewrite("guides.csv", no_rows),
         "refused", ("guides.csv", "has no rows")),
    Case("a gzip that is cut off", "import", cut_gzip, "refused", ("cells.csv.gz", "cut off",
         "copy it again"),
         snakemake=True),
    Case("a .gz that is none", "import", lambda s: (
        s.path("cells.csv").rename(s.path("cells.csv.gz")), s.config(entry={"cells": "cells.csv.gz"})
    ), "refused", ("cells.csv.gz", "is not compressed by gzip", "correct the name")),
    Case("a Parquet table that is cut off", "import", cut_parquet, "refused",
         ("cells.parquet", "cut off or damaged")),
    Case("a folder in place of a table", "import", lambda s: (
        s.path("calls.csv").unlink(), s.path("calls.csv").mkdir()
    ), "refused", ("calls.csv", "is a folder", "name the file in it")),
    Case("an address in place of a table", "config",
         lambda s: s.config(entry={"guide_calls": "https://example.org/calls.csv"}), "refused",
         ("example.org/calls.csv", "download the file")),
    Case("calls without a header", "import", rewrite("calls.csv", no_header), "refused",
         ("calls.csv", "column cell_id, guide is missing; found: 'cell")),
    Case("cells without a header", "import", rewrite("cells.csv", no_header), "refused",
         ("cells.csv", "is the line of names missing at the top")),
    Case("a column twice", "import", rewrite("cells.csv", lambda b: b.replace(b"rep", b"day", 1)),
         "refused", ("cells.csv", "column 'day' stands more than once", "rename all but one")),
    Case("a column with a blank and capitals", "import", rename("cells.csv", "cell_id", "Cell_ID "),
         "refused",
         ("cells.csv", "column cell_id is missing (did you mean 'Cell_ID '?)")),
    Case("a column of the calls with a blank", "import", rename("calls.csv", "guide", " guide"), "refused",
         ("calls.csv", "column guide is missing (did you mean ' guide'?)")),
    Case("a day with a blank", "import", rename("cells.csv", "day", "day "), "refused",
         ("cells.csv", "did you mean 'day '?", "day_key")),
    Case("a long line", "import", line(5, lambda x: x + ",7,8"), "refused", ("cells.csv",
         "line 5 has 9 values",
         "the header has 7")),
    Case("a long first line", "import", line(2, lambda x: x + ",7,8"), "refused", ("cells.csv",
         "line 2 has 9 values", "the header has 7")),
    Case("one value too many in every line", "import", every_line(b",9"), "refused", ("cells.csv",
         "line 2 has 8 values", "the header has 7")),
    Case("a comma too many in every line", "import", every_line(b","), "refused", ("cells.csv",
         "line 2 has 8 values", "the header has 7")),
    Case("a long line after a blank one", "import",
         rewrite("cells.csv", lambda b: b.replace(b"\ncell0000001,", b"\n \nx,cell0000001,", 1)),
         "refused", ("cells.csv", "lines have more values than the header, which has 7")),
    Case("a short line", "design", line(5, lambda x: x.rsplit(",", 2)[0]), "refused",
         ("cells.csv: the fate probabilities", "of 1 cells are missing", "cell0000004")),
    Case("a quote that is never closed", "import", line(5, lambda x: '"' + x), "refused",
         ("cells.csv", "never closed")),
    Case("decimal commas between semicolons", "import", rewrite(
        "cells.csv", lambda b: b.replace(b",", b";").replace(b".", b",")
    ), "refused", ("cells.csv", "probability of fate 'EC'", "decimal comma", "row 1"), snakemake=True),
    Case("decimal commas between commas", "import", rewrite("cells.csv", lambda b: b.replace(b".", b",")),
         "refused", ("cells.csv", "line 2 has", "decimal point")),
    Case("words among the probabilities", "import", lambda s: s.change("cells.csv", "p_EC", [2], "high"),
         "refused", ("cells.csv", "probability of fate 'EC' must hold numbers", "'high' (row 3)")),
    Case("cells without a name of their column", "design", unnamed, "right", ("first column",)),
    Case("cells with numbers of rows before them", "design",
         lambda s: s.table("cells.csv").to_csv(s.path("cells.csv")), "right"),
    Case("numbers of rows in place of names", "import", lambda s: (
        s.table("cells.csv").drop(columns="cell_id").to_csv(s.path("cells.csv"))
    ), "refused", ("cells.csv", "column cell_id is missing")),
    Case("cells as R writes them, named", "design", as_r_writes("cells.csv", False), "right",
         ("first column",)),
    Case("cells as R writes them, numbered", "design", as_r_writes("cells.csv", True), "right"),
    *(
        Case(f"Parquet of {name} with {index} in the index", "design", as_parquet(name, index), "right")
        for name, index in {"cells.csv": "cell_id", "calls.csv": "cell_id",
         "guides.csv": "guide_name"}.items()
    ),
    Case("Parquet with ids in an index without a name", "design", lambda s: (
        pd.read_csv(s.path("cells.csv"),
         index_col="cell_id").rename_axis(None).to_parquet(s.path("c.parquet")),
        s.config(entry={"cells": "c.parquet"}),
    ), "right", ("first column", "cell_id")),
    *(
        Case(f"counts in a column {name!r}, most of them 0", "design", counts(name), "right",
             (f"Column {name!r} of", "dropped: 400 calls without UMIs"))
        for name in ("UMI", "umis", "UMI_count", "n_umi", "num_umis", "nUMI", "count", "Counts", "reads",
                     "n.reads", "guide_count")
    ),
    Case("counts in a column of an unusual name", "design", counts("signal"), "right",
         ("not used: 'signal'", "a count of 0 is no call"), snakemake=True),
    Case("counts that are no whole numbers", "import", lambda s: (
        counts("UMI")(s), s.change("calls.csv", "UMI", [3], "1.5")
    ), "refused", ("calls.csv", "column 'UMI' of 1 call is no count: found 1.5")),
    Case("counts that are all 0", "import", lambda s: s.change("calls.csv", "umi", slice(None), "0"),
         "refused", ("calls.csv", "holds no call of a guide", "column 'umi' is 0 everywhere")),
    Case("10x calls of barcodes with a suffix", "design", tenx(lambda cell: cell + "-1"), "right",
         ("without their suffix '-1'",)),
    Case("10x calls of barcodes without the suffix", "design", lambda s: (
        s.change("cells.csv", "cell_id", slice(None), lambda cell: cell + "-1"), tenx(str)(s)
    ), "right", ("with the suffix '-1'",)),
    Case("long calls of barcodes with a suffix", "design",
         lambda s: s.change("calls.csv", "cell_id", slice(None), lambda cell: cell + "-1"), "right",
         ("without their suffix '-1'",)),
    Case("10x calls of other barcodes", "import", tenx(lambda cell: cell.replace("cell", "x")), "refused",
         ("calls10x.csv", "none of its", "'x0000001'", "cells.csv", "'cell0000001'", "alike in both")),
    Case("10x calls of another lane", "import", tenx(lambda cell: cell.replace("cell000", "other")
         if cell > "cell0000010" else cell), "refused", ("of different cells", "meet by chance")),
    Case("two lanes in 10x calls", "import", tenx(lambda cell: cell.replace("cell00001", "cell00000")),
         "refused", ("calls10x.csv", "barcodes stand in several rows", "give the barcodes of each lane"),
         never=("obs_names_make_unique",), snakemake=True),
    Case("two lanes in the cells", "import", lambda s: s.change("cells.csv", "cell_id", slice(100, 200),
         lambda cell: cell.replace("cell00001", "cell00000")), "refused",
         ("cells.csv", "names of cells occur more than once: 'cell00000", "give the barcodes of each lane")),
    Case("two lanes in the cells, numbered anew", "import", lambda s: (
        s.change("calls.csv", "cell_id", slice(None), lambda cell: cell.replace("cell00001", "cell00000")),
        s.change("cells.csv", "cell_id", slice(99, 199),
                 lambda cell: cell.replace("cell00001", "cell00000") + "-1"),
    ), "refused", ("cells.csv", "named like a second", "knows only the first of each pair")),
    Case("probabilities in per cent", "import", probabilities(lambda p: 100 * p), "refused",
         ("cells.csv", "(EC, MES, NEU)", "add up to about 100", "percentages", "divide them by 100")),
    Case("logarithms of probabilities", "import", probabilities(np.log), "refused",
         ("cells.csv", "logarithms", "take exp")),
    Case("logits", "import", probabilities(lambda p: np.log(p / (1 - p)) + 2), "refused",
         ("cells.csv", "logits", "softmax")),
    Case("fates swapped against their labels", "import", lambda s: (
        probabilities(lambda p: p)(s),
        s.write("cells.csv", s.table("cells.csv").rename(columns={"p_EC": "p_MES", "p_MES": "p_EC"})),
    ), "refused", ("cells.csv", "names of the fates do not fit", "[EC, MES, NEU]", "column 'fate'"),
         snakemake=True),
    Case("labels beside probabilities", "design", probabilities(lambda p: p), "right",
         ("Column 'fate' of", "is not used")),
    Case("calls as a matrix", "import", lambda s: (
        s.table("calls.csv").assign(n=1).pivot_table("n", "cell_id", "guide", fill_value=0)
        .to_csv(s.path("calls.csv"))
    ), "refused", ("calls.csv", "is a matrix with a column for each guide", "'Gene001_g1'",
                   "table.melt('cell_id'")),
    *(
        Case(f"guides of a cell in one field, with {separator!r}", "import", in_one_field(separator),
             "refused", ("hold several guides", f"{separator!r} between them", "one row for each call"))
        for separator in ";|,+"
    ),
    Case("no guide map and no controls", "import", no_map(None), "refused",
         ("calls.csv", "there is no guide_map", "'NTC_01' (1 guides", "ntc_names: [NTC_01, NTC_02",
          "such as 'Gene001_g1', 'Gene001_g2' look like guides of one gene"), snakemake=True),
    Case("no guide map, with controls", "design", no_map([f"NTC_0{i}" for i in range(1, 5)]), "warned",
         ("each of the 14 values", "look like guides of one gene", "No gene has two or more guides")),
    Case("no guide map, no controls on purpose", "design", no_map([]), "warned",
         ("The guide map has no NTC guide", "'NTC_01'", "look like non-targeting controls")),
    Case("a column of perturbations", "design", perturbations(["NTC"]), "warned",
         ("of its own", "All NTC calls carry one label", "No gene has two or more guides"),
         never=("WARNING The guide map", "look like guides of one gene")),
    Case("a column of perturbations, controls not named", "import", perturbations(None), "refused",
         ("calls.csv", "'NTC' (1 guides", "ntc_names: [NTC]")),
    Case("ntc_names by another name", "import", perturbations(["ntc"]), "refused",
         ("calls.csv", "ntc_names lists 'ntc' (did you mean 'NTC'?)", "no guide and no gene has this name")),
    Case("ntc_names with a blank", "import", perturbations(["NTC "]), "refused",
         ("'NTC ' (did you mean 'NTC'?)",)),
    Case("ntc_names that is text", "config", lambda s: s.config(entry={"ntc_names": "NTC"}), "refused",
         ("datasets.screen.ntc_names", "found 'NTC'", "list")),
    Case("ntc_names twice", "config", lambda s: s.config(entry={"ntc_names": ["NTC", "NTC"]}), "refused",
         ("datasets.screen.ntc_names", "found 'NTC' twice")),
    Case("a blank among ntc_names", "config", lambda s: s.config(entry={"ntc_names": [" "]}), "refused",
         ("datasets.screen.ntc_names", "found ' '; allowed: names of guides or genes")),
    Case("a guide map without is_ntc", "import", lambda s: (
        s.write("guides.csv", s.table("guides.csv").drop(columns="is_ntc"))
    ), "refused", ("guides.csv", "no column is_ntc", "'NTC' (4 guides", "ntc_names: [NTC]")),
    Case("a guide map without is_ntc, controls named", "design", lambda s: (
        s.write("guides.csv", s.table("guides.csv").drop(columns="is_ntc")),
        s.config(entry={"ntc_names": ["NTC"]}),
    ), "right", ("Controls by ntc_names: 4 guides",)),
    Case("is_ntc that is blank", "import", lambda s: s.change("guides.csv", "is_ntc", [2], ""), "refused",
         ("guides.csv", "column is_ntc: found '' in 1 rows, first in row 3", "allowed: True, False")),
    Case("a guide without a gene", "import", lambda s: s.change("guides.csv", "gene_name", [2], ""),
         "refused", ("guides.csv", "1 guides have no gene: 'Gene002_g1'")),
    Case("a 10x feature reference", "design", feature_reference(str), "right",
         ("10x feature reference: guides by id",)),
    Case("a 10x feature reference of other features", "import",
         feature_reference(lambda kind: "Antibody Capture"), "refused",
         ("guides.csv", "no feature_type is 'CRISPR Guide Capture'; found: 'Antibody Capture'")),
    Case("a 10x feature reference without controls", "import", lambda s: (
        feature_reference(str)(s),
        rewrite("guides.csv", lambda b: b.replace(b"Non-Targeting", b"x"))(s),
    ), "refused", ("guides.csv", "nothing says which of its names are controls", "'NTC_01'")),
    Case("a guide that the map lacks", "design", lambda s: s.change("guides.csv", "guide_name", [2], "other"),
         "refused", ("calls.csv: 1 guide of", "not in the guide map", "Gene002_g1")),
    Case("a guide of two genes", "design", lambda s: s.change("guides.csv", "guide_name", [2], "Gene001_g1"),
         "refused", ("guides.csv: 1 guide stands for more than one gene", "'Gene001' and 'Gene002'")),
    *(
        Case(f"Parquet of {name} with lists in {column}", "import", in_parquet(name, column, lambda x: [x]),
             "refused", ("table.parquet", f"'{column}' holds lists", f"table.explode('{column}')"))
        for name, column in {"cells.csv": "rep", "calls.csv": "guide", "guides.csv": "gene_name"}.items()
    ),
    Case("Parquet with dates for probabilities", "import",
         in_parquet("cells.csv", "p_EC", lambda x: pd.Timestamp("2024-03-01")), "refused",
         ("table.parquet", "probability of fate 'EC' must hold numbers", "2024-03-01")),
    Case("blanks between the columns", "import", rewrite("calls.csv", lambda b: b.replace(b",", b" ")),
         "refused", ("calls.csv", "'cell_id guide'", "Commas, semicolons or tabs stand between columns")),
    *(
        Case(f"the header of {name} again between its rows", "import", again, "refused",
             (f"{name}: the line of names stands again in row 6", "leave these lines out"))
        for name, again in ((name, header_again(name)) for name in ("cells.csv", "calls.csv", "guides.csv"))
    ),
    Case("a hint for a spreadsheet in the first line", "import",
         rewrite("cells.csv", lambda b: b"sep=,\n" + b), "refused",
         ("cells.csv: the line of names", "is line 2", "'sep=,'")),
    Case("calls as a matrix of True and False", "import", matrix(lambda x: x > 0), "refused",
         ("calls.csv", "a column for each guide", "table.melt('cell_id', var_name='guide'")),
    Case("calls as a matrix the other way round", "import", matrix(lambda x: x.T), "refused",
         ("calls.csv", "a column for each cell", "table.melt('guide', var_name='cell_id'")),
    Case("calls as a matrix in long form", "import", in_long_form, "refused",
         ("calls.csv: has a row for every cell and every guide", "'value'", "'umi'")),
    Case("the summary of 10x calls", "import", rewrite(
        "calls.csv", lambda b: b"feature_call,num_cells,pct_cells,median_umis\n1 guide,3,1.5,2\n"
    ), "refused", ("calls.csv", "summary over all cells", "protospacer_calls_per_cell.csv")),
    Case("the guide map as calls", "import", lambda s: s.config(entry={"guide_calls": "guides.csv"}),
         "refused", ("guides.csv: is a guide map", "as guide_map", "as guide_calls")),
    Case("guides of a cell in one field, with '/'", "design", joined("/"), "refused",
         ("is several guides of the map with '/' between", "one row for each call", "guide_separator")),
    Case("guides of a cell in one field, with a sign of their names", "design", joined("_"),
         "refused", ("is several guides of the map with '_' between", "a sign between them", "in no name")),
    Case("how many cells have guides, of 10x", "import", rewrite(
        "calls.csv", lambda b: b"Category,# Cells,Median UMIs,Std. Dev UMIs\nNo guide molecules,20,1,0\n"
    ), "refused", ("calls.csv", "summary over all cells", "protospacer_calls_per_cell.csv")),
    Case("the thresholds of 10x", "import",
         rewrite("calls.csv", lambda b: b"Protospacer,UMI threshold\nGene001_g1,3\n"),
         "refused", ("calls.csv", "summary over all cells", "protospacer_calls_per_cell.csv")),
    Case("names of cells that a spreadsheet rounded", "import",
         lambda s: s.change("cells.csv", "cell_id", slice(None), "2.02E+10"), "refused",
         ("cells.csv", "'2.02E+10'", "a spreadsheet rounded", "as text"), ("lane",)),
    Case("numbers of columns for fates", "import",
         rewrite("cells.csv", lambda b: b.replace(b"p_EC,p_MES,p_NEU", b"p_V1,p_V2,p_V3")), "refused",
         ("cells.csv", "'V1', 'V2', 'V3'", "write the name of each fate in their place")),
    Case("a comment above the header", "import", rewrite("cells.csv", lambda b: b"# exported\n" + b),
         "refused", ("cells.csv: the line of names", "is line 2", "'# exported'")),
]  # fmt: skip

CASES += TABLES

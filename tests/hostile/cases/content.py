"""What stands in the tables: names, numbers, controls, calls."""

import numpy as np
import pandas as pd

from fatewalk.core.tables import write_table
from fatewalk.run.manifest import seal
from fatewalk.run.settings import sections
from fatewalk.stages import build_design
from tests.hostile.screen import Case, Screen, config_of

COVARIATE = {"entry": {"covariates": ["x"]}}


def rename(table, column, *pairs):
    """Replace every ``old`` of a column by ``new``."""
    return lambda s: s.change(table, column, slice(None), lambda value: dict(pairs).get(value, value))


def some(table, column, value, rows=slice(0, 40)):
    return lambda s: s.change(table, column, rows, value)


def covariate(value, rows=slice(0, 1), other="0.5"):
    """A covariate x with a value in some rows; the others differ a little."""

    def spoil(s):
        cells = s.table("cells.csv")
        n = len(cells)
        cells["x"] = [f"{i % 7}" for i in range(n)] if other == "0.5" else other
        s.write("cells.csv", cells)
        s.change("cells.csv", "x", rows, value)
        s.config(**COVARIATE)

    return spoil


def burden(change):
    """A burden column: the number of guides called, changed."""

    def spoil(s):
        cells, calls = s.table("cells.csv"), s.table("calls.csv")
        n = cells["cell_id"].map(calls.groupby("cell_id").size()).fillna(0)
        cells["burden"] = change(n)
        s.write("cells.csv", cells)
        s.config(entry={"burden_key": "burden"})

    return spoil


def put(series, rows, value):
    series = series.astype(float)
    series.iloc[rows] = value
    return series


def umis(draw, ambient=0.0):
    """UMIs of the calls; further calls of one UMI, so many a cell."""

    def spoil(s):
        rng = np.random.default_rng(1)
        calls, ids = s.table("calls.csv"), s.table("cells.csv")["cell_id"]
        calls["umi"] = draw(rng, len(calls))
        n = rng.poisson(ambient, len(ids))
        more = pd.DataFrame({"cell_id": np.repeat(ids.to_numpy(), n), "umi": 1})
        more["guide"] = rng.choice(calls["guide"].unique(), len(more))
        s.write("calls.csv", pd.concat([calls, more]).drop_duplicates(["cell_id", "guide"]))

    return spoil


def second(name):
    """Half of the calls of the first guide get a second name, which the map knows as well."""

    def spoil(s):
        guides, calls = s.table("guides.csv"), s.table("calls.csv")
        first = guides["guide_name"][0]
        s.write("guides.csv", pd.concat([guides[:1].assign(guide_name=name(first)), guides]))
        rows = np.flatnonzero(calls["guide"] == first)
        s.change("calls.csv", "guide", rows[: len(rows) // 2], name(first))

    return spoil


def gene(new, rows=(0, 1), **more):
    """Another gene_name for some rows of the map."""

    def spoil(s):
        guides = s.table("guides.csv")
        guides.loc[list(rows), "gene_name"] = new
        for column, value in more.items():
            guides.loc[list(rows), column] = value
        s.write("guides.csv", guides)

    return spoil


def both(*spoils):
    return lambda s: [one(s) for one in spoils]


def without_day(s):
    """Replicates by day: each has one day."""
    cells = s.table("cells.csv")
    cells["rep"] = "m" + cells["day"].str.strip("d")
    s.write("cells.csv", cells)


def map_of(change):
    """Another guide map, made of the right one."""
    return lambda s: s.write("guides.csv", change(s.table("guides.csv")))


def renamed_guides(stem):
    """Guides called by a stem and their number in the map."""

    def spoil(s):
        guides = s.table("guides.csv")
        name = {one: f"{stem}{i}" if i < 10 else one for i, one in enumerate(guides["guide_name"])}
        for table, column in (("guides.csv", "guide_name"), ("calls.csv", "guide")):
            s.change(table, column, slice(None), name.get)

    return spoil


def unmarked(name):
    """The NTC guides under a gene name of their own, with is_ntc False but for one."""

    def spoil(s):
        guides = s.table("guides.csv")
        rows = np.flatnonzero(guides["is_ntc"] == "True")[1:]
        guides.loc[rows, "gene_name"] = name
        guides.loc[rows, "is_ntc"] = "False"
        s.write("guides.csv", guides)

    return spoil


FATES = ["p_EC", "p_MES", "p_NEU"]


def soft(change, **config):
    """Soft probabilities, changed; cells are rows of an array."""

    def spoil(s):
        cells = s.table("cells.csv")
        p = np.random.default_rng(3).dirichlet([6, 4, 2], len(cells))
        cells[FATES] = pd.DataFrame(change(p), dtype=object).to_numpy()
        s.write("cells.csv", cells)
        s.config(**config)

    return spoil


def put_rows(rows, value):
    def change(p):
        p[rows] = value
        return p

    return change


def by_group(cells_of):
    """Each cell has the average of its group."""

    def spoil(s):
        soft(lambda p: p)(s)
        cells = s.table("cells.csv")
        means = cells[FATES].astype(float).groupby(cells_of(cells)).transform("mean")
        s.write("cells.csv", cells.assign(**means))

    return spoil


def of_cells(config, **columns):
    """Columns of the cells, each a function of the table, and keys of the config."""

    def spoil(s):
        s.write("cells.csv", s.table("cells.csv").assign(**columns))
        s.config(**config)

    return spoil


def fate_of(cells):
    return cells[["p_EC", "p_MES", "p_NEU"]].astype(float).idxmax(axis=1)


def state_of(of_all):
    """A state of the cells that is their fate in so many of them, and any other in the rest."""

    def state(cells):
        rng = np.random.default_rng(0)
        fate, n = fate_of(cells), len(cells)
        return fate.where(rng.random(n) < of_all, rng.choice(fate.unique(), n))

    return state


def targeting(cells, s):
    """Targeting guides of each cell."""
    calls = s.table("calls.csv")
    n = calls[~calls["guide"].str.startswith("NTC")].groupby("cell_id").size()
    return cells["cell_id"].map(n).fillna(0).astype(int)


def perturbed(s):
    """A covariate that tells cells with a targeting guide from others."""
    of_cells(COVARIATE, x=lambda c: np.where(targeting(c, s) > 0, "perturbed", "control"))(s)


def burden_twice(s):
    calls = s.table("calls.csv").groupby("cell_id").size()
    of_cells(COVARIATE, x=lambda c: c["cell_id"].map(calls).fillna(0))(s)


def without_calls(column, value):
    def spoil(s):
        cells, calls = s.table("cells.csv"), s.table("calls.csv")
        gone = cells.loc[cells[column] == value, "cell_id"]
        s.write("calls.csv", calls[~calls["cell_id"].isin(gone)])

    return spoil


UNMARKED = [
    "NTC1",
    "sgNTC_02",
    "neg",
    "negCtrl",
    "NO_SITE",
    "ONE_NON-GENE_SITE",
    "safe-targeting",
    "AAVS1",
    "ROSA26",
    "LacZ",
    "EGFP",
    "Luciferase",
    "scr",
    "pLKO",
    "zsGreen",
    "cutting_control",
    "ntgRNA",
    "NTC-seq",
    "NTC_07|NTC_08",
]
LETTERS = [  # one name to the eye
    ("a Cyrillic letter", "rеp1"),
    ("a dash of a word processor", "rep\u20131"),
    ("a blank of no width", "rep1\u200b"),
    ("a byte order mark", "\ufeffrep1"),
    ("a tab", "rep1\t"),
]
REAL = ["NEGR1", "SCRIB", "NTRK1", "CTRL", "GFPT1", "RFPL1", "SCARB1", "NT5E", "WT1", "CCR5", "OR1A1"]
QUIET = ("looks like", "look like")

NAMES = [
    *(
        Case(
            f"replicates that differ in {what}",
            "import",
            some("cells.csv", "rep", name),
            "refused",
            ("column 'rep'", ascii(name), "write each name in one way"),
        )
        for what, name in LETTERS
    ),
    Case(
        "guides named like numbers",
        "design",
        both(
            rename("guides.csv", "guide_name", ("Gene001_g1", "1.2E+10")),
            rename("calls.csv", "guide", ("Gene001_g1", "1.2E+10")),
        ),
        "warned",
        ("'1.2E+10'", "rounded number"),
    ),
    Case(
        "guides named like dates of a gene",
        "design",
        both(
            gene("JUN"),
            rename("guides.csv", "guide_name", ("Gene001_g1", "JUN-01"), ("Gene001_g2", "JUN-02")),
            rename("calls.csv", "guide", ("Gene001_g1", "JUN-01"), ("Gene001_g2", "JUN-02")),
        ),
        "right",
    ),
    Case(
        "a guide NA in the map",
        "design",
        both(
            rename("guides.csv", "guide_name", ("Gene001_g1", "NA")),
            rename("calls.csv", "guide", ("Gene001_g1", "NA")),
        ),
        "warned",
        ("a guide 'NA'", "cells without a guide"),
    ),
    Case(
        "a gene name that holds two",
        "design",
        gene("Gene002;Gene003"),
        "warned",
        ("'Gene002;Gene003' names several genes",),
    ),
    Case("a gene with a slash", "design", gene("H2A/x"), "right", never=("several genes",)),
    Case(
        "replicates that differ in a blank and case",
        "import",
        some("cells.csv", "rep", "REP1 "),
        "refused",
        ("cells.csv", "column 'rep'", "'REP1 ' and 'rep1'", "write each name in one way"),
        snakemake=True,
    ),
    Case(
        "replicates that differ in a no-break blank",
        "import",
        some("cells.csv", "rep", "rep1\xa0"),
        "refused",
        ("column 'rep'", r"'rep1\xa0'"),
    ),
    Case(
        "replicates 1 and 1.0",
        "import",
        both(
            rename("cells.csv", "rep", ("rep1", "1"), ("rep2", "2")),
            some("cells.csv", "rep", "1.0", slice(0, 3)),
        ),
        "refused",
        ("'1.0'", "'1'", "column 'rep'"),
    ),
    Case(
        "replicates rep-1 and rep1",
        "import",
        some("cells.csv", "rep", "rep-1"),
        "refused",
        ("'rep-1' and 'rep1'",),
    ),
    Case(
        "replicates in full width", "import", some("cells.csv", "rep", "ｒep1"), "refused", (r"'\uff52ep1'",)
    ),
    Case(
        "replicates in two compositions",
        "import",
        both(rename("cells.csv", "rep", ("rep1", "M\u00fcller")), some("cells.csv", "rep", "Mu\u0308ller")),
        "refused",
        (r"'Mu\u0308ller'", r"'M\xfcller'"),
    ),
    *(
        Case(
            f"a replicate {word!r}",
            "import",
            some("cells.csv", "rep", word),
            "refused",
            ("cells.csv", "column 'rep'", f"{word!r} in 40 rows", "missing value", "leave these cells out"),
        )
        for word in ("NA", "nan", "None", "<NA>", "null", "-", " ", "#N/A", "NaN", "n/a")
    ),
    *(
        Case(
            f"replicates rep1 and {name!r}",
            "design",
            some("cells.csv", "rep", name),
            "warned",
            (repr(name), "'rep1'", "the word before it", "if they are one"),
        )
        for name in ("replicate_1", "R1", "1")
    ),
    Case("replicates of two letters", "design", some("cells.csv", "rep", "A1"), "right", never=("if they",)),
    Case(
        "a cluster NA",
        "import",
        both(
            some("cells.csv", "clone", "NA"),
            some("cells.csv", "clone", "c2", slice(40, None)),
            lambda s: s.config(entry={"cluster_key": "clone"}),
        ),
        "refused",
        ("column 'clone'", "'NA' in 40 rows"),
    ),
    Case(
        "clusters that differ in a blank",
        "import",
        both(
            some("cells.csv", "clone", "c2 "),
            some("cells.csv", "clone", "c2", slice(40, None)),
            lambda s: s.config(entry={"cluster_key": "clone"}),
        ),
        "refused",
        ("'c2 ' and 'c2'", "column 'clone'"),
    ),
    Case(
        "clusters that differ in case",
        "design",
        both(
            some("cells.csv", "clone", "aB"),
            some("cells.csv", "clone", "Ab", slice(40, None)),
            lambda s: s.config(entry={"cluster_key": "clone"}),
        ),
        "warned",
        ("'Ab' and 'aB'", "if they are one"),
    ),
    Case(
        "cells that no sample was found for",
        "design",
        some("cells.csv", "rep", "Doublet"),
        "warned",
        ("a replicate 'Doublet' (40 cells)", "Leave them out"),
    ),
    Case(
        "days that differ in case",
        "import",
        some("cells.csv", "day", "Day0 ", slice(0, 2)),
        "refused",
        ("column 'day'", "'Day0 '", "'day0'", "one spelling"),
    ),
    Case(
        "a day NA",
        "import",
        some("cells.csv", "day", "NA"),
        "refused",
        ("column 'day'", "'NA'", "missing value"),
    ),
    Case(
        "a day with a comma",
        "import",
        some("cells.csv", "day", "day0,5"),
        "refused",
        ("'day0,5'", "not a comma"),
    ),
    Case(
        "a day that is a date",
        "import",
        some("cells.csv", "day", "2024-03-01"),
        "refused",
        ("'2024-03-01'", "is a date", "d0"),
        snakemake=True,
    ),
    Case(
        "days that are dates without dashes",
        "import",
        rename("cells.csv", "day", ("day0", "20240301"), ("day2", "20240303")),
        "refused",
        ("'20240301'", "is a date"),
    ),
    *(
        Case(
            f"days 2 and {label}",
            "import",
            both(
                rename("cells.csv", "day", ("day0", "0"), ("day2", "2")),
                lambda s, label=label: s.change("cells.csv", "day", slice(-9, None), label),
            ),
            "refused",
            ("column 'day'", "the same number, or nearly", f"'{label}'", "one spelling"),
        )
        for label in ("2.0000000000000004", "1.9999", "2.001")
    ),
    Case(
        "days counted from a date long ago",
        "design",
        rename("cells.csv", "day", ("day0", "45352"), ("day2", "45354")),
        "warned",
        ("'45352', '45354' is more than 1000 days",),
    ),
    Case(
        "days of half an hour",
        "import",
        rename("cells.csv", "day", ("day0", "0.02"), ("day2", "0.04")),
        "right",
    ),
    Case(
        "columns of day and replicate exchanged",
        "import",
        of_cells({}, day=lambda c: c["rep"], rep=lambda c: c["day"]),
        "refused",
        ("column 'day'", "'rep1', 'rep2' does not name a day", "set day_key"),
    ),
    Case(
        "hours in one replicate without a unit",
        "design",
        of_cells(
            {},
            day=lambda c: [
                {"rep1day0": "1", "rep1day2": "3", "rep2day0": "24", "rep2day2": "72"}[one]
                for one in c["rep"] + c["day"]
            ],
        ),
        "warned",
        ("Days '1' and '24', '3' and '72' differ by a factor of 24", "in hours?"),
    ),
    Case(
        "days 1 and 24 in every replicate",
        "design",
        rename("cells.csv", "day", ("day0", "1"), ("day2", "24")),
        "right",
        never=("factor",),
    ),
    Case(
        "a day of 1e6",
        "design",
        rename("cells.csv", "day", ("day2", "day1000000")),
        "warned",
        ("'day1000000'", "more than 1000 days"),
    ),
    Case(
        "fates that differ in case",
        "import",
        both(lambda s: s.write("cells.csv", s.table("cells.csv").assign(p_ec="0")), lambda s: None),
        "refused",
        ("'EC' and 'ec'", "write each name in one way"),
    ),
    Case(
        "a fate NA among labels",
        "import",
        lambda s: s.write(
            "cells.csv",
            s.table("cells.csv")[["cell_id", "day", "rep"]].assign(fate=["NA", "EC", "MES", "NEU"] * 60),
        ),
        "refused",
        ("'NA' is not in model.fates (a missing value?",),
    ),
    Case(
        "guides that differ in a blank",
        "design",
        second(lambda one: one + " "),
        "refused",
        ("guides.csv", "'guide_name'", " ' and ", "write each name in one way"),
    ),
    Case(
        "guides that differ in case",
        "design",
        second(str.upper),
        "warned",
        ("guides of the guide map differ only in",),
    ),
    Case(
        "a guide of the calls with a blank",
        "design",
        some("calls.csv", "guide", lambda one: one + " ", [3]),
        "refused",
        (
            "calls.csv",
            "(the map has '",
        ),
    ),
    Case(
        "a guide of the calls in another case",
        "design",
        some("calls.csv", "guide", str.upper),
        "refused",
        ("not in the guide map", "(the map has '"),
    ),
    Case(
        "guide NA for cells without a guide",
        "design",
        some("calls.csv", "guide", "NA"),
        "refused",
        ("'NA' in 40 calls", "leave these rows out"),
        snakemake=True,
    ),
    Case(
        "genes that differ in a blank", "design", gene("Gene002 "), "refused", ("'gene_name'", "'Gene002 '")
    ),
    Case(
        "genes that differ in case",
        "design",
        gene("GENE002"),
        "warned",
        ("'GENE002' and 'Gene002'", "if they are one"),
    ),
    Case("genes that differ in a dash", "design", gene("Gene-002"), "warned", ("'Gene-002' and 'Gene002'",)),
    *(
        Case(f"gene {name!r}, a date", "design", gene(name), "refused", (repr(name), "spreadsheet", "MARCH1"))
        for name in (
            *("1-Mar", "2-Sep", "Mar-01", "2024-03-01 00:00:00", "01.Mrz", "2.31E+19"),
            *("09-sept", "01-mars", "1-ago", "2-set", "1. déc.", "March 1", "2-September"),
            "2024/3/1",
        )
    ),
    *(
        Case(
            f"a gene {word!r}",
            "design",
            gene(word),
            "refused",
            (f"{word!r} in 2 rows", "gene_name", "missing value"),
        )
        for word in ("nan", "None", "-", "null", "#REF!")
    ),
    Case("a gene NA", "design", gene("NA"), "warned", ("Gene 'NA' of 2 guides is taken for a gene",)),
    *(
        Case(
            f"a gene {name} that only resembles a date",
            "design",
            gene(name),
            "right",
            never=("spreadsheet",),
        )
        for name in ("MARCHF1", "DEC1", "1110E01Rik", "OCT4", "NKX2-1", "sep-1", "jun-1", "mag-1")
    ),
    *(
        Case(
            f"a gene {name!r}, a number among names",
            "design",
            gene(name),
            "warned",
            (f"1 gene of the guide map is a number where most have names: {name!r} of 2 guides",),
        )
        for name in ("44256", "0", "7157.0")
    ),
    Case(
        "genes that are Entrez identifiers",
        "design",
        map_of(lambda t: t.assign(gene_name=t["gene_name"].str.replace("Gene", "71"))),
        "right",
    ),
    *(
        Case(
            f"genes that differ in {what}",
            "design",
            both(gene(first, (0,)), gene(second, (1,))),
            "warned",
            (f"{first!r} and {second!r}", "if they are one"),
        )
        for what, first, second in (
            ("a spreadsheet's apostrophe", "SOX2", "'SOX2"),
            ("quotes", '"SOX2"', "SOX2"),
            ("the mark of a footnote", "SOX2", "SOX2*"),
            ("a dot at the end", "SOX2", "SOX2."),
            ("the version of Ensembl", "ENSG00000181449", "ENSG00000181449.4"),
        )
    ),
    *(
        Case(
            f"a gene {word!r}",
            "design",
            gene(word),
            "warned",
            (f"Gene {word!r} of 2 guides is taken for a gene; if the name is missing",),
        )
        for word in ("unknown", "TBD", "Multiplet", "not_found", "Unassigned")
    ),
    Case(
        "genes moved down by a row",
        "design",
        map_of(lambda t: t.assign(gene_name=t["gene_name"].shift(1, fill_value="Gene001"))),
        "warned",
        ("4 guides are named after another gene than", "'Gene002_g1' (gene_name 'Gene001')", "sorted apart"),
    ),
    Case(
        "a gene called by an older, short name for one guide",
        "design",
        both(
            map_of(
                lambda t: t.replace({"Gene001": "TBXT", "Gene001_g1": "TBXT_g1", "Gene001_g2": "TBXT_g2"})
            ),
            rename("calls.csv", "guide", ("Gene001_g1", "TBXT_g1"), ("Gene001_g2", "TBXT_g2")),
            gene("T", (1,)),
        ),
        "warned",
        ("1 guide is named after another gene than", "'TBXT_g2' (gene_name 'T')"),
    ),
    Case(
        "a gene filled down over the next",
        "design",
        gene("Gene001", (2, 3)),
        "warned",
        ("2 guides are named after another gene than", "'Gene002_g1' (gene_name 'Gene001')", "filled down"),
    ),
    *(
        Case(f"guides called {name}1 of the genes", "design", renamed_guides(name), "right")
        for name in ("lib_", "oligo.")
    ),
    Case(
        "a gene mistyped for one guide",
        "design",
        gene("Gehe001", (1,)),
        "warned",
        ("1 guide is named after another gene than", "'Gene001_g2' (gene_name 'Gehe001')"),
    ),
    *(
        Case(f"genes {what}", "design", map_of(change), "right")
        for what, change in (
            (
                "that no guide is named after",
                lambda t: t.assign(gene_name=t["gene_name"].str.replace("Gene", "SOX")),
            ),
        )
    ),
    Case(
        "a guide twice in the map",
        "design",
        map_of(lambda t: pd.concat([t, t[:1]])),
        "warned",
        ("1 guide stands in several rows of the guide map: 'Gene001_g1'", "cut short"),
    ),
]

NUMBERS = [
    Case(
        "UMIs beyond 32 bits",
        "import",
        some("calls.csv", "umi", "5000000000", slice(None)),
        "refused",
        ("calls.csv", "column 'umi'", "5000000000", "first in row 1", "whole numbers up to 2147483647"),
    ),
    Case(
        "UMIs with a fraction",
        "import",
        some("calls.csv", "umi", "2.5", slice(None)),
        "refused",
        ("is no count", "2.5"),
    ),
    Case(
        "UMIs below zero",
        "import",
        some("calls.csv", "umi", "-3", slice(None)),
        "refused",
        ("is no count", "-3"),
    ),
    Case(
        "a covariate of 1e200",
        "design",
        covariate("1e200", [5]),
        "warned",
        ("'x' is 1e+200 in cell", "that one cell"),
        never=("RuntimeWarning",),
    ),
    Case(
        "a covariate all near 1e200",
        "design",
        covariate(lambda one: f"{int(one) + 1}e200", slice(None)),
        "right",
        never=("RuntimeWarning", "'x'"),
    ),
    Case(
        "a covariate of one value",
        "design",
        covariate("3", slice(None)),
        "warned",
        ("Covariate x is 3 in all cells",),
    ),
    Case(
        "a covariate with a sentinel in one cell",
        "design",
        covariate("-99999", [7]),
        "warned",
        ("-99999", "that one cell"),
    ),
    *(
        Case(
            f"a covariate that is {code} where it is missing",
            "design",
            covariate(code, slice(0, 12)),
            "warned",
            (f"'x' is {code} in 12 cells and 3 in the median, far from all others", "for a missing one"),
        )
        for code in ("-999", "9999")
    ),
    Case(
        "a covariate with two codes for missing",
        "design",
        both(covariate("-999", slice(0, 12)), lambda s: s.change("cells.csv", "x", slice(12, 24), "999")),
        "warned",
        ("'x' is -999 in 12 cells and ", "far from all others"),
    ),
    Case(
        "a covariate of doses",
        "design",
        covariate(lambda one: f"{10 ** int(one)}", slice(None)),
        "right",
    ),
    Case(
        "an infinite covariate",
        "import",
        covariate("inf", [7]),
        "refused",
        ("'x' is missing", "1 of 240 cells"),
    ),
    Case(
        "a covariate of levels that differ in a blank",
        "import",
        both(covariate("a", slice(None)), covariate("a ", slice(0, 9), other="a")),
        "refused",
        ("covariate 'x'", "'a ' and 'a'"),
    ),
    Case(
        "numbers of batches as a covariate",
        "design",
        both(
            lambda s: s.write(
                "cells.csv", s.table("cells.csv").assign(batch_id=[str(i % 5) for i in range(240)])
            ),
            lambda s: s.config(entry={"covariates": ["batch_id"]}),
        ),
        "warned",
        ("'batch_id' holds whole numbers", "as text"),
    ),
    Case(
        "a burden that is the number of guides",
        "design",
        burden(lambda n: n),
        "right",
        never=("burden is",),
    ),
    Case(
        "a burden less than the guides",
        "design",
        burden(lambda n: put(n, slice(0, 20), 0)),
        "warned",
        ("less than the guides called in", "of 240 cells", "burden 0"),
    ),
    Case(
        "a burden of UMIs",
        "design",
        burden(lambda n: 100 * n),
        "warned",
        ("100 times the guides called", "covariate"),
    ),
    Case(
        "a burden of 1e9 in one cell",
        "design",
        burden(lambda n: put(n, [9], 1e9)),
        "warned",
        ("far beyond the guides", "burden 1e+09"),
    ),
    Case("a negative burden", "design", burden(lambda n: put(n, [9], -1)), "refused", ("burden", "1 cell: ")),
    Case(
        "a day with three cells",
        "design",
        some("cells.csv", "day", "day5", slice(0, 3)),
        "warned",
        ("'day5' (3)", "1 day has"),
    ),
    Case(
        "a gene with one cell",
        "design",
        both(
            gene("Lonely", (0,)),
            lambda s: s.write(
                "calls.csv",
                s.table("calls.csv").pipe(
                    lambda c: c.drop(c.index[c["guide"] == s.table("guides.csv")["guide_name"][0]][1:])
                ),
            ),
        ),
        "warned",
        ("'Lonely' (1)", "1 gene has"),
    ),
]

CONTROLS = [
    *(
        Case(
            f"controls {name} without a mark",
            "design",
            unmarked(name),
            "warned",
            (f"Gene '{name}' looks like a non-targeting control", "set is_ntc to True"),
            snakemake=name == "NTC1",
        )
        for name in UNMARKED
    ),
    *(
        Case(f"a gene {name} that only resembles a control", "design", gene(name), "right", never=QUIET)
        for name in REAL
    ),
    Case(
        "CTRL where nothing is marked",
        "design",
        both(
            unmarked("CTRL"),
            lambda s: s.change("guides.csv", "is_ntc", slice(None), "False"),
            lambda s: s.change("guides.csv", "gene_name", [10], "CTRL"),
        ),
        "warned",
        ("Gene 'CTRL' looks like", "no NTC guide"),
    ),
    Case(
        "is_ntc for one of a gene's guides",
        "design",
        gene("Gene001", (0,), is_ntc="True"),
        "warned",
        ("Gene 'Gene001' has guides with is_ntc True and others with False",),
    ),
    Case(
        "is_ntc the wrong way round",
        "design",
        lambda s: s.change("guides.csv", "is_ntc", slice(None), lambda one: str(one != "True")),
        "warned",
        ("wrong way round",),
    ),
    Case(
        "all guides NTC",
        "design",
        lambda s: s.change("guides.csv", "is_ntc", slice(None), "True"),
        "refused",
        ("no call is of a targeting guide", "is_ntc"),
    ),
    Case(
        "controls with genes of their own",
        "design",
        lambda s: s.change("guides.csv", "gene_name", slice(10, None), lambda one: "OR1A1"),
        "right",
    ),
]


def depth(rng, n):
    return 1 + rng.negative_binomial(3, 0.25, n)


def exchanged(s):
    """Calls are the pairs of cell and guide that were not called."""
    cells, calls, guides = (s.table(f"{name}.csv") for name in ("cells", "calls", "guides"))
    pairs = pd.MultiIndex.from_product([cells["cell_id"], guides["guide_name"]], names=["cell_id", "guide"])
    s.write("calls.csv", pairs.difference(pd.MultiIndex.from_frame(calls)).to_frame(index=False))


CALLS = [
    Case(
        "calls and no calls exchanged",
        "design",
        exchanged,
        "warned",
        ("The median cell carries 12 of the 14 guides", "exchanged"),
    ),
    *(
        Case(
            f"cells of some calls {what}",
            "design",
            some("calls.csv", "cell_id", change),
            "warned",
            ("for blanks and case, 20 of them", f"first {change('cell0000001')!r}", "alike in both"),
        )
        for what, change in (
            ("with a blank", lambda one: one + " "),
            ("in another case", str.upper),
        )
    ),
    Case(
        "UMIs with a comma between thousands",
        "import",
        some("calls.csv", "umi", "1,234", slice(None)),
        "refused",
        ("calls.csv: column 'umi'", "'1,234' (row 1)", "between thousands, leave them out"),
    ),
    Case(
        "genes that are guides",
        "design",
        map_of(lambda t: t.assign(gene_name=t["guide_name"].where(t["is_ntc"] != "True", "NTC"))),
        "warned",
        ("No gene has two or more guides", "'Gene001_g1', 'Gene001_g2' look like guides of one gene"),
    ),
    Case("calls with the UMIs of a right screen", "design", umis(depth), "right", never=("ambient",)),
    Case(
        "calls of a shallow screen",
        "design",
        umis(lambda rng, n: np.maximum(rng.poisson(1, n), 1)),
        "right",
        never=("ambient",),
    ),
    Case(
        "ambient guides",
        "design",
        umis(depth, 1.0),
        "warned",
        ("have 1 UMI", "look like ambient guides", "design.min_umi", "2 keeps", "3 keeps", "5 keeps"),
        snakemake=True,
    ),
    Case(
        "ambient guides taken out by min_umi",
        "design",
        both(umis(lambda rng, n: 3 + depth(rng, n), 1.0), lambda s: s.config(design={"min_umi": 3})),
        "right",
        never=("ambient",),
    ),
    Case(
        "cells that lost their guides",
        "design",
        lambda s: s.write("calls.csv", s.table("calls.csv").pipe(lambda c: c[c["cell_id"] < "cell0000150"])),
        "warned",
        ("have no guide call", "count as controls"),
    ),
]


def refit(**changes):
    """Change cells, calls or the guide map of a finished chain, and build its design again."""

    def spoil(folder):
        source = folder / "input"
        tables = {name: pd.read_parquet(source / f"{name}.parquet") for name in ("cells", "guide_calls")}
        tables["guide_map"] = pd.read_csv(source / "guide_map.csv", dtype=str)
        tables["guide_calls"] = tables["guide_calls"].astype({"cell_id": str, "guide": str})
        for name, change in changes.items():
            tables[name] = change(tables[name])
            write_table(tables[name], source / (f"{name}.csv" if name == "guide_map" else f"{name}.parquet"))
        seal(source, "import_screen", "input")
        settings = config_of(folder.parents[1]).settings("screen", "main")
        build_design.main(source, folder / "design", sections(settings.read_by("build_design")))

    return spoil


def add_second(table):
    """A second guide beside each guide of a gene."""
    name = "guide" if "guide" in table else "guide_name"
    second = table[~table[name].str.startswith("NTC")]
    return pd.concat([table, second.assign(**{name: second[name] + "_second"})], ignore_index=True)


def of_all_cells(calls):
    """One guide in all cells but three."""
    more = pd.DataFrame({"cell_id": [f"cell{i:07d}" for i in range(4, 241)], "guide": "Gene001_g1"})
    return pd.concat([calls, more]).drop_duplicates(["cell_id", "guide"])


def column(name, values):
    """A further column of the cells."""
    return lambda s: s.write(
        "cells.csv", s.table("cells.csv").assign(**{name: [values(i) for i in range(240)]})
    )


EXPERIMENT = [
    Case(
        "numbers of rows as a covariate",
        "design",
        covariate(str, slice(None), other=[str(i) for i in range(240)]),
        "warned",
        ("'x' has another whole number in every cell",),
    ),
    Case(
        "a cluster a cell",
        "design",
        both(column("clone", str), lambda s: s.config(entry={"cluster_key": "clone"})),
        "warned",
        ("240 cells are in 240 clusters", "cluster_key"),
    ),
    Case(
        "one cluster for all",
        "design",
        both(column("clone", lambda i: "c"), lambda s: s.config(entry={"cluster_key": "clone"})),
        "warned",
        ("240 cells are in 1 cluster: 'c'",),
    ),
    Case(
        "clusters of twelve cells",
        "design",
        both(column("clone", lambda i: f"c{i // 12}"), lambda s: s.config(entry={"cluster_key": "clone"})),
        "right",
    ),
    Case(
        "a replicate a cell",
        "design",
        lambda s: s.write("cells.csv", s.table("cells.csv").assign(rep=[f"r{i}" for i in range(240)])),
        "warned",
        ("240 cells are in 240 replicates", "rep_key"),
    ),
    Case(
        "rows of calls that are molecules",
        "design",
        lambda s: s.write("calls.csv", pd.concat([s.table("calls.csv")] * 3)),
        "warned",
        ("repeat a guide in its cell", "column umi"),
    ),
    Case(
        "days in minutes without a unit",
        "design",
        rename("cells.csv", "day", ("day0", "0"), ("day2", "2880")),
        "warned",
        ("'2880'", "the unit (h, min)"),
    ),
    *(
        Case(
            f"{name} in the data but not named",
            "import",
            column(name, lambda i: f"u{i // 8}"),
            "warned",
            (f"Column '{name}' (30 values) is not used", f"{key}: {name}"),
        )
        for name, key in (
            ("clone", "cluster_key"),
            ("embryo_id", "cluster_key"),
            ("larry_barcode", "cluster_key"),
            ("Well", "cluster_key"),
            ("clonotype", "cluster_key"),
            ("EB", "cluster_key"),
            ("dish", "rep_key"),
            ("orig.ident", "rep_key"),
            ("mouse", "rep_key"),
            ("batch", "rep_key"),
        )
    ),
    Case("a clone a cell", "import", column("clone", str), "right", never=("is not used",)),
    Case(
        "a sample of each day and replicate",
        "import",
        lambda s: s.write("cells.csv", s.table("cells.csv").assign(sample=lambda c: c["day"] + c["rep"])),
        "right",
        never=("is not used",),
    ),
    Case("columns of measures", "import", column("n_counts", str), "right", never=("is not used",)),
    Case(
        "a covariate with decimal commas",
        "import",
        covariate("0,5", slice(None)),
        "refused",
        ("cells.csv: covariate 'x' holds decimal commas ('0,5')", "write a decimal point"),
    ),
    Case(
        "a covariate with a few words",
        "design",
        covariate("low", slice(0, 6)),
        "warned",
        ("Covariate 'x' counts as 8 categories", "6 cells of 240 have 'low'", "('0', '1', '2'"),
    ),
    Case(
        "a covariate that is the fate",
        "design",
        of_cells(COVARIATE, x=fate_of),
        "warned",
        ("Covariate 'x' explains 100% of how the fates of cells differ", "out of covariates"),
    ),
    Case(
        "a covariate that is the fate in most cells",
        "design",
        of_cells(COVARIATE, x=state_of(0.85)),
        "warned",
        ("Covariate 'x' explains", "or a state that leads to it", "out of covariates"),
    ),
    Case(
        "a covariate that is called a type of cells",
        "design",
        of_cells({"entry": {"covariates": ["cell_type"]}}, cell_type=state_of(0.5)),
        "warned",
        ("Covariate 'cell_type' explains", "or a state that leads to it", "out of covariates"),
    ),
    Case(
        "a covariate that has little to do with the fate",
        "design",
        of_cells(COVARIATE, x=state_of(0.2)),
        "right",
    ),
    Case(
        "a covariate that tells perturbed cells from others",
        "design",
        perturbed,
        "warned",
        ("Covariate 'x' follows from the guides of a cell", "out of covariates"),
    ),
    Case(
        "clusters of expression as clusters",
        "design",
        of_cells({"entry": {"cluster_key": "leiden"}}, leiden=lambda c: pd.factorize(state_of(0.9)(c))[0]),
        "warned",
        ("The 3 clusters ('0', '1', '2') explain", "states of cells", "embryo, clone or well"),
        ("begin anew",),
    ),
    Case(
        "clones of one or two cells that no key names",
        "import",
        of_cells({}, clone_id=lambda c: [f"c{i}" if i % 5 else f"c{i + 2}" for i in range(len(c))]),
        "warned",
        ("Column 'clone_id' (192 values) is not used", "set cluster_key: clone_id"),
    ),
    Case(
        "a covariate that is the burden",
        "design",
        burden_twice,
        "warned",
        ("Covariate 'x' is the guide burden", "out of covariates"),
    ),
    Case(
        "clusters numbered anew in each replicate",
        "design",
        of_cells(
            {"entry": {"cluster_key": "embryo"}}, embryo=lambda c: [f"e{i % 10}" for i in range(len(c))]
        ),
        "warned",
        ("Each of the 10 clusters ('e0', 'e1', 'e2'", "all 2 replicates", "(rep1_e0)"),
    ),
    Case(
        "clusters of days numbered anew in each replicate",
        "design",
        of_cells(
            {"entry": {"cluster_key": "embryo"}},
            embryo=lambda c: [f"{day}_e{i % 10}" for i, day in enumerate(c["day"])],
        ),
        "warned",
        ("Each of the 20 clusters ('day0_e0'", "all 2 replicates"),
    ),
    Case(
        "replicates as clusters",
        "design",
        of_cells({"entry": {"cluster_key": "unit"}}, unit=lambda c: c["rep"]),
        "warned",
        ("The 2 clusters ('rep1', 'rep2') are the replicates", "cluster_key"),
    ),
    *(
        Case(
            f"cells without a clone called {name!r}",
            "design",
            both(
                column("clone", lambda i, name=name: name if i % 2 else f"{'AB'[i > 119]}-{i % 24}x"),
                lambda s: s.config(entry={"cluster_key": "clone"}),
            ),
            "warned",
            (repr(name), "120", "count as one cluster"),
        )
        for name in ("-1", "0", "no_clone", "singleton", "rest")
    ),
    Case(
        "clones of uneven sizes",
        "design",
        both(
            column("clone", lambda i: f"{'AB'[i > 119]}{int(np.log2(1 + i % 120))}x"),
            lambda s: s.config(entry={"cluster_key": "clone"}),
        ),
        "right",
    ),
    Case(
        "clusters of each replicate",
        "design",
        of_cells(
            {"entry": {"cluster_key": "embryo"}},
            embryo=lambda c: [f"{rep}_e{i % 10}" for i, rep in enumerate(c["rep"])],
        ),
        "right",
        never=("Each of the",),
    ),
    Case(
        "a day without calls",
        "design",
        without_calls("day", "day2"),
        "warned",
        ("No cell of day 'day2' (120 cells) has a guide call", "add their calls"),
    ),
    Case(
        "a replicate without calls",
        "design",
        without_calls("rep", "rep2"),
        "warned",
        ("No cell of replicate 'rep2' (", "has a guide call", "add their calls"),
    ),
    Case(
        "times that contradict the days",
        "import",
        of_cells({}, time=lambda c: c["time"].map({"0.0": "10", "2.0": "2"})),
        "warned",
        ("Column 'time' of", "'day0' is 10, 'day2' is 2", "set day_key: time"),
    ),
    Case(
        "replicates for days",
        "config",
        lambda s: s.config(entry={"day_key": "rep"}),
        "refused",
        ("rep_key: found 'rep', which day_key names too",),
    ),
    Case(
        "the same probabilities in every cell",
        "design",
        of_cells({}, p_EC="0.2", p_MES="0.3", p_NEU="0.5"),
        "refused",
        ("every cell has the same fate probabilities (EC 0.2, MES 0.3, NEU 0.5)",),
    ),
    Case("soft probabilities", "design", soft(lambda p: p), "right"),
    Case(
        "probabilities that are averages of the days",
        "design",
        by_group(lambda c: c["day"]),
        "refused",
        ("all cells of a day and replicate have the same fate probabilities", "average"),
    ),
    Case(
        "probabilities that are averages of the samples",
        "design",
        by_group(lambda c: c["day"] + c["rep"]),
        "refused",
        ("all cells of a day and replicate have the same fate probabilities",),
    ),
    Case(
        "a day without predictions, filled in",
        "design",
        soft(put_rows(slice(0, 120), 1 / 3)),
        "warned",
        (
            "120 cells share",
            "120 have EC 0.333333, MES 0.333333",
            "first 'cell0000001'",
            "leave these cells out",
        ),
    ),
    Case(
        "cells filled down",
        "design",
        soft(put_rows(slice(50, 70), [0.2, 0.3, 0.5])),
        "warned",
        ("20 have EC 0.2, MES 0.3, NEU 0.5, first 'cell0000051'",),
    ),
    Case(
        "terminal cells of probability 1",
        "design",
        soft(put_rows(slice(50, 90), [0, 0, 1])),
        "right",
    ),
    Case(
        "probabilities of groups of cells",
        "design",
        by_group(lambda c: np.arange(len(c)) // 15),
        "right",
    ),
    Case(
        "probabilities rounded to two digits",
        "design",
        soft(lambda p: p.round(2), design={"prob_tolerance": 0.02}),
        "right",
    ),
    Case(
        "rounded probabilities without a tolerance",
        "design",
        soft(lambda p: p.round(2)),
        "refused",
        ("do not sum to 1", "set design.prob_tolerance to 0.02 if they were rounded"),
    ),
    Case(
        "a fate that is a copy of another",
        "design",
        soft(lambda p: np.c_[p[:, 0], p[:, 1:].sum(1) / 2, p[:, 1:].sum(1) / 2]),
        "warned",
        ("Fates 'MES' and 'NEU' have the same probability in every cell", "a copy"),
    ),
    Case(
        "counts of walks for probabilities",
        "import",
        soft(lambda p: np.round(50 * p)),
        "refused",
        ("so they are counts; divide those of each cell by their sum",),
    ),
    Case(
        "counts on a log scale",
        "import",
        soft(lambda p: np.log1p(100 * p)),
        "refused",
        ("no probabilities (logarithms of counts?)",),
    ),
    Case(
        "percentages in one replicate",
        "design",
        soft(lambda p: np.r_[100 * p[:120], p[120:]]),
        "refused",
        ("exceed 1", "120 of these cells hold percentages: divide them by 100"),
    ),
    Case(
        "times in hours beside days",
        "import",
        of_cells({}, time=lambda c: c["time"].map({"0.0": "0", "2.0": "48"})),
        "right",
        never=("'time'",),
    ),
    Case(
        "one replicate",
        "design",
        some("cells.csv", "rep", "r1", slice(None)),
        "warned",
        ("All 240 cells are of one replicate ('r1')", "rep_key"),
        snakemake=True,
    ),
    Case(
        "days nested in replicates",
        "design",
        lambda s: s.write("cells.csv", s.table("cells.csv").assign(rep=lambda t: "m" + t["day"].astype(str))),
        "warned",
        ("No day has cells of two replicates ('mday0' on day0 and 'mday2' on day2)",),
    ),
    Case(
        "cassettes of two guides",
        "fit_effects",
        refit(guide_calls=add_second, guide_map=add_second),
        "warned",
        ("10 groups of guides of one gene occur together", "Effects are per guide", "one name"),
    ),
    Case(
        "a guide in nearly every cell",
        "fit_effects",
        refit(guide_calls=of_all_cells),
        "warned",
        ("of the cells of a day", "the few cells without it"),
    ),
    Case(
        "a guide in most cells, where the others are in few",
        "fit_effects",
        refit(
            guide_calls=lambda t: pd.concat(
                [t[t.index % 4 == 0], t.drop_duplicates("cell_id").assign(guide="Gene001_g1")]
            ).drop_duplicates(["cell_id", "guide"])
        ),
        "warned",
        ("Guide Gene001_g1 is called in", "a sum, ambient"),
    ),
    Case(
        "no control",
        "fit_effects",
        refit(
            guide_map=lambda t: t.assign(
                gene_name=t["gene_name"].where(t["is_ntc"] != "True", "Gene009"), is_ntc="False"
            )
        ),
        "warned",
        ("no cells differ", "not known on any day", "Add NTC guides"),
    ),
    Case(
        "guides called in a quarter of the cells",
        "fit_effects",
        refit(guide_calls=lambda t: t[t["cell_id"].str[-2:].astype(int) % 4 == 0]),
        "warned",
        (
            "have no guide call",
            "cells hardly differ",
            "than the prior's 1)",
            "Add NTC guides or cells with them",
        ),
        never=("no cells differ", "or cells without targeting guides"),
    ),
    Case(
        "a prior below what controls tell",
        "fit_effects",
        lambda folder: Screen(folder.parents[1]).config(model={"priors": {"s_tau": 0.01}}),
        "warned",
        ("SD of 0.01 (model.priors.s_tau), less than the 0.54", "Raise model.priors.s_tau"),
        never=("Add NTC guides", "no cells differ"),
    ),
]


CASES = [
    Case("the right screen", "design", lambda s: None, "right", snakemake=True),
    Case(
        "a missing day",
        "import",
        lambda s: s.change("cells.csv", "day", [3], ""),
        "refused",
        ("cells.csv", "column 'day'", "row 4", "fill it in"),
        snakemake=True,
    ),
    *NAMES,
    *NUMBERS,
    *CONTROLS,
    *CALLS,
    *EXPERIMENT,
]

"""The design: indices against a plain-Python oracle, every check, and the files."""

import time

import numpy as np
import pandas as pd
import pytest
import torch

from fatewalk.config import DesignConfig
from fatewalk.core.errors import FatewalkError
from fatewalk.core.tables import read_table
from fatewalk.screen.design import Design, build_design, load_design, save_design

FATES = ["EC", "MES"]
CELLS = pd.DataFrame(
    {
        "cell_id": ["c1", "c2", "c3", "c4", "c5"],
        "day": ["d2", "d10", "d2", "d10", "d2"],
        "time": [2.0, 10, 2, 10, 2],
        "rep": ["r2", "r1", "r1", "r2", "r1"],
        "p_MES": [0.25, 0.5, 1, 0, 0.75],
        "p_EC": [0.75, 0.5, 0, 1, 0.25],
    }
)
CALLS = pd.DataFrame(
    [
        ("c4", "n2", 1),
        ("c1", "b1", 9),
        ("c1", "a2", 2),
        ("c2", "a1", 4),
        ("c2", "a2", 4),
        ("c2", "n1", 4),
        ("c3", "a1", 7),
        ("c3", "a1", 1),
    ],
    columns=["cell_id", "guide", "umi"],
)
GUIDE_MAP = pd.DataFrame(
    [("b1", "B", False), ("a1", "A", False), ("n1", "NTC", True), ("a2", "A", False), ("n2", "NTC", True)],
    columns=["guide_name", "gene_name", "is_ntc"],
)


def build(cells=CELLS, calls=CALLS, guide_map=GUIDE_MAP, fates=FATES, **options):
    return build_design(cells, calls, guide_map, DesignConfig(**options), fates)


def refused(*words, **changes):
    with pytest.raises(FatewalkError) as error:
        build(**changes)
    for word in words:
        assert word in str(error.value)


def warned(*words, **changes):
    """Find the one warning with these words."""
    design, report = build(**changes)
    found = [warning for warning in report["warnings"] if all(word in warning for word in words)]
    assert len(found) == 1, report["warnings"]
    return design, report


def add_rows(table, *rows):
    return pd.concat([table, pd.DataFrame(rows, columns=table.columns)], ignore_index=True)


def test_small_design_by_hand():
    design, report = build()
    assert design.fates == ("EC", "MES")
    assert (design.genes, design.guides) == (("B", "A"), ("b1", "a1", "a2"))
    assert (design.days, design.times, design.reps) == (("d2", "d10"), (2.0, 10.0), ("r1", "r2"))
    assert design.day.tolist() == [0, 1, 0, 1, 0]
    assert design.rep.tolist() == [1, 0, 0, 1, 0]
    assert design.prob[:, 1].tolist() == [0.25, 0.5, 1, 0, 0.75]
    assert design.cell_offsets.tolist() == [0, 2, 4, 5, 5, 5]
    assert design.cell_guides.tolist() == [0, 2, 1, 2, 1]
    assert design.burden.tolist() == [2, 3, 1, 1, 0]
    assert design.n_ntc.tolist() == [0, 1, 0, 1, 0]
    assert design.guide_to_gene.tolist() == [0, 1, 1]
    assert design.n_guides_per_gene.tolist() == [1, 2]
    assert design.gene_offsets.tolist() == [0, 1, 3]
    assert design.guides_by_gene.tolist() == [0, 1, 2]
    assert design.gene_cells.tolist() == [[1, 0], [2, 1]]
    assert design.guide_cells.tolist() == [[1, 0], [1, 1], [1, 1]]
    assert report["cells"] == {"given": 5, "without_guides": 1, "kept": 5}
    assert report["guide_calls"]["repeats_merged"] == 1
    assert report["genes"] == {
        "in_map": 2, "dropped": [], "kept": 2, "with_one_guide": 1, "with_several_guides": 1,
    }  # fmt: skip
    assert report["unobserved_gene_days"] == 1
    assert report["ntc"] == {"guides_in_map": 2, "guides_in_cells": 2, "share_of_cells": 0.4}
    assert report["days"][1] == {"label": "d10", "index": 1, "time": 10.0, "cells": 2}
    assert report["cells_by_replicate_and_day"] == {"r1": {"d2": 2, "d10": 1}, "r2": {"d2": 1, "d10": 1}}
    assert report["guides_per_cell"]["share_of_cells_with"] == {"0": 0.2, "1": 0.4, "2": 0.2, "3": 0.2}
    assert list(report)[-1] == "warnings"


def test_types():
    design, _ = build(cells=CELLS.assign(cluster="e1"))
    for name, tensor in design.to_dict().items():
        if isinstance(tensor, torch.Tensor):
            assert tensor.dtype == (
                torch.float64 if name in {"prob", "burden", "covariates"} else torch.int64
            ), name
            assert tensor.is_contiguous(), name


def random_screen(rng, n=60, m=12):
    ids = [f"c{i}" for i in rng.permutation(n)]
    day = rng.integers(0, 3, n)
    p = rng.dirichlet([1, 1, 1], n)
    cells = pd.DataFrame(
        {"cell_id": ids, "day": [f"t{d}" for d in day], "time": day * 1.5, "rep": rng.choice(["x", "y"], n)}
    )
    cells[["p_a", "p_b", "p_c"]] = p
    guide_map = pd.DataFrame(
        {
            "guide_name": [f"g{j}" for j in rng.permutation(m)],
            "gene_name": rng.choice(["A", "B", "C", "D"], m),
            "is_ntc": rng.random(m) < 0.2,
        }
    )
    n_calls = 150
    calls = pd.DataFrame(
        {
            "cell_id": rng.choice(ids, n_calls),
            "guide": rng.choice(guide_map["guide_name"][: m - 2], n_calls),
            "umi": rng.integers(1, 6, n_calls),
        }
    )
    return cells, calls, guide_map


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("categorical", [False, True])
def test_against_plain_python(seed, categorical):
    cells, calls, guide_map = random_screen(np.random.default_rng(seed))
    min_umi = 3 if seed % 2 else None
    umis = {}
    for row in calls.itertuples():
        umis[row.cell_id, row.guide] = umis.get((row.cell_id, row.guide), 0) + row.umi
    carried = {pair for pair, umi in umis.items() if umi >= (min_umi or 0)}
    rows = [row for row in guide_map.itertuples() if any(guide == row.guide_name for _, guide in carried)]
    gene_of = {row.guide_name: row.gene_name for row in rows if not row.is_ntc}
    targeting = guide_map.loc[~guide_map["is_ntc"], "gene_name"]
    genes = [gene for gene in dict.fromkeys(targeting) if gene in gene_of.values()]
    if categorical:
        calls = calls.astype({"cell_id": "category", "guide": "category"})
        cells = cells.astype({"cell_id": "category", "day": "category"})
    design, _ = build(cells, calls, guide_map, ["b", "a", "c"], min_umi=min_umi)

    assert list(design.genes) == genes
    assert design.guides == tuple(gene_of)
    assert [design.genes[gene] for gene in design.guide_to_gene] == list(gene_of.values())
    for i, (cell, day) in enumerate(zip(cells["cell_id"], cells["day"], strict=True)):
        mine = design.cell_guides[design.cell_offsets[i] : design.cell_offsets[i + 1]].tolist()
        assert mine == sorted(mine)
        own = {guide for other, guide in carried if other == cell}
        assert {design.guides[g] for g in mine} == own & set(gene_of)
        assert design.burden[i] == len(own)
        assert design.n_ntc[i] == len(own - set(gene_of))
        assert design.n_guides[i] == len(own)
        assert design.days[design.day[i]] == day
    day_of = dict(zip(cells["cell_id"], cells["day"], strict=True))
    for name, counts in [("gene", design.gene_cells), ("guide", design.guide_cells)]:
        for i, item in enumerate(getattr(design, f"{name}s")):
            guides = {g for g, gene in gene_of.items() if item in (g, gene)}
            with_it = {cell for cell, guide in carried if guide in guides}
            for d, day in enumerate(design.days):
                assert counts[i, d] == sum(day_of[cell] == day for cell in with_it)
    for i in range(len(genes)):
        members = design.guides_by_gene[design.gene_offsets[i] : design.gene_offsets[i + 1]]
        assert (design.guide_to_gene[members] == i).all()
        assert len(members) == design.n_guides_per_gene[i] >= 1
        assert members.tolist() == sorted(members.tolist())
    assert torch.allclose(design.prob, torch.tensor(cells[["p_b", "p_a", "p_c"]].to_numpy()), atol=1e-12)


def test_order_of_rows_does_not_matter():
    one, _ = build()
    calls = CALLS.sample(frac=1, random_state=1)
    other, _ = build(calls=calls)
    assert all(
        torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
        for a, b in zip(one.to_dict().values(), other.to_dict().values(), strict=True)
    )


# ----------------------------------------------------------------- guide map


def test_guide_with_two_genes():
    refused("'a1' ('A' and 'C')", "exactly one gene", guide_map=add_rows(GUIDE_MAP, ("a1", "C", False)))
    refused("'a1' ('A' and NTC)", guide_map=add_rows(GUIDE_MAP, ("a1", "NTC", True)))


def test_repeated_rows_of_the_map_are_merged_and_counted():
    repeated = add_rows(GUIDE_MAP, ("a1", "A", False), ("n1", "control", True))
    design, report = build(guide_map=repeated)
    assert design.guides == ("b1", "a1", "a2")
    assert report["guides"]["repeated_rows_merged"] == 2
    assert report["guides"]["in_map"] == 5


def test_call_of_a_guide_that_is_not_in_the_map():
    calls = add_rows(CALLS, ("c1", "x9", 3), ("c2", "x9", 3))
    refused("1 guide of 2 calls is not in the guide map: 'x9'", "add them", calls=calls)


@pytest.mark.parametrize("row", [("z1", "Z", False), (None, "Z", False), ("", "Z", False)])
def test_gene_without_guides(row):
    guide_map = add_rows(GUIDE_MAP, row)
    design, report = warned("No cell carries a guide of 1 gene,", "Z", guide_map=guide_map)
    assert design.genes == ("B", "A")
    assert report["genes"]["dropped"] == ["Z"]
    assert report["guides"]["rows_without_guide"] == (0 if row[0] else 1)


def test_guides_in_no_cell_are_dropped_and_counted():
    guide_map = add_rows(GUIDE_MAP, ("a3", "A", False), ("n9", "NTC", True))
    design, report = warned("1 guide is in no cell", "a3", guide_map=guide_map)
    assert design.n_guides_per_gene.tolist() == [1, 2]
    assert report["guides"]["in_no_cell_dropped"] == 1
    assert report["guides"]["kept"] == 3
    assert report["ntc"]["guides_in_map"] == 3


def test_targeting_guide_without_gene():
    refused("empty gene_name: 'a9'", guide_map=add_rows(GUIDE_MAP, ("a9", "", False)))
    refused("empty gene_name: 'a9'", guide_map=add_rows(GUIDE_MAP, ("a9", None, False)))
    build(guide_map=add_rows(GUIDE_MAP, ("n9", None, True)))


@pytest.mark.parametrize(
    "gene",
    [
        "NTC",
        "ntc_3",
        "non-targeting",
        "NonTargetingControlGuideForHuman",
        "non_targeting_00012",
        "neg_ctrl",
        "scrambled",
    ],
)
def test_control_that_is_not_marked(gene):
    warned(gene, "looks like a non-targeting control", guide_map=add_rows(GUIDE_MAP, ("x", gene, False)))


@pytest.mark.parametrize("gene", ["NTN1", "NT5E", "CTRB1", "NTCP", "NEGR1", "NOTO", "SCRIB"])
def test_gene_names_that_resemble_controls(gene):
    report = build(guide_map=add_rows(GUIDE_MAP, ("x", gene, False)))[1]
    assert not [warning for warning in report["warnings"] if "looks like" in warning]


def test_no_controls():
    no_ntc = GUIDE_MAP.assign(is_ntc=False, gene_name=["B", "A", "C", "A", "D"])
    warned("The guide map has no NTC guide", "only the prior anchors it", guide_map=no_ntc)
    calls = CALLS[~CALLS["guide"].isin(["n1", "n2"])]
    warned("No cell has an NTC guide", calls=calls)


def test_one_pooled_control_label():
    calls = CALLS.replace("n2", "n1")
    warned("one label", "burden is miscounted", "burden column", calls=calls)
    report = build(cells=CELLS.assign(burden=2.0), calls=calls)[1]
    assert not [warning for warning in report["warnings"] if "one label" in warning]


def test_few_controls():
    cells = pd.concat([CELLS] * 60, ignore_index=True)
    cells["cell_id"] = [f"c{i + 1}" for i in range(len(cells))]
    warned("Only 0.67 % of the cells carry an NTC guide", cells=cells)


def test_unobserved_gene_days():
    warned("1 of 4 gene-days has no cell", "missing")


def test_few_genes_with_several_guides():
    warned("1 of 2 genes has two or more guides, and 10 such genes are needed")


# ------------------------------------------------------------- probabilities


@pytest.mark.parametrize(
    ("p", "words"),
    [
        ([np.nan, 0.5], ["missing or infinite", "'c3' (", "nan"]),
        ([-0.1, 1.1], ["negative", "'c3' (1.1, -0.1)"]),
        ([0.0, 1.02], ["exceed 1", "'c3' (1.02, 0)"]),
        ([0.5, 0.45], ["do not sum to 1 within prob_tolerance = 0.001", "of 1 cells", "'c3' (0.45, 0.5)"]),
    ],
)
def test_probabilities_that_are_none(p, words):
    cells = CELLS.copy()
    cells.loc[2, ["p_MES", "p_EC"]] = p
    refused(*words, cells=cells)


def test_small_deviations_are_rescaled_and_counted():
    cells = CELLS.copy()
    cells.loc[2, ["p_MES", "p_EC"]] = [0.4, 0.6004]
    cells.loc[1, ["p_MES", "p_EC"]] = [0.5, 0.5 - 1e-7]  # rounding of single precision: not counted
    design, report = build(cells=cells)
    assert (design.prob.sum(1) - 1).abs().max() < 1e-15
    assert design.prob[2, 0].item() == pytest.approx(0.6004 / 1.0004)
    assert report["probabilities"]["cells_rescaled"] == 1
    assert report["probabilities"]["largest_deviation_from_one"] == pytest.approx(4e-4)
    refused("do not sum to 1", cells=cells, prob_tolerance=1e-4)


def test_rare_fate():
    cells = CELLS.assign(p_MES=[0, 0, 0, 0, 0.004], p_EC=[1, 1, 1, 1, 0.996])
    warned("Fate MES has a mean probability of 0.08 %: its effects", cells=cells)
    warned("Fate MES", "every effect", cells=cells, fates=["MES", "EC"])


def test_one_fate_only():
    refused("every cell has fate EC", cells=CELLS.assign(p_MES=0.0, p_EC=1.0))


def test_fates_of_another_run():
    refused("'Mes' is not in the data (did you mean 'MES'?)", fates=["EC", "Mes"])
    refused("'NEU' is not in model.fates", cells=CELLS.assign(p_NEU=0.1))


# --------------------------------------------------------------------- cells


def test_repeated_cell():
    refused("1 name of a cell occurs more than once: 'c2'", cells=CELLS.replace("c3", "c2"))


def test_no_cells():
    refused("no rows", cells=CELLS.iloc[:0])


def test_day_and_time_belong_together():
    refused("day 'd2'", "one time", cells=CELLS.assign(time=[2.0, 10, 3, 10, 2]))
    refused("day 'd10'", cells=CELLS.assign(time=[2.0, np.nan, 2, np.nan, 2]))
    refused("days 'd2' and 'd10' have the same time", cells=CELLS.assign(time=2.0))
    refused("'day' is empty in 1 of 5 rows", cells=CELLS.assign(day=["d2", None, "d2", "d10", "d2"]))


def test_declared_day_without_cells():
    day = pd.Categorical(CELLS["day"], categories=["d5", "d10", "d2"])
    design, _ = warned("No cell has the declared day 'd5'", cells=CELLS.assign(day=day))
    assert design.days == ("d2", "d10")
    assert design.day.tolist() == [0, 1, 0, 1, 0]


def test_day_on_which_no_cell_carries_a_guide():
    cells = CELLS.assign(day=["d2", "d2", "d2", "d2", "d3"], time=[2, 2, 2, 2, 3])
    design, report = build(cells=cells)
    assert design.gene_cells[:, 1].tolist() == [0, 0]
    assert report["unobserved_gene_days"] == 2
    refused("no cell of day 'd3' carries a guide", "keep", cells=cells, cells_without_guides="drop")


def test_cells_without_guides_can_be_dropped():
    cells = CELLS.assign(cluster=["e2", "e1", "e1", "e3", "e9"]).iloc[::-1].reset_index(drop=True)
    design, report = build(cells=cells, cells_without_guides="drop")
    assert report["cells"] == {"given": 5, "without_guides": 1, "kept": 4}
    assert design.row.tolist() == [1, 2, 3, 4]  # c4, c3, c2, c1; c4 has an NTC guide only
    assert design.clusters == ("e1", "e2", "e3")
    assert design.cluster.tolist() == [2, 0, 0, 1]
    assert design.cell_offsets.tolist() == [0, 0, 1, 3, 5]
    assert design.cell_guides.tolist() == [1, 1, 2, 0, 2]
    assert design.burden.tolist() == [1, 1, 3, 2]
    assert design.prob[:, 1].tolist() == [0, 1, 0.5, 0.25]


def test_missing_replicates_are_one_replicate():
    design, _ = build(cells=CELLS.drop(columns="rep"))
    assert design.reps == ("rep1",)
    assert design.rep.tolist() == [0] * 5
    refused("'rep' is empty", cells=CELLS.assign(rep=["a", "a", None, "b", "b"]))


def test_burden_column():
    design, report = build(cells=CELLS.assign(burden=[4, 5.5, 0, 1, 1]))
    assert design.burden.tolist() == [4, 5.5, 0, 1, 1]
    assert report["burden"]["source"] == "column burden"
    assert design.n_guides.tolist() == [2, 3, 1, 1, 0]
    for bad in (np.nan, -1.0, np.inf, "x"):
        refused("burden", "1 cell: 'c2'", cells=CELLS.assign(burden=[1, bad, 1, 1, 1]))


# --------------------------------------------------------------------- calls


def test_calls_of_unknown_cells():
    calls = add_rows(CALLS, ("c9", "a1", 3), ("c9", "a2", 3), ("c8", "x", 3))
    design, report = warned("3 guide calls of 2 cells are not in the cells table: 'c9', 'c8'", calls=calls)
    assert report["guide_calls"]["of_unknown_cells_dropped"] == 3
    assert design.burden.tolist() == [2, 3, 1, 1, 0]
    refused("'c1-1'", "'c1'", "suffix", calls=CALLS.assign(cell_id=CALLS["cell_id"] + "-1"))


def test_umi_threshold():
    design, report = build(min_umi=4)
    assert design.guides == ("b1", "a1", "a2")
    assert design.burden.tolist() == [1, 3, 1, 0, 0]  # the burden counts what is left
    assert report["guide_calls"] == {
        "given": 8, "of_unknown_cells_dropped": 0, "repeats_merged": 1, "below_min_umi_dropped": 2, "kept": 5,
    }  # fmt: skip
    assert build(min_umi=8)[0].guides == ("b1", "a1")  # 7 + 1 UMIs of a repeated call add up
    refused("min_umi is 2", "no column umi", calls=CALLS.drop(columns="umi"), min_umi=2)
    refused("umi is missing", calls=CALLS.assign(umi=np.nan), min_umi=2)
    refused("no call is left of 8", "lower design.min_umi", min_umi=99)


def test_no_calls_or_controls_only():
    refused("no rows", calls=CALLS.iloc[:0])
    refused("no call is of a targeting guide", calls=CALLS[CALLS["guide"].isin(["n1", "n2"])])
    refused("'guide' is empty in 1 of 9", calls=add_rows(CALLS, ("c1", None, 3)))


# --------------------------------------------------------------------- files


def test_files_round_trip(tmp_path):
    cells = CELLS.assign(cluster=["e1", "e1", "e2", "e2", "e3"]).iloc[[4, 0, 1, 2, 3]]  # c5 is dropped
    design, _ = build(cells=cells, cells_without_guides="drop")
    save_design(design, cells["cell_id"], tmp_path)
    again = load_design(tmp_path / "design.pt")
    assert all(
        torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
        for a, b in zip(design.to_dict().values(), again.to_dict().values(), strict=True)
    )
    assert isinstance(again.fates, tuple)
    tables = {path.stem: read_table(path) for path in tmp_path.glob("*.parquet")}
    assert {name: table.to_dict("list") for name, table in tables.items()} == {
        "guide_to_gene": {"guide": ["b1", "a1", "a2"], "gene": ["B", "A", "A"], "guide_to_gene": [0, 1, 1]},
        "n_guides_per_gene": {
            "gene": ["B", "A"], "n_guides_per_gene": [1, 2], "n_cells_d0": [1, 2], "n_cells_d1": [0, 1],
        },
        "gene_offsets": {"gene_offsets": [0, 1, 3]},
        "guides_by_gene": {"guides_by_gene": [0, 1, 2], "guide": ["b1", "a1", "a2"]},
        "cells": {
            "cell_id": ["c1", "c2", "c3", "c4"],
            "day": [0, 1, 0, 1],
            "rep": ["r2", "r1", "r1", "r2"],
            "burden": [2, 3, 1, 1],
            "n_ntc": [0, 1, 0, 1],
            "n_guides": [2, 3, 1, 1],
            "cluster": ["e1", "e1", "e2", "e2"],
        },
    }  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".pt") == ["design.pt"]


def test_same_design_same_bytes(tmp_path, monkeypatch):
    design, _ = build()
    save_design(design, CELLS["cell_id"], tmp_path / "a")
    monkeypatch.setattr("os.getpid", lambda: 4242)  # the temporary name differs
    save_design(design, CELLS["cell_id"], tmp_path / "b")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_design_without_dropped_cells_survives_a_dict():
    design, _ = build()
    assert Design.from_dict(design.to_dict()).guides == design.guides


def test_files_that_are_no_design(tmp_path):
    with pytest.raises(FatewalkError, match="no such file"):
        load_design(tmp_path / "design.pt")
    torch.save({"fates": ["a"]}, tmp_path / "design.pt")
    with pytest.raises(FatewalkError, match="not from this version of fatewalk; delete it"):
        load_design(tmp_path / "design.pt")


def test_large_screen_is_built_in_seconds():
    n, m, e = 100_000, 2_000, 1_000_000
    rng = np.random.default_rng(0)
    ids = np.array([f"ACGT{i}" for i in range(n)], dtype=object)
    p = rng.random(n)
    cells = pd.DataFrame(
        {
            "cell_id": ids,
            "day": "d1",
            "time": 1.0,
            "rep": rng.choice(["a", "b"], n),
            "p_EC": p,
            "p_MES": 1 - p,
        }
    )
    guide_map = pd.DataFrame(
        {
            "guide_name": [f"g{i}" for i in range(m)],
            "gene_name": [f"G{i % 300}" for i in range(m)],
            "is_ntc": False,
        }
    )
    calls = pd.DataFrame(
        {
            "cell_id": pd.Categorical.from_codes(rng.integers(0, n, e), ids),
            "guide": pd.Categorical.from_codes(rng.integers(0, m, e), guide_map["guide_name"]),
        }
    )
    start = time.process_time()
    design, _ = build(cells, calls, guide_map)
    assert time.process_time() - start < 10  # about 0.7 s
    assert len(design.cell_guides) > 0.99 * e


def without_on_day_10(fate):
    late = CELLS["day"] == "d10"
    return CELLS.assign(**{f"p_{name}": CELLS[f"p_{name}"].mask(late, float(name != fate)) for name in FATES})


def test_fates_that_a_day_lacks_are_told():
    _, report = build(cells=without_on_day_10("MES"))
    assert "Rarer than 0.1%, so that no effect on them is told there: MES on day d10." in report["notes"]
    warned("reference EC is rarer than 0.1% on day d10", "no contrast", cells=without_on_day_10("EC"))

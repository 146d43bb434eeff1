"""``fatewalk init``: what a newcomer's file becomes."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from fatewalk.cli import main
from fatewalk.config import load_config
from tests.unit.screen.test_forms_of_guides import write_mudata

FOLDER = Path(__file__).parents[4] / "shared" / "cellrank_output"
of_cellrank = pytest.mark.skipif(not FOLDER.is_dir(), reason="CellRank's output is not here")


def invoke(*arguments, code=0):
    """Run a command; what it printed."""
    done = CliRunner().invoke(main, [str(one) for one in arguments], prog_name="fatewalk")
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output
    return done.output


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def entry_of(path):
    raw = yaml.safe_load(Path(path).read_text())
    load_config(raw)
    (entry,) = raw["datasets"].values()
    return entry, raw


@of_cellrank
@pytest.mark.parametrize(
    ("file", "options", "guide_key"),
    [
        ("a_sparse_uns.h5ad", (), "guide"),
        ("b_df.h5ad", ("--guide-map", FOLDER / "guides.csv"), "guide_counts"),
        ("d_obs.h5ad", (), "guide_identity"),
        ("e_screen.h5mu", (), "guide"),
        ("e_screen2.h5mu", (), "guide"),
        ("f2_multi.h5ad", ("--guide-map", FOLDER / "feature_reference.csv"), "X"),
        ("a_sparse_uns.h5ad", ("--guide-calls", FOLDER / "calls_nosuffix.csv"), None),
        ("a_sparse_uns.h5ad", ("--guide-calls", FOLDER / "f_crispr.h5ad"), None),
    ],
)
def test_every_form_of_cellranks_output_becomes_a_config(file, options, guide_key):
    said = invoke("init", FOLDER / file, *options)
    entry, raw = entry_of(f"{Path(file).stem}.yaml")
    assert (entry["day_key"], entry["rep_key"]) == ("day", "batch")
    assert (entry["fate_key"], entry.get("guide_key")) == ("lineages_fwd", guide_key)
    assert raw["model"]["fates"] == ["Cardiac mesoderm", "Neural crest", "Endothelial"]
    assert "3,000 cells" in said
    assert "53 of 15 genes, 8 of them controls" in said


@of_cellrank
def test_guides_that_the_map_lacks_are_told(here):
    pd.read_csv(FOLDER / "guides.csv").iloc[:20].to_csv("short.csv", index=False)
    said = invoke("init", FOLDER / "a_sparse_uns.h5ad", "--guide-map", "short.csv")
    assert "33 guides of 3," in said
    assert "calls are not in the guide map, such as" in said
    assert "is it the map of this screen?" in said
    assert "in 2,587 of the cells" not in said


@of_cellrank
def test_what_is_told_by_names_alone_is_said():
    said = invoke("init", FOLDER / "d_obs.h5ad")
    assert "they could be read from 'gRNA' (5,981 calls" in said
    assert "'batch': is that what they are?" in said
    assert "no guide map. d_obs_guides.csv was made" in said
    made = pd.read_csv("d_obs_guides.csv").set_index("guide_name")
    assert made.loc["Sox17_2", "gene_name"] == "Sox17"
    assert made.index[made["is_ntc"]].str.startswith("non-targeting").all()
    assert made["is_ntc"].sum() == 8


@of_cellrank
def test_a_file_of_guides_alone_is_named():
    said = invoke("init", FOLDER / "f_crispr.h5ad", code=1)
    assert "holds guides and no fate probabilities" in said
    assert "--guide-calls" in said


def screen(path, **obs):
    """A small screen of two fates: 60 cells, 3 genes and a control."""
    n = 60
    names = ["Abc-1", "Abc-2", "Bcd-1", "Bcd-2", "NTC-1", "NTC-2"]
    table = pd.DataFrame(
        {"timepoint": np.repeat(["D2", "D4"], n // 2), "sample": np.tile(["s1", "s2"], n // 2), **obs},
        index=[f"cell{i}" for i in range(n)],
    )
    adata = ad.AnnData(np.zeros((n, 1)), obs=table)
    first = np.linspace(0.2, 0.7, n)
    adata.obsm["to_terminal_states"] = pd.DataFrame({"A": first, "B": 1 - first}, index=table.index)
    adata.obsm["guide"] = pd.DataFrame(np.eye(6)[np.arange(n) % 6], index=table.index, columns=names)
    adata.write_h5ad(path)


def test_days_and_replicates_of_other_names():
    screen("mine.h5ad")
    said = invoke("init", "mine.h5ad")
    entry, raw = entry_of("mine.yaml")
    assert (entry["day_key"], entry["rep_key"]) == ("timepoint", "sample")
    assert raw["model"]["fates"][0] == "B"  # the commonest
    assert "Replicates are read from column 'sample'" in said


def test_a_column_that_is_the_day_again_is_no_replicate():
    screen("mine.h5ad", sample=np.repeat(["s1", "s2"], 30))
    said = invoke("init", "mine.h5ad")
    assert entry_of("mine.yaml")[0]["rep_key"] is None
    assert "it is the day again" in said


def test_clusters_are_found_and_asked_about():
    screen("mine.h5ad", embryo=[f"e{i % 12}" for i in range(60)])
    assert "is it an embryo, clone or well?" in invoke("init", "mine.h5ad")
    assert entry_of("mine.yaml")[0]["cluster_key"] == "embryo"


def test_nothing_is_overwritten():
    screen("mine.h5ad")
    Path("mine.yaml").write_text("mine: own\n")
    assert "is there already" in invoke("init", "mine.h5ad", code=1)
    assert Path("mine.yaml").read_text() == "mine: own\n"
    assert not Path("mine_guides.csv").exists()
    Path("mine.yaml").unlink()
    Path("mine_guides.csv").write_text("mine: own\n")
    assert "mine_guides.csv: is there already" in invoke("init", "mine.h5ad", code=1)
    assert Path("mine_guides.csv").read_text() == "mine: own\n"
    assert not Path("mine.yaml").exists()


def test_options_win_and_wrong_ones_are_told():
    screen("mine.h5ad", day=np.repeat(["1", "2"], 30))
    assert "'--reference'" not in invoke("init", "mine.h5ad", "--day-key", "timepoint", "--reference", "A")
    entry, raw = entry_of("mine.yaml")
    assert (entry["day_key"], raw["model"]["fates"]) == ("timepoint", ["A", "B"])
    said = invoke("init", "mine.h5ad", "-o", "b.yaml", "--day-key", "timepont", code=1)
    assert "did you mean 'timepoint'?" in said
    assert "found 'C'" in invoke("init", "mine.h5ad", "-o", "b.yaml", "--reference", "C", code=1)
    assert not Path("b.yaml").exists()


def test_plain_tables():
    rows = {"cell_id": [f"c{i}" for i in range(40)], "day": np.repeat([0, 2], 20)}
    rows |= {"replicate": np.tile(["a", "b"], 20), "fate": np.tile(["X", "X", "Y", "Y"], 10)}
    cells = pd.DataFrame(rows)
    cells.to_csv("cells.csv", index=False)
    guides = np.tile(["G1_1", "G2_1", "G1_2", "G2_2", "NTC_1"], 8)
    calls = pd.DataFrame({"cell_id": cells["cell_id"], "guide": guides})
    calls.to_csv("calls.csv", index=False)
    assert "add --guide-calls" in invoke("init", "cells.csv", code=1)
    assert "5 of 2 genes, 1 of them controls" in invoke("init", "cells.csv", "--guide-calls", "calls.csv")
    assert entry_of("cells.yaml")[0]["rep_key"] == "replicate"


def test_a_missing_file_is_told():
    assert "no such file" in invoke("init", "absent.h5ad", code=1)


def test_two_configs_of_one_screen_have_results_of_their_own():
    screen("mine.h5ad")
    invoke("init", "mine.h5ad", "-o", "one.yaml")
    invoke("init", "mine.h5ad", "-o", "two.yaml")
    names = [list(yaml.safe_load(Path(f"{name}.yaml").read_text())["datasets"]) for name in ("one", "two")]
    assert names == [["one"], ["two"]]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--guide-key", "guid"), "Set --guide-key to the right key"),
        (("--cluster-key", "timepoint"), "--day-key names too"),
        (("--fate-key", "absent"), "Set --fate-key to the right key"),
    ],
)
def test_a_wrong_option_is_told_by_its_own_name(options, words):
    screen("mine.h5ad")
    assert words in invoke("init", "mine.h5ad", *options, code=1)
    assert not Path("mine.yaml").exists()


def test_options_that_nothing_would_read_are_refused():
    screen("mine.h5ad")
    pd.DataFrame({"cell_id": ["a"], "day": [0]}).to_csv("cells.csv", index=False)
    for option in ("--fates", "--fate-key", "--guide-key"):
        assert f"{option}: is for a screen in one file" in invoke("init", "cells.csv", option, "x", code=1)
    said = invoke("init", "mine.h5ad", "--ntc", "NTCC_typo", code=1)
    assert "NTCC_typo" in said
    assert not Path("mine.yaml").exists()


def test_modalities_with_other_cells_in_another_order():
    """Both have a column of the day, which is the same for each cell."""
    n = 60
    names = [f"cell{i}" for i in range(n)]
    of_cells = {"day": np.repeat([0, 2], n // 2), "replicate": np.where(np.arange(n) % 2, "r1", "r2")}
    rna = ad.AnnData(np.zeros((n, 1)), pd.DataFrame(of_cells, index=names))
    rna.obsm["lineages_fwd"] = pd.DataFrame({"A": np.full(n, 0.4), "B": np.full(n, 0.6)}, index=names)
    order = np.arange(n - 5)[::-1]
    obs = pd.DataFrame({"time": np.repeat([0, 2], n // 2)}, index=names).iloc[order]
    guides = pd.DataFrame(index=["G1_1", "G1_2", "G2_1", "NTC_1"])
    guide = ad.AnnData(np.eye(4)[order % 4], obs, guides)
    write_mudata(Path("mine.h5mu"), pd.DataFrame(index=names), rna=rna, guide=guide)
    said = invoke("init", "mine.h5mu", "--guide-key", "guide:X")
    entry, _ = entry_of("mine.yaml")
    assert (entry["day_key"], entry["rep_key"]) == ("day", "replicate")
    assert "could be the day too" not in said


def test_a_folder_is_no_screen(here):
    assert "is a folder" in invoke("init", here, code=1)

"""Wrong arguments of the library: each is refused in words of the one who wrote them."""

import json
import shutil
import tempfile

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import fatewalk
from fatewalk import mash
from fatewalk.run.settings import note_settings
from tests.hostile.screen import FATES
from tests.hostile.test_hostile import INTERNAL


@pytest.fixture(scope="module")
def result(chain):
    return fatewalk.load(chain / "results" / "screen" / "main")


OF_RESULT = {
    "a scale that there is not": (lambda r: r.plot.heatmap(scale="x"), "scale: found 'x'; allowed"),
    "that of an overview": (lambda r: r.plot.overview_volcano(scale="x"), "scale: found 'x'; allowed"),
    "no gene": (lambda r: r.plot.heatmap(max_genes=-1), "max_genes: found -1; allowed: a whole"),
    "no gene at the top": (lambda r: r.plot.trajectories(n_top=0), "n_top: found 0; allowed: a whole"),
    "genes as text": (lambda r: r.plot.heatmap(max_genes="x"), "max_genes: found 'x'"),
    "levels as an array": (lambda r: r.effects(np.array(["gene", "guide"])), "allowed: gene, guide"),
    "scales as an array": (lambda r: r.effects(scale=np.array(["fate", "x"])), "allowed: fate, contrast"),
    "no table": (lambda r: r.table(None), "table: found None; allowed: the name of a file"),
    "a table of a contrast": (
        lambda r: r.table("guide_concordance.csv"),
        "'guide_concordance.csv' is for each contrast; write table('guide_concordance.csv', 'MES')",
    ),
    "a table of all contrasts": (
        lambda r: r.table("hits.csv", "MES"), "is for all contrasts together; write table('hits.csv')",
    ),
    "a list of tables": (lambda r: r.table(["hits.csv"]), "table: found ['hits.csv']"),
    "an empty contrast": (lambda r: r.table("gene_daywise_for_mash.csv", ""), "contrast: found ''; allowed"),
    "contrast 0": (lambda r: r.table("gene_daywise_for_mash.csv", 0), "contrast: found 0; allowed: MES"),
    "saved nowhere": (lambda r: r.save(None), "folder: found None; allowed: the path of a folder"),
    "saved to nothing": (lambda r: r.save(""), "folder: found ''"),
    "saved where no folder can be": (lambda r: r.save("/proc/x"), "/proc/x: this folder cannot be made"),
    "saved by a name too long": (lambda r: r.save("/tmp/" + "x" * 300), "File name too long"),
    "a zero byte in a path": (lambda r: r.save("a\0b"), "folder: found 'a\\x00b'"),
    "loaded from nothing": (lambda r: fatewalk.load(""), "folder: found ''"),
    "loaded from None": (lambda r: fatewalk.load(None), "folder: found None"),
    "loaded from bytes": (lambda r: fatewalk.load(b"x"), "folder: found b'x'"),
    "loaded from a result": (lambda r: fatewalk.load(r), "found an object of type Result"),
    "a file for a folder": (lambda r: fatewalk.load(r.folder / "hits.csv"), "is a file; give the"),
    "the folder of results": (lambda r: fatewalk.load(r.folder.parents[1]), "some: screen/main; name"),
    "the folder above": (lambda r: fatewalk.load(r.folder.parents[2]), "some: results/screen/main;"),
}  # fmt: skip


@pytest.mark.parametrize("name", OF_RESULT)
def test_a_wrong_argument_of_a_result_is_told(name, result):
    call, words = OF_RESULT[name]
    with pytest.raises(fatewalk.FatewalkError) as told:
        call(result)
    assert words in str(told.value)
    assert [word for word in INTERNAL if word in str(told.value)] == []


SCREEN = fatewalk.simulate(cells=240, genes=4, active_genes=2, days=[0, 2], fates=FATES)
RIGHT = CELLS, MAP, CALLS = SCREEN.cells, SCREEN.guide_map, SCREEN.guide_calls


def fit(*tables, **keys):
    return fatewalk.fit(*tables, **{"fates": FATES, **keys})


OF_FIT = {
    "fates as a set": (lambda: fit(*RIGHT, fates=set(FATES)), "fates: found a set"),
    "days as a set": (lambda: fatewalk.simulate(days={0, 2}), "days: found a set"),
    "a rate that the rule does not read": (
        lambda: fit(*RIGHT, rule="lfsr", fdr=0.01), "fdr: found 0.01, which is read with rule fdr"),
    "a GPU for the CPU": (lambda: fit(*RIGHT, gpus=1, device="cpu"), "gpus: found 1"),
    "priors as a Series": (lambda: fit(*RIGHT, priors=pd.Series({"s_tau": 1})), "keys with"),
    "a column for its name": (lambda: fit(*RIGHT, day_key=CELLS["day"]), "day_key: found an"),
    "a table without columns": (lambda: fit(pd.DataFrame(), MAP, CALLS), "cells: has no columns"),
    "the screen instead of its tables": (
        lambda: fit(SCREEN), "give its tables: fit(screen.cells, screen.guide_map, screen.guide_calls"),
    "a config": (lambda: fit("my.yaml"), "my.yaml: is a config by its ending, and that is for snakemake"),
    "a path of no known ending": (lambda: fit("screen.h5", MAP), "guide_calls beside it"),
    "complex probabilities": (
        lambda: fit(CELLS.assign(p_EC=CELLS["p_EC"].astype(complex)), MAP, CALLS), "'EC' must hold numbers"),
    "intervals for days": (
        lambda: fit(CELLS.assign(day=pd.cut(CELLS["time"], 2)), MAP, CALLS), "cannot read a time"),
    "an index that is not its column": (
        lambda: fit(CELLS.set_index(CELLS["cell_id"].to_numpy()[::-1]).rename_axis("cell_id"), MAP, CALLS),
        "cells: its index and a column have the name 'cell_id' and differ"),
    "a class for an object": (lambda: fit(AnnData, MAP), "data: found the class AnnData; allowed"),
    "a prior by itself": (lambda: fit(*RIGHT, s_tau=1), "s_tau: is a prior; write priors={'s_tau': ...}"),
    "a key of the workflow": (lambda: fit(*RIGHT, results_dir="x"), "is a key of the workflow alone"),
    "a key by another program's name": (lambda: fit(*RIGHT, batch_key="rep"), "(did you mean 'rep_key'?)"),
    "calls as a matrix": (
        lambda: fit(CELLS, MAP, pd.crosstab(CALLS["cell_id"], CALLS["guide"])), ".query('umi > 0')"),
}  # fmt: skip


@pytest.mark.parametrize("name", OF_FIT)
def test_a_wrong_argument_of_fit_is_told(name):
    call, words = OF_FIT[name]
    with pytest.raises(fatewalk.FatewalkError) as told:
        call()
    assert words in str(told.value)
    assert [word for word in INTERNAL if word in str(told.value)] == []


def test_no_folder_for_temporary_files_is_told(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/no/such/folder")
    with pytest.raises(fatewalk.FatewalkError, match=r"no folder for temporary files.*set TMPDIR"):
        fit(*RIGHT)


def test_a_result_stays_where_it_is_when_the_process_moves(chain, tmp_path, monkeypatch):
    monkeypatch.chdir(chain / "results" / "screen")
    opened = fatewalk.load("main")
    monkeypatch.chdir(tmp_path)
    saved = opened.save("mine")
    monkeypatch.chdir(chain)
    assert fatewalk.load(saved).hits().equals(opened.hits())


def test_a_run_that_was_made_anew_is_not_mixed_with_what_was_read_before(chain, tmp_path):
    shutil.copytree(chain, tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "results" / "screen" / "main"
    opened = fatewalk.load(folder)
    opened.hits()
    for stage in ("certify", "rank_hits"):
        made = json.loads((folder / "settings.json").read_text())[stage]
        note_settings(folder, stage, made | {"calls": made["calls"] | {"fdr": 0.3}})
    with pytest.raises(fatewalk.FatewalkError, match="was made anew since it was opened; open it again"):
        opened.effects()


def edit(path, old, new):
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "no manifest.json"),
        (lambda folder: (folder / "manifest.json").write_text("{}"), "manifest.json does not name it"),
        (lambda folder: (folder / "settings.json").write_text("{}"), "settings.json: has no entry 'model'"),
        (lambda folder: edit(folder / "settings.json", "0.05", "0.2"), "settings.json: was edited; it says"),
        (
            lambda folder: edit(folder / "run.json", "MES", "XES"),
            "run.json: is not what publish_design wrote",
        ),
    ],
)
def test_a_run_that_nothing_vouches_for_is_not_opened(chain, tmp_path, spoil, words):
    shutil.copytree(chain, tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "results" / "screen" / "main"
    spoil(folder)
    with pytest.raises(fatewalk.FatewalkError, match=words):
        fatewalk.load(folder).effects()


def test_effects_on_a_pair_rest_on_what_was_written(chain, tmp_path):
    shutil.copytree(chain, tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "results" / "screen" / "main"
    shutil.copy(folder / "shrunk_fates_guide.npz", folder / "shrunk_fates_gene.npz")
    with pytest.raises(fatewalk.FatewalkError, match="is not what fit_mash wrote"):
        fatewalk.load(folder).effects(pair=("MES", "NEU"))


BETA = np.random.default_rng(0).normal(size=(60, 3))
SE = np.full((60, 3), 0.5)
DATA = mash.set_data(BETA, SE)
CANONICAL = mash.cov_canonical(3)


def prior(pi):
    return mash.MashPrior(("one",), np.eye(3)[None], np.array([1.0]), True, np.array(pi))


OF_MASH = {
    "estimates far beyond their errors": (lambda: mash.set_data(BETA * 1e200, SE), "times its standard"),
    "errors of nothing": (lambda: mash.set_data(BETA, SE * 1e-200), "see whether the standard"),
    "text": (lambda: mash.set_data([["a"]], [["b"]]), "betahat must be an array"),
    "rows of two lengths": (lambda: mash.set_data([[1, 2], [3]], SE), "betahat must be"),
    "complex numbers": (lambda: mash.set_data(BETA + 1j, SE), "betahat must be an array"),
    "weights that do not sum to one": (lambda: mash.posterior(prior([0.5, 0.1]), DATA), "found the sum 0.6"),
    "weights that are no numbers": (lambda: mash.posterior(prior([np.nan, 0.5]), DATA), "found the sum nan"),
    "a weight below zero": (lambda: mash.posterior(prior([-0.5, 1.5]), DATA), "must be at least 0"),
    "an own share above one": (lambda: mash.cov_time(3, 2.0), "own_share must be from 0 to 0.4; found 2.0"),
    "no day": (lambda: mash.cov_time(0), "n_days must be a whole number of at least 1; found 0"),
    "no condition": (lambda: mash.cov_canonical(0), "n_conditions must be a whole number of at least 1"),
    "half a condition": (lambda: mash.cov_canonical(2.5), "n_conditions must be a whole number"),
    "a list of covariances": (lambda: mash.fit_mash(DATA, [np.eye(3)]), "at least one prior covariance"),
    "a covariance of text": (lambda: mash.fit_mash(DATA, {"a": "x"}), "'a' must be an array"),
    "an array for data": (lambda: mash.fit_mash(BETA, CANONICAL), "data must be what set_data"),
    "a column at a time of an array": (lambda: mash.mash_1by1(BETA), "data must be what set_data"),
    "a weight as text": (lambda: mash.fit_mash(DATA, CANONICAL, null_weight="10"), "null_weight must be"),
    "a row that there is not": (lambda: mash.cov_pca(DATA, 2, [1, 999]), "rows must be indices from 0 to 59"),
    "rows from the end": (lambda: mash.cov_pca(DATA, 2, [-1, -2, -3]), "rows must be indices from 0 to 59"),
    "half a row": (lambda: mash.cov_pca(DATA, 2, [1.5, 2.0]), "rows must be indices, or a mask of the 60"),
    "prior and data swapped": (lambda: mash.posterior(DATA, prior([0.5, 0.5])), "data must be what set_data"),
    "data twice": (lambda: mash.compute_vloglik(DATA, DATA), "prior must be what fit_mash"),
    "a grid of an array": (lambda: mash.autoselect_grid(BETA), "data must be what set_data"),
    "components of an array": (lambda: mash.cov_pca(BETA, 2, [1, 2]), "data must be what set_data"),
    "a seed below zero": (lambda: mash.posterior_samples(prior([0.5, 0.5]), DATA, 3, -1), "seed must be"),
    "a threshold as text": (lambda: mash.prob_large(prior([0.5, 0.5]), DATA, "x"), "eps must be >= 0"),
    "no round": (lambda: mash.estimate_null_correlation_em(DATA, CANONICAL, max_rounds=0), "max_rounds"),
    "no row of evidence": (
        lambda: mash.mash_fates(np.zeros((0, 2, 2)), np.zeros((0, 2, 2, 2, 2)), np.ones((3, 2)) / 3),
        "at least one row"),
    "no row": (lambda: mash.cov_pca(DATA, 2, []), "With no such rows"),
    "an eps for each condition": (
        lambda: mash.prob_large(prior([0.5, 0.5]), DATA, np.ones(3)), "one number for"),
    "no draw": (
        lambda: mash.posterior_samples(prior([0.5, 0.5]), DATA, 0, 1), "n_samples must be"),
}  # fmt: skip


@pytest.mark.parametrize("name", OF_MASH)
def test_a_wrong_argument_of_mash_is_told(name):
    call, words = OF_MASH[name]
    with pytest.raises(mash.MashError) as told:
        call()
    assert words in str(told.value)
    assert [word for word in INTERNAL if word in str(told.value)] == []

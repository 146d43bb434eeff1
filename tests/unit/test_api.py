"""The chain in one process: the numbers of the stages, the messages of the config, nothing left behind."""

import os
import pickle
import re
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pyro
import pytest
import scipy.sparse as sp
import torch
from anndata import AnnData, read_h5ad
from anndata.io import read_elem
from matplotlib.text import Text

import fatewalk
from fatewalk.api.inputs import _keywords, as_config
from fatewalk.config import load_config
from fatewalk.config.datasets import kinds
from fatewalk.config.messages import Problems
from fatewalk.config.root import SECTIONS
from fatewalk.mash import MashError
from fatewalk.screen import readers
from fatewalk.screen.raw import canonical_calls
from fatewalk.stages import fit_mash

FATES = ["EC", "MES", "NEU"]
FAST = {"draws": 200, "family": "laplace", "certificate": "none"}
GENES = [f"expressed{i}" for i in range(30)]
DOCS = Path(__file__).parents[2] / "docs" / "api.md"
CELLRANK = Path(__file__).parents[3] / "shared" / "cellrank_output"


@pytest.fixture(scope="module")
def screen():
    return fatewalk.simulate(cells=800, genes=10, active_genes=5, days=[0, 2], seed=1)


def fit(screen, **keys):
    tables = screen.cells, screen.guide_map, screen.guide_calls
    return fatewalk.fit(*tables, fates=FATES, **FAST, **keys)


@pytest.fixture(scope="module")
def result(screen):
    return fit(screen)


def lineage(screen):
    """Fate probabilities as CellRank holds them in memory: an array that knows the names of its columns."""

    class Lineage(np.ndarray):
        names: list

    values = screen.cells[[f"p_{fate}" for fate in FATES]].to_numpy().view(Lineage)
    values.names = FATES
    return values


def as_anndata(screen):
    """The same screen as an object in memory, with things in it that no file could hold."""
    cells = screen.cells.set_index("cell_id")
    counts = pd.crosstab(screen.guide_calls["cell_id"], screen.guide_calls["guide"])
    counts = counts.reindex(cells.index, fill_value=0)
    adata = AnnData(obs=cells[["day", "rep"]].astype(str), obsm={"guide": counts}, uns={"kernel": object()})
    adata.obsm["lineages_fwd"] = lineage(screen)
    return adata


def test_tables_of_a_result(result):
    hits, effects, guides = result.hits(), result.effects("gene"), result.effects("guide")
    assert list(hits["rank"]) == list(range(1, len(hits) + 1))
    assert set(effects["fate"]) == {"EC", "MES", "NEU"}
    assert len(effects) == (3 + 2) * 2 * effects["gene"].nunique()
    assert set(result.effects("gene", scale="contrast")["fate"]) == {"MES", "NEU"}
    assert set(result.effects("gene", scale="fate")["scale"]) == {"fate"}
    with pytest.raises(fatewalk.FatewalkError, match="scale: found 'logit'; allowed: fate, contrast"):
        result.effects(scale="logit")
    assert "guide" in guides
    assert "guide" not in effects
    assert result.table("hits_ranked.csv", "NEU")["rank"].is_monotonic_increasing
    assert result.card["status"] == result.verdict["fit"]["status"] == "converged"
    assert repr(result).startswith("<fatewalk result: converged, ")
    hits["rank"] = 0
    assert result.hits()["rank"].min() == 1  # what is handed out is the user's own


def test_log_odds_of_any_two_fates(result):
    contrast = result.effects("gene", scale="contrast").query("fate == 'NEU'").reset_index(drop=True)
    pair = result.effects("gene", pair=("NEU", "EC"))
    assert pair[["gene", "fate", "day"]].equals(contrast[["gene", "fate", "day"]])
    for name in ("posterior_mean", "posterior_sd", "mash_mean", "mash_sd", "lfsr", "plarge", "n_cells"):
        np.testing.assert_allclose(pair[name], contrast[name], rtol=1e-6, atol=1e-9)
    # those of contrasts come from the mode under a prior by contrast, not from that of all fates alike
    assert (np.abs(pair["estimate"] - contrast["estimate"]) < 0.3 * contrast["se"]).all()
    one, other = result.effects("guide", pair=("MES", "NEU")), result.effects("guide", pair=("NEU", "MES"))
    np.testing.assert_allclose(one["mash_mean"], -other["mash_mean"], atol=1e-12)
    mes = result.effects("guide", scale="contrast").query("fate == 'MES'")["mash_mean"].to_numpy()
    neu = result.effects("guide", scale="contrast").query("fate == 'NEU'")["mash_mean"].to_numpy()
    np.testing.assert_allclose(one["mash_mean"], mes - neu, atol=1e-9)
    for pair, words in (
        (("MES", "NUE"), r"pair: found 'NUE' \(did you mean 'NEU'\?\); allowed: two of EC, MES, NEU"),
        (("MES", "MES"), r"pair: found \('MES', 'MES'\); allowed: two of EC, MES, NEU, such as"),
        ("MES", "pair: found 'MES'; allowed: two of"),
    ):
        with pytest.raises(fatewalk.FatewalkError, match=words):
            result.effects(pair=pair)
    with pytest.raises(fatewalk.FatewalkError, match="scale: found 'fate' beside pair; leave one"):
        result.effects(scale="fate", pair=("MES", "NEU"))


def test_figures_take_nothing_but_a_fate(result):
    for name in dir(result.plot):
        assert getattr(result.plot, name)().axes, name
    texts = " ".join(text.get_text() for text in result.plot.heatmap("NEU").findobj(Text))
    assert "NEU" in texts
    assert "MES" not in texts
    with pytest.raises(AttributeError, match="found 'pie'; allowed: certificate, composition"):
        result.plot.pie()
    of_reference = " ".join(text.get_text() for text in result.plot.heatmap("EC").findobj(Text))
    assert "EC's own probability" in of_reference.replace("\n", " ")
    for figure, allowed in ((result.plot.guides, "MES, NEU"), (result.plot.heatmap, "EC, MES, NEU")):
        with pytest.raises(fatewalk.FatewalkError, match=f"'ECT'; allowed: {allowed}"):
            figure("ECT")


def test_an_object_in_memory_a_file_and_tables_give_the_same(screen, result, tmp_path):
    adata = as_anndata(screen)
    in_memory = fatewalk.fit(adata, screen.guide_map, fates=FATES, **FAST)
    pd.testing.assert_frame_equal(in_memory.hits(), result.hits())
    path = tmp_path / "cells.csv"
    screen.cells.to_csv(path, index=False)
    by_path = fatewalk.fit(str(path), screen.guide_map, screen.guide_calls, fates=FATES, **FAST)
    pd.testing.assert_frame_equal(by_path.hits(), result.hits())
    assert "kernel" in adata.uns  # untouched
    assert adata.obsm["lineages_fwd"].names == FATES


def forms_of(screen):
    """The screen's guides in each form that an object holds: the object, and the keys that it needs."""
    adata = as_anndata(screen)
    counts = adata.obsm.pop("guide")
    var = screen.guide_map.set_index("guide_name").rename(columns={"gene_name": "target_gene"})
    guides = AnnData(sp.csr_matrix(counts), obs=adata.obs[[]], var=var.loc[counts.columns])

    def with_obs(**obs):
        return AnnData(obs=adata.obs.assign(**obs), obsm=dict(adata.obsm))

    def mudata(**modalities):
        return SimpleNamespace(mod=modalities, obs=adata.obs[[]], obs_names=adata.obs_names, obsm={}, uns={})

    text = counts.apply(lambda row: "+".join(counts.columns[row > 0]), axis=1)
    expression = sp.random(len(adata), len(GENES), 0.1, "csr")
    of_genes = AnnData(expression, obs=adata.obs, obsm=dict(adata.obsm), var=pd.DataFrame(index=GENES))
    types = ["Gene Expression"] * len(GENES) + ["CRISPR Guide Capture"] * counts.shape[1]
    both = AnnData(
        sp.hstack([of_genes.X, guides.X], "csr"),
        obs=adata.obs,
        obsm=dict(adata.obsm),
        var=pd.DataFrame({"feature_types": types}, index=[*of_genes.var_names, *counts.columns]),
    )
    x_alone = AnnData(guides.X, obs=adata.obs, obsm=dict(adata.obsm), var=guides.var[[]])
    layer = AnnData(obs=adata.obs, obsm=dict(adata.obsm), var=guides.var[[]], layers={"umis": guides.X})
    unnamed = AnnData(guides.X, obs=guides.obs, var=guides.var[[]])
    return {
        "text": (with_obs(sgRNA=text), {}),
        "text of any name": (with_obs(mine=text.str.replace("+", "/")),
                             {"guide_key": "mine", "guide_separator": "/"}),
        "features of X": (both, {}),
        "X": (x_alone, {"guide_key": "X"}),
        "layer": (layer, {"guide_key": "umis"}),
        "second object": (of_genes, {"guide_anndata": unnamed}),
        "MuData": (mudata(rna=of_genes, guide=guides), {}),
        "MuData of any name": (mudata(a=of_genes, b=unnamed),
                               {"guide_key": "b", "fate_key": "a:lineages_fwd"}),
    }  # fmt: skip


@pytest.mark.parametrize(
    "form",
    ["text", "text of any name", "features of X", "X", "layer", "second object", "MuData",
     "MuData of any name"],
)  # fmt: skip
def test_guides_of_an_object_in_every_form(screen, tmp_path, form):
    data, keys = forms_of(screen)[form]
    config = as_config(data, screen.guide_map, None, {"fates": FATES, **keys}, tmp_path, Problems("keywords"))
    raw = load_config(config).datasets["screen"].read()
    expected = canonical_calls(replace(raw, calls=screen.guide_calls))[0]
    pd.testing.assert_frame_equal(canonical_calls(raw)[0], expected)
    with h5py.File(tmp_path / "adata.h5ad") as file:  # no expression was written
        parts = [part for part in ("/", "mod/rna", "mod/a") if part in file]
        written = [read_elem(file[part]["var"]).index for part in parts]
    assert not np.isin(GENES, np.concatenate(written)).any()


def test_mudata_is_fitted_with_its_own_guide_map(screen, result):
    data, _ = forms_of(screen)["MuData"]
    found = fatewalk.fit(data, fates=FATES, **FAST)
    pd.testing.assert_frame_equal(found.hits(), result.hits())


FORMAT = '''"""A format of two tables in a folder."""
from typing import ClassVar
from fatewalk.config.datasets import Dataset
from fatewalk.screen.readers.plain import PlainDataset

class FolderDataset(Dataset):
    """``{pair: screen.pair, guide_map: guides.csv}``."""
    key: ClassVar = "pair"
    kind: ClassVar = "a pair of tables"
    files: ClassVar = ("pair", "guide_map")
    suffixes: ClassVar = (".pair",)
    carried: ClassVar = []
    pair: str
    guide_map: str

    def read(self):
        tables = {name: f"{self.pair}/{name}.parquet" for name in ("cells", "guide_calls")}
        return PlainDataset(**tables, guide_map=self.guide_map).read()

ENTRY = FolderDataset
'''


def test_a_format_from_a_module_of_its_own_is_fitted(screen, result, tmp_path, monkeypatch):
    (tmp_path / "pair.py").write_text(FORMAT)
    monkeypatch.setattr(readers, "__path__", [*readers.__path__, str(tmp_path)])
    folder = tmp_path / "screen.pair"
    folder.mkdir()
    screen.cells.to_parquet(folder / "cells.parquet")
    screen.guide_calls.to_parquet(folder / "guide_calls.parquet")
    kinds.cache_clear()
    try:
        found = fatewalk.fit(folder, screen.guide_map, fates=FATES, **FAST)
        with pytest.raises(fatewalk.FatewalkError, match="guide_calls: found beside a pair of tables"):
            fatewalk.fit(folder, screen.guide_map, screen.guide_calls, fates=FATES)
    finally:
        kinds.cache_clear()
    pd.testing.assert_frame_equal(found.hits(), result.hits())


@pytest.mark.skipif(not CELLRANK.is_dir(), reason="needs ../shared/cellrank_output")
def test_what_cellrank_left_is_read_in_memory_as_from_its_file():
    path = CELLRANK / "b_df.h5ad"
    keys = {"guide_key": "guide_counts", "rep_key": "batch", **FAST}
    adata = read_h5ad(path)
    fates = list(adata.obs["term_states_fwd"].cat.categories)
    one, other = (
        fatewalk.fit(data, CELLRANK / "guides.csv", fates=fates, require="none", **keys)
        for data in (adata, path)
    )
    pd.testing.assert_frame_equal(one.hits(), other.hits())
    assert len(one.hits())


def test_effects_as_an_annotated_matrix(result):
    genes, guides = result.to_anndata(), result.to_anndata("guide")
    effects = result.effects("gene", scale="fate").set_index(["gene", "fate", "day"])
    for name in ("estimate", "mash_mean", "lfsr", "n_cells"):
        one = genes["Gene003", "NEU@day2"].layers[name].item()
        assert one == effects.loc[("Gene003", "NEU", "day2"), name]
    assert genes.shape == (10, 3 * 2)
    assert set(guides.obs["gene"]) == set(genes.obs_names)
    assert genes.obs["n_hits"].sum() == len(result.hits())
    with pytest.raises(fatewalk.FatewalkError, match="level: found 'cell'; allowed: gene, guide"):
        result.to_anndata("cell")


def test_fitted_probabilities_are_written_back_to_the_cells(screen, result, tmp_path):
    adata = as_anndata(screen)[::-1][:500].copy()
    adata.obs_names = ["stranger", *adata.obs_names[1:]]
    result.add_to(adata)
    fitted = adata.obsm["fatewalk"]
    assert list(fitted) == FATES
    assert fitted.iloc[0].isna().all()  # no cell of the run
    fitted, labels = fitted.iloc[1:], adata[1:].obsm["lineages_fwd"]
    np.testing.assert_allclose(fitted.sum(axis=1), 1)
    day = adata.obs["day"].iloc[1:]
    mean = fitted.groupby(day).mean() - pd.DataFrame(labels, fitted.index, FATES).groupby(day).mean()
    assert mean.abs().max().max() < 0.04  # half of the cells; labels are 0 or 1
    hit = result.hits().iloc[0]
    calls = screen.guide_calls.merge(screen.guide_map, left_on="guide", right_on="guide_name")
    carriers = fitted.index.isin(calls.loc[calls["gene_name"] == hit["gene"], "cell_id"])
    on_day = (day == hit["strongest_day"]).to_numpy()
    gain = (
        fitted.loc[carriers & on_day, hit["fate"]].mean() - fitted.loc[~carriers & on_day, hit["fate"]].mean()
    )
    assert np.sign(gain) == np.sign(hit["effect"])
    with pytest.raises(fatewalk.FatewalkError, match="such as 0, 1, those of the run such as cell"):
        result.add_to(AnnData(np.zeros((2, 1))))
    again = fatewalk.load(result.save(tmp_path / "elsewhere" / "of" / "mine"))
    with pytest.raises(fatewalk.FatewalkError, match="open the run where it was made"):
        again.add_to(adata)


def test_a_result_is_saved_and_opened_again(result, tmp_path):
    folder = result.save(tmp_path / "mine")
    again = fatewalk.load(folder)
    pd.testing.assert_frame_equal(again.hits(), result.hits())
    assert again.plot.volcano().axes
    pair = ("MES", "NEU")
    pd.testing.assert_frame_equal(again.effects(pair=pair), result.effects(pair=pair))
    with pytest.raises(fatewalk.FatewalkError, match="is there already and not empty"):
        result.save(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(fatewalk.FatewalkError, match="is no folder of a run"):
        fatewalk.load(tmp_path / "empty")


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_result_that_cannot_be_saved_leaves_nothing(result, tmp_path, monkeypatch, fault):
    copy, copied = shutil.copy2, []

    def until_full(source, target, **options):
        if len(copied) == 5:
            raise fault
        copied.append(copy(source, target, **options))

    monkeypatch.setattr(shutil.copytree, "__defaults__", (False, None, until_full, False, False))
    with pytest.raises((fatewalk.FatewalkError, KeyboardInterrupt)) as refused:
        result.save(tmp_path / "mine")
    assert len(copied) == 5
    assert not (tmp_path / "mine").exists()
    if isinstance(fault, OSError):
        assert "mine: cannot be written: [Errno 28] No space left on device" in str(refused.value)


def test_the_temporary_folder_goes_with_the_result(screen):
    one = fit(screen)
    folder = one.folder
    assert folder.is_dir()
    del one
    assert not folder.exists()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"familly": "laplace"}, r"familly: unknown key \(did you mean 'family'\?\)"),
        ({"lfsr_day": 2}, "^keywords: 1 problem\n  - lfsr_day: found 2; allowed: numbers of at most 1$"),
        (
            {"lfsr_day": 2, "familly": 1},
            "^keywords: 2 problems\n  - familly: unknown key.*\n  - lfsr_day: found 2",
        ),
        ({"seed": None}, "seed: found None; allowed: a whole number; give a value, or leave the key out"),
        ({"debug": 2}, "debug: found 2; allowed: true or false"),
        ({"day_key": 3}, "day_key: found 3; allowed: text; write '3'$"),
        ({"fates": "EC, MES"}, r"fates: found 'EC, MES'; allowed: a list in brackets; write \['EC', 'MES'\]"),
        ({"fates": [True, "MES"]}, r"fates.0: found True; allowed: text; write 'True'"),
        ({"priors": {"s_tau": np.inf}}, "priors.s_tau: found inf; allowed: a finite number"),
        ({"fit": {"seed": 1}}, "fit: is a section of a config; give its keys by themselves: family="),
        ({"rep_key": "batch"}, "Set rep_key to one of them, or to None"),
        ({"day_kei": "day"}, "day_kei: unknown key"),
        ({"guide": "laplace"}, "guide: is called family now"),
        ({"batch_size": 100}, "batch_size: is gone"),
        ({"engine": "mashr"}, "run R as jobs of the workflow"),
        ({"day_key": "dat"}, "^cells: column 'dat' is missing"),
        (
            {"max_steps": 1, "family": "structured"},
            "the fit is not converged .*Raise max_steps, or set require",
        ),
    ],
)
def test_refusals_have_the_words_of_the_workflow_in_terms_of_keywords(screen, keys, words):
    tables = screen.cells, screen.guide_map, screen.guide_calls
    with pytest.raises(fatewalk.FatewalkError, match=words) as refused:
        fatewalk.fit(*tables, **{"fates": FATES, **keys})
    assert "/tmp" not in str(refused.value)


def test_fates_left_out_are_told_and_named(screen):
    tables = screen.cells, screen.guide_map, screen.guide_calls
    words = r"fates: missing; the data have 'EC', 'MES', 'NEU': write fates=\['EC', 'MES', 'NEU'\]"
    with pytest.raises(fatewalk.FatewalkError, match=words):
        fatewalk.fit(*tables)
    with pytest.raises(fatewalk.FatewalkError, match=words):
        fatewalk.fit(as_anndata(screen), screen.guide_map)


def test_a_wrong_key_of_an_object_in_memory_is_told_once(screen):
    with pytest.raises(
        fatewalk.FatewalkError, match=r"^keywords: 2 problems\n  - day_key.*\n  - seed: found -1"
    ):
        fatewalk.fit(as_anndata(screen), screen.guide_map, fates=FATES, day_key=3, seed=-1)


def test_a_path_in_words_of_python(screen):
    tables = screen.cells, screen.guide_map
    with pytest.raises(
        fatewalk.FatewalkError, match=r"guide_calls: found 's3://a/b\.csv'; download the file"
    ):
        fatewalk.fit(*tables, "s3://a/b.csv", fates=FATES)
    with pytest.raises(
        fatewalk.FatewalkError, match=r"guide_calls: found '~nosuch/b\.csv'; '~' is not replaced"
    ):
        fatewalk.fit(*tables, "~nosuch/b.csv", fates=FATES)
    with pytest.raises(fatewalk.FatewalkError, match=r"{b}\.csv: no such file"):
        fatewalk.fit(*tables, "{b}.csv", fates=FATES)


def state():
    """What a user's own code may rest on."""
    return {
        "torch": torch.get_rng_state().tolist(),
        "numpy": np.random.get_state()[1].tolist(),  # noqa: NPY002
        "dtype": torch.get_default_dtype(),
        "threads": torch.get_num_threads(),
        "parameters": sorted(pyro.get_param_store().keys()),
        "module_local_params": pyro.settings.get("module_local_params"),
    }


@pytest.mark.parametrize(
    "keys",
    [
        {"family": "structured", "threads": 2, "max_steps": 60, "require": "none"},
        {"family": "structured", "max_steps": 1},
    ],
)
def test_generators_and_settings_are_as_before(screen, keys):
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    pyro.param("mine", torch.tensor(1.0))
    torch.set_default_dtype(torch.float64)
    before = state()
    tables = screen.cells, screen.guide_map, screen.guide_calls
    try:
        fatewalk.fit(*tables, fates=FATES, draws=200, **keys)
    except fatewalk.FatewalkError:
        assert keys["max_steps"] == 1
    assert state() == before
    assert before["parameters"] == ["mine"]
    torch.set_default_dtype(torch.float32)
    pyro.clear_param_store()


def test_a_default_dtype_of_the_user_changes_no_number(screen, result):
    torch.set_default_dtype(torch.float64)
    try:
        pd.testing.assert_frame_equal(fit(screen).hits(), result.hits())
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_fit_in_a_thread(screen, result):
    found = []
    thread = threading.Thread(target=lambda: found.append(fit(screen)))
    thread.start()
    thread.join()
    pd.testing.assert_frame_equal(found[0].hits(), result.hits())


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, fatewalk; assert not {'torch', 'pandas', 'pyro'} & set(sys.modules)"
    assert os.system(f'{os.sys.executable} -c "{code}"') == 0


def test_the_example_of_the_docs_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), flags=re.DOTALL)
    names = {}
    exec(example, names)
    assert (tmp_path / "results_of_mine" / "hits.csv").is_file()
    assert len(names["hits"]) == len(names["again"].hits())
    assert "converged" in capsys.readouterr().out


def test_a_chain_of_calls_and_a_kept_plot_outlive_the_result(screen):
    assert fit(screen).plot.heatmap().axes
    one = fit(screen)
    plots, run = one.plot, one.run
    del one
    assert plots.volcano().axes
    assert len(run.table("hits.csv"))


def test_what_a_screen_does_not_need_may_hold_anything(screen, result):
    adata = as_anndata(screen)
    adata.obs["mixed"] = [1, "a"] * (len(adata) // 2)
    adata.obs["when"] = pd.Timestamp("2026-01-01")
    adata.obs[0] = 1.5
    adata.obsm["frame"] = pd.DataFrame({0: [object()] * len(adata)}, index=adata.obs_names)
    adata.obs["day"] = adata.obs["day"].str.removeprefix("day").astype(int)
    found = fatewalk.fit(adata, screen.guide_map, fates=FATES, **FAST)
    assert found.hits()["gene"].tolist() == result.hits()["gene"].tolist()
    cells = screen.cells.assign(mixed=[1, "a"] * (len(screen.cells) // 2)).set_index("cell_id")
    keys = {"fates": FATES, **FAST}
    found = fatewalk.fit(cells, screen.guide_map.astype(object), screen.guide_calls, **keys)
    pd.testing.assert_frame_equal(found.hits(), result.hits())


def test_an_object_on_disk_without_expression_beside_one_of_guides(screen, tmp_path):
    data, keys = forms_of(screen)["second object"]
    AnnData(obs=data.obs, obsm={"lineages_fwd": np.asarray(data.obsm["lineages_fwd"])}).write_h5ad(
        tmp_path / "screen.h5ad"
    )
    on_disk = read_h5ad(tmp_path / "screen.h5ad", backed="r")
    keys |= {"fates": FATES, "fate_names": FATES}
    config = as_config(on_disk, screen.guide_map, None, keys, tmp_path, Problems("keywords"))
    assert len(load_config(config).datasets["screen"].read().calls) == len(screen.guide_calls)


def test_counts_as_objects_are_numbers_and_words_are_not(screen, tmp_path):
    adata = as_anndata(screen)
    names = list(adata.obsm["guide"])
    adata.obsm["guide"] = adata.obsm["guide"].to_numpy().astype(object)
    keys = {"fates": FATES, "guide_names": names}
    config = as_config(adata, screen.guide_map, None, keys, tmp_path, Problems("keywords"))
    assert len(load_config(config).datasets["screen"].read().calls) == len(screen.guide_calls)
    adata.obsm["guide"][0, 0] = "many"
    with pytest.raises(fatewalk.FatewalkError, match=r"obsm\['guide'\] must hold numbers: .*'many'"):
        as_config(adata, screen.guide_map, None, keys, tmp_path, Problems("keywords"))


def test_files_of_a_user_are_neither_swallowed_nor_copied_into_themselves(screen, result):
    tables = screen.cells, screen.guide_map, screen.guide_calls
    with pytest.raises(fatewalk.FatewalkError, match="cells: unknown key"):
        fatewalk.fit(*tables, fates=FATES, cells="other.csv")
    with pytest.raises(fatewalk.FatewalkError, match="guide_calls: found beside AnnData"):
        fatewalk.fit(as_anndata(screen), *tables[1:], fates=FATES)
    with pytest.raises(fatewalk.FatewalkError, match="lies within the result"):
        result.save(result.folder / "mine")


def test_what_mash_refuses_is_a_refusal(screen, monkeypatch):
    def refuse(run):
        raise MashError("the evidence says nothing of any effect")

    monkeypatch.setattr(fit_mash, "main", refuse)
    with pytest.raises(fatewalk.FatewalkError, match="says nothing of any effect"):
        fit(screen)


def test_a_parameter_set_within_goes_again(screen, monkeypatch):
    def careless(*_):
        pyro.param("stray", torch.tensor(1.0))
        raise KeyboardInterrupt

    monkeypatch.setattr("fatewalk.stages.rank_hits.main", careless)
    pyro.param("mine", torch.tensor(1.0))
    with pytest.raises(KeyboardInterrupt):
        fit(screen)
    assert list(pyro.get_param_store().keys()) == ["mine"]
    pyro.clear_param_store()


def test_a_table_that_is_not_there_is_told_with_those_that_are(result):
    with pytest.raises(
        fatewalk.FatewalkError, match=r"did you mean 'hits_ranked.csv'\?\); allowed: .*hits.csv"
    ):
        result.table("hits_ranked")
    words = r"gene_daywise.csv.*; and, for each contrast: .*gene_daywise_likelihood.csv"
    with pytest.raises(fatewalk.FatewalkError, match=words):
        result.table("gene_daywise.csv")
    words = r"and, for all contrasts together: .*hits.csv"
    with pytest.raises(fatewalk.FatewalkError, match=words):
        result.table("hits", "MES")
    with pytest.raises(AttributeError, match=r"found 'heatmaps' \(did you mean 'heatmap'\?\); allowed: "):
        _ = result.plot.heatmaps
    with pytest.raises(AttributeError, match="found 'recovery'; allowed"):
        _ = result.plot.recovery
    with pytest.raises(TypeError, match="positional argument"):
        result.plot.overview_heatmap("MES")


def test_a_figure_shows_itself_in_a_notebook(result):
    assert result.plot.convergence()._repr_png_().startswith(b"\x89PNG")


def test_refusals_speak_of_keywords_and_arguments(screen):
    with pytest.raises(
        fatewalk.FatewalkError, match=r"^keywords: 1 problem\n  - min_umi: found -1"
    ) as refused:
        fit(screen, min_umi=-1)
    assert "config" not in str(refused.value)
    with pytest.raises(fatewalk.FatewalkError, match=r"^keywords: 1 problem\n  - cells: found -1"):
        fatewalk.simulate(cells=-1)
    calls = screen.guide_calls.drop(columns="guide")
    with pytest.raises(fatewalk.FatewalkError, match=r"^guide_calls: column guide is missing"):
        fatewalk.fit(screen.cells, screen.guide_map, calls, fates=FATES)
    for arguments, words in (
        ((screen.cells, None, screen.guide_calls), "nothing says which of its names are controls"),
        ((object(), screen.guide_map), "cells: found an object of type object; allowed: a DataFrame"),
        ((screen.cells, as_anndata(screen)), "guide_map: found an object of type AnnData"),
    ):
        with pytest.raises(fatewalk.FatewalkError, match=re.escape(words)):
            fatewalk.fit(*arguments, fates=FATES)


def test_a_folder_that_is_no_run_is_told(result, tmp_path):
    with pytest.raises(fatewalk.FatewalkError, match="absent: no such folder"):
        fatewalk.load(tmp_path / "absent")
    with pytest.raises(fatewalk.FatewalkError, match="has some: main; name one"):
        fatewalk.load(result.folder.parent)


def test_a_temporary_result_is_not_pickled_and_a_saved_one_is(result, tmp_path):
    with pytest.raises(TypeError, match="use save"):
        pickle.dumps(result)
    saved = fatewalk.load(result.save(tmp_path / "saved"))
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(saved)).hits(), result.hits())
    result.card["status"] = "changed"
    assert result.card["status"] == "converged"


def test_days_of_any_type_are_read_or_told(screen):
    adata = as_anndata(screen)
    adata.obs["day"] = pd.to_timedelta(screen.cells["time"].to_numpy(), unit="D")
    with pytest.raises(fatewalk.FatewalkError, match="cannot read a time from '0 days 00:00:00'"):
        fatewalk.fit(adata, screen.guide_map, fates=FATES)
    adata.obs["day"] = screen.cells["time"].astype("Int64").to_numpy()
    found = fatewalk.fit(adata, screen.guide_map, fates=FATES, **FAST)
    assert found.run.days == ["0", "2"]
    assert set(dir(fatewalk)) >= {"fit", "load", "simulate", "Result", "FatewalkError"}


def test_tables_are_read_as_people_hold_them(screen, result):
    """Names in the index, there twice or not; numbers that are none are told."""
    for cells in (
        screen.cells.set_index("cell_id"),
        screen.cells.set_index("cell_id", drop=False),
        screen.cells.set_index(["rep", "cell_id"]),
    ):
        found = fatewalk.fit(cells, screen.guide_map, screen.guide_calls, fates=FATES, **FAST)
        pd.testing.assert_frame_equal(found.hits(), result.hits())
    twice = pd.concat([screen.cells, screen.cells["day"]], axis=1)
    with pytest.raises(fatewalk.FatewalkError, match="cells: more than one column has the name day"):
        fatewalk.fit(twice, screen.guide_map, screen.guide_calls, fates=FATES)
    strange = screen.cells.assign(p_EC=1j)
    with pytest.raises(
        fatewalk.FatewalkError, match="probability of fate 'EC' must hold numbers; found '1j'"
    ):
        fatewalk.fit(strange, screen.guide_map, screen.guide_calls, fates=FATES)
    for cells in (
        screen.cells.set_index("cell_id").rename_axis(None),
        screen.cells.assign(cell_id=screen.cells["cell_id"].map(str.encode)),
        screen.cells.assign(p_EC=pd.arrays.SparseArray(screen.cells["p_EC"])),
    ):
        found = fatewalk.fit(cells, screen.guide_map, screen.guide_calls, fates=FATES, **FAST)
        pd.testing.assert_frame_equal(found.hits(), result.hits())
    lists = screen.guide_calls.groupby("cell_id", observed=True)["guide"].agg(list).reset_index()
    with pytest.raises(fatewalk.FatewalkError, match="guide_calls: column 'guide' holds lists"):
        fatewalk.fit(screen.cells, screen.guide_map, lists, fates=FATES)
    with pytest.raises(fatewalk.FatewalkError, match="fates: found a set, which has no order"):
        fatewalk.fit(screen.cells, screen.guide_map, screen.guide_calls, fates=set(FATES))
    adata = as_anndata(screen)
    adata.obs = pd.concat([adata.obs, adata.obs[["day"]]], axis=1)
    with pytest.raises(fatewalk.FatewalkError, match=r"^obs: more than one column has the name 'day'"):
        fatewalk.fit(adata, screen.guide_map, fates=FATES)
    with pytest.raises(fatewalk.FatewalkError, match="has no cells"):
        fatewalk.fit(as_anndata(screen)[:0], screen.guide_map, fates=FATES)
    for keys in ({"covariates": None}, {"fate_key": ["x"]}):
        with pytest.raises(fatewalk.FatewalkError, match=f"{next(iter(keys))}: found"):
            fatewalk.fit(as_anndata(screen), screen.guide_map, fates=FATES, **keys)


def test_a_fit_within_no_grad_and_with_text_as_strings(screen, result):
    with torch.inference_mode():
        found = fatewalk.fit(
            screen.cells, screen.guide_map, screen.guide_calls, fates=FATES, draws=200, max_steps=20,
            require="none",
        )  # fmt: skip
    assert found.card["steps"] > 0
    with pd.option_context("future.infer_string", True):
        assert fit(screen).hits().to_csv() == result.hits().to_csv()


def test_a_key_that_two_sections_have_stands_with_its_section_for_the_second():
    found = _keywords()
    assert (found["require"], found["calls_require"]) == (("fit", "require"), ("calls", "require"))
    assert len(set(found.values())) == sum(len(model.model_fields) for model in SECTIONS.values())

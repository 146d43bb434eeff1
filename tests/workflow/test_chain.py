"""The tiny screen end to end: its files, its numbers, its words."""

import json
import os
import re
import shutil
import sys
from fnmatch import fnmatch

import h5py
import numpy as np
import pandas as pd
import pytest

from fatewalk.config import FitConfig, ModelConfig
from fatewalk.core.daywise import Daywise
from fatewalk.estimates.from_draws import posterior_moments
from fatewalk.run.manifest import enter
from fatewalk.run.registry import FILES
from fatewalk.screen.design import load_design
from fatewalk.stages.fit_effects import fit_effects, hash_of_config_and_design
from tests.contract import AS_FIRST, WITH_TABLES, differences
from tests.contract import TINY_RECORDED as RECORDED
from tests.workflow.conftest import ROOT, TINY, Workflow

CONTRACT = [
    "gene_daywise_for_mash.csv", "guide_daywise_for_mash.csv",
    "mash_gene_conservative.csv", "mash_guide_conservative.csv", "gene_from_guide_mash_conservative.csv",
    "mash_mode_comparison.csv", "hits_ranked.csv", "daywise_confusion.csv", "pred_call_summary.json",
    "qc_delta_mean_by_gene.csv", "qc_theta_beta_offset_by_gene.csv",
]  # fmt: skip
OF_CONTRAST = [
    "guide_concordance.csv", "gene_daywise_likelihood.csv", "guide_daywise_likelihood.csv",
    "mash_likelihood_gene.csv", "mash_likelihood_guide.csv", "gene_from_guide_likelihood.csv",
    "recovery_by_day.csv", "mash_error_covariance.npz", "mash_gene_conservative.json",
    "shrunk_gene.npz", "shrunk_guide.npz",
]  # fmt: skip
OF_RUN = [
    "theta_posterior_summary.npz", "delta_posterior_summary.npz", "pairwise_fate_effects.csv",
    "fate_probability_change.csv", "gene_power.csv", "fit_card.json", "fit_trace.csv", "design_report.json",
    "hits.csv", "effects.parquet", "results.h5ad", "results_guides.h5ad",
    "verdict.json", "manifest.json", "run.json", "settings.json",
    "summary.txt", "report.html",
    "design/design.pt", "design/guide_to_gene.parquet", "design/n_guides_per_gene.parquet",
    "design/gene_offsets.parquet", "design/guides_by_gene.parquet",
]  # fmt: skip


#: Columns that the tiny screen has no cause for: covariates, clusters, UMIs, second engines.
OPTIONAL = ("*", "cluster", "burden", "umi", "agree_engines_conservative", "postmean_conservative_*",
            "lfsr_conservative_*", "called_conservative_*")  # fmt: skip


def test_every_agreed_file_is_there(finished):
    for name in [*OF_RUN, *CONTRACT, *(f"contrast=MES/{name}" for name in OF_CONTRAST)]:
        assert finished.path(name).is_file(), name
    for name in CONTRACT:
        assert finished.path(name).read_bytes() == finished.path(f"contrast=MES/{name}").read_bytes()
    for figure in (
        "convergence",
        "heatmap",
        "trajectories",
        "volcano",
        "guides",
        "composition",
        "certificate",
        "recovery",
    ):
        for suffix in ("png", "pdf", "svg"):
            assert finished.path(f"figures/{figure}.{suffix}").stat().st_size > 5000


def held(path):
    """Columns of a table, arrays of an npz file, entries of a JSON file."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return list(arrays)
    if path.suffix == ".h5ad":
        with h5py.File(path) as file:
            return list(file)
    if path.suffix == ".json":
        return list(json.loads(path.read_text()))
    return list(pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, nrows=1))


def described(file, level):
    """Patterns of the columns that the registry has for a file."""
    before = [one for one in FILES if file.extends and one.name == file.extends.format(level=level)]
    columns = [column for one in (*before, file) for column in one.columns]
    names = [name.partition(".")[0] for column in columns for name in column.names.split(", ")]
    return [re.sub("<.*?>", "*", name) for name in names]


@pytest.mark.parametrize("file", [file for file in FILES if file.columns], ids=lambda file: file.name)
def test_every_column_is_described_and_every_described_column_is_there(finished, file):
    name = file.name.format(level="guide", mode="conservative")
    for path in (finished.folder / "results" / "tiny").rglob(name):
        if file.name == "cells.parquet" and (path.parent.name == "input") != (file.where == "input"):
            continue
        actual, patterns = held(path), described(file, "guide")
        strange = [one for one in actual if not any(fnmatch(one, pattern) for pattern in patterns)]
        assert strange == [], f"{path} is not wholly described in fatewalk.run.registry"
        if path.suffix in (".parquet", ".csv"):
            absent = [p for p in patterns if not any(fnmatch(one, p) for one in actual)]
            assert [p for p in absent if p not in OPTIONAL] == []


def test_few_files_at_the_top_and_few_jobs(finished):
    at_top = [path for path in finished.path(".").iterdir() if path.is_file()]
    assert len(at_top) <= 40
    # fit and design lie beside the runs, and a run says which are its own
    used = json.loads(finished.path("run.json").read_text())
    for kind, name in (("designs", used["design"]), ("fits", used["fit"])):
        assert (finished.folder / "results" / "tiny" / kind / name).is_dir()
    jobs = list((finished.folder / "results" / "benchmarks").rglob("*.tsv"))
    assert len(jobs) == 12


def test_the_fit_converged_and_finds_the_strong_genes(finished):
    card = json.loads(finished.path("fit_card.json").read_text())
    assert card["status"] == "converged"
    assert card["device"] == "cpu"
    recovery = pd.read_csv(finished.path("contrast=MES/recovery_by_day.csv")).set_index("day")
    assert recovery.loc["overall", "correlation"] > 0.8
    hits = pd.read_csv(finished.path("hits_ranked.csv"))
    assert hits["hit_anyday"].any()
    assert not {"provisional", "uncentred"} & set(hits)


# ------------------------------------------------------------------ the contract


def test_tables_of_a_laplace_fit_are_those_recorded(fresh):
    fresh.changed(fit={"family": "laplace"}, calls=AS_FIRST).finish(*WITH_TABLES)
    assert differences(RECORDED / "laplace", fresh.path(".")) == []


@pytest.mark.parametrize("family", ["laplace", "structured"])
def test_posteriors_are_near_those_of_the_first_edition(finished, family):
    """The tail of the scales came later, and what it changed is little; samples had no own levels."""
    design = load_design(finished.path("design/design.pt"))
    model = ModelConfig(**TINY["model"], priors={"s_rep_day": 0})
    posterior, _, _ = fit_effects(design, model, FitConfig(family=family), progress=False)
    now = posterior_moments(posterior, design, TINY["export"]["draws"], seed=1)  # the same draws
    with np.load(RECORDED / "first_edition" / f"{family}_theta_posterior_summary.npz") as before:
        moved = np.abs(now.theta_mean - before["theta_mean"]) / before["theta_sd"]
        assert moved.max() < 0.1
        np.testing.assert_allclose(now.theta_sd, before["theta_sd"], rtol=0.03)


def test_every_stage_after_a_recorded_fit_makes_the_same_numbers(finished, tmp_path):
    workflow = finished.copied_to(tmp_path / "copy").changed(calls=AS_FIRST)
    fit = (
        workflow.folder
        / "results"
        / "tiny"
        / "fits"
        / json.loads(finished.path("run.json").read_text())["fit"]
    )
    shutil.rmtree(workflow.path("."))
    shutil.rmtree(next(fit.glob("draws=*")))
    for path in (RECORDED / "fit").iterdir():
        shutil.copy(path, fit)
    (fit / "manifest.json").unlink()  # fits of that time had none
    card = json.loads((fit / "fit_card.json").read_text())  # whose design was the same, but not its file
    design = next(fit.parents[1].glob("designs/*/design.pt"))
    card["hash_of_config_and_design"] = hash_of_config_and_design(card["config"], design)
    (fit / "fit_card.json").write_text(json.dumps(card))
    workflow.finish(*WITH_TABLES, "--rerun-triggers", "mtime")
    assert differences(RECORDED / "structured", workflow.path(".")) == []


def test_the_structured_fit_stays_within_a_fiftieth_of_an_sd(finished):
    name = "theta_posterior_summary.npz"
    with np.load(RECORDED / "structured" / name) as before, np.load(finished.path(name)) as now:
        moved = np.abs(now["theta_mean"] - before["theta_mean"]) / before["theta_sd"]
        assert moved.max() < 0.02
        np.testing.assert_allclose(now["theta_sd"], before["theta_sd"], rtol=0.02)


# ------------------------------------------------------------------ new tables


def test_hits_are_said_in_words(finished):
    hits = pd.read_csv(finished.path("hits.csv"))
    ranked = pd.read_csv(finished.path("hits_ranked.csv"))
    assert set(hits["gene"]) == set(ranked.loc[ranked["hit_anyday"], "gene"])  # two fates: one contrast
    assert set(hits["fate"]) == {"MES"}
    assert set(hits["also_moved"]) == {"EC"}
    assert set(hits["who_moved"]) == {"cannot be told"}
    assert hits.shape[1] < 25
    assert set(hits["direction"]) <= {"gain", "loss", "gain then loss", "loss then gain"}
    labels = {day["label"] for day in json.loads(finished.path("design_report.json").read_text())["days"]}
    assert labels == {"day0", "day2"}
    assert {day for days in hits["active_days"] for day in days.split("; ")} <= labels
    assert (hits["effect_low"] < hits["effect"]).all()
    assert (hits["effect"] < hits["effect_high"]).all()
    row, of_gene = hits.iloc[0], ranked.set_index("gene").loc[hits["gene"].iloc[0]]
    day = {"day0": "d0", "day2": "d1"}[row["strongest_day"]]
    assert row["effect"] == pytest.approx(of_gene[f"postmean_{day}"], abs=0.01)  # from draws
    assert row["lfsr"] == pytest.approx(of_gene["min_lfsr_among_active"], rel=0.1, abs=1e-9)
    assert hits["lfsr"].is_monotonic_increasing
    # points, odds and lfsr of a row say the same; the average over cells by the posterior is close
    assert (np.sign(hits["percent_points_low"]) == np.sign(hits["effect_low"])).all()
    assert (np.sign(hits["percent_points_high"]) == np.sign(hits["effect_high"])).all()
    change = pd.read_csv(finished.path("fate_probability_change.csv")).set_index(["gene", "fate"])
    assert row["percent_points"] == pytest.approx(change.loc[(row["gene"], "MES"), f"change_{day}"], abs=3)


def test_all_effects_stand_in_one_tidy_table(finished):
    effects = pd.read_parquet(finished.path("effects.parquet"))
    assert list(effects) == [
        "level", "gene", "guide", "scale", "fate", "day", "estimate", "se", "posterior_mean", "posterior_sd",
        "mash_mean", "mash_sd", "percent_points", "percent_points_low", "percent_points_high", "lfsr",
        "plarge", "p_value", "called", "prob_moved", "n_cells",
    ]  # fmt: skip
    sizes = effects.groupby(["scale", "level"]).size().to_dict()
    assert sizes == {
        ("contrast", "gene"): 12 * 2, ("contrast", "guide"): 36 * 2,
        ("fate", "gene"): 12 * 2 * 2, ("fate", "guide"): 36 * 2 * 2,
    }  # fmt: skip
    for column in ("prob_moved", "percent_points"):
        assert effects[column].isna().eq(effects["scale"] == "contrast").all()
    of_fates = (effects["scale"] == "fate") & (effects["level"] == "gene")
    assert effects["p_value"].notna().eq(of_fates).all()
    assert effects["p_value"].dropna().between(0, 1).all()
    genes = effects[(effects["level"] == "gene") & (effects["scale"] == "contrast")].set_index(
        ["gene", "day"]
    )
    ranked = pd.read_csv(finished.path("hits_ranked.csv")).set_index("gene")
    table = pd.read_csv(finished.path("gene_daywise_for_mash.csv")).set_index("gene")
    for gene in ranked.index:
        assert genes.loc[(gene, "day2"), "plarge"] == pytest.approx(ranked.loc[gene, "plarge_d1"])
        assert genes.loc[(gene, "day0"), "posterior_sd"] == pytest.approx(table.loc[gene, "se_d0"])
        assert genes.loc[(gene, "day0"), "called"] == ("d0" in str(ranked.loc[gene, "active_days"]))
    guides = effects[effects["level"] == "guide"]
    assert guides["called"].isna().all()
    assert guides["plarge"].between(0, 1).all()


def test_hits_are_ranked_from_what_fit_mash_kept(finished, tmp_path):
    """Other numbers in its file, and the same tables and mixtures: the calls follow the file."""
    workflow = finished.copied_to(tmp_path / "copy")
    best, last = pd.read_csv(workflow.path("hits_ranked.csv"))["gene"].iloc[[0, -1]]
    for level in ("gene", "guide"):
        path = workflow.path(f"contrast=MES/shrunk_{level}.npz")
        kept = Daywise.load(path)
        kept["lfsr_mash_fates"][kept["gene"] == best] = 0.75
        kept["plarge_mash_fates"][kept["gene"] == best] = 0.5
        kept["lfsr_mash_fates"][kept["gene"] == last] = 2.0**-100
        kept["plarge_mash_fates"][kept["gene"] == last] = 1.0
        if level == "gene":
            kept["early_mash_fates"][kept["gene"] == last] = 2.0
        kept.save(path)
        enter(workflow.path("."), "fit_mash", [path], part=True)  # else it is taken for damaged
    workflow.finish("all_hits")
    ranked = pd.read_csv(workflow.path("hits_ranked.csv")).set_index("gene")
    assert ranked.index[0] == last
    assert ranked.loc[last, ["lfsr_d0", "plarge_d1", "pattern"]].tolist() == [2.0**-100, 1.0, "early"]
    assert not ranked.loc[best, "hit_anyday"]
    effects = pd.read_parquet(workflow.path("effects.parquet"))
    of_guides = (effects["level"] == "guide") & (effects["scale"] == "contrast")
    of_last = effects[of_guides & (effects["gene"] == last)]
    assert (of_last["plarge"] == 1.0).all()
    assert (of_last["lfsr"] == 2.0**-100).all()


def test_the_verdict_has_values_limits_and_words(finished):
    verdict = json.loads(finished.path("verdict.json").read_text())
    assert verdict["verdict"] == "ok"
    for item in verdict["fit"]["criteria"].values():
        assert item["met"] is (item["value"] <= item["limit"])
        assert item["words"]
    assert verdict["delta"]["max_abs_delta_mean"] <= verdict["delta"]["limit"]
    assert verdict["delta"]["words"] == "guide deviations are centred within genes"


def test_every_log_says_what_went_in_and_came_out(finished):
    logs = list((finished.folder / "results" / "logs").rglob("*.log"))
    assert len(logs) == 13
    for log in logs:
        lines = log.read_text().splitlines()
        assert lines, log
        assert all(" INFO " in line or " WARNING " in line for line in lines), log


def test_no_temporary_file_is_left(finished):
    left = [p for p in (finished.folder / "results").rglob(".*") if p.is_file()]
    assert [p for p in left if p.name != ".snakemake_timestamp"] == []
    assert not list((finished.folder / "results").rglob("checkpoint-*"))


def test_report_builds_without_network(finished):
    finished.finish("--report", "report.zip")
    assert (finished.folder / "report.zip").stat().st_size > 100_000


# ------------------------------------------------------------------ several contrasts, several engines

FATES = ["EC", "MES", "NEU"]
SCREEN = TINY["datasets"]["tiny"]["simulate"] | {"cells": 900, "fates": FATES}
THREE = TINY | {
    "datasets": {"tiny": {"simulate": SCREEN}},
    "model": {"fates": FATES},
    "fit": {"max_steps": 100, "require": "none"},
}


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Three fates, to the end."""
    workflow = Workflow(tmp_path_factory.mktemp("three"), THREE)
    workflow.finish()
    return workflow


def test_more_contrasts_need_no_more_jobs(three):
    assert len(list((three.folder / "results" / "benchmarks").rglob("*.tsv"))) == 12
    for figure in ("heatmap", "trajectories", "volcano", "guides", "recovery"):
        assert three.path(f"figures/{figure}.png").is_file()
        assert three.path(f"figures/overview_{figure}.png").is_file()
    hits = three.path("hits_ranked.csv").read_bytes()
    assert hits == three.path("contrast=MES/hits_ranked.csv").read_bytes()
    assert hits != three.path("contrast=NEU/hits_ranked.csv").read_bytes()
    effects = pd.read_parquet(three.path("effects.parquet"))
    assert list(effects["fate"].unique()) == ["EC", "MES", "NEU"]
    assert list(effects.loc[effects["scale"] == "contrast", "fate"].unique()) == ["MES", "NEU"]
    assert three.planned("all_figures") == {"plot_contrast", "all_figures"}


def test_another_primary_contrast_is_copied_to_the_top_without_a_new_fit(three, tmp_path):
    other = three.copied_to(tmp_path / "copy").changed(model={"contrast_fate": "NEU"})
    again = {"check_delta", "export_effects", "fit_mash", "certify", "rank_hits", "evaluate_recovery"}
    assert other.planned() == again | {"plot_figures", "write_report", "all"}
    other.finish("all_hits")
    hits = other.path("hits_ranked.csv").read_bytes()
    assert hits == other.path("contrast=NEU/hits_ranked.csv").read_bytes()
    assert other.planned("all_hits") == set()


OTHER_ENGINE = """#!{python}
# Stands for Rscript and scripts/run_mashr.R, with other numbers.
import sys
sys.path.insert(0, "{source}")
from fatewalk.config import MashConfig
from fatewalk.core.files import write_json
from fatewalk.calls.shrink import fit_mash_table
from fatewalk.core.tables import read_table, write_table

options = dict(zip(sys.argv[3::2], sys.argv[4::2]))
table = read_table(options["--table"], ["gene"], text=["gene"])
found = fit_mash_table(table, MashConfig(null_weight=500), options["--mode"], "stub")
write_table(found.table, options["--output"])
write_json(found.mixture, options["--summary"])
"""


@pytest.fixture
def with_stub(tmp_path):
    """PATH on which Rscript is a stand-in."""
    programs = tmp_path / "bin"
    programs.mkdir()
    stub = OTHER_ENGINE.format(python=sys.executable, source=ROOT / "src")
    (programs / "Rscript").write_text(stub)
    (programs / "Rscript").chmod(0o755)
    return f"{programs}:{os.environ['PATH']}"


def test_engines_stand_side_by_side(finished, tmp_path, with_stub):
    workflow = finished.copied_to(tmp_path / "copy").changed(mash={"compare_engines": True})
    before = workflow.path("mash_gene_conservative.csv").read_bytes()
    workflow.finish("all_hits", path=with_stub)
    assert workflow.path("mash_gene_conservative.csv").read_bytes() == before
    other = pd.read_csv(workflow.path("contrast=MES/engine=mashr/mash_gene_conservative.csv"))
    table = pd.read_csv(workflow.path("mash_mode_comparison.csv"))
    assert table["agree_engines_conservative"].any()
    assert (table["postmean_conservative"] != table["postmean_conservative_mashr"]).any()
    first = table["day"] == "d0"
    assert table.loc[first, "lfsr_conservative_mashr"].tolist() == other["lfsr_d0"].tolist()


def test_files_of_a_mode_that_is_named_no_more_are_removed(finished, tmp_path):
    both = finished.copied_to(tmp_path / "copy").changed(mash={"modes": ["conservative", "enriched"]})
    both.finish("all_hits", "all_figures")
    enriched = [
        both.path(name) for name in ("mash_gene_enriched.csv", "contrast=MES/mash_guide_enriched.json")
    ]
    figure = both.path("contrast=MES/figures/heatmap.png")
    assert all(path.exists() for path in [*enriched, figure])
    one = both.changed(mash={"modes": ["conservative"]}, calls={"fdr": 0.01})
    one.finish("all_hits")
    assert not any(path.exists() for path in [*enriched, figure])  # nor are figures of the earlier calls left
    names = json.loads(one.path("manifest.json").read_text())
    assert not [name for name in names if "enriched" in name or name.startswith("contrast=MES/figures/")]


def test_tables_by_r_are_published_and_entered(finished, tmp_path, with_stub):
    workflow = finished.copied_to(tmp_path / "copy").changed(
        mash={"engine": "mashr", "compare_engines": True}
    )
    workflow.finish("all_hits", path=with_stub)
    table = workflow.path("mash_gene_conservative.csv")
    assert table.read_bytes() == workflow.path("contrast=MES/mash_gene_conservative.csv").read_bytes()
    beside = workflow.path("contrast=MES/engine=python/mash_gene_conservative.csv")
    assert table.read_bytes() != beside.read_bytes()
    manifest = json.loads(workflow.path("manifest.json").read_text())
    assert manifest["mash_guide_conservative.csv"]["stage"] == "run_mashr"
    assert manifest["contrast=MES/mash_likelihood_gene.csv"]["stage"] == "fit_mash"

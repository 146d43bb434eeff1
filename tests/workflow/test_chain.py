"""The tiny screen end to end, then partial reruns."""

import copy
import json
import os
import shutil
import sys
from dataclasses import replace

import pandas as pd
import pytest

from tests.workflow.conftest import TINY, Workflow

PRIMARY = [
    "gene_daywise_for_mash.csv", "guide_daywise_for_mash.csv", "guide_concordance.csv",
    "gene_daywise_likelihood.csv", "guide_daywise_likelihood.csv",
    "mash_gene_conservative.csv", "mash_guide_conservative.csv", "gene_from_guide_mash_conservative.csv",
    "mash_likelihood_gene.csv", "mash_likelihood_guide.csv", "gene_from_guide_likelihood.csv",
    "mash_mode_comparison.csv", "hits_ranked.csv", "daywise_confusion.csv", "pred_call_summary.json",
    "recovery_by_day.csv",
    "qc_delta_mean_by_gene.csv", "qc_theta_beta_offset_by_gene.csv",
]  # fmt: skip


def changed(workflow, **sections):
    """The same folder with some keys changed."""
    config = copy.deepcopy(workflow.config)
    for section, keys in sections.items():
        config.setdefault(section, {}).update(keys)
    return replace(workflow, config=config)


def test_every_agreed_file_is_there(finished):
    for name in [*PRIMARY, "theta_posterior_summary.npz", "delta_posterior_summary.npz",
                 "pairwise_fate_effects.csv", "fate_probability_change.csv", "fit_card.json",
                 "fit/likelihood.npz", "contrast=MES/mash_error_covariance.npz",
                 "fit_trace.csv", "design_report.json", "qc_delta_verdict.json"]:  # fmt: skip
        assert finished.path(name).is_file(), name
    for name in PRIMARY:
        assert finished.path(name).read_bytes() == finished.path(f"contrast=MES/{name}").read_bytes()
    for figure in ("heatmap", "trajectories", "volcano", "delta", "recovery"):
        for suffix in ("png", "pdf"):
            assert finished.path(f"contrast=MES/plots/{figure}.{suffix}").stat().st_size > 5000


def test_the_fit_converged_and_finds_the_strong_genes(finished):
    card = json.loads(finished.path("fit_card.json").read_text())
    assert card["status"] == "converged"
    assert card["device"] == "cpu"
    recovery = pd.read_csv(finished.path("recovery_by_day.csv")).set_index("day")
    assert recovery.loc["overall", "correlation"] > 0.8
    hits = pd.read_csv(finished.path("hits_ranked.csv"))
    assert hits["hit_anyday"].any()
    assert not {"provisional", "uncentred"} & set(hits)


def test_a_second_run_does_nothing(finished):
    assert finished.planned() == set()


def test_no_temporary_file_is_left(finished):
    left = [p for p in (finished.folder / "results").rglob(".*") if p.is_file()]
    assert [p for p in left if p.name != ".snakemake_timestamp"] == []


AFTER_CALLS = {"rank_hits", "publish_primary", "evaluate_recovery", "plot_effects", "all"}
AFTER_MASH = AFTER_CALLS | {
    "fit_mash", "fit_mash_likelihood", "aggregate_guides", "aggregate_guides_likelihood", "compare_modes",
}  # fmt: skip
AFTER_GATE = AFTER_MASH | {
    "export_effects", "export_tables", "export_likelihood", "average_fate_change", "plot_recovery",
}  # fmt: skip
AFTER_FIT = AFTER_GATE | {
    "fit_effects", "summarise_posterior", "likelihood_estimates", "check_delta", "plot_convergence",
}  # fmt: skip


@pytest.mark.parametrize(
    ("section", "keys", "expected"),
    [
        ("calls", {"effect_prob_large_min": 0.8}, AFTER_CALLS),
        ("calls", {"effect_size_eps": 0.3}, AFTER_CALLS | {"plot_recovery"}),
        ("calls", {"source": "joint"}, AFTER_CALLS),
        ("calls", {"estimand": "gene"}, AFTER_CALLS | {"fit_mash_likelihood"}),
        ("mash", {"se_inflate": 1.2}, AFTER_MASH),
        ("mash", {"null_z": 1.5}, AFTER_MASH - {"fit_mash_likelihood", "aggregate_guides_likelihood"}),
        (
            "mash",
            {"time_covariances": False},
            AFTER_CALLS | {"fit_mash_likelihood", "aggregate_guides_likelihood"},
        ),
        ("mash", {"compare_engines": True}, {"run_mashr_beside", "compare_modes", "publish_primary", "all"}),
        ("fit", {"require": "none"}, AFTER_GATE),
        ("fit", {"seed": 2}, AFTER_FIT),
        ("fit", {"gpus": 1}, set()),
        ("fit", {"threads": 2}, set()),
        ("fit", {"checkpoint_minutes": 1}, set()),
        ("fit", {"dense_limit": 500}, AFTER_FIT),
        ("model", {"time_scale": "gaps"}, AFTER_FIT),
        ("export", {"draws": 300}, AFTER_FIT - {"fit_effects", "likelihood_estimates", "plot_convergence"}),
        ("model", {"priors": {"s_tau": 0.5}}, AFTER_FIT),
        ("design", {"cells_without_guides": "drop"}, AFTER_FIT | {"build_design"}),
        ("design", {"covariates": []}, AFTER_FIT | {"build_design"}),
    ],
)
def test_a_changed_key_reruns_exactly_what_depends_on_it(finished, section, keys, expected):
    assert changed(finished, **{section: keys}).planned() == expected


def test_a_section_inside_the_dataset_entry_reruns_no_more_than_at_the_top(finished):
    config = copy.deepcopy(finished.config)
    config["datasets"]["tiny"]["calls"] = {"effect_prob_large_min": 0.8}
    assert replace(finished, config=config).planned() == AFTER_CALLS


def test_another_primary_contrast_is_copied_to_the_top_without_a_new_fit(tmp_path):
    config = copy.deepcopy(TINY)
    config["datasets"]["tiny"]["simulate"] |= {"cells": 600, "fates": ["EC", "MES", "NEU"]}
    config |= {"model": {"fates": ["EC", "MES", "NEU"]}, "fit": {"max_steps": 100, "require": "none"}}
    workflow = Workflow(tmp_path, config)
    done = workflow.run("all_hits")
    assert done.returncode == 0, done.text
    other = changed(workflow, model={"contrast_fate": "NEU"})
    assert not {"fit_effects", "summarise_posterior"} & other.planned("all_hits")
    assert other.run("all_hits").returncode == 0
    hits = other.path("hits_ranked.csv").read_bytes()
    assert hits == other.path("contrast=NEU/hits_ranked.csv").read_bytes()
    assert other.planned("all_hits") == set()


def test_forced_fit_redoes_what_depends_on_it(finished):
    assert finished.planned("-R", "fit_effects") == AFTER_FIT


def test_a_rerun_after_one_key_changes_only_its_files(finished, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished.folder, folder)
    workflow = changed(replace(finished, folder=folder), calls={"effect_prob_large_min": 0.5})
    before = {n: workflow.path(n).stat().st_mtime_ns for n in ("fit_card.json", "mash_gene_conservative.csv")}
    done = workflow.run("all_hits")
    assert done.returncode == 0, done.text
    assert before == {name: workflow.path(name).stat().st_mtime_ns for name in before}
    loose, strict = (pd.read_csv(w.path("hits_ranked.csv")) for w in (workflow, finished))
    assert loose["n_active_days"].sum() >= strict["n_active_days"].sum()


OTHER_ENGINE = """#!{python}
# Stands for Rscript and scripts/run_mashr.R, with other numbers.
import sys
from fatewalk.config import MashConfig
from fatewalk.fit_mash import fit_mash_table
from fatewalk.tables import read_table, write_json, write_table

options = dict(zip(sys.argv[3::2], sys.argv[4::2]))
table = read_table(options["--table"], ["gene"], text=["gene"])
out, mixture = fit_mash_table(table, MashConfig(null_weight=500), options["--mode"], "stub")
write_table(out, options["--output"])
write_json(mixture, options["--summary"])
"""


def test_engines_stand_side_by_side(finished, tmp_path):
    folder, programs = tmp_path / "copy", tmp_path / "bin"
    shutil.copytree(finished.folder, folder)
    programs.mkdir()
    (programs / "Rscript").write_text(OTHER_ENGINE.format(python=sys.executable))
    (programs / "Rscript").chmod(0o755)
    workflow = changed(replace(finished, folder=folder), mash={"compare_engines": True})
    before = workflow.path("mash_gene_conservative.csv").read_bytes()
    done = workflow.run("all_hits", path=f"{programs}:{os.environ['PATH']}")
    assert done.returncode == 0, done.text
    assert workflow.path("mash_gene_conservative.csv").read_bytes() == before
    other = pd.read_csv(workflow.path("contrast=MES/engine=mashr/mash_gene_conservative.csv"))
    table = pd.read_csv(workflow.path("mash_mode_comparison.csv"))
    assert table["agree_engines_conservative"].any()
    assert (table["postmean_conservative"] != table["postmean_conservative_mashr"]).any()
    first = table["day"] == "d0"
    assert table.loc[first, "lfsr_conservative_mashr"].tolist() == other["lfsr_d0"].tolist()


def test_report_builds_without_network(finished):
    done = finished.run("--report", "report.zip")
    assert done.returncode == 0, done.text
    assert (finished.folder / "report.zip").stat().st_size > 100_000


def test_a_bad_verdict_stops_the_chain_and_names_the_genes(finished, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished.folder, folder)
    workflow = replace(finished, folder=folder)
    verdict = json.loads(workflow.path("qc_delta_verdict.json").read_text())
    verdict["verdict"] = "bad"
    workflow.path("qc_delta_verdict.json").write_text(json.dumps(verdict))
    done = workflow.run("all_hits", "-R", "export_effects")
    assert done.returncode != 0
    assert "Ten worst genes: Gene" in done.text
    assert "Traceback" not in done.text
    assert not workflow.path("theta_posterior_summary.npz").exists()

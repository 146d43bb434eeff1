"""What the workflow refuses, in one message and without a traceback."""

import copy
import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
import yaml

from tests.workflow.conftest import ROOT

MARKED = [
    "gene_daywise_for_mash.csv",
    "guide_daywise_for_mash.csv",
    "mash_gene_conservative.csv",
    "gene_from_guide_mash_conservative.csv",
    "mash_mode_comparison.csv",
    "hits_ranked.csv",
    "daywise_confusion.csv",
    "recovery_by_day.csv",
    "qc_delta_mean_by_gene.csv",
    "qc_theta_beta_offset_by_gene.csv",
]


def with_fit(workflow, **fit):
    config = copy.deepcopy(workflow.config)
    config["fit"] = fit
    return replace(workflow, config=config)


def test_wrong_keys_are_named_before_anything_runs(fresh):
    config = {**fresh.config, "fit": {"gide": "mean_field"}, "mash": {"engine": "r"}}
    done = replace(fresh, config=config).run()
    assert done.returncode != 0
    assert "config: 2 problems" in done.text
    assert "fit.gide: unknown key, did you mean 'guide'?" in done.text
    assert "mash.engine: found 'r'; allowed: python | mashr" in done.text
    assert "Traceback" not in done.text
    assert not (fresh.folder / "results").exists()


def test_a_fit_that_is_not_converged_exports_nothing_or_is_marked(fresh):
    refused = with_fit(fresh, max_steps=50)
    done = refused.run("all_hits")
    assert done.returncode != 0
    assert "the fit is not converged (status budget" in done.text
    assert "Traceback" not in done.text
    assert fresh.path("fit_card.json").is_file()
    assert not fresh.path("theta_posterior_summary.npz").exists()
    assert not fresh.path("hits_ranked.csv").exists()

    allowed = with_fit(fresh, max_steps=50, require="none")
    done = allowed.run("all_effects", "all_mash", "all_hits", "all_recovery")
    assert done.returncode == 0, done.text
    for name in MARKED:
        assert (pd.read_csv(fresh.path(name))["provisional"] == "budget").all(), name


def test_cuda_without_cuda_fails_loudly(fresh):
    done = with_fit(fresh, device="cuda").run("all_effects")
    assert done.returncode != 0
    assert "this job sees no CUDA device" in done.text
    assert "Traceback" not in done.text


def test_mashr_without_r_is_one_clear_error(fresh, tmp_path):
    config = {**fresh.config, "mash": {"engine": "mashr"}, "fit": {"max_steps": 100, "require": "none"}}
    bare = tmp_path / "bin"  # all of the PATH but Rscript
    bare.mkdir()
    for folder in os.environ["PATH"].split(":"):
        for tool in Path(folder).glob("*"):
            if tool.name != "Rscript" and not (bare / tool.name).is_symlink():
                (bare / tool.name).symlink_to(tool)
    done = replace(fresh, config=config).run("all_mash", path=str(bare))
    assert done.returncode != 0
    assert "need R, and there is no Rscript here" in done.text


def test_examples_and_profiles_are_valid():
    from fatewalk.config import load_config

    for path in (ROOT / "examples").glob("*.yaml"):
        load_config(yaml.safe_load(path.read_text()))
    for path in (ROOT / "profiles").glob("*/profile.yaml"):
        assert yaml.safe_load(path.read_text())
    assert not (ROOT / "profiles" / "default").exists()  # it would replace keys of a user's profile

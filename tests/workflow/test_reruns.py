"""What runs again after a change: for every key of the config, and for runs that share a fit."""

import json
from dataclasses import replace
from typing import Literal, get_args, get_origin

import pandas as pd
import pytest

from fatewalk.config.datasets import SimulatedDataset
from fatewalk.config.keys import keys_of
from fatewalk.config.root import READ_WITH, SECTIONS
from fatewalk.config.simulate import SimulateConfig
from tests.workflow.conftest import TINY
from tests.workflow.plan import planned_jobs

ALL = {"all"}
AFTER_HITS = {"evaluate_recovery", "plot_figures", "write_report"} | ALL
AFTER_RANK = {"rank_hits"} | AFTER_HITS
AFTER_CERTIFY = {"certify"} | AFTER_RANK
AFTER_MASH = {"fit_mash"} | AFTER_CERTIFY
AFTER_EXPORT = {"export_effects"} | AFTER_MASH
AFTER_CHECK = {"check_delta"} | AFTER_EXPORT
AFTER_SUMMARY = {"summarise_posterior", "publish_design"} | AFTER_CHECK  # run.json tells fit and draws
AFTER_FIT = {"fit_effects"} | AFTER_SUMMARY
AFTER_DESIGN = {"build_design"} | AFTER_FIT
AFTER_SCREEN = {"simulate_screen"} | AFTER_DESIGN

#: What a change of each key runs again, beside a value that is not its default.
EXPECTED = {
    "design.min_umi": (1, AFTER_DESIGN),
    "design.cells_without_guides": ("drop", AFTER_DESIGN),
    "design.prob_tolerance": (0.002, AFTER_DESIGN),
    "design.covariates": (["other"], AFTER_DESIGN),
    "model.fates": (["MES", "EC"], AFTER_DESIGN),
    "model.ref_fate": ("MES", AFTER_DESIGN),
    "model.contrast_fate": ("MES", set()),  # the only contrast: its default written out
    "model.center_delta": (False, AFTER_FIT),
    "model.burden_slope": ("shared", AFTER_FIT),
    "model.time_scale": ("gaps", AFTER_FIT),
    **{
        f"model.priors.{name}": (0.3, AFTER_FIT)
        for name in [
            "s_alpha", "s_rep", "s_rep_day", "s_gamma", "s_tau", "s_time", "s_guide", "s_covariate",
            "s_cluster",
        ]
    },
    "fit.family": ("laplace", AFTER_FIT),
    "fit.likelihood_weight": (1.0, AFTER_FIT),
    "fit.dispersion": ("pooled", AFTER_FIT),
    "fit.dense_limit": (500, AFTER_FIT),
    "fit.max_steps": (9000, AFTER_FIT),
    "fit.seed": (2, AFTER_FIT),
    "fit.debug": (True, AFTER_FIT),
    "fit.device": ("cpu", set()),
    "fit.gpus": (1, set()),
    "fit.threads": (2, set()),
    "fit.checkpoint_minutes": (1, set()),
    "fit.require": ("none", AFTER_EXPORT),
    "export.draws": (300, AFTER_SUMMARY),
    "mash.engine": ("mashr", {"run_mashr", "publish_design"} | AFTER_MASH),  # run.json tells modes, engines
    "mash.compare_engines": (True, {"run_mashr_beside", "publish_design"} | AFTER_MASH),
    "mash.modes": (["conservative", "enriched"], {"publish_design"} | AFTER_MASH),
    **{
        f"mash.{name}": (value, AFTER_MASH)
        for name, value in {
            "se_inflate": 1.2, "se_floor": 0.1, "null_correlation": "identity", "null_z": 1.5,
            "eigen_floor": 1e-5, "corr_shrink": 0.1, "null_weight": 5,
            "strong_lfsr": 0.1, "min_strong": 5, "n_pcs": 2,
        }.items()
    },
    "calls.source": ("joint", AFTER_RANK),
    "calls.scale": ("contrast", AFTER_RANK),
    "calls.rule": ("lfsr", AFTER_CERTIFY),
    "calls.fdr": (0.1, AFTER_CERTIFY),
    "calls.fdr_prob_large_min": (0.65, AFTER_CERTIFY),
    "calls.estimand": ("gene", AFTER_MASH),
    "calls.effect_size_eps": (0.3, AFTER_MASH),  # P(|effect| > eps) comes with the fitted mixture
    "calls.effect_prob_large_min": (0.8, AFTER_CERTIFY),
    "calls.lfsr_day": (0.04, AFTER_CERTIFY),
    "calls.anyday_correction": ("fdr", AFTER_CERTIFY),
    "calls.anyday_fdr": (0.1, AFTER_CERTIFY),
    "calls.certificate": ("none", AFTER_CERTIFY),
    "calls.require": ("none", AFTER_RANK),
}  # fmt: skip

#: Values for the keys of `simulate` whose type does not tell one.
SIMULATED = {
    "guides_per_gene": 2, "days": [0, 3], "fates": ["MES", "EC"], "concentration": 20.0,
    "effect_size": [0.5, 1.0], "effect_patterns": {"early": 1}, "clusters": 4, "covariate_effect": 0.2,
    "ntc_share": 0.2, "burden_slope": 0.1, "active_genes": 3, "fate_shares": [2, 1],
    "cluster_shares_guides": None,  # asks for clusters
    "dispersion_by_fate": None,  # asks for soft labels
    "growth": {"Gene001": {"MES": 0.5}}, "label_shrink": 0.5, "guide_dropout": 0.1, "ambient_guides": 0.1,
}  # fmt: skip


def nested(path, value):
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


def another(field):
    """A value that the key does not have by default."""
    if get_origin(field.annotation) is Literal:
        return next(choice for choice in get_args(field.annotation) if choice != field.default)
    return field.default + 1


def test_every_key_stands_in_the_table():
    names = {f"{section}.{key.name}" for section, model in SECTIONS.items() for key in keys_of(model)}
    assert names == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_changed_key_reruns_exactly_what_depends_on_it(finished, name, monkeypatch):
    value, expected = EXPECTED[name]
    if name == "design.covariates":  # as if the screen had one
        monkeypatch.setattr(SimulatedDataset, "carried", value)
    changed = nested(name, value)
    section, _, key = name.partition(".")
    if section == "calls":  # with those of other keys that it is read with
        changed["calls"] = {**READ_WITH.get(key, {}), **changed["calls"]}
    workflow = finished.changed(**changed)
    assert set(planned_jobs(finished.folder, workflow.config)) == expected


@pytest.mark.parametrize("name", [key.name for key in keys_of(SimulateConfig)])
def test_every_key_of_a_simulation_simulates_anew(finished, name):
    value = SIMULATED[name] if name in SIMULATED else another(SimulateConfig.model_fields[name])
    if value is None:
        return
    screen = {**TINY["datasets"]["tiny"]["simulate"], name: value}
    if screen == TINY["datasets"]["tiny"]["simulate"]:
        screen[name] += 1
    workflow = finished.changed(datasets={"tiny": {"simulate": screen}})
    assert set(planned_jobs(finished.folder, workflow.config)) == AFTER_SCREEN


@pytest.mark.parametrize(
    ("target", "last"),
    [
        ("results/tiny/main/hits.csv", set()),
        ("results/tiny/main/mash_gene_conservative.csv", None),  # before the calls
        ("all_report", {"plot_figures", "evaluate_recovery", "write_report", "all_report"}),
        ("all_recovery", {"evaluate_recovery", "all_recovery"}),
        ("results/tiny/main/figures/volcano.png", {"plot_figures"}),
    ],
)
def test_a_new_mode_is_seen_by_every_target_that_rests_on_it(finished, target, last):
    """Also where the target itself has no new file, and no parameter of its own has changed."""
    mash = {"modes": ["enriched", "conservative"], "se_inflate": 1.5}
    workflow = finished.changed(mash=mash)
    jobs = set(planned_jobs(finished.folder, workflow.config, [target]))
    assert jobs == {"publish_design", "fit_mash"} | (
        set() if last is None else {"certify", "rank_hits"} | last
    )


DEFAULTS_WRITTEN_OUT = {
    "model": {"ref_fate": "EC", "contrast_fate": "MES"},
    "design": {"covariates": []},
    "fit": {"gpus": 0, "device": "auto", "likelihood_weight": "auto"},
    "calls": {"effect_size_eps": 0.2},
}


def test_a_second_run_does_nothing_and_neither_do_defaults_written_out(finished):
    assert planned_jobs(finished.folder, finished.config) == {}
    assert planned_jobs(finished.folder, finished.changed(**DEFAULTS_WRITTEN_OUT).config) == {}


def test_a_section_inside_the_dataset_entry_reruns_no_more_than_at_the_top(finished):
    entry = {**TINY["datasets"]["tiny"], "calls": {"fdr_prob_large_min": 0.8}}
    workflow = finished.changed(datasets={"tiny": entry})
    assert set(planned_jobs(finished.folder, workflow.config)) == AFTER_CERTIFY


def test_a_forced_fit_redoes_what_depends_on_it(finished):
    jobs = planned_jobs(finished.folder, finished.config, force=["fit_effects"])
    assert set(jobs) == AFTER_FIT - {"publish_design"}


@pytest.mark.parametrize(
    ("section", "keys", "first"),
    [
        ("calls", {"fdr": 0.01}, "check_delta"),
        ("mash", {"null_weight": 1}, "check_delta"),
        ("fit", {"device": "cpu"}, "check_delta"),
        ("fit", {"require": "none"}, "check_delta"),
        ("export", {"draws": 300}, "summarise_posterior"),
        ("fit", {"seed": 2}, "fit_effects"),
        ("design", {"cells_without_guides": "drop"}, "build_design"),
    ],
)
def test_a_second_run_shares_design_fit_and_draws_as_far_as_they_are_the_same(finished, section, keys, first):
    """Of what is before the check nothing runs but from the first stage that reads the key."""
    chain = [
        "build_design",
        "fit_effects",
        "summarise_posterior",
        "check_delta",
        "export_effects",
        "fit_mash",
    ]
    workflow = finished.changed(runs={"second": {section: keys}})
    jobs = planned_jobs(finished.folder, workflow.config)
    of_run = AFTER_CHECK | {"publish_design", "write_index"}  # several runs have an index
    assert jobs == dict.fromkeys([*chain[chain.index(first) :], *of_run], 1)


def test_a_second_run_whichever_came_first_makes_the_same_as_alone(finished, tmp_path):
    both = finished.copied_to(tmp_path / "copy").changed(runs={"loose": {"calls": {"fdr": 0.5}}})
    posterior = next((both.folder / "results" / "tiny" / "fits").glob("*/posterior.pt"))
    before = posterior.stat().st_mtime_ns
    both.finish("all_hits")
    assert posterior.stat().st_mtime_ns == before
    assert both.path("run.json", "loose").read_text().count(posterior.parent.name) == 2
    gene = "gene_daywise_for_mash.csv"
    assert both.path(gene, "loose").read_bytes() == both.path(gene).read_bytes()
    loose, strict = (pd.read_csv(both.path("hits_ranked.csv", run)) for run in ("loose", "main"))
    assert loose["n_active_days"].sum() >= strict["n_active_days"].sum()
    # the run that came second alone, as main: nothing before the calls is made again
    swapped = replace(both, config=finished.changed(calls={"fdr": 0.5}).config)
    assert set(planned_jobs(both.folder, swapped.config, ["all_hits"])) == {
        "certify",
        "rank_hits",
        "all_hits",
    }


def test_a_rerun_after_one_key_changes_only_its_files(finished, tmp_path):
    workflow = finished.copied_to(tmp_path / "copy").changed(calls={"fdr": 0.9, "fdr_prob_large_min": 0.1})
    kept = ("fit_card.json", "mash_gene_conservative.csv")
    before = {name: workflow.path(name).stat().st_mtime_ns for name in kept}
    old = json.loads(workflow.path("manifest.json").read_text())
    workflow.finish("all_hits")
    assert before == {name: workflow.path(name).stat().st_mtime_ns for name in kept}
    new = json.loads(workflow.path("manifest.json").read_text())
    changed = {name for name in new if new[name] != old[name]}
    assert {old[name]["stage"] for name in changed} <= {"certify", "rank_hits"}
    assert "rank_hits" in {old[name]["stage"] for name in changed}


FATES = ["EC", "MES", "NEU"]


def test_the_ablation_draws_and_fits_its_own_screens(finished):
    workflow = finished.changed(ablation={"dataset": "tiny", "seeds": 2})
    jobs = planned_jobs(finished.folder, workflow.config, ["all_ablation"])
    # two screens, each with a run main and a run uncentred on the same design
    assert (jobs["simulate_screen"], jobs["build_design"], jobs["fit_effects"]) == (2, 2, 4)
    assert (jobs["rank_hits"], jobs["evaluate_recovery"], jobs["tabulate_ablation"]) == (4, 4, 1)
    assert "plot_figures" not in jobs


def test_a_second_kind_of_run_has_rules_of_its_own(finished, tmp_path):
    """Another set of fates: the rules that write files by contrast stand a second time, numbered."""
    screen = {**TINY["datasets"]["tiny"]["simulate"], "fates": FATES, "cells": 800}
    second = {"simulate": screen, "model": {"fates": FATES}, "fit": {"family": "laplace"}}
    workflow = finished.changed(datasets={"second": second})
    jobs = planned_jobs(finished.folder, workflow.config)
    numbered = {
        f"{stage}_2"
        for stage in (
            "check_delta", "export_effects", "fit_mash", "certify", "rank_hits", "evaluate_recovery",
            "plot_figures", "write_report",
        )
    }  # fmt: skip
    shared = {"simulate_screen", "build_design", "publish_design", "fit_effects", "summarise_posterior"}
    assert set(jobs) == numbered | shared | {"write_index"} | ALL
    # one rule of the second data set again, in earnest
    both = workflow.copied_to(tmp_path / "copy")
    both.finish("results/second/main/hits.csv")
    hits = both.folder / "results" / "second" / "main" / "hits.csv"
    before, of_first = hits.stat().st_mtime_ns, both.path("hits.csv").stat().st_mtime_ns
    text = both.finish("results/second/main/hits.csv", "-R", "rank_hits_2", "--quiet", "host")
    assert text.count("Rank the hits of second") == 1
    assert "mash on the tables" not in text
    assert hits.stat().st_mtime_ns > before
    assert both.path("hits.csv").stat().st_mtime_ns == of_first


def test_a_sweep_runs_for_its_target_alone_and_refits_only_what_its_keys_touch(finished):
    """Runs of a key of the calls share fit and draws with main; that of a prior has a fit of its own."""
    workflow = finished.changed(sweep={"model.priors.s_tau": [2], "calls.fdr": [0.01, 0.2]})
    assert planned_jobs(finished.folder, workflow.config) == {}
    jobs = planned_jobs(finished.folder, workflow.config, ["all_sweep"])
    assert (jobs["fit_effects"], jobs["summarise_posterior"], jobs["check_delta"]) == (1, 1, 3)
    assert (jobs["rank_hits"], jobs["evaluate_recovery"], jobs["tabulate_sweep"]) == (3, 3, 1)
    assert "plot_figures" not in jobs
    assert "build_design" not in jobs


def test_a_bootstrap_has_many_refits_in_a_job_and_more_of_them_add_jobs(finished):
    jobs = planned_jobs(finished.folder, finished.config, ["all_bootstrap"])
    assert jobs == {"refit_draws": 10, "tabulate_bootstrap": 1, "all_bootstrap": 1}
    fewer = finished.changed(resample={"times": 50}).config
    assert planned_jobs(finished.folder, fewer, ["all_bootstrap"])["refit_draws"] == 3
    one = finished.changed(resample={"unit": "leave_one_replicate_out"}).config
    assert planned_jobs(finished.folder, one, ["all_bootstrap"])["refit_draws"] == 1


def test_a_bootstrap_in_earnest(finished, tmp_path):
    workflow = finished.copied_to(tmp_path / "copy").changed(resample={"unit": "replicates", "times": 10})
    workflow.finish("all_bootstrap")
    table = pd.read_csv(workflow.path("bootstrap.csv")).set_index(["gene", "contrast", "day"])
    assert (table["refits"] == 10).all()
    assert (table["bootstrap_sd"] > 0).all()
    effects = pd.read_parquet(workflow.path("effects.parquet"))
    of_genes = effects[(effects["level"] == "gene") & (effects["scale"] == "contrast")]
    same = of_genes.rename(columns={"fate": "contrast"}).set_index(["gene", "contrast", "day"])
    assert (table["se"] == same["se"]).all()
    hits = pd.read_csv(workflow.path("bootstrap_hits.csv"))
    assert hits["called"].sum() == len(pd.read_csv(workflow.path("hits.csv")))
    assert json.loads(workflow.path("bootstrap_summary.json").read_text())["unit"] == "replicates"
    assert planned_jobs(workflow.folder, workflow.config, ["all_bootstrap"]) == {}


def test_label_sets_are_imported_fitted_and_compared(tmp_path):
    """Guides and days are read anew for each; what a second set needs, it alone makes."""
    (tmp_path / "screen.h5ad").touch()
    entry = {"anndata": "screen.h5ad", "fate_key": ["lineages_fwd", "seed_2", "seed_3"]}
    config = {"datasets": {"screen": entry}, "model": {"fates": ["A", "B"]}}
    jobs = planned_jobs(tmp_path, config)
    assert (jobs["import_screen"], jobs["import_labels"]) == (1, 2)
    assert jobs["build_design"] == jobs["fit_effects"] == jobs["rank_hits"] == jobs["plot_figures"] == 3
    assert jobs["compare_labels"] == 1
    one = planned_jobs(tmp_path, {**config, "datasets": {"screen": {**entry, "fate_key": "lineages_fwd"}}})
    assert not {"import_labels", "compare_labels"} & set(one)

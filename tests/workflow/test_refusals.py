"""What the workflow refuses, in one message at the end and without a traceback; no stale tables beside it."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pandas as pd
import yaml

from fatewalk.run.manifest import enter
from tests import forked
from tests.workflow.conftest import ROOT

MARKED = [
    "gene_daywise_for_mash.csv",
    "guide_daywise_for_mash.csv",
    "mash_gene_conservative.csv",
    "gene_from_guide_mash_conservative.csv",
    "mash_mode_comparison.csv",
    "hits_ranked.csv",
    "daywise_confusion.csv",
    "contrast=MES/recovery_by_day.csv",
    "contrast=MES/mash_likelihood_gene.csv",
    "qc_delta_mean_by_gene.csv",
    "qc_theta_beta_offset_by_gene.csv",
]


def test_wrong_keys_are_named_before_anything_runs(fresh):
    config = {**fresh.config, "fit": {"famly": "laplace"}, "mash": {"engine": "r"}}
    done = replace(fresh, config=config).run()
    assert done.returncode != 0
    assert "config.yaml: 2 problems" in done.text
    assert "fit.famly: unknown key (did you mean 'family'?)" in done.text
    assert "mash.engine: found 'r'; allowed: python | mashr" in done.text
    assert "Traceback" not in done.text
    assert not (fresh.folder / "results").exists()


def test_a_config_is_read_before_snakemake_reads_it(fresh, tmp_path):
    """Its own file, a key of the command line on top of it, and a file with a key twice."""
    assert "results/tiny" not in fresh.finish("--dry-run", "--config", "results_dir=other")
    done = fresh.run("--dry-run", "--config", "fit={famly: laplace}")
    assert "config.yaml: 1 problem\n  - fit.famly: unknown key (did you mean 'family'?)" in done.text
    twice = tmp_path / "twice.yaml"
    twice.write_text("datasets: {a: {simulate: {}}}\nfit: {seed: 1}\nfit: {seed: 2}\n")
    done = fresh.run("--dry-run", "--configfile", str(twice))
    assert done.returncode != 0
    assert f"{twice}: 1 problem\n  - line 3: key 'fit' occurs twice, before in line 2" in done.text
    assert "Traceback" not in done.text


def reason_of(text):
    """What stands after Snakemake's own closing lines."""
    return text.split("At least one job did not complete successfully.\n")[-1].strip()


def test_a_fit_that_is_not_converged_exports_nothing_or_is_marked(fresh):
    done = fresh.changed(fit={"max_steps": 50}).run("all_hits")
    assert done.returncode != 0
    last = reason_of(done.text)
    assert last.startswith("tiny/main: fit not converged (status budget)")
    assert "fatewalk: export_effects failed (log: results/logs/export_effects/tiny/main.log)" in last
    assert "the fit is not converged (status budget" in last
    assert done.text.count("the fit is not converged (status budget") == 1
    assert "Traceback" not in done.text
    assert fresh.path("fit_card.json").is_file()
    assert json.loads(fresh.path("verdict.json").read_text())["fit"]["verdict"] == "bad"
    assert not fresh.path("theta_posterior_summary.npz").exists()
    assert not fresh.path("hits_ranked.csv").exists()
    assert not fresh.path("stale").exists()
    assert "nothing was exported of this fit" in last
    # and the same words when it is tried again, where nothing but the export is left to do
    again = fresh.changed(fit={"max_steps": 50}).run("all_hits")
    assert "tiny/main: fit not converged (status budget)" in reason_of(again.text)

    allowed = fresh.changed(fit={"max_steps": 50, "require": "none"})
    text = allowed.finish("all_effects", "all_mash", "all_hits", "all_recovery")
    assert "PROVISIONAL, not to be published" in text

    def marked(name):
        return (pd.read_csv(fresh.path(name))["provisional"] == "budget").all()

    assert [name for name in [*MARKED, "hits.csv"] if not marked(name)] == []
    assert (pd.read_parquet(fresh.path("effects.parquet"))["provisional"] == "budget").all()

    # asked for a converged fit again, the provisional tables do not stay, nor does the manifest name them
    assert fresh.changed(fit={"max_steps": 50}).run("all_hits").returncode != 0
    assert not fresh.path("hits.csv").exists()
    assert fresh.path("stale/hits.csv").exists()
    manifest = json.loads(fresh.path("manifest.json").read_text())
    assert all(fresh.path(name).is_file() for name in manifest)


LOOSE = {"loose": {"calls": {"fdr": 0.5}}}


def test_tables_of_another_fit_are_set_aside_in_every_run_of_a_refused_one(finished, tmp_path):
    both = finished.copied_to(tmp_path / "copy").changed(runs=LOOSE)
    both.finish("all_hits")
    before = {
        run: {str(p.relative_to(both.path("", run))) for p in both.path("", run).rglob("*") if p.is_file()}
        for run in ("main", "loose")
    }
    manifest = json.loads(both.path("manifest.json").read_text())
    made = {name: manifest[name]["stage"] if name in manifest else "" for name in before["main"]}
    refused = both.changed(fit={"max_steps": 5})
    done = refused.run("all_hits")  # ends at the first refusal
    assert done.returncode != 0
    now = {"verdict.json", "fit_card.json", "fit_trace.csv", "qc_delta_mean_by_gene.csv"}
    now |= {"qc_theta_beta_offset_by_gene.csv", "manifest.json", "run.json", "settings.json", "summary.txt"}
    now |= {f"convergence.{suffix}" for suffix in ("png", "pdf", "svg")}
    for run, names in before.items():
        card = json.loads(refused.path("fit_card.json", run).read_text())
        assert card["status"] == "budget"
        assert refused.path("figures/convergence.png", run).is_file()
        there = {p for p in refused.path("", run).iterdir() if p.is_file()}
        assert {path.name for path in there} <= now | {"design_report.json", "survival.csv"}, run
        stale = refused.path("stale", run)
        assert str(stale.relative_to(refused.folder)) in done.text
        assert "stale" in refused.path("summary.txt", run).read_text()
        kept = {str(p.relative_to(stale)) for p in stale.rglob("*") if p.is_file()}
        unmoved = {name for name in names if name.startswith("design/") or Path(name).name in now}
        assert kept >= names - unmoved - {"design_report.json", "survival.csv"}, run
        manifest = json.loads(refused.path("manifest.json", run).read_text())
        assert len({entry["fit"] for entry in manifest.values()}) == 1
        assert all(refused.path(name, run).is_file() for name in manifest)

    # the fit that was there before, again: nothing is fitted, and the hits are back
    assert not {"fit_effects", "summarise_posterior"} & both.planned("all_hits")
    both.finish("all_hits")
    for run, names in before.items():
        there = {str(p.relative_to(both.path("", run))) for p in both.path("", run).rglob("*") if p.is_file()}
        after_hits = ("evaluate_recovery", "write_report")
        later = {name for name in names if "figures/" in name or made[name] in after_hits}
        assert names - later <= there
        assert not both.path("stale", run).exists()


def test_the_manifest_tells_stage_fit_and_content_of_every_file(finished):
    manifest = json.loads(finished.path("manifest.json").read_text())
    used = json.loads(finished.path("run.json").read_text())
    files = {str(p.relative_to(finished.path(""))) for p in finished.path("").rglob("*") if p.is_file()}
    assert set(manifest) == files - {"manifest.json", "settings.json", "summary.txt"}
    assert {entry["fit"] for entry in manifest.values()} == {used["fit"]}
    assert manifest["hits.csv"]["stage"] == "rank_hits"
    assert manifest["contrast=MES/gene_daywise_for_mash.csv"]["stage"] == "export_effects"
    digest = subprocess.run(["sha256sum", finished.path("hits.csv")], capture_output=True, text=True)
    assert manifest["hits.csv"]["sha256"] == digest.stdout.split()[0]


def test_a_bad_verdict_stops_the_chain_and_names_the_genes(finished, tmp_path):
    workflow = finished.copied_to(tmp_path / "copy")
    verdict = json.loads(workflow.path("verdict.json").read_text())
    verdict["delta"]["verdict"] = "bad"
    workflow.path("verdict.json").write_text(json.dumps(verdict))
    enter(workflow.path("."), "check_delta", [workflow.path("verdict.json")], part=True)
    done = workflow.run("all_hits", "-R", "export_effects")
    assert done.returncode != 0
    assert "Ten worst genes: Gene" in reason_of(done.text)
    assert "Traceback" not in done.text
    assert not workflow.path("theta_posterior_summary.npz").exists()


def test_the_last_words_tell_what_was_found_and_where(finished):
    said = finished.said.split("Elapsed time")[-1].splitlines()[2:]
    told = "\n".join(said)
    assert said[0] == "tiny/main: fit converged; guide deviations are centred within genes"
    assert said[1] == "  4 hits in 4 genes: 4 on MES"
    assert said[2].startswith("  the first: Gene")
    assert "  hits: results/tiny/main/hits.csv" in told
    assert "results/tiny/main/figures/" in told
    last = next(i for i, line in enumerate(said) if line.startswith("  took "))
    assert finished.path("summary.txt").read_text().splitlines() == said[: last + 1]


def test_the_last_words_come_also_where_nothing_was_to_be_done(finished, tmp_path):
    workflow = finished.copied_to(tmp_path / "copy")
    before = workflow.path("summary.txt").read_text()
    text = workflow.finish()
    assert text.endswith(f"{before}Nothing was to be done.\n")
    assert workflow.path("summary.txt").read_text() == before
    assert "4 hits" not in workflow.finish("--dry-run")
    assert "4 hits" not in workflow.finish("--quiet", "all")
    assert "4 hits" not in workflow.finish("--list-rules")


def test_a_run_without_hits_says_so(finished, tmp_path):
    workflow = finished.copied_to(tmp_path / "copy").changed(calls={"effect_size_eps": 5})
    text = workflow.finish("all_hits")
    assert "\n  no hits\n" in text
    assert len(pd.read_csv(workflow.path("hits.csv"))) == 0
    assert list(pd.read_csv(workflow.path("hits.csv"))) == list(pd.read_csv(finished.path("hits.csv")))


def test_the_last_words_come_with_directory_and_a_failure_also_when_all_is_quiet(finished, tmp_path):
    workflow = finished.copied_to(tmp_path / "copy").changed(calls={"effect_size_eps": 5})
    workflow.run("--dry-run")  # writes the config
    words = ["-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--cores", "2"]
    words += ["--workflow-profile", "none", "--directory", workflow.folder, "all_hits"]
    done = forked.run(words, "/")
    assert done.returncode == 0, done.stderr
    assert "\n  no hits\n" in done.stderr
    assert "no hits" in workflow.path("summary.txt").read_text()
    (workflow.folder / "results" / "tiny" / "input" / "cells.parquet").unlink()
    (workflow.folder / "results" / "tiny" / "input" / "cells.parquet").mkdir()
    done = forked.run([*words, "-R", "build_design", "--quiet", "all"], "/")
    assert done.returncode != 0
    assert "failed (log: results/logs/" in done.stderr  # also when all else is quiet


def test_lists_of_files_are_cut_short(fresh):
    fates = ["EC", *(f"fate_{i}" for i in range(12))]
    entry = {"tiny": {"simulate": {"fates": fates, "cells": 100, "genes": 5, "active_genes": 1}}}
    many = replace(
        fresh.changed(model={"fates": fates}), config={"datasets": entry, "model": {"fates": fates}}
    )
    text = many.finish("--dry-run", "--quiet", "host")
    assert "and 37 more" in text
    assert max(map(len, text.splitlines())) < 1000
    whole = many.finish("--dry-run", "--verbose")
    assert max(map(len, whole.splitlines())) > 2000


def test_cuda_without_cuda_fails_loudly(fresh):
    done = fresh.changed(fit={"device": "cuda"}).run("all_effects")
    assert done.returncode != 0
    assert "this job sees no CUDA device" in reason_of(done.text)
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
    assert "need R, and there is no Rscript here" in reason_of(done.text)


def test_a_folder_without_a_config_is_told_which_it_needs(tmp_path):
    words = ["-m", "snakemake", "-n", "--snakefile", ROOT / "Snakefile", "--cores", "1"]
    for extra in ([], ["--directory", tmp_path]):
        done = forked.run([*words, *extra], "/" if extra else tmp_path)
        assert done.returncode != 0
        text = done.stdout + done.stderr
        assert f"there is no config.yaml in {tmp_path}" in text
        assert "--configfile my_screen.yaml" in text
        assert "Traceback" not in text


def test_examples_and_profiles_are_valid():
    from fatewalk.config import load_config

    for path in (ROOT / "examples").glob("*.yaml"):
        load_config(yaml.safe_load(path.read_text()))
    for path in (ROOT / "profiles").glob("*/profile.yaml"):
        assert yaml.safe_load(path.read_text())
    assert not (ROOT / "profiles" / "default").exists()  # it would replace keys of a user's profile

"""Entries of a manifest, and what is set aside when a run gets another fit."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from fatewalk.core.errors import FatewalkError
from fatewalk.run.manifest import enter, fit_entry, prune, set_aside, set_aside_export, verify

OLD = fit_entry("aaaa", {"hash_of_config_and_design": "1"})
NEW = fit_entry("bbbb", {"hash_of_config_and_design": "2"})
SAME_KEYS_OTHER_DATA = fit_entry("aaaa", {"hash_of_config_and_design": "3"})


def write(run, *names):
    paths = [run / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    return paths


def manifest(run):
    return json.loads((run / "manifest.json").read_text())


def a_run(tmp_path):
    run = tmp_path / "results" / "screen" / "main"
    enter(run, "publish_design", write(run, "design/design.pt"), {"fit": "aaaa"})
    enter(run, "check_delta", write(run, "fit_card.json"), OLD)
    enter(run, "rank_hits", write(run, "hits.csv", "contrast=MES/hits_ranked.csv"))
    return run


def test_later_stages_take_the_fit_of_the_card(tmp_path):
    run = a_run(tmp_path)
    assert manifest(run)["hits.csv"]["fit"] == "aaaa"
    assert manifest(run)["hits.csv"]["fit_sha256"] == "1"
    assert manifest(run)["contrast=MES/hits_ranked.csv"]["stage"] == "rank_hits"
    assert [path.name for path in run.iterdir() if path.name.startswith(".")] == []


def test_files_outside_the_run_and_files_that_are_not_there_are_passed_over(tmp_path):
    run = a_run(tmp_path)
    before = manifest(run)
    enter(run, "fit_mash", [tmp_path / "elsewhere.csv", run / "absent.csv"])
    assert manifest(run) == before


def test_files_of_the_same_fit_stay(tmp_path):
    run = a_run(tmp_path)
    assert set_aside(run, OLD) == []
    assert not (run / "stale").exists()


def test_files_of_another_fit_are_set_aside_also_if_only_the_data_changed(tmp_path):
    for fit in (NEW, SAME_KEYS_OTHER_DATA):
        run = a_run(tmp_path / fit["fit_sha256"])
        moved = set_aside(run, fit)
        assert sorted(moved) == ["contrast=MES/hits_ranked.csv", "fit_card.json", "hits.csv"]
        assert (run / "stale" / "contrast=MES" / "hits_ranked.csv").read_text() == "hits_ranked.csv"
        assert not (run / "hits.csv").exists()
        assert list(manifest(run)) == ["design/design.pt"]


def test_what_is_set_aside_takes_the_place_of_what_was_before(tmp_path):
    run = a_run(tmp_path)
    write(run, "stale/older.csv")
    set_aside(run, NEW)
    assert not (run / "stale" / "older.csv").exists()


def test_a_second_refused_fit_leaves_the_accepted_tables_where_they_are(tmp_path):
    run = a_run(tmp_path)
    set_aside(run, NEW)
    enter(run, "check_delta", write(run, "fit_card.json"), NEW)
    enter(run, "check_delta", write(run, "figures/convergence.png"), part=True)
    assert set_aside(run, SAME_KEYS_OTHER_DATA) == []
    assert (run / "stale" / "hits.csv").exists()
    assert not (run / "figures" / "convergence.png").exists()


def test_a_refused_export_takes_what_an_earlier_one_led_to_with_it(tmp_path):
    run = a_run(tmp_path)
    assert sorted(set_aside_export(run)) == ["contrast=MES/hits_ranked.csv", "hits.csv"]
    assert sorted(manifest(run)) == ["design/design.pt", "fit_card.json"]


def test_files_that_a_stage_makes_no_more_are_removed(tmp_path):
    run = a_run(tmp_path)
    enter(run, "fit_mash", write(run, "mash_gene_conservative.csv", "mash_gene_enriched.csv"))
    enter(run, "fit_mash", write(run, "mash_gene_conservative.csv"))
    assert not (run / "mash_gene_enriched.csv").exists()
    assert "mash_gene_enriched.csv" not in manifest(run)
    # R writes its own table in place of ours, and is entered later
    (run / "mash_gene_conservative.csv").write_text("by R")
    enter(run, "fit_mash", write(run, "mash_likelihood_gene.csv"))
    assert (run / "mash_gene_conservative.csv").read_text() == "by R"
    assert (run / "hits.csv").exists()


def test_entries_of_files_that_are_gone_are_dropped(tmp_path):
    run = a_run(tmp_path)
    (run / "hits.csv").unlink()
    prune(run)
    assert "hits.csv" not in manifest(run)


def test_jobs_that_end_at_the_same_time_lose_no_entry(tmp_path):
    run = a_run(tmp_path)
    paths = write(run, *(f"figure_{i}.png" for i in range(24)))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda path: enter(run, "plot_contrast", [path], part=True), paths))
    assert sum(entry["stage"] == "plot_contrast" for entry in manifest(run).values()) == 24


def test_a_file_is_held_against_its_checksum(tmp_path):
    run = a_run(tmp_path)
    verify(run, run / "hits.csv")
    (run / "hits.csv").write_text("edited")
    (run / "of_nobody.csv").write_text("")
    verify(run, run / "of_nobody.csv")
    verify(run, run / "absent.csv")
    words = f"{run / 'hits.csv'}: is not what rank_hits wrote there (manifest.json has its checksum)"
    with pytest.raises(FatewalkError, match=re.escape(words)):
        verify(run, run / "hits.csv")


def test_what_r_wrote_is_entered_only_after_it_was_read(tmp_path):
    run = a_run(tmp_path)
    (path,) = write(run, "mash_gene_conservative.csv")
    enter(run, "run_mashr", [path])
    path.write_text("a new table of R")
    verify(run, path)


def test_a_manifest_that_is_cut_off_names_the_folder_to_delete(tmp_path):
    run = a_run(tmp_path)
    text = (run / "manifest.json").read_text()
    (run / "manifest.json").write_text(text[: len(text) // 2])
    words = rf"manifest.json: is cut off.*delete the folder {re.escape(str(run))} and"
    with pytest.raises(FatewalkError, match=words):
        prune(run)

"""Results that Snakemake takes as they are, without knowing how they were made: copied, moved, restored."""

import json
import shutil

import pytest

from fatewalk.workflow.closing import Closing
from tests.hostile.screen import Screen, config_of


@pytest.fixture
def copied(chain, tmp_path):
    shutil.copytree(chain, tmp_path, dirs_exist_ok=True)
    return Screen(tmp_path)


def last_words(screen):
    """What stands at the end where Snakemake finds nothing to be done."""
    config = config_of(screen.folder)
    runs = [("screen", "main", config.settings("screen", "main"))]
    results = str(screen.folder / "results")
    closing = Closing(results, runs, config.datasets, dry=lambda: False, quiet=lambda: False)
    closing.idle = True
    return "\n".join(closing.summaries())


def made_here(copied):
    """The name of the fit as the workflow gives it: the folder has another in a chain of one process."""
    settings = config_of(copied.folder).settings("screen", "main")
    manifest = copied.path("results/screen/main/manifest.json")
    manifest.write_text(manifest.read_text().replace('"fit": "fit"', f'"fit": "{settings.fit_id}"'))
    return settings.fit_id


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"calls": {"fdr": 0.3}}, "calls.fdr was 0.05 and is 0.3 in the config"),
        ({"mash": {"modes": ["enriched"]}}, "mash.modes was ['conservative'] and is ['enriched']"),
        ({"entry": {"day_key": "week"}}, "datasets.screen.day_key was day and is week in the config"),
        ({"entry": {"guide_map": "cells.csv"}}, "datasets.screen.guide_map was"),
        ({"model": {"burden_slope": "none"}}, "and the config asks for fit"),
        (
            {"calls": {"fdr": 0.3}, "fit": {"seed": 9}},
            "calls.fdr was 0.05 and is 0.3 in the config; they are of",
        ),
    ],
)
def test_results_of_another_config_are_told(copied, keys, words):
    made_here(copied)
    assert "NOT OF THIS CONFIG" not in last_words(copied)
    copied.config(**keys)
    found = last_words(copied)
    assert "NOT OF THIS CONFIG: " in found
    assert words in found
    assert "Add -F to the command" in found


def test_results_of_another_file_by_the_same_name_are_told(copied):
    """As where two folders of work have one folder of results, or a file is replaced by an older one."""
    made_here(copied)
    copied.change("guides.csv", "is_ntc", [0], "True")
    found = last_words(copied)
    assert "NOT OF THIS CONFIG: datasets.screen.guide_map: " in found
    assert "guides.csv is not the file that was read, or has changed since" in found
    copied.path("guides.csv").unlink()  # results alone, without their screen
    assert "NOT OF THIS CONFIG" not in last_words(copied)


def test_tables_and_fit_of_two_screens_are_told(copied):
    fit = made_here(copied)
    here = copied.path(f"results/screen/fits/{fit}")
    shutil.copytree(copied.path("results/screen/fit"), here)
    assert "NOT OF THIS CONFIG" not in last_words(copied)
    card = json.loads((here / "fit_card.json").read_text())
    (here / "fit_card.json").write_text(json.dumps(card | {"hash_of_config_and_design": "another"}))
    assert f"they are of another fit than fits/{fit}: one of the two was copied here" in last_words(copied)


def test_a_table_that_was_edited_is_told_where_nothing_is_to_be_done(copied):
    assert "NOT AS WRITTEN" not in last_words(copied)
    hits = copied.path("results/screen/main/hits.csv")
    hits.write_text(hits.read_text() + "1,Gene001\n")
    found = last_words(copied)
    assert "NOT AS WRITTEN: 'hits.csv' of " in found
    assert "Delete what is named and run the same command again" in found


def test_results_that_were_renamed_are_summed_up_by_their_new_name(copied):
    made_here(copied)
    last_words(copied)
    summary = copied.path("results/screen/main/summary.txt")
    summary.write_text(summary.read_text().replace("screen/main", "mouse/main"))  # as of the old name
    found = last_words(copied)
    assert "screen/main: fit converged" in found
    assert "mouse" not in found

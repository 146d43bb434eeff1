"""Results that Snakemake takes as they are, without knowing how they were made: copied, moved, restored."""

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
    settings = config_of(copied.folder).settings("screen", "main")
    manifest = copied.path("results/screen/main/manifest.json")
    made_here = f'"fit": "{settings.fit_id}"'  # the folder has another name in a chain of one process
    manifest.write_text(manifest.read_text().replace('"fit": "fit"', made_here))
    assert "NOT OF THIS CONFIG" not in last_words(copied)
    copied.config(**keys)
    found = last_words(copied)
    assert "NOT OF THIS CONFIG: " in found
    assert words in found
    assert "Add -F to the command" in found

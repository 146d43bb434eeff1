"""What stands in several files of the repository is the same in all of them."""

import importlib
import re
import tomllib
from pathlib import Path

import pytest
import yaml

import fatewalk
from fatewalk.config.retired import RETIRED

ROOT = Path(__file__).parents[2]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()


def test_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert project["version"] == citation["version"] == fatewalk.__version__
    assert f"\n## {fatewalk.__version__}" in CHANGELOG


@pytest.mark.parametrize("row", re.findall(r"^\| `fatewalk\..*$", CHANGELOG, re.MULTILINE))
def test_modules_that_the_changelog_names_are_there(row):
    _, new = (re.findall(r"`((?:fatewalk)?\.[\w.]+)`", cell) for cell in row.split("|")[1:3])
    assert new
    package = ""
    for name in new:
        package = name.rpartition(".")[0] if name.startswith("fatewalk") else package
        importlib.import_module(name if name.startswith("fatewalk") else package + name)


def test_retired_keys_are_in_the_changelog():
    assert [key for key in RETIRED if f"`{key}`" not in CHANGELOG] == []

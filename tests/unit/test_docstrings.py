"""The examples of docstrings run and print what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

import fatewalk

PACKAGE = Path(fatewalk.__file__).parent
WITH_EXAMPLES = [
    ".".join(["fatewalk", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")
    for path in sorted(PACKAGE.rglob("*.py"))
    if ">>>" in path.read_text()
]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_run(name):
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted
    assert not found.failed

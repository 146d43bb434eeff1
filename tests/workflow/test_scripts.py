"""What the scripts import: the library of their own checkout, and no more than they need."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.conftest import ROOT, TINY, Workflow

SCRIPTS = sorted(path.stem for path in (ROOT / "scripts").glob("*.py") if path.stem != "checkout")
TORCH = {"build_design", "fit_effects", "summarise_posterior", "refit_draws"}
CONFIG_MODELS = {"simulate_screen", "import_screen", "fit_effects", "summarise_posterior", "refit_draws"}
#: import_screen takes scipy only when it knows the format.
SCIPY = {"simulate_screen", "fit_effects", "summarise_posterior", "fit_mash", "rank_hits"}
SCIPY |= {"refit_draws", "tabulate_bootstrap", "certify"}
NO_TABLES = {"publish_design"}

#: Runs the imports of a script, without its last line, and prints what was loaded.
PROBE = """
import runpy, sys, types, json
sys.path.append(sys.argv[1].rpartition("/")[0])
class Stop(Exception): pass
source = open(sys.argv[1]).read().rpartition("run_stage(")[0]
exec(compile(source, sys.argv[1], "exec"), {"__name__": "script", "__file__": sys.argv[1]})
print(json.dumps({"modules": sorted(sys.modules), "fatewalk": sys.modules["fatewalk"].__file__}))
"""


@pytest.fixture(scope="module")
def loaded():
    """Modules that each script loads, in an interpreter without an installed fatewalk."""
    found = {}
    for script in SCRIPTS:
        command = [sys.executable, "-c", PROBE, str(ROOT / "scripts" / f"{script}.py")]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/")
        found[script] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_imports_what_its_stage_needs_and_no_more(loaded, script):
    modules = set(loaded[script]["modules"])
    assert ("torch" in modules) == (script in TORCH)
    assert ("pydantic" in modules) == (script in CONFIG_MODELS)
    assert ("scipy" in modules) == (script in SCIPY)
    assert ("pandas" in modules) == (script not in NO_TABLES)
    assert "scipy.stats" not in modules
    assert "matplotlib.pyplot" not in modules
    assert ("anndata" in modules) <= (script == "import_screen")


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_uses_the_library_of_its_checkout(loaded, script):
    assert Path(loaded[script]["fatewalk"]).parents[1] == ROOT / "src"


def test_every_rule_has_a_script_and_every_script_a_rule():
    rules = "".join(path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    named = set(re.findall(r'"\.\./\.\./scripts/(\w+)\.py"', rules))
    assert named == set(SCRIPTS)


def test_environments_hold_dependencies_only():
    assert not list((ROOT / "envs").glob("*.post-deploy.sh"))
    for path in (ROOT / "envs").glob("*.yaml"):
        wanted = path.read_text().partition("dependencies:")[2]
        assert "fatewalk" not in wanted
        assert "pip" not in wanted


MODULE = """
configfile: "config.yaml"

module fatewalk:
    snakefile: "{root}/Snakefile"
    config: config
    prefix: "below"

use rule * from fatewalk as fatewalk_*
use rule all_hits from fatewalk as hits

rule mine:
    default_target: True
    input: "below/results/tiny/main/hits.csv"
    output: "mine.txt"
    shell: "wc -l {{input}} > {{output}}"
"""


@pytest.fixture
def python_without_fatewalk(tmp_path):
    """An interpreter that sees all dependencies of this one, but no installed fatewalk."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    site = next((tmp_path / "env" / "lib").glob("python*/site-packages"))
    own = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "dependencies.pth").write_text(own + "\n")  # its own .pth files, the editable one, are not read
    python = tmp_path / "env" / "bin" / "python"
    found = subprocess.run([python, "-c", "import pandas, fatewalk"], capture_output=True, text=True, cwd="/")
    assert "No module named 'fatewalk'" in found.stderr
    return python


@pytest.mark.slow
def test_the_workflow_is_a_module_of_another_without_being_installed(tmp_path, python_without_fatewalk):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "Snakefile").write_text(MODULE.format(root=ROOT))
    small = {**TINY["datasets"]["tiny"]["simulate"], "cells": 600}
    workflow = Workflow(
        folder, TINY | {"datasets": {"tiny": {"simulate": small}}, "fit": {"family": "laplace"}}
    )
    (folder / "config.yaml").write_text(json.dumps(workflow.config))
    command = [python_without_fatewalk, "-m", "snakemake", "--cores", "2"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "below/results/tiny/main/hits.csv" in (folder / "mine.txt").read_text()
    assert done.stderr.count("hits: below/results/tiny/main/hits.csv") == 1  # the last words, once


TWO = """
configfile: "config.yaml"

module ours:
    snakefile: "{root}/Snakefile"
    config: config

module theirs:
    snakefile: "{other}/Snakefile"
    config: config | {{"results_dir": "others"}}

use rule * from ours as ours_*
use rule * from theirs as theirs_*
"""


def test_two_checkouts_do_not_share_a_library(tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for name in ("Snakefile", "workflow", "envs", "scripts"):
        (other / name).symlink_to(ROOT / name)
    subprocess.run(["cp", "-r", ROOT / "src", other / "src"], check=True)
    subprocess.run(["rm", other / "workflow", other / "scripts"], check=True)
    subprocess.run(["cp", "-r", ROOT / "workflow", ROOT / "scripts", other], check=True)
    stages = other / "src" / "fatewalk" / "screen" / "simulate" / "__init__.py"
    stages.write_text(stages.read_text() + "\nraise ValueError('the library of the other checkout')\n")
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "Snakefile").write_text(TWO.format(root=ROOT, other=other))
    (folder / "config.yaml").write_text(json.dumps(TINY))
    for target, works in (
        ("results/tiny/input/cells.parquet", True),
        ("others/tiny/input/cells.parquet", False),
    ):
        command = [sys.executable, "-m", "snakemake", "--cores", "1", target]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
        assert (done.returncode == 0) is works, done.stderr
        assert ("the library of the other checkout" in done.stderr) is not works


@pytest.mark.parametrize("name", ["import_screen", "rank_hits"])
def test_a_script_that_is_run_by_hand_says_who_runs_it(name):
    done = subprocess.run([sys.executable, ROOT / "scripts" / f"{name}.py"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "is run by Snakemake alone" in done.stderr
    assert "Traceback" not in done.stderr

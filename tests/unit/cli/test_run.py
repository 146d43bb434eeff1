"""``fatewalk run``: what it starts, what it shows, how it ends."""

import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tqdm import tqdm

import fatewalk
import fatewalk.cli.run as run_module
from fatewalk.cli.run import Progress, checkout, command_of
from tests import forked
from tests.hostile.screen import write_screen
from tests.unit.cli.test_init import invoke

ROOT = Path(__file__).parents[3]
INPUT = "results/screen/input/cells.parquet"

SAID = """Building DAG of jobs...
Job stats:
job              count
-------------  -------
build_design         1
fit_effects          2
all                  1
total                4

[Sat Nov 28 01:10:45 2026]
Job 2: Check and index the screen demo
Finished jobid: 2 (Rule: build_design)
    Job 9: Fit the effects of demo (fit 512c3baacc)
Finished jobid: 9 (Rule: fit_effects)
"""
WELL = """Complete log(s): /here/.snakemake/log/a.log
Elapsed time: 0:00:46

demo/main: fit converged
  41 hits
"""
BADLY = """Complete log(s): /here/.snakemake/log/a.log
WorkflowError:
At least one job did not complete successfully.

fatewalk: fit_effects failed (log: results/logs/a.log)
  why
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = {"datasets": {"tiny": {"simulate": {"cells": 500, "genes": 5, "active_genes": 2}}}}
    Path("tiny.yaml").write_text(yaml.safe_dump(raw))
    return "tiny.yaml"


def taken(text):
    progress = Progress()
    for line in text.splitlines():
        progress.take(line)
    return progress


def test_plan_and_last_words_are_read_off_snakemakes_lines(capsys):
    progress = taken(SAID + WELL)
    assert progress.plan == {"build_design": 1, "fit_effects": 2, "all": 1}
    assert progress.last_words(0) == ["demo/main: fit converged", "  41 hits"]
    said = capsys.readouterr().err
    assert "3 steps: check and index it, fit the effects (2 times)" in said
    assert "Fit the effects of demo" in said


def test_a_failure_ends_with_its_reason():
    log, *words = taken(SAID + BADLY).last_words(1)
    assert log.endswith("/here/.snakemake/log/a.log")
    assert words == ["fatewalk: fit_effects failed (log: results/logs/a.log)", "  why"]


def test_a_failure_before_the_first_job_is_told():
    words = taken("Building DAG of jobs...\nMissingRuleException:\nNo rule to produce x").last_words(1)
    assert words[-1] == "No rule to produce x"
    (words,) = taken("usage: ...\n__main__.py: error: unrecognized arguments: --bogus").last_words(2)
    assert "does not take these options: unrecognized arguments: --bogus" in words


def test_the_bar_goes_on_by_the_seconds_of_stages(monkeypatch):
    monkeypatch.setattr(
        run_module, "tqdm", lambda **keys: tqdm(**keys | {"disable": False, "file": io.StringIO()})
    )
    progress = taken(SAID)
    assert (progress.bar.n, progress.bar.total) == (4 + 8, 4 + 2 * 8)
    assert "about" in progress.bar.fp.getvalue()
    progress.close()


def test_the_command_names_the_snakefile_of_the_checkout(config, monkeypatch):
    monkeypatch.delenv("SNAKEMAKE_PROFILE", raising=False)
    command = command_of(Path(config), ["--cores", "3"])
    assert command[command.index("--snakefile") + 1] == str(ROOT / "Snakefile")
    assert command[command.index("--profile") + 1] == str(ROOT / "profiles/local")
    assert command[-2:] == ["--cores", "3"]


def test_a_target_is_no_second_config(config):
    """Snakemake's --configfile takes all that follows up to the next option."""
    from snakemake.cli import parse_args

    command = command_of(Path(config), ["all_sweep", "--profile", "slurm"])
    _, parsed = parse_args(command[3:])
    assert [Path(one).name for one in parsed.configfile] == [Path(config).name]
    assert "all_sweep" in parsed.targets


@pytest.mark.parametrize("options", [["--profile", "slurm"], ["--profile=profiles/slurm"]])
def test_a_profile_is_passed_on_and_found_from_any_folder(config, options):
    command = command_of(Path(config), options)
    assert command.count("--profile") + sum(one.startswith("--profile=") for one in command) == 1
    assert command[-1].endswith(str(ROOT / "profiles/slurm"))


def test_a_profile_of_ones_own_wins(config):
    (Path.cwd() / "slurm").mkdir()
    assert command_of(Path(config), ["--profile", "slurm"])[-1] == "slurm"


def test_without_its_workflow_it_says_so(config, tmp_path, monkeypatch):
    monkeypatch.setattr(fatewalk, "__file__", str(tmp_path / "site/packages/fatewalk/__init__.py"))
    assert "installed without its workflow" in invoke("run", config, code=1)
    monkeypatch.undo()
    assert checkout() == ROOT


def test_help_is_shown_after_a_config_too():
    assert "fatewalk run screen.yaml --cores 8" in invoke("run", "screen.yaml", "--help")


def test_a_wrong_config_is_told_before_snakemake_starts(config):
    Path(config).write_text("datasets: {tiny: {simulate: {cell: 5}}}")
    assert "did you mean" in invoke("run", config, code=1)
    assert not Path(".snakemake").exists()


FAKE = """
import signal, sys, time
def stop(*_):
    print("stopped", flush=True)
    sys.exit(7)
signal.signal(signal.SIGINT, stop)
print("started", flush=True)
time.sleep(20)
"""


def test_ctrl_c_is_passed_on_and_the_exit_status_is_snakemakes(config):
    """Once, and nobody is left behind."""
    program = (
        "import sys; from pathlib import Path; import fatewalk.cli.run as run;"
        f"run.command_of = lambda path, options: [sys.executable, '-c', {FAKE!r}];"
        f"sys.exit(run.run(Path({config!r}), []))"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "started\n"
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=15)
    assert process.returncode == 7
    assert said.count("stopped") == 1
    assert "Ended by you. Run the same command again" in said


def test_ctrl_c_while_snakemake_is_being_started_reaches_it(monkeypatch):
    popen = subprocess.Popen

    def interrupted(*arguments, **options):
        process = popen(*arguments, **options)
        os.kill(os.getpid(), signal.SIGINT)
        return process

    monkeypatch.setattr(run_module.subprocess, "Popen", interrupted)
    assert run_module._Snakemake(["sleep", "20"], piped=False).wait() == -signal.SIGINT


@pytest.mark.slow
def test_a_tiny_screen_from_any_folder(tmp_path):
    raw = {
        "datasets": {"tiny": {"simulate": {"cells": 1500, "genes": 8, "guides_per_gene": 2, "days": [0, 2],
                                           "active_genes": 3, "fates": ["EC", "MES"]}}},
        "model": {"fates": ["EC", "MES"]}, "fit": {"family": "laplace"}, "export": {"draws": 200},
    }  # fmt: skip
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(raw))
    command = [sys.executable, "-m", "fatewalk.cli", "run", "tiny.yaml", "--cores", "2"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^\$ .*snakemake --configfile", done.stderr, re.MULTILINE)
    assert "tiny/main: fit converged" in done.stdout
    page = "results/tiny/main/report.html"
    assert page in done.stdout
    written = (tmp_path / page).read_bytes()
    again = [sys.executable, "-m", "fatewalk.cli", "report"]
    (tmp_path / page).unlink()
    assert subprocess.run(again, cwd=tmp_path, check=False).returncode == 0
    assert (tmp_path / page).read_bytes() == written
    assert subprocess.run([*command, "-n"], cwd=tmp_path, capture_output=True, check=False).returncode == 0


def imported(folder):
    """A config of tables in a folder, and its data set as it was imported."""
    screen = write_screen(folder)
    done = forked.run(["-m", "fatewalk.cli", "run", "config.yaml", INPUT], folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return screen


def test_a_slip_in_the_config_takes_no_tables_away(tmp_path):
    screen = imported(tmp_path)
    before = (tmp_path / INPUT).read_bytes()
    right = screen.path("config.yaml").read_text()
    screen.text(right.replace("cells.csv", "cell.csv"))
    words = ["-m", "fatewalk.cli", "run", "config.yaml"]
    done = forked.run([*words, INPUT], tmp_path)
    assert done.returncode == 1
    assert "cell.csv: no such file (did you mean 'cells.csv'?)" in done.stderr
    assert f"which starts in {tmp_path}" in done.stderr
    screen.text(right.replace("cells: cells.csv", "cells: cells.csv\n    rep_key: bacth"))
    done = forked.run([*words, INPUT], tmp_path)
    assert done.returncode == 1
    assert "column 'bacth' is missing" in done.stderr
    assert "snakemake" not in done.stderr
    assert (tmp_path / INPUT).read_bytes() == before
    screen.text(right)
    assert "Nothing to be done" in forked.run([*words, INPUT], tmp_path).stdout


@pytest.mark.parametrize("module", ["run", "explain", "tables"])
def test_commands_that_fit_nothing_start_without_torch(module):
    """Torch takes seconds: `run` is to say at once what will be done, `explain` to answer."""
    code = f"import sys, fatewalk.cli.{module}; sys.exit(bool({{'torch', 'pyro'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == 0

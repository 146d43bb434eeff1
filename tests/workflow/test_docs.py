"""Every command that README and docs print: it runs, or would run, as it stands there."""

import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import forked
from tests.workflow.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = (
    "fatewalk",
    "snakemake",
    "make",
    "python",
    "pip",
    ".venv/bin/pip",
    "python3.11",
    "conda",
    "srun",
    "cp",
    "source",
)

REPOSITORY = ["Snakefile", "workflow", "scripts", "src", "envs", "examples", "benchmarks", "tests"]
REPOSITORY += ["config.yaml"]

#: Commands that need a network or a cluster: they stand in the docs, and are not run here.
ELSEWHERE = ("pip install", ".venv/bin/pip install", "python3.11 -m venv", "conda env create", "srun ")


def printed():
    """Commands in the indented blocks of all pages, by page and text."""
    found = {}
    for page in PAGES:
        for line in page.read_text().splitlines():
            if line.startswith("    ") and line.split()[0] in COMMANDS:
                command = re.split(r"\s+#\s", line.strip())[0].strip()
                found[f"{page.name}: {command}"] = command
        for command in re.findall(r"`((?:snakemake|make) [^`]+)`", page.read_text().replace("\n", " ")):
            if "..." not in command and "MY" not in command and "<" not in command:
                found[f"{page.name}: {command}"] = command
    return found


PRINTED = printed()


def tutorial(caption):
    """The indented block that follows a line of the tutorial."""
    after = (ROOT / "docs" / "tutorial.md").read_text().partition(caption)[2].splitlines()
    start = next(i for i, line in enumerate(after) if line.startswith("    "))
    end = next(i for i, line in enumerate(after[start:]) if line and not line.startswith("    ")) + start
    return "\n".join(line[4:] for line in after[start:end])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A repository and a user's folder in one: what the commands of the docs start from."""
    folder = tmp_path_factory.mktemp("docs")
    for name in REPOSITORY:
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "profiles", folder / "profiles")
    shutil.copytree(ROOT / "profiles" / "slurm", folder / "profiles" / "mysite")  # as docs/hpc.md says
    (folder / ".venv").symlink_to(ROOT / ".venv")
    (folder / "make_practice_screen.py").write_text(tutorial("Save this as `make_practice_screen.py`"))
    subprocess.run([sys.executable, "make_practice_screen.py"], cwd=folder, check=True, capture_output=True)
    (folder / "my_screen.yaml").write_text(tutorial("`my_screen.yaml`:"))
    (folder / "plain.yaml").write_text(tutorial("`plain.yaml`, for the practice files:"))
    (folder / "tenx.yaml").write_text(tutorial("`tenx.yaml`:"))
    (folder / "two_screens.yaml").write_text(
        "datasets:\n  one: {simulate: {}}\n  two: {simulate: {fates: [A, B]}, model: {fates: [A, B]}}\n"
    )
    data = folder / "FOLDER"
    data.mkdir()
    for name in ("zscape_crispants.h5ad", "guide_map.csv", "cells.csv.gz", "guides.csv.gz"):
        (data / name).touch()
    return folder


def as_tried(command):
    """What is run of a command: of Snakemake a dry run, of make what it would do, of a module its help."""
    words = shlex.split(command.replace("$FATEWALK", str(ROOT)))
    if words[0] == "snakemake":
        report = "--report" in words
        return None if report else ["-m", "snakemake", *words[1:], "--dry-run"]
    if words[:2] == ["fatewalk", "run"]:
        return ["-m", "fatewalk.cli", "run", "--help"]  # what follows the config is Snakemake's
    if words[0] == "fatewalk":
        return ["-m", "fatewalk.cli", *words[1:], "--help"]  # a wrong option is refused before the help
    if words[:2] == ["python", "-m"] and words[2].startswith("benchmarks"):
        return ["-m", words[2], "--help"]
    return None


@pytest.fixture(scope="module")
def outcomes(folder):
    """How each of them ended."""
    tried = {name: words for name, command in PRINTED.items() if (words := as_tried(command))}
    with ThreadPoolExecutor(2) as pool:
        return dict(
            zip(tried, pool.map(lambda words: forked.run(words, folder), tried.values()), strict=True)
        )


def test_there_are_commands_on_every_page_that_should_have_some():
    pages = {name.partition(":")[0] for name in PRINTED}
    assert {"README.md", "hpc.md", "tutorial.md", "configuration.md", "real_data.md"} <= pages
    assert len(PRINTED) > 25


@pytest.mark.parametrize("name", PRINTED)
def test_a_printed_command_runs(name, outcomes, folder):
    command = PRINTED[name]
    if name in outcomes:
        done = outcomes[name]
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    elif command.startswith("make "):
        done = subprocess.run([*shlex.split(command), "-n"], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    elif command.startswith("cp "):
        assert (ROOT / shlex.split(command)[2]).exists()
    elif command.startswith("python -m "):
        assert importlib.util.find_spec(shlex.split(command)[2])
    elif command.startswith(("source ", "python ")):
        script = shlex.split(command)[1].replace("$FATEWALK/", "")
        assert script.startswith(".venv/") or (ROOT / script).exists() or (folder / script).exists(), command
    else:
        assert "--report" in command or command.startswith(ELSEWHERE), f"not tried: {command}"


def test_the_tutorial_leads_to_hits(folder):
    """Chapter 2 in earnest, in a folder of its own, with the workflow elsewhere."""
    words = ["-m", "snakemake", "-s", ROOT / "Snakefile", "--configfile", "my_screen.yaml"]
    words += ["--profile", ROOT / "profiles" / "local", "--workflow-profile", "none"]
    done = forked.run(words, folder)
    assert done.returncode == 0, done.stderr[-3000:]
    said = (folder / "results" / "screen" / "main" / "summary.txt").read_text()
    assert said in done.stderr
    hits = (folder / "results" / "screen" / "main" / "hits.csv").read_text()
    genes = {row.split(",")[1] for row in hits.splitlines()[1:]}
    assert genes == {"Gene005", "Gene007", "Gene009", "Gene010"}
    assert forked.run([*words, "--report", "report.zip"], folder).returncode == 0

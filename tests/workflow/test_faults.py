"""Faults of the machine: what Snakemake says at the end, and what is left behind."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.hostile.screen import write_screen
from tests.workflow import kills
from tests.workflow.conftest import ROOT, snakemake

INPUT = "results/screen/input/cells.parquet"


@contextmanager
def mounted(folder, options):
    """A small file system of its own, which may be full or read-only also for root."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("needs root, and a machine that lets it mount")
    except FileNotFoundError:
        pytest.skip("needs mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def end_of(done):
    """The last lines of a run that must be refused in a clear line."""
    assert done.returncode != 0, done.text
    assert "Traceback" not in done.text
    return done.text[-1000:]


def test_a_folder_that_is_read_only_is_told(tmp_path):
    screen = write_screen(tmp_path)
    with mounted(tmp_path / "elsewhere", "ro") as folder:
        end = end_of(snakemake(folder, INPUT, "--configfile", str(tmp_path / "config.yaml")))
        assert f"{folder}: this folder cannot be written to by you; start Snakemake in a folder" in end
        screen.text(screen.path("config.yaml").read_text() + "results_dir: elsewhere/results\n")
        end = end_of(snakemake(tmp_path, f"elsewhere/{INPUT}"))
        assert f"{folder}: this folder cannot be written to by you; set results_dir to a folder" in end


@pytest.mark.slow
def test_a_disk_that_is_full_is_told_and_room_is_all_that_it_takes(tmp_path):
    screen = write_screen(tmp_path)
    screen.text(screen.path("config.yaml").read_text() + "results_dir: small/results\n")
    target = "small/results/screen/main/run.json"
    with mounted(tmp_path / "small", "size=76k") as folder:
        end = end_of(snakemake(tmp_path, target))
        assert "design.pt: cannot be written: No space left on device; make room on that disk and run" in end
        assert list(folder.rglob(".[0-9]*")) == []
        subprocess.run(["mount", "-o", "remount,size=4m", str(folder)], check=True)
        assert snakemake(tmp_path, target).returncode == 0


def test_an_input_that_is_replaced_by_an_older_file_is_read_again(tmp_path):
    screen = write_screen(tmp_path)
    assert snakemake(tmp_path, INPUT).returncode == 0
    assert "Nothing to be done" in snakemake(tmp_path, INPUT, "--dry-run").text
    cells = screen.table("cells.csv")
    screen.write("cells.csv", cells.iloc[1:])
    os.utime(screen.path("cells.csv"), (1.5e9, 1.5e9))
    done = snakemake(tmp_path, INPUT)
    assert f"out: {len(cells) - 1} cells" in done.text


def test_a_second_snakemake_in_the_same_folder_is_refused(tmp_path):
    write_screen(tmp_path)
    command = [sys.executable, "-m", "snakemake", INPUT, "--snakefile", str(ROOT / "Snakefile")]
    command += ["--workflow-profile", "none", "--profile", str(ROOT / "profiles" / "ci")]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as first:
        locks = tmp_path / ".snakemake" / "locks"
        while not (locks.is_dir() and any(locks.iterdir())):
            assert first.poll() is None, first.stderr.read()
            time.sleep(0.01)
        first.send_signal(signal.SIGSTOP)  # it holds the lock for as long as the second needs
        try:
            assert "Directory cannot be locked" in end_of(snakemake(tmp_path, INPUT))
        finally:
            first.send_signal(signal.SIGCONT)
        assert first.wait() == 0, first.stderr.read()
    assert Path(tmp_path, INPUT).is_file()


@pytest.mark.slow
def test_a_run_that_is_killed_ends_in_the_same_bytes(tmp_path):
    took = kills.undisturbed(tmp_path / "undisturbed")
    expected = kills.files(tmp_path / "undisturbed")
    moments = random.Random(2).sample(range(100), 5)
    for moment in moments:
        folder = tmp_path / str(moment)
        kills.killed(folder, took * moment / 100)
        kills.go_on(folder)
        assert kills.faults(folder, expected) == []

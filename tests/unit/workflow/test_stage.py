"""How a job ends: one line in its log, nothing half-written, also where it is asked to end."""

import re
import signal
import subprocess
import sys

import pytest

SCRIPT = """
import errno, logging, os, sys, threading, time, warnings
from pathlib import Path
from types import SimpleNamespace
from fatewalk.core.files import atomic_path
from fatewalk.workflow.stage import run_stage

folder = Path(sys.argv[1])

def full(snakemake):
    raise OSError(errno.ENOSPC, "No space left on device")

def named(snakemake):
    raise PermissionError(errno.EACCES, "Permission denied", str(folder / "x.h5ad"))

def waits(snakemake):
    with atomic_path(folder / "table.csv") as temporary:
        temporary.write_text("half")
        print("writing", flush=True)
        time.sleep(60)

def warns(snakemake):
    warnings.warn("lambda is\\ndeprecated", UserWarning)
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()

def defect(snakemake):
    raise KeyError("x")

job = SimpleNamespace(log=[str(folder / "job.log")], wildcards=SimpleNamespace(), params={}, output=[])
run_stage("rank_hits", globals()[sys.argv[2]], job)
"""


def start(tmp_path, what):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path), what],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests in the background ignore it
    )  # fmt: skip


def log_of(tmp_path):
    lines = (tmp_path / "job.log").read_text().splitlines()
    return [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in lines]


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("full", "ERROR No space left on device; make room on that disk and run the same command again"),
        (
            "named",
            "ERROR {}/x.h5ad: Permission denied; see who owns it and who may use it (ls -ld) and run "
            "the same command again",
        ),
    ],
)
def test_what_the_system_refuses_is_one_line(tmp_path, what, line):
    job = start(tmp_path, what)
    said = job.communicate()[1]
    assert job.returncode == 1
    assert log_of(tmp_path) == [line.format(tmp_path)]
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("number", "code", "words"), [(signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "Ctrl-C")]
)
def test_a_job_that_is_asked_to_end_leaves_nothing_half_written(tmp_path, number, code, words):
    job = start(tmp_path, "waits")
    assert job.stdout.readline() == "writing\n"
    job.send_signal(number)
    said = job.communicate()[1]
    assert job.returncode == code
    assert [path.name for path in tmp_path.iterdir()] == ["job.log"]
    assert log_of(tmp_path) == [f"ERROR asked to end ({words}); run the same command again"]
    assert "Traceback" not in said


def test_what_packages_print_is_a_line_each(tmp_path):
    job = start(tmp_path, "warns")
    said = job.communicate()[1]
    assert job.returncode == 0, said
    assert log_of(tmp_path) == [
        "INFO a package warns: lambda is deprecated",
        "WARNING a thread ended: division by zero",
    ]
    assert "Traceback" not in said


def test_a_defect_keeps_its_traceback(tmp_path):
    job = start(tmp_path, "defect")
    job.communicate()
    assert job.returncode == 1
    assert "Traceback (most recent call last):" in log_of(tmp_path)


def test_a_log_that_cannot_be_written_is_told_on_standard_error(tmp_path):
    (tmp_path / "job.log").symlink_to("/dev/full")
    job = start(tmp_path, "full")
    assert "No space left on device; make room on that disk" in job.communicate()[1]
    assert job.returncode == 1

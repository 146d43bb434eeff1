"""Kill a tiny run at random moments, give the one command of docs/troubleshooting.md, compare all files.

    python -m tests.workflow.kills --n 30 --seed 1

Each run is killed once, with all its processes (SIGKILL to the process group), at a moment between its start
and the time that the undisturbed run took.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from tests.workflow.conftest import ROOT, TINY

SNAKEMAKE = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
SNAKEMAKE += ["--profile", str(ROOT / "profiles" / "local"), "--workflow-profile", "none"]
CONFIG = TINY | {"fit": {"family": "laplace"}}

#: They hold times: of the fit, of the run; the manifest holds their checksums.
TIMED = ("fit_card.json", "fit_trace.csv", "manifest.json", "summary.txt")


def finish(folder, *arguments):
    """Run to the end, which must be a good one; what was said."""
    done = subprocess.run([*SNAKEMAKE, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{folder}:\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def undisturbed(folder):
    """Run in a folder; how long it took."""
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    start = time.monotonic()
    finish(folder)
    return time.monotonic() - start


def killed(folder, moment):
    """Run in a folder, kill all processes after some seconds; whether they were still at work."""
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    process = subprocess.Popen(
        SNAKEMAKE, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    time.sleep(moment)
    at_work = process.poll() is None
    if at_work:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return at_work


def go_on(folder):
    """``snakemake --unlock && snakemake``."""
    finish(folder, "--unlock")
    finish(folder)


def files(folder):
    """Content of all results but logs, benchmarks and what holds times, by name."""
    results = folder / "results" / "tiny"
    return {
        str(path.relative_to(results)): path.read_bytes()
        for path in sorted(results.rglob("*"))
        if path.is_file() and path.name not in (*TIMED, ".snakemake_timestamp")
    }


def faults(folder, expected):
    """What differs from the undisturbed run: files of other content, absent, or too many; work to be done."""
    found = files(folder)
    wrong = [name for name in sorted(expected.keys() | found.keys()) if expected.get(name) != found.get(name)]
    hidden = [str(path) for path in (folder / "results").rglob(".[0-9]*")]
    idle = "Nothing to be done" in finish(folder, "--dry-run")
    return wrong + hidden + ([] if idle else ["there is something to be done"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--n", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    rng = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        took = undisturbed(scratch / "undisturbed")
        expected = files(scratch / "undisturbed")
        print(f"undisturbed: {took:.1f} s, {len(expected)} files", flush=True)
        good = 0
        for trial in range(asked.n):
            moment = rng.uniform(0, took)
            folder = scratch / str(trial)
            at_work = killed(folder, moment)
            there = len(files(folder))
            go_on(folder)
            found = faults(folder, expected)
            good += not found
            when = f"killed after {moment:.1f} s with {there} files" if at_work else "ended by itself"
            print(f"{trial + 1}: {when}: {', '.join(found) or 'the same'}", flush=True)
    print(f"{good} of {asked.n} the same")
    sys.exit(good != asked.n)


if __name__ == "__main__":
    main()

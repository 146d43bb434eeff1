"""Kill a tiny run at random moments, go on, and hold its tables against those of an undisturbed one.

python -m benchmarks.kills --trials 5 --seed 1
"""

from __future__ import annotations

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

from tests.contract import differences, keep
from tests.workflow.conftest import TINY

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
COMMAND += ["--profile", str(ROOT / "profiles" / "local"), "--workflow-profile", "none"]
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
KILLS = 2  # of each run
LONGEST = 17.0  # seconds, about as long as the run takes


def run(folder: Path, *arguments: str) -> str:
    """Run to the end, which must be a good one; return what was said."""
    done = subprocess.run([*COMMAND, *arguments], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"the run does not go on in {folder}:\n{done.stderr[-3000:]}")
    return done.stdout + done.stderr


def kill(folder: Path, after: float, how: signal.Signals, all_of_it: bool) -> None:
    """Start a run and kill Snakemake, or all its processes, after some seconds."""
    process = subprocess.Popen(
        COMMAND, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    time.sleep(after)
    if process.poll() is None:
        (os.killpg if all_of_it else os.kill)(process.pid, how)
    process.wait()
    subprocess.run(["pkill", "-9", "-f", f"{folder}/.snakemake/scripts"], check=False)  # jobs left alone
    run(folder, "--unlock")


def main() -> None:
    """Try as often as asked for; the exit status tells."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    rng = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as scratch:
        for trial in range(asked.trials + 1):
            folder = Path(scratch) / str(trial)
            folder.mkdir()
            (folder / "config.yaml").write_text(yaml.safe_dump(TINY))
            how, all_of_it = rng.choice(SIGNALS), rng.random() < 0.5
            moments = [
                rng.uniform(1.5, LONGEST) for _ in range(KILLS * (trial > 0))
            ]  # the first: undisturbed
            for moment in moments:
                kill(folder, moment, how, all_of_it)
            run(folder)
            results, tables = folder / "results", Path(scratch) / "tables"
            keep(results / "tiny" / "main", tables / str(trial))
            found = differences(tables / "0", tables / str(trial))
            left = [
                str(path.relative_to(folder))
                for path in results.rglob("*")
                if path.name.startswith((".", "checkpoint")) and path.name != ".snakemake_timestamp"
            ]
            found = [
                text for text in found if not text.startswith(("figures", "manifest", "summary", "fit_"))
            ]
            idle = "Nothing to be done" in run(folder, "--dry-run")
            what = "undisturbed" if not trial else f"{how.name} to {'all' if all_of_it else 'Snakemake'}"
            times = ", ".join(f"{moment:.1f} s" for moment in moments)
            print(
                f"{what} {times}: differences {found or 'none'}, left {left or 'none'}, idle {idle}",
                flush=True,
            )
            if found or left or not idle:
                sys.exit(1)


if __name__ == "__main__":
    main()

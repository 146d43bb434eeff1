"""Time and memory of fits, from the Design in memory to the finished fit card.

    python -m benchmarks.speed 600-guides 2000-guides --threads 2

Screens are simulated and their designs built once, and kept below --folder. Each fit runs in a
fresh process and appends a line of JSON to --out.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import add_fit_arguments, draw_screen, fit_config, weights_by_day
from fatewalk.config import ModelConfig
from fatewalk.screen.design import load_design, save_design
from fatewalk.stages.fit_effects import fit_effects

MANY_GUIDES: dict[str, Any] = {
    "genes": 300,
    "guides_per_gene": {6: 1 / 3, 7: 2 / 3},
    "seed": 39,  # its library has 2,000 targeting guides exactly
    "moi": 10,
}

#: Case -> keys of section simulate. A tenth of the genes act, as random walks.
CASES: dict[str, dict[str, Any]] = {
    "tiny": {"cells": 2000, "genes": 20, "guides_per_gene": 4, "moi": 3},  # to try the script
    "600-guides": {"cells": 25_000, "genes": 100, "guides_per_gene": 6, "moi": 5},
    "2000-guides": {"cells": 100_000, **MANY_GUIDES},
    "1m": {"cells": 1_000_000, **MANY_GUIDES},
    "2m": {"cells": 2_000_000, **MANY_GUIDES},
    "genome": {
        "cells": 1_000_000,
        "genes": 5000,
        "guides_per_gene": 4,
        "moi": 1.3,
        "ntc_guides": 500,
        "ntc_share": 0.05,
    },
    "cuda": {"cells": 200_000, **MANY_GUIDES},
}


def simulate_settings(case: str) -> dict[str, Any]:
    """Keys of section simulate: one-hot labels, 4 days, 3 fates, 2 replicates."""
    settings = CASES[case]
    active = max(settings["genes"] // 10, 1)
    common = {"active_genes": active, "effect_patterns": {"random_walk": 1}, "labels": "one_hot"}
    common |= {"days": [0, 1, 2, 3], "fates": ["EC", "MES", "NEU"], "replicates": 2}
    return common | settings


def make_design(case: str, folder: Path) -> None:
    """Simulate the case and write its design; the settings beside it tell a stale one."""
    screen, design = draw_screen(simulate_settings(case))
    save_design(design, screen.cells["cell_id"], folder / case)
    (folder / case / "simulate.json").write_text(json.dumps(simulate_settings(case)))


def is_made(case: str, folder: Path) -> bool:
    """Whether the folder holds the design of these settings."""
    settings = folder / case / "simulate.json"
    # through text on both sides: JSON has no integer keys
    return settings.is_file() and settings.read_text() == json.dumps(simulate_settings(case))


def memory_mb(key: str) -> float | None:
    """Read VmRSS (now) or VmHWM (peak) of this process, MB; Linux only.

    ``ru_maxrss`` will not do: a child process inherits the peak of its parent.
    """
    status = Path("/proc/self/status")
    found = re.search(rf"{key}:\s+(\d+) kB", status.read_text()) if status.is_file() else None
    return round(int(found[1]) / 1024, 1) if found else None


def measure(args: argparse.Namespace, case: str) -> dict[str, Any]:
    """Fit one case in this process."""
    design = load_design(args.folder / case / "design.pt")
    device = "cuda" if case == "cuda" else args.device
    fit = fit_config(args.family, args.likelihood_weight, threads=args.threads, device=device)
    torch.set_num_threads(args.threads)
    before, load = memory_mb("VmRSS"), os.getloadavg()[0]
    began = time.perf_counter()
    _, card, _ = fit_effects(design, ModelConfig(), fit, progress=False)
    seconds = time.perf_counter() - began
    return {
        "case": case,
        "seconds": round(seconds, 2),
        "status": card["status"],
        "steps": card.get("steps"),
        "rounds": card.get("rounds"),
        "family": card["family"],
        "latents": card.get("latents"),
        "peak_mb": memory_mb("VmHWM"),
        "before_fit_mb": before,
        "gpu_peak_mb": round(torch.cuda.max_memory_allocated() / 2**20, 1) if device == "cuda" else None,
        **{key: value for key, value in card.items() if "seconds" in key or "phases" in key},
        "weight_by_day": weights_by_day(card, design).round(4).tolist(),
        "cells": design.n_cells,
        "rows": card.get("rows"),
        "genes": len(design.genes),
        "guides": len(design.guides),
        "criterion": card.get("criterion"),
        **machine(card["device"], args.threads, load),
    }


def machine(device: str, threads: int, load: float) -> dict[str, Any]:
    """Describe what a figure was measured on; the load is that before the fit."""
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "threads": threads,
        "cpus": os.cpu_count(),
        "load": round(load, 2),
        "torch": torch.__version__,
        "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def in_fresh_process(step: str, case: str) -> int:
    """Run this script again for one step of one case; return its exit status."""
    command = [sys.executable, "-m", "benchmarks.speed", *sys.argv[1:], "--step", step, "--step-case", case]
    return subprocess.run(command, check=False).returncode


def run_case(case: str, folder: Path) -> int:
    """Make the design where it is absent, then measure; each in a process of its own."""
    if case == "cuda" and not torch.cuda.is_available():
        print("cuda: left out, no CUDA device here")
        return 0
    if not is_made(case, folder) and (failed := in_fresh_process("make", case)):
        return failed
    return in_fresh_process("measure", case)


def main() -> None:
    """Run the cases, or in a fresh process one step of one case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("cases", nargs="+", choices=CASES)
    parser.add_argument("--folder", type=Path, default=Path("results/speed"), help="designs")
    parser.add_argument("--out", type=Path, default=Path("results/speed/speed.jsonl"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="fit.device; the case cuda always takes cuda")
    parser.add_argument("--step", choices=["make", "measure"], help=argparse.SUPPRESS)
    parser.add_argument("--step-case", help=argparse.SUPPRESS)
    add_fit_arguments(parser)
    args = parser.parse_args()
    if args.step is None:
        os.environ["OMP_NUM_THREADS"] = str(args.threads)
        sys.exit(max(run_case(case, args.folder) for case in args.cases))
    if args.step == "make":
        make_design(args.step_case, args.folder)
        return
    line = json.dumps(measure(args, args.step_case), default=str)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with args.out.open("a") as file:
        file.write(line + "\n")
    print(line)


if __name__ == "__main__":
    main()

"""What the certificate says of screens that are right, and of screens that are wrong in known ways.

    python -m benchmarks.certificate --screens 10 --first-seed 100 --out found.json
    python -m benchmarks.certificate --screens 10 --kinds clusters burden

Each screen has 3,000 cells. Right ones have one-hot or Dirichlet labels, or clusters that are named. Wrong
ones are `clusters` (50 cells of a cluster share their guides and a correlation of .02, and the column is
not given), `burden` (many NTC guides under one name, so that a cell's burden counts them as one), `weight`
(labels count twice as much as they should), `pooled` (fates scatter unequally, and fit.dispersion is pooled).
Prints, for each kind, how many certificates pass, warn and fail, which checks fail, and the SD of permuted
z.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from fatewalk.certificate import checks
from fatewalk.certificate.from_fit import draw_nulls, given_phi
from fatewalk.certificate.null_calls import hits_of_shuffled
from fatewalk.config import DesignConfig, FitConfig, ModelConfig
from fatewalk.config.sections import CallsConfig
from fatewalk.config.simulate import SimulateConfig
from fatewalk.estimates.arrays import name_evidence
from fatewalk.estimates.likelihood_only import label_evidence
from fatewalk.screen.design import build_design
from fatewalk.screen.simulate import simulate_screen
from fatewalk.stages.fit_effects import fit_effects

BASE: dict[str, Any] = {
    "cells": 3000, "genes": 30, "guides_per_gene": 3, "moi": 4, "days": [0, 1, 2], "replicates": 2,
    "active_genes": 8, "ntc_guides": 12, "guide_sd": 0.1,
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "one-hot": {},
    "Dirichlet": {"labels": "dirichlet", "concentration": 20},
    "named clusters": {"clusters": 10, "cluster_sd": 0.5},
    "clusters": {
        "clusters": 10,
        "cluster_sd": 0.3,
        "cluster_shares_guides": True,
        "moi": 1,
        "moi_distribution": "fixed",
        "genes": 12,
        "guides_per_gene": 1,
        "active_genes": 3,
        "ntc_guides": 24,
        "ntc_share": 0.6,
    },
    "burden": {
        "ntc_guides": 40,
        "ntc_share": 0.3,
        "moi": 8,
        "burden_slope": 0.3,
        "labels": "dirichlet",
        "concentration": 20,
    },
    "weight": {},
    "pooled": {"labels": "dirichlet", "concentration": 20, "dispersion_by_fate": [1, 4, 10]},
}

WRONG_FIT: dict[str, dict[str, Any]] = {
    "weight": {"likelihood_weight": 2.0},
    "pooled": {"dispersion": "pooled"},
}


def screen(kind: str, seed: int) -> dict[str, Any]:
    """One certificate, with the SD of permuted z and the seconds of nulls and checks."""
    drawn = simulate_screen(SimulateConfig(**{**BASE, **KINDS[kind], "seed": seed}))
    cells, calls, guide_map = drawn.cells, drawn.guide_calls, drawn.guide_map
    if kind == "clusters":
        cells = cells.drop(columns="cluster")
    if kind == "burden":
        ntc = set(guide_map.loc[guide_map["is_ntc"], "guide_name"])
        calls = calls.assign(guide=calls["guide"].astype(str).where(~calls["guide"].isin(ntc), "NTC"))
        calls = calls.drop_duplicates(["cell_id", "guide"])
        one = pd.DataFrame({"guide_name": ["NTC"], "gene_name": ["NTC"], "is_ntc": [True]})
        guide_map = pd.concat([guide_map[~guide_map["is_ntc"]], one], ignore_index=True)
    fates = SimulateConfig(**BASE).fates
    design, _ = build_design(cells, calls, guide_map, DesignConfig(), fates)
    given = WRONG_FIT.get(kind, {})
    start = time.perf_counter()
    fit = FitConfig(family="laplace", device="cpu", **given)
    posterior, card, _ = fit_effects(design, ModelConfig(fates=fates), fit, progress=False)
    fitted = time.perf_counter()
    nulls = draw_nulls(posterior, design, given_phi(card, design))
    drew = time.perf_counter()
    evidence = vars(name_evidence(label_evidence(posterior, design), design))
    hits = hits_of_shuffled(nulls, evidence, 10, CallsConfig())
    found = [
        checks.shuffled_guides(nulls), checks.control_guides(nulls), checks.quiet_genes(nulls),
        checks.ntc_slope(card), checks.label_weight(nulls), checks.false_hits(hits, len(nulls.genes)),
    ]  # fmt: skip
    return {
        "kind": kind,
        "seed": seed,
        "verdict": checks.certificate("quick", found, [])["verdict"],
        "checks": {check.name: [check.verdict, check.value, check.limit] for check in found},
        "sd": np.sqrt(np.nanmean(nulls.z_sd**2, axis=1)).tolist(),
        "null_z": [float(nulls.control_share.sum()), float(nulls.gene_share.sum())],
        "fit_s": fitted - start,
        "nulls_s": drew - fitted,
    }


def main() -> None:
    """Print a row for each kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--screens", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--out", type=Path, help="JSON of what was found so far, written after every screen")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    every: list[dict[str, Any]] = []
    for kind in args.kinds:
        for seed in range(args.first_seed, args.first_seed + args.screens):
            every.append(screen(kind, seed))
            if args.out:
                args.out.write_text(json.dumps(every))
        print(summary([one for one in every if one["kind"] == kind]), flush=True)


def summary(found: list[dict[str, Any]]) -> str:
    """Some lines on the screens of one kind."""
    verdicts = Counter(one["verdict"] for one in found)
    by_check = {
        verdict: dict(Counter(n for one in found for n, c in one["checks"].items() if c[0] == verdict))
        for verdict in ("warn", "fail")
    }
    sd = np.array([one["sd"] for one in found])
    values = pd.DataFrame([{name: c[1] for name, c in one["checks"].items()} for one in found])
    z = np.mean([one["null_z"] for one in found], axis=0).round(0)
    times = [np.mean([one[name] for one in found]).round(1) for name in ("fit_s", "nulls_s")]
    return (
        f"{found[0]['kind']}: {dict(verdicts)} {by_check}\n"
        f"  SD of permuted z by fate: {sd.mean(axis=0).round(3)}, all {sd.min():.3f} to {sd.max():.3f}\n"
        f"  mean values: {values.astype(float).mean().round(2).to_dict()}\n"
        f"  independent z of controls {z[0]:.0f}, genes {z[1]:.0f}; seconds: fit {times[0]}, nulls {times[1]}"
    )


if __name__ == "__main__":
    main()

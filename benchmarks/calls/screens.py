"""Estimates and truth of sets of screens, one .npz a screen; resumable.

    python -m benchmarks.calls.screens results/calls --jobs 2                 # grid of effect patterns
    python -m benchmarks.calls.screens results/calls --set kinds --jobs 2     # effects on contrasts
    python -m benchmarks.calls.screens results/calls --set movers --jobs 2    # one fate moves, or two do
    python -m benchmarks.calls.screens results/calls --set nulls --jobs 2     # no effect at all

Letters: L genes, F* contrasts, D days.
"""

from __future__ import annotations

import argparse
import itertools
import zlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks.common import draw_screen, fit_config, true_effects
from fatewalk.config import ModelConfig
from fatewalk.core.schema import day_names
from fatewalk.core.tables import write_arrays
from fatewalk.estimates.arrays import mean_composition
from fatewalk.estimates.from_draws import posterior_moments
from fatewalk.estimates.likelihood_only import label_evidence, likelihood_estimates
from fatewalk.screen.resolution import label_spread
from fatewalk.stages.fit_effects import fit_effects

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fatewalk.estimates.arrays import Moments
    from fatewalk.infer.fitted import Posterior
    from fatewalk.screen.design import Design
    from fatewalk.screen.simulate import SimulatedScreen

DRAWS = 2000
SCREEN: dict[str, Any] = {
    "cells": 10_000,
    "genes": 100,
    "ntc_guides": 20,
    "ntc_share": 0.1,
    "days": [0, 1, 2, 3],
    "replicates": 2,
    "moi": 5,
    "fates": ["EC", "MES", "NEU"],
    "active_genes": 20,
    "effect_size": [0.2, 1.0],
    "guide_sd": 0.2,
}
PATTERNS: dict[str, dict[str, Any]] = {
    **{
        name: {"effect_patterns": {name: 1}}
        for name in ("single_day", "sustained", "early", "late", "transient", "sign_switch")
    },
    "mixed": {},
    "none": {"active_genes": 0},
    "walk_of_20": {"effect_patterns": {"random_walk": 1}},
    "walk_of_all": {"effect_patterns": {"random_walk": 1}, "active_genes": 100, "walk_start_sd": 0.3,
                    "walk_step_sd": 0.2},
}  # fmt: skip
LABELS: dict[str, dict[str, Any]] = {
    "one_hot": {"labels": "one_hot"},
    "dirichlet": {"labels": "dirichlet", "concentration": 50},
}
GUIDES = ("centred", "uncentred")
SHARES = {
    3: [0.6, 0.3, 0.1],
    5: [0.5, 0.25, 0.15, 0.08, 0.02],
    6: [0.3, 0.2, 0.15, 0.15, 0.1, 0.1],
    8: [0.4, 0.2, 0.15, 0.1, 0.06, 0.04, 0.03, 0.02],
}

Settings = dict[str, dict[str, Any]]


def grid() -> Settings:
    """Every pattern, kind of labels and of guides; called as ``pattern,labels,guides``."""
    return {
        f"{pattern},{labels},{guides}": PATTERNS[pattern] | LABELS[labels] | {"guide_effects": guides}
        for pattern, labels, guides in itertools.product(PATTERNS, LABELS, GUIDES)
    }


def kinds() -> Settings:
    """Effects on contrasts: each its own, one of them, all alike."""
    return {kind: {"effect_fates": kind} for kind in ("independent", "one", "same")}


def movers() -> Settings:
    """One fate or two of several move, the others follow."""
    one = {
        f"one_of_{n},{low:g}-{high:g}": _moved(n, "one_fate", low, high)
        for n, (low, high) in itertools.product((3, 5, 8), ((0.5, 1.0), (1.0, 2.0)))
    }
    return one | {f"two_of_{n},0.5-2": _moved(n, "two_fates", 0.5, 2.0) for n in (3, 6)}


def _moved(n_fates: int, fates: str, low: float, high: float) -> dict[str, Any]:
    names = [f"F{number}" for number in range(1, n_fates + 1)]
    return {
        "fates": names,
        "fate_shares": SHARES[n_fates],
        "effect_fates": fates,
        "effect_size": [low, high],
    }


def nulls() -> Settings:
    """No effect, with either kind of labels."""
    return {f"null,{name}": {"active_genes": 0} | labels for name, labels in LABELS.items()}


SETS = {"grid": (grid, 6), "kinds": (kinds, 20), "movers": (movers, 20), "nulls": (nulls, 20)}


def screens(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and ``simulate`` section of every screen of a set."""
    settings, n_seeds = SETS[name]
    for setting, changes in settings().items():
        for number in range(1, n_seeds + 1):
            full = f"{setting},{number}"
            yield full, SCREEN | changes | {"seed": zlib.crc32(full.encode()) % 10**8}


def run_screen(simulate: dict[str, Any], path: Path) -> None:
    """Simulate and fit one screen; keep what `estimates` returns and the status of the fit."""
    torch.set_num_threads(1)
    screen, design = draw_screen(simulate)
    family = "structured" if path.parent.name == "grid" else "laplace"  # the grid compares posteriors as well
    fit = fit_config(family, None, threads=1, device="cpu")
    posterior, card, _ = fit_effects(design, ModelConfig(fates=list(design.fates)), fit, progress=False)
    moments = posterior_moments(posterior, design, DRAWS, fit.seed)
    arrays = estimates(screen, design, posterior, moments)
    write_arrays(arrays | {"status": np.array(card["status"])}, path)


def estimates(
    screen: SimulatedScreen, design: Design, posterior: Posterior, moments: Moments
) -> dict[str, np.ndarray]:
    """Estimates and truth of a screen.

    Returns
    -------
    dict
        What `of_fit` returns; library, gene [L, F*, D], the truths.
    """
    return of_fit(design, posterior, moments) | {
        "library": true_effects(screen, design, "theta"),
        "gene": true_effects(screen, design, "theta_gene"),
    }


def of_fit(design: Design, posterior: Posterior, moments: Moments) -> dict[str, np.ndarray]:
    """Estimates of a fit, of simulated cells or real ones.

    Returns
    -------
    dict
        genes [L]; gene_cells [L, D]; mean [L, F*, D] and covariance [L, F*, D, D] of the posterior;
        alone, alone_covariance: the same of the likelihood alone; sampling [F*, L], variance that
        guide sampling adds; score [L, F*, D], information [L, F*, D, F*, D], guide_variance [] and
        composition and label_spread [F, D], evidence on all fates; n_guides [L].
    """
    alone = likelihood_estimates(posterior, design, posterior.rows(design))
    evidence = label_evidence(posterior, design)
    return {
        "genes": np.array(design.genes),
        "gene_cells": moments.gene_cells,
        "mean": moments.theta_mean,
        "covariance": moments.theta_day_cov,
        "alone": alone.gene_mean,
        "alone_covariance": np.einsum("lfdfe->lfde", alone.gene_covariance),
        "score": evidence.gene_score,
        "information": evidence.gene_information,
        "guide_variance": np.array(evidence.guide_variance),
        "composition": mean_composition(design),
        "label_spread": label_spread(design.prob.numpy(), design.day.numpy(), len(design.days)),
        "n_guides": moments.n_guides,
        "sampling": moments.sigma_guide_square[:, None] / moments.n_guides,
    }


def evidence_arrays(screen: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of evidence.npz, as far as genes need them, from what `estimates` returns."""
    n_fates, n_days = screen["composition"].shape
    return {
        "gene_score": screen["score"],
        "gene_information": screen["information"],
        "gene_cells": screen["gene_cells"],
        "genes": screen["genes"],
        "guide_to_gene": np.repeat(np.arange(len(screen["genes"])), screen["n_guides"].astype(int)),
        "guide_variance": screen["guide_variance"],
        "composition": screen["composition"],
        "label_spread": screen["label_spread"],
        "steepness": np.ones(screen["composition"].shape),  # percentage points are not looked at
        "fates": np.array([f"F{number}" for number in range(n_fates)]),
        "days": np.array(day_names(n_days)),
    }


def main() -> None:
    """Run the screens that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="a folder for each set, one .npz a screen")
    parser.add_argument("--set", choices=SETS, default="grid", help="which screens")
    parser.add_argument("--jobs", type=int, default=1, help="screens at once")
    args = parser.parse_args()
    folder = args.folder / args.set
    folder.mkdir(parents=True, exist_ok=True)
    todo = [(s, p) for name, s in screens(args.set) if not (p := folder / f"{name}.npz").exists()]
    with ProcessPoolExecutor(args.jobs) as pool:
        for (_, path), _ in zip(todo, pool.map(run_screen, *zip(*todo, strict=True)), strict=True):
            print(path.stem, flush=True)


if __name__ == "__main__":
    main()

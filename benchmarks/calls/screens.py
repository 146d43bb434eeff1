"""Estimates and truth of screens over a grid of effect patterns, one .npz a screen; resumable.

    python -m benchmarks.calls.screens results/calls --seeds 6 --jobs 2

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
from fatewalk.core.tables import write_arrays
from fatewalk.estimates.arrays import mean_composition
from fatewalk.estimates.from_draws import posterior_moments
from fatewalk.estimates.likelihood_only import label_evidence, likelihood_estimates
from fatewalk.stages.fit_effects import fit_effects

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def grid(seeds: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and ``simulate`` section of every screen."""
    for pattern, labels, guides in itertools.product(PATTERNS, LABELS, GUIDES):
        for number in range(1, seeds + 1):
            name = f"{pattern},{labels},{guides},{number}"
            seed = zlib.crc32(name.encode()) % 10**8
            changes = PATTERNS[pattern] | LABELS[labels] | {"guide_effects": guides, "seed": seed}
            yield name, SCREEN | changes


def run_screen(simulate: dict[str, Any], path: Path) -> None:
    """Simulate and fit one screen; keep what `estimates` returns and the status of the fit."""
    torch.set_num_threads(1)
    screen, design = draw_screen(simulate)
    fit = fit_config(None, None, threads=1, device="cpu")
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
        genes [L]; gene_cells [L, D]; mean [L, F*, D] and covariance [L, F*, D, D] of the posterior;
        alone, alone_covariance: the same of the likelihood alone; sampling [F*, L], variance that
        guide sampling adds; score [L, F*, D], information [L, F*, D, F*, D], guide_variance [] and
        composition [F, D], evidence on all fates; n_guides [L]; library, gene [L, F*, D], the truths.
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
        "n_guides": moments.n_guides,
        "sampling": moments.sigma_guide_square[:, None] / moments.n_guides,
        "library": true_effects(screen, design, "theta"),
        "gene": true_effects(screen, design, "theta_gene"),
    }


def main() -> None:
    """Run the screens that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="one .npz a screen")
    parser.add_argument("--seeds", type=int, default=6, help="screens for each pattern, label and guides")
    parser.add_argument("--jobs", type=int, default=1, help="screens at once")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    todo = [(s, p) for name, s in grid(args.seeds) if not (p := args.folder / f"{name}.npz").exists()]
    with ProcessPoolExecutor(args.jobs) as pool:
        for (_, path), _ in zip(todo, pool.map(run_screen, *zip(*todo, strict=True)), strict=True):
            print(path.stem, flush=True)


if __name__ == "__main__":
    main()

"""Errors of unshrunk estimates where fates scatter 1 to 10 times: one dispersion for all fates, and by fate.

    python -m benchmarks.dispersion_by_fate --screens 60

Screens of three fates (shares .65, .30, .05), 30 genes, three days; nine genes shift one fate by 2.1 logit on
all days, which takes the rare one from .05 to .30 or less. The factors 1, 3 and 10 go to the fates in turn.

cells: soft labels of single cells scatter unequally (`simulate.dispersion_by_fate`).
varying: the same in clusters whose cells carry different guides (intercepts of SD 0.3).
shared: one label a cell; the composition of clusters whose cells share their guides scatters unequally.
smoothed: no effects; labels of single cells averaged over 30 neighbours, as CellRank's graph does.

For every fate, on the scale of its contrast (theta; the reference has none) and of its own log odds: SD of z
of null gene-days, coverage of 95 % intervals of all gene-days and of those that gain 1.5 logit or more.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from benchmarks.common import draw_screen, fit_config, true_effects
from fatewalk import mash
from fatewalk.calls.fates import unshrunk
from fatewalk.config import ModelConfig
from fatewalk.core.schema import Z95
from fatewalk.estimates.arrays import mean_composition
from fatewalk.estimates.likelihood_only import label_evidence, likelihood_estimates
from fatewalk.stages.fit_effects import fit_effects

if TYPE_CHECKING:
    from fatewalk.screen.design import Design

FACTORS = list(itertools.permutations([1.0, 3.0, 10.0]))
SCREEN: dict[str, Any] = {
    "cells": 9000,
    "genes": 30,
    "guides_per_gene": 2,
    "moi": 2,
    "days": [0, 1, 2],
    "fate_shares": [0.65, 0.3, 0.05],
    "intercept_sd": 0.0,
    "guide_sd": 0.1,
    "active_genes": 9,
    "effect_fates": "one_fate",
    "effect_size": [2.1, 2.1],
    "effect_patterns": {"sustained": 1},
    "labels": "dirichlet",
    "concentration": 30,
}
KINDS: dict[str, dict[str, Any]] = {
    "cells": {},
    "varying": {"clusters": 10, "cluster_sd": 0.3},
    "shared": {
        "clusters": 100, "cluster_sd": 0.0, "cluster_shares_guides": True, "moi": 1, "genes": 15,
        "moi_distribution": "fixed", "concentration": 1e6, "cells": 12000, "active_genes": 4,
    },
    "smoothed": {"label_smoothing": 30, "active_genes": 0, "guide_sd": 0.0},
}  # fmt: skip
GAIN = 1.5  # logit
LIMITS = {"sd_z": (0.95, 1.05), "coverage": (0.93, 0.97), "coverage_of_gains": (0.93, 0.97)}


def draw(kind: str, seed: int) -> tuple[Design, np.ndarray]:
    """A screen whose fates scatter unequally, and its true effects [L, F*, D]."""
    factors = FACTORS[seed % len(FACTORS)]
    settings = SCREEN | KINDS[kind] | {"seed": seed}
    if kind in ("cells", "varying"):
        settings["dispersion_by_fate"] = list(factors)
    screen, design = draw_screen(settings)
    if kind == "shared":
        design = replace(design, prob=_scattered_clusters(design, factors, np.random.default_rng(seed)))
    return design, true_effects(screen, design, "theta")


def _scattered_clusters(
    design: Design, factors: tuple[float, ...], rng: np.random.Generator, concentration: float = 8.0
) -> torch.Tensor:
    """One label a cell, drawn from its cluster's composition, which scatters by fate, [N, F]."""
    kept = np.sqrt(np.array(factors) / max(factors))
    cluster = design.cluster.numpy()
    first = np.unique(cluster, return_index=True)[1]
    pi = design.prob.numpy()[first]  # [C, F] all but the truth
    drawn = np.array([rng.dirichlet(p * concentration + 1e-9) for p in pi])
    dealt = pi * (1 - kept)
    share = dealt / dealt.sum(axis=1, keepdims=True)
    composition = drawn * kept + (drawn @ (1 - kept))[:, None] * share
    below = composition[cluster].cumsum(axis=1)[:, :-1] < rng.random((len(cluster), 1))
    return torch.eye(pi.shape[1], dtype=torch.float64)[torch.from_numpy(below.sum(axis=1))]


def z_scores(kind: str, seed: int) -> pd.DataFrame:
    """One row for each gene-day, fate, scale and dispersion: what it is of, truth, null, z."""
    design, truth = draw(kind, seed)
    fit = fit_config("laplace", None, device="cpu")
    posterior, card, _ = fit_effects(design, ModelConfig(), fit, progress=False)
    assert card["status"] == "converged", card["warnings"]
    composition = mean_composition(design)
    of_fates = mash.fate_scale(truth, composition)  # [L, F, D]
    found = []
    for name, one in (("by_fate", posterior), ("pooled", replace(posterior, scatter=None))):
        estimates = likelihood_estimates(one, design, one.rows(design))
        se = np.sqrt(np.einsum("lfdfd->lfd", estimates.gene_covariance))
        evidence = label_evidence(one, design)
        given = mash.Evidence(evidence.gene_score, evidence.gene_information)
        on_fates = unshrunk(given, composition)
        for scale, fates, mean, sd, true in (
            ("contrast", design.contrasts, estimates.gene_mean, se, truth),
            ("fate", design.fates, *on_fates, of_fates),
        ):
            for f, fate in enumerate(fates):
                factor = FACTORS[seed % len(FACTORS)][design.fates.index(fate)]
                found.append(
                    pd.DataFrame(
                        {
                            "kind": kind, "seed": seed, "dispersion": name, "scale": scale, "fate": fate,
                            "factor": factor, "truth": true[:, f].ravel(),
                            "null": (np.abs(truth).max(axis=(1, 2), keepdims=True) == 0)
                            .repeat(truth.shape[2], 2)[:, 0].ravel(),
                            "z": ((mean[:, f] - true[:, f]) / sd[:, f]).ravel(),
                        }
                    )
                )  # fmt: skip
    return pd.concat(found)


def summary(scores: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """SD of z of null genes around their day, and coverage."""

    def of_group(part: pd.DataFrame) -> pd.Series:
        covered = part["z"].abs() <= Z95
        gains = part["truth"] > GAIN
        return pd.Series(
            {
                "sd_z": np.sqrt((part.loc[part["null"], "z"] ** 2).mean()),
                "coverage": covered.mean(),
                "coverage_of_gains": covered[gains].mean(),
                "gains": gains.sum(),
            }
        )

    return scores.groupby(by, sort=False)[["z", "truth", "null"]].apply(of_group).reset_index()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kind", choices=list(KINDS), nargs="+", default=list(KINDS))
    parser.add_argument("--screens", type=int, default=24)
    args = parser.parse_args()
    torch.set_num_threads(1)
    scores = pd.concat(z_scores(kind, seed) for kind in args.kind for seed in range(1, args.screens + 1))
    shape: dict[str, Any] = {"index": False, "float_format": "{:.3f}".format}
    print(summary(scores, ["kind", "scale", "fate", "dispersion"]).to_string(**shape))
    print(summary(scores, ["kind", "scale", "factor", "dispersion"]).to_string(**shape))
    mine = summary(scores[scores["dispersion"] == "by_fate"], ["kind", "scale", "fate"])
    for name, (low, high) in LIMITS.items():
        within = mine[name].between(low, high)
        print(f"{name}: {within.sum()} of {len(mine)} rows within {low} to {high}")


if __name__ == "__main__":
    main()

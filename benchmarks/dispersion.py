"""The likelihood weight that is found against the true one, and what it does for soft labels.

    python -m benchmarks.dispersion weight
    python -m benchmarks.dispersion rmse

weight: one-hot and Dirichlet labels, weight of the fit by day against 1 and c + 1, mean over screens.
rmse: Dirichlet(50), 25,000 cells, 100 genes x 6 guides, MOI 5, 4 days, effects on single days;
RMSE of theta with the weight asked for (auto) against weight 1.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.common import (
    add_fit_arguments,
    draw_screen,
    fit_config,
    true_effects,
    true_weights,
    weights_by_day,
)
from fatewalk.config import ModelConfig
from fatewalk.core.schema import Z95
from fatewalk.estimates.from_draws import posterior_moments
from fatewalk.stages.fit_effects import fit_effects

WEIGHT_LIMIT = 0.03  # relative
RATIO_LIMIT, RMSE_LIMIT = 0.5, 0.027
LABELS: dict[str, dict[str, Any]] = {"one-hot": {"labels": "one_hot"}} | {
    f"Dirichlet {c}": {"labels": "dirichlet", "concentration": c} for c in (10, 50, 200)
}
SCREEN: dict[str, Any] = {
    "cells": 25_000,
    "genes": 100,
    "guides_per_gene": 6,
    "moi": 5,
    "days": [0, 1, 2, 3],
    "active_genes": 40,  # on one of 4 days: 10 % of the gene-days
    "effect_patterns": {"single_day": 1},
    "effect_size": [0.4, 1.2],
    "guide_sd": 0.3,
}


def weight_table(args: argparse.Namespace) -> pd.DataFrame:
    """Fit every kind of label; one row for each kind and day.

    Returns
    -------
    pandas.DataFrame
        labels, day, true, weight and phi (means over screens), seconds, ratio with its standard
        error, not_converged (fits), ok.
    """
    fit = fit_config(args.family, args.likelihood_weight, threads=args.threads, device="cpu")
    tables = []
    for name, labels in LABELS.items():
        found = []
        for seed in range(1, args.screens + 1):
            settings = SCREEN | labels | args.simulate | {"seed": seed}
            _, design = draw_screen(settings)
            _, card, _ = fit_effects(design, ModelConfig(), fit, progress=False)
            true = true_weights(settings, len(design.days))
            weights = weights_by_day(card, design)
            found.append(
                pd.DataFrame({"labels": name, "day": design.days, "true": true, "weight": weights}).assign(
                    phi=[card["phi_by_day"][day] for day in design.days],
                    seconds=card["wall_seconds"],
                    status=card["status"],
                )
            )
        table = pd.concat(found)
        table["ratio"] = table["weight"] / table["true"]
        by_day = table.groupby(["labels", "day"], sort=False)
        summary = by_day[["true", "weight", "phi", "seconds", "ratio"]].mean()
        summary["not_converged"] = by_day["status"].agg(lambda status: (status != "converged").sum())
        summary["ratio_se"] = by_day["ratio"].sem()
        tables.append(summary.reset_index())
    whole = pd.concat(tables, ignore_index=True)
    return whole.assign(ok=(whole["ratio"] - 1).abs() <= WEIGHT_LIMIT)


def rmse_table(args: argparse.Namespace) -> pd.DataFrame:
    """Fit the same screens with the weight asked for and with 1; one row for each screen and weight.

    Returns
    -------
    pandas.DataFrame
        seed, asked, weight (mean over days), rmse (of theta over observed gene-days, logit),
        coverage (of 95 % intervals), status, seconds.
    """
    asked = "auto" if args.likelihood_weight is None else args.likelihood_weight
    rows = []
    for seed in range(1, args.screens + 1):
        settings = SCREEN | LABELS["Dirichlet 50"] | args.simulate | {"seed": seed}
        screen, design = draw_screen(settings)
        theta = true_effects(screen, design, "theta")
        for weight in (asked, 1.0):
            fit = fit_config(args.family, weight, threads=args.threads, device="cpu")
            posterior, card, _ = fit_effects(design, ModelConfig(), fit, progress=False)
            moments = posterior_moments(posterior, design, args.draws, fit.seed)
            observed = (moments.gene_cells > 0)[:, None, :] & np.ones(theta.shape, dtype=bool)
            error, se = (moments.theta_mean - theta)[observed], moments.theta_sd[observed]
            rows.append(
                {
                    "seed": seed,
                    "asked": str(weight),
                    "weight": weights_by_day(card, design).mean(),
                    "rmse": np.sqrt((error**2).mean()),
                    "coverage": (np.abs(error) <= Z95 * se).mean(),
                    "status": card["status"],
                    "seconds": card["wall_seconds"],
                }
            )
    return pd.DataFrame(rows)


def main() -> None:
    """Print the table that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["weight", "rmse"])
    parser.add_argument("--screens", type=int, default=3)
    parser.add_argument("--simulate", type=json.loads, default={}, help="keys of simulate to change, as JSON")
    parser.add_argument("--draws", type=int, default=2000, help="posterior draws")
    parser.add_argument("--threads", type=int, default=1)
    add_fit_arguments(parser)
    args = parser.parse_args()
    if args.what == "weight":
        table = weight_table(args)
        print(table.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
        print(f"{table['ok'].sum()} of {len(table)} days within {WEIGHT_LIMIT:.0%}")
        return
    table = rmse_table(args)
    print(table.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
    mine, one = (part["rmse"].to_numpy() for part in (table.iloc[::2], table.iloc[1::2]))
    ratio = (mine / one).mean()
    print(
        f"RMSE {mine.mean():.4f} (limit {RMSE_LIMIT}: {mine.mean() <= RMSE_LIMIT}); over that at weight 1: "
        f"{ratio:.3f} (limit {RATIO_LIMIT}: {ratio <= RATIO_LIMIT})"
    )


if __name__ == "__main__":
    main()

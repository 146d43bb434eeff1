"""A block of screens of one cell of the grid: simulate, fit, compare with the truth, one small CSV.

python -m benchmarks.calibration.screens --cell a=b --simulate '{"cells": 800}' --out block.csv
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from fatewalk.config import FitConfig, ModelConfig
from fatewalk.core.schema import Z95
from fatewalk.core.tables import write_table
from fatewalk.estimates.export import gene_sd
from fatewalk.estimates.from_draws import posterior_moments
from fatewalk.estimates.likelihood_only import likelihood_estimates
from fatewalk.stages.fit_effects import fit_effects

if TYPE_CHECKING:
    from collections.abc import Mapping


def compare(estimate: np.ndarray, se: np.ndarray, truth: np.ndarray, is_null: np.ndarray) -> dict[str, float]:
    """Measure a set of estimates against the truth.

    Parameters
    ----------
    estimate, se, truth : [n]
        Missing estimates or errors are left out.
    is_null : bool [n]
        The gene has no effect on that day.

    Returns
    -------
    dict
        n; covered (number of 95 % intervals that hold the truth); rmse, bias and mean_se in
        logit; null_n, null_z, null_z_square: number, sum and sum of squares of
        (estimate - truth) / se over the null ones.
    """
    seen = np.isfinite(estimate) & np.isfinite(se)
    error, se, is_null = (estimate - truth)[seen], se[seen], is_null[seen]
    n = len(error)
    z = error[is_null] / se[is_null]
    return {
        "n": n,
        "covered": int((np.abs(error) <= Z95 * se).sum()),
        "rmse": float(np.sqrt((error**2).mean())) if n else np.nan,
        "bias": float(error.mean()) if n else np.nan,
        "mean_se": float(se.mean()) if n else np.nan,
        "null_n": len(z),
        "null_z": float(z.sum()),
        "null_z_square": float((z**2).sum()),
    }


def run_screen(simulate: Mapping[str, Any], fit: FitConfig, draws: int) -> pd.DataFrame:
    """Simulate one screen, fit it, and compare estimates with the truth by contrast and day.

    Returns
    -------
    pandas.DataFrame
        seed, status, seconds, contrast, day, weight, weight_true, kind (of estimate), estimand
        (library | gene), and the columns of `compare`.
    """
    screen, design = draw_screen(simulate)
    posterior, card, _ = fit_effects(design, ModelConfig(fates=list(design.fates)), fit, progress=False)
    moments = posterior_moments(posterior, design, draws, fit.seed)

    alone = likelihood_estimates(posterior, design, posterior.rows(design))
    alone_sd = np.sqrt(np.einsum("lfdfd->lfd", alone.gene_covariance))
    estimates = {  # kind -> (estimate, its SE), [L, F*, D] each
        "posterior": (moments.theta_mean, moments.theta_sd),
        "likelihood": (alone.gene_mean, alone_sd),
    }
    truth = {
        "library": true_effects(screen, design, "theta"),
        "gene": true_effects(screen, design, "theta_gene"),
    }
    observed = moments.gene_cells > 0  # [L, D]
    weight, weight_true = weights_by_day(card, design), true_weights(simulate, len(design.days))

    rows = []
    for kind, (estimate, se) in estimates.items():
        of_gene, _ = gene_sd(se, moments.sigma_guide_square, moments.n_guides)
        full_se = {"library": se, "gene": of_gene}  # [L, F*, D] each
        for estimand, theta in truth.items():
            for f, contrast in enumerate(design.contrasts):
                for d in range(len(design.days)):
                    at = (observed[:, d], f, d)
                    is_null = truth["gene"][at] == 0  # a library's effect is zero only where guides are alike
                    rows.append(
                        {
                            "seed": simulate["seed"],
                            "status": card["status"],
                            "seconds": card["wall_seconds"],
                            "contrast": contrast,
                            "day": d,
                            "weight": weight[d],
                            "weight_true": weight_true[d],
                            "kind": kind,
                            "estimand": estimand,
                            **compare(estimate[at], full_se[estimand][at], theta[at], is_null),
                        }
                    )
    return pd.DataFrame(rows)


def main() -> None:
    """Run the block that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cell", required=True, help="name of the grid's cell, kept in column cell")
    parser.add_argument("--simulate", required=True, type=json.loads, help="section simulate, as JSON")
    parser.add_argument("--first", type=int, default=1, help="first screen")
    parser.add_argument("--last", type=int, default=1, help="last screen")
    parser.add_argument("--seed", type=int, default=0, help="screen k has seed + k")
    parser.add_argument("--draws", type=int, default=2000, help="posterior draws")
    parser.add_argument("--out", type=Path, required=True, help="CSV")
    add_fit_arguments(parser)
    args = parser.parse_args()
    fit = fit_config(args.family, args.likelihood_weight, threads=1, device="cpu")
    screens = []
    for number in range(args.first, args.last + 1):
        screens.append(run_screen(args.simulate | {"seed": args.seed + number}, fit, args.draws))
        print(f"{args.cell} screen {number}: {screens[-1]['status'].iloc[0]}", flush=True)
    table = pd.concat(screens, ignore_index=True)
    table.insert(0, "cell", args.cell)
    write_table(table, args.out)


if __name__ == "__main__":
    main()

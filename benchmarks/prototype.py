"""The screen on which the earlier prototype was measured: errors of theta, and calls against the truth.

    python -m benchmarks.prototype --seeds 20

25,000 cells, 100 genes x 6 guides, on every day ten genes drawn anew with an effect on that day
alone. One row for each seed, contrast, day and source of calls; a seed that the output holds already
with all sources is not run again.

Letters: L genes, F* contrasts, D days.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.calls.compare import effects_of
from benchmarks.calls.screens import estimates
from benchmarks.common import draw_screen, fit_config
from fatewalk.config import CallsConfig, ModelConfig
from fatewalk.core.schema import Z95
from fatewalk.core.tables import write_table
from fatewalk.estimates.from_draws import posterior_moments
from fatewalk.stages.fit_effects import fit_effects

OUTPUT = Path("benchmarks/prototype.csv")
RMSE_LIMIT, COVERAGE_LIMITS = 0.026, (0.93, 0.97)  # by contrast, RMSE also by day
MISSES_LIMIT, FALSE_CALLS_LIMIT = 2.5, 0.2  # in a screen, by contrast
SMALL = (0.25, 0.3)  # misses with |theta| below these are counted apart

SCREEN: dict[str, Any] = {
    "cells": 25_000,
    "genes": 100,
    "guides_per_gene": 6,
    "ntc_guides": 20,
    "ntc_share": 0.2,
    "days": [0, 1, 2, 3],
    "replicates": 2,
    "moi": 5,
    "moi_distribution": "uniform",  # 1 to 9
    "guide_abundance_sd": 0,
    "labels": "dirichlet",
    "concentration": 50,
    "active_genes": 10,
    "active_per": "day",
    "effect_size": [0.2, 1.0],
    "effect_fates": "same",
    "guide_sd": 0.2,
    "guide_effects": "centred",
    "burden_slope": 0,
    "burden_slope_sd": 0.1,
    "intercept_sd": 0.2,
    "replicate_sd": 0.2,
}


SOURCES = ("mash_fates", "joint", "mash_posterior", "mash_likelihood")


def count_calls(
    lfsr: np.ndarray, prob_large: np.ndarray, theta: np.ndarray, calls: CallsConfig
) -> dict[str, int]:
    """Count the calls of a day against the truth.

    Parameters
    ----------
    lfsr, prob_large, theta : [L]
        Local false sign rate, P(|theta| > eps), true effect.
    calls
        Thresholds.

    Returns
    -------
    dict
        tp, fp, fn, tn, and the misses (fn) with a true size below each of ``SMALL``.
    """
    size = np.abs(theta)
    called = (lfsr < calls.lfsr_day) & (prob_large >= calls.effect_prob_large_min)
    active = size >= calls.effect_size_eps
    missed = active & ~called
    counts = {"tp": active & called, "fp": ~active & called, "fn": missed, "tn": ~active & ~called}
    counts |= {f"fn_below_{bound:g}": missed & (size < bound) for bound in SMALL}
    return {name: int(is_one.sum()) for name, is_one in counts.items()}


def run_screen(simulate: dict[str, Any], draws: int) -> pd.DataFrame:
    """Simulate one screen, fit it, and compare with the truth by contrast, day and source of calls.

    Parameters
    ----------
    simulate
        Keys of section ``simulate``, with the seed.
    draws
        Posterior draws.

    Returns
    -------
    pandas.DataFrame
        seed, contrast, day, source; rmse (logit) and coverage (of mean +- 1.96 SD) of the joint
        posterior over the genes; the columns of `count_calls`; status, seconds (of the fit).
    """
    screen, design = draw_screen(simulate)
    fit = fit_config(None, None, threads=1, device="cpu")
    posterior, card, _ = fit_effects(design, ModelConfig(fates=list(design.fates)), fit, progress=False)
    moments = posterior_moments(posterior, design, draws, fit.seed)
    arrays, calls = estimates(screen, design, posterior, moments), CallsConfig()
    theta = arrays["library"]  # [L, F*, D]
    error = moments.theta_mean - theta
    covered = np.abs(error) <= Z95 * moments.theta_sd
    rows = []
    places = dict.fromkeys(SOURCES, 0)  # of the next contrast of each source
    for source, scale, effects, _ in effects_of(arrays, "library", one_by_one=True):
        if scale == "fate":
            continue
        f = places[source]
        places[source] += 1
        for d in range(len(design.days)):
            rows.append(
                {
                    "seed": simulate["seed"],
                    "contrast": design.contrasts[f],
                    "day": d,
                    "source": source,
                    "rmse": np.sqrt((error[:, f, d] ** 2).mean()),
                    "coverage": covered[:, f, d].mean(),
                    **count_calls(effects.lfsr[:, d], effects.prob_large[:, d], theta[:, f, d], calls),
                    "status": card["status"],
                    "seconds": card["wall_seconds"],
                }
            )
    return pd.DataFrame(rows)


def report(table: pd.DataFrame) -> str:
    """Averages over the seeds against the limits.

    Parameters
    ----------
    table
        From `run_screen`, of one or more seeds.
    """
    n_seeds = table["seed"].nunique()
    lines = [f"{n_seeds} screens; fits not converged: {_not_converged(table)}"]
    joint = table[table["source"] == table["source"].iloc[0]]  # every source repeats rmse and coverage
    for contrast, part in joint.groupby("contrast"):
        rmse = part.groupby("day")["rmse"].mean()
        coverage = part.groupby("day")["coverage"].mean()
        low, high = COVERAGE_LIMITS
        lines += [
            f"{contrast}: RMSE by day {_numbers(rmse, 4)} ({_verdict((rmse <= RMSE_LIMIT).all())}, "
            f"limit {RMSE_LIMIT})",
            f"{contrast}: coverage {coverage.mean():.3f}, by day {_numbers(coverage, 3)} "
            f"({_verdict(coverage.between(low, high).all())}, limits {low} to {high})",
        ]
    small = [f"fn_below_{bound:g}" for bound in SMALL]
    for (source, contrast), part in table.groupby(["source", "contrast"], sort=False):
        total = part[["tp", "fp", "fn", "tn", *small]].sum() / n_seeds
        within = ", ".join(
            f"{total[name]:.2f} with |theta| < {bound:g}" for name, bound in zip(small, SMALL, strict=True)
        )
        lines.append(
            f"{contrast}, calls from {source}: a screen has {total['fn']:.2f} misses of "
            f"{total['fn'] + total['tp']:g} ({within}; {_verdict(total['fn'] <= MISSES_LIMIT)}, limit "
            f"{MISSES_LIMIT}), {total['fp']:.2f} false calls ({_verdict(total['fp'] <= FALSE_CALLS_LIMIT)}, "
            f"limit {FALSE_CALLS_LIMIT})"
        )
    return "\n".join(lines)


def _not_converged(table: pd.DataFrame) -> int:
    return int((table.drop_duplicates("seed")["status"] != "converged").sum())


def _numbers(values: pd.Series, digits: int) -> str:
    return " ".join(f"{value:.{digits}f}" for value in values)


def _verdict(is_ok: bool) -> str:
    return "ok" if is_ok else "NOT OK"


def is_done(table: pd.DataFrame, seed: int) -> bool:
    """Whether the table holds the seed with every source of calls."""
    return not table.empty and set(SOURCES) <= set(table.loc[table["seed"] == seed, "source"])


def main() -> None:
    """Run the seeds that are missing, write the table after each, print the averages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="seeds 1 to this")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="CSV, continued if it is there")
    parser.add_argument("--draws", type=int, default=2000, help="posterior draws")
    args = parser.parse_args()
    torch.set_num_threads(1)
    table = pd.read_csv(args.output) if args.output.exists() else pd.DataFrame()
    for seed in range(1, args.seeds + 1):
        if is_done(table, seed):
            continue
        others = [] if table.empty else [table[table["seed"] != seed]]
        table = pd.concat([*others, run_screen(SCREEN | {"seed": seed}, args.draws)], ignore_index=True)
        write_table(table, args.output)
        print(f"seed {seed}: fit {table['status'].iloc[-1]} in {table['seconds'].iloc[-1]:.1f} s", flush=True)
    print(report(table[table["seed"] <= args.seeds]))


if __name__ == "__main__":
    main()

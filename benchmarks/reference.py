"""Compare fits with reference posteriors (long NUTS runs), at likelihood weight 1.

    python -m benchmarks.reference path/to/reference_posteriors

Each folder below the path holds cells.parquet, guide_calls.parquet, guide_map.csv, meta.json (fates,
prior scales, variant) and posterior.npz (<name>_mean, <name>_sd, gene_names, guide_names). Exits
with 1 if a limit is broken.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmarks.baselines import BASELINES
from benchmarks.common import add_fit_arguments, fit_config
from fatewalk.config import DesignConfig, FitConfig, ModelConfig
from fatewalk.core.files import read_json
from fatewalk.core.tables import write_table
from fatewalk.estimates.from_draws import posterior_moments
from fatewalk.screen.design import Design, build_design
from fatewalk.stages.fit_effects import fit_effects

if TYPE_CHECKING:
    from fatewalk.estimates.arrays import Moments
    from fatewalk.infer.families import MakeFamily

RATIO_LIMITS = (0.95, 1.05)  # SD over NUTS SD, geometric mean over the genes
SPREAD_LIMIT = 0.06  # SD of the log of that ratio, over all genes, contrasts and days
RMS_LIMIT = 0.10  # of (mean - NUTS mean) / NUTS SD
SCALES = ("tau", "sigma_time", "sigma_guide")


def load_reference(folder: Path) -> tuple[Design, ModelConfig, dict[str, np.ndarray]]:
    """Read a screen, the model variant of its reference, and the reference posterior."""
    meta = read_json(folder / "meta.json")
    cells = pd.read_parquet(folder / "cells.parquet").astype({"day": str, "rep": str})
    cells["time"] = pd.factorize(cells["day"], sort=True)[0].astype(float)
    calls = pd.read_parquet(folder / "guide_calls.parquet")
    guide_map = pd.read_csv(folder / "guide_map.csv")
    design, _ = build_design(cells, calls, guide_map, DesignConfig(), meta["fates"])
    config = ModelConfig(
        fates=meta["fates"],
        priors={**meta["priors"], "s_rep_day": 0},
        # the first references have one slope; their replicate effects sum to anything: theta is the same
        burden_slope=meta.get("burden_slope", "shared"),
    )
    with np.load(folder / "posterior.npz", allow_pickle=False) as arrays:
        return design, config, {name: arrays[name] for name in arrays.files}


def compare(moments: Moments, design: Design, nuts: dict[str, np.ndarray]) -> pd.DataFrame:
    """Measure moments against a reference posterior.

    Returns
    -------
    pandas.DataFrame
        what, contrast, day (both empty where they do not apply), value, limit, ok (empty where
        there is no limit).
    """
    genes = [design.genes.index(str(gene)) for gene in nuts["gene_names"]]
    guides = [design.guides.index(str(guide)) for guide in nuts["guide_names"]]
    theta_mean, theta_sd = moments.theta_mean[genes], moments.theta_sd[genes]  # [L, F*, D]
    several = (moments.n_guides[moments.guide_to_gene] > 1)[guides]  # [G]
    rows: list[dict[str, object]] = []

    def add(what: str, value: float, limit: str = "", ok: object = "", **where: str) -> None:
        rows.append(
            {"what": what, "contrast": "", "day": "", **where, "value": value, "limit": limit, "ok": ok}
        )

    log_ratio = np.log(theta_sd / nuts["theta_sd"])
    low, high = RATIO_LIMITS
    for f, contrast in enumerate(design.contrasts):
        for d, day in enumerate(design.days):
            ratio = float(np.exp(log_ratio[:, f, d].mean()))
            add(
                "theta SD / NUTS SD",
                ratio,
                f"{low} to {high}",
                low <= ratio <= high,
                contrast=contrast,
                day=day,
            )
    spread = float(log_ratio.std())
    add("SD of log theta SD ratio", spread, f"<= {SPREAD_LIMIT}", spread <= SPREAD_LIMIT)
    theta = _rms((theta_mean - nuts["theta_mean"]) / nuts["theta_sd"])
    add("theta: RMS of mean difference", theta, f"<= {RMS_LIMIT}", theta <= RMS_LIMIT)
    difference = (moments.delta_mean[guides] - nuts["delta_mean"])[several] / nuts["delta_sd"][several]
    delta = _rms(difference)
    add("delta: RMS of mean difference", delta, f"<= {RMS_LIMIT}", delta <= RMS_LIMIT)
    ratio = float(np.exp(np.log(moments.delta_sd[guides][several] / nuts["delta_sd"][several]).mean()))
    add("delta SD / NUTS SD", ratio)
    for name in SCALES:
        mean, sd = getattr(moments, f"{name}_mean"), getattr(moments, f"{name}_sd")
        add(f"{name} SD / NUTS SD", float(np.exp(np.log(sd / nuts[f"{name}_sd"]).mean())))
        add(f"{name} mean / NUTS mean", float(np.exp(np.log(mean / nuts[f"{name}_mean"]).mean())))
        worst = np.abs((mean - nuts[f"{name}_mean"]) / nuts[f"{name}_sd"]).max()
        add(f"{name}: largest mean difference in NUTS SDs", float(worst))
    return pd.DataFrame(rows)


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def run(folder: Path, fit: FitConfig, draws: int, baseline: MakeFamily | None) -> pd.DataFrame:
    """Fit one folder and measure it; the table also gets the seconds of the fit and its status."""
    design, config, nuts = load_reference(folder)
    posterior, card, _ = fit_effects(design, config, fit, progress=False, family=baseline)
    table = compare(posterior_moments(posterior, design, draws, fit.seed), design, nuts)
    table.insert(0, "folder", folder.name)
    return table.assign(seconds=card["wall_seconds"], status=card["status"])


def main() -> None:
    """Fit every folder, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("path", type=Path, help="folder of reference folders")
    parser.add_argument("--only", nargs="*", help="names of folders")
    parser.add_argument("--draws", type=int, default=10_000, help="posterior draws: 0.7 %% error of an SD")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="CSV for all tables")
    parser.add_argument("--baseline", choices=BASELINES, help="family of benchmarks/baselines.py to fit with")
    add_fit_arguments(parser)
    args = parser.parse_args()
    fit = fit_config(args.family, args.likelihood_weight or 1.0, threads=args.threads, device="cpu")
    folders = sorted(path.parent for path in args.path.glob("*/posterior.npz"))
    folders = [folder for folder in folders if not args.only or folder.name in args.only]
    if not folders:
        parser.error(f"{args.path}: no folder with a posterior.npz")
    tables = []
    for folder in folders:
        table = run(folder, fit, args.draws, BASELINES.get(args.baseline))
        tables.append(table)
        print(f"\n{folder.name}: {table['status'].iloc[0]}, {table['seconds'].iloc[0]:.1f} s")
        columns = ["what", "contrast", "day", "value", "limit", "ok"]
        print(table[columns].to_string(index=False, float_format=lambda value: f"{value:.3f}"), flush=True)
    whole = pd.concat(tables, ignore_index=True)
    if args.out:
        write_table(whole, args.out)
    checked = whole[whole["limit"] != ""]
    broken = int((~checked["ok"].astype(bool)).sum())
    print(f"\n{len(checked) - broken} of {len(checked)} limits hold")
    sys.exit(broken > 0)


if __name__ == "__main__":
    main()

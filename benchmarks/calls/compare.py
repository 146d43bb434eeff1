"""False-sign rates, power and AUC of the ways to the calls, over the screens of `benchmarks.calls.screens`.

    python -m benchmarks.calls.compare results/calls/grid --out benchmarks/calls

Letters: n gene-days or genes, L genes, D days.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from fatewalk.calls import Shrunk, joint_effects, mash_effects
from fatewalk.calls.shrink import fit_mash_likelihood, fit_mash_table
from fatewalk.config import CallsConfig, MashConfig
from fatewalk.core.daywise import Daywise, count_days
from fatewalk.core.schema import day_columns, day_names
from fatewalk.core.tables import write_table
from fatewalk.estimates.export import observed
from fatewalk.evaluate.recovery import ZERO

if TYPE_CHECKING:
    from collections.abc import Mapping

LEVELS = (0.01, 0.05, 0.10)
CALLS = CallsConfig()
CONFUSION = ["tp", "fp", "fn", "tn"]
KEYS = ["pattern", "labels", "guides", "source", "estimand"]


def sources(
    screen: Mapping[str, np.ndarray], contrast: int, estimand: str, variants: Mapping[str, bool]
) -> dict[str, Shrunk]:
    """Effects by each source of calls, for one contrast of a screen; mash_posterior of the library only.

    Parameters
    ----------
    screen
        From `benchmarks.calls.screens.estimates`.
    contrast
        Its place.
    estimand
        library | gene.
    variants
        Ways of mash on the likelihood-only estimates by name: with covariances for effects over time, or not.
    """
    cells = screen["gene_cells"]
    seen = cells > 0
    extra = screen["sampling"][contrast][:, None, None] * (estimand == "gene")  # [L, 1, 1]
    covariance = screen["covariance"][:, contrast] + extra
    alone = screen["alone_covariance"][:, contrast] + extra
    errors = {"genes": screen["genes"], "gene": alone}
    eps = CALLS.effect_size_eps

    def table(mean: np.ndarray, matrices: np.ndarray) -> pd.DataFrame:
        sd = np.sqrt(np.diagonal(matrices, axis1=1, axis2=2))
        return Daywise({"gene": screen["genes"], **observed({"betahat": mean, "se": sd}, cells)}).table()

    found = {"joint": joint_effects(screen["mean"][:, contrast], covariance, seen, eps)}
    if estimand == "library":
        posterior = table(screen["mean"][:, contrast], covariance)
        fitted = fit_mash_table(posterior, MashConfig(), "conservative", "posterior")
        found["mash_posterior"] = mash_effects(fitted.prior, fitted.data, fitted.posterior, seen, eps)
    likelihood = table(screen["alone"][:, contrast], alone)
    for name, time in variants.items():
        fitted = fit_mash_likelihood(likelihood, errors, MashConfig(), "likelihood", time=time)
        found[name] = mash_effects(fitted.prior, fitted.data, fitted.posterior, seen, eps)
    return found


VARIANTS = {"mash_likelihood": True, "mash_likelihood_canonical": False}


def measure(effects: Shrunk, truth: np.ndarray) -> dict[str, float]:
    """Compare one source with the truth [L, D].

    Returns
    -------
    dict
        For each level of lfsr, gene-days below it and those of them with the wrong sign (an effect
        of zero has no sign: always wrong); of the calls tp, fp, fn, tn, wrong_sign (among tp);
        any-day calls any_tp, any_fp, any_fn; the AUC of lfsr for |theta| >= eps; squared error.
    """
    large = np.abs(truth) >= CALLS.effect_size_eps
    wrong = (np.sign(effects.mean) != np.sign(truth)) | (np.abs(truth) < ZERO)
    found: dict[str, float] = {}
    for level in LEVELS:
        below = effects.lfsr < level
        found |= {
            f"n_{level}": int(below.sum()),
            f"wrong_{level}": int((below & wrong).sum()),
            f"expected_{level}": float(effects.lfsr[below].sum()),
            f"found_{level}": int((below & large & ~wrong).sum()),
        }
    called = (effects.lfsr < CALLS.lfsr_day) & (effects.prob_large >= CALLS.effect_prob_large_min)
    first = effects.lfsr < CALLS.lfsr_day / truth.shape[1]
    hit, any_large = (called & first).any(axis=1), large.any(axis=1)
    confusion = {"tp": called & large, "fp": called & ~large, "fn": ~called & large, "tn": ~called & ~large}
    found |= {name: int(cells.sum()) for name, cells in confusion.items()}
    for name, cells in confusion.items():
        found |= zip(day_columns(name, cells.shape[1]), map(int, cells.sum(axis=0)), strict=True)
    found |= {
        "fp_null": int((called & (np.abs(truth) < ZERO)).sum()),
        "wrong_sign": int((called & large & wrong).sum()),
        "any_tp": int((hit & any_large).sum()),
        "any_fp": int((hit & ~any_large).sum()),
        "any_fn": int((~hit & any_large).sum()),
        "auc": auc(-effects.lfsr[large], -effects.lfsr[~large]),
        "square": float(((effects.mean - truth) ** 2).sum()),
        "gene_days": truth.size,
    }
    return found


def auc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Chance that a positive scores above a negative, ties count half; NaN if there are none."""
    if not len(positive) or not len(negative):
        return np.nan
    ranks = rankdata(np.concatenate([positive, negative]))[: len(positive)]
    return float((ranks.mean() - (len(positive) + 1) / 2) / len(negative))


def compare_screen(path: Path) -> pd.DataFrame:
    """All sources and estimands on one screen."""
    with np.load(path) as arrays:
        screen = dict(arrays)
    pattern, labels, guides, _ = path.stem.split(",")
    rows = []
    for contrast in range(screen["mean"].shape[1]):
        for estimand in ("library", "gene"):
            truth = screen[estimand][:, contrast]
            for source, effects in sources(screen, contrast, estimand, VARIANTS).items():
                head = dict(zip(KEYS, (pattern, labels, guides, source, estimand), strict=True))
                rows.append(head | {"screen": path.stem} | measure(effects, truth))
    return pd.DataFrame(rows)


def summarise(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Rates by groups: false-sign rate at each level, power, precision, AUC, RMSE."""
    grouped = table.groupby(keys, sort=False)
    total = grouped.sum(numeric_only=True)
    out = pd.DataFrame({"screens": grouped["screen"].nunique()})
    large = total["tp"] + total["fn"]
    for level in LEVELS:
        out[f"fsr_{level}"] = total[f"wrong_{level}"] / total[f"n_{level}"]
        out[f"said_{level}"] = total[f"expected_{level}"] / total[f"n_{level}"]
        out[f"power_{level}"] = total[f"found_{level}"] / large
    out["recall"] = total["tp"] / large
    out["precision"] = total["tp"] / (total["tp"] + total["fp"])
    out["false_calls"] = total["fp"] / out["screens"] / 2  # a screen has two contrasts
    out["null_calls"] = total["fp_null"] / out["screens"] / 2
    out["wrong_sign"] = total["wrong_sign"]
    out["any_recall"] = total["any_tp"] / (total["any_tp"] + total["any_fn"])
    out["any_precision"] = total["any_tp"] / (total["any_tp"] + total["any_fp"])
    out["auc"] = grouped["auc"].mean()
    out["rmse"] = np.sqrt(total["square"] / total["gene_days"])
    return out.reset_index()


def confusion_by_day(table: pd.DataFrame) -> pd.DataFrame:
    """Calls against the truth by day, a screen and contrast on average."""
    total = table.groupby(["labels", "estimand", "source"], sort=False).mean(numeric_only=True)
    n_days = count_days(total, "tp")
    by_day = zip(*(day_columns(name, n_days) for name in CONFUSION), strict=True)
    rows = [
        total[list(columns)].set_axis(CONFUSION, axis=1).assign(day=day)
        for day, columns in zip(day_names(n_days), by_day, strict=True)
    ]
    return pd.concat(rows).reset_index()[["labels", "estimand", "source", "day", *CONFUSION]]


def main() -> None:
    """Compare all screens of a folder; write by_pattern.csv, overall.csv and by_day.csv."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="screens of set grid of benchmarks.calls.screens")
    parser.add_argument("--out", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--jobs", type=int, default=1, help="screens at once")
    args = parser.parse_args()
    with ProcessPoolExecutor(args.jobs) as pool:
        table = pd.concat(pool.map(compare_screen, sorted(args.folder.glob("*.npz"))))
    write_table(summarise(table, KEYS), args.out / "by_pattern.csv")
    write_table(summarise(table, KEYS[1:]), args.out / "overall.csv")
    write_table(confusion_by_day(table), args.out / "by_day.csv")


if __name__ == "__main__":
    main()

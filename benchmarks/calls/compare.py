"""False-sign rates, recall and precision of the ways to the calls, over `benchmarks.calls.screens`.

    python -m benchmarks.calls.compare results/calls --out benchmarks/calls --jobs 2

Letters: n gene-days or genes, L genes, F fates, F* contrasts, D days.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmarks.calls.screens import evidence_arrays
from fatewalk import mash
from fatewalk.calls import Shrunk, joint_effects, mash_effects
from fatewalk.calls.fates import FateEffects, shrink_fates
from fatewalk.calls.hits import active_days, hit_anyday, running_mean
from fatewalk.calls.shrink import fit_mash_likelihood, fit_mash_table
from fatewalk.config import CallsConfig, MashConfig
from fatewalk.core.daywise import Daywise
from fatewalk.core.tables import write_table
from fatewalk.estimates.export import observed
from fatewalk.evaluate.recovery import ZERO

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fatewalk.core.schema import Estimand

LEVELS = (0.01, 0.05, 0.10)
CALLS = CallsConfig()
LFSR = CallsConfig(rule="lfsr")
RULES = ("lfsr", "fdr", "fdr_genes")
ESTIMANDS: tuple[Estimand, ...] = ("library", "gene")
SETS = ("grid", "kinds", "nulls")
KEYS = ["setting", "source", "scale", "estimand"]
BOOTSTRAP = 2000


def contrast_sources(screen: Mapping[str, np.ndarray], contrast: int, estimand: str) -> dict[str, Shrunk]:
    """Effects by each source that sees one contrast at a time; mash_posterior of the library only.

    Parameters
    ----------
    screen
        From `benchmarks.calls.screens.estimates`.
    contrast
        Its place.
    estimand
        library | gene.
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
    fitted = fit_mash_likelihood(likelihood, errors, MashConfig(), "likelihood", time=True)
    found["mash_likelihood"] = mash_effects(fitted.prior, fitted.data, fitted.posterior, seen, eps)
    return found


def effects_of(
    screen: Mapping[str, np.ndarray], estimand: Estimand, one_by_one: bool
) -> Iterator[tuple[str, str, Shrunk | FateEffects, np.ndarray]]:
    """Source, scale, effects [L, ..., D] and truth; each contrast for itself, all fates together."""
    null_weight, eps = MashConfig().null_weight, CALLS.effect_size_eps
    found = shrink_fates(evidence_arrays(screen), "gene", estimand, null_weight, eps)
    truth = screen[estimand]  # [L, F*, D]
    yield "mash_fates", "fate", found.by_fate, mash.fate_scale(truth, screen["composition"])
    for contrast, effects in enumerate(found.by_contrast):
        yield "mash_fates", "contrast", effects, truth[:, contrast]
        if one_by_one:
            for source, alone in contrast_sources(screen, contrast, estimand).items():
                yield source, "contrast", alone, truth[:, contrast]


def active_by(rule: str, lfsr: np.ndarray, prob_large: np.ndarray, none: np.ndarray) -> np.ndarray:
    """Active gene-days [..., D] by a rule.

    Parameters
    ----------
    rule
        lfsr: each gene-day for itself, hits corrected over days; fdr: false discovery rate of gene-days,
        the default; fdr_genes: that of gene-fates, of which the gene-days with lfsr < .05 are taken.
    lfsr, prob_large
        [..., D].
    none
        Probability of no effect above eps on any day [...].
    """
    if rule == "fdr":
        return active_days(lfsr, prob_large, CALLS)
    if rule == "lfsr":
        return active_days(lfsr, prob_large, LFSR)
    hit = (running_mean(np.nan_to_num(none, nan=1.0).ravel()) <= CALLS.fdr).reshape(none.shape)
    return np.asarray(hit[..., None] & (lfsr < LFSR.lfsr_day) & (prob_large >= CALLS.fdr_prob_large_min))


def measure(effects: Shrunk | FateEffects, truth: np.ndarray) -> dict[str, float]:
    """Compare effects with the truth [L, ..., D].

    Returns
    -------
    dict
        large: gene-days of |effect| >= eps. For each level of lfsr, gene-days below it, those of them with
        the wrong sign (an effect of zero has no sign: always wrong), what the lfsr says of them, and the
        large ones with the right sign. For each rule its true calls (large, whatever the sign), false ones,
        those without any effect, those with the wrong sign, and hits. Squared error, gene-days.
    """
    lfsr, prob_large, mean = effects.lfsr, effects.prob_large, effects.mean
    large = np.abs(truth) >= CALLS.effect_size_eps
    zero = np.abs(truth) < ZERO
    wrong = (np.sign(mean) != np.sign(truth)) | zero
    found: dict[str, float] = {"large": int(large.sum()), "gene_days": truth.size}
    found["square"] = float(np.nansum((mean - truth) ** 2))
    for level in LEVELS:
        below = lfsr < level
        found |= {
            f"n_{level}": int(below.sum()),
            f"wrong_{level}": int((below & wrong).sum()),
            f"expected_{level}": float(lfsr[below].sum()),
            f"found_{level}": int((below & large & ~wrong).sum()),
        }
    for rule in RULES:
        active = active_by(rule, lfsr, prob_large, effects.patterns[..., 0])
        hit = hit_anyday(active, lfsr, np.zeros(active.shape[:-1]), LFSR if rule == "lfsr" else CALLS)
        found |= {
            f"tp_{rule}": int((active & large).sum()),
            f"fp_{rule}": int((active & ~large).sum()),
            f"zero_{rule}": int((active & zero).sum()),
            f"sign_{rule}": int((active & wrong & ~zero).sum()),
            f"hits_{rule}": int(hit.sum()),
        }
    return found


def compare_screen(path: Path) -> pd.DataFrame:
    """All sources, scales and estimands on one screen; only the grid has those that see one contrast."""
    with np.load(path) as arrays:
        screen = dict(arrays)
    setting = path.stem.rsplit(",", 1)[0]
    rows: list[dict[str, Any]] = []
    for estimand in ESTIMANDS:
        for source, scale, effects, truth in effects_of(screen, estimand, path.parent.name == "grid"):
            head = dict(zip(KEYS, (setting, source, scale, estimand), strict=True))
            rows.append(head | {"screen": path.stem} | measure(effects, truth))
    return pd.DataFrame(rows)


def summarise(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Rates by groups.

    For each level of lfsr: false-sign rate with its lower 95 % limit, what the lfsr says of it, power; for
    each rule recall, precision, calls and calls without any effect of a screen; RMSE.
    """
    rows = []
    for names, group in table.groupby(keys, sort=False):
        screens = group.groupby("screen").sum(numeric_only=True)
        total = screens.sum()
        row = dict(zip(keys, names, strict=True)) | {"screens": len(screens)}
        for level in LEVELS:
            row[f"fsr_{level}"] = ratio(total[f"wrong_{level}"], total[f"n_{level}"])
            row[f"fsr_{level}_low"] = lower_limit(screens[f"wrong_{level}"], screens[f"n_{level}"])
            row[f"said_{level}"] = ratio(total[f"expected_{level}"], total[f"n_{level}"])
            row[f"lfsr_sum_{level}"] = total[f"expected_{level}"]
            row[f"power_{level}"] = ratio(total[f"found_{level}"], total["large"])
        for rule in RULES:
            calls = total[f"tp_{rule}"] + total[f"fp_{rule}"]
            row[f"recall_{rule}"] = ratio(total[f"tp_{rule}"], total["large"])
            row[f"precision_{rule}"] = ratio(total[f"tp_{rule}"], calls)
            row[f"calls_{rule}"] = calls / len(screens)
            row[f"null_calls_{rule}"] = total[f"zero_{rule}"] / len(screens)
            row[f"wrong_signs_{rule}"] = total[f"sign_{rule}"]
            row[f"screens_with_hits_{rule}"] = int((screens[f"hits_{rule}"] > 0).sum())
        row["rmse"] = np.sqrt(total["square"] / total["gene_days"])
        rows.append(row)
    return pd.DataFrame(rows).round(5)


def ratio(part: float, whole: float) -> float:
    """Share, missing of nothing."""
    return part / whole if whole else np.nan


def lower_limit(wrong: pd.Series, below: pd.Series) -> float:
    """Lower end of the 95 % interval of a pooled rate, by bootstrap over screens."""
    drawn = np.random.default_rng(1).integers(len(wrong), size=(BOOTSTRAP, len(wrong)))
    numbers = below.to_numpy()[drawn].sum(axis=1)
    rate = wrong.to_numpy()[drawn].sum(axis=1)[numbers > 0] / numbers[numbers > 0]
    return float(np.quantile(rate, 0.025)) if len(rate) else np.nan


def main() -> None:
    """Compare all screens of each set; write <set>.csv, and the grid by labels and guides as overall.csv."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="folders grid, kinds, nulls of benchmarks.calls.screens")
    parser.add_argument("--out", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS, help="which of them")
    parser.add_argument("--jobs", type=int, default=1, help="screens at once")
    args = parser.parse_args()
    for name in args.sets:
        with ProcessPoolExecutor(args.jobs) as pool:
            table = pd.concat(pool.map(compare_screen, sorted((args.folder / name).glob("*.npz"))))
        write_table(summarise(table, KEYS), args.out / f"{name}.csv")
        if name == "grid":
            table[["labels", "guides"]] = [setting.split(",")[1:] for setting in table["setting"]]
            write_table(summarise(table, ["labels", "guides", *KEYS[1:]]), args.out / "overall.csv")


if __name__ == "__main__":
    main()

"""NTC guides that deviate and replicates that disagree: coverage, power and signs.

    python -m benchmarks.controls_and_replicates ntc --screens 20 --out ntc.csv
    python -m benchmarks.controls_and_replicates replicates --screens 20 --out replicates.csv

Small simulated screens with family laplace. Intervals are those of the likelihood-only estimates, `bare`
without the variance in question and `whole` with it. Power is over effects beyond 3 standard errors (ntc) or
over gene-days of contrasts that are rightly called (replicates): an lfsr below 0.05 after mash over fates.
"""

from __future__ import annotations

import argparse
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from benchmarks.common import draw_screen, fit_config, true_effects
from fatewalk.calls import shrink_fates
from fatewalk.config import ModelConfig
from fatewalk.core.schema import Z95
from fatewalk.estimates.arrays import Unshrunk, name_estimates, name_evidence
from fatewalk.estimates.likelihood_only import label_evidence, likelihood_estimates
from fatewalk.stages.fit_effects import fit_effects

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fatewalk.core.schema import Estimand
    from fatewalk.infer.fitted import Posterior
    from fatewalk.screen.design import Design

SCREEN: dict[str, Any] = {
    "cells": 4000, "genes": 40, "guides_per_gene": 4, "active_genes": 10, "effect_size": [0.4, 1.0], "moi": 3,
    "days": [0, 1], "guide_sd": 0.2, "labels": "one_hot", "ntc_share": 0.1,
}  # fmt: skip
LEVEL = 0.05
FOUND = 3.0  # standard errors: an effect of a gene-day that is seen without mash
Report = dict[str, float]


def fitted(simulate: Mapping[str, Any]) -> tuple[Posterior, Design, np.ndarray, dict[str, Any]]:
    """A screen and its fit: posterior, design, true effects [L, F*, D], card."""
    screen, design = draw_screen({**SCREEN, **simulate})
    fit = fit_config("laplace", None, threads=1, device="cpu")
    posterior, card, _ = fit_effects(design, ModelConfig(fates=list(design.fates)), fit, progress=False)
    return posterior, design, true_effects(screen, design, "theta"), card


def unshrunk_estimates(posterior: Posterior, design: Design) -> Unshrunk:
    """Likelihood-only estimates, with the errors that NTC guides leave."""
    estimates = likelihood_estimates(posterior, design, posterior.rows(design))
    return name_estimates(estimates, design, posterior.further)


def ntc_screen(knobs: Mapping[str, Any]) -> Report:
    """Coverage of the library effect, and effects found, without and with the SD of NTC guides."""
    posterior, design, truth, card = fitted(knobs)
    estimates = unshrunk_estimates(posterior, design)
    shift = np.einsum("fdfd->fd", posterior.further.ntc_shift.numpy())  # [F*, D]
    whole = np.einsum("lfdfd->lfd", estimates.gene_covariance)
    report = {"sd": float(np.mean([one["sd"] for one in card["ntc_guides"]["contrasts"].values()]))}
    for name, variance in (("bare", whole - shift), ("whole", whole)):
        right = (truth != 0) & (np.abs(estimates.gene_mean) > FOUND * np.sqrt(variance))
        report |= {
            name: coverage(estimates.gene_mean - truth, variance),
            f"right_{name}": float(right.sum()),
        }
    return report


def replicate_screen(knobs: Mapping[str, Any]) -> Report:
    """Coverage of the effect in any replicate, and calls, by estimand library and population.

    Deviations of guides are centred in these screens, so that population carries replicates alone here.
    """
    posterior, design, truth, card = fitted(knobs)
    found = unshrunk_estimates(posterior, design)
    own = np.einsum("lfdfd->lfd", found.gene_covariance)
    contrasts = card["replicates"]["contrasts"].values()
    error = found.gene_mean - truth
    report = {
        "sd": float(np.mean([one["sd"] for one in contrasts])),
        "sd_in_errors": float(np.mean([one["sd_in_errors"] for one in contrasts])),
        "bare": coverage(error, own),
        "whole": coverage(error, own + found.replicate_variance),
    }
    evidence = vars(name_evidence(label_evidence(posterior, design), design, posterior.further))
    evidence["guide_variance"] = np.array(0.0)
    report |= of_calls(evidence, truth, "library", "bare")
    return report | of_calls(evidence, truth, "population", "whole")


def coverage(error: np.ndarray, variance: np.ndarray) -> float:
    """Share of 95 % intervals that hold the truth."""
    seen = np.isfinite(error)
    return float((np.abs(error[seen]) <= Z95 * np.sqrt(variance[seen])).mean())


def of_calls(evidence: Mapping[str, np.ndarray], truth: np.ndarray, estimand: Estimand, name: str) -> Report:
    """Gene-days called on contrasts, those of them that are wrong (sign, or no effect), and the others."""
    shrunk = shrink_fates(evidence, "gene", estimand, 10.0, 0.2).by_contrast
    lfsr = np.stack([one.lfsr for one in shrunk], axis=1)
    mean = np.stack([one.mean for one in shrunk], axis=1)
    called = lfsr < LEVEL
    wrong = called & (np.sign(mean) != np.sign(truth))
    return {
        f"called_{name}": float(called.sum()),
        f"wrong_{name}": float(wrong.sum()),
        f"right_{name}": float((called & ~wrong).sum()),
    }


def lowest(wrong: float, called: float) -> float:
    """Lower end of the 95 % interval (Wilson) of a share."""
    if not called:
        return 0.0
    share, z = wrong / called, Z95**2 / called
    return float((share + z / 2 - np.sqrt(z * (share * (1 - share) + z / 4))) / (1 + z))


GRIDS: dict[str, list[dict[str, Any]]] = {
    "ntc": [
        {"ntc_guide_sd": sd, "ntc_guides": n, "guides_per_gene": guides}
        for sd, n, guides in product((0.0, 0.1, 0.2), (8, 20), (1, 4))
    ],
    "replicates": [
        {"gene_replicate_sd": sd, "replicates": n, "guides_per_gene": 4, "ntc_guides": 20}
        for sd, n in product((0.0, 0.3), (2, 3))
    ],
}
MEASURE = {"ntc": ntc_screen, "replicates": replicate_screen}


def table(what: str, screens: int) -> pd.DataFrame:
    """A row for each kind of screen: means over screens, sums of calls."""
    rows = []
    for knobs in GRIDS[what]:
        seeds = range(1, screens + 1)
        found = pd.DataFrame([MEASURE[what]({**knobs, "seed": seed}) for seed in seeds])
        row: dict[str, Any] = {**knobs, "screens": screens, "sd_found": (found["sd"] ** 2).mean() ** 0.5}
        row |= {f"coverage_{name}": found[name].mean() for name in ("bare", "whole")}
        row["coverage_se"] = found["whole"].std() / screens**0.5
        sums = found.filter(regex="^(called|wrong|right)_").sum()
        row["power_lost"] = 1 - sums["right_whole"] / sums["right_bare"]
        if "called_bare" in sums:
            for name in ("bare", "whole"):
                wrong, called = sums[f"wrong_{name}"], sums[f"called_{name}"]
                row |= {f"fsr_{name}": wrong / max(called, 1), f"fsr_{name}_lowest": lowest(wrong, called)}
        rows.append(row)
        print(pd.DataFrame([row]).round(4).to_string(index=False), flush=True)
    return pd.DataFrame(rows)


def main() -> None:
    """Measure and write a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=GRIDS)
    parser.add_argument("--screens", type=int, default=60)
    parser.add_argument("--out", help="CSV")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = table(given.what, given.screens)
    if given.out:
        found.to_csv(given.out, index=False)


if __name__ == "__main__":
    main()

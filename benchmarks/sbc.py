"""Simulation-based calibration: the truth, drawn from the prior, must be anywhere in the posterior alike.

    python -m benchmarks.sbc --draws 100 --out a.json
    python -m benchmarks.sbc --draws 100 --first 100 --out b.json
    python -m benchmarks.sbc --gather a.json b.json --figure docs/images/sbc.png

Each draw takes scales, effects and nuisances from the prior, labels from these, and fits the labels. The rank
of each true value among draws from the posterior is then uniform (Talts et al. 2018). One value of a kind is
looked at in each draw (a gene, guide or contrast chosen at random), so that ranks are independent.
"""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.stats import chi2

from benchmarks.common import draw_screen
from fatewalk.config import FitConfig, ModelConfig, PriorsConfig
from fatewalk.estimates.from_draws import draw_effects
from fatewalk.model import make_rows, make_terms
from fatewalk.model.coordinates import Coordinates
from fatewalk.model.information import fate_probabilities
from fatewalk.model.rows import linear_predictor, row_of_cells
from fatewalk.model.sparse import apply
from fatewalk.stages.fit_effects import fit_effects

if TYPE_CHECKING:
    from torch import Tensor

    from fatewalk.infer.fitted import Posterior
    from fatewalk.screen.design import Design

#: A small screen: who carries what is drawn once.
SCREEN: dict[str, Any] = {
    "cells": 1200, "genes": 10, "guides_per_gene": 3, "ntc_guides": 4, "days": [0, 2], "moi": 2.0,
    "replicates": 2, "fates": ["EC", "MES", "NEU"], "active_genes": 2, "seed": 11,
}  # fmt: skip
#: Scales of the prior at which every fate keeps cells on every day.
PRIORS = {"s_alpha": 0.8, "s_rep": 0.3, "s_gamma": 0.2, "s_tau": 0.6, "s_time": 0.5, "s_guide": 0.4}
KINDS = ("theta_first", "theta_last", "delta", "tau", "sigma_time", "sigma_guide")
POSTERIOR_DRAWS = 399  # 20 ranks to each of 20 bins
BINS = 20
DISTRUSTED = 0.001


def draw_truth(
    design: Design, config: ModelConfig, rng: np.random.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """Labels [N, F] and the true values [F*, ...] behind them, from the prior."""
    terms = make_terms(design, config)
    c, rows = Coordinates(terms), make_rows(design, terms)
    normal = torch.from_numpy(rng.normal(size=(terms.n_contrasts, c.size)))
    of_scales = torch.from_numpy(rng.normal(size=c.scales.size)) * c.scales.prior
    vector = torch.where(c.scales.is_log, of_scales.abs().log(), of_scales)
    log_scales = c.scales.log_scales(vector)  # [F*, H]: the walk by day, guides
    x = c.sd(log_scales) * normal
    pi = fate_probabilities(linear_predictor(rows, c.coefficients(x).T.contiguous()))  # [M, F]
    below = pi[row_of_cells(design, terms)].cumsum(dim=1).numpy()  # [N, F]
    fate = (rng.random((design.n_cells, 1)) > below[:, :-1]).sum(axis=1)
    labels = torch.nn.functional.one_hot(torch.from_numpy(fate), len(design.fates)).double()
    theta, scales = c.theta(x), log_scales.exp()
    truth = {
        "theta_first": theta[:, 0], "theta_last": theta[:, -1],
        "delta": apply(c.rotation, x[:, c.directions]),
        "tau": scales[:, :1], "sigma_time": scales[:, 1 : terms.n_days],
        "sigma_guide": scales[:, terms.n_days : terms.n_days + 1],
    }  # fmt: skip
    return labels, truth


def posterior_draws(posterior: Posterior, n: int, seed: int) -> dict[str, Tensor]:
    """Draws of the same values, [n, F*, ...]."""
    found: dict[str, list[Tensor]] = {kind: [] for kind in KINDS}
    guides = posterior.model.terms.guides
    for latents, effects in draw_effects(posterior, n, seed):
        by_day = posterior.model.day_scales(latents)  # [n, F*, D]
        of_draw = {
            "theta_first": effects.theta[..., 0], "theta_last": effects.theta[..., -1],
            "delta": effects.delta,
            "tau": by_day[..., :1], "sigma_time": by_day[..., 1:], "sigma_guide": guides.scales.of(latents),
        }  # fmt: skip
        for kind, values in of_draw.items():
            found[kind].append(values)
    return {kind: torch.cat(parts) for kind, parts in found.items()}


def ranks_of_draw(design: Design, config: ModelConfig, fit: FitConfig, seed: int) -> dict[str, int] | None:
    """Ranks of one draw from the prior; None where the fit does not converge."""
    rng = np.random.default_rng([2, seed])
    labels, truth = draw_truth(design, config, rng)
    drawn = replace(design, prob=labels)
    posterior, card, _ = fit_effects(drawn, config, fit, progress=False)
    if card["status"] not in ("converged", "unanchored"):
        return None
    draws = posterior_draws(posterior, POSTERIOR_DRAWS, seed)
    found = {}
    for kind in KINDS:
        flat = truth[kind].reshape(-1)
        one = int(rng.integers(len(flat)))
        found[kind] = int((draws[kind].reshape(POSTERIOR_DRAWS, -1)[:, one] < flat[one]).sum())
    return found


def counted(ranks: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Counts of ranks from 0 to POSTERIOR_DRAWS in bins.

    Examples
    --------
    >>> counted(np.arange(400)).tolist() == [20] * 20
    True
    """
    return np.bincount(ranks * bins // (POSTERIOR_DRAWS + 1), minlength=bins)


def uniformity(counts: np.ndarray) -> float:
    """The p-value of Pearson's chi-squared that all bins are alike.

    Examples
    --------
    >>> uniformity(np.full(20, 7))
    1.0
    """
    expected = counts.mean()
    return float(chi2.sf(((counts - expected) ** 2 / expected).sum(), len(counts) - 1))


def summarise(found: list[dict[str, int] | None]) -> dict[str, Any]:
    """Counts and p-values by kind, and fits that did not converge."""
    good = [one for one in found if one is not None]
    counts = {kind: counted(np.array([one[kind] for one in good])) for kind in KINDS}
    return _with_p(len(found), len(found) - len(good), counts)


def gather(summaries: list[dict[str, Any]]) -> dict[str, Any]:
    """The summary of draws that were shared out."""
    counts = {kind: np.sum([one["kinds"][kind]["counts"] for one in summaries], axis=0) for kind in KINDS}
    draws, failed = (sum(one[name] for one in summaries) for name in ("draws", "not_converged"))
    return _with_p(draws, failed, counts)


def _with_p(draws: int, failed: int, counts: dict[str, np.ndarray]) -> dict[str, Any]:
    kinds = {kind: {"counts": one.tolist(), "p": uniformity(one)} for kind, one in counts.items()}
    passed = all(one["p"] > DISTRUSTED for one in kinds.values())
    return {"draws": draws, "not_converged": failed, "kinds": kinds, "passed": passed}


def plot(summary: dict[str, Any], path: Path) -> None:
    """Rank histograms with the band in which 95 % of the counts lie."""
    from matplotlib.figure import Figure
    from scipy.stats import binom

    n = summary["draws"] - summary["not_converged"]
    low, high = binom.interval(0.95, n, 1 / BINS)
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    for axis, (kind, one) in zip(figure.subplots(2, 3).flat, summary["kinds"].items(), strict=True):
        axis.axhspan(low, high, color="0.9")
        axis.axhline(n / BINS, color="0.5", lw=0.8)
        axis.bar(np.arange(BINS), one["counts"], width=0.9, color="#3b6fb6")
        axis.set_title(f"{kind.replace('_', ' ')}  (p = {one['p']:.2g})", fontsize=9)
        axis.set_xticks([])
    figure.supxlabel("rank of the truth among draws from the posterior, 20 bins")
    figure.supylabel("draws from the prior")
    figure.savefig(path, dpi=110)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="number of the first draw")
    parser.add_argument("--gather", type=Path, nargs="+", help="add up what earlier commands wrote")
    parser.add_argument("--family", default="structured", choices=["structured", "laplace"])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--figure", type=Path)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    if arguments.gather:
        summary = gather([json.loads(path.read_text()) for path in arguments.gather])
    else:
        summary = run(arguments)
    for kind, one in summary["kinds"].items():
        print(f"{kind:12s} p = {one['p']:.3g}  {one['counts']}")
    print(f"{summary['draws']} draws, {summary['not_converged']} fits did not converge")
    if arguments.figure:
        plot(summary, arguments.figure)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Draw, fit and rank; what there is stands in --out after each draw."""
    torch.set_num_threads(1)
    _, design = draw_screen(SCREEN)
    config = ModelConfig(fates=SCREEN["fates"], priors=PriorsConfig(**PRIORS))
    fit = FitConfig(family=arguments.family, likelihood_weight=1.0)
    found = []
    for seed in range(arguments.first, arguments.first + arguments.draws):
        found.append(ranks_of_draw(design, config, fit, seed))
        if arguments.out:
            arguments.out.write_text(json.dumps(summarise(found) | {"family": arguments.family}, indent=1))
    return summarise(found)


if __name__ == "__main__":
    main()

"""The fit card: what a reader must know of a fit before reading its tables."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fatewalk.core.outcome import criterion_words
from fatewalk.diagnostics.attempt import attempt
from fatewalk.diagnostics.ntc import ntc_slope
from fatewalk.infer import laplace as newton
from fatewalk.infer.dispersion import PHI_SPREAD_WARN, Dispersion
from fatewalk.infer.families import Structured
from fatewalk.infer.whitening import DenseWhitening
from fatewalk.model.cells import guides_vary_in_clusters
from fatewalk.screen.resolution import Resolution

if TYPE_CHECKING:
    from fatewalk.config import FitConfig
    from fatewalk.diagnostics.identifiability import Identifiability
    from fatewalk.diagnostics.spread import Spread
    from fatewalk.infer.fitted import Posterior
    from fatewalk.infer.laplace import Laplace, SymmetricMode
    from fatewalk.infer.svi import SviResult
    from fatewalk.screen.design import Design

MOST_DRAWS = 1000
MOST_NUMBERS = 20_000_000  # draws times latent variables; fewer draws of very large posteriors
PHI_DAYS_WARN = 20.0  # days whose phi differ by more
PHI_RATIO_WARN = 1.5  # fixed weight x phi outside [1 / 1.5, 1.5]: the SEs do not fit the labels


@torch.no_grad()
def describe_fit(
    posterior: Posterior,
    design: Design,
    fit: FitConfig,
    laplace: Laplace,
    symmetric: SymmetricMode,
    svi: SviResult | None,
    checks: Identifiability,
    spread: Spread | None = None,
) -> dict[str, Any]:
    """Describe a fit: status, stopping rule, dispersion, scales, agreement, warnings.

    Parameters
    ----------
    posterior
        Fitted, on the CPU.
    design
        The cells.
    fit
        Section ``fit``.
    laplace, symmetric, svi
        How the phases ended; svi is None for ``family: laplace``.
    checks
        What the design cannot tell.
    spread
        What NTC guides and replicates tell.
    """
    status = _status(laplace, symmetric, svi)
    if status == "converged" and checks.unanchored:
        status = "unanchored"
    failed: list[str] = []
    slope = attempt(failed, "NTC guides", ntc_slope, laplace, design)
    days, d = design.days, laplace.dispersion
    n_latents = sum(value[0].numel() for value in posterior.family.draw(1).values())
    n_draws = max(100, min(MOST_DRAWS, MOST_NUMBERS // n_latents))
    card: dict[str, Any] = {
        "status": status,
        "criterion": criterion(laplace, svi) | {"common_shift_sd": _anchor(posterior, checks)},
        "steps": svi.steps if svi else 0,
        "rounds": len(laplace.trace),
        "rounds_symmetric": len(symmetric.trace),
        "loss": svi.trace[-1].loss if svi and svi.trace else None,
        "family": posterior.name,
        "center_delta": posterior.model.terms.guides.centred,
        "likelihood_weight": fit.likelihood_weight,
        "weight_by_day": _by_day(days, _mean_weights(laplace, len(days))),
        "phi_by_day": _by_day(days, d.phi),
        "phi_by_fate_and_day": {
            fate: _by_day(days, phi) for fate, phi in zip(design.fates, d.phi_by_fate, strict=True)
        },
        "label_resolution": Resolution.of(design).report(design.fates, days),
        "rho_by_day": _by_day(days, d.rho) if bool((d.rho > 0).any()) else None,
        "dispersion": fit.dispersion,
        "error_factor_by_fate_and_day": _error_factors(posterior, design),
        "scales": _scales(posterior, design, n_draws),
        "laplace_and_svi": _agreement(posterior, n_draws) if posterior.name == "structured" else None,
        "identifiability": checks.report(),
        "ntc_slope": slope.report() if slope else None,
        **(spread.report(design) if spread else {}),
        "defects": {"genes": checks.gene_defects, "guides": checks.guide_defects},
        "covariance": "dense" if isinstance(laplace.whitening, DenseWhitening) else "blocks",
        "clusters": _clusters(design),
        "cells": design.n_cells,
        "rows": len(laplace.rows),
        "latents": n_latents,
    }
    of_slope = slope.warnings if slope else []
    failed += spread.warnings if spread else []
    of_fit = _of_passes(laplace, symmetric) + _warnings(status, design, fit, laplace, svi)
    card["warnings"] = [*checks.warnings, *of_slope, *failed, *of_fit]
    return card


def _anchor(posterior: Posterior, checks: Identifiability) -> dict[str, float | None]:
    """What the labels leave open of the common shift of all genes, on the best day and contrast."""
    best = float(checks.shift_sd.min())
    limit = posterior.model.terms.walk.first_sd
    return {"value": best if math.isfinite(best) else None, "limit": limit}


def _clusters(design: Design) -> str | None:
    """How clusters enter the likelihood."""
    if not design.clusters:
        return None
    if guides_vary_in_clusters(design):
        return "an intercept for each cluster: its cells carry different guides"
    return "weights by cluster size: all cells of a cluster carry the same guides"


def _status(laplace: Laplace, symmetric: SymmetricMode, svi: SviResult | None) -> str:
    """Of the phase that went worst."""
    if laplace.status == "converged" and symmetric.outcome.status != "converged":
        return symmetric.outcome.status
    if svi is not None and svi.status != "converged" and laplace.status != "diverged":
        return svi.status
    return laplace.status


def criterion(laplace: Laplace, svi: SviResult | None) -> dict[str, Any]:
    """Every quantity that the stopping rules watch: value and limit."""
    last = laplace.trace[-1]
    found = {
        "newton_step": {"value": last.newton_step, "limit": newton.NEWTON_LIMIT},
        "scale_step": {"value": last.scale_step, "limit": newton.SCALE_LIMIT},
        "weight_step": {"value": last.weight_step, "limit": newton.WEIGHT_LIMIT},
    }
    if laplace.system.residual:  # a dense system is solved exactly
        found["solve_residual"] = {"value": laplace.system.residual, "limit": 1.0}
    return found | (svi.criterion if svi else {})


def _by_day(days: tuple[str, ...], values: Tensor) -> dict[str, float | None]:
    finite = [value if math.isfinite(value) else None for value in values.tolist()]
    return dict(zip(days, finite, strict=True))


def _error_factors(posterior: Posterior, design: Design) -> dict[str, dict[str, float | None]] | None:
    """By how much the scatter of each fate's labels widens errors against one value for all fates."""
    if posterior.scatter is None:
        return None
    total = torch.zeros(len(design.days), len(design.fates), dtype=torch.float64)
    total.index_add_(0, design.day, design.prob)
    found = posterior.scatter.error_factors(total / total.sum(dim=1, keepdim=True))  # [F, D]
    return {fate: _by_day(design.days, one) for fate, one in zip(design.fates, found, strict=True)}


def _mean_weights(laplace: Laplace, n_days: int) -> Tensor:
    """Mean weight over the cells of each day, [D]."""
    rows = laplace.rows
    zeros = torch.zeros(n_days, dtype=torch.float64, device=rows.day.device)
    total = zeros.index_add(0, rows.day, rows.weight * rows.cells)
    return total / zeros.index_add(0, rows.day, rows.cells)


def _scales(posterior: Posterior, design: Design, n_draws: int) -> dict[str, Any]:
    """Posterior mean and SD of the scales by contrast."""
    torch.manual_seed(0)
    draws = posterior.family.draw(n_draws)
    terms = posterior.model.terms
    by_day = posterior.model.day_scales(draws)  # [n, F*, D]
    of_nuisances = [scales.sites[0].name for scales in terms.scaled[2:]]
    values = {
        "tau": by_day[..., 0],
        "sigma_time": by_day[..., 1:],
        "sigma_guide": terms.guides.scales.of(draws)[..., 0],
        **{name: draws[name] for name in of_nuisances},
    }
    return {
        name: {
            contrast: {"mean": value[:, f].mean(0).tolist(), "sd": _sd(value[:, f])}
            for f, contrast in enumerate(design.contrasts)
        }
        for name, value in values.items()
    }


def _sd(draws: Tensor) -> list[float] | float:
    """SD over draws [n, ...]; of no values none, of which torch would warn."""
    spread: list[float] | float = draws.std(0).tolist() if draws.numel() else []
    return spread


def _agreement(posterior: Posterior, n_draws: int) -> dict[str, Any]:
    """How far SVI moved theta from its Laplace start: ratio of SDs, difference of means in SDs.

    Both from the same noise, so that its error mostly cancels.
    """
    family = posterior.family
    assert isinstance(family, Structured)
    moments = []
    trained = {name: value.clone() for name, value in family.state_dict().items()}
    for state in ("laplace", "svi"):
        if state == "laplace":
            family.untrain()
        else:
            family.load_state_dict(trained)
        torch.manual_seed(0)
        theta = posterior.model.effects(family.draw(n_draws)).theta
        moments.append((theta.mean(0), theta.std(0)))
    (mean_l, sd_l), (mean_s, sd_s) = moments
    difference = ((mean_s - mean_l) / sd_l).abs().reshape(-1)
    ratio = (sd_s / sd_l).reshape(-1)
    return {
        "sd_ratio": {
            "median": float(ratio.median()),
            **{name: float(np.quantile(ratio, q)) for name, q in (("1 %", 0.01), ("99 %", 0.99))},
            **_tails(ratio),
        },
        "mean_difference_in_sd": {
            "median": float(difference.median()),
            "99 %": float(np.quantile(difference, 0.99)),
            "max": float(difference.max()),
        },
    }


def _tails(values: Tensor) -> dict[str, float]:
    return {"min": float(values.min()), "max": float(values.max())}


def _shared_by_days(design: Design) -> str | None:
    """What days have in common in the model, so that one of them can dominate it."""
    if bool((design.n_guides_per_gene > 1).any()):
        return "Guide deviations"
    return "Replicate effects" if len(design.reps) > 1 else None


def _of_passes(laplace: Laplace, symmetric: SymmetricMode) -> list[str]:
    """What went wrong in the two passes of Newton-Laplace."""
    found = list(laplace.outcome.words)
    if laplace.status == "converged" and symmetric.outcome.status != "converged":
        found += [
            f"The second pass, which the calls by fate rest on, ended {symmetric.outcome.status} after "
            f"{len(symmetric.trace)} rounds.",
            *symmetric.outcome.words,
        ]
    return found


def _warnings(
    status: str,
    design: Design,
    fit: FitConfig,
    laplace: Laplace,
    svi: SviResult | None,
) -> list[str]:
    """What a reader of the card must know, in sentences."""
    found = []
    if laplace.status == "budget" and len(laplace.trace) == newton.MAX_ROUNDS:
        words = criterion_words(criterion(laplace, None))
        found.append(
            f"Newton-Laplace used its {len(laplace.trace)} rounds without meeting its stopping rule: "
            f"{words}. Look at these rounds in fit_trace.csv: where only the weights do not settle, fix "
            "fit.likelihood_weight; where the scales do not, make model.priors narrower."
        )
    if svi is not None and svi.status == "budget":
        found.append(
            f"SVI used its {fit.max_steps} steps without meeting its stopping rule. Raise fit.max_steps."
        )
    if status == "diverged":
        if svi is not None and svi.status == "diverged":
            found.append("The ELBO became infinite or NaN: look for extreme values in the design report.")
        return found
    d = laplace.dispersion
    if fit.likelihood_weight != "auto":
        weight = float(fit.likelihood_weight)
        # a weight lowered for clusters is no mistake: cells show phi = 1 whatever their clusters do
        lowest = 0.0 if design.clusters and weight < 1 else 1 / PHI_RATIO_WARN
        off = [
            f"{day} (phi {value:.3f})"
            for day, value in zip(design.days, d.phi.tolist(), strict=True)
            if not lowest <= weight * value <= PHI_RATIO_WARN
        ]
        if off:
            found.append(
                f"fit.likelihood_weight {weight:g} does not fit the spread of the labels on "
                f"{', '.join(off)}: the weight that fits is about 1 / phi. With too small a weight effects "
                "are shrunk too much, with too large a one standard errors are too small. auto finds it."
            )
    shared = _shared_by_days(design)
    if shared and float(d.phi.max() / d.phi.min()) > PHI_DAYS_WARN:
        low, high = design.days[int(d.phi.argmin())], design.days[int(d.phi.argmax())]
        found.append(
            f"Labels scatter much less on day {low} (phi {float(d.phi.min()):.3g}) than on day {high} "
            f"({float(d.phi.max()):.3g}). {shared} are the same on all days, so day {low} dominates "
            "them, and what its labels have in common beyond the model (a smoothed graph, for example) too."
        )
    return found + (_unequal_fates(design, d) if fit.dispersion == "pooled" else [])


def _unequal_fates(design: Design, d: Dispersion) -> list[str]:
    """Days on which one dispersion for all fates does not do."""
    found = []
    for day, phi in zip(design.days, d.phi_by_fate.T, strict=True):
        usable = phi[phi.isfinite()]
        if len(usable) and float(usable.max() / usable.min()) > PHI_SPREAD_WARN:
            low, high = (
                design.fates[int(phi.nan_to_num(9e9).argmin())],
                design.fates[int(phi.nan_to_num(-1).argmax())],
            )
            found.append(
                f"Labels scatter unequally by fate on day {day}: phi {float(usable.min()):.3g} for {low}, "
                f"{float(usable.max()):.3g} for {high}. With fit.dispersion pooled, one "
                f"value serves all fates of a day: errors of {high} are too small and those of {low} too "
                "large. by_fate mends it."
            )
    return found

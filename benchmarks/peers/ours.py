"""fatewalk itself: before (mash on one contrast at a time) and after (mash over fates and days together).

Letters: L genes, F fates, F* contrasts, D days.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.calls.screens import evidence_arrays, of_fit
from benchmarks.peers.found import Found
from fatewalk.calls import mash_effects, shrink_fates
from fatewalk.calls.hits import active_days
from fatewalk.calls.shrink import fit_mash_likelihood
from fatewalk.config import CallsConfig, FitConfig, MashConfig
from fatewalk.core.daywise import Daywise
from fatewalk.estimates.export import observed
from fatewalk.estimates.from_draws import posterior_moments
from fatewalk.stages.fit_effects import fit_effects

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.peers.found import Scale
    from fatewalk.calls import Shrunk
    from fatewalk.config import ModelConfig
    from fatewalk.screen.design import Design

    Arrays = Mapping[str, np.ndarray]

TIE = 1e-9  # the lfsr orders gene-days whose P(|effect| > eps) is the same


def before(screen: Arrays) -> Found:
    """Source mash_likelihood by rule lfsr, on contrasts.

    Parameters
    ----------
    screen
        Of a fit, as `benchmarks.calls.screens.of_fit` has it.
    """
    calls = CallsConfig(source="mash_likelihood", scale="contrast", rule="lfsr")
    shrunk = [_one_contrast(screen, c, calls.effect_size_eps) for c in range(screen["alone"].shape[1])]
    called = np.stack([active_days(one.lfsr, one.prob_large, calls) for one in shrunk], axis=1)
    return Found("contrast", _stack(shrunk, "mean", np.sign), _stack(shrunk, "lfsr"), called)


def _one_contrast(screen: Arrays, contrast: int, eps: float) -> Shrunk:
    """Run mash over the days of a contrast."""
    covariance, cells = screen["alone_covariance"][:, contrast], screen["gene_cells"]
    sd = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    columns = observed({"betahat": screen["alone"][:, contrast], "se": sd}, cells)
    table = Daywise({"gene": screen["genes"], **columns}).table()
    errors = {"genes": screen["genes"], "gene": covariance}
    fitted = fit_mash_likelihood(table, errors, MashConfig(), "likelihood")
    return mash_effects(fitted.prior, fitted.data, fitted.posterior, cells > 0, eps)


def after(screen: Arrays, scale: Scale) -> Found:
    """Source mash_fates by the default rule, on contrasts (each by itself) or fates (all together).

    Parameters
    ----------
    screen
        Of a fit, as `benchmarks.calls.screens.of_fit` has it.
    scale
        What is called.
    """
    calls = CallsConfig()
    found = shrink_fates(
        evidence_arrays(screen), "gene", "library", MashConfig().null_weight, eps=calls.effect_size_eps
    )
    if scale == "fate":
        fate = found.by_fate
        called = active_days(fate.lfsr, fate.prob_large, calls)
        return Found("fate", np.sign(fate.mean), 1 - fate.prob_large + TIE * fate.lfsr, called)
    shrunk = found.by_contrast
    called = np.stack([active_days(one.lfsr, one.prob_large, calls) for one in shrunk], axis=1)
    sure = 1 - _stack(shrunk, "prob_large") + TIE * _stack(shrunk, "lfsr")
    return Found("contrast", _stack(shrunk, "mean", np.sign), sure, called)


def fit(design: Design, model: ModelConfig, family: str | None = None) -> dict[str, np.ndarray]:
    """Fit a design, for `before` and `after`.

    Parameters
    ----------
    design
        The cells.
    model
        Section ``model``.
    family
        ``fit.family``; None: the default. Neither source of calls depends on it: both start from the mode.
    """
    config = FitConfig(threads=1, device="cpu", **({"family": family} if family else {}))
    posterior, _, _ = fit_effects(design, model, config, progress=False)
    return of_fit(design, posterior, posterior_moments(posterior, design, 200, config.seed))


def _stack(shrunk: list[Shrunk], name: str, change: Any = np.asarray) -> np.ndarray:
    """An attribute of all contrasts, [L, F*, D]."""
    return np.stack([change(getattr(one, name)) for one in shrunk], axis=1)

"""Stage ``check_delta``: guide deviations are centred, and mean(beta) equals theta.

The stage always writes its tables and a verdict on fit and deltas; ``export_effects`` is what refuses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fatewalk.core.outcome import criterion_words, is_met
from fatewalk.core.schema import MEAN_ZERO_TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fatewalk.estimates.arrays import Moments

WORST_SHOWN = 10


def delta_mean_table(moments: Moments, contrast: int) -> pd.DataFrame:
    """Table ``qc_delta_mean_by_gene.csv`` of one contrast.

    Parameters
    ----------
    moments
        Of the posterior.
    contrast
        Index of the contrast.

    Returns
    -------
    pandas.DataFrame
        gene, n_guides, delta_mean_gene (mean over the gene's guides of the posterior mean of
        delta), delta_sd_gene (their SD; missing for a single guide).
    """
    delta, gene, n_guides = moments.delta_mean[:, contrast], moments.guide_to_gene, moments.n_guides
    mean = np.bincount(gene, weights=delta, minlength=len(n_guides)) / n_guides  # [L]
    squares = np.bincount(gene, weights=(delta - mean[gene]) ** 2, minlength=len(n_guides))
    with np.errstate(invalid="ignore", divide="ignore"):
        sd = np.where(n_guides > 1, np.sqrt(squares / (n_guides - 1)), np.nan)
    return pd.DataFrame(
        {"gene": moments.genes, "n_guides": n_guides, "delta_mean_gene": mean, "delta_sd_gene": sd}
    )


def offset_table(moments: Moments, contrast: int) -> pd.DataFrame:
    """Table ``qc_theta_beta_offset_by_gene.csv`` of one contrast.

    Returns
    -------
    pandas.DataFrame
        gene, n_guides, offset_mean (mean over days of mean(beta) - theta), offset_sd_across_days.
    """
    offset = moments.offset_mean[:, contrast, :]  # [L, D]
    return pd.DataFrame(
        {
            "gene": moments.genes,
            "n_guides": moments.n_guides,
            "offset_mean": offset.mean(axis=1),
            "offset_sd_across_days": offset.std(axis=1),
        }
    )


def delta_verdict(moments: Moments, center_delta: bool) -> dict[str, Any]:
    """Judge the centring over every posterior draw, gene and contrast.

    Returns
    -------
    dict
        ``verdict``: ``ok``, ``bad`` or, with ``center_delta: false``, ``uncentred``; the largest
        |mean of delta|, its limit, and the ten worst genes by contrast.
    """
    worst = moments.delta_gene_mean  # [L, F*]
    # NaN must count as bad
    ok = bool((worst <= MEAN_ZERO_TOLERANCE).all()) and bool(np.isfinite(moments.offset_mean).all())
    size = np.nan_to_num(worst, nan=np.inf)
    order = np.argsort(-size.max(axis=1), kind="stable")[:WORST_SHOWN]  # genes
    return {
        "verdict": "uncentred" if not center_delta else "ok" if ok else "bad",
        "center_delta": center_delta,
        "max_abs_delta_mean": float(worst.max()),
        "max_abs_offset": float(np.abs(moments.offset_mean).max()),
        "limit": MEAN_ZERO_TOLERANCE,
        "worst_genes": [
            {
                "gene": str(moments.genes[gene]),
                "contrast": str(moments.contrasts[size[gene].argmax()]),
                "abs_delta_mean": float(worst[gene, size[gene].argmax()]),
            }
            for gene in order
        ],
    }


def run_verdict(card: Mapping[str, Any], delta: Mapping[str, Any]) -> dict[str, Any]:
    """``verdict.json``: fit and delta check, each with value, limit and words.

    Parameters
    ----------
    card
        ``fit_card.json``.
    delta
        From `delta_verdict`.

    Returns
    -------
    dict
        ``verdict``: ``ok`` if the fit converged and the deltas are centred, else ``bad``, or
        ``uncentred`` where centring was not asked for; ``fit`` and ``delta``.
    """
    fit_ok = card["status"] == "converged"
    fit = {
        "verdict": "ok" if fit_ok else "bad",
        "status": card["status"],
        "words": f"fit {card['status']}" if fit_ok else f"fit not converged (status {card['status']})",
        "warnings": len(card["warnings"]),
        "criteria": {
            name: {**item, "met": is_met(item), "words": criterion_words({name: item})}
            for name, item in card["criterion"].items()
        },
    }
    words = {
        "ok": "guide deviations are centred within genes",
        "bad": "guide deviations are NOT centred within genes",
        "uncentred": "guide deviations were left uncentred (model.center_delta: false)",
    }
    overall = delta["verdict"] if fit_ok else "bad"
    return {"verdict": overall, "fit": fit, "delta": {**delta, "words": words[delta["verdict"]]}}

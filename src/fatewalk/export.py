"""Stages ``export_effects`` and ``export_tables``: the posterior as tables for mash and people.

``export_effects`` is the gate: it refuses a fit that is not converged and deltas that are not
centred. ``export_tables`` writes the day-wise tables of one contrast from its arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fatewalk.errors import FatewalkError
from fatewalk.moments import Moments
from fatewalk.tables import MIN_MULTI_GUIDE_GENES, day_columns


def refuse(card: dict[str, Any], verdict: dict[str, Any], require: str) -> None:
    """Refuse to export a fit that is not converged or whose deltas are not centred.

    Parameters
    ----------
    card
        ``fit_card.json``.
    verdict
        ``qc_delta_verdict.json``.
    require
        ``fit.require``.

    Raises
    ------
    FatewalkError
        Naming the criterion, or the ten worst genes.
    """
    if card["status"] == "diverged":
        raise FatewalkError(
            "the fit diverged (fit_card.json) and cannot be exported, also not with fit.require: none. "
            "See fit_trace.csv and the warnings in design_report.json."
        )
    if verdict["verdict"] == "bad":
        worst = ", ".join(
            f"{item['gene']} ({item['contrast']}, {_number(item['abs_delta_mean'])})"
            for item in verdict["worst_genes"]
        )
        raise FatewalkError(
            "delta is not centred within genes: largest |mean| "
            f"{_number(verdict['max_abs_delta_mean'])}, limit {verdict['limit']:.0e}. Ten worst genes: "
            f"{worst}. Nothing was exported. This is a defect of the fit, not of the data; see "
            "qc_delta_mean_by_gene.csv."
        )
    if card["status"] != "converged" and require == "converged":
        c = card["criterion"]
        raise FatewalkError(
            f"the fit is not converged (status {card['status']} after {card['steps']} steps: drift of the "
            f"mean {_number(c['drift_mean'])}, limit {c['drift_mean_limit']}; of the log SD "
            f"{_number(c['drift_sd'])}, limit {c['drift_sd_limit']}). Nothing was exported. Raise "
            "fit.max_steps, or set fit.require: none to export tables that are marked provisional."
        )


def marks(card: dict[str, Any]) -> dict[str, Any]:
    """Columns that mark every table of a fit that must not be read as usual; mostly none."""
    found: dict[str, Any] = {}
    if card["status"] != "converged":
        found["provisional"] = card["status"]
    if not card["center_delta"]:
        found["uncentred"] = True
    return found


def gene_sd(
    theta_sd: np.ndarray, sigma_guide_square: np.ndarray, n_guides: np.ndarray
) -> tuple[np.ndarray, str]:
    """SD of the effect of knocking the gene down: guide sampling added to the library's SD.

    Var = Var(theta) + sigma_guide^2 / n_guides, shared by all days (design, 3.9).

    Parameters
    ----------
    theta_sd : array [L, F*, D]
    sigma_guide_square : array [F*]
    n_guides : array [L]

    Returns
    -------
    sd : array [L, F*, D]
        All missing where fewer than ten genes have two or more guides.
    reason : str
        Why it is missing; empty if it is not.
    """
    several = int((n_guides >= 2).sum())
    if several < MIN_MULTI_GUIDE_GENES:
        reason = (
            f"{several} genes have two or more guides; {MIN_MULTI_GUIDE_GENES} are needed to learn "
            "sigma_guide"
        )
        return np.full_like(theta_sd, np.nan), reason
    sampling = sigma_guide_square[None, :, None] / n_guides[:, None, None]
    return np.sqrt(theta_sd**2 + sampling), ""


def summaries(moments: Moments, more: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Arrays of ``theta_posterior_summary.npz`` and ``delta_posterior_summary.npz``, by stem.

    Parameters
    ----------
    moments
        Of the posterior.
    more
        ``marks`` of the fit.

    Returns
    -------
    dict
        Keys ``theta`` and ``delta``. Effects of gene-days without cells are missing.
    """
    scales = {
        f"{name}_{what}": getattr(moments, f"{name}_{what}")
        for name in ("tau", "sigma_time", "sigma_guide")
        for what in ("mean", "sd")
    }
    theta_sd_gene, reason = gene_sd(moments.theta_sd, moments.sigma_guide_square, moments.n_guides)
    observed = moments.gene_cells[:, None, :] > 0  # [L, 1, D]
    theta = {
        "theta_mean": np.where(observed, moments.theta_mean, np.nan),
        "theta_sd": np.where(observed, moments.theta_sd, np.nan),
        "theta_sd_gene": np.where(observed, theta_sd_gene, np.nan),
        "theta_sd_gene_missing_because": np.array(reason),
        "n_cells": moments.gene_cells,
        "genes": moments.genes,
        "contrasts": moments.contrasts,
        "days": moments.days,
    }
    delta = {
        "delta_mean": moments.delta_mean,
        "delta_sd": moments.delta_sd,
        "guides": moments.guides,
        "genes": moments.genes[moments.guide_to_gene],
        "contrasts": moments.contrasts,
    }
    notes = {name: np.array(value) for name, value in more.items()}
    return {"theta": theta | scales | notes, "delta": delta | scales | notes}


def gene_table(moments: Moments, contrast: int, more: dict[str, Any]) -> pd.DataFrame:
    """Table ``gene_daywise_for_mash.csv`` of one contrast.

    Parameters
    ----------
    moments
        Of the posterior.
    contrast
        Index of the contrast.
    more
        ``marks`` of the fit.

    Returns
    -------
    pandas.DataFrame
        gene, betahat_d*, se_d* (theta alone, library estimand), n_cells_d*, n_guides, marks.
    """
    table = _daywise(
        {"gene": moments.genes},
        moments.theta_mean[:, contrast],
        moments.theta_sd[:, contrast],
        moments.gene_cells,
    )
    return table.assign(n_guides=moments.n_guides, **more)


def guide_table(moments: Moments, contrast: int, more: dict[str, Any]) -> pd.DataFrame:
    """Table ``guide_daywise_for_mash.csv`` of one contrast.

    Returns
    -------
    pandas.DataFrame
        guide, gene, betahat_d*, se_d* (beta = theta + delta, from joint draws), n_cells_d*, marks.
    """
    ids = {"guide": moments.guides, "gene": moments.genes[moments.guide_to_gene]}
    beta = moments.beta_mean[:, contrast], moments.beta_sd[:, contrast]
    return _daywise(ids, *beta, moments.guide_cells).assign(**more)


def _daywise(ids: dict[str, np.ndarray], mean: np.ndarray, sd: np.ndarray, cells: np.ndarray) -> pd.DataFrame:
    """Columns by day; without cells betahat and se are missing: the model would only extrapolate."""
    observed = cells > 0  # [n, D]
    blocks = {
        "betahat": np.where(observed, mean, np.nan),
        "se": np.where(observed, sd, np.nan),
        "n_cells": cells,
    }
    frames = [
        pd.DataFrame(values, columns=day_columns(stem, values.shape[1])) for stem, values in blocks.items()
    ]
    return pd.concat([pd.DataFrame(ids), *frames], axis=1)


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:.3g}"

"""Stage ``export_effects``: the gate of the chain, which refuses a bad fit, and the tables of effects."""

from __future__ import annotations

from typing import Any

from fatewalk.core.errors import FatewalkError
from fatewalk.core.outcome import criterion_words, is_met, number


def refuse(card: dict[str, Any], verdict: dict[str, Any], require: str) -> None:
    """Refuse to export a fit that is not converged or whose deltas are not centred.

    Parameters
    ----------
    card
        ``fit_card.json``.
    verdict
        The delta check, entry ``delta`` of ``verdict.json``.
    require
        ``fit.require``.

    Raises
    ------
    FatewalkError
        Naming every criterion with value and limit, or the ten worst genes.
    """
    if card["status"] == "diverged":
        raise FatewalkError(
            "the fit diverged (fit_card.json) and cannot be exported, also not with fit.require: none. "
            "See fit_trace.csv and the warnings in design_report.json."
        )
    if verdict["verdict"] == "bad":
        worst = ", ".join(
            f"{item['gene']} ({item['contrast']}, {number(item['abs_delta_mean'])})"
            for item in verdict["worst_genes"]
        )
        raise FatewalkError(
            "delta is not centred within genes: largest |mean| "
            f"{number(verdict['max_abs_delta_mean'])}, limit {verdict['limit']:.0e}. Ten worst genes: "
            f"{worst}. Nothing was exported. This is a defect of the fit, not of the data; see "
            "qc_delta_mean_by_gene.csv."
        )
    if card["status"] == "unanchored" and require == "converged":
        words = criterion_words({"common_shift_sd": card["criterion"]["common_shift_sd"]})
        raise FatewalkError(
            "nothing anchors the effects (status unanchored): the labels cannot tell a common shift of all "
            f"genes from the burden slope or the intercepts on any day; {words}. Nothing was exported. Add "
            "cells with NTC guides or without guides; if the burden does not matter in this screen, set "
            "model.burden_slope: none; or set fit.require: none to export tables that are marked provisional."
        )
    if card["status"] != "converged" and require == "converged":
        missed = [name for name, item in card["criterion"].items() if not is_met(item)]
        out_of_steps = any(name.startswith("drift") for name in missed)
        mend = "Raise fit.max_steps" if out_of_steps else "See the warnings in fit_card.json"
        raise FatewalkError(
            f"the fit is not converged (status {card['status']} after {card['rounds']} rounds of "
            f"Newton-Laplace and {card['steps']} steps of SVI: {criterion_words(card['criterion'])}). "
            f"Nothing was exported. {mend}, or set fit.require: none to export tables that are marked "
            "provisional."
        )

"""Stage ``export_effects``: the gate of the chain, which refuses a bad fit, and the tables of effects."""

from __future__ import annotations

import logging
import shutil
from typing import TYPE_CHECKING, Any

from fatewalk.core.errors import FatewalkError
from fatewalk.core.files import copy_file
from fatewalk.core.marks import marks_of_card
from fatewalk.core.outcome import WELL_TOLD, criterion_words, is_met, number
from fatewalk.core.tables import read_own_table, write_arrays, write_table
from fatewalk.estimates.arrays import FateChange, FateEvidence, Moments, Unshrunk
from fatewalk.estimates.export import (
    concordance_table,
    error_covariances,
    fate_change_table,
    gene_likelihood_table,
    gene_posterior_table,
    guide_likelihood_table,
    guide_posterior_table,
    pairwise_table,
    summaries,
)
from fatewalk.run.manifest import STALE, fit_of_run, need_sealed, set_aside_export

if TYPE_CHECKING:
    from pathlib import Path

    from fatewalk.run.files import Run

log = logging.getLogger(__name__)


def main(run: Run, summary: Path) -> None:
    """Refuse a bad fit, else write every table of effects, all contrasts and fates.

    Parameters
    ----------
    run
        The run, with verdict and fit card; reads ``fit.require`` and ``model.contrast_fate``.
    summary
        Folder of what was read off the fit.

    Raises
    ------
    FatewalkError
        If the fit is refused (`refuse`); what an earlier export has led to then goes to ``stale/``.
    """
    card = run.json("fit_card.json")
    _refuse_or_go_on(run, card)
    moments, marks = Moments.load(summary / "moments.npz"), marks_of_card(card)
    change, unshrunk = FateChange.load(summary / "fate_change.npz"), Unshrunk.load(summary / "likelihood.npz")
    FateEvidence.load(summary / "evidence.npz")
    read_own_table(summary / "gene_power.csv", ["gene"])
    need_sealed(summary, fit_of_run(run.folder))
    arrays = summaries(moments, marks)
    write_arrays(arrays["theta"], run.folder / "theta_posterior_summary.npz")
    write_arrays(arrays["delta"], run.folder / "delta_posterior_summary.npz")
    write_table(pairwise_table(moments, marks), run.folder / "pairwise_fate_effects.csv")
    write_table(fate_change_table(change, moments, marks), run.folder / "fate_probability_change.csv")
    for name in ("gene_power.csv", "evidence.npz"):  # only what can be read is handed on
        copy_file(summary / name, run.folder / name)
    _write_by_contrast(run, moments, unshrunk, arrays, card)
    shutil.rmtree(run.folder / STALE, ignore_errors=True)  # this fit takes their place
    log.info(
        "out: %d genes, %d guides, %d days, %d contrasts; %d gene-days without cells are left empty",
        *(len(x) for x in (moments.genes, moments.guides, moments.days, moments.contrasts)),
        int((moments.gene_cells == 0).sum()),
    )


def _refuse_or_go_on(run: Run, card: dict[str, Any]) -> None:
    """Close the gate on a bad fit, with all that stands behind it."""
    try:
        refuse(card, run.json("verdict.json")["delta"], run.settings.fit.require)
    except FatewalkError as error:
        set_aside_export(run.folder)
        stale = run.folder / STALE
        earlier = f" Tables that an earlier export led to are in {stale}." if stale.is_dir() else ""
        raise FatewalkError(f"{error}{earlier}") from None


def _write_by_contrast(
    run: Run, moments: Moments, unshrunk: Unshrunk, arrays: dict[str, Any], card: dict[str, Any]
) -> None:
    """Effects before mash, shrunken and not, of every contrast."""
    marks, defects = marks_of_card(card), card["defects"]
    for c, contrast in enumerate(moments.contrasts.tolist()):
        run.write(
            gene_posterior_table(moments, c, marks, defects["genes"]), contrast, "gene_daywise_for_mash.csv"
        )
        run.write(
            guide_posterior_table(moments, c, marks, defects["guides"]),
            contrast,
            "guide_daywise_for_mash.csv",
        )
        run.write(concordance_table(moments, c, marks), contrast, "guide_concordance.csv")
        run.write(gene_likelihood_table(unshrunk, c, marks), contrast, "gene_daywise_likelihood.csv")
        run.write(guide_likelihood_table(unshrunk, c, marks), contrast, "guide_daywise_likelihood.csv")
        covariances = error_covariances(unshrunk, c, arrays["theta"]["guide_sampling"], marks)
        write_arrays(covariances, run.path(contrast, "mash_error_covariance.npz"))


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
        shift = card["criterion"]["common_shift_sd"]
        if shift["value"] is not None and shift["value"] < WELL_TOLD:
            raise FatewalkError(
                f"the prior leaves no room for effects (status unanchored): {words}; the limit is the prior "
                "SD of an effect on the first day. Nothing was exported. Raise model.priors.s_tau (default "
                "1), or set fit.require: none to export tables that are marked provisional."
            )
        raise FatewalkError(
            "nothing anchors the effects (status unanchored): the labels cannot tell a common shift of all "
            f"genes from the burden slope or the intercepts on any day; {words}. Nothing was exported. Add "
            "cells with NTC guides (without a burden slope, cells without guides do as well); if the burden "
            "does not matter in this screen, set model.burden_slope: none; or set fit.require: none to "
            "export tables that are marked provisional."
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

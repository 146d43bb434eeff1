"""Stage ``evaluate_recovery``: calls and estimates of every contrast against the truth."""

from __future__ import annotations

import logging

import pandas as pd

from fatewalk.core.schema import TRUTH_THETA
from fatewalk.core.tables import read_table
from fatewalk.evaluate.recovery import call_summary, daywise_confusion, recovery_by_day, truth_for_contrast
from fatewalk.plot import overview_recovery, plot_recovery, save_figures
from fatewalk.run.files import Run

log = logging.getLogger(__name__)


def main(run: Run) -> None:
    """Write tables and figures that hold a run against the truth of its screen.

    Parameters
    ----------
    run
        The run of a simulated screen, whose truth lies in ``run.source``; reads section ``calls`` and
        ``model.ref_fate``, ``model.contrast_fate``.
    """
    truth_theta = read_table(run.source / "truth_theta.csv", TRUTH_THETA, text=["gene", "fate"])
    eps = run.settings.calls.effect_size_eps
    truth = {c: truth_for_contrast(truth_theta, c, run.reference) for c in run.contrasts}
    for contrast in run.contrasts:
        called = truth[contrast]
        if run.settings.calls.estimand == "gene":
            called = truth_for_contrast(truth_theta, contrast, run.reference, "theta_gene")
        _hold_against(run, contrast, truth[contrast], called)
    genes = run.tables("gene_daywise_for_mash.csv")
    recovery = plot_recovery(
        genes[run.primary], truth[run.primary], run.days, eps, run.primary, run.reference
    )
    figures = {"recovery": recovery}
    if len(run.contrasts) > 1:
        figures["overview_recovery"] = overview_recovery(genes, truth, eps, run.reference)
    save_figures(figures, run.folder / "figures")


def _hold_against(run: Run, contrast: str, truth: pd.DataFrame, called: pd.DataFrame) -> None:
    """Tables of one contrast: estimates against the truth, calls against that of the estimand."""
    calls = run.settings.calls
    hits, genes = run.table("hits_ranked.csv", contrast), run.table("gene_daywise_for_mash.csv", contrast)
    confusion = daywise_confusion(hits, called, calls.effect_size_eps)
    run.write(confusion, contrast, "daywise_confusion.csv")
    run.write(recovery_by_day(genes, truth), contrast, "recovery_by_day.csv")
    run.write(call_summary(hits, called, calls), contrast, "pred_call_summary.json")
    tp, fp, fn = confusion.set_index("day").loc["overall", ["tp", "fp", "fn"]]
    log.info("%s: %d gene-days rightly called, %d wrongly, %d missed", contrast, tp, fp, fn)

"""Stage ``evaluate_recovery``: calls and estimates of every contrast against the truth."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fatewalk.evaluate.recovery import call_summary, daywise_confusion, recovery_by_day
from fatewalk.plot import draw_figures, save_figures

if TYPE_CHECKING:
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
    for contrast in run.contrasts:
        _hold_against(run, contrast)
    save_figures(draw_figures("evaluate_recovery", run), run.folder / "figures")


def _hold_against(run: Run, contrast: str) -> None:
    """Tables of one contrast: estimates against the truth, calls against that of the estimand."""
    calls, truth = run.calls, run.truth(contrast)
    called = run.truth(contrast, run.estimand.of_truth)
    hits, genes = run.table("hits_ranked.csv", contrast), run.table("gene_daywise_for_mash.csv", contrast)
    confusion = daywise_confusion(hits, called, calls.effect_size_eps)
    run.write(confusion, contrast, "daywise_confusion.csv")
    run.write(recovery_by_day(genes, truth), contrast, "recovery_by_day.csv")
    run.write(call_summary(hits, called, calls), contrast, "pred_call_summary.json")
    tp, fp, fn = confusion.set_index("day").loc["overall", ["tp", "fp", "fn"]]
    log.info("%s: %d gene-days rightly called, %d wrongly, %d missed", contrast, tp, fp, fn)

"""Stage ``check_delta``: guide deviations are centred, mean(beta) equals theta; the verdict on the fit.

What it makes is there of a fit that is then refused, too: the figure of its convergence as well.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fatewalk.core.files import copy_file, read_json, write_json
from fatewalk.core.marks import marks_of_card
from fatewalk.core.tables import read_own_table
from fatewalk.diagnostics.centring import delta_mean_table, delta_verdict, offset_table, run_verdict
from fatewalk.estimates.arrays import Moments
from fatewalk.run.layout import copies
from fatewalk.run.manifest import STALE, enter, fit_entry, need_sealed, set_aside

if TYPE_CHECKING:
    from pathlib import Path

    from fatewalk.run.files import Run

log = logging.getLogger(__name__)

#: What this stage and those after it read off the card.
OF_CARD = ("status", "criterion", "center_delta", "warnings", "defects", "hash_of_config_and_design")


def main(run: Run, fit: Path, summary: Path) -> None:
    """Write the verdict on fit and deltas with its tables; files of another fit go to ``stale/``.

    Parameters
    ----------
    run
        The run; reads ``model.contrast_fate``.
    fit, summary
        Folders of the fit, and of what was read off it.

    Raises
    ------
    FatewalkError
        If a file of the fit is not what its stage wrote.
    """
    moments = Moments.load(summary / "moments.npz")
    card = read_json(fit / "fit_card.json", OF_CARD)
    marks, entry = marks_of_card(card), fit_entry(fit.name, card)
    need_sealed(fit, entry, copies("check_delta"))  # a posterior can be of gigabytes
    need_sealed(summary, entry)
    if moved := set_aside(run.folder, entry):
        log.info("%d files of another fit were moved to %s", len(moved), run.folder / STALE)
    for c, contrast in enumerate(moments.contrasts.tolist()):
        delta_mean, offset = delta_mean_table(moments, c), offset_table(moments, c)
        run.write(delta_mean.assign(**marks), contrast, "qc_delta_mean_by_gene.csv")
        run.write(offset.assign(**marks), contrast, "qc_theta_beta_offset_by_gene.csv")
    read_own_table(fit / "fit_trace.csv", ["phase"])  # only what can be read is handed on
    for name in copies("check_delta"):
        copy_file(fit / name, run.folder / name)
    delta = delta_verdict(moments, card["center_delta"])
    verdict = run_verdict(card, delta)
    write_json(verdict, run.folder / "verdict.json")
    enter(run.folder, "check_delta", run.made_by("check_delta"), entry)
    sizes = (len(names) for names in (moments.genes, moments.guides, moments.contrasts))
    log.info("in: %d genes, %d guides, %d contrasts", *sizes)
    log.info("verdict: %s; %s", verdict["fit"]["words"], verdict["delta"]["words"])
    log.info("largest |mean of delta within a gene| %.1e", delta["max_abs_delta_mean"])


def draw(run: Run) -> None:
    """Draw whether the fit settled, after `main`; a run without Snakemake draws its figures when asked."""
    from fatewalk.plot import draw_figures, save_figures  # matplotlib, once the verdict is written

    figures = draw_figures("check_delta", run)
    enter(run.folder, "check_delta", save_figures(figures, run.folder / "figures"), part=True)

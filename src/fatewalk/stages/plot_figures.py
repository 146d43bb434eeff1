"""Stage ``plot_figures``: an overview of all contrasts, and the full set of the primary one."""

from __future__ import annotations

import logging

from fatewalk.plot import save_figures
from fatewalk.plot.sets import contrast_figures, overview_figures
from fatewalk.run.files import Run

log = logging.getLogger(__name__)


def main(run: Run) -> None:
    """Draw the effects of a run.

    Parameters
    ----------
    run
        The run; reads ``calls.effect_size_eps``, ``calls.lfsr_day`` and ``model.ref_fate``,
        ``model.contrast_fate``.
    """
    figures = contrast_figures(run, run.primary)
    if len(run.contrasts) > 1:
        figures |= overview_figures(run)
    folder = run.folder / "figures"
    save_figures(figures, folder)
    log.info("in: %d contrasts; out: %d figures in %s", len(run.contrasts), len(figures), folder)

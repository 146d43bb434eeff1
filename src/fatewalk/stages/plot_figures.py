"""Stage ``plot_figures``: an overview of all fates or contrasts, and the full set of the primary one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fatewalk.plot import draw_figures, save_figures

if TYPE_CHECKING:
    from fatewalk.run.files import Run

log = logging.getLogger(__name__)


def main(run: Run) -> None:
    """Draw the effects of a run.

    Parameters
    ----------
    run
        The run; reads ``calls.scale``, ``calls.effect_size_eps``, ``calls.lfsr_day``,
        ``model.ref_fate`` and ``model.contrast_fate``.
    """
    figures = draw_figures("plot_figures", run)
    folder = run.folder / "figures"
    save_figures(figures, folder)
    log.info("in: %d contrasts; out: %d figures in %s", len(run.contrasts), len(figures), folder)

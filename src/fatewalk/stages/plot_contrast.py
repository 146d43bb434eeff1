"""Stage ``plot_contrast``: the full set of figures of one contrast."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fatewalk.plot import draw_figures, save_figures

if TYPE_CHECKING:
    from fatewalk.run.files import Run

log = logging.getLogger(__name__)


def main(run: Run, contrast: str) -> None:
    """Draw the effects of a contrast of a run.

    Parameters
    ----------
    run
        The run; reads ``calls.effect_size_eps``, ``calls.lfsr_day`` and ``model.ref_fate``.
    contrast
        The contrast.
    """
    figures = draw_figures("plot_figures", run, contrast)
    folder = run.path(contrast, "figures")
    save_figures(figures, folder)
    log.info("out: %d figures in %s", len(figures), folder)

"""Stage ``plot_convergence``: loss and drift of the fit, also of one that is then refused."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fatewalk.plot import draw_figures, save_figures

if TYPE_CHECKING:
    from fatewalk.run.files import Run

log = logging.getLogger(__name__)


def main(run: Run) -> None:
    """Draw what the fit of a run watched."""
    save_figures(draw_figures("plot_convergence", run), run.folder / "figures")
    trace, card = run.table("fit_trace.csv"), run.json("fit_card.json")
    log.info("in: %d rounds and windows of the fit, status %s", len(trace), card["status"])

"""Stage ``plot_convergence``: loss and drift of the fit, also of one that is then refused."""

from __future__ import annotations

import logging

from fatewalk.plot import plot_convergence, save_figures
from fatewalk.run.files import Run

log = logging.getLogger(__name__)


def main(run: Run) -> None:
    """Draw what the fit of a run watched."""
    trace, card = run.table("fit_trace.csv"), run.json("fit_card.json")
    save_figures({"convergence": plot_convergence(trace, card)}, run.folder / "figures")
    log.info("in: %d rounds and windows of the fit, status %s", len(trace), card["status"])

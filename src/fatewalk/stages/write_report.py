"""Stage ``write_report``: the page of a run, from its finished tables."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fatewalk.report import NAME, write_page

if TYPE_CHECKING:
    from fatewalk.run.files import Run

log = logging.getLogger(__name__)


def main(run: Run) -> None:
    """Write ``report.html``.

    Parameters
    ----------
    run
        The run; reads section ``calls`` and ``model.ref_fate``, ``model.contrast_fate``.
    """
    path = run.folder / NAME
    write_page(run, path)
    log.info("in: %d hits; out: %s, %.1f MB", len(run.table("hits.csv")), path, path.stat().st_size / 1e6)

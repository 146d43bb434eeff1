"""Stage ``write_index``: the runs of a config side by side."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fatewalk.report import write_index
from fatewalk.run.files import Run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

log = logging.getLogger(__name__)


def main(folders: Sequence[Path], path: Path) -> None:
    """Write ``index.html``.

    Parameters
    ----------
    folders
        Of finished runs with pages.
    path
        The file, in a folder above them.
    """
    write_index([Run.load(folder) for folder in folders], path)
    log.info("in: %d runs; out: %s", len(folders), path)

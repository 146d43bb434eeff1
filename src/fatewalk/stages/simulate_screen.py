"""Stage ``simulate_screen``: draw a screen from the model, with its truth."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fatewalk.run.manifest import seal
from fatewalk.run.settings import note_entry
from fatewalk.screen.simulate import simulate_screen, write_screen

if TYPE_CHECKING:
    from pathlib import Path

    from fatewalk.config import SimulateConfig

log = logging.getLogger(__name__)


def main(source: Path, config: SimulateConfig) -> None:
    """Write the input tables of a simulated screen, and what is true of it.

    Parameters
    ----------
    source
        Folder for the tables.
    config
        The entry's section ``simulate``.
    """
    screen = simulate_screen(config)
    write_screen(screen, source)
    note_entry(source, {"simulate": config.model_dump(mode="json")}, {})
    seal(source, "simulate_screen", "input")
    log.info(
        "out: %d cells, %d guide calls, %d guides (simulated)",
        len(screen.cells),
        len(screen.guide_calls),
        len(screen.guide_map),
    )

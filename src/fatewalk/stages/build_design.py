"""Stage ``build_design``: input tables to index tensors, checked and counted."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fatewalk.core.errors import FatewalkError
from fatewalk.core.files import read_json, write_json
from fatewalk.core.schema import GUIDE_CALLS, GUIDE_MAP
from fatewalk.core.tables import read_own_table, write_table
from fatewalk.run.manifest import need_sealed, seal
from fatewalk.screen.design import build_design, in_words, save_design
from fatewalk.screen.survival import survival_table

if TYPE_CHECKING:
    from pathlib import Path
    from types import SimpleNamespace

log = logging.getLogger(__name__)


def main(source: Path, design: Path, settings: SimpleNamespace) -> None:
    """Write the design of a screen, and what was dropped and why.

    Parameters
    ----------
    source
        Folder of the input tables.
    design
        Folder for the design.
    settings
        Section ``design``, and ``model.fates`` with the reference first.

    Raises
    ------
    FatewalkError
        If the tables do not fit together.
    """
    cells = read_own_table(source / "cells.parquet", ["cell_id", "day"])
    calls = read_own_table(source / "guide_calls.parquet", GUIDE_CALLS)
    guide_map = read_own_table(source / "guide_map.csv", GUIDE_MAP, text=GUIDE_MAP)
    need_sealed(source)
    try:
        found, report = build_design(cells, calls, guide_map, settings.design, settings.model.fates)
    except FatewalkError as error:
        raise FatewalkError(_with_file(str(error), source / "import_report.json")) from error
    for line in in_words(report):
        log.info(line)
    for note in report["notes"]:
        log.info(note)
    for warning in report["warnings"]:
        log.warning(warning)
    save_design(found, cells["cell_id"], design)
    write_table(survival_table(found), design / "survival.csv")
    write_json(report, design / "design_report.json")
    seal(design, "build_design", "design")


def _with_file(message: str, report: Path) -> str:
    """A refusal with the user's own file in place of the table that was made of it."""
    table, _, rest = message.partition(": ")
    sources = read_json(report)["sources"] if report.is_file() else {}  # a simulated screen has no files
    return f"{sources[table]}: {rest}" if table in sources else message

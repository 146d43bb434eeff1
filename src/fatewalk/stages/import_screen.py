"""Stage ``import_screen``: a screen from elsewhere, in any format that has a reader."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fatewalk.core.files import write_json
from fatewalk.core.tables import write_table
from fatewalk.run.manifest import seal
from fatewalk.run.settings import note_entry
from fatewalk.screen.guide_map import read_guide_map
from fatewalk.screen.raw import canonical_calls, canonical_cells

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fatewalk.config.datasets import Dataset

log = logging.getLogger(__name__)


def main(source: Path, dataset: Dataset, fates: Sequence[str]) -> None:
    """Write the canonical input tables of a screen, and what was read.

    Parameters
    ----------
    source
        Folder for cells.parquet, guide_calls.parquet, guide_map.csv, import_report.json and entry.json.
    dataset
        The dataset entry of the config.
    fates
        ``model.fates``: exactly the fates of the data.

    Raises
    ------
    FatewalkError
        If a file, key or column is missing, or days or fates cannot be read.
    """
    raw = dataset.read()
    cells, cells_report = canonical_cells(raw, fates)
    calls, calls_report = canonical_calls(raw)
    ntc_names = getattr(dataset, "ntc_names", None)  # a format of somebody else may not have the key
    guide_map, map_where, map_notes = read_guide_map(raw, calls, dataset.paths.get("guide_map"), ntc_names)
    write_table(cells, source / "cells.parquet")
    write_table(calls, source / "guide_calls.parquet")
    write_table(guide_map, source / "guide_map.csv")
    sources = {"cells": raw.where, "guide_calls": raw.calls_where, "guide_map": map_where}
    report = {
        "kind": dataset.kind.lower(),
        "sources": sources,
        **cells_report,
        **calls_report,
        "guides_in_map": guide_map["guide_name"].nunique(),
    }
    del report["notes"]  # they stand last, where they are found
    report["notes"] = cells_report["notes"] + calls_report["notes"] + map_notes
    write_json(report, source / "import_report.json")
    note_entry(source, dataset.own_keys(), dataset.paths)
    seal(source, "import_screen", "input")
    log.info("in: %s", ", ".join(dict.fromkeys(sources.values())))
    log.info(
        "out: %d cells on %d days, %d guide calls of %d guides; dropped: %d calls without UMIs",
        report["cells"],
        len(report["days"]),
        report["guide_calls"],
        report["guides_called"],
        report["guide_calls_without_umi_dropped"],
    )
    for note in report["notes"]:
        log.info(note)

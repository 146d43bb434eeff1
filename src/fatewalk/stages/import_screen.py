"""Screens from elsewhere: AnnData with CellRank fates, 10x guide calls, plain tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fatewalk.config.datasets import AnnDataDataset, PlainDataset
from fatewalk.core.files import write_json
from fatewalk.core.schema import GUIDE_MAP
from fatewalk.core.tables import as_bool, read_table, write_table
from fatewalk.screen.raw import canonical_calls, canonical_cells
from fatewalk.screen.readers.anndata import read_anndata
from fatewalk.screen.readers.plain import read_plain

__all__ = ["import_screen"]


def import_screen(dataset: AnnDataDataset | PlainDataset, fates: Sequence[str], folder: Path) -> None:
    """Write the canonical input tables of a screen, and what was read.

    Parameters
    ----------
    dataset
        The dataset entry of the config.
    fates
        ``model.fates``: exactly the fates of the data.
    folder
        Gets cells.parquet, guide_calls.parquet, guide_map.csv and import_report.json.

    Raises
    ------
    FatewalkError
        If a file, key or column is missing, or days or fates cannot be read.
    """
    raw = read_anndata(dataset) if isinstance(dataset, AnnDataDataset) else read_plain(dataset)
    cells, cells_report = canonical_cells(raw, fates)
    calls, calls_report = canonical_calls(raw)
    guide_map = read_table(dataset.guide_map, GUIDE_MAP, text=GUIDE_MAP)[list(GUIDE_MAP)]
    guide_map["is_ntc"] = as_bool(guide_map["is_ntc"], dataset.guide_map)
    write_table(cells, folder / "cells.parquet")
    write_table(calls, folder / "guide_calls.parquet")
    write_table(guide_map, folder / "guide_map.csv")
    report = {
        "kind": "anndata" if isinstance(dataset, AnnDataDataset) else "plain tables",
        "sources": {"cells": raw.where, "guide_calls": raw.calls_where, "guide_map": dataset.guide_map},
        **cells_report,
        **calls_report,
        "guides_in_map": guide_map["guide_name"].nunique(),
    }
    report["notes"] = report.pop("notes")  # last, where they are found
    write_json(report, folder / "import_report.json")

"""Warnings mean something: real right screens, and one by CellRank, have none but of what they lack."""

import json
from pathlib import Path

import pandas as pd
import pytest

from fatewalk.config import load_config
from fatewalk.run.settings import sections
from fatewalk.stages import build_design, import_screen

SHARED = Path(__file__).parents[3] / "shared"
CELLRANK_FATES = ["Neural crest", "Endothelial", "Cardiac mesoderm"]
KNOWN = (
    "gene-days have no cell",
    "No gene has two or more guides",
    "are of one replicate",
)  # what they lack in fact


def warnings_of(entry, fates, folder):
    config = load_config({"datasets": {"screen": entry}, "model": {"fates": fates}})
    settings = config.settings("screen", "main")
    import_screen.main(folder / "input", config.datasets["screen"], fates)
    build_design.main(folder / "input", folder / "design", sections(settings.read_by("build_design")))
    return json.loads((folder / "design" / "design_report.json").read_text())["warnings"]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared screens are not here")
@pytest.mark.parametrize("name", ["mcf10a_cropseq_dox", "zscape_crispants"])
def test_real_screens(name, tmp_path):
    folder = SHARED / "realdata" / name
    entry = {
        "cells": str(folder / "cells.csv.gz"),
        "guide_calls": str(folder / "guides.csv.gz"),
        "guide_map": str(folder / "guide_map.csv"),
    }
    fates = sorted(pd.read_csv(entry["cells"], usecols=["fate"])["fate"].unique())
    assert [one for one in warnings_of(entry, fates, tmp_path) if not any(w in one for w in KNOWN)] == []


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared screens are not here")
def test_cellrank_screen(tmp_path):
    folder = SHARED / "cellrank_output"
    entry = {
        "anndata": str(folder / "a_sparse_uns.h5ad"),
        "guide_map": str(folder / "guides.csv"),
        "rep_key": "batch",
    }
    assert warnings_of(entry, CELLRANK_FATES, tmp_path) == []


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared screens are not here")
def test_batches_that_no_key_names_are_seen_in_an_anndata_file():
    folder = SHARED / "cellrank_output"
    entry = {"anndata": str(folder / "a_sparse_uns.h5ad"), "guide_map": str(folder / "guides.csv")}
    config = load_config(
        {"datasets": {"screen": {**entry, "rep_key": None}}, "model": {"fates": CELLRANK_FATES}}
    )
    (note,) = config.datasets["screen"].read().notes
    assert "Column 'batch' (2 values) is not used" in note

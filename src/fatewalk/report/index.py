"""``index.html``: the runs of a config side by side, with links to their pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from fatewalk.core.files import atomic_path
from fatewalk.report.page import NAME as PAGE
from fatewalk.report.page import asset, environment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fatewalk.run.files import Run

NAME = "index.html"
FIRST = 60  # genes of the comparison: those that are hits in most runs


def write_index(runs: Sequence[Run], path: Path) -> None:
    """Write the page that compares runs.

    Parameters
    ----------
    runs
        Finished runs with pages, in the order of the config.
    path
        The file, in a folder above those of the runs.

    Raises
    ------
    FatewalkError
        If a table of a run is not what its stage wrote, or the file cannot be written.
    """
    genes = shared_genes(runs)
    text = (
        environment()
        .get_template("index.html.j2")
        .render(
            style=asset("templates/page.css"),
            runs=[_summary(run, path.parent) for run in runs],
            genes=genes[:FIRST],
            n_genes=len(genes),
        )
    )
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def shared_genes(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Genes that are a hit in any run: in which runs, on which fates; those of most runs first.

    Returns
    -------
    list of dict
        ``gene``; ``said``, a text for each run, ``+EC, −MES``, empty where it is no hit there.
    """
    said = [_directions(run.table("hits.csv")) for run in runs]
    names = list(dict.fromkeys(gene for of_run in said for gene in of_run))
    rows = [{"gene": gene, "said": [of_run.get(gene, "") for of_run in said]} for gene in names]
    return sorted(rows, key=lambda row: -sum(map(bool, row["said"])))


def _directions(hits: pd.DataFrame) -> dict[str, str]:
    """Fates that each gene moves, with a sign, by gene in the order of the ranks."""
    signs = {"gain": "+", "loss": "−"}
    fates = hits["fate"] if "fate" in hits else hits["contrast"]
    words = [signs.get(way, "±") + fate for way, fate in zip(hits["direction"], fates, strict=True)]
    by_gene = pd.Series(words, dtype=object).groupby(hits["gene"].to_numpy(), sort=False)
    return {str(gene): ", ".join(of_gene) for gene, of_gene in by_gene}


def _summary(run: Run, top: Path) -> dict[str, Any]:
    """A line on a run."""
    hits, report, verdict = run.table("hits.csv"), run.json("design_report.json"), run.json("verdict.json")
    return {
        "name": f"{run.folder.parent.name}, {run.folder.name}",
        "page": (run.folder / PAGE).relative_to(top).as_posix(),
        "settled": verdict["verdict"] != "bad",
        "fates": [run.reference, *run.contrasts],
        "days": run.days,
        "cells": report["cells"]["kept"],
        "genes": report["genes"]["kept"],
        "hits": "withheld: the certificate failed" if run.withheld else len(hits),
        "genes_with_hits": hits["gene"].nunique(),
    }

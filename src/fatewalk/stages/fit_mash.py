"""Stage ``fit_mash``: every table that the built-in engine of multivariate adaptive shrinkage makes."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd

from fatewalk.calls.shrink import fit_mash_likelihood, fit_mash_table
from fatewalk.core.schema import LEVELS
from fatewalk.run.files import Run

log = logging.getLogger(__name__)


def main(files: Run) -> None:
    """Write the tables and mixtures of a run.

    Parameters
    ----------
    files
        The run, with tables of effects; reads section ``mash``, ``calls.estimand`` and
        ``model.contrast_fate``.

    Raises
    ------
    MashError
        If a table is no input for mash.
    """
    settings, contrasts = files.settings, files.contrasts
    mash = settings.mash
    wanted = [(level, mode, "") for mode in mash.modes for level in LEVELS]
    if mash.engine == "mashr":  # R makes the posterior tables; ours stand beside them if both are compared
        wanted = [("gene", "conservative", "engine=python/")] if mash.compare_engines else []
    notes: dict[str, list[str]] = {}
    significant = 0
    for contrast in contrasts:
        for level, mode, folder in wanted:
            name = f"{level}_daywise_for_mash.csv"
            where = str(files.path(contrast, name))
            found = fit_mash_table(files.read(contrast, name), mash, mode, where)
            write(files, contrast, f"{folder}mash_{level}_{mode}", found, notes)
        with np.load(files.path(contrast, "mash_error_covariance.npz")) as errors:
            for level in LEVELS:
                name = f"{level}_daywise_likelihood.csv"
                where = str(files.path(contrast, name))
                # guides have their own effects alone
                estimand = settings.calls.estimand if level == "gene" else "library"
                found = fit_mash_likelihood(files.read(contrast, name), errors, mash, where, estimand)
                write(files, contrast, f"mash_likelihood_{level}", found, notes)
                significant += found[1]["n_significant"]
    log.info("in: %d contrasts; out: %d tables each", len(contrasts), len(wanted) + len(LEVELS))
    log.info("likelihood-only tables: %d rows with an lfsr below 0.05 on some day", significant)
    for note, places in notes.items():
        log.info("%s (%s)", note, places[0] if len(places) == 1 else f"{len(places)} tables")


def write(
    files: Run,
    contrast: str,
    stem: str,
    found: tuple[pd.DataFrame, dict[str, Any]],
    notes: dict[str, list[str]],
) -> None:
    """Write a table and its mixture, and gather what the mixture notes."""
    table, mixture = found
    files.write(table, contrast, f"{stem}.csv")
    files.write(mixture, contrast, f"{stem}.json")
    for note in mixture["notes"]:
        notes.setdefault(note, []).append(f"{contrast}, {stem}")

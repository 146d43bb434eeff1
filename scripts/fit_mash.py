"""Rule fit_mash: every table that the built-in engine of multivariate adaptive shrinkage makes."""

import logging

import checkout  # noqa: F401
import numpy as np

from fatewalk.calls.shrink import fit_mash_likelihood, fit_mash_table
from fatewalk.core.schema import LEVELS
from fatewalk.mash import MashError
from fatewalk.workflow.stage import run_of, run_stage

log = logging.getLogger("fatewalk")


def main(snakemake):
    files = run_of(snakemake)
    settings, contrasts = files.settings, files.contrasts
    mash = settings.mash
    wanted = [(level, mode, "") for mode in mash.modes for level in LEVELS]
    if mash.engine == "mashr":  # R makes the posterior tables; ours stand beside them if both are compared
        wanted = [("gene", "conservative", "engine=python/")] if mash.compare_engines else []
    notes, significant = {}, 0
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


def write(files, contrast, stem, found, notes):
    table, mixture = found
    files.write(table, contrast, f"{stem}.csv")
    files.write(mixture, contrast, f"{stem}.json")
    for note in mixture["notes"]:
        notes.setdefault(note, []).append(f"{contrast}, {stem}")


run_stage("fit_mash", main, snakemake, MashError)  # noqa: F821

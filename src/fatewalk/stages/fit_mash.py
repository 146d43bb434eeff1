"""Stage ``fit_mash``: the built-in engine of adaptive shrinkage, and what the calls need of it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fatewalk.calls import gene_sources, genes_file, guides_file
from fatewalk.calls.shrink import MashResult, fit_mash_likelihood, fit_mash_table
from fatewalk.core.marks import marks_of
from fatewalk.core.schema import LEVELS
from fatewalk.core.tables import read_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from fatewalk.run.files import Run

log = logging.getLogger(__name__)

Notes = dict[str, list[str]]


def main(files: Run) -> None:
    """Write the tables and mixtures of a run, and what every source says of its genes and guides.

    Parameters
    ----------
    files
        The run, with tables of effects; reads section ``mash``, ``calls.estimand``,
        ``calls.effect_size_eps`` and ``model.contrast_fate``.

    Raises
    ------
    MashError
        If a table is no input for mash.
    """
    theta = files.arrays("theta_posterior_summary.npz")
    notes: Notes = {}
    significant = 0
    for contrast in files.contrasts:
        posterior = shrink_posterior(files, contrast, notes)
        likelihood = shrink_likelihood(files, contrast, notes)
        keep_for_calls(files, contrast, likelihood, posterior, theta)
        significant += sum(found.mixture["n_significant"] for found in likelihood.values())
    n_tables = len(posterior) + len(likelihood)
    log.info("in: %d contrasts; out: %d tables each", len(files.contrasts), n_tables)
    log.info("likelihood-only tables: %d rows with an lfsr below 0.05 on some day", significant)
    for note, places in notes.items():
        log.info("%s (%s)", note, places[0] if len(places) == 1 else f"{len(places)} tables")


def shrink_posterior(files: Run, contrast: str, notes: Notes) -> dict[tuple[str, str], MashResult]:
    """Posterior tables, by level and mode; R's stay R's."""
    mash = files.settings.mash
    wanted = [(level, mode, "") for mode in mash.modes for level in LEVELS]
    if mash.engine == "mashr":  # ours stand beside them if both are compared
        wanted = [("gene", "conservative", "engine=python/")] if mash.compare_engines else []
    found = {}
    for level, mode, folder in wanted:
        name = f"{level}_daywise_for_mash.csv"
        where = str(files.path(contrast, name))
        found[level, mode] = fit_mash_table(files.read(contrast, name), mash, mode, where)
        write(files, contrast, f"{folder}mash_{level}_{mode}", found[level, mode], notes)
    return found


def shrink_likelihood(files: Run, contrast: str, notes: Notes) -> dict[str, MashResult]:
    """Likelihood-only tables, by level."""
    errors = read_arrays(files.path(contrast, "mash_error_covariance.npz"))
    found = {}
    for level in LEVELS:
        name = f"{level}_daywise_likelihood.csv"
        where = str(files.path(contrast, name))
        # guides have their own effects alone
        estimand = files.settings.calls.estimand if level == "gene" else "library"
        table = files.read(contrast, name)
        found[level] = fit_mash_likelihood(table, errors, files.settings.mash, where, estimand)
        write(files, contrast, f"mash_likelihood_{level}", found[level], notes)
    return found


def keep_for_calls(
    files: Run,
    contrast: str,
    likelihood: Mapping[str, MashResult],
    posterior: Mapping[tuple[str, str], MashResult],
    theta: Mapping[str, np.ndarray],
) -> None:
    """What every source says, while the mixtures are at hand."""
    calls, mash = files.settings.calls, files.settings.mash
    genes, eps = files.read(contrast, "gene_daywise_for_mash.csv"), calls.effect_size_eps
    of_mode = posterior["gene", mash.modes[0]] if mash.engine == "python" else None
    found = gene_sources(genes, likelihood["gene"], of_mode, theta, contrast, calls.estimand, eps)
    of_genes = genes_file(genes["gene"].to_numpy(), found, marks_of(genes))
    of_genes.save(files.path(contrast, "shrunk_gene.npz"))
    guides_file(likelihood["guide"], eps).save(files.path(contrast, "shrunk_guide.npz"))


def write(files: Run, contrast: str, stem: str, found: MashResult, notes: Notes) -> None:
    """Write a table and its mixture, and gather what the mixture notes."""
    files.write(found.table, contrast, f"{stem}.csv")
    files.write(found.mixture, contrast, f"{stem}.json")
    for note in found.mixture["notes"]:
        notes.setdefault(note, []).append(f"{contrast}, {stem}")

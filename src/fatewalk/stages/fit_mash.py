"""Stage ``fit_mash``: the built-in engine of adaptive shrinkage, and what the calls need of it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fatewalk.calls import MashedFates, gene_sources, genes_file, guides_file, shrink_fates
from fatewalk.calls.shrink import MashResult, fit_mash_likelihood, fit_mash_table
from fatewalk.core.files import write_json
from fatewalk.core.marks import marks_of
from fatewalk.core.schema import LEVELS
from fatewalk.run.layout import engine_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from fatewalk.run.files import Run

log = logging.getLogger(__name__)

Notes = dict[str, list[str]]


def main(run: Run) -> None:
    """Write the tables and mixtures of a run, and what every source says of its genes and guides.

    Parameters
    ----------
    run
        The run, with tables of effects; reads section ``mash``, ``calls.estimand``,
        ``calls.effect_size_eps`` and ``model.contrast_fate``.

    Raises
    ------
    MashError
        If a table is no input for mash.
    """
    theta = run.arrays("theta_posterior_summary.npz")
    fates = over_fates(run)
    notes: Notes = {}
    significant = 0
    for contrast in run.contrasts:
        posterior = shrink_posterior(run, contrast, notes)
        likelihood = shrink_likelihood(run, contrast, notes)
        keep_for_calls(run, contrast, fates, likelihood, posterior, theta)
        significant += sum(found.mixture["n_significant"] for found in likelihood.values())
    n_tables = len(posterior) + len(likelihood)
    log.info("in: %d contrasts; out: %d tables each", len(run.contrasts), n_tables)
    log.info("likelihood-only tables: %d rows with an lfsr below 0.05 on some day", significant)
    for note, places in notes.items():
        log.info("%s (%s)", note, places[0] if len(places) == 1 else f"{len(places)} tables")


def over_fates(run: Run) -> dict[str, MashedFates]:
    """Mash over fates and days together, by level."""
    calls, mash = run.settings.calls, run.settings.mash
    evidence = run.arrays("evidence.npz")
    chosen = run.estimand
    log.info("estimand of the calls: %s", chosen.words)
    found = {
        level: shrink_fates(evidence, level, chosen.name, mash.null_weight, calls.effect_size_eps)
        for level in LEVELS
    }
    for level, one in found.items():
        one.by_fate.save(run.folder / f"shrunk_fates_{level}.npz")
        log.info(
            "%ss over all fates: %d rows, about %.1f with an effect",
            level, one.mixture["n_rows"], one.mixture["n_effects"],
        )  # fmt: skip
    mixtures = {level: one.mixture for level, one in found.items()}
    mixtures["gene"] |= {"estimand": chosen.name, "estimand_because": chosen.words}
    write_json(mixtures, run.folder / "mash_fates.json")
    return found


def shrink_posterior(run: Run, contrast: str, notes: Notes) -> dict[tuple[str, str], MashResult]:
    """Posterior tables, by level and mode; R's stay R's."""
    mash = run.settings.mash
    wanted = [(level, mode, "") for mode in mash.modes for level in LEVELS]
    if mash.engine == "mashr":  # ours stand beside them if both are compared
        wanted = [("gene", "conservative", f"{engine_folder('python')}/")] if mash.compare_engines else []
    found = {}
    for level, mode, folder in wanted:
        name = f"{level}_daywise_for_mash.csv"
        where = str(run.path(contrast, name))
        found[level, mode] = fit_mash_table(run.read(contrast, name), mash, mode, where)
        write(run, contrast, f"{folder}mash_{level}_{mode}", found[level, mode], notes)
    return found


def shrink_likelihood(run: Run, contrast: str, notes: Notes) -> dict[str, MashResult]:
    """Likelihood-only tables, by level."""
    of_replicates = run.arrays("evidence.npz")["replicate_variance"][:, list(run.contrasts).index(contrast)]
    errors = run.arrays("mash_error_covariance.npz", contrast) | {"replicate_variance": of_replicates}
    found = {}
    for level in LEVELS:
        name = f"{level}_daywise_likelihood.csv"
        where = str(run.path(contrast, name))
        # guides have their own effects alone
        estimand = run.estimand.name if level == "gene" else "library"
        table = run.read(contrast, name)
        found[level] = fit_mash_likelihood(table, errors, run.settings.mash, where, estimand)
        write(run, contrast, f"mash_likelihood_{level}", found[level], notes)
    return found


def keep_for_calls(
    run: Run,
    contrast: str,
    fates: Mapping[str, MashedFates],
    likelihood: Mapping[str, MashResult],
    posterior: Mapping[tuple[str, str], MashResult],
    theta: Mapping[str, np.ndarray],
) -> None:
    """What every source says, while the mixtures are at hand."""
    calls, mash = run.settings.calls, run.settings.mash
    genes, eps = run.read(contrast, "gene_daywise_for_mash.csv"), calls.effect_size_eps
    of_mode = posterior["gene", mash.modes[0]] if mash.engine == "python" else None
    place = list(run.contrasts).index(contrast)
    over_all = {level: one.by_contrast[place] for level, one in fates.items()}
    replicates = run.arrays("evidence.npz")["replicate_variance"][:, place]
    found = gene_sources(
        genes, over_all["gene"], likelihood["gene"], of_mode, theta, contrast, run.estimand.name, eps,
        replicates,
    )  # fmt: skip
    of_genes = genes_file(genes["gene"].to_numpy(), found, marks_of(genes))
    of_genes.save(run.path(contrast, "shrunk_gene.npz"))
    guides_file(over_all["guide"], likelihood["guide"], eps).save(run.path(contrast, "shrunk_guide.npz"))


def write(run: Run, contrast: str, stem: str, found: MashResult, notes: Notes) -> None:
    """Write a table and its mixture, and gather what the mixture notes."""
    run.write(found.table, contrast, f"{stem}.csv")
    run.write(found.mixture, contrast, f"{stem}.json")
    for note in found.mixture["notes"]:
        notes.setdefault(note, []).append(f"{contrast}, {stem}")

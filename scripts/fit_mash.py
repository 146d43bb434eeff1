"""Rule fit_mash: the built-in engine of multivariate adaptive shrinkage, and what the calls need of it."""

import logging

import checkout  # noqa: F401

from fatewalk.calls import gene_sources, genes_file, guides_file
from fatewalk.calls.shrink import fit_mash_likelihood, fit_mash_table
from fatewalk.core.marks import marks_of
from fatewalk.core.schema import LEVELS
from fatewalk.core.tables import read_arrays
from fatewalk.mash import MashError
from fatewalk.workflow.run_files import RunFiles
from fatewalk.workflow.stage import run_folder, run_stage, sections

log = logging.getLogger("fatewalk")


def main(snakemake):
    settings, contrasts = sections(snakemake), snakemake.params.contrasts
    files = RunFiles(run_folder(snakemake), contrasts, settings.model.contrast_fate)
    theta = read_arrays(snakemake.input.theta)
    notes, significant = {}, 0
    for contrast in contrasts:
        posterior = shrink_posterior(files, contrast, settings.mash, notes)
        likelihood = shrink_likelihood(files, contrast, settings, notes)
        keep_for_calls(files, contrast, likelihood, posterior, theta, settings)
        significant += sum(found.mixture["n_significant"] for found in likelihood.values())
    log.info("in: %d contrasts; out: %d tables each", len(contrasts), len(posterior) + len(LEVELS))
    log.info("likelihood-only tables: %d rows with an lfsr below 0.05 on some day", significant)
    for note, places in notes.items():
        log.info("%s (%s)", note, places[0] if len(places) == 1 else f"{len(places)} tables")


def shrink_posterior(files, contrast, mash, notes):
    """Posterior tables, by level and mode; R's stay R's."""
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


def shrink_likelihood(files, contrast, settings, notes):
    """Likelihood-only tables, by level."""
    errors = read_arrays(files.path(contrast, "mash_error_covariance.npz"))
    found = {}
    for level in LEVELS:
        name = f"{level}_daywise_likelihood.csv"
        where = str(files.path(contrast, name))
        estimand = settings.calls.estimand if level == "gene" else "library"  # guides have their own effects
        table = files.read(contrast, name)
        found[level] = fit_mash_likelihood(table, errors, settings.mash, where, estimand)
        write(files, contrast, f"mash_likelihood_{level}", found[level], notes)
    return found


def keep_for_calls(files, contrast, likelihood, posterior, theta, settings):
    """What every source says, while the mixtures are at hand."""
    genes, calls = files.read(contrast, "gene_daywise_for_mash.csv"), settings.calls
    ours = settings.mash.engine == "python"
    of_mode = posterior["gene", settings.mash.modes[0]] if ours else None
    eps = calls.effect_size_eps
    found = gene_sources(genes, likelihood["gene"], of_mode, theta, contrast, calls.estimand, eps)
    of_genes = genes_file(genes["gene"].to_numpy(), found, marks_of(genes))
    of_genes.save(files.path(contrast, "shrunk_gene.npz"))
    guides_file(likelihood["guide"], eps).save(files.path(contrast, "shrunk_guide.npz"))


def write(files, contrast, stem, found, notes):
    files.write(found.table, contrast, f"{stem}.csv")
    files.write(found.mixture, contrast, f"{stem}.json")
    for note in found.mixture["notes"]:
        notes.setdefault(note, []).append(f"{contrast}, {stem}")


run_stage("fit_mash", main, snakemake, MashError)  # noqa: F821

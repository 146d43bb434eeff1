"""Rule rank_hits: which gene is active on which day, ranked, and all effects in one table."""

import functools
import logging
from pathlib import Path

import checkout  # noqa: F401
import numpy as np
from fatewalk.core.daywise import Daywise, active_matrix

from fatewalk import mash
from fatewalk.calls import (
    ContrastEffects,
    aggregate_guides,
    compare_modes,
    effects_table,
    hits_table,
    rank_hits,
    read_sources,
)
from fatewalk.calls.shrink import mixture_data, read_mixture
from fatewalk.core.files import read_json
from fatewalk.core.tables import read_arrays, read_table, write_table
from fatewalk.workflow.layout import CONTRACT, names
from fatewalk.workflow.manifest import enter
from fatewalk.workflow.run_files import RunFiles
from fatewalk.workflow.stage import run_folder, run_stage, sections

log = logging.getLogger("fatewalk")


def main(snakemake):
    settings, out, contrasts = sections(snakemake), snakemake.output, snakemake.params.contrasts
    files = RunFiles(run_folder(snakemake), contrasts, settings.model.contrast_fate)
    days = [day["label"] for day in read_json(snakemake.input.report)["days"]]
    ranked, concordance, genes, guides = {}, {}, {}, {}
    theta = read_arrays(snakemake.input.theta)
    for contrast in contrasts:
        errors = read_arrays(files.path(contrast, "mash_error_covariance.npz"))
        read = functools.cache(functools.partial(files.read, contrast))  # several steps read the same table
        compare(files, contrast, read, settings)
        ranked[contrast] = rank(files, contrast, read, settings, theta, errors)
        files.write(ranked[contrast], contrast, "hits_ranked.csv")
        concordance[contrast] = read("guide_concordance.csv")
        genes[contrast] = effects_of_genes(read, ranked[contrast])
        mixture = files.read_json(contrast, "mash_likelihood_guide.json")
        guides[contrast] = effects_of_guides(read, mixture, errors, settings.calls.effect_size_eps)
    change = read_table(snakemake.input.change, ["gene", "fate"], text=["gene", "fate"])
    hits = hits_table(ranked, concordance, change, days, settings.model.ref_fate)
    write_table(hits, out.hits)
    write_table(effects_table(genes, guides, days), out.effects)
    enter(files.folder, "rank_hits", [Path(path) for path in out])
    enter(files.folder, "run_mashr", publish_mashr(files, settings.mash))
    enter(files.folder, "plot_contrast", [])  # figures of earlier calls, which only all_figures makes anew
    counts = ", ".join(f"{n} on {fate}" for fate, n in hits["contrast"].value_counts(sort=False).items())
    source = settings.calls.source
    log.info("in: %d genes, %d contrasts; calls by %s", len(theta["genes"]), len(contrasts), source)
    log.info("out: %d hits%s", len(hits), f" ({counts})" if counts else "")


def publish_mashr(files, config):
    """Files that R made, the primary contrast's at the top as well."""
    if config.engine == "mashr":
        tables = names(CONTRACT["fit_mash"], config.modes)
        for name in tables:
            files.publish(files.primary, name)
        tables += names(["mash_{level}_{mode}.json"], config.modes)
        top = [files.folder / name for name in tables]
    else:
        stem = "engine=mashr/mash_gene_conservative"
        tables, top = [f"{stem}.{suffix}" for suffix in ("csv", "json") if config.compare_engines], []
    return top + [files.path(contrast, name) for contrast in files.contrasts for name in tables]


def compare(files, contrast, read, settings):
    """Guides of a gene combined, modes and engines side by side."""
    modes, gene = settings.mash.modes, read("gene_daywise_for_mash.csv")
    for mode in modes:
        combined = aggregate_guides(read(f"mash_guide_{mode}.csv"), gene, "posterior")
        files.write(combined, contrast, f"gene_from_guide_mash_{mode}.csv")
    combined = aggregate_guides(read("mash_likelihood_guide.csv"), gene, "likelihood")
    files.write(combined, contrast, "gene_from_guide_likelihood.csv")
    other = "mashr" if settings.mash.engine == "python" else "python"
    second = {}
    if settings.mash.compare_engines:
        second["conservative"] = read(f"engine={other}/mash_gene_conservative.csv")
    tables = {mode: read(f"mash_gene_{mode}.csv") for mode in modes}
    comparison = compare_modes(tables, settings.calls.lfsr_day, second, other)
    files.write(comparison, contrast, "mash_mode_comparison.csv")


def rank(files, contrast, read, settings, theta, errors):
    """Genes of a contrast by rank."""
    genes = read("gene_daywise_for_mash.csv")
    posterior, likelihood = f"mash_gene_{settings.mash.default_mode}", "mash_likelihood_gene"
    sources = read_sources(
        genes,
        (read(f"{posterior}.csv"), files.read_json(contrast, f"{posterior}.json")),
        (read(f"{likelihood}.csv"), files.read_json(contrast, f"{likelihood}.json"), errors),
        theta,
        contrast,
        settings.calls,
    )
    return rank_hits(genes, sources, settings.calls)


def effects_of_genes(read, ranked):
    estimates = daywise_tables(read, "gene")
    names = estimates[0]["gene"]
    by_source = Daywise.of(ranked, "hits_ranked table", ["lfsr", "plarge"], ["gene"])
    by_source = by_source.rows_of("gene", names, "hits_ranked table")
    called = active_matrix(ranked.set_index("gene").loc[names], by_source.n_days)
    return ContrastEffects(*estimates, by_source["lfsr"], by_source["plarge"], called)


def effects_of_guides(read, mixture, errors, eps):
    estimates = daywise_tables(read, "guide")
    lfsr = estimates[-1]["lfsr"]
    data = mixture_data(read("mash_likelihood_guide.csv"), mixture, errors, "mash_likelihood table")
    plarge = np.where(np.isnan(lfsr), np.nan, mash.prob_large(read_mixture(mixture), data, eps))
    return ContrastEffects(*estimates, lfsr, plarge, np.zeros(lfsr.shape, dtype=bool))


def daywise_tables(read, level):
    """Likelihood-only estimates, posterior, and mash on the likelihood-only ones, of genes or guides."""
    names, before = list(dict.fromkeys([level, "gene"])), ["betahat", "se", "n_cells"]
    tables = {
        f"{level}_daywise_likelihood.csv": before,
        f"{level}_daywise_for_mash.csv": before,
        f"mash_likelihood_{level}.csv": ["postmean", "postsd", "lfsr"],
    }
    return [Daywise.of(read(table), table, by_day, names) for table, by_day in tables.items()]


run_stage("rank_hits", main, snakemake, mash.MashError, manifest=False)  # noqa: F821

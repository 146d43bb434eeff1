"""Rule rank_hits: which gene is active on which day, ranked, and all effects in one table."""

import functools
import logging
from pathlib import Path

import checkout  # noqa: F401
import numpy as np

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
from fatewalk.core.tables import active_matrix, count_days, day_matrix, read_table, write_table
from fatewalk.run.layout import CONTRACT, names
from fatewalk.run.manifest import enter
from fatewalk.workflow.stage import run_of, run_stage

log = logging.getLogger("fatewalk")


def main(snakemake):
    files, out = run_of(snakemake), snakemake.output
    settings, contrasts = files.settings, files.contrasts
    days = [day["label"] for day in read_json(snakemake.input.report)["days"]]
    ranked, concordance, genes, guides = {}, {}, {}, {}
    with np.load(snakemake.input.theta) as arrays:
        theta = dict(arrays)
    for contrast in contrasts:
        with np.load(files.path(contrast, "mash_error_covariance.npz")) as arrays:
            errors = dict(arrays)
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
    likelihood = read("gene_daywise_likelihood.csv")
    ranked = ranked.set_index("gene").loc[likelihood["gene"]]
    n_days = count_days(likelihood, "likelihood table")
    return ContrastEffects(
        likelihood,
        read("gene_daywise_for_mash.csv"),
        read("mash_likelihood_gene.csv"),
        *(day_matrix(ranked, stem, n_days) for stem in ("lfsr", "plarge")),
        active_matrix(ranked, n_days),
    )


def effects_of_guides(read, mixture, errors, eps):
    likelihood = read("guide_daywise_likelihood.csv")
    n_days = count_days(likelihood, "likelihood table")
    table = read("mash_likelihood_guide.csv")
    lfsr = day_matrix(table, "lfsr", n_days)
    data = mixture_data(table, mixture, errors, "mash_likelihood table")
    plarge = np.where(np.isnan(lfsr), np.nan, mash.prob_large(read_mixture(mixture), data, eps))
    posterior = read("guide_daywise_for_mash.csv")
    return ContrastEffects(likelihood, posterior, table, lfsr, plarge, np.zeros(lfsr.shape, dtype=bool))


run_stage("rank_hits", main, snakemake, mash.MashError, manifest=False)  # noqa: F821

"""Rule rank_hits: which gene is active on which day, ranked, and all effects in one table."""

import functools
import logging
from pathlib import Path

import checkout  # noqa: F401
import numpy as np

from fatewalk.calls import (
    SOURCES,
    ContrastEffects,
    aggregate_guides,
    compare_modes,
    effects_table,
    hits_table,
    mashr_effects,
    rank_hits,
    read_sources,
)
from fatewalk.core.daywise import Daywise, active_matrix
from fatewalk.core.files import read_json
from fatewalk.core.schema import LEVELS
from fatewalk.core.tables import read_table, write_table
from fatewalk.mash import MashError
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
    for contrast in contrasts:
        read = functools.cache(functools.partial(files.read, contrast))  # several steps read the same table
        compare(files, contrast, read, settings)
        shrunk, of_guides = (Daywise.load(files.path(contrast, f"shrunk_{level}.npz")) for level in LEVELS)
        sources = gather(files, contrast, read, shrunk, settings)
        ranked[contrast] = rank_hits(read("gene_daywise_for_mash.csv"), sources, settings.calls)
        files.write(ranked[contrast], contrast, "hits_ranked.csv")
        concordance[contrast] = read("guide_concordance.csv")
        genes[contrast] = effects_of_genes(read, shrunk, sources[settings.calls.source], ranked[contrast])
        guides[contrast] = effects_of_guides(read, of_guides)
    change = read_table(snakemake.input.change, ["gene", "fate"], text=["gene", "fate"])
    hits = hits_table(ranked, concordance, change, days, settings.model.ref_fate)
    write_table(hits, out.hits)
    write_table(effects_table(genes, guides, days), out.effects)
    enter(files.folder, "rank_hits", [Path(path) for path in out])
    enter(files.folder, "run_mashr", publish_mashr(files, settings.mash))
    enter(files.folder, "plot_contrast", [])  # figures of earlier calls, which only all_figures makes anew
    counts = ", ".join(f"{n} on {fate}" for fate, n in hits["contrast"].value_counts(sort=False).items())
    source = settings.calls.source
    log.info("in: %d genes, %d contrasts; calls by %s", len(ranked[files.primary]), len(contrasts), source)
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


def gather(files, contrast, read, shrunk, settings):
    """What every source says of the genes, as fit_mash kept it; R's mixture is in R's files."""
    genes, calls = read("gene_daywise_for_mash.csv"), settings.calls
    found = read_sources(shrunk, genes)
    if settings.mash.engine == "mashr" and calls.estimand == "library":
        stem = f"mash_gene_{settings.mash.modes[0]}"
        mixture = files.read_json(contrast, f"{stem}.json")
        found["mash_posterior"] = mashr_effects(genes, read(f"{stem}.csv"), mixture, calls.effect_size_eps)
    return {source: found[source] for source in SOURCES if source in found}


def effects_of_genes(read, shrunk, by_source, ranked):
    likelihood, posterior = before_mash(read, "gene")
    called = active_matrix(ranked.set_index("gene").loc[likelihood["gene"]], likelihood.n_days)
    return ContrastEffects(likelihood, posterior, shrunk, by_source.lfsr, by_source.prob_large, called)


def effects_of_guides(read, shrunk):
    likelihood, posterior = before_mash(read, "guide")
    lfsr, plarge = shrunk["lfsr_mash_likelihood"], shrunk["plarge_mash_likelihood"]
    return ContrastEffects(likelihood, posterior, shrunk, lfsr, plarge, np.zeros(lfsr.shape, dtype=bool))


def before_mash(read, level):
    """Likelihood-only and posterior estimates of genes or guides."""
    by_day, names = ["betahat", "se", "n_cells"], list(dict.fromkeys([level, "gene"]))
    tables = (f"{level}_daywise_likelihood.csv", f"{level}_daywise_for_mash.csv")
    return (Daywise.of(read(table), table, by_day, names) for table in tables)


run_stage("rank_hits", main, snakemake, MashError, manifest=False)  # noqa: F821

"""Stage ``rank_hits``: which gene is active on which day, ranked, and all effects in one table."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

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
from fatewalk.core.tables import active_matrix, count_days, day_matrix, write_table
from fatewalk.run.files import Run
from fatewalk.run.layout import by_contrast, contract
from fatewalk.run.manifest import enter

log = logging.getLogger(__name__)


Reader = Callable[[str], pd.DataFrame]


def main(files: Run) -> None:
    """Write calls and hits of a run, and all its effects.

    Parameters
    ----------
    files
        The run, with tables of effects and of mash; reads sections ``calls`` and ``mash``,
        ``model.ref_fate`` and ``model.contrast_fate``.

    Raises
    ------
    MashError
        If a mixture does not fit its table.
    """
    settings, contrasts, days = files.settings, files.contrasts, files.days
    ranked, concordance, genes, guides = {}, {}, {}, {}
    theta = files.arrays("theta_posterior_summary.npz")
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
    change = files.table("fate_probability_change.csv")
    hits = hits_table(ranked, concordance, change, days, files.reference)
    write_table(hits, files.folder / "hits.csv")
    write_table(effects_table(genes, guides, days), files.folder / "effects.parquet")
    enter(files.folder, "rank_hits", files.made_by("rank_hits"))
    enter(files.folder, "run_mashr", publish_mashr(files, settings.mash))
    enter(files.folder, "plot_contrast", [])  # figures of earlier calls, which only all_figures makes anew
    counts = ", ".join(f"{n} on {fate}" for fate, n in hits["contrast"].value_counts(sort=False).items())
    source = settings.calls.source
    log.info("in: %d genes, %d contrasts; calls by %s", len(theta["genes"]), len(contrasts), source)
    log.info("out: %d hits%s", len(hits), f" ({counts})" if counts else "")


def publish_mashr(files: Run, config: Any) -> list[Path]:
    """Files that R made, the primary contrast's at the top as well."""
    if config.engine == "mashr":
        published = contract("fit_mash", config.modes, by_engine=True)
        for name in published:
            files.publish(files.primary, name)
        tables = by_contrast("fit_mash", config.modes, by_engine=True)
        top = [files.folder / name for name in published]
    else:
        stem = "engine=mashr/mash_gene_conservative"
        tables, top = [f"{stem}.{suffix}" for suffix in ("csv", "json") if config.compare_engines], []
    return top + [files.path(contrast, name) for contrast in files.contrasts for name in tables]


def compare(files: Run, contrast: str, read: Reader, settings: Any) -> None:
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


def rank(
    files: Run,
    contrast: str,
    read: Reader,
    settings: Any,
    theta: Mapping[str, np.ndarray],
    errors: Mapping[str, np.ndarray],
) -> pd.DataFrame:
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


def effects_of_genes(read: Reader, ranked: pd.DataFrame) -> ContrastEffects:
    """All that is known of the genes of a contrast."""
    likelihood = read("gene_daywise_likelihood.csv")
    ranked = ranked.set_index("gene").loc[likelihood["gene"]]
    n_days = count_days(likelihood, "likelihood table")
    return ContrastEffects(
        likelihood,
        read("gene_daywise_for_mash.csv"),
        read("mash_likelihood_gene.csv"),
        day_matrix(ranked, "lfsr", n_days),
        day_matrix(ranked, "plarge", n_days),
        active_matrix(ranked, n_days),
    )


def effects_of_guides(
    read: Reader, mixture: Mapping[str, Any], errors: Mapping[str, np.ndarray], eps: float
) -> ContrastEffects:
    """All that is known of the guides of a contrast."""
    likelihood = read("guide_daywise_likelihood.csv")
    n_days = count_days(likelihood, "likelihood table")
    table = read("mash_likelihood_guide.csv")
    lfsr = day_matrix(table, "lfsr", n_days)
    data = mixture_data(table, mixture, errors, "mash_likelihood table")
    plarge = np.where(np.isnan(lfsr), np.nan, mash.prob_large(read_mixture(mixture), data, eps))
    posterior = read("guide_daywise_for_mash.csv")
    return ContrastEffects(likelihood, posterior, table, lfsr, plarge, np.zeros(lfsr.shape, dtype=bool))

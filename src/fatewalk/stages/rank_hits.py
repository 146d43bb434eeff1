"""Stage ``rank_hits``: which gene is active on which day, ranked, and all effects in one table."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fatewalk.calls import (
    SOURCES,
    ContrastEffects,
    FateCalls,
    FateEffects,
    Shrunk,
    aggregate_guides,
    compare_modes,
    effects_table,
    fate_effects_table,
    fate_hits_table,
    hits_table,
    mashr_effects,
    rank_hits,
    read_sources,
)
from fatewalk.calls.annotated import write_annotated
from fatewalk.calls.support import (
    Controls,
    Parts,
    joined,
    marks_of_controls,
    marks_of_defects,
    marks_of_direction,
    marks_of_parts,
    marks_of_replicates,
    marks_of_survival,
    support_table,
    with_marks,
)
from fatewalk.core.daywise import Daywise, active_matrix
from fatewalk.core.schema import LEVELS
from fatewalk.core.tables import read_own_table, write_table
from fatewalk.estimates.arrays import GuideParts
from fatewalk.run.layout import by_contrast, contract, engine_folder
from fatewalk.run.manifest import enter, fit_of_run, need_sealed

if TYPE_CHECKING:
    from pathlib import Path

    from fatewalk.run.files import Run

log = logging.getLogger(__name__)


Reader = Callable[[str], pd.DataFrame]

OF_SURVIVAL = ("level", "gene", "day", "depleted")  # of survival.csv; a day's label may look like a number


def main(run: Run, summary: Path) -> None:
    """Write calls and hits of a run, what hits rest on, and all effects.

    Parameters
    ----------
    run
        The run, with tables of effects and of mash; reads sections ``calls`` and ``mash``,
        ``model.ref_fate`` and ``model.contrast_fate``.
    summary
        Folder of what was read off the fit.

    Raises
    ------
    FatewalkError
        If files of mash belong to other genes.
    MashError
        If R's mixture does not fit its table.
    """
    settings, contrasts = run.settings, run.contrasts
    ranked, concordance, genes, guides = {}, {}, {}, {}
    for contrast in contrasts:
        read = functools.cache(functools.partial(run.read, contrast))  # several steps read the same table
        compare(run, contrast, read, settings)
        shrunk, of_guides = (
            Daywise.load(run.checked(run.path(contrast, f"shrunk_{level}.npz"))) for level in LEVELS
        )
        sources = gather(run, contrast, read, shrunk, settings)
        ranked[contrast] = rank_hits(read("gene_daywise_for_mash.csv"), sources, run.calls)
        run.write(ranked[contrast], contrast, "hits_ranked.csv")
        concordance[contrast] = read("guide_concordance.csv")
        genes[contrast] = effects_of_genes(read, shrunk, sources[settings.calls.source], ranked[contrast])
        guides[contrast] = effects_of_guides(read, of_guides)
    of_genes = FateEffects.load(run.checked(run.folder / "shrunk_fates_gene.npz"))
    hits, of_fates = by_fate(run, of_genes)
    if settings.calls.scale == "contrast":
        hits = hits_table(ranked, concordance, of_genes, run.days, run.reference, run.day_cells)
    support, marks = rests_on(run, summary, hits, of_genes)
    found, withheld = with_marks(hits, support, marks), is_withheld(run)
    hits = found.head(0) if withheld else found
    write_table(hits, run.folder / "hits.csv")
    write_table(found if withheld else found.head(0), run.folder / "hits_withheld.csv")
    write_table(support.assign(marks=["; ".join(one) for one in marks]), run.folder / "hit_support.csv")
    effects = pd.concat([of_fates, effects_table(genes, guides, run.days)], ignore_index=True)
    effects = with_p_values(effects, run.table("gene_p_values.csv"))
    write_table(effects, run.folder / "effects.parquet")
    annotate(run, effects, hits)
    enter(run.folder, "rank_hits", run.made_by("rank_hits"))
    enter(run.folder, "run_mashr", publish_mashr(run, settings.mash))
    enter(run.folder, "plot_contrast", [])  # figures of earlier calls, which only all_figures makes anew
    scale = settings.calls.scale
    counts = ", ".join(f"{n} on {fate}" for fate, n in found[scale].value_counts(sort=False).items())
    log.info(
        "in: %d genes, %d contrasts; calls by %s on %ss",
        len(ranked[run.primary]), len(contrasts), settings.calls.source, scale,
    )  # fmt: skip
    log.info("out: %d hits%s", len(found), f" ({counts})" if counts else "")
    log.info("%d of them carry a mark (column marks of hits.csv)", sum(map(bool, marks)))
    if withheld:
        log.warning("the certificate failed, so the hits are withheld: they stand in hits_withheld.csv")


def is_withheld(run: Run) -> bool:
    """Whether hits are kept out of hits.csv, as the certificate failed and the config asks for it."""
    verdict = run.json("certificate.json")["verdict"]
    return bool(run.settings.calls.require == "certified" and verdict == "fail")


def with_p_values(effects: pd.DataFrame, p_values: pd.DataFrame) -> pd.DataFrame:
    """Effects with the randomisation p-value of each gene on each fate."""
    of_genes = (effects["level"] == "gene") & (effects["scale"] == "fate")
    key = pd.MultiIndex.from_frame(effects.loc[of_genes, ["gene", "fate"]])
    found = p_values.set_index(["gene", "fate"])["p_value"].reindex(key)
    column = pd.Series(np.nan, index=effects.index)
    column[of_genes] = found.to_numpy(dtype=float)
    effects.insert(list(effects.columns).index("called"), "p_value", column)
    return effects


def annotate(run: Run, effects: pd.DataFrame, hits: pd.DataFrame) -> None:
    """The effects on fates as annotated matrices."""
    calls = run.settings.calls
    about = {"reference": run.reference, "effect_size_eps": calls.effect_size_eps, "calls_scale": calls.scale}
    shared = effects, run.days, run.times, about
    write_annotated(run.folder / "results.h5ad", "gene", *shared, hits=hits)
    write_annotated(run.folder / "results_guides.h5ad", "guide", *shared)


def rests_on(
    run: Run, summary: Path, hits: pd.DataFrame, genes: FateEffects
) -> tuple[pd.DataFrame, list[list[str]]]:
    """What each hit rests on, and its marks."""
    parts = GuideParts.load(summary / "guide_parts.npz")
    need_sealed(summary, fit_of_run(run.folder), ["guide_parts.npz"])
    controls = Controls.of(run.json("fit_card.json"), parts, genes.composition)
    support = support_table(hits, genes, Parts.of(parts, run.arrays("evidence.npz")), controls)
    survival = read_own_table(run.checked(run.folder / "survival.csv"), OF_SURVIVAL, text=OF_SURVIVAL)
    defects = run.json("fit_card.json")["defects"]["genes"]
    return support, joined(
        marks_of_parts(support),
        marks_of_replicates(support),
        marks_of_controls(support),
        marks_of_defects(support, defects),
        marks_of_direction(hits),
        marks_of_survival(support, survival),
    )


def by_fate(run: Run, genes: FateEffects) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Hits by fate, and the effects of genes and guides on each fate."""
    guides = FateEffects.load(run.checked(run.folder / "shrunk_fates_guide.npz"))
    calls = FateCalls.of(genes, run.settings.calls)
    of_genes, of_guides = (run.read(run.primary, f"{level}_daywise_for_mash.csv") for level in LEVELS)
    hits = fate_hits_table(genes, guides, of_genes, of_guides, calls, run.day_cells)
    theta = run.arrays("theta_posterior_summary.npz")
    effects = [
        fate_effects_table("gene", genes, of_genes, run.day_cells, calls.active, theta),
        fate_effects_table("guide", guides, of_guides, run.day_cells),
    ]
    return hits, pd.concat(effects, ignore_index=True)


def publish_mashr(run: Run, config: Any) -> list[Path]:
    """Files that R made, the primary contrast's at the top as well."""
    if config.engine == "mashr":
        published = contract("fit_mash", config.modes, by_engine=True)
        for name in published:
            run.publish(run.primary, name)
        tables = by_contrast("fit_mash", config.modes, by_engine=True)
        top = [run.folder / name for name in published]
    else:
        stem = f"{engine_folder('mashr')}/mash_gene_conservative"
        tables, top = [f"{stem}.{suffix}" for suffix in ("csv", "json") if config.compare_engines], []
    return top + [run.path(contrast, name) for contrast in run.contrasts for name in tables]


def compare(run: Run, contrast: str, read: Reader, settings: Any) -> None:
    """Guides of a gene combined, modes and engines side by side."""
    modes, gene = settings.mash.modes, read("gene_daywise_for_mash.csv")
    for mode in modes:
        combined = aggregate_guides(read(f"mash_guide_{mode}.csv"), gene, "posterior")
        run.write(combined, contrast, f"gene_from_guide_mash_{mode}.csv")
    combined = aggregate_guides(read("mash_likelihood_guide.csv"), gene, "likelihood")
    run.write(combined, contrast, "gene_from_guide_likelihood.csv")
    other = "mashr" if settings.mash.engine == "python" else "python"
    second = {}
    if settings.mash.compare_engines:
        second["conservative"] = read(f"{engine_folder(other)}/mash_gene_conservative.csv")
    tables = {mode: read(f"mash_gene_{mode}.csv") for mode in modes}
    comparison = compare_modes(tables, settings.calls.lfsr_day, second, other)
    run.write(comparison, contrast, "mash_mode_comparison.csv")


def gather(run: Run, contrast: str, read: Reader, shrunk: Daywise, settings: Any) -> dict[str, Shrunk]:
    """What every source says of the genes, as fit_mash kept it; R's mixture is in R's files."""
    genes, calls = read("gene_daywise_for_mash.csv"), settings.calls
    found = read_sources(shrunk, genes)
    if settings.mash.engine == "mashr" and run.estimand.name != "gene":
        stem = f"mash_gene_{settings.mash.modes[0]}"
        mixture = run.read_json(contrast, f"{stem}.json")
        found["mash_posterior"] = mashr_effects(genes, read(f"{stem}.csv"), mixture, calls.effect_size_eps)
    return {source: found[source] for source in SOURCES if source in found}


def effects_of_genes(
    read: Reader, shrunk: Daywise, by_source: Shrunk, ranked: pd.DataFrame
) -> ContrastEffects:
    """All that is known of the genes of a contrast."""
    likelihood, posterior = before_mash(read, "gene")
    called = active_matrix(ranked.set_index("gene").loc[likelihood["gene"]], likelihood.n_days)
    return ContrastEffects(likelihood, posterior, shrunk, by_source.lfsr, by_source.prob_large, called)


def effects_of_guides(read: Reader, shrunk: Daywise) -> ContrastEffects:
    """All that is known of the guides of a contrast."""
    likelihood, posterior = before_mash(read, "guide")
    lfsr, plarge = shrunk["lfsr_mash_fates"], shrunk["plarge_mash_fates"]
    return ContrastEffects(likelihood, posterior, shrunk, lfsr, plarge, np.zeros(lfsr.shape, dtype=bool))


def before_mash(read: Reader, level: str) -> tuple[Daywise, Daywise]:
    """Likelihood-only and posterior estimates of genes or guides."""
    by_day, names = ["betahat", "se", "n_cells"], list(dict.fromkeys([level, "gene"]))
    likelihood, posterior = f"{level}_daywise_likelihood.csv", f"{level}_daywise_for_mash.csv"
    return (
        Daywise.of(read(likelihood), likelihood, by_day, names),
        Daywise.of(read(posterior), posterior, by_day, names),
    )

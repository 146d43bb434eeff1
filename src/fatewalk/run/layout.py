"""Where the files of a run lie: at its top, in the folder of a contrast, among its figures.

The rules declare these files as outputs, and the scripts write them.
"""

from __future__ import annotations

from collections.abc import Sequence

from fatewalk.core.schema import LEVELS

#: Tables that stand in every contrast's folder, and of the primary contrast at the run's top as well,
#: under the names that other people's scripts read. {level} and {mode} are filled in.
CONTRACT = {
    "check_delta": ("qc_delta_mean_by_gene.csv", "qc_theta_beta_offset_by_gene.csv"),
    "export_effects": ("gene_daywise_for_mash.csv", "guide_daywise_for_mash.csv"),
    "fit_mash": ("mash_{level}_{mode}.csv",),
    "rank_hits": ("hits_ranked.csv", "mash_mode_comparison.csv", "gene_from_guide_mash_{mode}.csv"),
    "evaluate_recovery": ("daywise_confusion.csv", "pred_call_summary.json"),
}

#: Files that stand in every contrast's folder alone.
BY_CONTRAST = {
    "export_effects": (
        "guide_concordance.csv",
        "gene_daywise_likelihood.csv",
        "guide_daywise_likelihood.csv",
        "mash_error_covariance.npz",
    ),
    "fit_mash": ("mash_{level}_{mode}.json",),
    "mash_likelihood": ("mash_likelihood_{level}.csv", "mash_likelihood_{level}.json"),
    "rank_hits": ("gene_from_guide_likelihood.csv",),
    "evaluate_recovery": ("recovery_by_day.csv",),
}

#: Figures of one contrast; recovery where the truth is known.
FIGURES = ("heatmap", "trajectories", "volcano", "delta")


def names(patterns: Sequence[str], modes: Sequence[str] = ()) -> list[str]:
    """Names of files for every level and mode that a pattern has a place for."""
    found: dict[str, None] = {}
    for pattern in patterns:
        for level in LEVELS:
            for mode in modes if "{mode}" in pattern else ("",):
                found[pattern.format(level=level, mode=mode)] = None
    return list(found)


def contrast_folder(contrast: str) -> str:
    """Folder of a contrast below the run's."""
    return f"contrast={contrast}"


def in_contract(name: str) -> bool:
    """Tell whether a table stands at the run's top as well."""
    patterns = [pattern for patterns in CONTRACT.values() for pattern in patterns]
    return name in names(patterns, modes=("conservative", "enriched"))

"""The stages of the chain in their order, each with the version of its results.

An edit of the library triggers no rerun: Snakemake sees the files of a rule, not the modules behind
them. A higher number here does. Raise the number of a stage whenever its results change; it is a
parameter of the stage's rule, stands in the manifest of a run and, for the fit, in the name of its
checkpoint.
"""

from __future__ import annotations

STAGE_VERSION = {
    "simulate_screen": 3,
    "import_screen": 2,
    "build_design": 9,
    "publish_design": 1,
    "fit_effects": 12,
    "summarise_posterior": 15,
    "check_delta": 3,
    "export_effects": 6,
    "fit_mash": 15,
    "run_mashr": 1,
    "certify": 3,
    "rank_hits": 17,
    "evaluate_recovery": 5,
    "plot_figures": 6,
    "plot_contrast": 2,
    "write_report": 4,
    "write_index": 1,
    "tabulate_ablation": 3,
    "tabulate_sweep": 1,
    "compare_labels": 1,
    "refit_draws": 1,
    "tabulate_bootstrap": 1,
}

STAGES = tuple(STAGE_VERSION)

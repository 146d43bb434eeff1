# Configuration, paths, wildcards and targets shared by all rules.
import os
import re

from fatewalk.config import SimulatedDataset, load_config
from fatewalk.errors import FatewalkError

try:
    CONFIG = load_config(config)
except FatewalkError as error:
    raise WorkflowError(str(error)) from None

RESULTS = CONFIG.results_dir
INPUT = f"{RESULTS}/{{dataset}}/input"
RUN = f"{RESULTS}/{{dataset}}/{{run}}"
CONTRAST = f"{RUN}/contrast={{contrast}}"
ENVIRONMENT = "../../envs/environment.yaml"
os.environ.update(
    FATEWALK_CHECKOUT=workflow.basedir
)  # for envs/environment.post-deploy.sh

# An edit of the installed library triggers no rerun; a higher number here does. Raise the number
# of a stage whenever its results change.
STAGE_VERSION = {
    "simulate_screen": 2,
    "import_screen": 2,
    "build_design": 2,
    "fit_effects": 2,
    "summarise_posterior": 3,
    "likelihood_estimates": 1,
    "check_delta": 1,
    "export_effects": 3,
    "average_fate_change": 1,
    "export_tables": 2,
    "export_likelihood": 2,
    "fit_mash": 4,
    "fit_mash_likelihood": 3,
    "run_mashr": 1,
    "aggregate_guides": 2,
    "compare_modes": 2,
    "rank_hits": 3,
    "evaluate_recovery": 2,
    "tabulate_ablation": 1,
    "plots": 1,
}

SIMULATED = [
    name for name, d in CONFIG.datasets.items() if isinstance(d, SimulatedDataset)
]
IMPORTED = [name for name in CONFIG.datasets if name not in SIMULATED]
RUNS = [(dataset, run) for dataset, runs in CONFIG.runs.items() for run in runs]
DATASETS = [name for name in CONFIG.datasets if name not in CONFIG.ablation_datasets]
LEVELS = ["gene", "guide"]


def one_of(names):
    """Regular expression of the given names; matches nothing where there are none."""
    return "|".join(re.escape(name) for name in dict.fromkeys(names)) or "(?!)"


def where(condition, *folders):
    """Constraint of {dataset}: those that are followed by a run whose settings meet a condition.

    A dataset may also be followed by one of the given folders.
    """
    runs = [(d, r) for d, r in RUNS if condition(CONFIG.settings(d, r))]
    runs += [(dataset, folder) for dataset in CONFIG.datasets for folder in folders]
    return "|".join(f"{re.escape(d)}(?=/{re.escape(r)}/)" for d, r in runs) or "(?!)"


wildcard_constraints:
    dataset=where(lambda s: True, "input"),
    run=one_of(run for _, run in RUNS),
    contrast=one_of(c for d, r in RUNS for c in CONFIG.settings(d, r).model.contrasts),
    level=one_of(LEVELS),
    mode="conservative|enriched",


def settings(wildcards):
    """Settings of the job's dataset and run."""
    return CONFIG.settings(wildcards.dataset, wildcards.run)


def keys(section, *names):
    """Params function: the named keys of a section, or all, as plain containers."""

    def read(wildcards):
        values = getattr(settings(wildcards), section).model_dump(mode="json")
        return {name: values[name] for name in names} if names else values

    return read


def memory(base_mb, per_input_mb=0):
    """Resource function: MB that grow with the size of the input and with every retry."""

    def mem_mb(wildcards, input, attempt):
        return int((base_mb + per_input_mb * input.size_mb) * attempt)

    return mem_mb


def minutes(base):
    """Resource function: a runtime that grows with every retry."""

    def runtime(wildcards, attempt):
        return base * attempt

    return runtime


# ---------------------------------------------------------------- targets


def run_files(targets):
    """Files that a function of (dataset, run, settings) names, for all runs of the config."""
    return [
        f"{RESULTS}/{dataset}/{run}/{name}"
        for dataset, run in RUNS
        if dataset in DATASETS
        for name in targets(dataset, run, CONFIG.settings(dataset, run))
    ]


def in_contrasts(s, names):
    """The named files of each contrast, and of the primary contrast also at the run's top."""
    return [f"contrast={c}/{name}" for c in s.model.contrasts for name in names] + names


def targets_effects(dataset, run, s):
    tables = [
        "gene_daywise_for_mash.csv",
        "guide_daywise_for_mash.csv",
        "guide_concordance.csv",
        "gene_daywise_likelihood.csv",
        "guide_daywise_likelihood.csv",
    ]
    errors = [f"contrast={c}/mash_error_covariance.npz" for c in s.model.contrasts]
    return [
        "theta_posterior_summary.npz",
        "delta_posterior_summary.npz",
        "pairwise_fate_effects.csv",
        "fate_probability_change.csv",
        "gene_power.csv",
        *errors,
    ] + in_contrasts(s, tables)


def mash_table(level, kind):
    """Name of the shrunken table: kind is a mode, of posterior estimates, or likelihood."""
    return (
        f"mash_likelihood_{level}.csv"
        if kind == "likelihood"
        else f"mash_{level}_{kind}.csv"
    )


def targets_mash(dataset, run, s):
    kinds = [*s.mash.modes, "likelihood"]
    return in_contrasts(
        s, [mash_table(level, kind) for level in LEVELS for kind in kinds]
    )


def targets_hits(dataset, run, s):
    guides = [f"gene_from_guide_mash_{mode}.csv" for mode in s.mash.modes]
    guides += ["gene_from_guide_likelihood.csv"]
    return in_contrasts(s, ["hits_ranked.csv", "mash_mode_comparison.csv", *guides])


def targets_report(dataset, run, s):
    figures = ["heatmap", "trajectories", "volcano", "delta"]
    return ["plots/convergence.png"] + [
        f"contrast={c}/plots/{figure}.png"
        for c in s.model.contrasts
        for figure in figures
    ]


def targets_recovery(dataset, run, s):
    if dataset not in SIMULATED:
        return []
    tables = ["daywise_confusion.csv", "pred_call_summary.json", "recovery_by_day.csv"]
    figures = [f"contrast={c}/plots/recovery.png" for c in s.model.contrasts]
    return in_contrasts(s, tables) + figures


# ------------------------------------------- input and params functions

# What the posterior depends on: contrast_fate, require, gpus and checkpoint_minutes steer other things.
MODEL_KEYS_OF_FIT = [
    "fates",
    "ref_fate",
    "center_delta",
    "burden_slope",
    "replicate_effect",
    "time_scale",
    "priors",
]

FIT_KEYS_OF_FIT = [
    "guide",
    "likelihood_weight",
    "dense_limit",
    "batch_size",
    "max_steps",
    "device",
    "seed",
    "debug",
]

CONSERVATIVE_KEYS = [
    "se_inflate",
    "se_floor",
    "null_correlation",
    "null_z",
    "eigen_floor",
    "corr_shrink",
    "null_weight",
]

LEARNED_KEYS = ["strong_lfsr", "min_strong", "n_pcs"]

FURTHER_KEYS = ["time_covariances", "min_rows_ed", *LEARNED_KEYS]

MASHR_KEYS = [*CONSERVATIVE_KEYS, *LEARNED_KEYS]

LIKELIHOOD_KEYS = ["se_inflate", "se_floor", "null_weight", *FURTHER_KEYS]


def keys_of_entry(wildcards):
    """Keys of an imported dataset entry, without the sections that it may carry."""
    return CONFIG.datasets[wildcards.dataset].own_keys()


def files_of_entry(wildcards):
    """Files that the dataset entry names."""
    entry = CONFIG.datasets[wildcards.dataset]
    names = ["anndata", "cells", "guide_calls", "protospacer_calls", "guide_map"]
    return {name: path for name in names if (path := getattr(entry, name, None))}


def gpus_of_fit(wildcards):
    """GPUs to ask the cluster for: 0 or 1, never None."""
    return int(settings(wildcards).fit.gpus)


def mashr_options(wildcards):
    """Command-line options of run_mashr.R."""
    return " ".join(
        f"--{key} {value}"
        for key, value in keys("mash", *MASHR_KEYS)(wildcards).items()
    )


def default_mode(wildcards):
    return settings(wildcards).mash.default_mode


def mash_tables(wildcards):
    """The gene table of every mode."""
    modes = settings(wildcards).mash.modes
    return [f"{CONTRAST}/mash_gene_{mode}.csv" for mode in modes]


def mash_keys(wildcards):
    """Keys of the built-in engine that the mode reads."""
    further = FURTHER_KEYS if wildcards.mode == "enriched" else []
    return keys("mash", *CONSERVATIVE_KEYS, *further)(wildcards)


def second_engine(wildcards):
    """The engine that mash.engine does not name."""
    return "mashr" if settings(wildcards).mash.engine == "python" else "python"


def second_tables(wildcards):
    """The gene table by the other engine, if engines are compared: in the mode that both share."""
    if not settings(wildcards).mash.compare_engines:
        return []
    return f"{CONTRAST}/engine={second_engine(wildcards)}/mash_gene_conservative.csv"


def estimand_of_level(wildcards):
    """Estimand of a shrunken likelihood-only table; guides have their own effects alone."""
    return (
        settings(wildcards).calls.estimand if wildcards.level == "gene" else "library"
    )


def ablation_files(wildcards):
    """Files of target all_ablation."""
    if not CONFIG.ablation_datasets:
        raise WorkflowError(
            "all_ablation: ablation.dataset names no simulated data set of this config; name one, or use config.yaml"
        )
    return [f"{RESULTS}/ablation/ablation.{suffix}" for suffix in ("csv", "png")]


def of_ablation(name):
    """The named table of every screen of the ablation, primary contrast, centred and uncentred."""
    return [
        f"{RESULTS}/{dataset}/{run}/{name}"
        for dataset in CONFIG.ablation_datasets
        for run in ("main", "uncentred")
    ]


def figure(name, category):
    """A figure of one contrast, flagged for the report."""
    return report(
        f"{CONTRAST}/plots/{name}.png",
        caption=f"../report/{name}.rst",
        category=category,
        subcategory="{dataset}, run {run}",
        labels={"contrast": "{contrast}", "figure": name},
    )

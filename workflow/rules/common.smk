# Configuration, paths, wildcards and targets shared by all rules.
import re
import sys
from pathlib import Path

# The library of this checkout, whatever is installed, and not that of another checkout used as a module.
SRC = str(Path(str(workflow.current_basedir)).parents[1] / "src")
if SRC not in sys.path[:1]:
    sys.path.insert(0, SRC)
    for name in [name for name in sys.modules if name.partition(".")[0] == "fatewalk"]:
        del sys.modules[name]

from snakemake.logging import logger as snakemake_logger
from snakemake.settings.types import Quietness

from fatewalk.config import SimulatedDataset, load_config
from fatewalk.errors import FatewalkError
from fatewalk.stages import STAGE_VERSION
from fatewalk.workflow import layout
from fatewalk.workflow.closing import Closing

try:
    CONFIG = load_config(config)
except FatewalkError as error:
    raise WorkflowError(str(error)) from None

RESULTS = CONFIG.results_dir
DATASET = f"{RESULTS}/{{dataset}}"
INPUT = f"{DATASET}/input"
DESIGN = f"{DATASET}/designs/{{design}}"
FIT = f"{DATASET}/fits/{{fit}}"
SUMMARY = f"{FIT}/draws={{draws}}"
RUN = f"{DATASET}/{{run}}"
CONTRAST = f"{RUN}/contrast={{contrast}}"
ENVIRONMENT = "../../envs/environment.yaml"

SIMULATED = [
    name for name, d in CONFIG.datasets.items() if isinstance(d, SimulatedDataset)
]
IMPORTED = [name for name in CONFIG.datasets if name not in SIMULATED]
RUNS = [(dataset, run) for dataset, runs in CONFIG.runs.items() for run in runs]
MAIN_RUNS = [(d, r) for d, r in RUNS if d not in CONFIG.ablation_datasets]
ALL_SETTINGS = [CONFIG.settings(dataset, run) for dataset, run in RUNS]

if workflow.is_main_process:
    closing = Closing(
        RESULTS,
        [(d, r, CONFIG.settings(d, r).fit_id) for d, r in MAIN_RUNS],
        dry=lambda: workflow.dryrun,
        quiet=lambda: Quietness.ALL in (workflow.output_settings.quiet or ()),
    )
    closing.register(snakemake_logger, short_lists=not workflow.output_settings.verbose)


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
    dataset=where(lambda s: True, "input", "designs", "fits"),
    run=one_of(run for _, run in RUNS),
    design=one_of(s.design_id for s in ALL_SETTINGS),
    fit=one_of(s.fit_id for s in ALL_SETTINGS),
    draws=r"\d+",
    contrast=one_of(c for s in ALL_SETTINGS for c in s.model.contrasts),
    level=one_of(layout.LEVELS),
    mode="conservative|enriched",


# Which files a rule writes depends on the contrasts, the modes and the engines, and Snakemake wants the
# outputs of a rule listed. So the rules that write them are defined once for each kind of run: nearly
# always one. The first has the plain names, further ones a number (docs/hpc.md).


def kind_of(s):
    """What the files of a run depend on."""
    return (
        tuple(s.model.contrasts),
        tuple(s.mash.modes),
        s.mash.engine,
        s.mash.compare_engines,
    )


class Kind:
    """A kind of run: names of its rules, its runs, its files."""

    def __init__(self, number, kind):
        self.number, self.key = number, kind
        self.contrasts, self.modes, self.engine, self.compare = kind
        self.dataset = where(lambda s: kind_of(s) == kind)
        self.simulated = "|".join(
            f"{re.escape(d)}(?=/{re.escape(r)}/)"
            for d, r in RUNS
            if kind_of(CONFIG.settings(d, r)) == kind and d in SIMULATED
        )

    def rule(self, stage):
        """Name of a stage's rule."""
        return stage if self.number == 1 else f"{stage}_{self.number}"

    def tables(self, contract, by_contrast=()):
        """Files of every contrast, those of the contract at the run's top as well."""
        contract, further = (
            layout.names(names, self.modes) for names in (contract, by_contrast)
        )
        return [f"{RUN}/{name}" for name in contract] + self.in_contrasts(
            contract + further
        )

    def in_contrasts(self, names):
        """The named files of every contrast."""
        return [f"{RUN}/contrast={c}/{name}" for c in self.contrasts for name in names]

    def overviews(self, names):
        """Names of the overview figures; one contrast needs none."""
        return [f"overview_{name}" for name in names if len(self.contrasts) > 1]


KINDS = [
    Kind(number, kind)
    for number, kind in enumerate(dict.fromkeys(map(kind_of, ALL_SETTINGS)), start=1)
]


# ------------------------------------------------- params, inputs, resources


def settings(wildcards):
    """Settings of the job's dataset and run."""
    return CONFIG.settings(wildcards.dataset, wildcards.run)


def read_by(stage):
    """Params function: the values of the run that the stage's results depend on, by section."""
    return lambda wildcards: settings(wildcards).read_by(stage)


def contrasts(wildcards):
    """Contrasts of the run."""
    return settings(wildcards).model.contrasts


def design_of_run(name):
    """Input function: a file of the design that the run uses."""
    return lambda w: f"{RESULTS}/{w.dataset}/designs/{settings(w).design_id}/{name}"


def fit_of_run(name):
    """Input function: a file of the fit that the run uses."""
    return lambda w: f"{RESULTS}/{w.dataset}/fits/{settings(w).fit_id}/{name}"


def summary_of_run(name):
    """Input function: a file of the summary of that fit, by the run's number of draws."""
    return (
        lambda w: f"{RESULTS}/{w.dataset}/fits/{settings(w).fit_id}/draws={settings(w).export.draws}/{name}"
    )


def design_of_fit(wildcards):
    """Input function: the design that a fit was made of."""
    s = CONFIG.settings_of_fit(wildcards.dataset, wildcards.fit)
    return f"{RESULTS}/{wildcards.dataset}/designs/{s.design_id}/design.pt"


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


def figure(name, category, folder=f"{RUN}/figures", contrast="primary"):
    """A figure, flagged for the report."""
    return report(
        f"{folder}/{name}.png",
        caption=f"../report/{name.removeprefix('overview_')}.rst",
        category=category,
        subcategory="{dataset}, run {run}",
        labels={"contrast": contrast, "figure": name},
    )


# ---------------------------------------------------------------- targets


def run_files(*names, runs=MAIN_RUNS):
    """The named files at the top of every run of the config."""
    return [f"{RESULTS}/{d}/{r}/{name}" for d, r in runs for name in names]


def run_tables(*stages, runs=MAIN_RUNS):
    """Every table by contrast that a stage makes, of every run of the config.

    Targets ask for all of them: Snakemake looks for a changed parameter only where it has made all
    outputs of a job before, so a table that a changed config adds has to be asked for.
    """
    kinds = {kind.key: kind for kind in KINDS}
    return [
        path.format(dataset=d, run=r)
        for d, r in runs
        for stage in stages
        for path in kinds[kind_of(CONFIG.settings(d, r))].tables(
            layout.CONTRACT.get(stage, ()), layout.BY_CONTRAST[stage]
        )
    ]


def recovery_files():
    """What the simulated runs are held against the truth with."""
    runs = [(d, r) for d, r in MAIN_RUNS if d in SIMULATED]
    return run_files("figures/recovery.png", runs=runs) + run_tables(
        "evaluate_recovery", runs=runs
    )


def contrast_figures():
    """One figure of the full set of every contrast of every run."""
    return [
        f"{RESULTS}/{d}/{r}/contrast={c}/figures/heatmap.png"
        for d, r in MAIN_RUNS
        for c in CONFIG.settings(d, r).model.contrasts
    ]


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

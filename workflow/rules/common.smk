# Configuration, paths, wildcards and targets shared by all rules.
import re
import sys
from pathlib import Path

# The library of this checkout, whatever is installed, and not that of another checkout used as a module.
SRC = str(Path(str(workflow.current_basedir)).parents[1] / "src")
if SRC not in sys.path[:1]:
    sys.path.insert(0, SRC)
loaded = getattr(sys.modules.get("fatewalk"), "__file__", None)
if loaded and not Path(loaded).is_relative_to(SRC):
    for name in [name for name in sys.modules if name.partition(".")[0] == "fatewalk"]:
        del sys.modules[name]

from snakemake.logging import logger as snakemake_logger
from snakemake.settings.types import Quietness

from fatewalk.config import SimulatedDataset, load_config, read_config
from fatewalk.config.messages import Problems
from fatewalk.core.errors import FatewalkError
from fatewalk.core.files import need_writable
from fatewalk.core.schema import LEVELS, UNITS
from fatewalk.core.versions import STAGE_VERSION
from fatewalk.run import layout
from fatewalk.run.registry import FIGURES
from fatewalk.workflow.closing import Closing
from fatewalk.workflow.kinds import OF_KIND, find_kinds, followed_by, kind_of

# A user's --configfile replaces config.yaml instead of being merged into it: otherwise the
# simulated demo would run beside every real screen. Defaults live in the config models.
FILES_OF_CONFIG = [str(path) for path in workflow.overwrite_configfiles]
if workflow.modifier.skip_configfile:
    FILES_OF_CONFIG = []  # a module: its config is what the outer workflow gives
elif not FILES_OF_CONFIG and "datasets" not in config:
    if not Path("config.yaml").exists():
        raise WorkflowError(
            f"there is no config.yaml in {Path.cwd()}, where Snakemake works. Name your config with "
            "--configfile my_screen.yaml, start Snakemake in the folder that holds config.yaml, or "
            "give that folder with --directory"
        )
    FILES_OF_CONFIG = ["config.yaml"]


def or_refuse(step, *given):
    """What a step makes of a config; its refusal without a traceback."""
    try:
        return step(*given)
    except FatewalkError as error:
        raise WorkflowError(str(error)) from None


# Read before Snakemake, which takes the last of two keys and names no line.
for path in FILES_OF_CONFIG:
    or_refuse(read_config, path)
if FILES_OF_CONFIG == ["config.yaml"]:

    configfile: "config.yaml"


CONFIG = or_refuse(
    load_config,
    config,
    Problems(", ".join(Path(path).name for path in FILES_OF_CONFIG) or "config"),
)
or_refuse(
    need_writable,
    ".",
    "start Snakemake in a folder of your own, or name one with --directory",
)
or_refuse(need_writable, CONFIG.results_dir, "set results_dir to a folder of your own")

RESULTS = CONFIG.results_dir
DATASET = f"{RESULTS}/{{dataset}}"
INPUT = f"{DATASET}/input"
LABELS = f"{INPUT}/labels={{labels}}"
DESIGN = f"{DATASET}/designs/{{design}}"
FIT = f"{DATASET}/fits/{{fit}}"
SUMMARY = f"{FIT}/draws={{draws}}"
REFITS = f"{FIT}/unit={{unit}}/batch={{batch}}"
RUN = f"{DATASET}/{{run}}"
CONTRAST = f"{RUN}/contrast={{contrast}}"
OVER_RUNS = f"{DATASET}/over_runs"
ABLATION = f"{RESULTS}/ablation"
FOLDERS = ("input", "designs", "fits", "over_runs")  # of a data set, beside its runs
ENVIRONMENT = "../../envs/environment.yaml"

SIMULATED = [
    name for name, d in CONFIG.datasets.items() if isinstance(d, SimulatedDataset)
]
IMPORTED = [name for name in CONFIG.datasets if name not in SIMULATED]
RUNS = [(dataset, run) for dataset, runs in CONFIG.runs.items() for run in runs]
MAIN_RUNS = [
    (d, r)
    for d, r in RUNS
    if d not in CONFIG.ablation_datasets and r not in CONFIG.sweep
]
ALL_SETTINGS = {(d, r): CONFIG.settings(d, r) for d, r in RUNS}
KINDS = find_kinds(RUN, ALL_SETTINGS)
CATEGORY = {figure.name: figure.category for figure in FIGURES}
BY_CONTRAST = [figure.name for figure in FIGURES if figure.by_contrast]
CONTRAST_FIGURES = layout.contrast_figures("plot_figures")

# Of a Snakefile that is used as a module.
PREFIX = getattr(workflow.modifier.path_modifier, "prefix", None) or ""

if workflow.is_main_process:
    closing = Closing(
        PREFIX + RESULTS,
        [(d, r, CONFIG.settings(d, r)) for d, r in MAIN_RUNS],
        CONFIG.datasets,
        dry=lambda: workflow.dryrun,
        quiet=lambda: Quietness.ALL in (workflow.output_settings.quiet or ()),
    )
    closing.register(snakemake_logger, short_lists=not workflow.output_settings.verbose)


def one_of(names):
    """Regular expression of the given names; matches nothing where there are none."""
    return "|".join(re.escape(name) for name in dict.fromkeys(names)) or "(?!)"


def where(condition):
    """Constraint of {dataset}: those that are followed by a run whose settings meet a condition."""
    return followed_by(run for run, s in ALL_SETTINGS.items() if condition(s))


wildcard_constraints:
    dataset=followed_by([(d, f) for d in CONFIG.datasets for f in FOLDERS] + RUNS),
    run=one_of(run for _, run in RUNS),
    design=one_of(s.design_id for s in ALL_SETTINGS.values()),
    fit=one_of(s.fit_id for s in ALL_SETTINGS.values()),
    labels=one_of(run for sets in CONFIG.labels.values() for run in sets),
    draws=r"\d+",
    unit=one_of(UNITS),
    batch=r"\d+",
    contrast=one_of(c for s in ALL_SETTINGS.values() for c in s.model.contrasts),
    level=one_of(LEVELS),
    mode=one_of(layout.MODES),


# ------------------------------------------------- params, inputs, resources


def settings(wildcards):
    """Settings of the job's dataset and run."""
    return CONFIG.settings(wildcards.dataset, wildcards.run)


def keys_of_entry(wildcards):
    """Keys of an imported dataset entry, without the sections that it may carry."""
    return CONFIG.datasets[wildcards.dataset].own_keys()


def files_of_entry(wildcards):
    """Files that the dataset entry names."""
    return CONFIG.datasets[wildcards.dataset].paths


def stamps(wildcards):
    """Size and time of each file of the entry: Snakemake itself looks for newer files alone, not for older ones.

    A function of `input` would not do: what follows from inputs is not held against the last run.
    """
    found = {}
    for key, path in files_of_entry(wildcards).items():
        here = Path(path if path.startswith("/") else PREFIX + path)
        if here.exists():
            found[key] = (here.stat().st_size, int(here.stat().st_mtime))
    return found


def read_by(stage):
    """Params function: the values of the run that the stage's results depend on, by section."""
    return lambda wildcards: settings(wildcards).read_by(stage)


def contrasts(wildcards):
    """Contrasts of the run."""
    return settings(wildcards).model.contrasts


def mashr_options(wildcards):
    """Command-line options of run_mashr.R."""
    options = settings(wildcards).read_by("run_mashr")["mash"]
    return " ".join(f"--{k} {v}" for k, v in options.items() if k not in OF_KIND)


def input_of_design(name):
    """Input function: an input table of a design, of its label set."""

    def path(wildcards):
        labels = CONFIG.settings_of_design(wildcards.dataset, wildcards.design).labels
        folder = f"{RESULTS}/{wildcards.dataset}/input"
        return f"{folder}/labels={labels}/{name}" if labels else f"{folder}/{name}"

    return path


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


def refits_of_run(wildcards):
    """Input function: the refits of the run's fit, by what section resample asks for."""
    of_fit = fit_of_run(f"unit={CONFIG.resample.unit}")(wildcards)
    return [f"{of_fit}/batch={batch}/refits.npz" for batch in CONFIG.resample.batches]


def held_against_truth(kind):
    """Input function: tables of the recovery of a simulated screen, none of a real one."""
    tables = kind.in_contrasts(
        [
            "recovery_by_day.csv",
            "daywise_confusion.csv",
            "gene_daywise_for_mash.csv",
        ]
    )
    return lambda w: tables if w.dataset in SIMULATED else []


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


# ---------------------------------------------------------------- outputs


def named(paths):
    """Outputs by the name of the file."""
    return {Path(path).stem: path for path in paths}


def files_in(folder, stage, where):
    """Outputs of a stage in a folder, by name, as the registry has them."""
    return named(f"{folder}/{name}" for name in layout.in_folder(stage, where))


def figure(name, folder=f"{RUN}/figures", contrast="primary"):
    """A figure, flagged for the report."""
    one = name.removeprefix("overview_")
    of_all = name != one or one not in BY_CONTRAST
    return report(
        f"{folder}/{name}.png",
        caption=f"../report/{one}.rst",
        category=(
            "All contrasts"
            if name != one and CATEGORY[one] == "Effects"
            else CATEGORY[one]
        ),
        subcategory="{dataset}, run {run}",
        labels={"contrast": "all" if of_all else contrast, "figure": name},
    )


def vectors(names, folder=f"{RUN}/figures"):
    """The same figures for papers and slides."""
    return [f"{folder}/{name}.{suffix}" for name in names for suffix in ("pdf", "svg")]


# ---------------------------------------------------------------- targets


def made_by(*stages, runs=MAIN_RUNS):
    """All that stages make of every run of the config."""
    return [
        path.format(dataset=d, run=r)
        for d, r in runs
        for stage in stages
        for path in KINDS[kind_of(CONFIG.settings(d, r))].made_by(stage)
    ]


def index_file():
    """The page that compares the runs, where there are several."""
    names = layout.in_folder("write_index", "results")
    return [f"{RESULTS}/{name}" for name in names if len(MAIN_RUNS) > 1]


def recovery_files():
    """What the simulated runs are held against the truth with."""
    return made_by(
        "evaluate_recovery", runs=[(d, r) for d, r in MAIN_RUNS if d in SIMULATED]
    )


def contrast_figures():
    """The full set of figures of every contrast of every run."""
    return [
        f"{RESULTS}/{d}/{r}/contrast={c}/figures/{name}.png"
        for d, r in MAIN_RUNS
        for c in CONFIG.settings(d, r).model.contrasts
        for name in CONTRAST_FIGURES
    ]


def ablation_files(wildcards):
    """Files of target all_ablation."""
    if not CONFIG.ablation_datasets:
        raise WorkflowError(
            "all_ablation: ablation.dataset names no simulated data set of this config; name one, or use config.yaml"
        )
    made = layout.in_folder("tabulate_ablation", "ablation")
    figures = layout.figures_of("tabulate_ablation", 1)
    return [
        f"{ABLATION}/{name}" for name in (*made, *(f"{name}.png" for name in figures))
    ]


def of_sweep(wildcards, stage):
    """What a stage makes of run main and of the runs of the sweep."""
    return made_by(
        stage, runs=[(wildcards.dataset, run) for run in ("main", *CONFIG.sweep)]
    )


def label_sets(wildcards):
    """Runs of the label sets of a data set, main first."""
    return ["main", *CONFIG.labels[wildcards.dataset]]


def label_files():
    """What compares the label sets of the data sets that have several."""
    names = layout.in_folder("compare_labels", "over_runs")
    return [f"{RESULTS}/{d}/over_runs/{name}" for d in CONFIG.labels for name in names]


def sweep_files(wildcards):
    """Files of target all_sweep."""
    if not CONFIG.sweep:
        raise WorkflowError(
            "all_sweep: this config has no section sweep; name keys with their values, for example "
            "sweep: {model.priors.s_tau: [0.5, 1, 2]}"
        )
    datasets = [d for d in CONFIG.datasets if d not in CONFIG.ablation_datasets]
    names = layout.in_folder("tabulate_sweep", "over_runs")
    return [f"{RESULTS}/{d}/over_runs/{name}" for d in datasets for name in names]


def of_ablation(name):
    """The named table of every screen of the ablation, primary contrast, centred and uncentred."""
    runs = [(d, r) for d in CONFIG.ablation_datasets for r in ("main", "uncentred")]
    folders = [
        f"{RESULTS}/{d}/{r}/contrast={CONFIG.settings(d, r).model.contrast}"
        for d, r in runs
    ]
    return [f"{folder}/{name}" for folder in folders]

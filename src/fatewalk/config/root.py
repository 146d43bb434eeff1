"""The whole configuration: reading, resolving per dataset and run."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from pydantic import Field

from fatewalk.config.datasets import Dataset, Overrides, SimulatedDataset, dataset_kind, kinds
from fatewalk.config.keys import values_read_by
from fatewalk.config.labels import split_labels
from fatewalk.config.messages import Layers, Problems, short
from fatewalk.config.places import check_file, check_folder, check_names
from fatewalk.config.sections import (
    READ_WITH,
    SECTIONS,
    AblationConfig,
    CallsConfig,
    DesignConfig,
    ExportConfig,
    FitConfig,
    MashConfig,
    ModelConfig,
    ResampleConfig,
)
from fatewalk.config.simulate import SimulateConfig
from fatewalk.config.sweep import Swept, swept_runs
from fatewalk.core.errors import nearest, quoted

MAIN_RUN = "main"
RESERVED_DATASETS = ("ablation", "benchmarks", "logs")
RESERVED_RUNS = ("input", "designs", "fits", "over_runs", MAIN_RUN)
Given = dict[str, tuple[type[Dataset], Mapping[str, Any]]]  # kind and keys of the data sets, by name


class RootConfig(Overrides):
    """Top level of ``config.yaml``."""

    results_dir: str = Field("results", min_length=1, description="folder of all results")
    data_dir: str | None = Field(
        None, description="folder of the input files; null: where snakemake is started"
    )
    datasets: dict[str, dict[str, Any]] = Field(min_length=1, description="named data sets")
    runs: dict[str, Overrides] = Field(
        default_factory=dict, description="further runs: sections whose keys differ from run main"
    )
    ablation: AblationConfig = Field(default_factory=AblationConfig)
    resample: ResampleConfig = Field(default_factory=ResampleConfig)
    sweep: dict[str, Any] = Field(
        default_factory=dict,
        description="target all_sweep: lists of values by key, each value a run that differs from main in it",
    )


@dataclass(frozen=True)
class RunSettings:
    """The sections that hold for one dataset and run; no value is left to be derived from another.

    ``labels`` names the label set; None: the first, or the only one.
    """

    design: DesignConfig
    model: ModelConfig
    fit: FitConfig
    export: ExportConfig
    mash: MashConfig
    calls: CallsConfig
    labels: str | None = None

    def read_by(self, stage: str) -> dict[str, dict[str, Any]]:
        """Values that the results of a stage depend on, by section, as plain containers.

        Two configs that mean the same give the same values: a default that is written out, or
        ``ref_fate`` beside ``fates``, changes nothing.
        """
        found = {}
        for name in SECTIONS:
            section = getattr(self, name)
            values = section.model_dump(mode="json")
            if name == "model":
                values["fates"] = self.model.fate_order
            found[name] = values_read_by(stage, section, values)
        return {name: values for name, values in found.items() if values}

    @property
    def design_id(self) -> str:
        """Name of the design's folder, a hash of the values and the label set that it depends on."""
        return _digest(self._of_design)

    @property
    def _of_design(self) -> Any:
        values = self.read_by("build_design")
        return [values, self.labels] if self.labels else values

    @property
    def fit_id(self) -> str:
        """Name of the fit's folder, a hash of the values that design and fit depend on."""
        return _digest([self._of_design, self.read_by("fit_effects")])


@dataclass(frozen=True)
class Config:
    """A checked configuration.

    Attributes
    ----------
    results_dir
        Folder of all results.
    datasets
        Dataset entries by name, those of the ablation included.
    runs
        Settings by dataset and run; run ``main`` first.
    ablation_datasets
        Names of the datasets that target ``all_ablation`` adds.
    resample
        What target ``all_bootstrap`` draws.
    sweep
        Runs that target ``all_sweep`` adds to every other data set, by name.
    labels
        Of data sets with several label sets: ``fate_key`` of all but the first, by the names of their runs.
    """

    results_dir: str
    datasets: dict[str, Dataset]
    runs: dict[str, dict[str, RunSettings]]
    ablation_datasets: list[str]
    resample: ResampleConfig = field(default_factory=ResampleConfig)
    sweep: dict[str, Swept] = field(default_factory=dict)
    labels: dict[str, dict[str, str]] = field(default_factory=dict)

    def settings(self, dataset: str, run: str) -> RunSettings:
        """Settings of one run of one dataset."""
        return self.runs[dataset][run]

    def settings_of_fit(self, dataset: str, fit: str) -> RunSettings:
        """Settings of the first run of a dataset that uses a fit; runs that share it agree on it."""
        return next(s for s in self.runs[dataset].values() if s.fit_id == fit)

    def settings_of_design(self, dataset: str, design: str) -> RunSettings:
        """Settings of the first run of a dataset that uses a design."""
        return next(s for s in self.runs[dataset].values() if s.design_id == design)


def load_config(raw: Mapping[str, Any], problems: Problems | None = None) -> Config:
    """Check a configuration as read from YAML and resolve it per dataset and run.

    The keys of a section are taken, later ones winning, from: the defaults, the top level, the
    dataset entry, the run at the top level, the run inside the dataset entry.

    Parameters
    ----------
    raw
        Plain containers, as YAML gives them. A section without keys may be empty.
    problems
        Problems that are known already, and what they are problems of; left out: of a ``config``.

    Returns
    -------
    Config
        The checked configuration.

    Raises
    ------
    FatewalkError
        One message for all wrong keys and values: the key's path, what was found, what is
        allowed, the nearest valid name.
    """
    raw = _without_nulls(raw)
    problems = Problems() if problems is None else problems
    given = _check_names(raw, problems)
    labels: dict[str, dict[str, str]] = {}
    for name, (kind, entry) in given.items():
        first, labels[name] = split_labels(f"datasets.{name}", entry, problems)
        given[name] = kind, first
        own = {f"datasets.{name}.runs.{run}": run for run in _section(entry, "runs")}
        if of_labels := {f"datasets.{name}.fate_key: run {run}": run for run in labels[name]}:
            check_names(own | of_labels, RESERVED_RUNS, problems)
    root = cast("RootConfig | None", problems.validate(RootConfig, raw))
    sweep = swept_runs(raw.get("sweep", {}), problems)
    datasets = _datasets(given, root, problems)
    generated = {} if root is None or problems else _ablation_entries(raw, root, problems)
    for name, added in generated.items():
        datasets[name] = SimulatedDataset.model_validate(added)

    runs: dict[str, dict[str, RunSettings]] = {}
    for name, (_, entry) in given.items():
        runs[name] = _runs(
            f"datasets.{name}", entry, raw, _section(raw, "runs"), datasets.get(name), problems
        )
        further = {run: replace(runs[name][MAIN_RUN], labels=run) for run in labels[name]}
        for run in further.keys() & runs[name].keys():
            problems.add(f"datasets.{name}.fate_key: {run!r} is the name of a run, too; rename the run")
        runs[name] |= further
        runs[name] |= _swept(f"datasets.{name}", entry, raw, sweep, datasets.get(name), problems)
    problems.raise_if_any()  # sections of the ablation are those of its base
    for name, added in generated.items():
        runs[name] = _runs("ablation", added, raw, {}, datasets[name], problems)
    problems.raise_if_any()
    _check_read([one.calls for of_dataset in runs.values() for one in of_dataset.values()], problems)
    problems.raise_if_any()
    assert root is not None  # else there was a problem
    runs = {
        name: {run: _explicit(settings, datasets[name]) for run, settings in of_dataset.items()}
        for name, of_dataset in runs.items()
    }
    further_labels = {name: sets for name, sets in labels.items() if sets}
    return Config(
        os.path.normpath(root.results_dir),
        datasets,
        runs,
        list(generated),
        root.resample,
        sweep,
        further_labels,
    )


def _datasets(given: Given, root: RootConfig | None, problems: Problems) -> dict[str, Dataset]:
    """The entries that are right, their paths below ``data_dir``."""
    folder = None if root is None else root.data_dir
    if root is not None:
        check_folder("results_dir", root.results_dir, problems)
        check_folder("data_dir", folder, problems)
    datasets = {}
    for name, (kind, entry) in given.items():
        checked = problems.validate(kind, entry, f"datasets.{name}")
        if isinstance(checked, Dataset):
            for key, file in checked.paths.items():
                check_file(f"datasets.{name}.{key}", file, folder, problems)
            datasets[name] = _in_folder(checked, folder)
    return datasets


def _runs(
    path: str,
    entry: Mapping[str, Any],
    raw: Mapping[str, Any],
    top_runs: Mapping[str, Any],
    dataset: Dataset | None,
    problems: Problems,
) -> dict[str, RunSettings]:
    """Settings of the runs of a data set; ``dataset`` is None where its entry is wrong."""
    own_runs = _section(entry, "runs")
    found = {}
    for run in [MAIN_RUN, *dict.fromkeys([*top_runs, *own_runs])]:
        layers = {
            "": raw,
            path: entry,
            f"runs.{run}": _section(top_runs, run),
            f"{path}.runs.{run}": _section(own_runs, run),
        }
        found[run] = _resolve(layers, problems)
        _check_for(dataset, path, layers, found[run], problems)
    return found


def _swept(
    path: str,
    entry: Mapping[str, Any],
    raw: Mapping[str, Any],
    sweep: Mapping[str, Swept],
    dataset: Dataset | None,
    problems: Problems,
) -> dict[str, RunSettings]:
    """Settings of the runs that a sweep adds to a data set: those of ``main`` but for one key."""
    found = {}
    for run, one in sweep.items():
        layers = {"": raw, path: entry, f"sweep ({run})": one.sections}
        found[run] = _resolve(layers, problems)
        _check_for(dataset, path, layers, found[run], problems)
    return found


def _section(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A section or run that may be missing, or wrong, which is told elsewhere."""
    found = raw.get(name)
    return found if isinstance(found, Mapping) else {}


def _check_for(
    dataset: Dataset | None, path: str, layers: Layers, settings: RunSettings, problems: Problems
) -> None:
    """Settings of a run are such as its data set can have; ``dataset`` is None where its entry is wrong."""
    if dataset is not None:
        _check_fates(path, dataset, layers, settings, problems)
        _check_covariates(path, dataset, settings, problems)


def _check_fates(
    path: str, dataset: Dataset, layers: Layers, settings: RunSettings, problems: Problems
) -> None:
    """The fates of the data are named; a simulated screen has those that the model expects."""
    if settings.model is None:  # a problem is told
        return
    given = [layer.get("model") or {} for layer in layers.values()]
    if isinstance(dataset, SimulatedDataset):
        simulated, expected = dataset.simulate.fates, settings.model.fates
        if set(simulated) != set(expected):
            problems.add(
                f"{path}.simulate.fates: found {', '.join(simulated)}; allowed: those of model.fates "
                f"({', '.join(expected)})"
            )
    elif all(isinstance(one, Mapping) and "fates" not in one for one in given):
        names, found = dataset.fates(), "name the fates of the data"
        if names:
            written = f"fates={names}" if problems.python else f"fates: [{', '.join(names)}]"
            found = f"the data of {path} have {quoted(names, 20)}: write {written}"
        problems.add(f"model.fates: missing; {found}, the reference first")


def _check_covariates(path: str, dataset: Dataset, settings: RunSettings, problems: Problems) -> None:
    """Covariates of the model are among those that the data set carries."""
    wanted = [] if settings.design is None else settings.design.covariates or []
    if absent := [name for name in wanted if name not in dataset.carried]:
        problems.add(
            f"design.covariates: found {absent[0]!r}, which {path} does not carry; allowed: "
            f"{', '.join(map(repr, dataset.carried)) or 'none'}. Name it in {path}.covariates as well"
        )


def _check_read(calls: list[CallsConfig], problems: Problems) -> None:
    """A key of calls that no run reads is taken for what the hits rest on: it must not be ignored."""
    for name, needs in READ_WITH.items():
        found = {getattr(one, name) for one in calls} - {CallsConfig.model_fields[name].default}
        if found and not any(one.reads(name) for one in calls):
            where = name if problems.python else f"calls.{name}"
            with_which = " and ".join(f"{other} {value}" for other, value in needs.items())
            problems.add(
                f"{where}: found {short(sorted(found)[0], problems.python)}, which is read with {with_which} "
                "alone; leave it out, or set that"
            )


def _in_folder(dataset: Dataset, folder: str | None) -> Dataset:
    """Let the relative paths of a dataset entry start at ``data_dir``."""
    if folder is None:
        return dataset
    return dataset.model_copy(update={k: str(Path(folder, path)) for k, path in dataset.paths.items()})


def _resolve(layers: Mapping[str, Mapping[str, Any]], problems: Problems) -> RunSettings:
    """Merge the layers of every section and check the outcome."""
    resolved: dict[str, Any] = {}
    for section, model in SECTIONS.items():
        merged: dict[str, Any] = {}
        for layer in layers.values():
            change = layer.get(section) or {}
            merged = _merge(merged, change) if isinstance(change, Mapping) else merged
        resolved[section] = problems.validate(model, merged, section, layers)
    return RunSettings(**resolved)


def _explicit(settings: RunSettings, dataset: Dataset) -> RunSettings:
    """Write out what null stands for, so that a default and its value are the same config."""
    model = settings.model
    fates = {"ref_fate": model.reference, "contrast_fate": model.contrast}
    design = settings.design
    covariates = dataset.carried if design.covariates is None else design.covariates
    return replace(
        settings,
        model=model.model_copy(update=fates),
        design=design.model_copy(update={"covariates": covariates}),
    )


def _digest(values: Any) -> str:
    """Ten hexadecimal digits of a hash of plain containers."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:10]


def _merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Merge nested keys; lists and values are replaced whole."""
    out = dict(base)
    for key, value in change.items():
        both = isinstance(value, Mapping) and isinstance(out.get(key), Mapping)
        out[key] = _merge(out[key], value) if both else value
    return out


def _without_nulls(raw: Mapping[str, Any], parent: str = "") -> dict[str, Any]:
    """Read a section or run without keys, which YAML gives as null, as an empty one."""
    nested = {"datasets", "runs", "simulate", "ablation", "resample", "sweep", "priors", *SECTIONS}
    out: dict[str, Any] = {}
    for key, value in raw.items():
        if value is None and (key in nested or parent in ("datasets", "runs")):
            value = {}
        out[key] = _without_nulls(value, str(key)) if isinstance(value, Mapping) else value
    return out


def _ablation_entries(
    raw: Mapping[str, Any], root: RootConfig, problems: Problems
) -> dict[str, dict[str, Any]]:
    """Dataset entries ``ablation-<seed>`` with a run ``uncentred``; none without a simulated base."""
    base = root.datasets.get(root.ablation.dataset, {})
    if "simulate" not in base:
        if "ablation" in raw:
            simulated = [name for name, entry in root.datasets.items() if "simulate" in entry]
            problems.add(
                f"ablation.dataset: found {root.ablation.dataset!r}; allowed: a simulated data set "
                f"({', '.join(simulated) or 'there is none'})"
            )
        return {}
    changed = _merge(base["simulate"], root.ablation.simulate)
    if problems.validate(SimulateConfig, changed, "ablation.simulate") is None:
        return {}
    entries = {}
    for seed in range(1, root.ablation.seeds + 1):
        entry = {key: value for key, value in base.items() if key != "runs"}
        entry["simulate"] = changed | {"seed": seed}
        entry["runs"] = {"uncentred": {"model": {"center_delta": False}}}
        entries[f"ablation-{seed}"] = entry
    return entries


def _check_names(raw: Mapping[str, Any], problems: Problems) -> Given:
    """Check what the models cannot see: names of data sets and runs, kinds of data sets.

    Returns the entries whose kind can be told, with their kind, by name.
    """
    datasets = raw.get("datasets")
    if not isinstance(datasets, Mapping) or not datasets:
        names = [key for key in raw if str(key).lower() == "datasets" and key != "datasets"]
        found = short(datasets) if datasets else f"{names[0]!r} instead" if names else "nothing"
        problems.add(
            f"datasets: found {found}; allowed: names with their keys, for example\n"
            "      datasets: {demo: {simulate: {cells: 12000, genes: 50}}}"
        )
        problems.raise_if_any()
    assert isinstance(datasets, Mapping)
    _check_indents(datasets, problems)
    by_path = {f"datasets.{name}": name for name in datasets}
    check_names(by_path, (*RESERVED_DATASETS, "ablation-*"), problems)
    top_runs = {f"runs.{run}": run for run in _section(raw, "runs")}
    check_names(top_runs, RESERVED_RUNS, problems)
    known: Given = {}
    for name, entry in datasets.items():
        path = f"datasets.{name}"
        if not isinstance(entry, Mapping):  # told where the value is validated
            continue
        kind = dataset_kind(entry)
        if kind is None:
            problems.add(
                f"{path}: {_of_no_kind(entry)}; allowed: exactly one of the keys {', '.join(kinds())}, which "
                "tells the kind of the data set"
            )
        else:
            known[str(name)] = kind, entry
            own_runs = {f"{path}.runs.{run}": run for run in _section(entry, "runs")}
            check_names(top_runs | own_runs, RESERVED_RUNS, problems)
    return known


def _check_indents(datasets: Mapping[str, Any], problems: Problems) -> None:
    """Refuse sections, and keys of an entry, that stand where the name of a data set should."""
    of_entries = {key for kind in kinds().values() for key in kind.model_fields}
    found = {}
    for name, value in datasets.items():
        is_entry = isinstance(value, Mapping) and dataset_kind(value) is not None
        if name in RootConfig.model_fields and not is_entry:
            found[name] = f"found below datasets; let '{name}:' begin its line, without blanks"
        elif name in of_entries and not isinstance(value, Mapping):
            found[name] = (
                f"found {short(value)}; it is a key of a data set: give it more blanks than the name of the "
                "data set has"
            )
    for name, words in found.items():
        problems.add(f"datasets.{name}: {words}")
    if found:  # what else is wrong follows from that
        problems.raise_if_any()


def _of_no_kind(entry: Mapping[str, Any]) -> str:
    """What was found where a data set should be, in words."""
    if several := [key for key in kinds() if key in entry]:
        return f"found {' and '.join(several)}"
    meant = "".join(nearest(str(key), list(kinds())) for key in entry)
    return f"found the keys {', '.join(map(str, entry)) or '(none)'}{meant}"

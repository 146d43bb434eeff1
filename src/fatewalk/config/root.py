"""The whole configuration: reading, resolving per dataset and run."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, Field

from fatewalk.config.datasets import Dataset, Overrides, SimulatedDataset, dataset_kind, kinds
from fatewalk.config.keys import values_read_by
from fatewalk.config.messages import Problems, nearest, short
from fatewalk.config.sections import (
    AblationConfig,
    CallsConfig,
    DesignConfig,
    ExportConfig,
    FitConfig,
    MashConfig,
    ModelConfig,
)
from fatewalk.config.simulate import SimulateConfig

MAIN_RUN = "main"
RESERVED_DATASETS = ("ablation", "benchmarks", "logs")
RESERVED_RUNS = ("input", "designs", "fits", MAIN_RUN)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


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


@dataclass(frozen=True)
class RunSettings:
    """The sections that hold for one dataset and run; no value is left to be derived from another."""

    design: DesignConfig
    model: ModelConfig
    fit: FitConfig
    export: ExportConfig
    mash: MashConfig
    calls: CallsConfig

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
        """Name of the design's folder, a hash of the values that it depends on."""
        return _digest(self.read_by("build_design"))

    @property
    def fit_id(self) -> str:
        """Name of the fit's folder, a hash of the values that design and fit depend on."""
        return _digest([self.read_by("build_design"), self.read_by("fit_effects")])


SECTIONS: dict[str, type[BaseModel]] = {
    "design": DesignConfig,
    "model": ModelConfig,
    "fit": FitConfig,
    "export": ExportConfig,
    "mash": MashConfig,
    "calls": CallsConfig,
}


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
    """

    results_dir: str
    datasets: dict[str, Dataset]
    runs: dict[str, dict[str, RunSettings]]
    ablation_datasets: list[str]

    def settings(self, dataset: str, run: str) -> RunSettings:
        """Settings of one run of one dataset."""
        return self.runs[dataset][run]

    def settings_of_fit(self, dataset: str, fit: str) -> RunSettings:
        """Settings of the first run of a dataset that uses a fit; runs that share it agree on it."""
        return next(s for s in self.runs[dataset].values() if s.fit_id == fit)

    def settings_of_design(self, dataset: str, design: str) -> RunSettings:
        """Settings of the first run of a dataset that uses a design."""
        return next(s for s in self.runs[dataset].values() if s.design_id == design)


def load_config(raw: Mapping[str, Any]) -> Config:
    """Check a configuration as read from YAML and resolve it per dataset and run.

    The keys of a section are taken, later ones winning, from: the defaults, the top level, the
    dataset entry, the run at the top level, the run inside the dataset entry.

    Parameters
    ----------
    raw
        Plain containers, as YAML gives them. A section without keys may be empty.

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
    problems = Problems()
    _check_names(raw, problems)
    checked = problems.validate(RootConfig, raw)
    problems.raise_if_any()  # what follows reads the top level
    root = cast("RootConfig", checked)
    checked_entries = {
        name: problems.validate(cast("type[BaseModel]", dataset_kind(entry)), entry, f"datasets.{name}")
        for name, entry in root.datasets.items()
    }
    problems.raise_if_any()  # what follows reads the entries
    generated = _ablation_entries(raw, root, problems)
    problems.raise_if_any()
    for name, entry in generated.items():
        checked_entries[name] = SimulatedDataset.model_validate(entry)

    datasets: dict[str, Dataset] = {}
    runs: dict[str, dict[str, RunSettings]] = {}
    for name, dataset in checked_entries.items():
        if name in generated:
            problems.raise_if_any()  # its sections are those of its base, where they are told
        entry = (root.datasets | generated)[name]
        path = f"datasets.{name}"
        own_runs = entry.get("runs", {})
        top_runs = raw.get("runs", {}) if name in root.datasets else {}
        runs[name] = {}
        for run in [MAIN_RUN, *dict.fromkeys([*top_runs, *own_runs])]:
            layers = {
                "": raw,
                path: entry,
                f"runs.{run}": top_runs.get(run, {}),
                f"{path}.runs.{run}": own_runs.get(run, {}),
            }
            runs[name][run] = _resolve(layers, problems)
            _check_simulated_fates(path, cast("Dataset", dataset), runs[name][run], problems)
        datasets[name] = _in_folder(cast("Dataset", dataset), root.data_dir)
    problems.raise_if_any()
    runs = {
        name: {run: _explicit(settings, datasets[name]) for run, settings in of_dataset.items()}
        for name, of_dataset in runs.items()
    }
    return Config(os.path.normpath(root.results_dir), datasets, runs, list(generated))


def _check_simulated_fates(path: str, dataset: Dataset, settings: RunSettings, problems: Problems) -> None:
    """A simulated screen must have the fates that the model expects."""
    if settings.model is None or not isinstance(dataset, SimulatedDataset):  # None: a problem is told
        return
    simulated, expected = dataset.simulate.fates, settings.model.fates
    if set(simulated) != set(expected):
        problems.add(
            f"{path}.simulate.fates: found {', '.join(simulated)}, allowed: those of model.fates "
            f"({', '.join(expected)})"
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
    nested = {"datasets", "runs", "simulate", "ablation", *SECTIONS}
    out: dict[str, Any] = {}
    for key, value in raw.items():
        if value is None and (key in nested or parent == "runs"):
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
                f"ablation.dataset: found {root.ablation.dataset!r}, allowed: a simulated data set "
                f"({', '.join(simulated) or 'there is none'})"
            )
        return {}
    changed = _merge(base["simulate"], root.ablation.simulate)
    problems.validate(SimulateConfig, changed, "ablation.simulate")
    entries = {}
    for seed in range(1, root.ablation.seeds + 1):
        entry = {key: value for key, value in base.items() if key != "runs"}
        entry["simulate"] = changed | {"seed": seed}
        entry["runs"] = {"uncentred": {"model": {"center_delta": False}}}
        entries[f"ablation-{seed}"] = entry
    return entries


def _check_names(raw: Mapping[str, Any], problems: Problems) -> None:
    """Check what the models cannot see: names of data sets and runs, kinds of data sets."""
    datasets = raw.get("datasets")
    if not isinstance(datasets, Mapping) or not datasets:
        problems.add(
            "datasets: found nothing; name at least one data set, for example\n"
            "      datasets: {demo: {simulate: {cells: 12000, genes: 50}}}"
        )
        problems.raise_if_any()
    assert isinstance(datasets, Mapping)
    run_maps = {"runs": raw.get("runs")}
    for name, entry in datasets.items():
        path = f"datasets.{name}"
        _check_name(path, name, (*RESERVED_DATASETS, "ablation-*"), problems)
        if not isinstance(entry, Mapping) or dataset_kind(entry) is None:
            keys = list(entry) if isinstance(entry, Mapping) else []
            meant = "".join(nearest(str(key), list(kinds())) for key in keys if key not in kinds())
            problems.add(
                f"{path}: found {short(entry)}{meant}; allowed: exactly one of the keys "
                f"{', '.join(kinds())}, which tells the kind of the data set"
            )
        else:
            run_maps[f"{path}.runs"] = entry.get("runs")
    for path, runs in run_maps.items():
        for run in runs if isinstance(runs, Mapping) else ():
            _check_name(f"{path}.{run}", run, RESERVED_RUNS, problems)
    problems.raise_if_any()


def _check_name(path: str, name: object, reserved: tuple[str, ...], problems: Problems) -> None:
    text = str(name)
    taken = text in reserved or (text.startswith("ablation-") and "ablation-*" in reserved)
    if taken or not NAME.fullmatch(text):
        problems.add(
            f"{path}: {text!r} cannot be a folder of results; allowed: letters, digits, '_', '-', "
            f"'.', and not {', '.join(reserved)}"
        )

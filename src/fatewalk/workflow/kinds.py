"""Kinds of runs: which files a run has, and which rules write them.

Snakemake wants the outputs of a rule listed when it is defined, and which files a run has depends on its
contrasts, its modes of mash and its engines. So the rules that write them are defined once for each
distinct set of these in a config: nearly always one. The first kind has the plain names of rules, further
ones have a number (docs/hpc.md).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fatewalk.run import layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fatewalk.config import RunSettings

#: Keys of section ``mash`` that tell which tables a run has, in the order of the fields of `Kind`.
OF_KIND = ("modes", "engine", "compare_engines")
Key = tuple[tuple[str, ...], tuple[str, ...], str, bool]


@dataclass(frozen=True)
class Kind:
    """The files of a kind of run, as patterns of paths, and the names of its rules.

    Attributes
    ----------
    number
        From 1.
    run
        Pattern of the run's folder, ``results/{dataset}/{run}``.
    runs
        Dataset and run of those of this kind.
    contrasts, modes
        In the order of the config.
    engine
        Of the posterior tables: python or mashr.
    compare
        Whether the other engine makes its table as well.
    """

    number: int
    run: str
    runs: tuple[tuple[str, str], ...]
    contrasts: tuple[str, ...]
    modes: tuple[str, ...]
    engine: str
    compare: bool

    def name(self, stage: str) -> str:
        """Name of a stage's rule."""
        return stage if self.number == 1 else f"{stage}_{self.number}"

    def datasets(self, among: Iterable[str] | None = None) -> str:
        """Constraint of ``{dataset}``: those with a run of this kind, of the named data sets if any."""
        allowed = None if among is None else set(among)
        runs = [(d, r) for d, r in self.runs if allowed is None or d in allowed]
        return followed_by(runs)

    def in_contrasts(self, names: Sequence[str]) -> list[str]:
        """The named files of every contrast."""
        return [f"{self.run}/{layout.contrast_folder(c)}/{name}" for c in self.contrasts for name in names]

    def outputs(self, stage: str) -> dict[str, str | list[str]]:
        """What a stage writes, by name: its files for all contrasts one by one, and those by contrast."""
        return self.at_top(stage) | {"tables": self.tables(stage)}

    def at_top(self, stage: str) -> dict[str, str | list[str]]:
        """Files that a stage writes for all contrasts, by name."""
        return {Path(name).stem: f"{self.run}/{name}" for name in layout.at_top(stage)}

    def tables(self, stage: str, by_engine: bool | None = None) -> list[str]:
        """Files by contrast that a stage makes, those of the contract at the run's top as well."""
        at_top = [f"{self.run}/{name}" for name in layout.contract(stage, self.modes, by_engine)]
        return at_top + self.in_contrasts(layout.by_contrast(stage, self.modes, by_engine))

    def made_by(self, stage: str) -> list[str]:
        """All that a stage makes of a run: the files for all contrasts, those by contrast, figures."""
        below = [*layout.at_top(stage), *(f"figures/{name}.png" for name in self.figures(stage))]
        return [f"{self.run}/{name}" for name in below] + self.tables(stage)

    def effects(self) -> list[str]:
        """Tables of effects of every contrast, which mash and calls start from."""
        return self.in_contrasts(layout.by_contrast("export_effects", self.modes))

    def mash_outputs(self) -> list[str]:
        """What the built-in engine makes: posterior tables unless R does, or for comparison."""
        if self.engine == "python":
            return self.tables("fit_mash")
        return self.tables("fit_mash", by_engine=False) + self._second(("csv", "json"))

    def mash_inputs(self) -> list[str]:
        """What the calls read of mash: tables and mixtures of every contrast, by whatever engine."""
        return self.in_contrasts(layout.by_contrast("fit_mash", self.modes)) + self._second(("csv",))

    def published_mashr(self) -> list[str]:
        """The primary contrast's tables by R, which the calls put at the run's top."""
        names = layout.contract("fit_mash", self.modes, by_engine=True)
        return [f"{self.run}/{name}" for name in names] if self.engine == "mashr" else []

    def figures(self, stage: str) -> list[str]:
        """Names of the figures of a stage."""
        return layout.figures_of(stage, len(self.contrasts))

    def _second(self, suffixes: Sequence[str]) -> list[str]:
        """The table of the engine that ``mash.engine`` does not name, in the mode that both share."""
        other = "mashr" if self.engine == "python" else "python"
        names = [f"{layout.engine_folder(other)}/mash_gene_conservative.{suffix}" for suffix in suffixes]
        return self.in_contrasts(names) if self.compare else []


def followed_by(runs: Iterable[tuple[str, str]]) -> str:
    """Regular expression of data sets that are followed by the folder given with them; else of nothing."""
    return "|".join(f"{re.escape(d)}(?=/{re.escape(r)}/)" for d, r in runs) or "(?!)"


def kind_of(settings: RunSettings) -> Key:
    """What the files of a run depend on."""
    mash = settings.mash
    return tuple(settings.model.contrasts), tuple(mash.modes), mash.engine, mash.compare_engines


def find_kinds(run: str, settings: dict[tuple[str, str], RunSettings]) -> dict[Key, Kind]:
    """The kinds of runs of a config, in the order in which they first occur.

    Parameters
    ----------
    run
        Pattern of a run's folder.
    settings
        By dataset and run.
    """
    keys = dict.fromkeys(kind_of(one) for one in settings.values())
    return {
        key: Kind(number, run, tuple(name for name, one in settings.items() if kind_of(one) == key), *key)
        for number, key in enumerate(keys, start=1)
    }

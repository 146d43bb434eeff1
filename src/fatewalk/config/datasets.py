"""Kinds of dataset entries: simulated, and those of the readers, each declared where it is read."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, model_validator

from fatewalk.config.base import Section
from fatewalk.config.places import not_twice
from fatewalk.config.simulate import SimulateConfig
from fatewalk.core.errors import FatewalkError
from fatewalk.core.schema import is_reserved

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

Keys = dict[str, Any]
READERS = "fatewalk.screen.readers"  # a folder of modules, one for each format


class Overrides(Section):
    """Sections that a dataset entry or a run may carry; the keys given there win.

    They hold some keys of a section only, so they are checked once merged (``root.load_config``).
    """

    design: Keys = Field(default_factory=dict)
    model: Keys = Field(default_factory=dict)
    fit: Keys = Field(default_factory=dict)
    export: Keys = Field(default_factory=dict)
    mash: Keys = Field(default_factory=dict)
    calls: Keys = Field(default_factory=dict)


class Dataset(Overrides):
    """What every kind of dataset entry may carry.

    Attributes
    ----------
    key
        The key that tells the kind: no other kind has it.
    kind, about, example
        For documents: the kind, what it is read from, the name of an entry.
    files
        Keys that name files.
    suffixes
        How names of files end that `fatewalk.fit` takes for this kind; all others are plain tables.
    """

    runs: dict[str, Overrides] = Field(default_factory=dict)
    read_by: ClassVar = ("import_screen",)
    key: ClassVar[str]
    kind: ClassVar[str]
    about: ClassVar[str]
    example: ClassVar[str]
    files: ClassVar[tuple[str, ...]] = ()
    suffixes: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="after")
    def _day_is_a_column_of_its_own(self) -> Dataset:
        day = getattr(self, "day_key", None)
        for key in ("rep_key", "cluster_key", "burden_key"):
            if day is not None and getattr(self, key, None) == day:
                raise ValueError(f"{key}: found {day!r}, which day_key names too, allowed: another column")
        return self

    def own_keys(self) -> dict[str, Any]:
        """The keys of this kind of entry, as plain containers, without the sections it carries."""
        return self.model_dump(mode="json", exclude=set(Dataset.model_fields))

    @property
    def paths(self) -> dict[str, str]:
        """The files that the entry names, by key."""
        return {name: path for name in self.files if (path := getattr(self, name))}

    @property
    def carried(self) -> list[str]:
        """Covariates that the cells table of the data set holds."""
        raise NotImplementedError

    def read(self) -> Any:
        """Read the files: a `fatewalk.screen.raw.RawScreen`."""
        raise NotImplementedError

    def fates(self) -> list[str]:
        """The fates of the data, read from the files; none if these cannot be read."""
        try:
            return [str(name) for name in self.read().prob]
        except FatewalkError:  # told where the files are imported
            return []


def _names_of_covariates(names: list[str]) -> list[str]:
    not_twice(names)
    if taken := [name for name in names if not name or is_reserved(name)]:
        raise ValueError(
            f"{taken[0]!r} is a column of the cells table with a meaning of its own, which the model knows "
            "of already; for other content rename the column"
        )
    return names


Covariates = Annotated[list[str], AfterValidator(_names_of_covariates)]


def _names_of_controls(names: list[str] | None) -> list[str] | None:
    not_twice(names or [])
    if blank := [name for name in names or [] if not name.strip()]:
        raise ValueError(f"found {blank[0]!r}; allowed: names of guides or genes, or [] without controls")
    return names


NtcNames = Annotated[list[str] | None, AfterValidator(_names_of_controls)]
GUIDE_MAP_TEXT = (
    "table guide_name, gene_name, is_ntc, or 10x feature_reference.csv; null: the one in the screen's own "
    "file, else each guide is a gene of its own"
)
NTC_NAMES_TEXT = "guides or genes that are controls, beside those that the guide map marks; []: none"


class SimulatedDataset(Dataset):
    """``{simulate: {...}}``."""

    key: ClassVar = "simulate"
    simulate: SimulateConfig

    @property
    def carried(self) -> list[str]:
        """One column, if it has an effect."""
        return ["covariate"] if self.simulate.covariate_effect else []


@functools.cache
def kinds() -> dict[str, type[Dataset]]:
    """The kinds of dataset entries by the key that tells them.

    A module of the readers' folder that declares a format names its entry ``ENTRY``. They are looked up
    when they are needed: readers lie above this room.
    """
    folder: ModuleType = importlib.import_module(READERS)
    names = [f"{READERS}.{module.name}" for module in pkgutil.iter_modules(folder.__path__)]
    found = [getattr(importlib.import_module(name), "ENTRY", None) for name in names]
    return {kind.key: kind for kind in (SimulatedDataset, *found) if kind}


def dataset_kind(entry: Mapping[str, Any]) -> type[Dataset] | None:
    """Tell the kind of a dataset entry by the key only that kind has; None if unclear."""
    found = [kind for key, kind in kinds().items() if key in entry]
    return found[0] if len(found) == 1 else None

"""The settings that the files of a run were made with: ``settings.<section>.<key>``.

A stage gets those of its keys that its results depend on, as plain values, so that it need not import the
config models. ``settings.json`` keeps what each stage was given, for whoever opens the run later.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from fatewalk.core.files import read_json, write_json
from fatewalk.core.versions import STAGES
from fatewalk.run.manifest import locked

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "settings.json"
ENTRY = "entry.json"  # beside the input tables
Values = Mapping[str, Mapping[str, Any]]  # by section and key


def sections(values: Values) -> SimpleNamespace:
    """Values by section and key as attributes; they were checked when the config was read."""
    return SimpleNamespace(**{name: SimpleNamespace(**keys) for name, keys in values.items()})


def note_settings(run: Path, stage: str, values: Values) -> None:
    """Keep the settings of a stage that has done its work.

    Parameters
    ----------
    run
        Folder of the run.
    stage
        The stage.
    values
        What it was given.
    """
    with locked(run):
        noted = _noted(run)
        if noted.get(stage) != values:
            noted[stage] = dict(values)
            write_json({name: noted[name] for name in STAGES if name in noted}, run / NAME)


def read_settings(run: Path) -> SimpleNamespace:
    """The settings of all stages that have done their work.

    Of a key that several stages read, that of the first holds: the later ones may not have run again yet.
    """
    merged: dict[str, dict[str, Any]] = {}
    for values in reversed(_noted(run).values()):
        for name, keys in values.items():
            merged.setdefault(name, {}).update(keys)
    return sections(merged)


def of_other_settings(run: Path, read_by: Callable[[str], Values]) -> dict[str, tuple[Any, Any]]:
    """Keys that a run's files were made with another value of: that value and the one of now, by key.

    Parameters
    ----------
    run
        Folder of the run.
    read_by
        Gives the values of now that a stage reads.
    """
    found: dict[str, tuple[Any, Any]] = {}
    for stage, values in _noted(run).items():
        then, now = _flat(values), _flat(read_by(stage))
        found |= {key: (then[key], now[key]) for key in then if key in now and then[key] != now[key]}
    return found


def note_entry(source: Path, keys: Mapping[str, Any]) -> None:
    """Keep the keys of a data set's entry that its input tables were made with, beside them."""
    write_json(dict(keys), source / ENTRY)


def of_another_entry(
    source: Path, keys: Mapping[str, Any], files: Collection[str] = ()
) -> dict[str, tuple[Any, Any]]:
    """Keys that the input tables were made with another value of: that value and the one of now, by key.

    Parameters
    ----------
    source
        Folder of the input tables.
    keys
        The keys of the entry now.
    files
        Those that name files. They count by the files' names: results may have moved with their screen.
    """
    path = source / ENTRY
    then = _flat(read_json(path, delete=f"the folder {source}")) if path.exists() else {}
    now = _flat(keys)

    def value(of: Any, key: str) -> Any:
        return Path(of).name if key in files and of else of

    both = [key for key in then if key in now and value(then[key], key) != value(now[key], key)]
    return {key: (then[key], now[key]) for key in both}


def _flat(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Values by ``section.key``."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{above}{name}"
        flat |= _flat(value, f"{key}.") if isinstance(value, Mapping) else {key: value}
    return flat


def _noted(run: Path) -> dict[str, Any]:
    """Settings by stage, in the order of the chain."""
    noted: dict[str, Any] = {}
    if (run / NAME).exists():
        noted = read_json(run / NAME, delete=f"the folder {run}")
    return noted

"""The settings that the files of a run were made with: ``settings.<section>.<key>``.

A stage gets those of its keys that its results depend on, as plain values, so that it need not import the
config models. ``settings.json`` keeps what each stage was given, for whoever opens the run later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from fatewalk.core.errors import FatewalkError
from fatewalk.core.files import read_json, write_json
from fatewalk.core.versions import STAGES
from fatewalk.run.manifest import locked

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "settings.json"
ENTRY = "entry.json"  # beside the input tables
CONTENTS = "contents"  # its entry for what the files held that the tables were made of
CHECKSUM = "sha256"  # in settings.json, of all else in it
BLOCK, BLOCKS = 2**16, 64
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
            noted = {name: noted[name] for name in STAGES if name in noted}
            write_json({**noted, CHECKSUM: _checksum(noted)}, run / NAME)


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


def note_entry(source: Path, keys: Mapping[str, Any], files: Mapping[str, str]) -> None:
    """Keep the keys of a data set's entry, and what its files held, beside the tables made with them.

    Parameters
    ----------
    source
        Folder of the input tables.
    keys
        The keys of the entry.
    files
        Paths of the files that it names, by key.
    """
    contents = {key: _fingerprint(Path(path)) for key, path in files.items()}
    write_json({**keys, CONTENTS: contents}, source / ENTRY)


def of_other_files(source: Path, files: Mapping[str, str]) -> list[str]:
    """Keys of files that hold something else than those which the input tables were made of.

    Parameters
    ----------
    source
        Folder of the input tables.
    files
        Paths of the files that the entry names now, by key; those that are not there are passed over.
    """
    then = _noted_entry(source).get(CONTENTS, {})
    there = {key: Path(path) for key, path in files.items() if key in then and Path(path).exists()}
    return [key for key, path in there.items() if _fingerprint(path) != then[key]]


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
    then = _flat(_noted_entry(source))
    now = _flat(keys)

    def value(of: Any, key: str) -> Any:
        return Path(of).name if key in files and of else of

    both = [key for key in then if key in now and value(then[key], key) != value(now[key], key)]
    return {key: (then[key], now[key]) for key in both}


def _noted_entry(source: Path) -> dict[str, Any]:
    """The entry that input tables were made with; empty where it was not kept."""
    path = source / ENTRY
    found: dict[str, Any] = read_json(path, delete=f"the folder {source}") if path.exists() else {}
    return found


def _fingerprint(path: Path) -> str:
    """Checksum of a file, of a large one of blocks spread over it; of a folder, of names and sizes in it."""
    digest = hashlib.sha256()
    if path.is_dir():  # a zarr store
        for one in sorted(path.rglob("*")):
            digest.update(f"{one.relative_to(path)} {one.stat().st_size if one.is_file() else ''}\n".encode())
        return digest.hexdigest()
    size = path.stat().st_size
    digest.update(f"{size}\n".encode())
    with path.open("rb") as file:
        for start in range(0, size, max(BLOCK, size // BLOCKS)):
            file.seek(start)
            digest.update(file.read(BLOCK))
    return digest.hexdigest()


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
    if noted.pop(CHECKSUM, None) not in (None, _checksum(noted)):  # None: of an earlier version
        raise FatewalkError(
            f"{run / NAME}: was edited; it says what the files beside it were made with. Delete the folder "
            f"{run} and run the same command again"
        )
    return noted


def _checksum(noted: Mapping[str, Any]) -> str:
    as_read = json.loads(json.dumps(noted))  # keys are text there
    return hashlib.sha256(json.dumps(as_read, sort_keys=True).encode()).hexdigest()

"""``manifest.json`` of a run: which stage made each file, from which fit, with which content.

Every script enters its own files, so that the manifest is right after a partial rerun. No rule
declares it as an output. When a run gets another fit, the files of the one before are set aside.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from fatewalk.files import read_json, write_json
from fatewalk.stages import STAGE_VERSION

NAME = "manifest.json"
STALE = "stale"
CARD = "fit_card.json"  # its entry says which fit the run has
WAIT = 120  # seconds for another job of the run to finish its entry
Manifest = dict[str, dict[str, Any]]


def enter(run: Path, stage: str, files: list[Path], fit: dict[str, str] | None = None) -> None:
    """Enter the files of a stage in the manifest of a run.

    Parameters
    ----------
    run
        Folder ``<results_dir>/<dataset>/<run>``.
    stage
        The stage that wrote the files.
    files
        Its files; those outside the run's folder are passed over.
    fit
        What tells the fit (`fit_entry`); None: the fit of the run's ``fit_card.json``.
    """
    with _locked(run) as manifest:
        found = fit or _fit_of(manifest.get(CARD, {}))
        for path in files:
            if path.is_file() and path.is_relative_to(run):
                manifest[str(path.relative_to(run))] = {
                    "stage": stage,
                    **found,
                    "sha256": _sha256(path),
                    "schema_version": STAGE_VERSION[stage],
                }


def fit_entry(folder: str, card: dict[str, Any]) -> dict[str, str]:
    """What tells a fit: name of its folder, and the hash of its config and design from its card."""
    return {"fit": folder, "fit_sha256": card["hash_of_config_and_design"]}


def set_aside(run: Path, fit: dict[str, str]) -> list[str]:
    """Move the files of any other fit to ``stale/``, so that they do not stand beside this one's.

    Parameters
    ----------
    run
        Folder ``<results_dir>/<dataset>/<run>``.
    fit
        The fit that the run has now (`fit_entry`).

    Returns
    -------
    list of str
        Files that were moved, relative to the run's folder. If there are any, an earlier ``stale/``
        has made room for them.
    """
    with _locked(run) as manifest:
        moved = [name for name, entry in manifest.items() if "fit_sha256" in entry and _fit_of(entry) != fit]
        if moved:
            shutil.rmtree(run / STALE, ignore_errors=True)
        for name in moved:
            del manifest[name]
            if (run / name).exists():
                target = run / STALE / name
                target.parent.mkdir(parents=True, exist_ok=True)
                (run / name).replace(target)
    return moved


def _fit_of(entry: dict[str, Any]) -> dict[str, str]:
    return {key: entry[key] for key in ("fit", "fit_sha256") if key in entry}


@contextmanager
def _locked(run: Path) -> Iterator[Manifest]:
    """The manifest, to be changed in place and then written; other jobs of the run wait."""
    # beside the logs: a lock file stays behind, and a run's folder is for results
    lock = run.parent.parent / "logs" / "manifest" / run.parent.name / f"{run.name}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock, timeout=WAIT):
        path = run / NAME
        manifest: Manifest = read_json(path) if path.exists() else {}
        before = json.dumps(manifest)
        yield manifest
        if json.dumps(manifest) != before:
            write_json(dict(sorted(manifest.items())), path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""``manifest.json`` of a run: which stage made each file, from which fit, with which content.

Every script enters its own files, so that the manifest is right after a partial rerun. No rule
declares it as an output. When a run gets another fit, the files of the one before are set aside.

The folders that a stage has for itself (input tables, designs, fits, summaries) have a ``manifest.json``
each: the stage seals its folder, and those that read there look whether it is still what was sealed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from fatewalk.core.errors import FatewalkError
from fatewalk.core.files import make_folder, need, read_json, reading, write_json
from fatewalk.core.versions import STAGE_VERSION
from fatewalk.run.layout import in_folder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from fatewalk.run.registry.entries import Where

NAME = "manifest.json"
STALE = "stale"
BY_R = ("contrast=*/mash_g*", "contrast=*/engine=mashr/mash_g*")  # tables and mixtures of genes, guides
BEFORE_EXPORT = ("publish_design", "check_delta")  # stages that a refused fit passes
CARD = "fit_card.json"  # its entry says which fit the run has
WAIT = 120  # seconds for another job of the run to finish its entry
Manifest = dict[str, dict[str, Any]]


def enter(
    run: Path, stage: str, files: list[Path], fit: dict[str, str] | None = None, part: bool = False
) -> None:
    """Enter the files of a stage in the manifest of a run.

    Parameters
    ----------
    run
        Folder ``<results_dir>/<dataset>/<run>``.
    stage
        The stage that wrote the files.
    files
        Its files; those outside the run's folder are passed over. Files that the stage made before and
        makes no more (of a mode or an engine that the config names no more) are removed.
    fit
        What tells the fit (`fit_entry`); None: the fit of the run's ``fit_card.json``.
    part
        These are only some of the stage's files; none is removed.
    """
    made = {
        str(path.relative_to(run)): _sha256(path)
        for path in files
        if path.is_file() and path.is_relative_to(run)
    }
    with locked(run) as manifest:
        found = fit or _fit_of(manifest.get(CARD, {}))
        for name, digest in made.items():
            manifest[name] = {
                "stage": stage,
                **found,
                "sha256": digest,
                "schema_version": STAGE_VERSION[stage],
            }
        if not part:
            for name in [n for n, entry in manifest.items() if entry["stage"] == stage and n not in made]:
                _remove(run / name, manifest.pop(name))


def fit_entry(folder: str, card: dict[str, Any]) -> dict[str, str]:
    """What tells a fit: name of its folder, and the hash of its config and design from its card."""
    return {"fit": folder, "fit_sha256": card["hash_of_config_and_design"]}


def verify(run: Path, path: Path, entered: bool = False) -> None:
    """Refuse a file of a run that is not what its stage wrote: edited, cut off, or of another run.

    What R wrote is entered only after it was read, and files that no stage has entered are passed over.

    Parameters
    ----------
    run
        Folder ``<results_dir>/<dataset>/<run>``.
    path
        The file, which need not be there.
    entered
        A stage must have entered it: the run is finished.

    Raises
    ------
    FatewalkError
        If its checksum is another one.
    """
    manifest = _read(run)
    if path.is_file() and (run / "run.json").is_file() and not (run / NAME).is_file():
        raise FatewalkError(
            f"{path}: {NAME}, which says what stages wrote there, is gone; delete the folder {run} and run "
            "the same command again"
        )
    name = str(path.relative_to(run)) if path.is_relative_to(run) else ""
    entry = manifest.get(name)
    if entered and not entry and path.is_file():
        raise FatewalkError(
            f"{path}: {NAME} does not name it, so no stage of this run wrote it there; delete it and run the "
            "same command again"
        )
    if not entry or entry["stage"] == "run_mashr" or not path.is_file():
        return
    with reading(path):
        found = _sha256(path)
    if found != entry["sha256"]:
        size = "it is empty" if path.stat().st_size == 0 else "it was edited, cut off or replaced"
        raise FatewalkError(
            f"{path}: is not what {entry['stage']} wrote there ({NAME} has its checksum): {size}; delete it "
            "and run the same command again"
        )


def edited(run: Path) -> list[str]:
    """Files of a run that are there, and no more what their stage wrote."""
    return [
        name
        for name, entry in _read(run).items()
        if entry["stage"] != "run_mashr" and (run / name).is_file() and _sha256(run / name) != entry["sha256"]
    ]


def fit_of_run(run: Path) -> dict[str, str]:
    """What tells the fit that a run has; empty where ``check_delta`` has not entered its card."""
    return _fit_of(_read(run).get(CARD, {}))


def seal(folder: Path, stage: str, where: Where, fit: dict[str, str] | None = None) -> None:
    """Keep the checksums of the files that a stage has written to a folder of its own.

    Parameters
    ----------
    folder
        The folder.
    stage
        The stage.
    where
        What the folder is of.
    fit
        What tells the fit (`fit_entry`), where the files are made of one.
    """
    write_json(
        {
            name: {"stage": stage, "folder": folder.name, **(fit or {}), "sha256": _sha256(folder / name)}
            for name in in_folder(stage, where)
            if (folder / name).is_file()
        },
        folder / NAME,
    )


def need_sealed(folder: Path, fit: dict[str, str] | None = None, names: Collection[str] = ()) -> None:
    """Refuse a folder of a stage in which a file was edited or replaced since, or that is another one's.

    Parameters
    ----------
    folder
        The folder; one without a manifest, of an earlier version, is passed over.
    fit
        The fit that it must be made of; None: of none.
    names
        Only these files; empty: all.

    Raises
    ------
    FatewalkError
        Naming the file, or the folder.
    """
    for name, entry in _read(folder).items():
        if not names or name in names:
            verify(folder, folder / name)
        if fit and _fit_of(entry) != fit:
            raise FatewalkError(
                f"{folder}: is of another fit than the files it is read with ({NAME} has which): one was "
                "copied from elsewhere; add -F to the command to make all of it anew"
            )
        if entry.get("folder") != folder.name:
            raise FatewalkError(
                f"{folder}: is not what {entry['stage']} wrote there ({NAME} has what it is made of): it was "
                "copied from elsewhere; delete the folder and run the same command again"
            )


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
        Files that were moved, relative to the run's folder.
    """
    with locked(run) as manifest:
        others = [name for name, entry in manifest.items() if "fit_sha256" in entry and _fit_of(entry) != fit]
        return _move(run, manifest, others)


def set_aside_export(run: Path) -> list[str]:
    """Move what an earlier export has led to, as `set_aside` does: the export is refused now."""
    with locked(run) as manifest:
        later = [name for name, entry in manifest.items() if entry["stage"] not in BEFORE_EXPORT]
        return _move(run, manifest, later)


def prune(run: Path) -> None:
    """Drop the entries of files that are not there: Snakemake removes the outputs of a job that fails."""
    with locked(run) as manifest:
        for name in [name for name in manifest if not (run / name).exists()]:
            del manifest[name]


def _move(run: Path, manifest: Manifest, names: list[str]) -> list[str]:
    """Move files to ``stale/``, in place of what is there.

    Of a fit that was refused itself there is only its figure of convergence: it is removed, and what an
    earlier fit left in ``stale/`` stays.
    """
    there = [name for name in names if (run / name).exists()]
    exported = [name for name in there if manifest[name]["stage"] not in BEFORE_EXPORT]
    if exported:
        # what R made of them, too; it is entered only once the calls have read it
        by_r = [str(path.relative_to(run)) for pattern in BY_R for path in run.glob(pattern)]
        there += [name for name in by_r if name not in manifest]
        shutil.rmtree(run / STALE, ignore_errors=True)
    for name in there:
        target = run / STALE / name
        if exported:
            target.parent.mkdir(parents=True, exist_ok=True)
            (run / name).replace(target)
        else:
            (run / name).unlink()
    for name in names:
        del manifest[name]
    return there if exported else []


def _remove(path: Path, entry: dict[str, Any]) -> None:
    """Remove a file, if it still is what was entered: R may have written its own table there by now."""
    if path.exists() and _sha256(path) == entry["sha256"]:
        path.unlink()


def _fit_of(entry: dict[str, Any]) -> dict[str, str]:
    return {key: entry[key] for key in ("fit", "fit_sha256") if key in entry}


@contextmanager
def locked(run: Path) -> Iterator[Manifest]:
    """The manifest, to be changed in place and then written; other jobs of the run wait."""
    # beside the logs: a lock file stays behind, and a run's folder is for results
    lock = run.parent.parent / "logs" / "manifest" / run.parent.name / f"{run.name}.lock"
    make_folder(lock.parent)
    try:
        held = FileLock(lock, timeout=WAIT).acquire()
    except (OSError, NotImplementedError) as error:
        raise FatewalkError(
            f"{lock}: this lock, by which the jobs of a run take turns at manifest.json, cannot be taken "
            f"({error or type(error).__name__}); remove the file if no job is running, or set results_dir to "
            "a file system with file locks"
        ) from error
    with held:
        manifest = _read(run)
        before = json.dumps(manifest)
        yield manifest
        if json.dumps(manifest) != before:
            write_json(dict(sorted(manifest.items())), run / NAME)


def _read(run: Path) -> Manifest:
    """The manifest; empty where there is none."""
    path = run / NAME
    manifest: Manifest = read_json(path, delete=f"the folder {run}") if path.exists() else {}
    for entry in manifest.values():
        need(path, "entry", ["stage", "sha256"], entry)
    return manifest


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

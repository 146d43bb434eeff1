"""Files: atomic writing, JSON, and the words for what goes wrong with them. Needs neither NumPy nor pandas.

Every file of the workflow is written under a temporary name and then moved, so that a killed job
leaves nothing half-written behind.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import json
import math
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fatewalk.core.errors import FatewalkError, is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


# What the system refuses, and how to mend it.
MENDS = {
    errno.ENOSPC: "make room on that disk",
    errno.EDQUOT: "your quota there is used up: make room, or have it raised",
    errno.EACCES: "see who owns it and who may use it (ls -ld)",
    errno.EPERM: "see who owns it and who may use it (ls -ld)",
    errno.EROFS: "its file system is mounted read-only: set results_dir to a folder that can be written to",
    errno.ENAMETOOLONG: "give the data set or the run a shorter name, or results_dir a shorter path",
    errno.EISDIR: "a folder stands where a file is needed: move it away",
    errno.ENOTDIR: "a file stands where a folder is needed: move it away",
    errno.EEXIST: "a file stands where a folder is needed: move it away",
    errno.EAGAIN: "it is locked, another program has it open for writing: close that program",
    errno.EMFILE: "raise the number of open files (ulimit -n)",
    errno.ESTALE: "the network file system lost it",
    errno.EIO: "the disk or the network file system fails: look at it with whoever runs it",
}


def fault(error: OSError) -> str:
    """What the system refuses and how to mend it, ``No space left on device; make room ...``."""
    what = os.strerror(error.errno) if error.errno else str(error)
    mend = MENDS.get(error.errno or 0, "see whether the file system works")
    return f"{what}; {mend} and run the same command again"


def _refusal(error: BaseException) -> OSError | None:
    """The refusal of the system behind an exception: torch raises one of its own on top of it."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    return cause


def make_folder(folder: Path) -> None:
    """Make a folder and those above it.

    Raises
    ------
    FatewalkError
        If the system does not let it be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FatewalkError(f"{folder}: this folder cannot be made: {fault(error)}") from error


def need_writable(folder: str | Path, mend: str) -> None:
    """Refuse a folder that may not be written to, or cannot be made because one above it may not.

    Raises
    ------
    FatewalkError
        With the mend.
    """
    folder = Path(folder).absolute()
    there = next(one for one in (folder, *folder.parents) if one.exists())
    if not there.is_dir():
        raise FatewalkError(f"{there}: is a file, and a folder is needed here; {mend}")
    if not os.access(there, os.W_OK):
        raise FatewalkError(f"{there}: this folder cannot be written to by you; {mend}")


@contextlib.contextmanager
def opening(path: str | Path) -> Iterator[None]:
    """Around the reading of a user's own file: what the system refuses is told, all else is the reader's.

    Raises
    ------
    FatewalkError
        If the file may not be read, is locked, or its file system fails.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in MENDS:
            raise
        raise FatewalkError(f"{path}: cannot be read: {fault(error)}") from error


@contextlib.contextmanager
def reading(path: str | Path, delete: str | Path = "it") -> Iterator[None]:
    """Around the reading of a file that a stage wrote: whatever is wrong with it ends in one error.

    Parameters
    ----------
    path
        The file.
    delete
        What to delete to have it made again, where that is not the file alone.

    Raises
    ------
    FatewalkError
        If the file is absent, may not be read, or is not what the stage wrote.
    """
    path = Path(path)
    try:
        if path.is_dir():  # pandas would read a folder of Parquet files
            raise IsADirectoryError
        yield
    except Exception as error:
        if isinstance(error, FatewalkError) or is_out_of_memory(error):
            raise
        raise FatewalkError(f"{path}: {_what_is_wrong(path, error, delete)}") from error


def _what_is_wrong(path: Path, error: Exception, delete: str | Path) -> str:
    """Why a file that a stage wrote could not be read, and the mend."""
    if not path.exists():
        return "no such file; the run is not finished, or its file was removed: run the same command (again)"
    again = f"delete {delete} and run the same command again"
    if path.is_dir():
        return f"is a folder, and a file is needed here; {again}"
    if path.stat().st_size == 0:
        return f"is empty; {again}"
    if isinstance(error, OSError) and error.errno in MENDS:
        return f"cannot be read: {fault(error)}"
    return f"is cut off, damaged, or not from this version of fatewalk; {again}"


def need(path: str | Path, what: str, names: Sequence[str], found: object) -> None:
    """Refuse a file of a stage that lacks something which that stage writes there.

    Parameters
    ----------
    path
        The file.
    what
        Such as ``entry`` or ``array``.
    names
        What is needed.
    found
        What was read, a mapping by these names where all is well.

    Raises
    ------
    FatewalkError
        Naming the first that is missing.
    """
    missing = [name for name in names if not isinstance(found, dict) or name not in found]
    if missing:
        raise FatewalkError(
            f"{path}: has no {what} {missing[0]!r}, so it is damaged, or not from this version of fatewalk; "
            "delete it and run the same command again"
        )


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; move it there when the block ends well.

    Yields
    ------
    pathlib.Path
        The temporary name, with the same suffix.

    Raises
    ------
    FatewalkError
        If the system does not let it be written: the disk is full, the folder may not be written to.
    """
    path = Path(path)
    make_folder(path.parent)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        for left in path.parent.glob(f".[0-9]*.{glob.escape(path.name)}"):
            left.unlink(missing_ok=True)  # of a job that was killed while it wrote
        yield temporary
        temporary.replace(path)
    except Exception as error:
        refused = _refusal(error)
        if isinstance(error, FatewalkError) or refused is None:
            raise
        raise FatewalkError(f"{path}: cannot be written: {fault(refused)}") from error
    finally:
        temporary.unlink(missing_ok=True)


def copy_file(source: str | Path, target: str | Path) -> None:
    """Copy a file of a stage; the target is whole or not there.

    Raises
    ------
    FatewalkError
        If the one cannot be read or the other cannot be written.
    """
    with reading(source):
        Path(source).open("rb").close()  # what it holds is the reader's affair
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def write_json(content: Any, path: str | Path) -> None:
    """Write JSON, indented, with NumPy numbers and arrays as plain ones; NaN becomes null."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(_plain(content), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: str | Path, entries: Sequence[str] = (), delete: str | Path = "it") -> Any:
    """Read a JSON file that a stage wrote.

    Parameters
    ----------
    path
        The file.
    entries
        What must be there.
    delete
        As in `reading`.

    Raises
    ------
    FatewalkError
        If it is not what the stage wrote.
    """
    with reading(path, delete):
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("no entries by name")
    need(path, "entry", entries, found)
    return found


def _plain(value: Any) -> Any:
    """Plain containers; what NumPy holds becomes plain by its own ``tolist``."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

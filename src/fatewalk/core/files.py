"""Files: atomic writing, JSON. Needs neither NumPy nor pandas.

Every file of the workflow is written under a temporary name and then moved, so that a killed job
leaves nothing half-written behind.
"""

from __future__ import annotations

import contextlib
import glob
import json
import math
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; move it there when the block ends well.

    Yields
    ------
    pathlib.Path
        The temporary name, with the same suffix.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".[0-9]*.{glob.escape(path.name)}"):
        left.unlink(missing_ok=True)  # of a job that was killed while it wrote
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def copy_file(source: str | Path, target: str | Path) -> None:
    """Copy a file; the target is whole or not there."""
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def write_json(content: Any, path: str | Path) -> None:
    """Write JSON, indented, with NumPy numbers and arrays as plain ones; NaN becomes null."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(_plain(content), indent=2, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file that the workflow wrote."""
    return json.loads(Path(path).read_text())


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

"""``fatewalk report``: the page of a run again, from its finished tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fatewalk.core.errors import FatewalkError
from fatewalk.core.files import need_writable
from fatewalk.report import NAME, write_page
from fatewalk.run.manifest import enter

if TYPE_CHECKING:
    from pathlib import Path

    from fatewalk.run.files import Run


def write_again(run: Run, output: Path | None) -> Path:
    """Write the page of a run.

    Parameters
    ----------
    run
        The run; its tables are checked against its manifest as they are read.
    output
        Where to; None: into the folder of the run, as the workflow does.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    FatewalkError
        If a table is missing or edited, the file cannot be written, or ``output`` is there already.
    """
    path = run.folder / NAME if output is None else output
    if output is not None and output.exists():
        raise FatewalkError(f"{output}: is there already; name another file, or delete it")
    need_writable(path.parent, "name a file elsewhere with --output")
    write_page(run, path)
    if output is None:
        enter(run.folder, "write_report", [path])
    return path

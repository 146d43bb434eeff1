"""What every script of the workflow does first and last: the log, the message of an error, the manifest."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from fatewalk.core.errors import FatewalkError, is_out_of_memory
from fatewalk.core.files import fault
from fatewalk.run.manifest import enter
from fatewalk.run.settings import note_settings, sections

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from fatewalk.run.files import Run

log = logging.getLogger("fatewalk")

FORMAT = "%(asctime)s %(levelname)s %(message)s"  # `fatewalk.workflow.closing` looks for the level


def run_stage(
    stage: str,
    main: Callable[[Any], None],
    snakemake: Any,
    *user_errors: type[Exception],
    manifest: bool = True,
    part: bool = False,
) -> None:
    """Run the body of a rule's script, then enter its files in the manifest of the run.

    Log lines go to the rule's log file and to standard error. A user's mistake ends the job with
    its message alone, any other exception is a defect and keeps its traceback; either stands in the
    log, and `fatewalk.workflow.closing` shows it at the end of Snakemake's own output, where it is
    looked for. So do a refusal of the system (no space, no permission) and a request to end (SIGTERM,
    Ctrl-C), which leave nothing half-written.

    Parameters
    ----------
    stage
        Name of the stage.
    main
        Function of the ``snakemake`` object.
    snakemake
        The object that Snakemake hands to a script.
    *user_errors
        Exceptions beside FatewalkError that are a user's mistake.
    manifest
        Enter the outputs below the run's folder; False where `main` enters them itself.
    part
        Other jobs of the run make other files of the stage (`fatewalk.run.manifest.enter`).
    """
    try:
        file = _Log(snakemake.log[0], mode="w")
    except OSError as error:
        sys.exit(f"{snakemake.log[0]}: this log cannot be written: {fault(error)}")
    terminal = logging.StreamHandler(sys.stderr)
    terminal.addFilter(lambda record: record.levelno < logging.ERROR)
    logging.basicConfig(format=FORMAT, datefmt="%H:%M:%S", handlers=[file, terminal], force=True)
    log.setLevel(logging.INFO)  # other packages speak up only with warnings
    _one_line_each()
    signal.signal(signal.SIGTERM, _end)
    expected: tuple[type[Exception], ...] = (FatewalkError, *user_errors)
    try:
        main(snakemake)
        run = run_folder(snakemake)
        if run is not None and manifest:
            enter(run, stage, [Path(path) for path in snakemake.output], part=part)
        if run is not None and (given := snakemake.params.get("settings")):
            note_settings(run, stage, given)
    except expected as error:
        log.error("%s", error)
        sys.exit(1)
    except OSError as error:
        log.error("%s", ": ".join([*_names_of(error), fault(error)]))
        sys.exit(1)
    except KeyboardInterrupt:
        log.error("asked to end (Ctrl-C); run the same command again")
        sys.exit(130)
    except Exception as error:
        if is_out_of_memory(error):
            log.error("out of memory (%s): give the job more, see docs/hpc.md", error or "no more said")
            sys.exit(1)
        log.exception("this is a defect of fatewalk; please report it with this log")
        sys.exit(1)


class _Log(logging.FileHandler):
    """The log of a job; what cannot be written there, because the disk is full, is printed."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Print the line."""
        print(record.getMessage(), file=sys.stderr)


def _names_of(error: OSError) -> list[str]:
    """The file that the system refuses, if it says which."""
    return [str(name) for name in (error.filename, error.filename2) if name][-1:]


def _end(number: int, frame: FrameType | None) -> None:
    """End as after an error, so that no temporary file is left; a fit listens for itself."""
    log.error("asked to end (SIGTERM); run the same command again")
    sys.exit(128 + number)


def _one_line_each() -> None:
    """What other packages print goes to the log, a line each: warnings, errors in their own threads."""

    def warn(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        log.info("a package warns: %s", " ".join(str(message).split()))

    def in_thread(what: threading.ExceptHookArgs) -> None:
        log.warning("a thread ended: %s", what.exc_value)

    def at_removal(what: sys.UnraisableHookArgs) -> None:
        log.warning("%s", what.exc_value)

    warnings.showwarning, threading.excepthook, sys.unraisablehook = warn, in_thread, at_removal


def run_folder(snakemake: Any) -> Path | None:
    """Folder of the run that a job writes into, ``<results_dir>/<dataset>/<run>``; None for other jobs."""
    names = [getattr(snakemake.wildcards, name, None) for name in ("dataset", "run")]
    if None in names:
        return None
    marker = "/{}/{}/".format(*names)
    head, found, _ = str(snakemake.output[0]).rpartition(marker)
    return Path(head + found) if found else None


def run_of(snakemake: Any) -> Run:
    """The run that a job writes into, with the contrasts and settings that its rule was given."""
    from fatewalk.run.files import Run  # publish_design only copies and needs no tables

    folder = run_folder(snakemake)
    assert folder is not None, "the rule has no wildcards dataset and run"
    given = snakemake.params
    return Run(folder, given.get("contrasts", []), sections(given.get("settings", {})))

"""Checkpoints of a fit: so that a job that ends early is not lost.

A checkpoint is a file outside the declared outputs, named by a hash of config and inputs. It is
written when its time has come, and when the process is asked to end (SIGTERM, which clusters send
before they kill). It holds everything that the loops carry, random states included, so a resumed
fit takes the same steps as an uninterrupted one. It stays until the outputs of the fit are accepted
(`delete_checkpoints`): a job that is killed after its last step, too, goes on from there.
"""

from __future__ import annotations

import hashlib
import json
import logging
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import torch

from fatewalk import __version__
from fatewalk.config.keys import values_read_by
from fatewalk.core.errors import FatewalkError
from fatewalk.core.files import atomic_path, need, reading
from fatewalk.core.versions import STAGE_VERSION

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from fatewalk.config import FitConfig, ModelConfig

log = logging.getLogger(__name__)

EXIT_CODE = 143  # 128 + SIGTERM, as the shell reports it
PREFIX = "checkpoint-"
CONTENT = ("phase", "state", "before", "rng", "cuda_rng")
LONG = 60.0  # seconds of work that are worth a checkpoint at the end


def checkpoint_path(folder: Path, design: Path, model: ModelConfig, fit: FitConfig) -> Path:
    """File of a fit's checkpoint, ``checkpoint-<16 hex digits>.pt``.

    Its name is a hash of the design, of the keys that the fit depends on, of the version of the
    stage and of the package, and of the device, so that no other fit resumes from it.

    Parameters
    ----------
    folder
        Of the fit.
    design
        File ``design.pt``.
    model, fit
        Sections ``model`` and ``fit``.
    """
    found = hashlib.sha256(design.read_bytes())
    device = "cuda" if fit.device != "cpu" and torch.cuda.is_available() else "cpu"
    read = [
        values_read_by("fit_effects", section, section.model_dump(mode="json")) for section in (model, fit)
    ]
    for value in (*read, STAGE_VERSION["fit_effects"], __version__, device):
        found.update(json.dumps(value, sort_keys=True).encode())
    return folder / f"{PREFIX}{found.hexdigest()[:16]}.pt"


class Checkpoint:
    """Where a fit keeps its state, and whether it is time to write it.

    Use it as a context manager around the fit: only there SIGTERM is caught.

    Parameters
    ----------
    path
        File; None keeps nothing.
    seconds
        Time between two checkpoints.
    """

    def __init__(self, path: Path | None = None, seconds: float = 600.0) -> None:
        self.path = path
        self.seconds = seconds
        self.resumed: dict[str, Any] | None = None
        self._last = self._began = time.monotonic()
        self._terminated = False
        self._handler: Any = None

    def __enter__(self) -> Checkpoint:
        """Read an earlier state, if there is one, and start to listen for SIGTERM."""
        self._last = self._began = time.monotonic()
        if self.path is None:
            return self
        for left in self.path.parent.glob(f".*.{PREFIX}*.pt"):
            left.unlink(missing_ok=True)  # of a job that was killed while it wrote
        if self.path.exists():
            try:
                with reading(self.path):
                    found = torch.load(self.path, weights_only=True)
                need(self.path, "entry", CONTENT, found)
                log.info("resuming from %s (%s)", self.path, found["phase"])
                self.resumed = found
            except FatewalkError:  # it only saves time
                log.warning("%s cannot be read (cut off, perhaps); the fit starts anew", self.path)
        if threading.current_thread() is threading.main_thread():  # others may not listen
            self._handler = signal.signal(signal.SIGTERM, self._on_sigterm)
        return self

    def __exit__(self, *error: object) -> None:
        """Listen no more; end here if that was asked for after the last chance to write."""
        if self._handler is not None:
            signal.signal(signal.SIGTERM, self._handler)
        if self._terminated and error[0] is None:
            log.error("asked to end (SIGTERM); run the same command again")
            raise SystemExit(EXIT_CODE)

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        self._terminated = True

    @property
    def due(self) -> bool:
        """Whether the state is to be handed to ``save`` now."""
        if self.path is None:
            return False
        return self._terminated or time.monotonic() - self._last >= self.seconds

    @property
    def worth_it(self) -> bool:
        """Whether so much has been done that it is kept at its end, too."""
        if self.path is None:
            return False
        return self._terminated or time.monotonic() - self._began >= min(self.seconds, LONG)

    def state(self, phase: str) -> dict[str, Any] | None:
        """State to resume this phase from; None: begin it."""
        if self.resumed is None or self.resumed["phase"] != phase:
            return None
        torch.set_rng_state(self.resumed["rng"])
        if self.resumed["cuda_rng"]:
            torch.cuda.set_rng_state_all(self.resumed["cuda_rng"])
        state: dict[str, Any] = self.resumed["state"]
        return state

    def finished(self, phase: str) -> dict[str, Any] | None:
        """The state in which this phase ended, if the checkpoint is of a later one."""
        return self.resumed["before"].get(phase) if self.resumed else None

    def save(self, phase: str, state: dict[str, Any], before: dict[str, Any] | None = None) -> None:
        """Write the state; end the process if it was asked to end.

        Parameters
        ----------
        phase
            Loop that the state belongs to.
        state
            Tensors and plain containers.
        before
            States in which earlier phases ended, by phase.

        Raises
        ------
        SystemExit
            After SIGTERM, with code 143.
        """
        assert self.path is not None
        content = {
            "phase": phase,
            "state": state,
            "before": before or {},
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        try:
            with atomic_path(self.path) as temporary, temporary.open("wb") as file:
                torch.save(content, file)
            log.info("checkpoint written: %s", self.path)
        except FatewalkError as error:  # the fit itself may still end well
            log.warning("no checkpoint: %s", error)
        self._last = time.monotonic()
        if self._terminated:
            log.error("asked to end (SIGTERM); run the same command again to resume")
            raise SystemExit(EXIT_CODE)


def delete_checkpoints(folder: Path) -> None:
    """Remove the checkpoints of a fit whose outputs were accepted, so that a forced rerun fits anew."""
    for pattern in (f"{PREFIX}*.pt", f".*.{PREFIX}*.pt"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)

"""A run as stages write it, and as figures and readers take it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from fatewalk.core.errors import FatewalkError, one_of
from fatewalk.core.files import copy_file, need, read_json, write_json
from fatewalk.core.schema import TRUTH_THETA, Estimand
from fatewalk.core.tables import FOR_PEOPLE, read_arrays, read_own_table, unshield, write_table
from fatewalk.estimates.estimand import estimand_of_evidence
from fatewalk.evaluate.recovery import truth_for_contrast
from fatewalk.run.layout import contrast_folder, in_contract, made_by
from fatewalk.run.manifest import NAME as MANIFEST
from fatewalk.run.manifest import fit_of_run, verify
from fatewalk.run.settings import NAME as SETTINGS
from fatewalk.run.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from fatewalk.config import RunSettings
    from fatewalk.estimates.estimand import Chosen

WITHHELD = "hits_withheld.csv"
#: Columns of names, which may look like numbers.
NAMES = ("gene", "guide", "fate", "contrast", "reference", "also_moved", "day", "strongest_day",
         "active_days", "best_day", "best_day_among_active", "pattern", "marks", "not_resolved",
         "needed_control", "needed_replicate", "largest_guide")  # fmt: skip
OF_TRUTH = tuple(name for name in NAMES if name != "day")  # there it is the place among the days


@dataclass(frozen=True)
class Run:
    """A run: its folder, and the tables in it by contrast.

    Attributes
    ----------
    folder
        ``<results_dir>/<dataset>/<run>``; the input tables of the data set lie beside it.
    contrasts
        Fates of the effects.
    settings
        ``settings.<section>.<key>``: those that the results depend on.
    keep
        Whatever must live as long as the run, such as a temporary folder.
    """

    folder: Path
    contrasts: Sequence[str]
    settings: RunSettings | SimpleNamespace
    keep: Any = field(default=None, repr=False, compare=False)
    _opened: Any = field(default=None, repr=False, compare=False)  # what a finished run was made of
    _own: set[Path] = field(default_factory=set, repr=False, compare=False)  # written by this very object
    _held: dict[tuple[str, Path], Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def load(cls, folder: str | Path) -> Run:
        """Open the folder of a run.

        Raises
        ------
        FatewalkError
            If it is none.
        """
        folder = Path(folder)
        for name in ("run.json", SETTINGS, MANIFEST):
            if not (folder / name).is_file():
                raise FatewalkError(f"{folder}: is no folder of a run as this version writes it: no {name}")
        made_of = read_json(folder / "run.json", ["contrasts"])
        verify(folder, folder / "run.json")
        settings = read_settings(folder)
        need(folder / SETTINGS, "entry", ["model"], vars(settings))
        return cls(folder, made_of["contrasts"], settings, _opened=_identity(folder))

    # ------------------------------------------------------------- what it is

    @property
    def primary(self) -> str:
        """The contrast whose contract tables stand at the run's top as well."""
        return str(self.settings.model.contrast_fate)

    @property
    def reference(self) -> str:
        """The fate that the effects are against."""
        return str(self.settings.model.ref_fate)

    def choose(self, contrast: str | None) -> str:
        """A contrast by name, or the primary one.

        Raises
        ------
        FatewalkError
            If the run has no such contrast.
        """
        if contrast is None:
            return self.primary
        one_of("contrast", contrast, self.contrasts)
        return contrast

    @property
    def estimand(self) -> Chosen:
        """What the calls ask for, ``calls.estimand: auto`` resolved by what replicates and guides tell."""
        calls = self.settings.calls
        source = getattr(calls, "source", "mash_fates")
        return estimand_of_evidence(calls.estimand, source, self.arrays("evidence.npz"))

    @property
    def calls(self) -> Any:
        """Section ``calls``, with the estimand that `estimand` has resolved."""
        return SimpleNamespace(**{**vars(self.settings.calls), "estimand": self.estimand.name})

    @property
    def withheld(self) -> bool:
        """Whether hits are kept out of hits.csv, since the certificate failed."""
        return (self.folder / WITHHELD).is_file() and len(self.table(WITHHELD)) > 0

    @property
    def all_hits(self) -> pd.DataFrame:
        """Hits, those that are withheld as well; read once, so not to be changed."""
        return self.table(WITHHELD if self.withheld else "hits.csv")

    @property
    def source(self) -> Path:
        """Folder of the input tables, those of its label set; with the truth of a simulated screen."""
        first = self.folder.parent / "input"
        own = first / f"labels={self.folder.name}"
        return own if own.is_dir() else first

    @property
    def has_truth(self) -> bool:
        """Whether the screen was simulated and its truth is at hand."""
        return (self.source / "truth_theta.csv").is_file()

    @property
    def days(self) -> list[str]:
        """Labels of the days in time order, [D]."""
        return [day["label"] for day in self.json("design_report.json")["days"]]

    @property
    def times(self) -> list[float]:
        """Their real times, [D]."""
        return [day["time"] for day in self.json("design_report.json")["days"]]

    @property
    def day_cells(self) -> np.ndarray:
        """Cells of each day, [D]."""
        return np.array([day["cells"] for day in self.json("design_report.json")["days"]], dtype=float)

    # ---------------------------------------------------- what figures look at

    def table(self, name: str, contrast: str | None = None) -> pd.DataFrame:
        """A table of a contrast, or of the run's top; read once, so not to be changed."""
        path = self.folder / name if contrast is None else self.path(contrast, name)
        table: pd.DataFrame = self._hold("table", path, lambda: self._read(path))
        return table

    def tables(self, name: str) -> dict[str, pd.DataFrame]:
        """A table of every contrast; read once, so not to be changed."""
        return {contrast: self.table(name, contrast) for contrast in self.contrasts}

    def effects(self, level: str, scale: str) -> pd.DataFrame:
        """Rows of effects.parquet of a level on a scale; read once, so not to be changed."""
        path, rows = self.folder / "effects.parquet", {"level": level, "scale": scale}
        table: pd.DataFrame = self._hold(
            f"effects of {level}s by {scale}", path, lambda: self._read(path, rows)
        )
        return table

    def arrays(self, name: str, contrast: str | None = None) -> dict[str, np.ndarray]:
        """Arrays of an ``.npz`` file of a contrast, or of the run's top; read once, so not to be changed."""
        path = self.folder / name if contrast is None else self.path(contrast, name)
        found: dict[str, np.ndarray] = self._hold("arrays", path, lambda: read_arrays(self.checked(path)))
        return found

    def json(self, name: str) -> Any:
        """Content of a JSON file at the run's top; read once, so not to be changed.

        Raises
        ------
        FatewalkError
            If it is not what its stage wrote.
        """
        path = self.folder / name
        return self._hold("json", path, lambda: read_json(self.checked(path)))

    def truth(self, contrast: str, estimand: Estimand = "library") -> pd.DataFrame:
        """True effects of a simulated screen in logit, genes by days, [L, D]."""
        path = self.source / "truth_theta.csv"
        truth = self._hold("table", path, lambda: read_own_table(path, TRUTH_THETA, text=OF_TRUTH))
        return truth_for_contrast(truth, contrast, self.reference, estimand)

    def checked(self, path: Path) -> Path:
        """A file of the run, once it is known to be what its stage wrote (`fatewalk.run.manifest`).

        Raises
        ------
        FatewalkError
            If it was edited, cut off or replaced since.
        """
        if path not in self._own:  # those are entered only when their stage has ended
            verify(self.folder, path, entered=self._opened is not None)
        return path

    def _read(self, path: Path, rows: Mapping[str, str] | None = None) -> pd.DataFrame:
        """A table of the run, whole or some of its rows."""
        table = read_own_table(self.checked(path), text=NAMES, rows=rows)
        return unshield(table) if path.name in FOR_PEOPLE else table

    def _hold(self, kind: str, path: Path, read: Callable[[], Any]) -> Any:
        """What a file holds, read once as one kind of thing.

        Raises
        ------
        FatewalkError
            If the run was made anew since it was opened: old and new would stand side by side.
        """
        if self._opened and self.folder.is_dir() and _identity(self.folder) != self._opened:
            raise FatewalkError(
                f"{self.folder}: was made anew since it was opened; open it again with fatewalk.load"
            )
        if (kind, path) not in self._held:
            self._held[kind, path] = read()
        return self._held[kind, path]

    def _forget(self, path: Path) -> None:
        for kind in ("table", "arrays", "json"):
            self._held.pop((kind, path), None)

    # --------------------------------------------- what stages read and write

    def path(self, contrast: str, name: str) -> Path:
        """File of a contrast."""
        return self.folder / contrast_folder(contrast) / name

    def read(self, contrast: str, name: str) -> pd.DataFrame:
        """Read a table of a contrast."""
        return self._read(self.path(contrast, name))

    def read_json(self, contrast: str, name: str) -> Any:
        """Read a JSON file of a contrast."""
        return read_json(self.checked(self.path(contrast, name)))

    def write(self, content: pd.DataFrame | dict[str, Any], contrast: str, name: str) -> None:
        """Write a table or JSON of a contrast, at the top too if it is of the contract."""
        path = self.path(contrast, name)
        self._forget(path)
        self._own.add(path)
        if isinstance(content, dict):
            write_json(content, path)
        else:
            write_table(content, path)
        self.publish(contrast, name)

    def publish(self, contrast: str, name: str) -> None:
        """Copy a contract table of the primary contrast to the run's top."""
        if contrast == self.primary and in_contract(name):
            self._forget(self.folder / name)
            self._own.add(self.folder / name)
            copy_file(self.path(contrast, name), self.folder / name)

    def made_by(self, stage: str) -> list[Path]:
        """Tables and JSON files that a stage makes of the run."""
        mash = getattr(self.settings, "mash", None)  # only of some stages do files depend on it
        modes = mash.modes if mash else ()
        return [self.folder / name for name in made_by(stage, self.contrasts, modes)]


def _identity(folder: Path) -> tuple[Any, Any]:
    """What the files of a run are made of: the fit, and the settings of each stage."""
    return fit_of_run(folder), read_settings(folder)

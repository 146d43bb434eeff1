"""The files of a run as the scripts read and write them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fatewalk.core.files import copy_file, read_json, write_json
from fatewalk.core.tables import read_table, write_table
from fatewalk.workflow.layout import contrast_folder, in_contract

NAMES = ("gene", "guide", "active_days", "best_day", "best_day_among_active", "pattern")


@dataclass(frozen=True)
class RunFiles:
    """Tables of a run by contrast; contract tables of the primary contrast are written twice.

    Attributes
    ----------
    folder
        Of the run.
    contrasts
        All contrasts.
    primary
        The contrast whose contract tables stand at the run's top as well.
    """

    folder: Path
    contrasts: list[str]
    primary: str

    def path(self, contrast: str, name: str) -> Path:
        """File of a contrast."""
        return self.folder / contrast_folder(contrast) / name

    def read(self, contrast: str, name: str) -> pd.DataFrame:
        """Read a table of a contrast."""
        return read_table(self.path(contrast, name), ["gene"], text=NAMES)

    def read_all(self, name: str) -> dict[str, pd.DataFrame]:
        """Read a table of every contrast."""
        return {contrast: self.read(contrast, name) for contrast in self.contrasts}

    def read_json(self, contrast: str, name: str) -> Any:
        """Read a JSON file of a contrast."""
        return read_json(self.path(contrast, name))

    def write(self, content: pd.DataFrame | dict[str, Any], contrast: str, name: str) -> None:
        """Write a table or JSON of a contrast, at the top too if it is of the contract."""
        path = self.path(contrast, name)
        if isinstance(content, dict):
            write_json(content, path)
        else:
            write_table(content, path)
        self.publish(contrast, name)

    def publish(self, contrast: str, name: str) -> None:
        """Copy a contract table of the primary contrast to the run's top."""
        if contrast == self.primary and in_contract(name):
            copy_file(self.path(contrast, name), self.folder / name)

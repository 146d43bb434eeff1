"""Recorded runs of R mashr: where they are and how they are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from fatewalk.mash import MashData, set_data

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

REPOSITORY = Path(__file__).parents[3]
HERE = REPOSITORY / "tests" / "data" / "mashr_golden"
BESIDE = REPOSITORY.parent / "shared" / "mashr_golden"  # the full collection, where it is present


def cases(here: Sequence[str], beside: Sequence[str]) -> list[Any]:
    """Test parameters: the named cases of the copy in the repository, and of the full collection."""
    named: Mapping[Path, Sequence[str]] = {HERE: here, BESIDE: beside}
    return [
        pytest.param(root / name, id=f"{root.parent.name}-{name}")
        for root, names in named.items()
        for name in names
    ]


class Recorded:
    """Files of one recorded run; skips the test where they are not."""

    def __init__(self, folder: Path) -> None:
        if not folder.exists():
            pytest.skip(f"{folder.name} is not here")
        self.folder = folder
        self.params = self.json("params")

    def json(self, name: str) -> dict[str, Any]:
        return json.loads((self.folder / f"{name}.json").read_text())

    def has(self, name: str) -> bool:
        return any(self.folder.glob(f"{name}.csv*"))

    def csv(self, name: str) -> pd.DataFrame:
        (path,) = self.folder.glob(f"{name}.csv*")
        return pd.read_csv(path, float_precision="round_trip", keep_default_na=False, na_values=[""])

    def numbers(self, name: str) -> np.ndarray:
        return self.csv(name).iloc[:, 1:].to_numpy()

    def data(self, error_correlation: Any, table: str = "input") -> MashData:
        betahat, se = np.hsplit(self.numbers(table), 2)
        return set_data(
            betahat,
            se,
            alpha=self.params["alpha"],
            error_correlation=error_correlation,
            se_inflate=self.params["se_inflate"],
            se_floor=self.params["se_floor"],
        )

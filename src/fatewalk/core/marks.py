"""Marks: what every table of a fit carries that must not be read as usual; mostly nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fatewalk.core.schema import MARKS, PROVISIONAL, UNCENTRED

Marks = Mapping[str, Any]  # value by the name of its column


def marks_of_card(card: Mapping[str, Any]) -> dict[str, Any]:
    """Marks of a fit, from its ``fit_card.json``."""
    found: dict[str, Any] = {}
    if card["status"] != "converged":
        found[PROVISIONAL] = card["status"]
    if not card["center_delta"]:
        found[UNCENTRED] = True
    return found


def marks_of(columns: pd.DataFrame | Mapping[str, Any]) -> dict[str, Any]:
    """Marks that a table, or the arrays of a file, carry; they hold for all rows."""
    found = {name: np.ravel(columns[name])[:1].tolist() for name in MARKS if name in columns}
    return {name: first[0] for name, first in found.items() if first and not pd.isna(first[0])}

"""Columns that look like clones, embryos, wells, batches or mice, and are not used."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fatewalk.core.tables import holds_lists

if TYPE_CHECKING:
    from collections.abc import Collection

#: Names of units that cells may share, by the key that names their column.
UNITS = {
    "cluster_key": (
        "clone|clonal|clonotype|larry|lineage[_. -]?barcode|celltag|embryo|well|organoid|gastruloid|blastoid"
        "|embryoid([_. -]?bod(y|ie))?|eb|spheroid|tumou?roid|explant|larva|colony|tumou?r"
    ),
    "rep_key": (
        "batch|sample|plate|replicate|rep|mouse|animal|fish|donor|patient|subject|individual|litter|cage|dish"
        "|flask|slide|lane|library|pool|hashtag|hto|orig[_. -]ident"
    ),
}
OF_UNIT = "([_. -]?(id|no|nr|number|name|barcode|code))?"
SHARING = 0.2  # cells that share their value with another, below which a column names cells, not groups


def note_unused(columns: pd.DataFrame, used: Collection[str | None], day: str, rep: str | None) -> list[str]:
    """Name the columns of units that no key names; their cells would be taken as independent.

    Parameters
    ----------
    columns
        All columns of the cells, [N, any].
    used
        Those that a key names.
    day, rep
        Columns of day and replicate; what these determine is not told again.

    Returns
    -------
    list of str
        Sentences for the notes.
    """
    columns = columns[[name for name in columns if not holds_lists(columns[name])]]  # no names of units
    place = np.zeros(len(columns), dtype=np.int64)  # [N] combination of day and replicate
    for name in (day, rep):
        if name in columns:
            codes, values = pd.factorize(columns[name])
            place = place * (len(values) + 1) + codes + 1
    n_places = len(np.unique(place))
    notes = []
    for key, words in UNITS.items():
        named = re.compile(rf"(^|[_. -])({words})s?{OF_UNIT}($|[_. -])", re.IGNORECASE)
        for name in columns.columns:
            if name in used or not named.search(str(name)):
                continue
            codes, values = pd.factorize(columns[name])  # [N] -1: no value
            n_pairs = len(np.unique(place * (len(values) + 1) + codes + 1))
            sharing = np.bincount(codes[codes >= 0], minlength=1)[codes] > 1
            if len(values) > 1 and sharing[codes >= 0].sum() > SHARING * len(codes) and n_pairs > n_places:
                notes.append(
                    f"Column {str(name)!r} ({len(values)} values) is not used. If its cells belong together, "
                    f"set {key}: {name}, or name it under covariates; else their labels count as independent."
                )
    return notes

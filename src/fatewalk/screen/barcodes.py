"""Names of cells, in the table of the cells and in the calls: the same cells, each once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from fatewalk.core.errors import FatewalkError, quoted
from fatewalk.core.names import is_spoilt
from fatewalk.core.words import count

if TYPE_CHECKING:
    import pandas as pd

NUMBER_AT_END = r"-\d+$"  # of a lane or library, as Cell Ranger and anndata write it
BARCODE = r"([ACGTN]{8,})"
SAME_CELLS = 0.5  # share of the smaller set that must be in the other for a suffix to be the only difference
FEW_SHARED = 0.5  # share of either set below which files are told to be of different cells, perhaps
OTHER_CELLS = 0.1  # ... below which they are: chance alone makes a per cent or two
LANES = (
    "give the barcodes of each lane a suffix of their own, such as the lane's name, in the cells and in the "
    "calls, before they are put together"
)


def refuse_repeated_cells(ids: pd.Index, where: str) -> None:
    """Refuse names of cells that occur twice.

    Raises
    ------
    FatewalkError
        Naming them, and how names of several lanes are kept apart.
    """
    if ids.has_duplicates:
        twice = ids[ids.duplicated()].unique()
        if spoilt := [name for name in twice if is_spoilt(name)]:
            raise FatewalkError(
                f"{where}: {count(len(spoilt), 'name of a cell', 'names of cells')}, {quoted(spoilt)}, "
                f"{'stands' if len(spoilt) == 1 else 'stand'} in several rows, and a spreadsheet rounded "
                "numbers or made dates there; write the names again, and import such columns as text"
            )
        raise FatewalkError(
            f"{where}: {count(len(twice), 'name of a cell occurs', 'names of cells occur')} more than once: "
            f"{quoted(twice)}. If these are barcodes of several lanes, {LANES} (numbering them "
            "anew, as obs_names_make_unique() does, would give one cell the guides of another); if a cell "
            "stands there twice, keep one"
        )


def match_barcodes(
    names: pd.Index, ids: pd.Index, where: str, where_cells: str
) -> tuple[pd.Index, list[str]]:
    """Write the names of cells in the calls as the table of the cells has them.

    Calls usually cover more cells than the table, which holds those that passed quality control. Where no
    name is in both, one suffix that all names of one of them have ("-1") and none of the other is taken for
    the only difference, provided that it is: removing it from all keeps them apart.

    Parameters
    ----------
    names
        Distinct names of cells with calls.
    ids
        Names of the cells, distinct.
    where, where_cells
        Files, for the errors.

    Returns
    -------
    names : pandas.Index
        In the same order.
    notes : list of str
        Sentences for the report.

    Raises
    ------
    FatewalkError
        If the names are of other cells, or of cells that were numbered anew.
    """
    notes: list[str] = []
    row = ids.get_indexer(names)  # of each name; -1: not in the table
    if (row < 0).all():
        found = (
            f"{where}: none of its {len(names)} cells ({quoted(names)}) is in {where_cells}, "
            f"where cells are called {quoted(ids[:3])}"
        )
        of_calls, of_cells = _common_suffix(names), _common_suffix(ids)
        if of_calls is None or of_cells is None or (of_calls == "") == (of_cells == ""):
            raise FatewalkError(f"{found}. {_difference(names, ids)}")
        suffix = of_calls or of_cells
        tried = names.str.slice(0, -len(of_calls) or None) + of_cells
        row = ids.get_indexer(tried)
        if (row >= 0).sum() < SAME_CELLS * min(len(names), len(ids)):
            raise FatewalkError(f"{found}, with or without {suffix!r}. {_difference(names, ids)}")
        names = tried
        notes.append(
            f"Cells of {where} are matched to those of {where_cells} "
            + (f"without their suffix {of_calls!r}." if of_calls else f"with the suffix {of_cells!r}.")
        )
    called = np.bincount(row[row >= 0], minlength=len(ids)) > 0
    known, covered = (row >= 0).mean(), called.mean()
    shares = (
        f"{100 * known:.2g} % of the {len(names)} cells of {where} are in {where_cells}, and "
        f"{100 * covered:.2g} % of the {len(ids)} cells there have a call"
    )
    if max(known, covered) < OTHER_CELLS:
        raise FatewalkError(
            f"{where}: only {shares}. These are files of different cells, whose barcodes meet by chance: "
            f"name the calls of these cells. If they are of several lanes, {LANES}"
        )
    if max(known, covered) < FEW_SHARED:
        notes.append(f"Only {shares}: are all lanes in both, and are they the same?")
    _refuse_made_unique(ids, called, where, where_cells)
    return names, notes


def _common_suffix(names: pd.Index) -> str | None:
    """The suffix of all names (-1), "" if the first has none, None if they differ."""
    found = re.search(NUMBER_AT_END, names[0])
    if found is None:
        return ""
    return found[0] if names.str.endswith(found[0]).all() else None


def _difference(names: pd.Index, ids: pd.Index) -> str:
    """How the names of the same barcode differ, by example, and what to do."""
    barcode = names.str.extract(BARCODE, expand=False), ids.str.extract(BARCODE, expand=False)
    shared = barcode[0][barcode[0].notna() & barcode[0].isin(barcode[1])]
    if len(shared) < SAME_CELLS * min(len(names), len(ids)):
        return "Name the calls of these cells, or write the names of the cells alike in both"
    first = shared[0]
    here, there = names[barcode[0] == first][0], ids[barcode[1] == first]
    several = f" and {there[1]!r}" if len(there) > 1 else ""
    return (
        f"The same barcode is {here!r} in the calls and {there[0]!r}{several} in the cells: write it alike "
        "in both, and where it stands for a lane, write the lane in the calls too"
    )


def _refuse_made_unique(ids: pd.Index, called: np.ndarray, where: str, where_cells: str) -> None:
    """Refuse cells that were numbered anew (a, a-1), when the calls know only the first of each pair."""
    first, second = _first_of_pair(ids[~called], ids)
    if not len(second) or len(_first_of_pair(ids[called], ids)[1]):
        return
    if called[ids.get_indexer(first)].mean() > 0.5:
        raise FatewalkError(
            f"{where_cells}: {len(second)} cells such as {second[0]!r} are named like a second {first[0]!r}, "
            f"as obs_names_make_unique() names them, but {where} knows only the first of each pair, which "
            f"would get the guides of both. If they are of several lanes, {LANES}"
        )


def _first_of_pair(names: pd.Index, ids: pd.Index) -> tuple[pd.Index, pd.Index]:
    """Names that end in a number without which they are another cell's: that other, and they."""
    stem = names.str.replace(NUMBER_AT_END, "", regex=True)
    made = (stem != names) & stem.isin(ids)
    return stem[made], names[made]

"""Fate probabilities: their names against ``model.fates``, and labels as one-hot probabilities."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fatewalk.core.errors import FatewalkError, first_few, nearest, quoted
from fatewalk.core.names import is_missing, refuse_same, same_to_the_ear
from fatewalk.core.words import count
from fatewalk.screen.text import as_codes

if TYPE_CHECKING:
    from collections.abc import Sequence

NUMBERED = re.compile(r"(V|X|col|column|fate|lineage|state)?[_. -]?\d+(\.0)?", re.IGNORECASE)  # V1, 0, fate_2
FEW_CELLS = 10  # of a day and replicate, or with the same soft probabilities
MANY_ALIKE = 0.01  # share of the cells with the same soft probabilities
DISTINCT = 0.9  # probabilities over cells, of the other cells

Report = dict[str, Any]


def match_fates(prob: pd.DataFrame, fates: Sequence[str], where: str) -> tuple[pd.DataFrame, list[str]]:
    """Keep the columns of the configured fates.

    Parameters
    ----------
    prob
        Fate probabilities [N, any], columns named by fate.
    fates
        ``model.fates``.
    where
        File, for the error.

    Returns
    -------
    prob : pandas.DataFrame
        The columns of ``fates`` in the order of the data.
    left_out : list of str
        Other fates of the data; no cell has any probability of them.

    Raises
    ------
    FatewalkError
        If the data lack a fate, or have a further one with some probability, without which the
        others would not sum to one.
    """
    found = [str(name) for name in prob.columns]
    prob = prob.set_axis(found, axis=1)
    if repeated := sorted({name for name in found if found.count(name) > 1}):
        raise FatewalkError(f"{where}: fate {quoted(repeated)} stands in several columns; keep one")
    refuse_same(same_to_the_ear(found), "fates", where)
    others = [name for name in found if name not in fates]
    problems = [f"{fate!r} is not in the data{nearest(fate, others)}" for fate in fates if fate not in found]
    zero = [name for name in others if bool((prob[name] == 0).all())]
    problems += [
        f"{name!r} is not in model.fates"
        + " (a missing value? give these cells a fate, or leave them out)" * is_missing(name)
        for name in others
        if name not in zero
    ]
    if problems:
        numbered = found and not set(found) & set(fates) and all(map(NUMBERED.fullmatch, found))
        mend = (
            "Those of the data are numbers: write the name of each fate in their place, or list them as they "
            "are in model.fates, in quotes"
            if numbered
            else "List every fate of the data in model.fates, spelled alike"
        )
        raise FatewalkError(
            f"{where}: the fates differ: {'; '.join(problems)}. model.fates: "
            f"{', '.join(map(repr, fates))}. Data: {', '.join(map(repr, found)) or 'none'}. {mend}"
        )
    return prob[[name for name in found if name in fates]], zero


def refuse_scale(prob: pd.DataFrame, where: str) -> None:
    """Refuse what stands in the place of probabilities on another scale.

    Raises
    ------
    FatewalkError
        If the values are percentages, counts, logarithms or scores.
    """
    p = prob.dropna().to_numpy(dtype=float)
    if not p.size:
        return
    low, high = p.min(), p.max()
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers that are none
        totals = p.sum(axis=1)
        total = np.median(totals) if np.isfinite(high) else np.inf
    percent = np.abs(totals - 100) < 10
    if low >= 0 and percent.mean() > 0.5:
        what, mend = "percentages", "divide them by 100"
    elif low >= 0 and total > 1.5 and (np.floor(p) == p).all():
        what, mend = "counts", "divide those of each cell by their sum"
    elif low >= 0 and high > 1 and total > 1.5 and not percent.any():
        what, mend = (
            "no probabilities (logarithms of counts?)",
            "give probabilities, which add up to 1",
        )
    elif low < 0 and high <= 0:
        what, mend = "logarithms of probabilities", "take exp of them"
    elif low < 0 and high > 1:
        what, mend = "scores (logits?)", "turn them into probabilities, for logits by softmax"
    else:
        return
    raise FatewalkError(
        f"{where}: the fate probabilities ({', '.join(map(str, prob.columns))}) range from {low:.3g} to "
        f"{high:.3g} and add up to about {total:.3g} in a cell, so they are {what}; {mend}"
    )


def refuse_averages(prob: np.ndarray, day: np.ndarray, rep: np.ndarray) -> None:
    """Refuse probabilities that all cells of a day and replicate have in common.

    Parameters
    ----------
    prob : numpy.ndarray, float64 [N, F]
        Fate probabilities.
    day, rep : numpy.ndarray, int64 [N]
        Of each cell.

    Raises
    ------
    FatewalkError
        If no cell differs from the others of its day and replicate.
    """
    group = day * (int(rep.max()) + 1) + rep  # [N]
    first = np.zeros(group.max() + 1, dtype=np.int64)
    first[group[::-1]] = np.arange(len(prob))[::-1]  # the first cell of each group
    if len(prob) >= FEW_CELLS * len(np.unique(first)) and np.array_equal(prob, prob[first[group]]):
        raise FatewalkError(
            "cells: all cells of a day and replicate have the same fate probabilities, so there is nothing "
            "to compare; give each cell its own, not the average of its day"
        )


def warn_of_copies(prob: np.ndarray, ids: pd.Index, fates: Sequence[str], report: Report) -> None:
    """Warn of fates that are a copy of another, and of many cells with the same soft probabilities.

    Parameters
    ----------
    prob : numpy.ndarray, float64 [N, F]
        Fate probabilities.
    ids
        Names of the cells, [N].
    fates
        Names, [F].
    report
        Gets ``warnings``.
    """
    used = [f for f in range(len(fates)) if prob[:, f].any()]
    copies = [(i, j) for i in used for j in used if i < j and np.array_equal(prob[:, i], prob[:, j])]
    if copies:
        report["warnings"].append(
            f"Fates {first_few(f'{fates[i]!r} and {fates[j]!r}' for i, j in copies)} have the same "
            "probability in every cell: one column seems to be a copy of the other, and their effects come "
            "out alike. Correct it, or add the two up."
        )
    code = _codes(prob)
    soft = prob.max(axis=1) < 1
    cells_of = np.bincount(code[soft], minlength=code.max() + 1)
    alike = cells_of >= max(FEW_CELLS, MANY_ALIKE * len(prob))
    others = cells_of[~alike & (cells_of > 0)]
    if alike.any() and len(others) >= DISTINCT * max(others.sum(), FEW_CELLS):
        most = int(cells_of.argmax())
        rows = np.flatnonzero(code == most)
        shown = ", ".join(f"{fate} {p:.6g}" for fate, p in zip(fates, prob[rows[0]], strict=True))
        report["warnings"].append(
            f"{count(int(cells_of[alike].sum()), 'cell')} share their fate probabilities with many others, "
            f"while those of all other cells differ: {len(rows)} have {shown}, first "
            f"{quoted(ids[rows])}. If they were filled in or filled down, leave these cells "
            "out."
        )


def _codes(prob: np.ndarray) -> np.ndarray:
    """A number for each distinct row, int64 [N]."""
    mixed = np.zeros(len(prob))
    for column, weight in zip(prob.T, np.sqrt(np.arange(2, 2 + prob.shape[1])), strict=True):
        mixed = mixed + weight * column  # of the same digits for the same row, whatever its neighbours
    return np.unique(mixed, return_inverse=True)[1].ravel()


def one_hot(labels: pd.Series, where: str) -> pd.DataFrame:
    """Turn fate labels into probabilities 0 and 1.

    Returns
    -------
    pandas.DataFrame
        float64 [N, number of distinct labels], columns in alphabetical order.

    Raises
    ------
    FatewalkError
        If a cell has no label.
    """
    codes, names = as_codes(labels, where)
    prob = np.zeros((len(codes), len(names)))  # [N, F]
    prob[np.arange(len(codes)), codes] = 1.0
    used = np.flatnonzero(prob.any(axis=0))
    return pd.DataFrame(prob[:, used], columns=names[used]).sort_index(axis=1)

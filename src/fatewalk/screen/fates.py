"""Fate probabilities: their names against ``model.fates``, and labels as one-hot probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fatewalk.core.errors import FatewalkError, nearest, quoted
from fatewalk.core.names import is_missing, refuse_same, same_to_the_ear
from fatewalk.screen.text import as_codes

if TYPE_CHECKING:
    from collections.abc import Sequence


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
        raise FatewalkError(
            f"{where}: the fates differ: {'; '.join(problems)}. model.fates: "
            f"{', '.join(map(repr, fates))}. Data: {', '.join(map(repr, found)) or 'none'}. List "
            "every fate of the data in model.fates, spelled alike"
        )
    return prob[[name for name in found if name in fates]], zero


def refuse_scale(prob: pd.DataFrame, where: str) -> None:
    """Refuse what stands in the place of probabilities on another scale.

    Raises
    ------
    FatewalkError
        If the values are percentages, logarithms or scores of both signs.
    """
    p = prob.dropna().to_numpy(dtype=float)
    if not p.size:
        return
    low, high = p.min(), p.max()
    total = np.median(p.sum(axis=1)) if np.isfinite(high) else np.inf
    if low >= 0 and 90 < total < 110:
        what, mend = "percentages", "divide them by 100"
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

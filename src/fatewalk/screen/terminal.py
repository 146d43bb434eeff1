"""Fate probabilities of cells that are said to have arrived tell whether the names of the fates fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from fatewalk.core.errors import FatewalkError

#: Columns of terminal states beside the one that is named, as CellRank 2 and 1 call them.
TERMINAL_STATES = ("term_states_fwd", "terminal_states")
MIN_CELLS = 5  # terminal cells of a fate below which they say nothing
CLEARLY = 5.0  # standard errors by which another order of the fates must fit better
BY_MUCH = 0.1  # and by how much probability per fate that moves


def check_terminal(prob: pd.DataFrame, states: pd.Series, where: str, mend: str) -> list[str]:
    """Compare fate probabilities with the terminal states of the cells.

    A cell that is terminal in a fate should have its largest probability of that fate. Where another
    order of the fates fits clearly better in total, names and columns have been mixed up.

    Parameters
    ----------
    prob : pandas.DataFrame, [N, F]
        Fate probabilities, columns named by fate.
    states : pandas.Series, [N]
        Fate in which each cell is terminal; missing for the others. Named as in the file.
    where
        Place of the probabilities, for the error.
    mend
        How the names are corrected; ``{order}`` is the order that fits.

    Returns
    -------
    notes : list of str
        Fates whose terminal cells have a larger probability of another fate.

    Raises
    ------
    FatewalkError
        If another order of the fates fits clearly better.
    """
    fates = [str(name) for name in prob.columns]
    p = prob.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)  # [N, F]
    codes, names = pd.factorize(states)
    arrived = np.append(pd.Index(fates).get_indexer(pd.Index(names).astype(str)), -1)[codes]  # [N]
    arrived[~np.isfinite(p).all(axis=1)] = -1
    cells = [np.flatnonzero(arrived == f) for f in range(len(fates))]
    told = [f for f in range(len(fates)) if len(cells[f]) >= MIN_CELLS]  # fates with terminal cells
    if not told or len(set(fates)) < len(fates):
        return []
    mean = np.array([p[cells[f]].mean(axis=0) for f in told])  # [T, F]
    column = linear_sum_assignment(mean, maximize=True)[1]  # [T]
    moved = [(f, c) for f, c in zip(told, column, strict=True) if f != c]
    if moved:
        gains = [p[cells[f], c] - p[cells[f], f] for f, c in moved]
        gain = sum(each.mean() for each in gains)
        error = np.sqrt(sum(each.var() / len(each) for each in gains))
        if gain > CLEARLY * error and gain > BY_MUCH * len(moved):
            order = _order(fates, told, column)
            now, then = (
                ", ".join(
                    f"{row[c]:.2f} of {fates[f]}" for row, f, c in zip(mean, told, columns, strict=True)
                )
                for columns in (told, column)
            )
            raise FatewalkError(
                f"{where}: the names of the fates do not fit the probabilities. Cells have on average a "
                f"probability of the fate in which {states.name!r} puts them of {now}; if the columns were "
                f"{order}, it would be {then}. {mend.format(order=order)}"
            )
    return [
        f"Cells that {states.name!r} puts in fate {fates[f]} have a mean probability of {mean[i, f]:.2f} of "
        f"it, but {mean[i].max():.2f} of {fates[mean[i].argmax()]}: are the names of the fates right?"
        for i, f in enumerate(told)
        if mean[i].argmax() != f
    ]


def _order(fates: list[str], told: list[int], column: np.ndarray) -> str:
    """Names by column; those of fates without terminal cells in the order that is left."""
    taken = {c: fates[f] for f, c in zip(told, column, strict=True)}
    rest = iter(name for f, name in enumerate(fates) if f not in told)
    return f"[{', '.join(taken.get(c) or next(rest) for c in range(len(fates)))}]"

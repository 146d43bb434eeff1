"""Cell covariates: optional columns of the cells table that enter the model as nuisances.

A numeric covariate becomes one column, centred and scaled to SD 1. A categorical one becomes one
indicator column a level, but for the most frequent level, centred over the cells.

Dimensions: N cells, K columns, D days, R replicates.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fatewalk.core.delimited import NUMBER
from fatewalk.core.errors import FatewalkError, nearest, quoted
from fatewalk.core.names import is_missing, refuse_same, same_to_the_ear, same_to_the_eye, spellings
from fatewalk.core.schema import is_reserved
from fatewalk.core.words import count
from fatewalk.screen.text import DECIMAL_COMMA, as_codes, as_sorted_codes

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_LEVELS = 50  # more levels than this are names of cells or the like, not a covariate
FEW_CELLS = 30  # below them one cell may well have half of the variance
# columns that hold labels, also where these are numbers; not numbers of them (n_clusters, nCount_RNA)
LABELS = re.compile(
    r"(?!n_|n[A-Z.]|num|total)(.*[_. -])?(batch|lane|sample|donor|plate|clone|library|leiden|louvain|cluster"
    r"|embryo|well|mouse|animal|patient|chip|run|group|barcode|id|code|index)[_. -]?(id|no|number|code)?",
    re.IGNORECASE,
)
FEW_VALUES = 6  # doses may grow by tens, so that the highest is far from the others
FAR_OFF = 20.0  # times the range of all other values
FEW_WORDS = 0.2  # cells with words among numbers, of all
OUTCOME = 0.5  # share of the variance of a fate within a day above which a covariate is no nuisance
OUTCOME_OF_STATE = 0.1  # ... that is called a state of cells
STATE = re.compile(
    r"cell[_. -]?(type|state)|annotation|leiden|louvain|cluster|fate|lineage|macrostate"
    r"|term(inal)?[_. -]?state|pseudotime",
    re.IGNORECASE,
)
CONSTANT = 1e-10  # range against magnitude below which numbers differ by rounding only
DEPENDENT = 1e-8  # share of a column's variance that the others leave, below which it is a copy

Report = dict[str, Any]


def read_covariate(column: pd.Series, cell_ids: pd.Index | pd.Series, where: str) -> np.ndarray:
    """Read a covariate: numbers and truth values as numbers, anything else as text.

    Parameters
    ----------
    column
        One value a cell, [N].
    cell_ids
        Names of the cells, [N], for the error.
    where
        File or table, for the error.

    Returns
    -------
    numpy.ndarray, float64 or object [N]
        Numbers (True is 1, False 0), or text.

    Raises
    ------
    FatewalkError
        If a value is missing: empty, NA, NaN, None, null or infinite.
    """
    is_numeric = pd.api.types.is_numeric_dtype(column.dtype)  # truth values included, categories not
    if is_numeric or pd.api.types.infer_dtype(column, skipna=True) == "boolean":
        numbers = column.astype("Float64").to_numpy(dtype=float, na_value=np.nan)  # [N]
        _refuse_missing(~np.isfinite(numbers), column, cell_ids, where)
        return numbers
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.cat.remove_unused_categories()
    words = [value for value in column.dropna().unique() if is_missing(str(value))]
    missing = column.isna() | column.isin(words)
    _refuse_missing(missing.to_numpy(dtype=bool), column, cell_ids, where)
    codes, names = as_codes(column, where)
    if len(names) and names.str.fullmatch(DECIMAL_COMMA).all():
        raise FatewalkError(
            f"{where}: covariate {column.name!r} holds decimal commas ({quoted(names)}), which "
            "would count as names of categories; write a decimal point"
        )
    refuse_same(same_to_the_eye(names), "levels", f"{where}: covariate {column.name!r}")
    return names.to_numpy(dtype=object)[codes]


def _refuse_missing(
    missing: np.ndarray, column: pd.Series, cell_ids: pd.Index | pd.Series, where: str
) -> None:
    if missing.any():
        raise FatewalkError(
            f"{where}: covariate {column.name!r} is missing (empty, NA, NaN, None, null or infinite) in "
            f"{missing.sum()} of {len(missing)} cells: "
            f"{quoted(np.asarray(cell_ids)[missing])}; fill it in, leave these cells out, or "
            "take it out of covariates"
        )


# --------------------------------------------------------------------- build


def build_covariates(
    cells: pd.DataFrame,
    cell_ids: pd.Index,
    wanted: Sequence[str] | None,
    day: np.ndarray,
    rep: np.ndarray,
    report: Report,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Turn the covariates into columns of a regression; drop those that say nothing of their own.

    Parameters
    ----------
    cells
        Cells that enter the fit, N rows; every column without a meaning of its own is a covariate.
    cell_ids
        Their names, [N].
    wanted
        Covariates to use, in this order; None: all.
    day, rep : numpy.ndarray, int64 [N]
        Day and replicate of each cell, whose effects the model has anyway.
    report
        Gets ``covariates``, and sentences in ``notes`` and ``warnings``.

    Returns
    -------
    values : numpy.ndarray, float64 [N, K]
        Numbers have mean 0 and SD 1, indicators mean 0.
    names : tuple of str, [K]
        ``<covariate>``, or ``<covariate>=<level>``.

    Raises
    ------
    FatewalkError
        If a covariate is absent, has missing values or too many levels.
    """
    carried = [str(name) for name in cells.columns if not is_reserved(str(name))]
    used = carried if wanted is None else list(wanted)
    if absent := [name for name in used if name not in carried]:
        raise FatewalkError(
            f"cells: design.covariates names {quoted(absent)}, which the cells table does not "
            f"carry{nearest(absent[0], carried)}; it carries: {', '.join(carried) or 'none'}. Name it under "
            "covariates in the dataset entry, or correct design.covariates"
        )
    if unused := [name for name in carried if name not in used]:
        report["notes"].append(f"Covariates that design.covariates leaves out: {', '.join(unused)}.")
    columns: dict[str, np.ndarray] = {}
    report["covariates"] = []
    for name in used:
        own, described = _encode(name, read_covariate(cells[name], cell_ids, "cells"), cell_ids, report)
        if twice := [column for column in own if column in columns]:
            raise FatewalkError(
                f"cells: two covariates give a column {twice[0]!r}; rename the column {name!r} of the cells"
            )
        columns |= own
        report["covariates"].append(described)
    kept = _independent(columns, day, rep, report)
    for described in report["covariates"]:
        described["columns"] = [name for name in described["columns"] if name in kept]
    values = np.empty((len(day), len(kept)))
    for k, name in enumerate(kept):
        values[:, k] = columns[name]
    return values, tuple(kept)


def _encode(
    name: str, values: np.ndarray, cell_ids: pd.Index, report: Report
) -> tuple[dict[str, np.ndarray], Report]:
    """Columns of one covariate, [N] each, by name, and its description."""
    if values.dtype == float:
        columns, described = _encode_numbers(name, values)
        _warn_of_numbers(name, values, cell_ids, report)
    else:
        columns, described = _encode_levels(name, values)
        _warn_of_words(name, described["levels"], report)
        if alike := same_to_the_ear(described["levels"]):
            report["warnings"].append(
                f"Levels of covariate {name!r} differ only in case, signs or the writing of a number: "
                f"{spellings(alike)}. They count as different; if they are one, write each in one way."
            )
    if not columns:
        value = f"{values[0]:g}" if described["kind"] == "numeric" else values[0]
        report["warnings"].append(f"Covariate {name} is {value} in all cells of the fit and is left out.")
    return columns, {"name": name, **described, "columns": list(columns)}


def _encode_numbers(name: str, values: np.ndarray) -> tuple[dict[str, np.ndarray], Report]:
    # squares of 1e200 overflow; a power of two changes no digit of the others
    unit = float(np.ldexp(1.0, np.frexp(np.abs(values).max())[1] - 1)) if values.any() else 1.0
    scaled = values / unit
    mean = float(scaled.mean())
    if float(np.ptp(scaled)) <= CONSTANT:
        return {}, {"kind": "numeric", "mean": unit * mean, "sd": 0.0}
    sd = float(scaled.std())
    return {name: (scaled - mean) / sd}, {"kind": "numeric", "mean": unit * mean, "sd": unit * sd}


def alone(values: np.ndarray) -> int | None:
    """Cell that makes more than half of the variance of all; None if there is none.

    Parameters
    ----------
    values : numpy.ndarray, float64 [N]
        Finite, of any size.
    """
    if len(values) < FEW_CELLS:
        return None
    scaled = values / (np.abs(values).max() or 1.0)  # squares of 1e200 overflow
    off = np.square(scaled - np.median(scaled))
    return int(off.argmax()) if off.max() > 0.5 * off.sum() else None


def _code_of_missing(values: np.ndarray) -> tuple[float, int] | None:
    """An extreme value far from all others, such as -999, and its cells."""
    distinct, cells = np.unique(values, return_counts=True)
    if len(distinct) < FEW_VALUES:
        return None
    low, high = distinct[1], distinct[-2]  # of the others, whichever end is the code
    for value, n in zip(distinct[[0, -1]].tolist(), cells[[0, -1]].tolist(), strict=True):
        if max(low - value, value - high) > FAR_OFF * (high - low):
            return value, n
    return None


def _warn_of_numbers(name: str, values: np.ndarray, cell_ids: pd.Index, report: Report) -> None:
    """Warn of one cell that outweighs all others, and of codes that are read as a quantity."""
    cell, n = alone(values), len(np.unique(values))
    if cell is not None and n > 2:
        report["warnings"].append(
            f"Covariate {name!r} is {values[cell]:g} in cell {cell_ids[cell]!r} and {np.median(values):g} in "
            "the median: its slope rests on that one cell. Correct the value, or leave the cell out."
        )
    elif code := _code_of_missing(values):
        value, n_cells = code
        its = "it" if n_cells == 1 else "them"
        report["warnings"].append(
            f"Covariate {name!r} is {value:g} in {count(n_cells, 'cell')} and {np.median(values):g} in the "
            f"median, far from all others: its slope rests on {its}. If the value stands for a missing one, "
            "or slipped in, correct it or leave the cells out."
        )
    whole = not (values % 1).any()
    if whole and n == len(values) >= FEW_CELLS:
        report["warnings"].append(
            f"Covariate {name!r} has another whole number in every cell and is read as a quantity with one "
            "slope. Is it the number of the row? Then take it out of covariates."
        )
    elif whole and n > 2 and LABELS.fullmatch(name):
        report["warnings"].append(
            f"Covariate {name!r} holds whole numbers ({count(n, 'value')}) and is read as a quantity with "
            "one slope. If the numbers are names, write them as text (b1, b2)."
        )


def _warn_of_words(name: str, cells_of: dict[str, int], report: Report) -> None:
    """Warn of a few words among numbers, which make categories of a quantity."""
    words = {level: n for level, n in cells_of.items() if not NUMBER.fullmatch(level)}
    numbers = [level for level in cells_of if level not in words]
    n_words, n = sum(words.values()), sum(cells_of.values())
    if words and len(numbers) > 2 and n_words < FEW_WORDS * n and not LABELS.fullmatch(name):
        report["warnings"].append(
            f"Covariate {name!r} counts as {len(cells_of)} categories, because {count(n_words, 'cell')} of "
            f"{n} have {quoted(words)}, where the others have numbers "
            f"({quoted(numbers)}). If it is a quantity, correct these cells or leave them out."
        )


def warn_of_outcome(
    values: np.ndarray,
    names: Sequence[str],
    prob: np.ndarray,
    day: np.ndarray,
    burden: np.ndarray,
    n_targeting: np.ndarray,
    report: Report,
) -> None:
    """Warn of covariates that are the fates themselves, the burden, or the number of targeting guides.

    Parameters
    ----------
    values : numpy.ndarray, float64 [N, K]
        Columns of the covariates, each of mean 0.
    names
        Of the columns, [K].
    prob : numpy.ndarray, float64 [N, F]
        Fate probabilities.
    day : numpy.ndarray, int64 [N]
        Of each cell.
    burden, n_targeting : numpy.ndarray, float64 [N]
        Guide burden, and targeting guides called.
    report
        Has ``covariates``; gets ``warnings``.
    """
    guides = np.column_stack([burden, n_targeting, n_targeting > 0]).astype(float)  # [N, 3]
    guides -= guides.mean(0)
    for described in report["covariates"]:
        name, own = described["name"], [names.index(column) for column in described["columns"]]
        if not own or len(prob) < FEW_CELLS * len(own):
            continue
        if (
            described["kind"] == "numeric"
            and _explained(values[:, own], burden[:, None]).max() > 1 - DEPENDENT
        ):
            report["warnings"].append(
                f"Covariate {name!r} is the guide burden, whose slope the model has unless "
                "model.burden_slope is none: take it out of covariates."
            )
        elif _explained(guides, values[:, own]).min() > 1 - DEPENDENT:
            report["warnings"].append(
                f"Covariate {name!r} follows from the guides of a cell (how many target a gene, and how many "
                "there are): it takes what the effects of all genes have in common with it. Take it out of "
                "covariates."
            )
        share = float(_explained(within(values[:, own], day), within(prob, day)).max())
        if share > (OUTCOME_OF_STATE if STATE.search(name) else OUTCOME):
            report["warnings"].append(
                f"Covariate {name!r} explains {share:.0%} of how the fates of cells differ: it seems to be "
                "the fate itself, or a state that leads to it, and takes the effects of the genes with it. "
                "Take it out of covariates."
            )


def within(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Differences of values [N, any] from the mean of the group [N] of each cell."""
    table = pd.DataFrame(values)
    return (table - table.groupby(group).transform("mean")).to_numpy()


def _explained(values: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    """Share of the variance of each outcome that a regression on the columns explains, [F]."""
    outcome = outcome - outcome.mean(0)
    total = np.square(outcome).sum(0)
    products = values.T @ outcome  # [K, F]
    fitted = np.einsum("kf,kf->f", products, np.linalg.lstsq(values.T @ values, products, rcond=None)[0])
    return np.where(total > 0, fitted / np.where(total > 0, total, 1.0), 0.0)


def _encode_levels(name: str, values: np.ndarray) -> tuple[dict[str, np.ndarray], Report]:
    codes, levels = as_sorted_codes(pd.Series(values, name=name), "cells")
    counts = np.bincount(codes, minlength=len(levels))
    if len(levels) > MAX_LEVELS:
        raise FatewalkError(
            f"cells: covariate {name!r} has {len(levels)} levels ({quoted(levels)}), allowed: "
            f"at most {MAX_LEVELS}; it is probably an identifier, or numbers with words among them. Leave "
            "it out, or mend the column"
        )
    baseline = int(counts.argmax())  # the first in alphabetical order where counts tie
    columns = {
        f"{name}={level}": (codes == i) - counts[i] / len(codes)
        for i, level in enumerate(levels)
        if i != baseline
    }
    return columns, {
        "kind": "categorical",
        "levels": dict(zip(levels, counts.tolist(), strict=True)),
        "baseline": levels[baseline],
    }


# ------------------------------------------------------- linear dependence


def _independent(
    columns: dict[str, np.ndarray], day: np.ndarray, rep: np.ndarray, report: Report
) -> list[str]:
    """Names of the columns that days, replicates and earlier columns do not determine.

    Columns are taken one by one: days, replicates, covariates. Each is regressed on those taken
    before, from the Gram matrix of all, which needs no matrix larger than cells x covariates.
    """
    if not columns:
        return []
    gram, n_days, n_reps = _gram_matrix(columns, day, rep)
    scale = np.sqrt(gram.diagonal())  # [D + R + K]
    gram = gram / np.outer(scale, scale)
    names = list(columns)
    first = n_days + n_reps  # of the covariates
    taken: list[int] = []
    for j in range(len(gram)):
        weight = np.linalg.solve(gram[np.ix_(taken, taken)], gram[taken, j])
        if 1 - gram[j, taken] @ weight > DEPENDENT:
            taken.append(j)
        elif j >= first:
            raw = dict(zip(taken, (weight * scale[j] / scale[taken]).tolist(), strict=True))
            of = _parts(raw, n_days, first, names)
            report["warnings"].append(
                f"Covariate {names[j - first]} is determined by {' and '.join(of)}, so its effect cannot be "
                "told from theirs; it is left out."
            )
    return [names[j - first] for j in taken if j >= first]


def _gram_matrix(
    columns: dict[str, np.ndarray], day: np.ndarray, rep: np.ndarray
) -> tuple[np.ndarray, int, int]:
    """Inner products of indicators of days, of replicates, and covariates; [D + R + K] squared."""
    values = np.column_stack(list(columns.values()))  # [N, K]
    n_days, n_reps = int(day.max()) + 1, int(rep.max()) + 1
    group = day * n_reps + rep  # [N]
    n = np.bincount(group, minlength=n_days * n_reps).reshape(n_days, n_reps)
    sums = np.stack([np.bincount(group, weights=v, minlength=n.size) for v in values.T], axis=1)
    sums = sums.reshape(n_days, n_reps, -1)  # [D, R, K]
    by_day, by_rep = sums.sum(1), sums.sum(0)
    gram = np.block(
        [
            [np.diag(n.sum(1)), n, by_day],
            [n.T, np.diag(n.sum(0)), by_rep],
            [by_day.T, by_rep.T, values.T @ values],
        ]
    )
    return gram, n_days, n_reps


def _parts(weight: dict[int, float], n_days: int, first: int, names: list[str]) -> list[str]:
    """Name what a dependent column is made of; a constant part is not worth a word.

    Parameters
    ----------
    weight
        Weights of the columns taken before it, by their index.
    n_days, first
        Days come first, covariates from ``first`` on.
    names
        Of the covariates' columns.
    """
    small = 1e-4 * max(map(abs, weight.values()))
    of_days = [w for j, w in weight.items() if j < n_days]
    parts = ["the days"] if np.ptp(of_days) > small else []
    parts += ["the replicates"] if any(abs(weight[j]) > small for j in weight if n_days <= j < first) else []
    return parts + [names[j - first] for j, w in weight.items() if j >= first and abs(w) > small]

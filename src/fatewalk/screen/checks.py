"""Checks of the canonical tables: what is wrong is refused, what is dropped is counted and said.

Dimensions: N cells, M guides of the map (NTC included), E calls, L genes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fatewalk.core.errors import FatewalkError, first_few
from fatewalk.core.schema import BURDEN, GUIDE_CALLS, GUIDE_MAP, NTC, PROB_PREFIX
from fatewalk.core.tables import as_bool, require_columns
from fatewalk.screen.fates import match_fates
from fatewalk.screen.text import as_codes, as_sorted_codes

if TYPE_CHECKING:
    from collections.abc import Sequence

LOOKS_LIKE_NTC = re.compile(
    r"(non?[-_ ]?target.*|(ntc?|neg(ative)?[-_ ]?(control|ctrl)|scrambled?|control|ctrl)([-_ .#]+\d+)?)",
    re.IGNORECASE,
)
ROUNDING = 1e-6  # single precision: a sum this far from one is rounding, not a finding
RARE_FATE = 1e-3  # mean probability below which a fate is warned of
FEW_NTC = 0.01  # share of cells with an NTC guide below which the anchor is warned of

Report = dict[str, Any]


@dataclass(frozen=True)
class Guides:
    """The M guides of the map, in its order.

    Attributes
    ----------
    names : pandas.Index, [M]
        Distinct.
    gene : numpy.ndarray, int64 [M]
        Index into ``genes``; -1 for NTC guides.
    genes : tuple of str
        In order of first appearance, those without guides included.
    """

    names: pd.Index
    gene: np.ndarray
    genes: tuple[str, ...]


def check_guide_map(table: pd.DataFrame, report: Report) -> Guides:
    """Read the guide map: each guide once, of one gene or non-targeting.

    Raises
    ------
    FatewalkError
        If a guide has two genes, or a targeting guide none.
    """
    require_columns(table, GUIDE_MAP, "guide_map")
    guide, gene = (_text_or_blank(table[name]) for name in ("guide_name", "gene_name"))
    is_ntc = as_bool(table["is_ntc"], "guide_map")
    nameless = (gene == "") & ~is_ntc
    if nameless.any():
        raise FatewalkError(
            f"guide_map: {nameless.sum()} targeting guides have an empty gene_name: "
            f"{first_few(guide[nameless])}; name their gene, or set is_ntc to True"
        )
    rows = pd.DataFrame({"guide": guide, "gene": np.where(is_ntc, "", gene)})  # "": non-targeting
    genes = tuple(rows.loc[~is_ntc, "gene"].drop_duplicates())
    named = rows[rows["guide"] != ""]
    unique = named.drop_duplicates()
    _refuse_two_genes(unique)
    _warn_of_hidden_controls(genes, report)
    report["guides"] = {
        "in_map": len(unique),
        "targeting_in_map": int((unique["gene"] != "").sum()),
        "repeated_rows_merged": len(named) - len(unique),
        "rows_without_guide": len(rows) - len(named),
    }
    return Guides(
        names=pd.Index(unique["guide"]),
        gene=pd.Index(genes).get_indexer(unique["gene"]).astype(np.int64),
        genes=genes,
    )


def _text_or_blank(column: pd.Series) -> np.ndarray:
    return column.astype(object).where(column.notna(), "").astype(str).to_numpy(dtype=object)


def _refuse_two_genes(unique: pd.DataFrame) -> None:
    twice = unique[unique["guide"].duplicated(keep=False)]
    if len(twice):
        genes = twice.groupby("guide", sort=False)["gene"].agg(
            lambda genes: " and ".join(gene or NTC for gene in genes)
        )
        raise FatewalkError(
            f"guide_map: {len(genes)} guides stand for more than one gene: "
            f"{first_few(f'{guide} ({both})' for guide, both in genes.items())}; a guide belongs to exactly "
            "one gene: correct gene_name, or leave the guide out"
        )


def _warn_of_hidden_controls(genes: Sequence[str], report: Report) -> None:
    if hidden := [gene for gene in genes if LOOKS_LIKE_NTC.fullmatch(gene)]:
        report["warnings"].append(
            f"Gene {first_few(hidden)} looks like a non-targeting control but its guides have is_ntc False, "
            "so it is fitted as a gene; set is_ntc to True in the guide map if it is a control."
        )


# --------------------------------------------------------------------- cells


def check_cell_ids(cells: pd.DataFrame) -> pd.Index:
    """Read the names of the cells, [N].

    Raises
    ------
    FatewalkError
        If there is no cell, or a name occurs twice.
    """
    require_columns(cells, ("cell_id", "day", "time"), "cells")
    if cells.empty:
        raise FatewalkError("cells: the table has no rows")
    codes, names = as_codes(cells["cell_id"], "cells")
    ids = names[codes]
    if ids.has_duplicates:
        twice = ids[ids.duplicated()].unique()
        raise FatewalkError(
            f"cells: {len(twice)} cell_ids occur more than once: {first_few(twice)}; barcodes of several "
            "lanes need a lane suffix, in the cells and in the guide calls"
        )
    return ids


def check_days(cells: pd.DataFrame, report: Report) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Order the days by their time.

    Returns
    -------
    labels : list of str, [D]
        In time order.
    times : numpy.ndarray, float64 [D]
        Ascending.
    day : numpy.ndarray, int64 [N]
        Day of each cell.

    Raises
    ------
    FatewalkError
        If labels and times do not belong together one to one.
    """
    codes, names = as_codes(cells["day"], "cells")
    time = cells["time"].to_numpy(dtype=float, na_value=np.nan)  # [N]
    used, first = np.unique(codes, return_index=True)
    if len(unused := names[~np.isin(np.arange(len(names)), used)]):
        report["warnings"].append(
            f"No cell has the declared day {first_few(map(repr, unused))}: it is left out, and the d indices "
            "count the other days."
        )
    times = np.zeros(len(names))
    times[used] = time[first]
    wrong = ~np.isfinite(time) | (time != times[codes])
    if wrong.any():
        raise FatewalkError(
            f"cells: column time is missing or not the same for all cells of day "
            f"{first_few(map(repr, names[np.unique(codes[wrong])]))}; give every day label one time"
        )
    order = used[np.argsort(times[used], kind="stable")]  # names in time order
    if (same := np.flatnonzero(np.diff(times[order]) == 0)).size:
        pair = names[order[same[0]]], names[order[same[0] + 1]]
        raise FatewalkError(f"cells: days {pair[0]!r} and {pair[1]!r} have the same time; use one label")
    rank = np.zeros(len(names), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return names[order].tolist(), times[order], rank[codes]


def check_prob(
    cells: pd.DataFrame, ids: pd.Index, fates: Sequence[str], tolerance: float, report: Report
) -> np.ndarray:
    """Read the fate probabilities, rescaled to sum to one.

    Returns
    -------
    numpy.ndarray, float64 [N, F]
        In the order of ``fates``.

    Raises
    ------
    FatewalkError
        If a value is no probability, a row misses one by more than ``tolerance``, or all cells
        have the same fate.
    """
    columns = [column for column in cells if str(column).startswith(PROB_PREFIX)]
    found = cells[columns].rename(columns=lambda name: name.removeprefix(PROB_PREFIX))
    matched, left_out = match_fates(found, fates, "cells")
    if left_out:
        report["warnings"].append(f"No cell has any probability of fate {first_few(left_out)}: left out.")
    prob = matched[list(fates)].to_numpy(dtype=float, na_value=np.nan)  # [N, F]
    off = np.abs(prob.sum(axis=1) - 1.0)  # [N]
    checks = (
        ("are missing or infinite", ~np.isfinite(prob)),
        ("are negative", prob < -ROUNDING),
        ("exceed 1", prob > 1.0 + tolerance),
        (f"do not sum to 1 within prob_tolerance = {tolerance:g}", off[:, None] > tolerance),
    )
    for complaint, bad in checks:
        rows = np.flatnonzero(bad.any(axis=1))
        if rows.size:
            examples = (f"{ids[i]} ({', '.join(f'{p:.6g}' for p in prob[i])})" for i in rows[:3])
            more = f" (and {rows.size - 3} more)" if rows.size > 3 else ""
            raise FatewalkError(
                f"cells: the fate probabilities ({', '.join(fates)}) of {rows.size} cells {complaint}: "
                f"{', '.join(examples)}{more}; compute them again, or leave these cells out"
            )
    prob = np.clip(prob, 0.0, None)
    prob /= prob.sum(axis=1, keepdims=True)
    report["probabilities"] = {
        "cells_rescaled": int((off > ROUNDING).sum()),
        "largest_deviation_from_one": float(off.max()),
    }
    _warn_of_rare_fates(prob, fates, report)
    return prob


def _warn_of_rare_fates(prob: np.ndarray, fates: Sequence[str], report: Report) -> None:
    mean = prob.mean(axis=0)  # [F]
    if (mean > 0).sum() == 1:
        raise FatewalkError(
            f"cells: every cell has fate {fates[int(mean.argmax())]} with probability 1, so there is nothing "
            "to compare; check the columns p_<fate>"
        )
    for fate, share in zip(fates, mean, strict=True):
        if share < RARE_FATE:
            what = "every effect" if fate == fates[0] else "its effects"
            report["warnings"].append(
                f"Fate {fate} has a mean probability of {100 * share:.2g} %: {what} will rest on the prior; "
                "merge it with a related fate, or leave its cells out."
            )
    report["fates"] = [
        {"fate": fate, "reference": fate == fates[0], "mean_probability": float(share)}
        for fate, share in zip(fates, mean, strict=True)
    ]


def check_groups(cells: pd.DataFrame, column: str) -> tuple[list[str], np.ndarray]:
    """Read replicates or clusters: names in alphabetical order, index of each cell [N]."""
    codes, names = as_sorted_codes(cells[column], "cells")
    return names.tolist(), codes


def check_burden(cells: pd.DataFrame, ids: pd.Index, n_guides: np.ndarray) -> np.ndarray:
    """Take the guide burden from its column, else the distinct guides called, float64 [N].

    Every call of a guide of the map counts, NTC guides and guides of dropped genes included.

    Raises
    ------
    FatewalkError
        If the column has missing or negative values.
    """
    if BURDEN not in cells:
        return n_guides.astype(float)
    burden = pd.to_numeric(cells[BURDEN], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    bad = ~np.isfinite(burden) | (burden < 0)
    if bad.any():
        raise FatewalkError(
            f"cells: column {BURDEN} is missing, negative or no number in {bad.sum()} cells: "
            f"{first_few(ids[bad])}; fill it in, or leave the column out to count the guides called"
        )
    return burden


# --------------------------------------------------------------------- calls


def check_calls(
    calls: pd.DataFrame, ids: pd.Index, guides: Guides, min_umi: int | None, report: Report
) -> tuple[np.ndarray, np.ndarray]:
    """Read the guide calls, each cell and guide once.

    Returns
    -------
    cell, guide : numpy.ndarray, int64 [E]
        Row of the cell and index of the guide, sorted by cell, then guide.

    Raises
    ------
    FatewalkError
        If no call is of a known cell, a guide is not in the map, or a UMI threshold has no UMIs.
    """
    require_columns(calls, GUIDE_CALLS, "guide_calls")
    if min_umi is not None and "umi" not in calls:
        raise FatewalkError(
            f"guide_calls: design.min_umi is {min_umi}, but the calls have no column umi; set min_umi to "
            "null, or give the UMI count of each call"
        )
    cell_code, cell_names = as_codes(calls["cell_id"], "guide_calls")
    guide_code, guide_names = as_codes(calls["guide"], "guide_calls")
    cell = ids.get_indexer(cell_names)[cell_code]  # [E] -1: unknown cell
    known = cell >= 0
    _report_unknown_cells(known, cell_code, cell_names, ids, report)
    guide = guides.names.get_indexer(guide_names)[guide_code]  # [E] -1: not in the map
    _refuse_unmapped(guide_names, guide_code[known & (guide < 0)], guides.genes)
    key = (cell * len(guides.names) + guide)[known]
    kept, call = np.unique(key, return_inverse=True)
    n_repeats, n_low = len(key) - len(kept), 0
    if min_umi is not None:
        umi = np.bincount(call, weights=_umis(calls)[known], minlength=len(kept))
        n_low = int((umi < min_umi).sum())
        kept = kept[umi >= min_umi]
    if not len(kept):
        raise FatewalkError(
            f"guide_calls: no call is left of {len(calls)} ({n_low} have fewer than min_umi = {min_umi} "
            "UMIs); lower design.min_umi"
            if n_low
            else "guide_calls: the table has no rows"
        )
    report["guide_calls"] = {
        "given": len(calls),
        "of_unknown_cells_dropped": int((~known).sum()),
        "repeats_merged": n_repeats,
        "below_min_umi_dropped": n_low,
        "kept": len(kept),
    }
    return np.divmod(kept, len(guides.names))


def _report_unknown_cells(
    known: np.ndarray, cell_code: np.ndarray, names: pd.Index, ids: pd.Index, report: Report
) -> None:
    unknown = np.flatnonzero(np.bincount(cell_code[~known]))
    if not len(unknown):
        return
    found = (
        f"of {len(unknown)} cells are not in the cells table: {first_few(map(repr, names[unknown]))}, "
        f"where cells are called {first_few(map(repr, ids[:3]))}"
    )
    if not known.any():
        raise FatewalkError(
            f"guide_calls: all calls {found}. The barcodes seem to be written differently (suffix '-1'? "
            "lane?): make them the same in both"
        )
    report["warnings"].append(f"{(~known).sum()} guide calls {found}; these calls are dropped.")


def _refuse_unmapped(names: pd.Index, codes: np.ndarray, genes: Sequence[str]) -> None:
    if len(codes):
        unmapped = names[np.unique(codes)]
        of_genes = unmapped[unmapped.isin(genes)]
        advice = (
            f"{first_few(map(repr, of_genes))} are genes of the map: if the calls name genes, leave "
            "guide_map out and name the controls in ntc_names"
            if len(of_genes)
            else "add them to guide_map with their gene, or as is_ntc, or leave their calls out"
        )
        raise FatewalkError(
            f"guide_calls: {len(unmapped)} guides of {len(codes)} calls are not in the guide map: "
            f"{first_few(unmapped)}; {advice}"
        )


def _umis(calls: pd.DataFrame) -> np.ndarray:
    umi = pd.to_numeric(calls["umi"], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    if not np.isfinite(umi).all():
        raise FatewalkError(
            f"guide_calls: column umi is missing or no number in {(~np.isfinite(umi)).sum()} calls; fill it "
            "in, or set design.min_umi to null"
        )
    return umi


# ------------------------------------------------------------------ controls


def warn_of_controls(
    is_ntc: np.ndarray, used: np.ndarray, share: float, has_burden: bool, report: Report
) -> None:
    """Say what is lost where non-targeting controls are few.

    Parameters
    ----------
    is_ntc, used : numpy.ndarray, bool [M]
        The guide is an NTC guide; it is in at least one cell.
    share
        Share of the cells with an NTC guide.
    has_burden
        The burden comes from a column.
    """
    n_map, n_used = int(is_ntc.sum()), int((is_ntc & used).sum())
    report["ntc"] = {"guides_in_map": n_map, "guides_in_cells": n_used, "share_of_cells": share}
    if n_used == 0:
        found = "The guide map has no NTC guide" if n_map == 0 else "No cell has an NTC guide"
        report["warnings"].append(
            f"{found}: a common shift of the effects of all genes cannot be told from the burden slope, only "
            "the prior anchors it. Mark non-targeting guides with is_ntc True, and read effects relative to "
            "the average guide."
        )
        return
    if share < FEW_NTC:
        report["warnings"].append(
            f"Only {100 * share:.2g} % of the cells carry an NTC guide: a common shift of the effects of all "
            "genes is told from the burden slope mostly by the prior."
        )
    if n_used == 1 and not has_burden:
        report["warnings"].append(
            "All NTC calls carry one label. If it pools several guides, repeats in a cell are hidden, the "
            "burden is miscounted and the effects of all genes can shift together: give the NTC guides their "
            "own names, or give the cells a burden column (burden_key)."
        )

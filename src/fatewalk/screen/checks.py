"""Checks of the canonical tables: what is wrong is refused, what is dropped is counted and said.

Dimensions: N cells, M guides of the map (NTC included), E calls, L genes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fatewalk.core.errors import FatewalkError, first_few, quoted
from fatewalk.core.names import (
    is_missing,
    is_unplaced,
    nearest_spelling,
    same_replicates,
    same_to_the_ear,
    spellings,
)
from fatewalk.core.schema import BURDEN, CLUSTER, GUIDE_CALLS, GUIDE_MAP, NTC, PROB_PREFIX, RARE
from fatewalk.core.tables import as_bool, require_columns
from fatewalk.core.words import count
from fatewalk.screen.barcodes import refuse_repeated_cells
from fatewalk.screen.controls import warn_of_unmarked
from fatewalk.screen.days import counts_days
from fatewalk.screen.fates import match_fates
from fatewalk.screen.map_names import check_names
from fatewalk.screen.quality import warn_of_ambient, warn_of_burden
from fatewalk.screen.text import as_codes, as_sorted_codes, or_blank

if TYPE_CHECKING:
    from collections.abc import Sequence

ROUNDING = 1e-6  # single precision: a sum this far from one is rounding, not a finding
MOST_DAYS = 1000  # no time course of cells takes so long
MANY_REPEATS = 0.2  # of the calls
FEW_CELLS_OF_REPLICATE = 10
FEW_CLUSTERS = 5  # too few to say which is far larger than the others
FAR_LARGER = 5  # times the second
TOLERANCES = (0.005, 0.02, 0.05)  # that design.prob_tolerance may be

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
    guide, gene = (or_blank(table[name]).to_numpy(dtype=object) for name in ("guide_name", "gene_name"))
    is_ntc = as_bool(table["is_ntc"], "guide_map")
    given = pd.DataFrame({"guide": guide, "gene": gene, "is_ntc": is_ntc})
    nameless = (gene == "") & ~is_ntc
    if nameless.any():
        raise FatewalkError(
            f"guide_map: {count(int(nameless.sum()), 'targeting guide has', 'targeting guides have')} an "
            f"empty gene_name: {quoted(guide[nameless])}; name their gene, or set is_ntc to "
            "True"
        )
    rows = pd.DataFrame({"guide": guide, "gene": np.where(is_ntc, "", gene)})  # "": non-targeting
    genes = tuple(rows.loc[~is_ntc, "gene"].drop_duplicates())
    named = rows[rows["guide"] != ""]
    unique = named.drop_duplicates()
    _refuse_two_genes(unique)
    check_names(given[given["guide"] != ""], report)
    warn_of_unmarked(given[given["guide"] != ""], report)
    if len(repeated := named["guide"][named.duplicated()].unique()):
        report["warnings"].append(
            f"{count(len(repeated), 'guide stands', 'guides stand')} in several rows of the guide map: "
            f"{quoted(repeated)}; each counts as one guide. If names were cut short or lost a "
            "number, calls of different guides count as one: write them in full, there and in the calls."
        )
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


def _refuse_two_genes(unique: pd.DataFrame) -> None:
    twice = unique[unique["guide"].duplicated(keep=False)]
    if len(twice):
        genes = twice.groupby("guide", sort=False)["gene"].agg(
            lambda genes: " and ".join(repr(gene) if gene else NTC for gene in genes)
        )
        raise FatewalkError(
            f"guide_map: {count(len(genes), 'guide stands', 'guides stand')} for more than one gene: "
            f"{first_few(f'{guide!r} ({both})' for guide, both in genes.items())}; a guide belongs to "
            "exactly one gene: correct gene_name, or leave the guide out"
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
    refuse_repeated_cells(ids, "cells")
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
            f"No cell has the declared day {quoted(unused)}: it is left out, and the d indices "
            "count the other days."
        )
    times = np.zeros(len(names))
    times[used] = time[first]
    wrong = ~np.isfinite(time) | (time != times[codes])
    if wrong.any():
        raise FatewalkError(
            f"cells: column time is missing or not the same for all cells of day "
            f"{quoted(names[np.unique(codes[wrong])])}; give every day label one time"
        )
    order = used[np.argsort(times[used], kind="stable")]  # names in time order
    if (same := np.flatnonzero(np.diff(times[order]) == 0)).size:
        pair = names[order[same[0]]], names[order[same[0] + 1]]
        raise FatewalkError(f"cells: days {pair[0]!r} and {pair[1]!r} have the same time; use one label")
    if late := [names[i] for i in order if times[i] > MOST_DAYS and counts_days(names[i])]:
        report["warnings"].append(
            f"Day {quoted(late)} is more than {MOST_DAYS} days after day 0: if it is a "
            "date, an identifier or minutes, write days (d0, d3) or the unit (h, min) instead."
        )
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
        report["warnings"].append(f"No cell has any probability of fate {quoted(left_out)}: left out.")
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
            examples = (f"{ids[i]!r} ({', '.join(f'{p:.6g}' for p in prob[i])})" for i in rows[:3])
            more = f" (and {rows.size - 3} more)" if rows.size > 3 else ""
            raise FatewalkError(
                f"cells: the fate probabilities ({', '.join(fates)}) of {rows.size} cells {complaint}: "
                f"{', '.join(examples)}{more}; {_mend(prob[rows], off[rows])}"
            )
    prob = np.clip(prob, 0.0, None)
    prob /= prob.sum(axis=1, keepdims=True)
    report["probabilities"] = {
        "cells_rescaled": int((off > ROUNDING).sum()),
        "largest_deviation_from_one": float(off.max()),
    }
    _warn_of_rare_fates(prob, fates, report)
    return prob


def _mend(prob: np.ndarray, off: np.ndarray) -> str:
    """What to do with rows that are no probabilities, [n, F], and miss 1 by ``off``, [n]."""
    percent = np.abs(prob.sum(axis=1) - 100) < 10
    if percent.any():
        return f"{percent.sum()} of these cells hold percentages: divide them by 100"
    rounded = [tolerance for tolerance in TOLERANCES if off.max() <= tolerance]
    advice = f", or set design.prob_tolerance to {rounded[0]:g} if they were rounded" if rounded else ""
    return f"compute them again{advice}, or leave these cells out"


def _warn_of_rare_fates(prob: np.ndarray, fates: Sequence[str], report: Report) -> None:
    mean = prob.mean(axis=0)  # [F]
    if (mean > 0).sum() == 1:
        raise FatewalkError(
            f"cells: every cell has fate {fates[int(mean.argmax())]} with probability 1, so there is nothing "
            "to compare; check the columns p_<fate>"
        )
    if len(prob) > 1 and np.ptp(prob, axis=0).max() <= ROUNDING:
        shown = ", ".join(f"{fate} {p:.6g}" for fate, p in zip(fates, prob[0], strict=True))
        raise FatewalkError(
            f"cells: every cell has the same fate probabilities ({shown}), so there is nothing to compare; "
            "check the columns p_<fate>"
        )
    for fate, share in zip(fates, mean, strict=True):
        if share < RARE:
            what = "every effect" if fate == fates[0] else "its effects"
            report["warnings"].append(
                f"Fate {fate} has a mean probability of {100 * share:.2g} %: {what} will rest on the prior; "
                "merge it with a related fate, or leave its cells out."
            )
    report["fates"] = [
        {"fate": fate, "reference": fate == fates[0], "mean_probability": float(share)}
        for fate, share in zip(fates, mean, strict=True)
    ]


def check_groups(cells: pd.DataFrame, column: str, report: Report) -> tuple[list[str], np.ndarray]:
    """Read replicates or clusters: names in alphabetical order, index of each cell [N]."""
    codes, names = as_sorted_codes(cells[column], "cells")
    what = "replicate" if column == "rep" else column
    if alike := (same_to_the_ear if what == CLUSTER else same_replicates)(names):
        report["warnings"].append(
            f"{count(len(alike), 'pair or group', 'pairs or groups')} of {what}s differ only in case, signs "
            f"or the writing of a number{' and the word before it' * (what != CLUSTER)}: {spellings(alike)}. "
            "They count as different; if they are one, write each in one way."
        )
    cells_of = np.bincount(codes, minlength=len(names)).tolist()  # of each name
    if unplaced := [i for i, name in enumerate(names) if is_unplaced(name)]:
        found = first_few(f"{names[i]!r} ({count(cells_of[i], 'cell')})" for i in unplaced)
        report["warnings"].append(
            f"There is a {what} {found}: cells that no {what} was found for would count as one {what}. Leave "
            "them out if they are that."
        )
    _warn_of_sizes(names, cells_of, what, report)
    return names.tolist(), codes


def _warn_of_sizes(names: pd.Index, cells_of: list[int], what: str, report: Report) -> None:
    """Warn of groups that are single cells, all cells or the rest: their column names something else."""
    n, n_cells = len(names), sum(cells_of)
    if n_cells < 10 * FEW_CELLS_OF_REPLICATE:
        return
    found = f"{n_cells} cells are in {count(n, what)}: {quoted(names)}."
    if what == CLUSTER and (n == 1 or 2 * n > n_cells):
        report["warnings"].append(
            f"{found} Does cluster_key name the column of the embryo, clone or well? Clusters say which "
            "cells are not independent."
        )
    elif what == CLUSTER and n >= FEW_CLUSTERS:
        second, most = sorted(cells_of)[-2:]  # sizes of clones are uneven, but not so
        name = names[cells_of.index(most)]
        if most > FAR_LARGER * second and most > n_cells / 10 and not is_unplaced(name):
            report["warnings"].append(
                f"Cluster {name!r} has {most} of {n_cells} cells, and no other of the {n} more than "
                f"{second}. If it stands for the cells that no cluster was found for, leave these out: they "
                "would count as one cluster."
            )
    elif what != CLUSTER and n > 1 and n_cells < FEW_CELLS_OF_REPLICATE * n:
        report["warnings"].append(
            f"{found} Does rep_key name the column of the replicate? Embryos, clones and wells are clusters "
            "(cluster_key)."
        )


def check_burden(cells: pd.DataFrame, ids: pd.Index, n_guides: np.ndarray, report: Report) -> np.ndarray:
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
            f"cells: column {BURDEN} is missing, negative or no number in {count(int(bad.sum()), 'cell')}: "
            f"{quoted(ids[bad])}; fill it in, or leave the column out to count the guides "
            "called"
        )
    warn_of_burden(burden, n_guides, ids, report)
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
    _refuse_unmapped(guide_names, guide_code[known & (guide < 0)], guides)
    key = (cell * len(guides.names) + guide)[known]
    kept, call = np.unique(key, return_inverse=True)
    n_repeats, n_low = len(key) - len(kept), 0
    if "umi" not in calls and n_repeats > MANY_REPEATS * len(key):
        report["warnings"].append(
            f"{n_repeats} of {len(key)} guide calls repeat a guide in its cell and are merged. If each row "
            "is a read or a molecule, count them in a column umi, and set design.min_umi."
        )
    umi = None
    if "umi" in calls:
        umi = np.bincount(call, weights=_umis(calls)[known], minlength=len(kept))
        enough = umi >= (min_umi or 0)
        n_low = int((~enough).sum())
        kept, umi = kept[enough], umi[enough]
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
    cell, guide = np.divmod(kept, len(guides.names))
    if umi is not None:
        warn_of_ambient(umi, guide, guides.names, report)
    return cell, guide


def _report_unknown_cells(
    known: np.ndarray, cell_code: np.ndarray, names: pd.Index, ids: pd.Index, report: Report
) -> None:
    unknown = np.flatnonzero(np.bincount(cell_code[~known]))
    if not len(unknown):
        return
    found = (
        f"of {len(unknown)} cells are not in the cells table: {quoted(names[unknown])}, "
        f"where cells are called {quoted(ids[:3])}"
    )
    if not known.any():
        raise FatewalkError(
            f"guide_calls: all calls {found}. The barcodes seem to be written differently (suffix '-1'? "
            "lane?): make them the same in both"
        )
    bare = pd.Index(ids.str.strip().str.casefold())  # as people and spreadsheets change names
    alike = names[unknown][names[unknown].str.strip().str.casefold().isin(bare)]
    mend = (
        f"; but for blanks and case, {len(alike)} of them are there, first {alike[0]!r}: write the names of "
        "the cells alike in both"
        if len(alike)
        else ""
    )
    report["warnings"].append(f"{(~known).sum()} guide calls {found}; these calls are dropped{mend}.")


def _refuse_unmapped(names: pd.Index, codes: np.ndarray, guides: Guides) -> None:
    if not len(codes):
        return
    unmapped = names[np.unique(codes)]
    if missing := [name for name in unmapped if is_missing(name)]:
        n = int(np.isin(codes, names.get_indexer(pd.Index(missing))).sum())
        raise FatewalkError(
            f"guide_calls: {quoted(missing)} in {count(n, 'call')} is a word for a missing "
            "value and no guide of the map: leave these rows out; a cell without a guide needs none"
        )
    shown = []
    for name in unmapped[:3]:
        near = nearest_spelling(name, guides.names)
        shown.append(f"{name!r} (the map has {near!r})" if near else repr(name))
    more = f" (and {len(unmapped) - 3} more)" if len(unmapped) > 3 else ""
    of_genes = unmapped[unmapped.isin(guides.genes)]
    known, others = frozenset(guides.names), frozenset(unmapped)
    joined = next((found for name in unmapped if (found := _joined(name, known))), None)
    parted = joined or next((found for name in guides.names if (found := _joined(name, others))), None)
    n_of_genes = int(np.isin(codes, names.get_indexer(of_genes)).sum())
    if joined:
        advice = (
            f"{joined[0]!r} is several guides of the map with {joined[1]!r} between: write one row for each "
            "call, or, in a column of obs, a sign between them that is in no name, such as ';' "
            "(guide_separator)"
        )
    elif parted:
        advice = (
            f"{parted[0]!r} of the map is several of them with {parted[1]!r} between: write one row for each "
            "guide into the map, or, if the sign belongs to the name, of a column of obs set "
            "guide_separator to another one"
        )
    elif n_of_genes > 1 and 2 * n_of_genes > len(codes):  # one alone is a name that was cut
        advice = (
            f"{quoted(of_genes)} are genes of the map: if the calls name genes, leave "
            "guide_map out and name the controls in ntc_names"
        )
    else:
        advice = "write them as in guide_map, add them there with their gene or as is_ntc, or leave them out"
    raise FatewalkError(
        f"guide_calls: {count(len(unmapped), 'guide')} of {count(len(codes), 'call')} "
        f"{'is' if len(unmapped) == 1 else 'are'} not in the guide map: {', '.join(shown)}{more}; {advice}"
    )


def _joined(name: str, guides: frozenset[str]) -> tuple[str, str] | None:
    """A name that is several guides with a sign between, and that sign, which may stand in the guides."""
    for sign in dict.fromkeys(re.findall(r"[\W_]", name)):
        words, ends = name.split(sign), [0]  # ends: words that make whole guides
        for end in range(1, len(words) + 1):
            if any(sign.join(words[start:end]).strip() in guides for start in ends):
                ends.append(end)
        if ends[-1] == len(words):
            return name, sign
    return None


def _umis(calls: pd.DataFrame) -> np.ndarray:
    umi = pd.to_numeric(calls["umi"], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    if not np.isfinite(umi).all():
        raise FatewalkError(
            f"guide_calls: column umi is missing or no number in {(~np.isfinite(umi)).sum()} calls; fill it "
            "in, or set design.min_umi to null"
        )
    return umi

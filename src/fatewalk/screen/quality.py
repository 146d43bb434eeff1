"""What calls and cells say of the experiment: ambient guides, lost calls, days and genes of a few cells.

Dimensions: N cells, M guides of the map, E guide calls, L genes, D days.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fatewalk.core.errors import first_few, quoted
from fatewalk.core.words import count
from fatewalk.screen.covariates import OUTCOME, within

if TYPE_CHECKING:
    from collections.abc import Sequence

MANY_SINGLE = 0.1  # calls of one UMI beyond what counts of guides have, of all calls
MANY_SINGLE_OF_GUIDE = 0.3  # of the calls of one guide
FEW_CALLS = 50  # too few to judge their UMIs
VALLEY = 1.5  # both peaks of the UMIs, low and high, over what lies between
LOW_PEAK = 0.05  # calls below the valley, of all
MANY_WITHOUT = 0.2  # cells without a guide call
MANY_LOST = 0.3  # of the cells that had guides
MOST_ABOVE = 1.5  # mean of a Poisson number by its ones and twos, over that of the cells with guides
FEW_TWOS = 30  # cells of two guides, too few to tell how many have none
FEW_CELLS_OF_DAY = 30
FEW_GUIDES = 10  # a cell may well have most of them
FAR_BEYOND = 5.0  # burden over guides called, in the median
MOST_TIMES = 50.0  # burden of a cell over its guides and over the median burden
FEW_CELLS_OF_GENE = 5
FEW_CELLS_OF_CLUSTER = 30  # on average: below it a share of the fates may be chance, or a clone's

NUMBERED = re.compile(r"([^\W_]{1,10}[-_. ]+)*[^\W\d]{0,10}[-_. ]?\d{1,3}")  # 7, e7, embryo_7, d3_e7
DAYS_IN = {24: "hours", 1440: "minutes"}

Report = dict[str, Any]


def warn_of_ambient(umi: np.ndarray, guide: np.ndarray, names: pd.Index, report: Report) -> None:
    """Warn of calls that look like guides afloat in the medium: a peak at one or a few UMIs.

    Counts of molecules have at most twice as many ones as twos, unless nearly all are ones: of a
    negative binomial with size r, without its zeros, the ratio is 2 / ((1 + r) p). Ambient guides add
    ones. Where they have more than one UMI, a valley parts them from the guides of the cell.

    Parameters
    ----------
    umi : numpy.ndarray, float64 [E]
        UMIs of the calls that are kept.
    guide : numpy.ndarray, int64 [E]
        Guide of each call.
    names
        Of the guides, [M].
    report
        Gets ``warnings``.
    """
    n = len(umi)
    if n < FEW_CALLS:
        return
    one, two, more = (float(np.count_nonzero(where)) for where in (umi == 1, umi == 2, umi > 2))
    separate = more >= max(two, MANY_SINGLE * n)  # else all counts are low, and a peak at one is theirs
    below = _valley(umi)
    if (separate and one - 2 * two > MANY_SINGLE * n) or below > 1:
        low = max(below, 2)
        few = "1 UMI" if low == 2 else f"fewer than {low} UMIs"
        kept = ", ".join(f"{t} keeps {np.mean(umi >= t):.0%}" for t in sorted({2, 3, 5, low}))
        report["warnings"].append(
            f"{np.mean(umi < low):.0%} of the guide calls have {few}, a peak of its own beside the others "
            f"(median {np.median(umi[umi >= low]):g}): they look like ambient guides, which shrink all "
            f"effects. Set design.min_umi, or call guides by a mixture model. Of the calls, min_umi {kept}."
        )
        return
    of_guide, ones, twos = (
        np.bincount(guide, weights=weight, minlength=len(names)) for weight in (None, umi == 1, umi == 2)
    )  # [M] each
    share = (ones - 2 * twos) / np.maximum(of_guide, 1)
    odd = np.flatnonzero(separate & (of_guide >= FEW_CALLS) & (share > MANY_SINGLE_OF_GUIDE))
    if len(odd):
        found = first_few(
            f"{names[g]!r} ({ones[g] / of_guide[g]:.0%} of {of_guide[g]:g})" for g in odd.tolist()
        )
        report["warnings"].append(
            f"{count(len(odd), 'guide has', 'guides have')} mostly calls of 1 UMI, unlike the others: "
            f"{found}. They look like ambient guides; set design.min_umi, or call guides by a mixture model."
        )


def _valley(umi: np.ndarray) -> int:
    """UMIs at which calls of the upper peak begin; 0 if the octaves of UMIs have one peak only."""
    octave = np.bincount(np.log2(umi).astype(np.int64))  # 1, 2-3, 4-7, 8-15, ...
    valleys = [
        k
        for k in range(1, len(octave) - 1)
        if min(octave[:k].max(), octave[k + 1 :].max()) > VALLEY * octave[k] + 3 * np.sqrt(octave[k] + 1)
        and octave[:k].sum() > LOW_PEAK * len(umi)
    ]
    return 2 ** min(valleys, key=octave.__getitem__) if valleys else 0


def warn_of_cells_without(n_guides: np.ndarray, kept: bool, report: Report) -> None:
    """Warn where more cells lack a guide call than the cells with calls let expect.

    Parameters
    ----------
    n_guides : numpy.ndarray, int64 [N]
        Guides called in each cell of the table.
    kept
        Cells without guides enter the fit.
    report
        Gets ``warnings``.
    """
    n, (none, one, two) = len(n_guides), np.bincount(np.minimum(n_guides, 3), minlength=4)[:3].tolist()
    mean = 2 * two / one if one else np.inf  # of a Poisson number with as many of 1 and 2
    expected = np.exp(-mean)
    lost = (none / n - expected) / (1 - expected) if expected < 1 else 0.0  # of the cells that had guides
    poisson = mean < MOST_ABOVE * n_guides.sum() / max(n - none, 1)  # not so where guides come in pairs
    known = two >= FEW_TWOS and lost > MANY_LOST and poisson
    if none < MANY_WITHOUT * n or not (known or none > n / 2):
        return
    use = (
        "They count as controls: where guides were missed in them, effects shrink; "
        "design.cells_without_guides: drop leaves them out"
        if kept
        else "They are left out"
    )
    found = f"{none} of {n} cells ({none / n:.0%}) have no guide call"
    if known:
        found += f", where the numbers of guides in the others let expect about {expected:.0%}"
    report["warnings" if known else "notes"].append(f"{found}. {use}.")


def warn_of_many_guides(n_guides: np.ndarray, n_used: int, report: Report) -> None:
    """Warn where the cells carry most of the guides: 0 and 1 exchanged, or calls without a threshold.

    Parameters
    ----------
    n_guides : numpy.ndarray, int64 [N]
        Guides called in each cell.
    n_used
        Guides that are in some cell.
    """
    middle = float(np.median(n_guides[n_guides > 0])) if n_guides.any() else 0.0
    if n_used >= FEW_GUIDES and middle > n_used / 2:
        report["warnings"].append(
            f"The median cell carries {middle:g} of the {n_used} guides. Are calls and no calls exchanged (1 "
            "for absent), or are the values probabilities or counts without a threshold (design.min_umi)?"
        )


def warn_of_groups_without(
    names: Sequence[str], group: np.ndarray, n_guides: np.ndarray, what: str, report: Report
) -> None:
    """Warn of days or replicates of which no cell has a guide call: their calls may be missing.

    Parameters
    ----------
    names
        Of the days or replicates.
    group, n_guides : numpy.ndarray, int64 [N]
        Day or replicate of each cell, and guides called in it.
    what
        ``day`` or ``replicate``.
    """
    of_group = np.bincount(group, minlength=len(names))
    called = np.bincount(group[n_guides > 0], minlength=len(names))
    without = np.flatnonzero((called == 0) & (of_group >= FEW_CELLS_OF_DAY))
    if len(without):
        found = first_few(f"{names[i]!r} ({of_group[i]} cells)" for i in without.tolist())
        report["warnings"].append(
            f"No cell of {what} {found} has a guide call: are the calls of its lanes missing? If so, leave "
            "these cells out or add their calls."
        )


def warn_of_clusters(
    clusters: Sequence[str], cluster: np.ndarray, reps: Sequence[str], rep: np.ndarray, report: Report
) -> None:
    """Warn of numbers of clusters that begin anew in each replicate, and of clusters that are replicates.

    Parameters
    ----------
    clusters, reps
        Names, [C], [R].
    cluster, rep : numpy.ndarray, int64 [N]
        Of each cell.
    """
    seen = np.zeros((len(clusters), len(reps)), dtype=bool)
    seen[cluster, rep] = True
    if len(reps) > 1 and len(clusters) == len(reps) == seen.sum():
        report["warnings"].append(
            f"The {len(reps)} clusters ({quoted(clusters)}) are the replicates, whose "
            "differences the model has anyway. Set cluster_key to the column of the embryo, clone or well, "
            "or leave it out."
        )
    if len(reps) < 2 or len(clusters) < 2 or not seen.all() or not all(map(NUMBERED.fullmatch, clusters)):
        return
    report["warnings"].append(
        f"Each of the {len(clusters)} clusters ({quoted(clusters)}) has cells in all "
        f"{len(reps)} replicates, and counts as one. If their numbers begin anew in each replicate, write "
        f"the replicate into their names ({reps[0]}_{clusters[0]})."
    )


def warn_of_states(
    clusters: Sequence[str],
    cluster: np.ndarray,
    rep: np.ndarray,
    day: np.ndarray,
    prob: np.ndarray,
    report: Report,
) -> bool:
    """Warn of clusters that are states of cells: few, in several replicates or days, each of its own fate.

    Parameters
    ----------
    clusters
        Names, [C].
    cluster, rep, day : numpy.ndarray, int64 [N]
        Of each cell.
    prob : numpy.ndarray, float64 [N, F]
        Fate probabilities.

    Returns
    -------
    bool
        Whether it did.
    """
    n = len(clusters)
    places = pd.DataFrame({"cluster": cluster, "rep": rep, "day": day}).groupby("cluster").nunique()
    spread = (places > 1).any(axis=1).mean()  # of the clusters
    if n < 2 or len(cluster) < FEW_CELLS_OF_CLUSTER * n or spread < 1 / 2:
        return False
    apart = within(prob, day)
    total = np.square(apart).sum(0)
    rest = np.square(within(apart, cluster)).sum(0)
    share = 1 - (rest[total > 0] / total[total > 0]).min(initial=1.0)
    if share < OUTCOME:
        return False
    report["warnings"].append(
        f"The {n} clusters ({quoted(clusters)}) explain {share:.0%} of how the fates of cells differ, and "
        "most have cells of several replicates or days: they seem to be states of cells, such as clusters of "
        "expression, and take the effects of the genes with them. Set cluster_key to the column of the "
        "embryo, clone or well, or leave it out."
    )
    return True


def warn_of_hours(
    days: Sequence[str], times: np.ndarray, day: np.ndarray, rep: np.ndarray, report: Report
) -> None:
    """Warn of replicates whose days seem to be written in hours or minutes.

    Parameters
    ----------
    days
        Labels, [D].
    times : numpy.ndarray, float64 [D]
        Their numbers.
    day, rep : numpy.ndarray, int64 [N]
        Of each cell.
    """
    seen = np.zeros((int(rep.max()) + 1, len(days)), dtype=bool)
    seen[rep, day] = True
    for factor, unit in DAYS_IN.items():
        early, late = np.nonzero(np.isclose(times[:, None] * factor, times, rtol=1e-6, atol=0) & (times > 0))
        apart = ~(seen[:, early] & seen[:, late]).any(axis=0)
        if apart.any():
            pairs = (f"{days[i]!r} and {days[j]!r}" for i, j in zip(early[apart], late[apart], strict=True))
            report["warnings"].append(
                f"Days {first_few(pairs)} differ by a factor of {factor}, and no replicate has both: is the "
                f"time of some replicates in {unit}? They count as different days; write all in one unit."
            )


def warn_of_few_cells(
    days: Sequence[str],
    cells_of_day: np.ndarray,
    genes: Sequence[str],
    cells_of_gene: np.ndarray,
    report: Report,
) -> None:
    """Warn of days and genes with a handful of cells.

    Parameters
    ----------
    cells_of_day, cells_of_gene : numpy.ndarray, int64 [D], [L]
        Cells of a day; cells with a guide of the gene, of all days.
    """
    few = np.flatnonzero(cells_of_day < FEW_CELLS_OF_DAY)
    if len(few):
        found = first_few(f"{days[d]!r} ({cells_of_day[d]})" for d in few.tolist())
        report["warnings"].append(
            f"{count(len(few), 'day has', 'days have')} fewer than {FEW_CELLS_OF_DAY} cells: {found}; "
            "effects there rest on the prior and on the other days."
        )
    few = np.flatnonzero(cells_of_gene < FEW_CELLS_OF_GENE)
    if len(few):
        found = first_few(f"{genes[index]!r} ({cells_of_gene[index]})" for index in few.tolist())
        report["warnings"].append(
            f"{count(len(few), 'gene has', 'genes have')} fewer than {FEW_CELLS_OF_GENE} cells on all days "
            f"together: {found}; nothing can be said of {'it' if len(few) == 1 else 'them'}."
        )


def warn_of_burden(burden: np.ndarray, n_guides: np.ndarray, ids: pd.Index, report: Report) -> None:
    """Warn of a burden column that the guide calls contradict.

    Parameters
    ----------
    burden : numpy.ndarray, float64 [N]
        Of the column.
    n_guides : numpy.ndarray, int64 [N]
        Guides called in the cell.
    ids
        Names of the cells, [N].
    """

    def shown(rows: np.ndarray) -> str:  # the number of all stands beside it
        return first_few(
            f"{ids[i]!r} (burden {burden[i]:g}, {count(n_guides[i], 'guide')})" for i in rows[:3]
        )

    less = np.flatnonzero(burden < n_guides)
    if len(less):
        report["warnings"].append(
            f"The burden is less than the guides called in {len(less)} of {len(ids)} cells: {shown(less)}. "
            "Give the number of guides in each cell as burden, or leave the column out to count the guides "
            "called."
        )
    some = n_guides > 0
    times = np.median(burden[some] / n_guides[some]) if some.any() else 0.0
    if times > FAR_BEYOND:
        report["warnings"].append(
            f"The burden is {times:.3g} times the guides called in the median cell: it does not seem to be "
            "a number of guides. Give that as burden, and UMI counts on a log scale as a covariate."
        )
    far = np.flatnonzero(burden > MOST_TIMES * np.maximum(np.maximum(n_guides, np.median(burden)), 1))
    if len(far) and times <= FAR_BEYOND:
        cells = "this cell" if len(far) == 1 else "these cells"
        report["warnings"].append(
            f"The burden is far beyond the guides called in {count(len(far), 'cell')}: {shown(far)}. Correct "
            f"it, or leave {cells} out: the slope of the burden rests on {cells}."
        )

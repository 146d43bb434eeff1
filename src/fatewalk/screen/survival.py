"""Which guides get rarer or more common over time, against non-targeting (NTC) guides.

A knock-out that kills cells shifts the fates of those that are left without turning one cell into another.
Cells that carry a guide are counted by replicate and day, against those with NTC guides of the same sample:

    change[d] = log(n[d] / NTC[d]) - log(n[first] / NTC[first])       averaged over replicates

so that the library, the depth of a sample and what all cells do drop out. Whether a gene is depleted is told
by the slope of a line through all its samples up to a day, which is steadier than two of them. Counts scatter
more than Poisson counts (clones, bottlenecks): the factor is taken from the spread of guides over replicates,
and of NTC guides and the guides of a gene around each other.

Letters: G guides, J NTC guides, L genes, R replicates, D days.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from fatewalk.core.schema import NTC
from fatewalk.screen.design import entries

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from fatewalk.screen.design import Design

    Numbers = NDArray[np.float64]

MIN_NTC = 3  # NTC guides below which nothing is held against them
DEPLETED = -1.88  # SEs, for each gene and day: one-sided 3 %
HALF = 0.5  # added to counts, so that none is zero
DECIMALS = {"log_ratio": 3, "change": 3, "change_se": 3, "trend_z": 3}


def survival_table(design: Design) -> pd.DataFrame:
    """Abundance of each gene and guide by day.

    Parameters
    ----------
    design
        The cells.

    Returns
    -------
    pandas.DataFrame
        survival.csv: level (gene, guide), gene (NTC for controls), guide (empty for genes), day (label),
        n_cells, log_ratio (of cells over those of a mean NTC guide), change (of that since the first day),
        change_se, trend_z (`trend`), depleted (``yes``, ``no``; empty where it is not known). Only the header
        with fewer than `MIN_NTC` NTC guides or one day, and where the cells of a cluster share their
        guides: then counts say how many clusters were taken.
    """
    if len(design.ntc_names) < MIN_NTC or len(design.days) < 2 or _sampled_by_cluster(design):
        return pd.DataFrame(columns=[*COLUMNS])
    ntc = _counts(design, entries(design.ntc_offsets), design.ntc_guides, len(design.ntc_names))
    guide = _counts(design, design.cell_of_call, design.cell_guides, len(design.guides))
    gene = _counts(design, *design.carried_genes, len(design.genes))
    everyone = ntc.sum(axis=0)  # [R, D]
    factor = overdispersion(guide, ntc, design.guide_to_gene.numpy())
    genes = np.array(design.genes, dtype=object)
    parts = [
        _rows("gene", genes, np.full(len(genes), ""), gene, everyone, factor, design),
        _rows("guide", genes[design.guide_to_gene], design.guides, guide, everyone, factor, design),
        _rows("guide", np.full(len(ntc), NTC), design.ntc_names, ntc, everyone, factor, design),
    ]
    return pd.concat(parts, ignore_index=True).round(DECIMALS)


COLUMNS = (
    "level", "gene", "guide", "day", "n_cells", "log_ratio", "change", "change_se", "trend_z", "depleted",
)  # fmt: skip


def _sampled_by_cluster(design: Design) -> bool:
    """Whether each guide is in all cells of a cluster or in none."""
    if not design.clusters:
        return False
    calls = design.cluster[design.cell_of_call] * len(design.guides)
    places, counts = torch.unique(calls + design.cell_guides, return_counts=True)
    sizes = torch.bincount(design.cluster, minlength=len(design.clusters))
    return bool((counts == sizes[places // len(design.guides)]).all())


def _counts(design: Design, cell: Tensor, carried: Tensor, n: int) -> Numbers:
    """Cells that carry each of n guides or genes, from the pairs of cell and guide or gene: [n, R, D]."""
    reps, days = len(design.reps), len(design.days)
    place = (carried * reps + design.rep[cell]) * days + design.day[cell]
    found: Numbers = (
        torch.bincount(place, minlength=n * reps * days).view(n, reps, days).numpy().astype(float)
    )
    return found


def changes(counts: Numbers, everyone: Numbers) -> tuple[Numbers, Numbers]:
    """Change of the log share since the first day by replicate, and Poisson precision, [n, R, D - 1] each.

    Parameters
    ----------
    counts : array [n, R, D]
        Cells.
    everyone : array [R, D]
        What they are held against; a replicate without them on a day, or on the first, has no precision.
    """
    share = np.log((counts + HALF) / (everyone + HALF))
    precision = 1 / (1 / (counts[..., 1:] + HALF) + 1 / (counts[..., :1] + HALF))
    sampled = (everyone[:, 1:] > 0) & (everyone[:, :1] > 0)
    return share[..., 1:] - share[..., :1], np.where(sampled, precision, 0.0)


def trend(counts: Numbers, everyone: Numbers) -> Numbers:
    """Slope of the log share over the days up to each one, in Poisson standard errors, [n, D - 1].

    Parameters
    ----------
    counts : array [n, R, D]
        Cells.
    everyone : array [R, D]
        What they are held against; samples without them do not count.

    Notes
    -----
    A line for each gene, an intercept for each replicate; days count 0, 1, 2 whatever lies between them.
    """
    share = np.log((counts + HALF) / (everyone + HALF))
    precision = np.where(everyone > 0, 1 / (1 / (counts + HALF) + 1 / (everyone + HALF)), 0.0)
    days = np.arange(counts.shape[2])
    slopes = []
    for last in days[1:]:
        weight, day = precision[..., : last + 1], days[: last + 1]
        around = day - _mean(np.broadcast_to(day, weight.shape), weight, axis=2)  # [n, R, last + 1]
        total = (weight * around**2).sum(axis=(1, 2))
        sloped = (weight * around * share[..., : last + 1]).sum(axis=(1, 2))
        slopes.append(sloped / np.sqrt(np.where(total > 0, total, np.nan)))
    return np.stack(slopes, axis=1)


def overdispersion(guide: Numbers, ntc: Numbers, gene: NDArray[np.int64]) -> float:
    """By how much counts scatter more than Poisson counts, at least 1: variance ratio.

    The larger of two: the spread of each guide over replicates, which no effect of a guide enters, and that
    of the guides of a gene, and of NTC guides, around each other.

    Parameters
    ----------
    guide, ntc : array [G, R, D], [J, R, D]
        Cells.
    gene : array [G]
        Gene of each guide.
    """
    both, group = np.concatenate([guide, ntc]), np.append(gene, np.full(len(ntc), gene.max() + 1))
    change, precision = changes(both, ntc.sum(axis=0))
    shift = _mean(change, precision, axis=0)  # [1, R, D - 1] what a replicate's guides have in common
    own = _mean(change - shift, precision, axis=1)  # [G + J, 1, D - 1]
    replicates = (precision * (change - shift - own) ** 2).sum()
    of_replicates = (precision > 0).sum(axis=1).clip(min=1).sum() - own.size
    weight, value = precision.sum(axis=1), own[:, 0]  # [G + J, D - 1]
    total = np.zeros((group.max() + 1, weight.shape[1]))
    mean, n_guides = total.copy(), total.copy()
    for sums, values in ((total, weight), (mean, weight * value), (n_guides, weight > 0)):
        np.add.at(sums, group, values)
    around = value - (mean / np.where(total > 0, total, 1.0))[group]
    of_guides = (n_guides - 1).clip(min=0).sum()
    ratios = [
        scatter / freedom
        for scatter, freedom in ((replicates, of_replicates), ((weight * around**2).sum(), of_guides))
        if freedom > 0
    ]
    return float(max([1.0, *ratios]))


def _mean(values: Numbers, weight: Numbers, axis: int) -> Numbers:
    """Weighted mean that keeps its axis; 0 without weight."""
    total = weight.sum(axis=axis, keepdims=True)
    found: Numbers = (weight * values).sum(axis=axis, keepdims=True) / np.where(total > 0, total, 1.0)
    return found


def _rows(
    level: str,
    genes: NDArray[np.object_],
    guides: NDArray[np.object_] | tuple[str, ...],
    counts: Numbers,
    everyone: Numbers,
    factor: float,
    design: Design,
) -> pd.DataFrame:
    """Rows of a level, by name and day."""
    n_days, n_ntc = len(design.days), len(design.ntc_names)
    change, precision = changes(counts, everyone)
    _, of_ntc = changes(everyone[None], everyone)  # [1, R, D - 1]
    total = precision.sum(axis=1)  # [n, D - 1]
    # what the NTC guides leave open is the same for all, in the replicates that count
    share = precision / np.where(total > 0, total, 1.0)[:, None]
    shared = (share**2 / np.where(of_ntc > 0, of_ntc, np.inf)).sum(axis=1)
    known = total > 0
    mean = np.where(known, _mean(change, precision, axis=1)[:, 0], np.nan)
    se = np.where(known, np.sqrt(factor * (1 / np.where(known, total, 1.0) + shared)), np.nan)
    trend_z = np.where(known, trend(counts, everyone) / np.sqrt(factor), np.nan)
    depleted = np.where(known, np.where(trend_z < DEPLETED, "yes", "no"), "")
    first = np.zeros((len(counts), 1))
    cells = counts.sum(axis=1)  # [n, D]
    names = np.asarray(guides, dtype=object)
    return pd.DataFrame(
        {
            "level": level,
            "gene": np.repeat(genes, n_days),
            "guide": np.repeat(names, n_days),
            "day": np.tile(np.asarray(design.days, dtype=object), len(counts)),
            "n_cells": cells.ravel().astype(int),
            "log_ratio": np.log((cells + HALF) / (everyone.sum(axis=0) / n_ntc + HALF)).ravel(),
            "change": np.hstack([first, mean]).ravel(),
            "change_se": np.hstack([first, se]).ravel(),
            "trend_z": np.hstack([first, trend_z]).ravel(),
            "depleted": np.hstack([np.full(first.shape, ""), depleted]).ravel().astype(object),
        }
    )

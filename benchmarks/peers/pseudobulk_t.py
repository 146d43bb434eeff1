"""Peer 1: t-tests of a gene's pseudobulks (guide x sample) against those of the controls, on logits.

Welch's test, in which each gene has a variance of its own; and a moderated one, in which pseudobulks weigh by
their cells and the variances of genes are shrunk to a common one (empirical Bayes, as in limma).

Letters: U units, K contrasts or fates, L genes, D days.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtr

from benchmarks.peers.cells import pseudobulk
from benchmarks.peers.found import Test
from benchmarks.peers.moderate import moderate

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.peers.cells import Cells, Index, Numbers, Units
    from benchmarks.peers.found import Scale

PSEUDO_CELLS = 2.0  # of the day's composition, added to each pseudobulk
FEWEST_CELLS = 5.0  # of a pseudobulk
FEWEST_BULKS = 3  # of a gene for Welch's test: two that happen to agree would be sure of anything


def welch_t(cells: Cells, scale: Scale) -> Test:
    """Test every gene-day with a variance of its own.

    Parameters
    ----------
    cells
        The screen.
    scale
        fate: logit of the fate's share; contrast: its log ratio to the reference.

    Returns
    -------
    Test
        Missing where a gene has fewer than `FEWEST_BULKS` pseudobulks.
    """
    return _by_day(cells, scale, _welch)


def moderated_t(cells: Cells, scale: Scale) -> Test:
    """Test every gene-day that has two pseudobulks, with variances that are shrunk to a common one.

    Parameters
    ----------
    cells, scale
        As of `welch_t`.
    """
    return _by_day(cells, scale, _moderated)


def _by_day(cells: Cells, scale: Scale, test: Callable[..., tuple[Numbers, Numbers, Numbers]]) -> Test:
    units, composition = pseudobulk(cells), cells.composition
    shape = (len(cells.genes), len(cells.fates) - (scale == "contrast"), cells.n_days)
    estimate, p = (np.full(shape, np.nan) for _ in range(2))
    for day in range(cells.n_days):
        of_day = units.on(day, FEWEST_CELLS)
        values = _centred(_logits(of_day.total, composition[:, day], scale), of_day)  # [U, K]
        difference, variance, df = test(values, of_day, shape[0])
        with np.errstate(divide="ignore", invalid="ignore"):  # pseudobulks all alike
            p[:, :, day] = 2 * stdtr(df, -np.abs(difference) / np.sqrt(variance))
        estimate[:, :, day] = np.where(np.isfinite(p[:, :, day]), difference, np.nan)
    return Test(scale, estimate, p)


def _welch(values: Numbers, units: Units, n_genes: int) -> tuple[Numbers, Numbers, Numbers]:
    """Difference, its variance and degrees of freedom, [L, K] each."""
    mean, variance, n, _ = _moments(values, np.ones(len(values)), units.gene, n_genes)
    n[n < FEWEST_BULKS] = np.nan
    control = values[units.gene < 0]
    error, of_controls = variance / n, control.var(axis=0, ddof=1) / len(control)
    with np.errstate(invalid="ignore"):  # pseudobulks all alike
        df = (error + of_controls) ** 2 / (error**2 / (n - 1) + of_controls**2 / (len(control) - 1))
    return mean - control.mean(axis=0), error + of_controls, df


def _moderated(values: Numbers, units: Units, n_genes: int) -> tuple[Numbers, Numbers, Numbers]:
    """Difference, its variance and degrees of freedom, [L, K] each; variances are of one cell."""
    with_controls = np.where(units.gene < 0, n_genes, units.gene)
    mean, variance, n, weight = _moments(values, units.n_cells, with_controls, n_genes + 1)
    shrunk, df = moderate(variance, n - 1)
    error = shrunk / np.where(weight > 0, weight, np.nan)
    return mean[:-1] - mean[-1], error[:-1] + error[-1], df[:-1]


def _logits(total: Numbers, composition: Numbers, scale: Scale) -> Numbers:
    """Logits of pseudobulks, [U, K]."""
    filled = np.where(composition > 0, total + PSEUDO_CELLS * composition, np.nan)  # a fate may be absent
    other = filled[:, :1] if scale == "contrast" else np.nansum(filled, axis=1, keepdims=True) - filled
    found: Numbers = np.log(filled / other)
    return found[:, 1:] if scale == "contrast" else found


def _centred(values: Numbers, units: Units) -> Numbers:
    """Values less the mean of the controls of the same replicate, or of all where it has fewer than two."""
    control = units.gene < 0
    found: Numbers = values - values[control].mean(axis=0)
    for rep in np.unique(units.rep):
        own = units.rep == rep
        if (own & control).sum() > 1:
            found[own] = values[own] - values[own & control].mean(axis=0)
    return found


def _moments(
    values: Numbers, weight: Numbers, group: Index, n_groups: int
) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Weighted mean [n, K], variance at weight 1 [n, K], number [n, 1] and weight [n, 1] of groups.

    Missing below two values; values of group -1 are left out.
    """
    inside = group >= 0
    group, values, weight = group[inside], values[inside], weight[inside][:, None]
    n = np.bincount(group, minlength=n_groups)[:, None].astype(float)
    total_weight = np.bincount(group, weight[:, 0], n_groups)[:, None].astype(float)
    n[n < 2] = np.nan
    total, square = np.zeros((2, n_groups, values.shape[1]))
    np.add.at(total, group, weight * values)
    mean = total / np.where(np.isnan(n), np.nan, total_weight)
    np.add.at(square, group, weight * (values - mean[group]) ** 2)
    return mean, square / (n - 1), n, total_weight

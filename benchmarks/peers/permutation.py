"""Peer 4: a permutation test of P(fate), in the manner of sceptre.

Labels less what replicate and burden explain; the mean residual of the cells that carry a gene; cells
permuted within day and replicate. The null's tail is a skew normal fitted to the resamples where these are
too few. Controls are the cells without the gene, or with one reagent a cell the control cells alone. Cells of
a cluster stay together: then clusters are permuted, within the day.

Letters: n rows, F fates, L genes, D days, B permutations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import skewnorm

from benchmarks.peers.cells import replicate_columns
from benchmarks.peers.found import Test

if TYPE_CHECKING:
    from numpy.random import Generator

    from benchmarks.peers.cells import Cells, Flags, Index, Numbers

PERMUTATIONS = 2000
BLOCK = 250  # permutations at once
ENOUGH = 20  # resamples beyond the observed value, for an empirical p-value
MOST_SKEW = 0.99  # of a skew normal


def permutation(cells: Cells, seed: int = 1) -> Test:
    """Test every gene-day on the scale of fates.

    Parameters
    ----------
    cells
        The screen.
    seed
        Of the permutations.

    Returns
    -------
    Test
        `estimate` is the difference of mean labels, in probability; missing where no cell carries the gene.
    """
    rng = np.random.default_rng(seed)
    shape = (len(cells.genes), len(cells.fates), cells.n_days)
    estimate, p = (np.full(shape, np.nan) for _ in range(2))
    for day in range(cells.n_days):
        residual, carried, stratum, control = _rows(cells, day)
        if cells.against_controls:
            for gene in range(shape[0]):
                own = (carried[:, gene] > 0) | control
                one = carried[own][:, [gene]]
                if one.sum():
                    found = _test(residual[own], one, stratum[own], rng)
                    estimate[gene, :, day], p[gene, :, day] = found[0][0], found[1][0]
        else:
            estimate[:, :, day], p[:, :, day] = _test(residual, carried, stratum, rng)
    return Test("fate", estimate, p)


def _rows(cells: Cells, day: int) -> tuple[Numbers, Numbers, Index, Flags]:
    """Residuals [n, F], who carries what [n, L], strata [n] and controls [n] of a day."""
    own = np.flatnonzero(cells.day == day)
    carried = cells.of_genes[own].toarray()
    labels, rep, burden, control = cells.labels[own], cells.rep[own], cells.burden[own], cells.controls[own]
    stratum = rep
    if cells.clustered:
        _, first, unit = np.unique(cells.group[own], return_index=True, return_inverse=True)
        mean = np.zeros((len(first), labels.shape[1]))
        np.add.at(mean, unit, labels)
        labels = mean / np.bincount(unit)[:, None]
        carried, rep, burden, control = carried[first], rep[first], burden[first], control[first]
        stratum = np.zeros_like(rep)
    nuisance = np.hstack([np.ones((len(rep), 1)), replicate_columns(rep, control), burden[:, None]])
    learn = control if cells.against_controls else np.ones(len(rep), dtype=bool)
    slopes = np.linalg.lstsq(nuisance[learn], labels[learn], rcond=None)[0]
    return labels - nuisance @ slopes, carried, stratum, control


def _test(residual: Numbers, carried: Numbers, stratum: Index, rng: Generator) -> tuple[Numbers, Numbers]:
    """Difference of mean residuals and p-value, [L, F]."""
    n_rows, n_carry = len(residual), carried.sum(axis=0)[:, None]
    observed = carried.T @ residual  # [L, F]
    order = np.argsort(stratum, kind="stable")
    bounds = np.cumsum(np.bincount(stratum))[:-1]
    draws = []
    for _ in range(PERMUTATIONS // BLOCK):
        shuffled = np.empty((BLOCK, n_rows), dtype=int)
        for places in np.split(order, bounds):
            shuffled[:, places] = rng.permuted(np.broadcast_to(places, (BLOCK, len(places))), axis=1)
        permuted = residual[shuffled].transpose(1, 0, 2).reshape(n_rows, -1)  # [n, B F]
        draws.append((carried.T @ permuted).reshape(len(observed), BLOCK, -1))
    null = np.concatenate(draws, axis=1)  # [L, B, F]
    rest = np.maximum(n_rows - n_carry, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        estimate = observed / n_carry - (residual.sum(axis=0) - observed) / rest
    p = _p_value(observed, null)
    seen = n_carry > 0
    sign = np.sign(observed - null.mean(axis=1))
    return np.where(seen, np.abs(estimate) * sign, np.nan), np.where(seen, p, np.nan)


def _p_value(observed: Numbers, null: Numbers) -> Numbers:
    """Two-sided, twice the smaller tail: counted where there are enough resamples, else by a skew normal."""
    above = (null >= observed[:, None] - 1e-12).sum(axis=1)
    below = (null <= observed[:, None] + 1e-12).sum(axis=1)
    fewer = np.minimum(above, below)
    counted = 2 * (fewer + 1) / (null.shape[1] + 1)
    mean, sd = null.mean(axis=1), np.maximum(null.std(axis=1), 1e-12)
    skew = (((null - mean[:, None]) / sd[:, None]) ** 3).mean(axis=1).clip(-MOST_SKEW, MOST_SKEW)
    # moments of a skew normal: skewness = (4 - pi) / 2 * (delta m)^3 / (1 - (delta m)^2)^(3/2), m^2 = 2 / pi
    third = np.cbrt(2 * skew / (4 - np.pi))
    shift = third / np.sqrt(1 + third**2)  # delta m
    delta = (shift * np.sqrt(np.pi / 2)).clip(-0.999, 0.999)
    shape = delta / np.sqrt(1 - delta**2)
    width = sd / np.sqrt(1 - shift**2)
    z = (observed - mean + width * shift) / width
    fitted = 2 * np.minimum(skewnorm.sf(z, shape), skewnorm.cdf(z, shape))
    return np.where(fewer >= ENOUGH, counted, np.maximum(fitted, 1e-300)).clip(max=1)

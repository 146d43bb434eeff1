"""Peer 3: a beta-binomial GLM of counts by guide, sample and day, each gene against the controls.

logit = intercept + replicate + gene; the overdispersion of a day and fate is shared by its genes (moments,
with degrees of freedom); likelihood ratio test of the gene. Only for one-hot labels.

Letters: L genes, U units, K contrasts or fates, p columns, D days.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import chdtrc, digamma, expit, gammaln, zeta

from benchmarks.peers.cells import pseudobulk, replicate_columns
from benchmarks.peers.found import Test

if TYPE_CHECKING:
    from benchmarks.peers.cells import Cells, Flags, Numbers, Units
    from benchmarks.peers.found import Scale

LEAST = 1e-4  # overdispersion: beyond this a beta-binomial is a binomial
MOST = 0.9
STEPS = 30
TOLERANCE = 1e-4  # logit
RIDGE_SD = 10.0  # keeps coefficients finite where a fate has no cells
ROUNDS = 2  # of effects and overdispersion in turn


def beta_binomial(cells: Cells, scale: Scale) -> Test:
    """Test every gene-day.

    Parameters
    ----------
    cells
        The screen, its labels one-hot.
    scale
        fate: counts of the fate among all cells; contrast: among those of it and of the reference.

    Returns
    -------
    Test
        Missing where the gene has no cells.
    """
    units = pseudobulk(cells)
    n_genes, n_kinds = len(cells.genes), len(cells.fates) - (scale == "contrast")
    estimate, p = (np.full((n_genes, n_kinds, cells.n_days), np.nan) for _ in range(2))
    for day in range(cells.n_days):
        of_day = units.on(day)
        x, pick, inside = _layout(of_day, n_genes)
        for kind in range(n_kinds):
            success = of_day.total[:, kind + (scale == "contrast")]
            size = success + of_day.total[:, 0] if scale == "contrast" else of_day.n_cells
            estimate[:, kind, day], p[:, kind, day] = _test(success, size, x, pick, inside, of_day.gene >= 0)
    return Test(scale, estimate, p)


def _layout(units: Units, n_genes: int) -> tuple[Numbers, Numbers, Flags]:
    """For each gene its units and those of the controls.

    Returns
    -------
    x : array [L, U', p]
        The column of the gene last.
    pick : array of int [L, U']
        Places among the units.
    inside : array of bool [L, U']
        Places that are not just filled up.
    """
    controls = np.flatnonzero(units.gene < 0)
    own = [np.flatnonzero(units.gene == gene) for gene in range(n_genes)]
    longest = max(map(len, own))
    pick = np.zeros((n_genes, longest + len(controls)), dtype=int)
    inside = np.zeros(pick.shape, dtype=bool)
    pick[:, longest:], inside[:, longest:] = controls, True
    for gene, places in enumerate(own):
        pick[gene, : len(places)], inside[gene, : len(places)] = places, True
    common = np.hstack([np.ones((len(units.gene), 1)), replicate_columns(units.rep, units.gene < 0)])
    gene_column = np.zeros((*pick.shape, 1))
    gene_column[:, :longest] = 1
    return np.concatenate([common[pick], gene_column], axis=2), pick, inside


def _test(
    success: Numbers, size: Numbers, x: Numbers, pick: Numbers, inside: Flags, targeting: Flags
) -> tuple[Numbers, Numbers]:
    """Log odds ratio and p-value of each gene, [L]; success, size and targeting are of units [U]."""
    y, n = np.where(inside, success[pick], 0.0), np.where(inside, size[pick], 0.0)  # [L, U']
    rho = LEAST
    own = inside & targeting[pick]
    seen = (n * own).sum(axis=1) > 0
    b = _fit(y, n, x, rho, _start(y, n, x))
    for _ in range(ROUNDS):
        rho = _overdispersion(y, n, _mean(x, b), own, success[~targeting], size[~targeting])
        b = _fit(y, n, x, rho, b)
    null = x[:, :, :-1]
    without = _fit(y, n, null, rho, _start(y, n, null))
    ratio = 2 * (_loglik(y, n, _mean(x, b), rho) - _loglik(y, n, _mean(null, without), rho))
    p = chdtrc(1, np.maximum(ratio, 0))
    return np.where(seen, b[:, -1], np.nan), np.where(seen, p, np.nan)


def _mean(x: Numbers, b: Numbers) -> Numbers:
    """Probabilities [L, U'], off 0 and 1."""
    found: Numbers = expit(np.einsum("lup,lp->lu", x, b)).clip(1e-9, 1 - 1e-9)
    return found


def _loglik(y: Numbers, n: Numbers, mean: Numbers, rho: float) -> Numbers:
    """Log likelihood of each gene [L], but for a constant."""
    s = 1 / rho - 1
    a, b = s * mean, s * (1 - mean)
    found: Numbers = (gammaln(y + a) - gammaln(a) + gammaln(n - y + b) - gammaln(b)).sum(axis=1)
    return found


def _start(y: Numbers, n: Numbers, x: Numbers) -> Numbers:
    """Coefficients [L, p] with the overall share as intercept."""
    share = (y.sum(axis=1) + 0.5) / (n.sum(axis=1) + 1)
    found = np.zeros((len(y), x.shape[2]))
    found[:, 0] = np.log(share / (1 - share))
    return found


def _fit(y: Numbers, n: Numbers, x: Numbers, rho: float, start: Numbers) -> Numbers:
    """Coefficients [L, p] by Newton, the curvature taken where it is positive by construction."""
    s, ridge = 1 / rho - 1, np.eye(x.shape[2]) / RIDGE_SD**2
    found = start.copy()
    on = np.arange(len(y))  # genes that still move
    for _ in range(STEPS):
        mean = _mean(x[on], found[on])
        a, b, slope = s * mean, s * (1 - mean), mean * (1 - mean)
        hit, miss = y[on], (n - y)[on]
        first = s * (digamma(hit + a) - digamma(a) - digamma(miss + b) + digamma(b)) * slope
        second = s**2 * (zeta(2, a) - zeta(2, hit + a) + zeta(2, b) - zeta(2, miss + b)) * slope**2
        gradient = np.einsum("lup,lu->lp", x[on], first) - found[on] @ ridge
        information = np.einsum("lup,lu,luq->lpq", x[on], second, x[on]) + ridge
        step = np.linalg.solve(information, gradient[:, :, None])[:, :, 0]
        found[on] += step.clip(-2, 2)
        on = on[np.abs(step).max(axis=1) > TOLERANCE]
        if not len(on):
            break
    return found


def _overdispersion(
    y: Numbers, n: Numbers, mean: Numbers, own: Flags, success: Numbers, size: Numbers
) -> float:
    """Correlation of cells in units, where Pearson's statistic is its degrees of freedom.

    Of the genes around their fits, and of the controls around their mean.
    """
    centre = success.sum() / max(size.sum(), 1)
    observed = np.concatenate([y[own], success])
    cells = np.concatenate([n[own], size])
    expected = np.concatenate([mean[own], np.full(len(size), centre)]).clip(1e-6, 1 - 1e-6)
    square = (observed - cells * expected) ** 2 / (np.maximum(cells, 1) * expected * (1 - expected))
    freedom = (cells > 0).sum() - (own & (n > 0)).any(axis=1).sum() - 1
    low, high = LEAST, MOST
    for _ in range(40):
        middle = np.sqrt(low * high)
        excess = (square / (1 + (cells - 1).clip(0) * middle)).sum() - freedom
        low, high = (middle, high) if excess > 0 else (low, middle)
    return float(low)

"""Peer 2: a multinomial GLM of all genes for each day, for soft labels a fractional one.

log odds against the reference = intercept + replicate + burden + sum of the genes that the cell carries;
quasi likelihood, Newton. Cells of a cluster are one row, as they carry the same reagent. A very weak ridge
keeps effects finite where a fate has no cells.

Letters: n rows, F fates, F* contrasts, p columns, L genes, D days.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import log_softmax, stdtr

from benchmarks.peers.cells import replicate_columns
from benchmarks.peers.found import Test
from benchmarks.peers.moderate import moderate
from fatewalk.mash import fate_jacobian, fate_scale

if TYPE_CHECKING:
    from benchmarks.peers.cells import Cells, Index, Numbers
    from benchmarks.peers.found import Scale

RIDGE_SD = 5.0  # of every coefficient, logit
STEPS = 50
TOLERANCE = 1e-8
FEWEST = 2  # rows that carry a gene


def multinomial(cells: Cells, scale: Scale) -> Test:
    """Test every gene-day by Wald's t.

    Parameters
    ----------
    cells
        The screen.
    scale
        contrast: the coefficients; fate: the change of each fate's own logit, by the delta method.

    Returns
    -------
    Test
        Missing where fewer than two rows carry the gene.
    """
    n_genes, composition = len(cells.genes), cells.composition
    shape = (n_genes, len(cells.fates) - (scale == "contrast"), cells.n_days)
    estimate, p = (np.full(shape, np.nan) for _ in range(2))
    for day in range(cells.n_days):
        x, total, genes = _rows(cells, day)
        fit = _fit(x, total)
        effect = fit.coefficients[: len(genes), :, None]  # [genes, F*, 1]
        jacobian = np.broadcast_to(np.eye(effect.shape[1]), (len(genes), *2 * effect.shape[1:2]))
        if scale == "fate":
            jacobian = fate_jacobian(effect, composition[:, [day]])[..., 0]  # [genes, F, F*]
            effect = fate_scale(effect, composition[:, [day]])
        variance, df = _variance(fit, x, total, jacobian)
        estimate[genes, :, day] = effect[..., 0]
        p[genes, :, day] = 2 * stdtr(df, -np.abs(effect[..., 0]) / np.sqrt(variance))
    return Test(scale, estimate, p)


@dataclass(frozen=True)
class _Fit:
    """Coefficients [p, F*], probabilities [n, F], inverse information [p F*, p F*] by column, contrast."""

    coefficients: Numbers
    probability: Numbers
    inverse: Numbers


def _rows(cells: Cells, day: int) -> tuple[Numbers, Numbers, Index]:
    """Columns [n, p] with the genes first, sums of labels [n, F], those genes."""
    own = np.flatnonzero(cells.day == day)
    carried = cells.of_genes[own].toarray()  # [n, L]
    total, rep, burden, control = cells.labels[own], cells.rep[own], cells.burden[own], cells.controls[own]
    if cells.clustered:
        _, first, unit = np.unique(cells.group[own], return_index=True, return_inverse=True)
        summed = np.zeros((len(first), total.shape[1]))
        np.add.at(summed, unit, total)
        total, carried, rep, burden, control = (
            summed,
            carried[first],
            rep[first],
            burden[first],
            control[first],
        )
    genes = np.flatnonzero(carried.sum(axis=0) >= FEWEST)
    columns = [carried[:, genes], np.ones((len(total), 1)), replicate_columns(rep, control)]
    if np.ptp(burden) > 0:
        columns.append((burden - burden.mean())[:, None])
    return np.hstack(columns), total, genes


def _fit(x: Numbers, total: Numbers) -> _Fit:
    """Newton with halved steps."""
    p, contrasts = x.shape[1], total.shape[1] - 1
    size, ridge = total.sum(axis=1), 1 / RIDGE_SD**2
    coefficients = np.zeros((p, contrasts))

    def objective(b: Numbers) -> tuple[float, Numbers]:
        log_p = log_softmax(np.hstack([np.zeros((len(x), 1)), x @ b]), axis=1)
        return float((total * log_p).sum() - ridge / 2 * (b**2).sum()), np.exp(log_p)

    value, probability = objective(coefficients)
    for _ in range(STEPS):
        gradient = x.T @ (total - size[:, None] * probability)[:, 1:] - ridge * coefficients
        step = np.linalg.solve(_information(x, size, probability), gradient.reshape(-1)).reshape(p, contrasts)
        gain, share = float((gradient * step).sum()), 1.0
        while (trial := objective(coefficients + share * step))[0] < value and share > TOLERANCE:
            share /= 2
        coefficients, (value, probability) = coefficients + share * step, trial
        if gain < TOLERANCE:
            break
    inverse: Numbers = np.linalg.inv(_information(x, size, probability)).astype(float)
    return _Fit(coefficients, probability, inverse)


def _information(x: Numbers, size: Numbers, probability: Numbers) -> Numbers:
    """Information with the ridge, [p F*, p F*]."""
    p, contrasts = x.shape[1], probability.shape[1] - 1
    found = np.empty((p, contrasts, p, contrasts))
    for a in range(contrasts):
        for b in range(a + 1):
            weight = size * probability[:, a + 1] * ((a == b) - probability[:, b + 1])
            found[:, a, :, b] = found[:, b, :, a] = x.T @ (weight[:, None] * x)
    return found.reshape(p * contrasts, -1) + np.eye(p * contrasts) / RIDGE_SD**2


def _variance(fit: _Fit, x: Numbers, total: Numbers, jacobian: Numbers) -> tuple[Numbers, Numbers]:
    """Variance of each gene's effects and its degrees of freedom, [genes, K] each; jacobian [., K, F*].

    The dispersion of an effect is the ratio of its sandwich over rows to the variance of a multinomial. A
    gene has few rows where these are clusters, and where a fate has no cells with the gene the sandwich
    vanishes with the residuals: so dispersions are shrunk to a common one, and count as no less than that of
    the day's labels by Pearson's statistic.
    """
    n_genes, contrasts = len(jacobian), total.shape[1] - 1
    size = total.sum(axis=1, keepdims=True)
    residual = (total - size * fit.probability)[:, 1:]
    scores = (x[:, :, None] * residual[:, None]).reshape(len(x), -1)  # [n, p F*]
    length = n_genes * contrasts
    root = (scores @ fit.inverse)[:, :length].reshape(len(x), n_genes, contrasts)
    root = np.einsum("nlc,lkc->nlk", root, jacobian)
    carried = x[:, :n_genes].sum(axis=0)[:, None]  # rows of each gene
    sandwich = (root**2).sum(axis=0) * carried / (carried - 1)
    own = np.arange(n_genes)
    blocks = fit.inverse[:length, :length].reshape(n_genes, contrasts, n_genes, contrasts)[own, :, own]
    model = np.einsum("lka,lab,lkb->lk", jacobian, blocks, jacobian)
    square = (total - size * fit.probability) ** 2 / np.maximum(size * fit.probability, 1e-9)
    pearson = square.sum() / (len(x) - x.shape[1]) / contrasts
    dispersion, df = moderate(sandwich / model, carried - 1)
    return np.maximum(dispersion, pearson) * model, df

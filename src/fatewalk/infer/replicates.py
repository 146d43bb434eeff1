"""How much the effect of a gene differs between replicates of a day, by moments.

The model has one effect for each gene, contrast and day. Where replicates disagree, the score of the cells of
one replicate is not zero at the mode. With s and I the score and information of the labels of the cells of a
gene, replicate and day,

    e = I^-1 s,   its distribution about 0: N(0, k I^-1 + sd^2)

k is the scatter of labels within these cells over that of the model, pooled over the genes of a day. Genes
that share cells share a part rho of e, common to a replicate: what is left of e is its own value times
1 - rho, and is divided by it.
What is common to a gene over replicates and to a replicate over genes is taken out (weighted least squares,
within the day); the rest gives Cochran's Q, its test, and the SD by moments (DerSimonian and Laird).

Letters: L genes, R replicates, D days, F* contrasts, U = L R D units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import chdtrc

from fatewalk.model.information import fate_probabilities
from fatewalk.model.rows import linear_predictor, row_of_cells

if TYPE_CHECKING:
    from fatewalk.infer.laplace import Laplace
    from fatewalk.screen.design import Design

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FEWEST_CELLS = 5  # of a gene in a replicate and day that enters the moments
FEWEST_EXPECTED = 2.0  # of both fates of a contrast, sum of pi (1 - pi) over these cells
LEVEL = 0.05  # of the test by which an SD is believed


@dataclass(frozen=True)
class ReplicateSpread:
    """Differences of gene effects between replicates.

    Attributes
    ----------
    n_cells : array [L, R, D]
        Cells of a gene by replicate and day.
    sd : array [F*]
        SD of gene x replicate x day by moments, logit; missing where nothing tells it.
    q, p : array [F*]
        Cochran's Q and its p.
    freedom : array [F*]
        Degrees of freedom of Q.
    """

    n_cells: Ints
    sd: Floats
    q: Floats
    p: Floats
    freedom: Floats

    @property
    def believed(self) -> Floats:
        """The SD where its test is significant, else 0, [F*]."""
        return np.where(self.p < LEVEL, np.nan_to_num(self.sd), 0.0)

    @property
    def beyond_one(self) -> int:
        """Sum over gene-days of replicates with cells, less one: what knows the SD."""
        return int(((self.n_cells > 0).sum(axis=1) - 1).clip(min=0).sum())

    @property
    def variance(self) -> Floats:
        """Variance that replicates add to the effect of a gene-day, [L, F*, D]; 0 without cells."""
        cells = self.n_cells.sum(axis=1, keepdims=True)  # [L, 1, D]
        share = ((self.n_cells / np.maximum(cells, 1)) ** 2).sum(axis=1)  # [L, D]
        return self.believed[:, None] ** 2 * share[:, None, :]


@torch.no_grad()
def measure_replicates(laplace: Laplace, design: Design, shared: bool) -> ReplicateSpread:
    """Measure how much gene effects differ between replicates.

    Parameters
    ----------
    laplace
        At its mode.
    design
        The cells.
    shared
        Whether all cells of a cluster carry the same guides: then clusters, not cells, are independent.
    """
    units = _Units(laplace, design, shared)
    shape = (len(design.genes), len(design.reps), len(design.days))
    n_cells = units.cells.reshape(shape)
    n_contrasts = len(design.contrasts)
    scatter = _scatter(units, shape)  # [D, F*]
    inverse = np.linalg.pinv(units.information, hermitian=True)
    own = 1 - units.overlap[:, None]  # [D, 1]
    effect = (inverse @ units.score[:, :, None])[:, :, 0].reshape(*shape, n_contrasts) / own
    variance = inverse.diagonal(axis1=1, axis2=2).reshape(*shape, n_contrasts) * (scatter / own)
    expected = units.expected.reshape(*shape, -1)  # [L, R, D, F]
    q, freedom, weight = np.zeros((3, n_contrasts))
    for f in range(n_contrasts):
        used = (n_cells >= FEWEST_CELLS) & (expected[..., [0, f + 1]].min(axis=-1) >= FEWEST_EXPECTED)
        for day in range(shape[2]):
            w = np.where(used[:, :, day], 1 / np.maximum(variance[:, :, day, f], 1e-300), 0.0)
            found = two_way(effect[:, :, day, f], w)
            q[f], freedom[f], weight[f] = np.add((q[f], freedom[f], weight[f]), found)
    known = freedom > 0.5
    square = np.where(known, (q - freedom) / np.where(known, weight, 1.0), np.nan).clip(min=0)
    p = np.where(known, chdtrc(np.where(known, freedom, 1.0), q), np.nan)
    return ReplicateSpread(n_cells, np.sqrt(square), q, p, freedom)


def two_way(values: Floats, weight: Floats) -> tuple[float, float, float]:
    """What is left of values [L, R] beside a part of each row and of each column.

    Parameters
    ----------
    values
        Estimates.
    weight
        One over the variance of each; 0 where there is none.

    Returns
    -------
    q, freedom, weight
        Weighted sum of squares, degrees of freedom, and how much one unit of further variance in every value
        adds to the sum of squares.

    Examples
    --------
    >>> q, freedom, weight = two_way(np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]]), np.ones((3, 2)))
    >>> round(q, 3), round(freedom, 3), round(weight, 3)
    (0.333, 2.0, 2.0)
    """
    of_row = weight.sum(axis=1)  # [L]
    safe = np.where(of_row > 0, of_row, 1.0)
    columns = weight.shape[1]
    # indicators of the columns, and the values, less their means by row
    share = weight / safe[:, None]
    indicator = np.eye(columns)[None] - share[:, None, :]  # [L, R, R]: value at (row, column) of indicator
    centred = values - (share * values).sum(axis=1, keepdims=True)
    gram = np.einsum("lr,lra,lrb->ab", weight, indicator, indicator)
    inverse = np.linalg.pinv(gram, rcond=1e-10, hermitian=True)
    fit = indicator @ (inverse @ np.einsum("lr,lra,lr->a", weight, indicator, centred))
    leverage = share + weight * np.einsum("lra,ab,lrb->lr", indicator, inverse, indicator)
    left = np.where(weight > 0, 1 - leverage, 0.0)
    q = float((weight * (centred - fit) ** 2).sum())
    return q, float(left.sum()), float((weight * left).sum())


class _Units:
    """Sums over the cells of each gene, replicate and day.

    Attributes
    ----------
    cells : array [U]
    score : array [U, F*]
    information, spread : array [U, F*, F*]
        Of the model, and the variance of the score by the scatter of cells (clusters) around their own mean;
        `spread` is zero where there are fewer than two.
    expected : array [U, F]
        Sum of pi (1 - pi).
    overlap : array [D]
        Mean share of a gene's cells that also carry another given gene.
    """

    def __init__(self, laplace: Laplace, design: Design, shared: bool) -> None:
        c, rows = laplace.coordinates, laplace.rows
        sd = c.sd(c.scales.log_scales(laplace.vector))
        fitted = fate_probabilities(linear_predictor(rows, c.coefficients(sd * laplace.y).T.contiguous()))
        row = row_of_cells(design, c.terms)
        weight = rows.weight.cpu()[row].numpy()  # [N]
        pi = fitted.cpu()[row].numpy()  # [N, F]
        residual: Floats = weight[:, None] * (design.prob.numpy() - pi)[:, 1:]  # [N, F*]
        cell, gene = (found.numpy() for found in design.carried_genes)
        n_reps, n_days = len(design.reps), len(design.days)
        place = (gene * n_reps + design.rep.numpy()[cell]) * n_days + design.day.numpy()[cell]
        size, n = len(design.genes) * n_reps * n_days, residual.shape[1]

        def total(values: Floats) -> Floats:
            return np.asarray(np.bincount(place, weights=values[cell], minlength=size), dtype=float)

        self.cells = np.bincount(place, minlength=size)
        self.expected = np.stack([total(p * (1 - p)) for p in pi.T], axis=1)
        self.score = np.stack([total(r) for r in residual.T], axis=1)
        self.information = np.empty((size, n, n))
        for f in range(n):
            for g in range(f, n):
                bend = weight * pi[:, f + 1] * ((f == g) - pi[:, g + 1])
                self.information[:, f, g] = self.information[:, g, f] = total(bend)
        self.overlap = _overlap(cell, gene, design.day.numpy(), n_days)
        unit, parts = place, residual[cell]
        if shared:
            unit, parts = _by_cluster(place, design.cluster.numpy()[cell], parts)
        self.spread = self._spread(unit, parts)

    def _spread(self, unit: Ints, parts: Floats) -> Floats:
        """Variance of the score [U, F*, F*] from its independent parts [m, F*] and their units [m]."""
        n = parts.shape[1]
        count = np.bincount(unit, minlength=len(self.cells))  # [U]
        parts = parts - self.score[unit] / count[unit][:, None]
        out = np.empty((len(count), n, n))
        for f in range(n):
            for g in range(f, n):
                square = np.bincount(unit, weights=parts[:, f] * parts[:, g], minlength=len(count))
                out[:, f, g] = out[:, g, f] = square
        factor = np.where(count > 1, count / np.maximum(count - 1, 1), 0.0)
        return out * factor[:, None, None]


def _by_cluster(place: Ints, cluster: Ints, residual: Floats) -> tuple[Ints, Floats]:
    """Unit and summed residuals of each cluster in each unit, [m] and [m, F*]."""
    keys, member = np.unique(place * (cluster.max() + 1) + cluster, return_inverse=True)
    parts = [np.bincount(member, weights=r) for r in residual.T]
    return keys // (cluster.max() + 1), np.stack(parts, axis=1)


def _overlap(cell: Ints, gene: Ints, day: Ints, n_days: int) -> Floats:
    """Mean share of a gene's cells that carry another given gene, by day; at most 0.9."""
    carried = np.bincount(cell, minlength=len(day))  # [N] genes of a cell
    among = np.bincount(day, weights=carried * (carried - 1), minlength=n_days)
    all_of_day = np.bincount(day, weights=carried, minlength=n_days)
    pairs = np.unique(day[cell] * (gene.max() + 1) + gene) // (gene.max() + 1)
    others = np.bincount(pairs, minlength=n_days) - 1  # [D]
    return (among / np.maximum(all_of_day, 1) / np.maximum(others, 1)).clip(max=0.9)


def _scatter(units: _Units, shape: tuple[int, int, int]) -> Floats:
    """Scatter of labels over that of the model, [D, F*]; 1 where nothing tells it."""
    n = units.score.shape[1]
    seen = units.spread[:, 0, 0] > 0  # [U]
    by_day = (shape[0] * shape[1], shape[2], n, n)
    information, spread = (
        np.where(seen[:, None, None], one, 0.0).reshape(by_day).sum(axis=0)
        for one in (units.information, units.spread)
    )  # [D, F*, F*]
    inverse = np.linalg.pinv(information, hermitian=True)
    robust = (inverse @ spread @ inverse).diagonal(axis1=1, axis2=2)
    model = inverse.diagonal(axis1=1, axis2=2)
    return np.asarray(np.where(model > 0, robust / np.where(model > 0, model, 1.0), 1.0))

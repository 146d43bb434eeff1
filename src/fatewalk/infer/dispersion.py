"""How far labels scatter around the fitted probabilities, and the weight that follows from it.

phi[d] = sum [(p - pi)^2 + var pi] / sum [pi (1 - pi) - var pi] over the cells of a day and all fates, at
weight = 1 / phi. It is 1 for one-hot labels and 1 / (c + 1) for Dirichlet(c). var pi is the posterior
variance of the fitted probability: the residual falls short of the label's scatter by it, as the
fit follows the labels, and pi (1 - pi) at the estimate exceeds its posterior mean by it. (Counting
effective parameters instead, n_d F* / (n_d F* - p_eff[d]), leaves weights of one-hot labels 2 to 7 %
too large at 8,000 cells and some 700 parameters.)

Where all cells of a cluster carry the same guides, the total of a cluster of n cells has variance
n pi (1 - pi) phi [1 + (n - 1) rho], and the weight is 1 / (phi [1 + (n - 1) rho]).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fatewalk.model.scales import DTYPE

if TYPE_CHECKING:
    from fatewalk.model.rows import Rows

PHI_SPREAD_WARN = 3.0  # fates of one day whose phi differ by more: one weight cannot fit both
RHO_ROUNDS = 50
#: Smallest phi: labels with less scatter (a Dirichlet concentration above 999) get the weight of this
#: one. Guide deviations are shared by all days, and a day of nearly constant labels would pin them all.
SMALLEST_PHI = 1e-3
FEWEST_CELLS = 5.0  # sum of pi (1 - pi) below which a fate of a day is too rare for a phi of its own


@dataclass(frozen=True)
class Learned:
    """What the fit took from the labels of each day.

    Attributes
    ----------
    parameters : Tensor [D]
        Effective parameters, p_eff.
    variance : Tensor [D]
        Posterior variance of the probabilities, summed over cells and fates.
    """

    parameters: Tensor
    variance: Tensor


@dataclass(frozen=True)
class Dispersion:
    """Scatter of the labels.

    Attributes
    ----------
    phi : Tensor [D]
        Dispersion of single cells by day.
    phi_by_fate : Tensor [F, D]
        The same for each fate; where the cells of a cluster carry the same guides, that of cluster
        totals, with the correlation within clusters. Missing for a fate of a day with few cells.
    rho : Tensor [D]
        Correlation of the labels within a cluster; 0 without clusters or where a cluster has an
        intercept of its own.
    shortfall : Tensor [D]
        Squares of residuals, of cluster totals where the cells of a cluster carry the same guides, over
        those of the labels around their true probabilities: the fit follows the labels.
    settled
        Whether the iteration for rho found its fixed point.
    """

    phi: Tensor
    phi_by_fate: Tensor
    rho: Tensor
    shortfall: Tensor
    settled: bool = True


def estimate(rows: Rows, pi: Tensor, learned: Learned, shared: bool) -> Dispersion:
    """Estimate the dispersion from residuals.

    Parameters
    ----------
    rows
        All rows.
    pi : Tensor [M, F]
        Fitted probabilities.
    learned
        By the fit, from the labels of each day.
    shared
        Whether all cells of a cluster carry the same guides.
    """
    p_eff = learned.parameters
    n_days = len(p_eff)
    cells = rows.cells[:, None]  # [M, 1]
    squares = rows.square - 2 * rows.target * pi + cells * pi.square()  # [M, F] sum of (p - pi)^2
    expected = cells * pi * (1 - pi)  # [M, F]
    squares_of_day = _by_day(squares, rows.day, n_days)  # [D, F]
    expected_of_day = _by_day(expected, rows.day, n_days)  # [D, F]
    total = expected_of_day.sum(dim=1)  # [D]
    true_share = (1 - learned.variance / total).clamp(min=0.1)  # [D]
    # parameters are fitted to clusters: single cells hardly follow the fit. At another weight w than
    # 1 / phi the residual falls short by w phi var pi.
    weight = _by_day(rows.weight * rows.cells, rows.day, n_days) / _by_day(rows.cells, rows.day, n_days)
    followed = torch.zeros_like(total) if shared else weight * learned.variance / (total * true_share)
    raw = squares_of_day.sum(dim=1) / (total * true_share)
    phi = raw / (1 - followed).clamp(min=0.1)
    by_fate = (squares_of_day / expected_of_day).T * (phi * total / squares_of_day.sum(dim=1))
    # a day on which all labels agree says nothing of its scatter
    phi = torch.where(total < FEWEST_CELLS, 1.0, phi.clamp(min=SMALLEST_PHI))
    shortfall = squares_of_day.sum(dim=1) / (phi * total)
    rho, settled = torch.zeros_like(phi), True
    if shared:
        rho, by_fate, shortfall, settled = _of_clusters(rows, pi, squares, p_eff, phi * true_share)
    rare = expected_of_day.T < FEWEST_CELLS  # [F, D]
    return Dispersion(phi, torch.where(rare, torch.nan, by_fate), rho, shortfall, settled)


def weights(rows: Rows, dispersion: Dispersion, shared: bool) -> Tensor:
    """Weight of a cell's label in each row, [M]."""
    phi = dispersion.phi[rows.day]
    if not shared:
        return 1 / phi
    unit, n_units = units(rows)
    size = _sizes(rows, unit, n_units)[unit]  # [M]
    return 1 / (phi * (1 + (size - 1) * dispersion.rho[rows.day]))


def _of_clusters(
    rows: Rows, pi: Tensor, squares: Tensor, p_eff: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor, Tensor, bool]:
    """Moment estimate of rho by day, [D], variance of totals over single cells, [F, D], shortfall, [D].

    The square of a cluster's total residual exceeds the sum of its cells' squares by
    n (n - 1) rho phi pi (1 - pi) in expectation; clusters enter with the inverse of the variance
    of that difference, which depends on rho: iterated to a fixed point, which it may not find.
    """
    unit, n_clusters = units(rows)
    size = _sizes(rows, unit, n_clusters)  # [C]
    n_days = len(scale)
    day = torch.zeros(n_clusters, dtype=torch.int64, device=pi.device).index_copy(0, unit, rows.day)
    residual = rows.target - rows.cells[:, None] * pi
    zeros = torch.zeros(n_clusters, pi.shape[1], dtype=DTYPE, device=pi.device)
    total = zeros.index_add(0, unit, residual)  # [C, F]
    own = zeros.index_add(0, unit, squares)
    variance = zeros.index_add(0, unit, rows.cells[:, None] * pi * (1 - pi))
    variance = variance / size[:, None] * scale[day][:, None]  # [C, F] of one cell's label
    clusters = torch.bincount(day, minlength=n_days).double() * (pi.shape[1] - 1)  # [D] C_d F*
    shortfall = (1 - p_eff / clusters).clamp(min=0.1)  # [D] degrees of freedom that are left
    freedom = shortfall[day][:, None]
    pairs = (size * (size - 1))[:, None] * variance  # [C, F] expected excess for rho = 1
    rho = torch.zeros(n_days, dtype=DTYPE, device=pi.device)
    for _ in range(RHO_ROUNDS):
        spread = size[:, None] * variance * (1 + (size - 1) * rho[day])[:, None]
        weight = torch.where(spread > 0, spread.pow(-2), 0.0)
        excess = total.square() / freedom - own
        above = _by_day((weight * pairs * excess), day, n_days).sum(dim=1)
        below = _by_day((weight * pairs.square()), day, n_days).sum(dim=1)
        new = torch.where(below > 0, above / below.clamp(min=1e-300), 0.0).clamp(0, 1)
        settled = torch.allclose(new, rho, atol=1e-8, rtol=1e-4)
        if settled:
            break
        rho = new
    squares_of_day = _by_day(total.square() / freedom, day, n_days)  # [D, F]
    by_fate = (squares_of_day / _by_day(size[:, None] * variance, day, n_days)).T
    return new, by_fate, shortfall, settled


def units(rows: Rows) -> tuple[Tensor, int]:
    """Cluster of each row, those that recur on several days apart, [M]; and their number."""
    unit = torch.unique(rows.cluster * (int(rows.day.max()) + 1) + rows.day, return_inverse=True)[1]
    return unit, int(unit.max()) + 1


def _sizes(rows: Rows, unit: Tensor, n_units: int) -> Tensor:
    """Cells of each unit, [C]."""
    return torch.zeros(n_units, dtype=DTYPE, device=rows.day.device).index_add(0, unit, rows.cells)


def _by_day(values: Tensor, day: Tensor, n_days: int) -> Tensor:
    """Sum rows by day, [m, ...] -> [D, ...]."""
    zeros = torch.zeros(n_days, *values.shape[1:], dtype=DTYPE, device=values.device)
    return zeros.index_add(0, day, values)

"""Average change in the probability of each fate when a gene is switched on.

For gene l on day d, over the cells of the day:

    change[f] = mean over cells i of softmax(off[i] + theta[l, :, d])_f - softmax(off[i])_f

where off[i] is the cell's linear predictor without the gene's own guides. The predictor stands at
the posterior mean of the coefficients; draws of theta give the interval.

Letters: F fates (reference first), F* contrasts, L genes, G guides, D days, M rows, K representative
rows of a day, S draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from fatewalk.estimates.arrays import FateChange
from fatewalk.estimates.from_draws import draw_effects
from fatewalk.model import Effects
from fatewalk.model.linalg import eigh
from fatewalk.model.rows import Rows, linear_predictor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fatewalk.infer.fitted import Posterior
    from fatewalk.screen.design import Design

MOST_ROWS = 512  # representative rows of a day
MOST_DRAWS = 1000  # an end of the interval is then known to about 0.08 SD
BLOCK_NUMBERS = 2_000_000  # float64 numbers of a work array [genes, K, S]: 16 MB
PERCENT = 100.0


@torch.no_grad()
def average_fate_change(
    posterior: Posterior, design: Design, rows: Rows, draws: int, seed: int, most_rows: int = MOST_ROWS
) -> FateChange:
    """Average over the cells of each day the change in probability that each gene makes.

    Time and memory grow with genes x days x fates, not with cells: at most `most_rows` rows stand
    for the cells of a day (``representative_rows``).

    Parameters
    ----------
    posterior
        The fit.
    design
        The cells that it was fitted to.
    rows
        Of the design.
    draws
        Joint draws, at most ``MOST_DRAWS`` of them are used.
    seed
        Of the draws and of the choice of rows.
    most_rows
        Representative rows of a day.

    Returns
    -------
    FateChange
        The changes of a gene-day add up to zero over the fates.

    Raises
    ------
    NumericalError
        If linear predictors are not finite.
    """
    theta, coefficients = _draw_theta(posterior, min(draws, MOST_DRAWS), seed)
    eta = linear_predictor(rows, coefficients)  # [M, F*]
    rng = np.random.default_rng(seed)
    L, F, D = len(design.genes), len(design.fates), len(design.days)
    found = np.empty((3, L, F, D))
    for day in range(D):
        of_day = torch.nonzero(rows.day == day)[:, 0]
        chosen, weight = representative_rows(eta[of_day], rows.cells[of_day], most_rows, rng)
        own = _own_effects(rows, of_day[chosen], coefficients, design)
        theta_of_day = theta[..., day].permute(2, 1, 0)  # [L, F*, S]
        start = 0
        for off in _switched_off(eta[of_day[chosen]], own, L, theta.shape[0]):
            genes = slice(start, start + len(off))
            change = PERCENT * _change(off, weight, theta_of_day[genes])  # [genes, F, S]
            found[0, genes, :, day] = change.mean(dim=-1)
            found[1:, genes, :, day] = np.quantile(change, [0.025, 0.975], axis=-1)
            start = genes.stop
    return FateChange(*found)


def representative_rows(
    eta: Tensor, cells: Tensor, most: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Choose rows that stand for all of a day: a systematic sample along the predictor.

    Up to `most` rows are all taken, with their cell counts as weights. Of more, `most` cells are
    taken at equal steps, from a random start, along a path through all cells of the day. Every cell
    has the same chance, so that averages are unbiased, and neighbours on the path are alike, so that
    the sample is spread evenly. The path follows eta where there is one contrast. Where there are
    more it goes to and fro: along the second principal component of eta in each of sqrt(`most`)
    strips of equal cell number across the first.

    Parameters
    ----------
    eta : Tensor [M, F*]
        Linear predictors of the rows.
    cells : Tensor [M]
        Cells of each row.
    most
        Rows to choose.
    rng
        Source of the random start.

    Returns
    -------
    chosen : Tensor, int64 [K]
        Distinct rows.
    weight : Tensor [K]
        Their weights, which sum to one.
    """
    if len(eta) <= most:
        return torch.arange(len(eta)), cells / cells.sum()
    share = cells / cells.sum()
    order = _path(eta, share, round(most**0.5))
    position = torch.from_numpy((np.arange(most) + rng.random()) / most)
    at = torch.searchsorted(share[order].cumsum(0), position).clamp(max=len(eta) - 1)  # [most]
    rank, times = at.unique_consecutive(return_counts=True)
    return order[rank], times.double() / most


def _path(eta: Tensor, share: Tensor, n_strips: int) -> Tensor:
    """Order of the rows on the path of ``representative_rows``, int64 [M]."""
    centred = eta - share @ eta
    _, vectors = eigh((centred * share[:, None]).T @ centred, "the spread of the linear predictor")
    axes = vectors.flip(1)  # largest first
    along = centred @ axes[:, :2]  # [M, 2], or [M, 1] with one contrast
    order = torch.argsort(along[:, 0], stable=True)
    if along.shape[1] == 1:
        return order
    strip = torch.empty_like(order)
    strip[order] = (share[order].cumsum(0) * n_strips).long()
    to_and_fro = torch.where(strip % 2 == 0, along[:, 1], -along[:, 1])
    return torch.from_numpy(np.lexsort((to_and_fro.numpy(), strip.numpy())))


def _draw_theta(posterior: Posterior, draws: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draws of theta [S, F*, L, D] in single precision, and the mean coefficients [Q, F*]."""
    theta, total = [], torch.zeros(())
    for latents, effects in draw_effects(posterior, draws, seed):
        theta.append(effects.theta.float())
        for i in range(len(effects.theta)):
            one = {name: value[i] for name, value in latents.items()}
            total = total + posterior.model.coefficients(one, Effects(effects.theta[i], effects.delta[i]))
    return torch.cat(theta), total / draws


def _own_effects(
    rows: Rows, chosen: Tensor, coefficients: Tensor, design: Design
) -> tuple[Tensor, Tensor, Tensor]:
    """What the guides in the chosen rows add to the predictor: one entry for each guide in a row.

    Returns
    -------
    gene, row : Tensor, int64 [E]
        Gene of the guide, ascending; place of its row among the chosen.
    effect : Tensor [E, F*]
        Effect of the guide.
    """
    parts = rows.matrix.values(), rows.matrix.col_indices(), rows.matrix.crow_indices()
    matrix = csr_array(tuple(part.numpy() for part in parts), shape=(len(rows), len(coefficients)))
    entries = matrix[chosen.numpy()].tocoo()
    column, row = (torch.from_numpy(index.astype(np.int64)) for index in (entries.col, entries.row))
    G = len(design.guides)
    guide = column - (len(coefficients) - G * len(design.days))  # guides by day are the last columns
    is_guide = guide >= 0
    gene = design.guide_to_gene[guide[is_guide] % G]  # [E]
    order = torch.argsort(gene, stable=True)
    values = torch.from_numpy(entries.data)[is_guide]
    effect = values[:, None] * coefficients[column[is_guide]]  # [E, F*]
    return gene[order], row[is_guide][order], effect[order]


def _switched_off(
    eta: Tensor, own: tuple[Tensor, Tensor, Tensor], n_genes: int, draws: int
) -> Iterator[Tensor]:
    """Predictors of the chosen rows [K, F*] without each gene's guides, in blocks [genes, K, F*]."""
    gene, row, effect = own
    size = max(1, BLOCK_NUMBERS // (len(eta) * max(draws, eta.shape[1])))
    starts = torch.arange(0, n_genes, size)
    ends = torch.searchsorted(gene, torch.clamp(starts + size, max=n_genes)).tolist()
    first = 0
    for start, end in zip(starts.tolist(), ends, strict=True):
        off = eta.repeat(min(size, n_genes - start), 1, 1)  # [genes, K, F*]
        entries = slice(first, end)
        off.index_put_((gene[entries] - start, row[entries]), -effect[entries], accumulate=True)
        first = end
        yield off


def _change(off: Tensor, weight: Tensor, theta: Tensor) -> Tensor:
    """Average change of each fate's probability in every draw, [genes, F, S].

    softmax(off + theta)_f = a_f t_f / sum_h a_h t_h with a = exp(off), t = exp(theta): an exponential
    for each row and each draw, and a product of matrices for each pair of them.

    Parameters
    ----------
    off : Tensor [genes, K, F*]
    weight : Tensor [K]
    theta : Tensor [genes, F*, S]
    """
    off = torch.nn.functional.pad(off, (1, 0))  # [genes, K, F], the reference at 0
    a = (off - off.amax(dim=-1, keepdim=True)).exp()
    theta = torch.nn.functional.pad(theta.double(), (0, 0, 1, 0))  # [genes, F, S]
    t = (theta - theta.amax(dim=1, keepdim=True)).exp()
    weighted = (a * weight[:, None]).transpose(1, 2)  # [genes, F, K]
    on = t * (weighted @ (a @ t).reciprocal())  # [genes, F, S]
    before = weighted @ a.sum(dim=-1, keepdim=True).reciprocal()  # [genes, F, 1]
    return on - before

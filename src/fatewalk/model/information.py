"""The information matrix of the linear part, from weighted co-occurrence of guides.

The curvature of the multinomial log-likelihood in eta is W = w n (diag(pi) - pi pi') for each row,
whatever the labels. For each day the Gram matrices X' W X of the day's columns are summed over
blocks of rows (a row touches only the pairs of its own few columns), then mapped from guide
effects to gene effects and guide deviations. Memory depends on the number of guides, not of cells.

Letters as in ``model.coordinates``; q columns of a day, M rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import softmax

from fatewalk.model.scales import DTYPE
from fatewalk.model.sparse import transposed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fatewalk.model.coordinates import Coordinates
    from fatewalk.model.rows import Rows

PAIRS = 2_000_000  # pairs of a row's columns handled at once: 16 MB for each array


def fate_probabilities(eta: Tensor) -> Tensor:
    """Softmax with the reference at zero, [M, F*] -> [M, F]."""
    return softmax(torch.cat([eta.new_zeros(len(eta), 1), eta], dim=-1), dim=-1)


def curvature(rows: Rows, pi: Tensor) -> Tensor:
    """Curvature of each row's log-likelihood in eta, [M, F*, F*]."""
    p = pi[:, 1:]  # [M, F*]
    scale = (rows.weight * rows.cells)[:, None, None]
    return scale * (torch.diag_embed(p) - p[:, :, None] * p[:, None, :])


class RowIndex:
    """Rows sorted by day and number of entries, so that pairs of entries are made in blocks.

    Parameters
    ----------
    rows
        All rows.
    coordinates
        Gives the place of each column among those of its day.
    """

    def __init__(self, rows: Rows, coordinates: Coordinates) -> None:
        self._offsets = rows.matrix.crow_indices()
        local = coordinates.terms.local().to(self._offsets.device)
        self._local = local[rows.matrix.col_indices()].int()
        self._values = rows.matrix.values()
        self._counts = self._offsets.diff()  # [M]
        self._day = rows.day
        self._width = int(self._counts.max()) + 1
        self._order = torch.argsort(self._day * self._width + self._counts, stable=True)
        self._q = coordinates.terms.n_local_columns

    def blocks(self, day: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Blocks of a day's rows with the same number k of entries.

        Yields
        ------
        rows : Tensor, int64 [m]
        place : Tensor, int64 [m, k (k + 1) / 2]
            Place first * q + second of each pair of entries, first <= second.
        product : Tensor [m, k (k + 1) / 2]
            Product of their values.
        """
        in_day = self._order[self._day[self._order] == day]
        counts, sizes = torch.unique_consecutive(self._counts[in_day], return_counts=True)
        for k, group in zip(counts.tolist(), in_day.split(sizes.tolist()), strict=True):
            first, second = torch.triu_indices(k, k, device=group.device)
            for rows in group.split(max(1, PAIRS // len(first))):
                entries = self._offsets[rows][:, None] + torch.arange(k, device=group.device)  # [m, k]
                column, value = self._local[entries], self._values[entries]
                place = column[:, first].long() * self._q + column[:, second]
                yield rows, place, value[:, first] * value[:, second]

    def pairs(
        self, day: int, first_guide: int, gene: Tensor
    ) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Pairs of guides of one gene in a day's rows: row, first guide, second guide, product of values.

        Parameters
        ----------
        day
            Day.
        first_guide
            Place of guide 0 among the columns of a day.
        gene : Tensor, int64 [G]
            Gene of each guide.
        """
        for rows, place, product in self.blocks(day):
            left, right = place // self._q - first_guide, place % self._q - first_guide
            guides = (left >= 0) & (right >= 0)
            same = guides & (gene[left.clamp(min=0)] == gene[right.clamp(min=0)])
            yield rows[torch.nonzero(same)[:, 0]], left[same], right[same], product[same]


def day_gram(index: RowIndex, day: int, weights: Tensor, q: int) -> Tensor:
    """Gram matrices X' W X of one day's columns, [F*, F*, q, q].

    Parameters
    ----------
    index
        All rows.
    day
        Day.
    weights : Tensor [M, F*, F*]
        From ``curvature``.
    q
        Columns of a day.
    """
    n = weights.shape[1]
    pairs = [(f, g) for f in range(n) for g in range(f, n)]
    grams = torch.zeros(len(pairs), q * q, dtype=DTYPE, device=weights.device)
    for rows, place, product in index.blocks(day):
        flat = place.reshape(-1)
        for gram, (f, g) in zip(grams, pairs, strict=True):
            gram.index_add_(0, flat, (weights[rows, f, g][:, None] * product).reshape(-1))
    out = torch.empty(n, n, q, q, dtype=DTYPE, device=weights.device)
    for gram, (f, g) in zip(grams.view(-1, q, q), pairs, strict=True):
        out[f, g] = gram + gram.T
        out[f, g].diagonal().copy_(gram.diagonal())
        if f != g:
            out[g, f] = out[f, g]
    return out


def information(index: RowIndex, coordinates: Coordinates, weights: Tensor) -> Tensor:
    """Information matrix of the likelihood in the coordinates x, dense [P, P], P = F* p.

    Theta of a day is a weighted sum of innovations, so that the block of two innovations collects the
    information of every day on theta, times the product of their weights there.
    """
    c, n = coordinates, weights.shape[1]
    out = torch.zeros(n, c.size, n, c.size, dtype=DTYPE, device=weights.device)
    for day in range(c.terms.n_days):
        gram = day_gram(index, day, weights, c.terms.n_local_columns)
        transpose = transposed(c.day_map(day))
        for f in range(n):
            for g in range(f, n):
                half = transpose @ gram[f, g]  # [n + L + V, q]
                _add_day(out[f, :, g, :], transpose @ half.T.contiguous(), day, c)
    for f in range(n):
        for g in range(f + 1, n):
            out[g, :, f, :] = out[f, :, g, :].T
    return out.view(n * c.size, n * c.size)


def _add_day(out: Tensor, block: Tensor, day: int, c: Coordinates) -> None:
    """Add the information of a day on (nuisances, theta, directions) to that on the coordinates [p, p]."""
    k, genes = c.n_nuisance, c.terms.n_genes
    nuisance, theta, rest = slice(0, k), slice(k, k + genes), slice(k + genes, None)
    out[nuisance, nuisance] += block[nuisance, nuisance]
    out[nuisance, c.directions] += block[nuisance, rest]
    out[c.directions, nuisance] += block[rest, nuisance]
    out[c.directions, c.directions] += block[rest, rest]
    parts = [
        (slice(k + e * genes, k + (e + 1) * genes), weight)
        for e, weight in enumerate(c.terms.walk.weights[day].tolist())
        if weight != 0
    ]
    for walk, weight in parts:
        out[nuisance, walk].add_(block[nuisance, theta], alpha=weight)
        out[walk, nuisance].add_(block[theta, nuisance], alpha=weight)
        out[walk, c.directions].add_(block[theta, rest], alpha=weight)
        out[c.directions, walk].add_(block[rest, theta], alpha=weight)
        for other, second in parts:
            out[walk, other].add_(block[theta, theta], alpha=weight * second)

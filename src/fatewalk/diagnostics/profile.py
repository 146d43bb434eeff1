"""Weighted sums over the rows of a design, with the nuisances profiled out.

At the mean fate shares pi of each day the information of the labels on a combination of guide
effects of contrast f is that of a weighted regression: its variance, with the other contrasts free,
is (1 / pi_f + 1 / pi_0) over the weighted sum of squares that the nuisances leave.

Letters: M rows (identical cells collapsed), F* contrasts, L genes, G guides, D days, Q columns of the
regression, k nuisances.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fatewalk.model.linalg import eigh
from fatewalk.model.scales import DTYPE
from fatewalk.model.terms import Clusters

if TYPE_CHECKING:
    from fatewalk.model import Rows
    from fatewalk.model.coordinates import Coordinates

NO_INFORMATION = 1e-9  # share of a sum of squares that is rounding error


class Profile:
    """Weighted sums of squares and products after the nuisances are profiled out.

    Nuisances whose prior SD is learned have the prior of that scale's own prior, all others a flat one.
    The intercepts of clusters go first: there may be thousands, and each cell has one. Where a nuisance
    is shared by days, the days count with the mean over contrasts of pi_f pi_0 / (pi_f + pi_0); within a
    day the sums are exact.
    """

    def __init__(self, rows: Rows, coordinates: Coordinates) -> None:
        c = coordinates
        self.rows, self.c = rows, c
        n_days = c.terms.n_days
        total = torch.zeros(n_days, rows.target.shape[1], dtype=DTYPE).index_add(0, rows.day, rows.target)
        self.shares = total / total.sum(dim=1, keepdim=True)  # [D, F]
        #: [F*, D] information of one cell in a contrast, the others free
        self.per_cell = 1 / (1 / self.shares[:, 1:] + 1 / self.shares[:, :1]).T
        self.mean_per_cell = self.per_cell.mean(dim=0)  # [D]
        self.weight = rows.weight * rows.cells * self.mean_per_cell[rows.day]  # [M]
        row = torch.repeat_interleave(torch.arange(len(rows)), rows.matrix.crow_indices().diff())
        is_guide = rows.matrix.col_indices() >= c.terms.first_guide
        self.n_targeting = torch.bincount(row[is_guide], minlength=len(rows)).double()  # [M]
        clusters = c.terms.nuisance(Clusters)
        self.of_clusters = clusters.size if clusters else 0
        others = [term for term in c.terms.nuisances if term is not clusters]
        #: int64 [k] coordinates of the nuisances
        self.places = torch.cat([torch.arange(c.size)[c.blocks[term.name]] for term in others])
        self.precision = torch.cat([torch.full((t.size,), t.prior_precision, dtype=DTYPE) for t in others])
        unit = torch.zeros(len(self.places), 1, c.size, dtype=DTYPE)
        unit[torch.arange(len(self.places)), 0, self.places] = 1
        coefficients = c.coefficients(unit)[:, 0].T.contiguous()  # [Q, k]
        if clusters:
            sums = torch.zeros(clusters.size, dtype=DTYPE)
            self._cluster_total = clusters.prior_precision + sums.index_add(0, rows.cluster, self.weight)
        self.nuisances = rows.matrix @ coefficients  # [M, k]
        self.within = self.within_clusters(self.nuisances)
        self.inverse = self._inverse(slice(None))

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        """Weighted products of features, [M, a] x [M, b] -> [a, b]."""
        return a.T @ (self.weight[:, None] * b)

    def within_clusters(self, a: Tensor) -> Tensor:
        """What the intercepts of clusters, with their prior, leave of features, [M, a] -> [M, a]."""
        if not self.of_clusters:
            return a
        sums = torch.zeros(self.of_clusters, a.shape[1], dtype=DTYPE)
        sums.index_add_(0, self.rows.cluster, self.weight[:, None] * a)
        return a - (sums / self._cluster_total[:, None])[self.rows.cluster]

    def residual(self, a: Tensor, without: slice | None = None) -> Tensor:
        """What the nuisances, or all but those at a place, leave of features, [M, a] -> [M, a]."""
        within = self.within_clusters(a)
        kept: Tensor | slice = slice(None)  # a view: a mask would copy all rows
        inverse = self.inverse
        if without is not None:
            kept = (self.places < without.start) | (self.places >= without.stop)
            inverse = self._inverse(kept)
        return within - self.within[:, kept] @ (inverse @ self.product(self.nuisances[:, kept], within))

    def _inverse(self, kept: Tensor | slice) -> Tensor:
        """Of the information on the nuisances that are kept, bool [k] or all, their priors included."""
        gram = self.product(self.nuisances[:, kept], self.within[:, kept])
        return _pseudo_inverse(gram + torch.diag(self.precision[kept]))

    def guides(self, a: Tensor) -> Tensor:
        """Weighted products of each guide and day with features, [M, a] -> [D, G, a]."""
        both = self.rows.transpose @ (self.weight[:, None] * a)  # [Q, a]
        return both[self.c.terms.first_guide :].reshape(self.c.terms.n_days, self.c.terms.n_guides, -1)

    def gene_squares(self) -> Tensor:
        """Weighted sum of the squared number of guides of each gene, by day, [D, L]."""
        t = self.c.terms
        n_genes, n_days = t.n_genes, t.n_days
        matrix = self.rows.matrix
        row = torch.repeat_interleave(torch.arange(len(self.rows)), matrix.crow_indices().diff())
        column = matrix.col_indices() - t.first_guide
        is_guide = column >= 0
        gene = self.c.guide_to_gene[column[is_guide] % t.n_guides]
        key = torch.sort(row[is_guide] * n_genes + gene).values
        key, counts = torch.unique_consecutive(key, return_counts=True)
        row, gene = key // n_genes, key % n_genes
        sums = torch.zeros(n_days * n_genes, dtype=DTYPE)
        sums.index_add_(0, self.rows.day[row] * n_genes + gene, self.weight[row] * counts.double().square())
        return sums.view(n_days, n_genes)

    def genes(self, of_guides: Tensor) -> Tensor:
        """Sum guides by gene, [D, G, a] -> [D, L, a]."""
        zeros = of_guides.new_zeros(len(of_guides), self.c.terms.n_genes, of_guides.shape[2])
        return zeros.index_add(1, self.c.guide_to_gene, of_guides)


def _pseudo_inverse(gram: Tensor) -> Tensor:
    """Invert a Gram matrix on the directions that it sees, at unit diagonal."""
    scale = gram.diagonal().clamp(min=0).sqrt()
    scale = torch.where(scale > 0, 1 / scale, 0.0)
    values, vectors = eigh(scale[:, None] * gram * scale, "the products of the nuisances")
    inverse = torch.where(values > NO_INFORMATION, 1 / values, 0.0)
    return scale[:, None] * ((vectors * inverse) @ vectors.T) * scale

"""Effects of genes and guides, and centring within genes.

Letters: F* contrasts, L genes, G guides, D days. Every function takes any leading sample
dimensions, so that the model (one draw) and the export (many draws) share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Effects:
    """Effects in logit against the reference fate.

    Attributes
    ----------
    theta : Tensor [..., F*, L, D]
        Mean effect of a gene's guides, by day.
    delta : Tensor [..., F*, G]
        Deviation of a guide from its gene, the same on all days.
    """

    theta: Tensor
    delta: Tensor

    def beta(self, guide_to_gene: Tensor) -> Tensor:
        """Effect of each guide by day, theta of its gene plus delta, [..., F*, G, D]."""
        return self.theta[..., guide_to_gene, :] + self.delta[..., None]


def center_within_gene(u: Tensor, guide_to_gene: Tensor, n_guides_per_gene: Tensor) -> Tensor:
    """Subtract from each guide's value the mean over the guides of its gene.

    A functional ``scatter_add``, no in-place write. The result
    sums to zero within each gene, so a gene-wide shift can only sit in theta; a gene with one
    guide gets exactly zero.

    Parameters
    ----------
    u : Tensor [..., G]
        Free values.
    guide_to_gene : Tensor, int64 [G]
        Gene of each guide.
    n_guides_per_gene : Tensor, int64 [L]
        Guides of each gene, at least 1.

    Returns
    -------
    Tensor [..., G]
        Centred values.
    """
    index = guide_to_gene.expand(u.shape)  # [..., G]
    zeros = u.new_zeros(*u.shape[:-1], len(n_guides_per_gene))  # [..., L]
    mean = zeros.scatter_add(-1, index, u) / n_guides_per_gene  # [..., L]
    return u - mean.gather(-1, index)


def within_gene_mean(values: Tensor, guide_to_gene: Tensor, n_guides_per_gene: Tensor) -> Tensor:
    """Mean over the guides of each gene, [..., G] -> [..., L], by scatter-add."""
    zeros = values.new_zeros(*values.shape[:-1], len(n_guides_per_gene))
    total = zeros.scatter_add(-1, guide_to_gene.expand(values.shape), values)
    return total / n_guides_per_gene

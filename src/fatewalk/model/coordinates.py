"""Standardised coordinates of the linear part of the model.

At fixed scales the linear predictor is linear in the intercepts, slopes, innovations of the random
walk and guide deviations. ``Coordinates`` packs them, contrast by contrast, into a vector whose
prior is independent: x = sd * y with y ~ N(0, 1). In y the information matrix has no eigenvalue
below one, whatever the scales.

Independent contrasts are a prior that treats the reference fate unlike the others. *Symmetric*
coordinates have the prior of independent changes of all fates: contrasts have correlation 1/2 and the
same scales. With R R' = (I + 11') / 2 the effects are R x, and x is independent as before; all that
changes is what the labels see of x (``mixed``, ``unmixed``).

Letters: F* contrasts, L genes, G guides, D days, V = G - L guide directions that centring leaves
(V = G without centring), p coordinates of a contrast, P = F* p, Q columns of the regression,
H scales of a contrast (of the walk by day, of guides, of nuisances that have one).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fatewalk.model.scales import DTYPE
from fatewalk.model.sparse import apply, sparse_matrix, take_rows, transposed

if TYPE_CHECKING:
    from fatewalk.model.terms import Nuisance, Terms


@dataclass(frozen=True)
class GeneGroup:
    """Genes with the same number n of guides.

    Attributes
    ----------
    size
        n.
    genes : Tensor, int64 [Lg]
    guides : Tensor, int64 [Lg, n]
        In the order of ``Coordinates.rotation``.
    place : Tensor, int64 [Lg, F*, D + v]
        Flat coordinates of a gene: innovations, then its v directions.
    local : Tensor [n, 1 + v]
        Map from (theta of a day, directions) to the guides' effects.
    """

    size: int
    genes: Tensor
    guides: Tensor
    place: Tensor
    local: Tensor


class Coordinates:
    """Order, prior SDs and linear maps of the packed coordinates.

    Parameters
    ----------
    terms
        Of the model.
    device
        Where the tensors live.
    symmetric
        Whether the prior treats all fates alike.

    Attributes
    ----------
    root : Tensor [F*, F*] or None
        R of symmetric coordinates.
    size
        p, coordinates of one contrast: nuisances, innovations (day by day, [D, L]), guide
        directions [V].
    n_nuisance
        How many of them are nuisances.
    blocks
        Place of each nuisance in a contrast's vector.
    scale_of : Tensor, int64 [p]
        Which of the H scales is the coordinate's prior SD; -1 where the prior SD is fixed.
    """

    def __init__(self, terms: Terms, device: torch.device | None = None, symmetric: bool = False) -> None:
        self.device = device or torch.device("cpu")
        self.terms = terms
        self.root = symmetric_root(terms.n_contrasts).to(self.device) if symmetric else None
        self.blocks: dict[str, slice] = {}
        fixed: list[Tensor] = []
        self.n_nuisance = 0
        for term in terms.nuisances:
            self.blocks[term.name] = slice(self.n_nuisance, self.n_nuisance + term.size)
            self.n_nuisance += term.size
            fixed.append(torch.full((term.size,), term.site.scale, dtype=DTYPE))
        self.nuisance_map = terms.nuisance_map.to(self.device)
        self.nuisance_transpose = transposed(self.nuisance_map)
        self.guide_to_gene = terms.guides.guide_to_gene.to(self.device)
        self.rotation = terms.guides.rotation.to(self.device)  # [G, V]
        self.rotation_transpose = transposed(self.rotation)
        self.n_directions = self.rotation.shape[1]
        self.n_means = terms.guides.n_means
        n_walk = terms.n_days * terms.n_genes
        self.size = self.n_nuisance + n_walk + self.n_directions
        self.walk = slice(self.n_nuisance, self.n_nuisance + n_walk)
        self.directions = slice(self.n_nuisance + n_walk, self.size)
        ones = torch.ones(self.size - self.n_nuisance, dtype=DTYPE)
        self._fixed_sd = torch.cat([*fixed, ones]).to(self.device)
        self.scale_of = self._scale_of().to(self.device)
        self.scales = Scales(terms, self.device, tied=symmetric)

    @property
    def n_scales(self) -> int:
        """Number of scales H of a contrast."""
        return sum(len(scales) for scales in self.terms.scaled)

    def mixed(self, values: Tensor) -> Tensor:
        """From independent to actual contrasts: R times the last dimension, [..., F*]."""
        return values if self.root is None else values @ self.root.T

    def unmixed(self, gradient: Tensor) -> Tensor:
        """Transpose of ``mixed``, [..., F*]."""
        return gradient if self.root is None else gradient @ self.root

    def unmixed_curvature(self, curvature: Tensor) -> Tensor:
        """Curvature in the independent contrasts, R' W R: [M, F*, F*]."""
        return curvature if self.root is None else self.root.T @ curvature @ self.root

    def place(self, kind: type[Nuisance]) -> slice | None:
        """Place of the nuisance of a kind in a contrast's vector, if there is one."""
        term = self.terms.nuisance(kind)
        return self.blocks[term.name] if term else None

    def _scale_of(self) -> Tensor:
        """Scale of each coordinate, in the order of ``Terms.scaled``; -1 without."""
        t = self.terms
        found = torch.full((self.size,), -1, dtype=torch.int64)
        found[self.walk] = torch.arange(t.n_days).repeat_interleave(t.n_genes)
        found[self.directions] = t.n_days
        for h, term in enumerate(term for term in t.nuisances if term.scales):
            found[self.blocks[term.name]] = t.n_days + 1 + h
        return found

    def sd(self, log_scales: Tensor) -> Tensor:
        """Prior SD of each coordinate, [F*, p], from the log scales [F*, H]."""
        own = log_scales.exp()[:, self.scale_of.clamp(min=0)]  # [F*, p]
        return torch.where(self.scale_of >= 0, own, self._fixed_sd.expand_as(own))

    def theta(self, x: Tensor) -> Tensor:
        """Gene effects, [..., F*, p] -> [..., F*, D, L]."""
        t = self.terms
        return t.walk.apply(x[..., self.walk].reshape(*x.shape[:-1], t.n_days, t.n_genes))

    def coefficients(self, x: Tensor) -> Tensor:
        """Coefficients of the regression, linear in x: [..., F*, p] -> [..., F*, Q]."""
        nuisances = apply(self.nuisance_map, x[..., : self.n_nuisance])
        delta = apply(self.rotation, x[..., self.directions])  # [..., G]
        beta = self.theta(x)[..., self.guide_to_gene] + delta[..., None, :]  # [..., D, G]
        return torch.cat([nuisances, beta.reshape(*x.shape[:-1], -1)], dim=-1)

    def adjoint(self, gradient: Tensor) -> Tensor:
        """Transpose of ``coefficients``: [..., F*, Q] -> [..., F*, p]."""
        t, lead = self.terms, gradient.shape[:-1]
        nuisances = apply(self.nuisance_transpose, gradient[..., : t.first_guide])
        beta = gradient[..., t.first_guide :].reshape(*lead, t.n_days, t.n_guides)  # [..., D, G]
        genes = beta.new_zeros(*lead, t.n_days, t.n_genes).index_add(-1, self.guide_to_gene, beta)
        walk = t.walk.adjoint(genes).reshape(*lead, -1)
        directions = apply(self.rotation_transpose, beta.sum(dim=-2))  # [..., V]
        return torch.cat([nuisances, walk, directions], dim=-1)

    def day_map(self, day: int) -> Tensor:
        """Sparse map from a day's nuisances, theta and directions to its columns, [q, n + L + V].

        The columns of a day are those of ``Terms.local``.
        """
        t, n = self.terms, self.n_nuisance
        own = take_rows(t.nuisance_map, t.columns_of_day(day)).to_sparse_coo().coalesce()
        rotation = t.guides.rotation.to_sparse_coo().coalesce()
        guides = t.first_local_guide + torch.arange(t.n_guides)
        rows = [own.indices()[0], guides, t.first_local_guide + rotation.indices()[0]]
        columns = [
            own.indices()[1],
            n + t.guides.guide_to_gene,
            n + t.n_genes + rotation.indices()[1],
        ]
        values = [own.values(), torch.ones(t.n_guides, dtype=DTYPE), rotation.values()]
        shape = (t.n_local_columns, n + t.n_genes + self.n_directions)
        return sparse_matrix(torch.cat(rows), torch.cat(columns), torch.cat(values), shape).to(self.device)

    def gene_groups(self) -> list[GeneGroup]:
        """Genes by their number of guides, with the places of their coordinates."""
        t = self.terms
        n_guides = t.guides.n_guides_per_gene
        order = torch.argsort(t.guides.guide_to_gene, stable=True)
        starts = n_guides.cumsum(0) - n_guides  # first guide of each gene in the order
        per_gene = n_guides - 1 if self.n_means else n_guides
        first = per_gene.cumsum(0) - per_gene  # first direction
        contrasts = torch.arange(t.n_contrasts)[:, None] * self.size  # [F*, 1]
        found = []
        for size in n_guides.unique().tolist():
            genes = torch.nonzero(n_guides == size)[:, 0]
            v = size - 1 if self.n_means else size
            guides = order[starts[genes][:, None] + torch.arange(size)]
            walk = self.walk.start + torch.arange(t.n_days) * t.n_genes + genes[:, None]  # [Lg, D]
            own = self.directions.start + first[genes][:, None] + torch.arange(v)  # [Lg, v]
            place = contrasts + torch.cat([walk, own], dim=1)[:, None, :]  # [Lg, F*, D + v]
            local = torch.cat([torch.ones(size, 1, dtype=DTYPE), t.guides.local(size)], dim=1)
            tensors = (genes, guides, place, local)
            found.append(GeneGroup(size, *(x.to(self.device) for x in tensors)))
        return found

    def guide_places(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """For each guide: gene, place within the gene, group, row of the gene in the group; [G] each."""
        position, group_of, row_of = (torch.zeros_like(self.guide_to_gene) for _ in range(3))
        for i, group in enumerate(self.gene_groups()):
            position[group.guides] = torch.arange(group.size, device=self.device).expand_as(group.guides)
            group_of[group.guides] = i
            row_of[group.guides] = torch.arange(len(group.genes), device=self.device)[:, None].expand_as(
                group.guides
            )
        return self.guide_to_gene, position, group_of, row_of

    def latents(self, y: Tensor, mean: Tensor) -> dict[str, Tensor]:
        """Unpack standardised coordinates into latent variables of the model (but the scales).

        Parameters
        ----------
        y : Tensor [..., F*, p]
            Standardised coordinates.
        mean : Tensor [..., F*, L]
            Standardised mean direction of each gene's guides, of which the likelihood knows nothing;
            [..., F*, 0] without centring.
        """
        t = self.terms
        found = {name: y[..., place] * self._fixed_sd[place] for name, place in self.blocks.items()}
        walk = y[..., self.walk].reshape(*y.shape[:-1], t.n_days, t.n_genes)
        found["z"] = walk.transpose(-1, -2)  # [..., F*, L, D]
        u = apply(self.rotation, y[..., self.directions])  # [..., F*, G]
        if mean.shape[-1]:
            root = t.guides.n_guides_per_gene.to(self.device).double().sqrt()
            u = u + (mean / root)[..., self.guide_to_gene]
        found["u"] = u
        return found


def symmetric_root(n_contrasts: int) -> Tensor:
    """R with R R' = (I + 11') / 2, the covariance of contrasts of independent fates: lower [F*, F*]."""
    return torch.linalg.cholesky(0.5 * (torch.eye(n_contrasts, dtype=DTYPE) + 1))


class Scales:
    """The scales of the model as an unconstrained vector, and the log scales [F*, H] it gives.

    The vector holds the sites of every term that has scales, one after the other and each [F*, ...] (tied:
    [1, ...], the same for all contrasts), those that are scales as logarithms. The log scales are
    ``matrix @ vector + constant``.
    """

    def __init__(self, terms: Terms, device: torch.device, tied: bool = False) -> None:
        n = terms.n_contrasts
        own = 1 if tied else n  # copies of a site in the vector
        sites = [site for scales in terms.scaled for site in scales.sites]
        self.shapes = {site.name: (own, *site.shape) for site in sites}
        lengths = [math.prod(shape) for shape in self.shapes.values()]
        self.size = sum(lengths)
        self.matrix = torch.zeros(n, sum(map(len, terms.scaled)), self.size, dtype=DTYPE)
        row = place = 0
        for scales in terms.scaled:
            rows = slice(row, row + len(scales))
            for to_log in scales.maps:
                width = to_log.shape[1]
                for f in range(n):
                    first = place + (f % own) * width
                    self.matrix[f, rows, first : first + width] = to_log
                place += own * width
            row += len(scales)
        self.matrix = self.matrix.to(device)
        self.constant = torch.cat([scales.constant for scales in terms.scaled]).to(device).expand(n, -1)
        repeats = torch.tensor(lengths)
        prior = torch.tensor([site.scale for site in sites], dtype=DTYPE)
        self.prior = prior.repeat_interleave(repeats).to(device)
        self.is_log = torch.tensor([site.is_scale for site in sites]).repeat_interleave(repeats).to(device)

    def start(self, share: float) -> Tensor:
        """Vector with every scale at a share of its prior scale, [S]."""
        return torch.where(self.is_log, (share * self.prior).log(), torch.zeros_like(self.prior))

    def log_scales(self, vector: Tensor) -> Tensor:
        """Log scales, [..., F*, H]."""
        return torch.einsum("fhs,...s->...fh", self.matrix, vector) + self.constant

    def prior_slope_and_curvature(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        """First and minus the second derivative of the log prior density of the vector, [S] each.

        For a log scale the HalfNormal's density with the Jacobian of the logarithm: its mode is
        never at a scale of zero.
        """
        square = (2 * vector).exp() / self.prior.square()
        slope = torch.where(self.is_log, 1 - square, -vector / self.prior.square())
        curvature = torch.where(self.is_log, 2 * square, self.prior.pow(-2))
        return slope, curvature

    def latents(self, vector: Tensor) -> dict[str, Tensor]:
        """Unpack into constrained latent variables, each [..., shape]."""
        values = torch.where(self.is_log, vector.exp(), vector)
        parts = values.split([math.prod(shape) for shape in self.shapes.values()], dim=-1)
        return {
            name: part.reshape(*vector.shape[:-1], *shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }


def variance_factor(ratio: Tensor, change: Tensor) -> Tensor:
    """How the posterior variance of a coordinate on its own follows its log scale.

    With r the posterior over prior variance and q = r / (1 - r), its error over its prior variance, a
    change t of the log scale multiplies the variance by (1 + q) / (exp(2 t) + q), and the mode by
    exp(t) times that.

    Parameters
    ----------
    ratio : Tensor [..., F*, p]
        r.
    change : Tensor [..., F*, p]
        t.
    """
    q = ratio / (1 - ratio)
    return (1 + q) / ((2 * change).exp() + q)

"""Standardised coordinates of the linear part of the model.

At fixed scales the linear predictor is linear in the intercepts, slopes, innovations of the random
walk and guide deviations. ``Coordinates`` packs them, contrast by contrast, into a vector whose
prior is independent: x = sd * y with y ~ N(0, 1). In y the information matrix has no eigenvalue
below one, whatever the scales.

Letters: F* contrasts, L genes, G guides, D days, V = G - L guide directions that centring leaves
(V = G without centring), p coordinates of a contrast, P = F* p, Q columns of the regression,
H scales of a contrast (tau, sigma_time by day, sigma_guide, sigma_cluster where there are clusters).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fatewalk.model import FateModel
from fatewalk.model.fate_model import DTYPE, GAP_SPREAD
from fatewalk.model.sparse import sparse_matrix, transposed


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


NUISANCES = ("alpha", "b", "gamma", "zeta", "c")


class Coordinates:
    """Order, prior SDs and linear maps of the packed coordinates.

    Parameters
    ----------
    model
        Its sizes and priors; on the CPU.
    device
        Where the tensors live.

    Attributes
    ----------
    size
        p, coordinates of one contrast: nuisances, innovations (day by day, [D, L]), guide
        directions [V].
    n_nuisance
        How many of them are nuisances.
    scale_of : Tensor, int64 [p]
        Which of the H scales is the coordinate's prior SD; -1 where the prior SD is fixed.
    """

    def __init__(self, model: FateModel, device: torch.device | None = None) -> None:
        self.device = device or torch.device("cpu")
        self.model = model
        self.sizes = s = model.sizes
        self.columns = s.columns
        sites = model.sites()
        self.blocks: dict[str, slice] = {}  # place of each nuisance in a contrast's vector
        fixed: list[Tensor] = []
        for name in NUISANCES:
            if name in sites:
                _, scale, shape = sites[name]
                begin = sum(len(part) for part in fixed)
                self.blocks[name] = slice(begin, begin + shape[1])
                fixed.append(torch.full((shape[1],), scale, dtype=DTYPE))
        self.n_nuisance = sum(len(part) for part in fixed)
        self.guide_to_gene = s.guide_to_gene.to(self.device)
        self.rotation = _rotation(model).to(self.device)  # [G, V]
        self.rotation_transpose = transposed(self.rotation)
        self.n_directions = self.rotation.shape[1]
        self.n_means = s.genes if model.config.center_delta else 0  # directions that centring takes out
        n_walk = s.days * s.genes
        self.size = self.n_nuisance + n_walk + self.n_directions
        self.walk = slice(self.n_nuisance, self.n_nuisance + n_walk)
        self.directions = slice(self.n_nuisance + n_walk, self.size)

        self.n_scales = s.days + 1 + (1 if s.columns.n_clusters else 0)
        self.scale_of = torch.full((self.size,), -1, dtype=torch.int64)
        self.scale_of[self.walk] = torch.arange(s.days).repeat_interleave(s.genes)
        self.scale_of[self.directions] = s.days
        if "c" in self.blocks:
            self.scale_of[self.blocks["c"]] = s.days + 1
        ones = torch.ones(self.size - self.n_nuisance, dtype=DTYPE)
        self._fixed_sd = torch.cat([*fixed, ones]).to(self.device)
        self.scale_of = self.scale_of.to(self.device)
        self.scales = Scales(model, self.device)

    def sd(self, log_scales: Tensor) -> Tensor:
        """Prior SD of each coordinate, [F*, p], from the log scales [F*, H]."""
        own = log_scales.exp()[:, self.scale_of.clamp(min=0)]  # [F*, p]
        return torch.where(self.scale_of >= 0, own, self._fixed_sd.expand_as(own))

    def coefficients(self, x: Tensor) -> Tensor:
        """Coefficients of the regression, linear in x: [..., F*, p] -> [..., F*, Q]."""
        s, blocks = self.sizes, self.blocks
        lead = x.shape[:-1]

        def nuisance(name: str, n: int) -> Tensor:
            return x[..., blocks[name]] if name in blocks else x.new_zeros(*lead, n)

        b = nuisance("b", s.reps)
        b = b - b.mean(dim=-1, keepdim=True)
        gamma = nuisance("gamma", 1).expand(*lead, s.days)
        theta = x[..., self.walk].reshape(*lead, s.days, s.genes).cumsum(dim=-2)  # [..., D, L]
        delta = _apply(self.rotation, x[..., self.directions])  # [..., G]
        beta = theta[..., self.guide_to_gene] + delta[..., None, :]  # [..., D, G]
        parts = [nuisance("alpha", s.days), b, gamma, nuisance("zeta", 0), nuisance("c", 0)]
        return torch.cat([*parts, beta.reshape(*lead, -1)], dim=-1)

    def adjoint(self, gradient: Tensor) -> Tensor:
        """Transpose of ``coefficients``: [..., F*, Q] -> [..., F*, p]."""
        s, at, lead = self.sizes, self.columns, gradient.shape[:-1]
        b = gradient[..., at.reps : at.burden]
        b = b - b.mean(dim=-1, keepdim=True)
        gamma = gradient[..., at.burden : at.covariates]
        if "gamma" in self.blocks and self._length("gamma") == 1:
            gamma = gamma.sum(dim=-1, keepdim=True)
        whole = {
            "alpha": gradient[..., : s.days],
            "b": b,
            "gamma": gamma,
            "zeta": gradient[..., at.covariates : at.clusters],
            "c": gradient[..., at.clusters : at.guides],
        }
        beta = gradient[..., at.guides :].reshape(*lead, s.days, s.guides)  # [..., D, G]
        genes = beta.new_zeros(*lead, s.days, s.genes).index_add(-1, self.guide_to_gene, beta)
        walk = genes.flip(-2).cumsum(dim=-2).flip(-2).reshape(*lead, -1)  # sum over later days
        directions = _apply(self.rotation_transpose, beta.sum(dim=-2))  # [..., V]
        parts = [whole[name] for name in NUISANCES if name in self.blocks]
        return torch.cat([*parts, walk, directions], dim=-1)

    def day_map(self, day: int) -> Tensor:
        """Sparse map from a day's nuisances, theta and directions to its columns, [q, n + L + V].

        The columns of a day are those of ``Columns.local``.
        """
        s, at = self.sizes, self.columns
        n, blocks = self.n_nuisance, self.blocks
        rows: list[Tensor] = []
        cols: list[Tensor] = []
        values: list[Tensor] = []

        def put(row: Tensor | int, col: Tensor | int, value: Tensor | float = 1.0) -> None:
            entries = torch.broadcast_tensors(
                torch.as_tensor(row), torch.as_tensor(col), torch.as_tensor(value, dtype=DTYPE)
            )
            for found, entry in zip((rows, cols, values), entries, strict=True):
                found.append(entry.reshape(-1))

        def places(name: str) -> Tensor:
            return torch.arange(blocks[name].start, blocks[name].stop)

        put(0, blocks["alpha"].start + day)
        if "b" in blocks:
            centre = torch.eye(s.reps, dtype=DTYPE) - 1 / s.reps
            put(1 + torch.arange(s.reps)[:, None], places("b"), centre)
        if "gamma" in blocks:
            put(1 + s.reps, blocks["gamma"].start + (day if self._length("gamma") > 1 else 0))
        first = 2 + s.reps
        for name in ("zeta", "c"):
            if name in blocks:
                put(first + torch.arange(self._length(name)), places(name))
                first += self._length(name)
        guides = first + torch.arange(s.guides)
        put(guides, n + self.guide_to_gene.cpu())
        rotation = self.rotation.cpu().to_sparse_coo().coalesce()
        put(first + rotation.indices()[0], n + s.genes + rotation.indices()[1], rotation.values())
        shape = (at.local_total, n + s.genes + self.n_directions)
        return sparse_matrix(torch.cat(rows), torch.cat(cols), torch.cat(values), shape).to(self.device)

    def gene_groups(self) -> list[GeneGroup]:
        """Genes by their number of guides, with the places of their coordinates."""
        s = self.sizes
        n_guides = s.n_guides_per_gene.cpu()
        order = torch.argsort(s.guide_to_gene.cpu(), stable=True)
        starts = n_guides.cumsum(0) - n_guides  # first guide of each gene in the order
        per_gene = n_guides - 1 if self.n_means else n_guides
        first = per_gene.cumsum(0) - per_gene  # first direction
        contrasts = torch.arange(s.contrasts)[:, None] * self.size  # [F*, 1]
        found = []
        for size in n_guides.unique().tolist():
            genes = torch.nonzero(n_guides == size)[:, 0]
            v = size - 1 if self.n_means else size
            guides = order[starts[genes][:, None] + torch.arange(size)]
            walk = self.walk.start + torch.arange(s.days) * s.genes + genes[:, None]  # [Lg, D]
            own = self.directions.start + first[genes][:, None] + torch.arange(v)  # [Lg, v]
            place = contrasts + torch.cat([walk, own], dim=1)[:, None, :]  # [Lg, F*, D + v]
            turn = helmert(size) if self.n_means else torch.eye(size, dtype=DTYPE)  # [n, v]
            local = torch.cat([torch.ones(size, 1, dtype=DTYPE), turn], dim=1)
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

    def _length(self, name: str) -> int:
        return self.blocks[name].stop - self.blocks[name].start

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
        s = self.sizes
        found = {
            name: y[..., place] * (1.0 if name == "c" else self._fixed_sd[place])
            for name, place in self.blocks.items()
        }
        walk = y[..., self.walk].reshape(*y.shape[:-1], s.days, s.genes)
        found["z"] = walk.transpose(-1, -2)  # [..., F*, L, D]
        u = _apply(self.rotation, y[..., self.directions])  # [..., F*, G]
        if mean.shape[-1]:
            root = s.n_guides_per_gene.to(self.device).double().sqrt()
            u = u + (mean / root)[..., self.guide_to_gene]
        found["u"] = u
        return found


class Scales:
    """The scales of the model as an unconstrained vector, and the log scales [F*, H] it gives.

    The vector holds, one after the other and each [F*, ...]: log tau, log sigma_time (or, with
    ``time_scale: gaps``, log s and e), log sigma_guide, log sigma_cluster. The log scales are
    ``matrix @ vector + constant``.
    """

    def __init__(self, model: FateModel, device: torch.device) -> None:
        s = model.sizes
        sites = model.sites()
        names = [
            n for n in ("tau", "sigma_time", "s_gap", "e_gap", "sigma_guide", "sigma_cluster") if n in sites
        ]
        self.shapes = {name: sites[name][2] for name in names}
        self.size = sum(math.prod(shape) for shape in self.shapes.values())
        place, begin = {}, 0
        for name, shape in self.shapes.items():
            place[name] = torch.arange(begin, begin + math.prod(shape)).reshape(shape)
            begin += math.prod(shape)
        n_scales = s.days + 1 + ("sigma_cluster" in sites)
        matrix = torch.zeros(s.contrasts, n_scales, self.size, dtype=DTYPE)
        constant = torch.zeros(s.contrasts, n_scales, dtype=DTYPE)
        for f in range(s.contrasts):
            matrix[f, 0, place["tau"][f]] = 1
            matrix[f, s.days, place["sigma_guide"][f]] = 1
            if "sigma_cluster" in place:
                matrix[f, s.days + 1, place["sigma_cluster"][f]] = 1
            for step in range(s.days - 1):
                if "sigma_time" in place:
                    matrix[f, 1 + step, place["sigma_time"][f, step]] = 1
                else:
                    matrix[f, 1 + step, place["s_gap"][f]] = 1
                    matrix[f, 1 + step, place["e_gap"][f, step]] = GAP_SPREAD
                    constant[f, 1 + step] = 0.5 * math.log(s.gaps[step])
        self.matrix, self.constant = matrix.to(device), constant.to(device)
        flat: dict[str, Any] = {"prior": [], "is_log": []}
        for name, shape in self.shapes.items():
            flat["prior"] += [sites[name][1]] * math.prod(shape)
            flat["is_log"] += [sites[name][0] == "half_normal"] * math.prod(shape)
        self.prior = torch.tensor(flat["prior"], dtype=DTYPE, device=device)
        self.is_log = torch.tensor(flat["is_log"], device=device)

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


def _rotation(model: FateModel) -> Tensor:
    """Orthonormal directions of guides within their genes, sparse [G, V] (Helmert contrasts).

    A gene with n guides has n - 1 directions, each with entries that sum to zero; without
    centring the directions are the guides themselves.
    """
    s = model.sizes
    order = torch.argsort(s.guide_to_gene, stable=True)  # [G] guides by gene
    if not model.config.center_delta:
        ones = torch.ones(s.guides, dtype=DTYPE)
        return sparse_matrix(order, torch.arange(s.guides), ones, (s.guides, s.guides))
    n = s.n_guides_per_gene
    starts = n.cumsum(0) - n  # [L] first guide of each gene in the order
    directions = (n - 1).cumsum(0) - (n - 1)  # [L] first direction of each gene
    position = torch.arange(s.guides) - torch.repeat_interleave(starts, n)  # [G] of a guide in its gene
    gene = s.guide_to_gene[order]
    # a guide at position p is in the directions j >= max(p, 1): in j = p with -p, above with 1
    lowest = position.clamp(min=1)
    counts = n[gene] - lowest  # [G] directions of each guide
    guide = torch.repeat_interleave(torch.arange(s.guides), counts)
    ends = counts.cumsum(0)
    j = torch.arange(int(counts.sum())) - torch.repeat_interleave(ends - counts, counts) + lowest[guide]
    value = torch.where(j == position[guide], -j, torch.ones_like(j)) / (j * (j + 1)).double().sqrt()
    return sparse_matrix(
        order[guide], directions[gene[guide]] + j - 1, value.double(), (s.guides, int((n - 1).sum()))
    )


def helmert(n: int) -> Tensor:
    """Orthonormal contrasts of n values, [n, n - 1], as in ``_rotation``."""
    j = torch.arange(1, n, dtype=DTYPE)
    position = torch.arange(n, dtype=DTYPE)[:, None]
    entries = torch.where(position < j, 1.0, torch.where(position == j, -j, 0.0)).to(DTYPE)
    return entries / (j * (j + 1)).sqrt()


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


def _apply(matrix: Tensor, values: Tensor) -> Tensor:
    """Apply a sparse matrix [m, n] to the last axis: [..., n] -> [..., m]."""
    flat = values.reshape(values.shape[:-1].numel(), matrix.shape[1])
    return (matrix @ flat.T).T.reshape(*values.shape[:-1], matrix.shape[0])

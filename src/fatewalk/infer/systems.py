"""The information matrix of the standardised coordinates as a linear system, dense or in blocks.

``DenseSystem`` holds the matrix and its Cholesky factor: exact, P^2 memory. ``BlockSystem`` never
forms it: products go through the rows, solves by conjugate gradients, preconditioned with the
genes' own blocks and a coarse correction for what all genes share (nuisances, and the common
shift of theta on each day). Memory is that of the rows and of one small block for each gene.

Letters as in ``model.coordinates``; v = n - 1 directions of a gene with n guides, K = F* (D + v).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from fatewalk.infer.whitening import BlockWhitening, DenseWhitening, Whitening
from fatewalk.model.information import RowIndex, information
from fatewalk.model.linalg import cholesky, solve
from fatewalk.model.scales import DTYPE

if TYPE_CHECKING:
    from fatewalk.model.coordinates import Coordinates
    from fatewalk.model.rows import Rows

TOLERANCE = 1e-4  # of a solve: residual over right-hand side, in the norm of the preconditioner
MAX_ITERATIONS = 200
COLUMNS = 16  # right-hand sides solved together: the memory of a solve is M F* times this
POSTERIOR_DRAWS = 64  # draws behind the coupling between genes


class System(Protocol):
    """What Newton-Laplace needs of the information matrix."""

    residual: float  # largest of all solves so far, over its limit

    def solve(self, b: Tensor) -> Tensor:
        """Solve for right-hand sides [P, m]."""

    def whitening(self) -> Whitening:
        """Square root of the inverse, for draws."""


class DenseSystem:
    """The matrix and its Cholesky factor."""

    residual = 0.0

    def __init__(self, index: RowIndex, c: Coordinates, weights: Tensor, sd: Tensor) -> None:
        matrix = information(index, c, weights)
        flat = sd.reshape(-1)
        matrix *= flat[:, None]
        matrix *= flat
        matrix.diagonal().add_(1.0)
        self.factor = cholesky(matrix, "the information matrix")

    def solve(self, b: Tensor) -> Tensor:
        """Solve for right-hand sides [P, m]."""
        return torch.cholesky_solve(b, self.factor)

    def whitening(self) -> DenseWhitening:
        """Square root of the inverse, for draws."""
        return DenseWhitening(self.factor)


def likelihood_product(c: Coordinates, rows: Rows, weights: Tensor, sd: Tensor, v: Tensor) -> Tensor:
    """Information of the rows, of weights [M, F*, F*], times columns in y: [P, k] -> [P, k]."""
    n, k = len(sd), v.shape[1]
    x = (sd.reshape(-1, 1) * v).T.reshape(k, n, -1)
    flat = c.coefficients(x)  # [k, F*, Q]
    eta = (rows.matrix @ flat.reshape(k * n, -1).T).view(-1, k, n)
    weighted = torch.empty_like(eta)
    for f in range(n):  # plain products: a batched matmul of many tiny matrices is slower
        torch.mul(eta[:, :, 0], weights[:, 0, f, None], out=weighted[:, :, f])
        for g in range(1, n):
            weighted[:, :, f].addcmul_(eta[:, :, g], weights[:, g, f, None])
    back = (rows.transpose @ weighted.reshape(len(weighted), -1)).T.reshape(k, n, -1)
    return sd.reshape(-1, 1) * c.adjoint(back).reshape(k, -1).T


@dataclass(frozen=True)
class _Block:
    """Information of the genes with the same number of guides."""

    place: Tensor  # int64 [Lg, K], flat coordinates
    factor: Tensor  # [Lg, K, K], lower Cholesky factor


class BlockSystem:
    """Products through the rows, solves by preconditioned conjugate gradients."""

    def __init__(self, index: RowIndex, c: Coordinates, rows: Rows, weights: Tensor, sd: Tensor) -> None:
        self.c, self.rows, self.weights, self.sd = c, rows, weights, sd
        self.n = len(sd)
        self.residual = 0.0
        own = gene_information(gene_grams(index, c, weights), c, sd)
        self.blocks = [
            _Block(group.place.reshape(len(group.genes), -1), cholesky(matrix, "the information of a gene"))
            for group, matrix in zip(c.gene_groups(), own, strict=True)
        ]
        self.nuisance = _nuisance_places(c, self.n)
        shared = _unit_columns(self.nuisance, sd.numel())
        self.all_genes = _Coarse(self, torch.cat([shared, _shifts(c, sd)], dim=1))

    def product(self, v: Tensor) -> Tensor:
        """Information matrix times columns, [P, k] -> [P, k]."""
        return v + likelihood_product(self.c, self.rows, self.weights, self.sd, v)

    def solve(self, b: Tensor) -> Tensor:
        """Solve for right-hand sides [P, m]."""
        return torch.cat([self._conjugate_gradients(part, self.all_genes) for part in b.split(COLUMNS, 1)], 1)

    def _conjugate_gradients(self, b: Tensor, coarse: _Coarse) -> Tensor:
        """Solve in the space of ``coarse``, each column with its own steps."""
        x = coarse.start(b)
        residual = b - coarse.restrict(self.product(x))
        z = coarse.precondition(residual)
        direction, inner = z, (residual * z).sum(0)
        limit = TOLERANCE**2 * (b * coarse.precondition(b)).sum(0)
        for _ in range(MAX_ITERATIONS):
            if bool((inner <= limit).all()):
                break
            image = coarse.restrict(self.product(direction))
            step = inner / (direction * image).sum(0).clamp(min=1e-300)
            x = x + step * direction
            residual = residual - step * image
            z = coarse.precondition(residual)
            new = (residual * z).sum(0)
            direction = z + new / inner.clamp(min=1e-300) * direction
            inner = new
        ratio = float((inner / limit.clamp(min=1e-300)).nan_to_num(nan=math.inf).max())
        self.residual = max(self.residual, math.sqrt(max(ratio, 0.0)))
        return x

    def whitening(self) -> BlockWhitening:
        """Nuisances with their exact covariance, genes given them in blocks.

        The covariance of a gene given the nuisances is that of its own block plus the spread of its
        conditional mean, measured on draws of everything else (Rao-Blackwellised, Siden et al. 2018):
        for a draw x of all genes from N(0, H^-1), x = H^-1 e, it is A^-1 + E[u u'] with A the gene's
        block and u = A^-1 e_l - x_l.
        """
        unit = _unit_columns(self.nuisance, self.sd.numel())
        joint = self.solve(unit)  # covariance of everything with the nuisances, [P, N]
        covariance = joint[self.nuisance]  # [N, N]
        covariance = 0.5 * (covariance + covariance.T)
        # [P, N], rows of the nuisances are 1
        loading = solve(covariance, joint.T, "the covariance of the nuisances").T
        given = _Coarse(self, _shifts(self.c, self.sd), without=self.nuisance)
        spread = [torch.zeros_like(block.factor) for block in self.blocks]
        generator = torch.Generator().manual_seed(2)
        for start in range(0, POSTERIOR_DRAWS, COLUMNS):
            k = min(COLUMNS, POSTERIOR_DRAWS - start)
            noise = self._noise(k, generator)
            noise[self.nuisance] = 0
            x = self._conjugate_gradients(noise, given)
            for total, block in zip(spread, self.blocks, strict=True):
                u = torch.cholesky_solve(noise[block.place], block.factor) - x[block.place]  # [Lg, K, k]
                total += u @ u.transpose(1, 2) / POSTERIOR_DRAWS
        roots = []
        for block, total in zip(self.blocks, spread, strict=True):
            own = torch.cholesky_inverse(block.factor)
            roots.append(cholesky(own + total, "the covariance of a gene"))
        return BlockWhitening(
            self.nuisance,
            cholesky(covariance, "the covariance of the nuisances"),
            loading,
            [block.place for block in self.blocks],
            roots,
        )

    def _noise(self, k: int, generator: torch.Generator) -> Tensor:
        """Draws from N(0, information), [P, k]: the square root of each row's curvature, and the prior."""
        ridge = 1e-12 * torch.eye(self.n, dtype=DTYPE, device=self.weights.device)
        root = cholesky(self.weights + ridge, "the curvature of a row")  # [M, F*, F*]
        white = torch.randn(len(self.rows), k, self.n, dtype=DTYPE, generator=generator).to(root.device)
        eta = torch.einsum("mfg,mkg->mkf", root, white)
        back = (self.rows.transpose @ eta.reshape(len(eta), -1)).T.reshape(k, self.n, -1)
        prior = torch.randn(self.sd.numel(), k, dtype=DTYPE, generator=generator).to(root.device)
        return prior + self.sd.reshape(-1, 1) * self.c.adjoint(back).reshape(k, -1).T


class _Coarse:
    """Preconditioner: gene blocks, and an exact solve in a few shared directions (balancing).

    Parameters
    ----------
    system
        Gives products and blocks.
    shared : Tensor [P, m]
        Shared directions.
    without
        Coordinates that are held at zero.
    """

    def __init__(self, system: BlockSystem, shared: Tensor, without: Tensor | None = None) -> None:
        self.system, self.without = system, without
        self.shared = shared  # [P, m]
        parts = [system.product(part) for part in shared.split(COLUMNS, 1)]
        self.image = self.restrict(torch.cat(parts, dim=1))
        small = shared.T @ self.image
        self.factor = cholesky(0.5 * (small + small.T), "the information that all genes share")

    def restrict(self, v: Tensor) -> Tensor:
        """Set what is held to zero."""
        if self.without is not None:
            v = v.index_fill(0, self.without, 0.0)
        return v

    def start(self, b: Tensor) -> Tensor:
        """Solution in the shared directions."""
        return self.shared @ torch.cholesky_solve(self.shared.T @ b, self.factor)

    def precondition(self, r: Tensor) -> Tensor:
        """Approximate solve."""
        first = torch.cholesky_solve(self.shared.T @ r, self.factor)  # [m, k]
        rest = r - self.image @ first
        z = torch.zeros_like(r)
        for block in self.system.blocks:
            z[block.place] = torch.cholesky_solve(rest[block.place], block.factor)
        second = torch.cholesky_solve(self.image.T @ z, self.factor)
        return z + self.shared @ (first - second)


def gene_grams(index: RowIndex, c: Coordinates, weights: Tensor) -> list[Tensor]:
    """Gram matrices of the guides of each gene, [D, F*, F*, Lg, n, n] for each group of genes.

    Only pairs of guides of one gene are summed; most are a guide with itself.
    """
    n, days = weights.shape[1], c.terms.n_days
    groups = c.gene_groups()
    grams = [
        torch.zeros(days, n, n, len(g.genes) * g.size**2, dtype=DTYPE, device=weights.device) for g in groups
    ]
    gene, position, group_of, row_of = c.guide_places()
    for day in range(days):
        for rows, left, right, product in index.pairs(day, c.terms.first_local_guide, gene):
            for i, (group, gram) in enumerate(zip(groups, grams, strict=True)):
                chosen = group_of[left] == i
                a, b = left[chosen], right[chosen]
                w = weights[rows[chosen]] * product[chosen][:, None, None]
                place = (row_of[a] * group.size + position[a]) * group.size + position[b]
                mirrored = (row_of[a] * group.size + position[b]) * group.size + position[a]
                off = a != b
                for f in range(n):
                    for h in range(n):
                        gram[day, f, h].index_add_(0, place, w[:, f, h])
                        gram[day, f, h].index_add_(0, mirrored[off], w[off, f, h])
    return [g.view(days, n, n, -1, group.size, group.size) for g, group in zip(grams, groups, strict=True)]


def gene_information(grams: list[Tensor], c: Coordinates, sd: Tensor) -> list[Tensor]:
    """Information of each gene's own coordinates y, prior included: [Lg, K, K] for each group."""
    days = c.terms.n_days
    weights = c.terms.walk.weights.to(sd.device)  # [D, D]
    out = []
    for group, gram in zip(c.gene_groups(), grams, strict=True):
        n, genes, v = gram.shape[1], len(group.genes), group.local.shape[1] - 1
        mapped = torch.einsum("ai,dfhlab,bj->dfhlij", group.local, gram, group.local)  # [.., 1 + v, 1 + v]
        matrix = gram.new_zeros(genes, n, days + v, n, days + v)
        walk, rest = slice(0, days), slice(days, None)
        matrix[:, :, walk, :, walk] = torch.einsum("da,db,dfhl->lfahb", weights, weights, mapped[..., 0, 0])
        matrix[:, :, walk, :, rest] = torch.einsum("da,dfhlj->lfahj", weights, mapped[..., 0, 1:])
        matrix[:, :, rest, :, walk] = torch.einsum("db,dfhli->lfihb", weights, mapped[..., 1:, 0])
        matrix[:, :, rest, :, rest] = torch.einsum("dfhlij->lfihj", mapped[..., 1:, 1:])
        scale = sd.reshape(-1)[group.place.reshape(genes, -1)]  # [Lg, K]
        flat = matrix.view(genes, scale.shape[1], -1) * scale[:, :, None] * scale[:, None, :]
        flat.diagonal(dim1=1, dim2=2).add_(1.0)
        out.append(flat)
    return out


def _nuisance_places(c: Coordinates, n: int) -> Tensor:
    """Flat coordinates of the nuisances, int64 [N]."""
    return (torch.arange(n)[:, None] * c.size + torch.arange(c.n_nuisance)).reshape(-1).to(c.device)


def _unit_columns(places: Tensor, size: int) -> Tensor:
    out = torch.zeros(size, len(places), dtype=DTYPE, device=places.device)
    out[places, torch.arange(len(places), device=places.device)] = 1
    return out


def _shifts(c: Coordinates, sd: Tensor) -> Tensor:
    """Common step of all genes on each day and contrast, in y, [P, F* D]."""
    n, days, genes = len(sd), c.terms.n_days, c.terms.n_genes
    out = torch.zeros(n, c.size, n, days, dtype=DTYPE, device=c.device)
    for f in range(n):
        for d in range(days):
            step = slice(c.walk.start + d * genes, c.walk.start + (d + 1) * genes)
            out[f, step, f, d] = 1 / genes**0.5
    return out.view(n * c.size, n * days)

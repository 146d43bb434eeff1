"""Likelihood-only estimates: what the labels alone say of a gene or guide, and their errors.

The posterior is shrunk by the prior of the gene itself. Here that prior is left out, and only that
one: everything else (other genes, guides, nuisances) is integrated over with its own. With the
posterior precision of the whole model A, S = 1 / A, and the gene's standardised innovations l,

    J_l = (S_ll)^-1 - I          information of the labels on l, the rest integrated out
    b_l = J_l^-1 (S_ll)^-1 m_l   the estimate; m_l the mode

(design, 3.10; exact at the fitted scales: the Schur complement of the rest in A is (S_ll)^-1). A guide
gets a free shift xi on every day and contrast: with B its information against everything,

    J_xi = B_gg - B_g. S B_.g ,   error of beta_g = (1 - M) J_xi^-1 (1 - M)' + C S C' ,   M = C S B_.g

where C maps the coordinates to beta_g. A direction that J does not see is missing.

Letters: L genes, G guides, F* contrasts, D days, K = F* D.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fatewalk.design import Design
from fatewalk.infer.coordinates import Coordinates
from fatewalk.infer.fit import Posterior
from fatewalk.infer.information import RowIndex, curvature, day_gram, fate_probabilities
from fatewalk.model import Rows
from fatewalk.model.fate_model import DTYPE
from fatewalk.model.rows import linear_predictor, make_rows

CHUNK = 64  # guides handled at once
SEEN = 1e-6  # a direction with less than this share of the largest information is not seen


@dataclass(frozen=True)
class Estimates:
    """Unshrunk estimates with their error covariance, in logit.

    Attributes
    ----------
    gene_mean : array [L, F*, D]
        Missing where the labels do not see the gene-day.
    gene_covariance : array [L, F*, D, F*, D]
    guide_mean : array [G, F*, D]
    guide_covariance : array [G, F*, D, F*, D]
    """

    gene_mean: np.ndarray
    gene_covariance: np.ndarray
    guide_mean: np.ndarray
    guide_covariance: np.ndarray


@torch.no_grad()
def likelihood_estimates(posterior: Posterior, design: Design) -> Estimates:
    """Likelihood-only estimates of all genes and guides.

    Parameters
    ----------
    posterior
        The fit; its Laplace approximation is what counts, whatever the guide.
    design
        The cells.
    """
    laplace, c = posterior.laplace, Coordinates(posterior.model)
    rows = make_rows(design).weighted(posterior.weight)
    sd = c.sd(c.scales.log_scales(laplace["vector"]))  # [F*, p]
    half = _inverse_triangular(laplace["factor"])  # S = half' half
    gene_mean, gene_covariance = _genes(c, laplace["y"], sd, half)
    guide_mean, guide_covariance = _guides(c, laplace["y"], sd, half, rows)
    return Estimates(*(x.numpy() for x in (gene_mean, gene_covariance, guide_mean, guide_covariance)))


def _genes(c: Coordinates, y: Tensor, sd: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
    """Estimates of all genes, [L, F*, D] and [L, F*, D, F*, D]."""
    n, days, genes = len(y), c.sizes.days, c.sizes.genes
    size = n * days
    walk = torch.arange(n)[:, None, None] * c.size + torch.arange(c.walk.start, c.walk.stop).view(days, genes)
    place = walk.permute(2, 0, 1).reshape(genes, size)  # [L, K] coordinates of a gene
    own = half[:, place.reshape(-1)].view(-1, genes, size)  # [P, L, K]
    covariance = torch.einsum("plk,plj->lkj", own, own)  # [L, K, K] of y
    precision = torch.linalg.inv(covariance)
    information = precision - torch.eye(size, dtype=DTYPE)
    score = (precision @ y.reshape(-1)[place][:, :, None])[:, :, 0]  # J b
    # to theta: theta = T (scale * y), so J_theta = T'^-1 (J / scale scale') T^-1
    scale = sd.reshape(-1)[place[0]]  # [K] the same for every gene
    back = torch.eye(days, dtype=DTYPE) - torch.diag(torch.ones(days - 1, dtype=DTYPE), -1)  # T^-1
    back = torch.block_diag(*[back] * n) / scale[:, None]  # y from theta
    information = back.T @ information @ back
    score = score @ back
    mean, error = _solve_seen(information, score)
    return mean.view(genes, n, days), error.view(genes, n, days, n, days)


def _solve_seen(information: Tensor, score: Tensor) -> tuple[Tensor, Tensor]:
    """Solve J b = score where J sees; the rest is missing. [m, K, K], [m, K] -> [m, K], [m, K, K]."""
    information = 0.5 * (information + information.transpose(-1, -2))
    scale = information.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt()  # [m, K]
    safe = torch.where(scale > 0, scale, 1.0)
    values, vectors = torch.linalg.eigh(information / safe[:, :, None] / safe[:, None, :])
    seen = values > SEEN
    inverse = torch.where(seen, 1 / values.clamp(min=SEEN), 0.0)
    error = (vectors * inverse[:, None, :]) @ vectors.transpose(-1, -2) / safe[:, :, None] / safe[:, None, :]
    mean = (error @ score[:, :, None])[:, :, 0]
    # what has a part in an unseen direction, or no information at all, is missing
    unseen = (vectors.square() * (~seen)[:, None, :]).sum(dim=-1) > 1e-6
    missing = unseen | (scale <= 0)
    nan = torch.full((), torch.nan, dtype=DTYPE)
    mean = torch.where(missing, nan, mean)
    either = missing[:, :, None] | missing[:, None, :]
    return mean, torch.where(either, nan, error)


def _guides(c: Coordinates, y: Tensor, sd: Tensor, half: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
    """Estimates of all guides, [G, F*, D] and [G, F*, D, F*, D]."""
    n, days, guides = len(y), c.sizes.days, c.sizes.guides
    size = n * days
    eta = linear_predictor(rows, c.coefficients(sd * y).T.contiguous())
    pi = fate_probabilities(eta)
    residual = (rows.weight[:, None] * (rows.target - rows.cells[:, None] * pi))[:, 1:]
    at = c.columns.guides
    score = (rows.transpose @ residual)[at:].view(days, guides, n).permute(1, 2, 0).reshape(guides, size)
    weights = curvature(rows, pi)
    index = RowIndex(rows, c)
    first = c.columns.local_total - guides
    maps = [c.day_map(day).to_dense() for day in range(days)]  # [q, n + L + V]
    grams = [day_gram(index, day, weights, c.columns.local_total)[:, :, first:] for day in range(days)]
    mean = torch.empty(guides, size, dtype=DTYPE)
    error = torch.empty(guides, size, size, dtype=DTYPE)
    for some in torch.arange(guides).split(CHUNK):
        m = len(some)
        cross = torch.zeros(m, n, days, n, c.size, dtype=DTYPE)  # B_g. in x
        own = torch.zeros(m, n, days, n, days, dtype=DTYPE)  # B_gg
        to_beta = torch.zeros(m, n, days, n, c.size, dtype=DTYPE)  # C in x
        for day in range(days):
            block = grams[day][:, :, some]  # [F*, F*, m, q]
            mapped = block @ maps[day]  # [F*, F*, m, n + L + V]
            cross[:, :, day] += _spread(c, mapped.permute(2, 0, 1, 3), day)
            own[:, :, day, :, day] = block[:, :, torch.arange(m), first + some].permute(2, 0, 1)
            spread = _spread(c, maps[day][first + some], day)  # [m, p]
            for f in range(n):
                to_beta[:, f, day, f] = spread
        cross = (cross * sd).view(m * size, -1)
        to_beta = (to_beta * sd).view(m * size, -1)
        left = (cross @ half.T).view(m, size, -1)  # B S^1/2
        right = (to_beta @ half.T).view(m, size, -1)  # C S^1/2
        information = own.reshape(m, size, size) - left @ left.transpose(1, 2)
        beta = (to_beta @ y.reshape(-1)).view(m, size)
        mix = torch.eye(size, dtype=DTYPE) - right @ left.transpose(1, 2)  # 1 - M
        shift, shift_error = _solve_seen(information, score[some])
        mean[some] = beta + (mix @ shift.nan_to_num()[:, :, None])[:, :, 0]
        total = mix @ shift_error.nan_to_num() @ mix.transpose(1, 2) + right @ right.transpose(1, 2)
        missing = shift.isnan()
        mean[some] = torch.where(missing, torch.nan, mean[some])
        error[some] = torch.where(missing[:, :, None] | missing[:, None, :], torch.nan, total)
    return mean.view(guides, n, days), error.view(guides, n, days, n, days)


def _spread(c: Coordinates, values: Tensor, day: int) -> Tensor:
    """From a day's nuisances, theta and directions to the coordinates: [..., n + L + V] -> [..., p]."""
    k, genes = c.n_nuisance, c.sizes.genes
    out = values.new_zeros(*values.shape[:-1], c.size)
    out[..., :k] = values[..., :k]
    out[..., k : k + (day + 1) * genes] = values[..., k : k + genes].repeat(
        *[1] * (values.dim() - 1), day + 1
    )
    out[..., c.directions] = values[..., k + genes :]
    return out


def _inverse_triangular(factor: Tensor, block: int = 512) -> Tensor:
    """Inverse of a lower triangular matrix, by halves: a third of the work of a solve with the identity."""
    n = len(factor)
    if n <= block:
        return torch.linalg.solve_triangular(factor, torch.eye(n, dtype=factor.dtype), upper=False)
    half = n // 2
    out = torch.zeros_like(factor)
    out[:half, :half] = _inverse_triangular(factor[:half, :half], block)
    out[half:, half:] = _inverse_triangular(factor[half:, half:], block)
    out[half:, :half] = -out[half:, half:] @ (factor[half:, :half] @ out[:half, :half])
    return out

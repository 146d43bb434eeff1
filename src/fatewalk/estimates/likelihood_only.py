"""Likelihood-only estimates: what the labels alone say of a gene or guide, and their errors.

The posterior is shrunk by the prior of the gene itself. Here that prior is left out, and only that
one: everything else (other genes, guides, nuisances) is integrated over with its own. With the
posterior precision of the whole model A, S = 1 / A, and the gene's standardised innovations l,

    J_l = (S_ll)^-1 - I          information of the labels on l, the rest integrated out
    b_l = J_l^-1 (S_ll)^-1 m_l   the estimate; m_l the mode

(exact at the fitted scales: the Schur complement of the rest in A is (S_ll)^-1). A guide
gets a free shift xi on every day and contrast: with B its information against everything,

    J_xi = B_gg - B_g. S B_.g ,   error of beta_g = (1 - M) J_xi^-1 (1 - M)' + C S C' ,   M = C S B_.g

where C maps the coordinates to beta_g. A direction that J does not see is missing.

The same in another form is *evidence*: log p(labels | b) = h'b - b'J b / 2 up to a constant, where what the
labels do not see is zero information and nothing is missing. For a gene J as above and h = J b. For a
guide, with N = (1 - M)^-1, E = N C S C' N', and s the score of its shift at the mode,

    J_g = N' J_xi (1 + E J_xi)^-1 N ,   h_g = J_g beta_g + N' (1 + J_xi E)^-1 s

(the inverse of the error above, without J_xi^-1). Evidence of all fates comes from the mode under the
prior that treats them alike (`fatewalk.infer.laplace.fit_symmetric`), so that the priors of all
other genes and nuisances do not depend on the choice of a reference either.

Letters: L genes, G guides, F* contrasts, D days, K = F* D.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fatewalk.infer.systems import BlockSystem, DenseSystem, gene_grams, gene_information
from fatewalk.infer.whitening import BlockWhitening, DenseWhitening, load_whitening
from fatewalk.model.coordinates import Coordinates
from fatewalk.model.information import RowIndex, curvature, day_gram, fate_probabilities
from fatewalk.model.linalg import cholesky, eigh, inverse, solve
from fatewalk.model.rows import Rows, linear_predictor, make_rows
from fatewalk.model.scales import DTYPE

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from fatewalk.infer.fitted import Posterior
    from fatewalk.screen.design import Design

CHUNK = 64  # guides handled at once
ROUNDING = 1e-10  # information below this share of the largest is rounding
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


@dataclass(frozen=True)
class LabelEvidence:
    """Score h and information J of the labels on the effects of each gene and guide, all contrasts together.

    Attributes
    ----------
    gene_score, guide_score : array [L, F*, D], [G, F*, D]
        Zero where the labels see nothing.
    gene_information, guide_information : array [L, F*, D, F*, D], [G, F*, D, F*, D]
    guide_variance
        Variance of a guide around its gene that the gene's errors do not hold yet, the same for all
        contrasts: sigma_guide squared, and 0 without centring.
    """

    gene_score: np.ndarray
    gene_information: np.ndarray
    guide_score: np.ndarray
    guide_information: np.ndarray
    guide_variance: float


@torch.no_grad()
def label_evidence(posterior: Posterior, design: Design) -> LabelEvidence:
    """Evidence on all genes and guides, from the mode under the prior that treats all fates alike.

    Parameters
    ----------
    posterior
        The fit.
    design
        The cells.

    Raises
    ------
    NumericalError
        If a matrix cannot be decomposed.
    """
    terms, mode = posterior.model.terms, posterior.symmetric
    c = Coordinates(terms, symmetric=terms.n_contrasts > 1)
    log_scales = c.scales.log_scales(mode["vector"])  # [F*, H]
    rows = make_rows(design, terms).weighted(mode["weight"])
    data = _Data(c, rows, mode["y"], c.sd(log_scales))
    if "factor" in posterior.laplace:
        half = _inverse_triangular(DenseSystem(data.index, c, data.weights, data.sd).factor)
        covariance, parts = _dense_covariance(c, half), _guide_parts(data, half)
    else:
        system = BlockSystem(data.index, c, rows, data.weights, data.sd)
        covariance, parts = _block_covariance(c, system.whitening()), _guide_parts_in_blocks(data)
    gene_score, gene_information = _actual(c, *_gene_information(data, covariance, design.gene_cells > 0))
    size = terms.n_contrasts * terms.n_days
    score = torch.zeros(terms.n_guides, size, dtype=DTYPE)
    information = torch.zeros(terms.n_guides, size, size, dtype=DTYPE)
    for guides, part in parts:
        score[guides], information[guides] = part.evidence()
    guide_score, guide_information = _actual(c, information, score)
    sigma = log_scales[0, terms.n_days].exp()  # the walk's scales come first
    return LabelEvidence(
        gene_score.numpy(),
        gene_information.numpy(),
        guide_score.numpy(),
        guide_information.numpy(),
        float(sigma.square()) if terms.guides.centred else 0.0,
    )


def _actual(c: Coordinates, information: Tensor, score: Tensor) -> tuple[Tensor, Tensor]:
    """Score [m, F*, D] and information [m, F*, D, F*, D] on the actual contrasts."""
    n, days = c.terms.n_contrasts, c.terms.n_days
    root = torch.eye(n, dtype=DTYPE) if c.root is None else c.root
    back = inverse(root, "the root of the prior of contrasts")
    information = information.view(-1, n, days, n, days)
    return (
        torch.einsum("gf,mgd->mfd", back, score.view(-1, n, days)),
        torch.einsum("gf,mgdhe,hk->mfdke", back, information, back),
    )


@torch.no_grad()
def likelihood_estimates(posterior: Posterior, design: Design, rows: Rows) -> Estimates:
    """Likelihood-only estimates of all genes and guides.

    Parameters
    ----------
    posterior
        The fit; its Laplace approximation is what counts, whatever the family.
    design
        The cells.
    rows
        Of the design, with the weights of the fit.

    Raises
    ------
    NumericalError
        If a matrix cannot be decomposed.
    """
    laplace, c = posterior.laplace, Coordinates(posterior.model.terms)
    sd = c.sd(c.scales.log_scales(laplace["vector"]))  # [F*, p]
    data = _Data(c, rows, laplace["y"], sd)
    whitening = load_whitening(laplace)
    if isinstance(whitening, DenseWhitening):
        half = _inverse_triangular(whitening.factor)  # S = half' half
        covariance, parts = _dense_covariance(c, half), _guide_parts(data, half)
    else:
        assert isinstance(whitening, BlockWhitening)
        covariance, parts = _block_covariance(c, whitening), _guide_parts_in_blocks(data)
    n, days = c.terms.n_contrasts, c.terms.n_days
    gene, gene_error = _solve_seen(*_gene_information(data, covariance, design.gene_cells > 0))
    guide = torch.empty(c.terms.n_guides, n * days, dtype=DTYPE)
    guide_error = torch.empty(c.terms.n_guides, n * days, n * days, dtype=DTYPE)
    for guides, part in parts:
        guide[guides], guide_error[guides] = part.estimates()
    both = [(gene, gene_error), (guide, guide_error)]
    shaped = [x for mean, error in both for x in (mean.view(-1, n, days), error.view(-1, n, days, n, days))]
    return Estimates(*(x.numpy() for x in shaped))


@torch.no_grad()
def gene_estimates(c: Coordinates, laplace: dict[str, Tensor], rows: Rows, observed: Tensor) -> Tensor:
    """Likelihood-only estimates of the genes alone, [L, F*, D]; missing where the labels do not see.

    Parameters
    ----------
    c
        Coordinates of the fit.
    laplace
        Its state (``Laplace.state``).
    rows
        With the weights of the fit.
    observed : Tensor, bool [L, D]
        Gene-days with cells.

    Raises
    ------
    NumericalError
        If a matrix cannot be decomposed.
    """
    data = _Data(c, rows, laplace["y"], c.sd(c.scales.log_scales(laplace["vector"])))
    whitening = load_whitening(laplace)
    if isinstance(whitening, DenseWhitening):
        covariance = _dense_covariance(c, _inverse_triangular(whitening.factor))
    else:
        assert isinstance(whitening, BlockWhitening)
        covariance = _block_covariance(c, whitening)
    mean, _ = _solve_seen(*_gene_information(data, covariance, observed))
    return mean.view(-1, c.terms.n_contrasts, c.terms.n_days)


@torch.no_grad()
def gene_evidence(
    c: Coordinates, mode: dict[str, Tensor], rows: Rows, observed: Tensor, dense: bool
) -> tuple[Tensor, Tensor]:
    """Score [L, F*, D] and information [L, F*, D, F*, D] of the genes alone, as of `label_evidence`.

    Parameters
    ----------
    c, mode
        Symmetric coordinates, and the mode in them (``SymmetricMode.state``).
    rows, observed
        As in `gene_estimates`.
    dense
        Whether the information matrix is kept whole.

    Raises
    ------
    NumericalError
        If a matrix cannot be decomposed.
    """
    data = _Data(c, rows.weighted(mode["weight"]), mode["y"], c.sd(c.scales.log_scales(mode["vector"])))
    if dense:
        half = _inverse_triangular(DenseSystem(data.index, c, data.weights, data.sd).factor)
        covariance = _dense_covariance(c, half)
    else:
        system = BlockSystem(data.index, c, data.rows, data.weights, data.sd)
        covariance = _block_covariance(c, system.whitening())
    return _actual(c, *_gene_information(data, covariance, observed))


class _Data:
    """The labels at the mode."""

    def __init__(self, c: Coordinates, rows: Rows, y: Tensor, sd: Tensor) -> None:
        self.c, self.rows, self.y, self.sd = c, rows, y, sd
        pi = fate_probabilities(c.mixed(linear_predictor(rows, c.coefficients(sd * y).T.contiguous())))
        self.weights = c.unmixed_curvature(curvature(rows, pi))  # [M, F*, F*]
        self.index = RowIndex(rows, c)
        residual = (rows.weight[:, None] * (rows.target - rows.cells[:, None] * pi))[:, 1:]
        score = (rows.transpose @ c.unmixed(residual))[c.terms.first_guide :]
        self.score = score.view(c.terms.n_days, c.terms.n_guides, -1).permute(1, 2, 0)  # [G, F*, D]


def _walk_places(c: Coordinates) -> Tensor:
    """Flat coordinates of each gene's innovations, int64 [L, K]."""
    t = c.terms
    contrast = torch.arange(t.n_contrasts)[:, None, None] * c.size
    place = contrast + torch.arange(c.walk.start, c.walk.stop).view(t.n_days, t.n_genes)
    return place.permute(2, 0, 1).reshape(t.n_genes, -1)


def _dense_covariance(c: Coordinates, half: Tensor) -> Tensor:
    """Posterior covariance of each gene's innovations, [L, K, K]."""
    place = _walk_places(c)
    own = half[:, place.reshape(-1)].view(-1, *place.shape)  # [P, L, K]
    return torch.einsum("plk,plj->lkj", own, own)


def _block_covariance(c: Coordinates, whitening: BlockWhitening) -> Tensor:
    """The same from blocks: a gene given the nuisances, and through them, [L, K, K]."""
    n, days = c.terms.n_contrasts, c.terms.n_days
    out = torch.empty(c.terms.n_genes, n * days, n * days, dtype=DTYPE)
    for group, root in zip(c.gene_groups(), whitening.roots, strict=True):
        walk = torch.arange(root.shape[1]).view(n, -1)[:, :days].reshape(-1)
        own = root[:, walk]  # [Lg, K, F* (D + v)]
        places = group.place.reshape(len(group.genes), -1)[:, walk]
        shared = whitening.loading[places] @ whitening.root  # [Lg, K, N]
        out[group.genes] = own @ own.transpose(1, 2) + shared @ shared.transpose(1, 2)
    return out


def _gene_information(data: _Data, covariance: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
    """J [L, K, K] and h = J b [L, K] of all genes, from the observed gene-days [L, D]."""
    c, place = data.c, _walk_places(data.c)
    n, (_, size) = c.terms.n_contrasts, place.shape
    precision = inverse(covariance, "the covariance of a gene")
    information = precision - torch.eye(size, dtype=DTYPE)
    score = (precision @ data.y.reshape(-1)[place][:, :, None])[:, :, 0]  # J b
    # to theta: theta = W (scale * y), so J_theta = W'^-1 (J / scale scale') W^-1
    scale = data.sd.reshape(-1)[place[0]]  # [K] the same for every gene
    back = torch.block_diag(*[c.terms.walk.inverse] * n) / scale[:, None]  # y from theta
    # without cells there is no information; what the difference above left is rounding
    observed = observed.repeat(1, n)  # [L, K]
    information = torch.where(observed[:, :, None] & observed[:, None, :], back.T @ information @ back, 0.0)
    return 0.5 * (information + information.mT), torch.where(observed, score @ back, 0.0)


def _solve_seen(information: Tensor, score: Tensor) -> tuple[Tensor, Tensor]:
    """Solve J b = score where J sees; the rest is missing. [m, K, K], [m, K] -> [m, K], [m, K, K]."""
    own = information.diagonal(dim1=-2, dim2=-1)  # [m, K]
    floor = ROUNDING * own.amax(dim=-1, keepdim=True)
    scale = torch.where(own > floor, own, 0.0).clamp(min=0).sqrt()  # [m, K]
    safe = torch.where(scale > 0, scale, 1.0)
    scaled = information / safe[:, :, None] / safe[:, None, :]
    values, vectors = eigh(scaled, "the information of the labels on an effect")
    seen = values > SEEN
    variance = torch.where(seen, 1 / values.clamp(min=SEEN), 0.0)
    error = (vectors * variance[:, None, :]) @ vectors.transpose(-1, -2) / safe[:, :, None] / safe[:, None, :]
    mean = (error @ score[:, :, None])[:, :, 0]
    # what has a part in an unseen direction, or no information at all, is missing
    unseen = (vectors.square() * (~seen)[:, None, :]).sum(dim=-1) > 1e-6
    missing = unseen | (scale <= 0)
    nan = torch.full((), torch.nan, dtype=DTYPE)
    mean = torch.where(missing, nan, mean)
    either = missing[:, :, None] | missing[:, None, :]
    return mean, torch.where(either, nan, error)


@dataclass(frozen=True)
class _GuideParts:
    """What the estimates of m guides are made of.

    Attributes
    ----------
    own : Tensor [m, K, K]
        B_gg.
    left, right : Tensor [m, K, P]
        B_g. S^1/2 and C S^1/2.
    score, beta : Tensor [m, K]
        Score of the shift at the mode, and beta there.
    """

    own: Tensor
    left: Tensor
    right: Tensor
    score: Tensor
    beta: Tensor

    @property
    def mix(self) -> Tensor:
        """1 - M, [m, K, K]."""
        return torch.eye(self.own.shape[1], dtype=DTYPE) - self.right @ self.left.mT

    @property
    def information(self) -> Tensor:
        """J_xi, [m, K, K]."""
        found = self.own - self.left @ self.left.mT
        return 0.5 * (found + found.mT)

    def estimates(self) -> tuple[Tensor, Tensor]:
        """Estimates [m, K] and their errors [m, K, K]."""
        mix = self.mix
        shift, shift_error = _solve_seen(self.information, self.score)
        mean = self.beta + (mix @ shift.nan_to_num()[:, :, None])[:, :, 0]
        error = mix @ shift_error.nan_to_num() @ mix.mT + self.right @ self.right.mT
        missing = shift.isnan()
        either = missing[:, :, None] | missing[:, None, :]
        return torch.where(missing, torch.nan, mean), torch.where(either, torch.nan, error)

    def evidence(self) -> tuple[Tensor, Tensor]:
        """Score [m, K] and information [m, K, K]."""
        back = inverse(self.mix, "the share of its gene in a guide")  # N
        seen = self.own.diagonal(dim1=1, dim2=2) > 0  # [m, K]
        shift = torch.where(seen[:, :, None] & seen[:, None, :], self.information, 0.0)
        spread = back @ self.right  # E = spread spread'
        one = torch.eye(shift.shape[1], dtype=DTYPE)
        given = solve(
            one + shift @ (spread @ spread.mT), torch.cat([shift, self.score[:, :, None]], 2), "a guide"
        )
        information = back.mT @ given[:, :, :-1] @ back
        information = 0.5 * (information + information.mT)
        score = (information @ self.beta[:, :, None] + back.mT @ given[:, :, -1:])[:, :, 0]
        return score, information


def _guide_parts(data: _Data, half: Tensor) -> Iterator[tuple[Tensor, _GuideParts]]:
    """Guides, some at a time, and their parts."""
    c, sd = data.c, data.sd
    n, days, guides = c.terms.n_contrasts, c.terms.n_days, c.terms.n_guides
    size, q, first = n * days, c.terms.n_local_columns, c.terms.first_local_guide
    maps = [c.day_map(day).to_dense() for day in range(days)]  # [q, n + L + V]
    grams = [day_gram(data.index, day, data.weights, q)[:, :, first:] for day in range(days)]
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
        cross, to_beta = ((x * sd).view(m * size, -1) for x in (cross, to_beta))
        left = (cross @ half.T).view(m, size, -1)  # B S^1/2
        right = (to_beta @ half.T).view(m, size, -1)  # C S^1/2
        beta = (to_beta @ data.y.reshape(-1)).view(m, size)
        score = data.score[some].reshape(m, size)
        yield some, _GuideParts(own.view(m, size, size), left, right, score, beta)


def _guide_parts_in_blocks(data: _Data) -> Iterator[tuple[Tensor, _GuideParts]]:
    """The same from each gene's own block: what other genes and nuisances leave open is neglected."""
    c, y, sd = data.c, data.y.reshape(-1), data.sd.reshape(-1)
    n, days = c.terms.n_contrasts, c.terms.n_days
    size, weights = n * days, c.terms.walk.weights
    grams = gene_grams(data.index, c, data.weights)
    blocks = gene_information(grams, c, data.sd)
    for group, gram, block in zip(c.gene_groups(), grams, blocks, strict=True):
        genes, v = len(group.genes), group.local.shape[1] - 1
        place = group.place.reshape(genes, -1)
        root = cholesky(block, "the information of a gene")
        half = torch.linalg.solve_triangular(root, torch.eye(block.shape[1], dtype=DTYPE), upper=False)
        for i in range(group.size):
            cross = torch.zeros(genes, n, days, n, days + v, dtype=DTYPE)
            own = torch.zeros(genes, n, days, n, days, dtype=DTYPE)
            to_beta = torch.zeros(n, days, n, days + v, dtype=DTYPE)
            for d in range(days):
                mapped = (gram[d, :, :, :, i] @ group.local).permute(2, 0, 1, 3)  # [Lg, F*, F*, 1 + v]
                cross[:, :, d, :, :days] = mapped[..., :1] * weights[d]
                cross[:, :, d, :, days:] = mapped[..., 1:]
                own[:, :, d, :, d] = gram[d, :, :, :, i, i].permute(2, 0, 1)
                for f in range(n):
                    to_beta[f, d, f, :days] = weights[d]
                    to_beta[f, d, f, days:] = group.local[i, 1:]
            scale = sd[place][:, None, :]  # [Lg, 1, K]
            onto = to_beta.view(1, size, -1) * scale
            left = (cross.view(genes, size, -1) * scale) @ half.transpose(1, 2)
            right = onto @ half.transpose(1, 2)
            beta = (onto @ y[place][:, :, None])[:, :, 0]
            of = group.guides[:, i]
            score = data.score[of].reshape(genes, size)
            yield of, _GuideParts(own.view(genes, size, size), left, right, score, beta)


def _spread(c: Coordinates, values: Tensor, day: int) -> Tensor:
    """From a day's nuisances, theta and directions to the coordinates: [..., n + L + V] -> [..., p]."""
    k, genes = c.n_nuisance, c.terms.n_genes
    out = values.new_zeros(*values.shape[:-1], c.size)
    out[..., :k] = values[..., :k]
    theta = values[..., None, k : k + genes] * c.terms.walk.weights[day][:, None]  # [..., D, L]
    out[..., c.walk] = theta.flatten(-2)
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

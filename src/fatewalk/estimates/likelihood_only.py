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

Where labels scatter unequally by fate (`fatewalk.infer.scatter`) their score has the covariance B instead of
the H of their weights. With D = B - H, the estimate of a gene has an excess (`fatewalk.estimates.sandwich`)

    X = S_ll^-1 S_l. D S_.l S_ll^-1

and that of a guide, linear in the scores of all coordinates and of its shift by
U = [C S - (1 - M) J_xi^-1 B_g. S, (1 - M) J_xi^-1], the further error U D U' or, with T = J_g U, the excess
T D T'.

Letters: L genes, G guides, F* contrasts, D days, K = F* D.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fatewalk.estimates.sandwich import ROUNDING, robust_error, robust_evidence
from fatewalk.infer.systems import (
    COLUMNS,
    BlockSystem,
    DenseSystem,
    System,
    gene_grams,
    gene_information,
    likelihood_product,
)
from fatewalk.infer.whitening import BlockWhitening, DenseWhitening, Whitening, load_whitening
from fatewalk.model.coordinates import Coordinates, GeneGroup
from fatewalk.model.information import RowIndex, curvature, day_gram, fate_probabilities, information
from fatewalk.model.linalg import cholesky, eigh, inverse, solve
from fatewalk.model.rows import Rows, linear_predictor, make_rows
from fatewalk.model.scales import DTYPE

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from fatewalk.infer.fitted import Posterior
    from fatewalk.infer.scatter import Scatter
    from fatewalk.screen.design import Design

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
    data = _Data(c, rows, mode["y"], c.sd(log_scales), posterior.scatter)
    whitening: Whitening
    if "factor" in posterior.laplace:
        whitening = DenseSystem(data.index, c, data.weights, data.sd).whitening()
    else:
        whitening = BlockSystem(data.index, c, rows, data.weights, data.sd).whitening()
    covariance, spread, parts = _genes_and_guides(data, whitening)
    precision, score, excess = _gene_information(data, covariance, spread, design.gene_cells > 0)
    if excess is not None:
        score, precision = robust_evidence(score, precision, excess)
    gene_score, gene_information = _actual(c, precision, score)
    size = terms.n_contrasts * terms.n_days
    score = torch.zeros(terms.n_guides, size, dtype=DTYPE)
    precision = torch.zeros(terms.n_guides, size, size, dtype=DTYPE)
    for guides, part in parts:
        score[guides], precision[guides] = part.evidence()
    guide_score, guide_information = _actual(c, precision, score)
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
    data = _Data(c, rows, laplace["y"], sd, posterior.scatter)
    covariance, spread, parts = _genes_and_guides(data, load_whitening(laplace))
    n, days = c.terms.n_contrasts, c.terms.n_days
    precision, score, excess = _gene_information(data, covariance, spread, design.gene_cells > 0)
    gene, gene_error = _solve_seen(precision, score)
    if excess is not None:
        gene_error = robust_error(gene_error, excess)
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
    data = _Data(c, rows, laplace["y"], c.sd(c.scales.log_scales(laplace["vector"])), None)
    covariance, spread, _ = _genes_and_guides(data, load_whitening(laplace))
    precision, score, _ = _gene_information(data, covariance, spread, observed)
    return _solve_seen(precision, score)[0].view(-1, c.terms.n_contrasts, c.terms.n_days)


@torch.no_grad()
def gene_evidence(
    c: Coordinates,
    mode: dict[str, Tensor],
    rows: Rows,
    observed: Tensor,
    dense: bool,
    scatter: Scatter | None,
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
    scatter
        How labels scatter by fate.

    Raises
    ------
    NumericalError
        If a matrix cannot be decomposed.
    """
    rows, sd = rows.weighted(mode["weight"]), c.sd(c.scales.log_scales(mode["vector"]))
    data = _Data(c, rows, mode["y"], sd, scatter)
    system: System = (
        DenseSystem(data.index, c, data.weights, sd)
        if dense
        else BlockSystem(data.index, c, rows, data.weights, sd)
    )
    covariance, spread, _ = _genes_and_guides(data, system.whitening())
    precision, score, excess = _gene_information(data, covariance, spread, observed)
    if excess is not None:
        score, precision = robust_evidence(score, precision, excess)
    return _actual(c, precision, score)


class _Data:
    """The labels at the mode.

    ``excess`` [M, F*, F*] is the covariance of each row's score beyond that of its weight; None: none.
    """

    def __init__(self, c: Coordinates, rows: Rows, y: Tensor, sd: Tensor, scatter: Scatter | None) -> None:
        self.c, self.rows, self.y, self.sd = c, rows, y, sd
        pi = fate_probabilities(c.mixed(linear_predictor(rows, c.coefficients(sd * y).T.contiguous())))
        self.weights = c.unmixed_curvature(curvature(rows, pi))  # [M, F*, F*]
        self.excess: Tensor | None = None
        if scatter:
            self.excess = c.unmixed_curvature(scatter.covariance(rows, pi)) - self.weights
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


def _genes_and_guides(
    data: _Data, whitening: Whitening
) -> tuple[Tensor, Tensor | None, Iterator[tuple[Tensor, _GuideParts]]]:
    """S_ll and S_l. D S_.l of each gene's innovations, [L, K, K]; guides, some at a time, and their parts."""
    if isinstance(whitening, DenseWhitening):
        half = _inverse_triangular(whitening.factor)  # S = half' half
        noise = _noise(data, half)
        return *_dense_covariance(data.c, half, noise), _guide_parts(data, half, noise)
    assert isinstance(whitening, BlockWhitening)
    return *_block_covariance(data, whitening), _guide_parts_in_blocks(data)


def _noise(data: _Data, half: Tensor) -> Tensor | None:
    """S^1/2 D S^1/2, [P, P]."""
    if data.excess is None:
        return None
    noise = information(data.index, data.c, data.excess)
    sd = data.sd.reshape(-1)
    noise *= sd[:, None]
    noise *= sd
    return half @ noise @ half.T


def _dense_covariance(c: Coordinates, half: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Posterior covariance S_ll of each gene's innovations, [L, K, K]; S_l. D S_.l."""
    place = _walk_places(c)
    own = half[:, place.reshape(-1)]
    shape = (-1, *place.shape)
    covariance = torch.einsum("plk,plj->lkj", own.view(shape), own.view(shape))
    if noise is None:
        return covariance, None
    return covariance, torch.einsum("plk,plj->lkj", own.view(shape), (noise @ own).view(shape))


def _block_covariance(data: _Data, whitening: BlockWhitening) -> tuple[Tensor, Tensor | None]:
    """The same from blocks: a gene given the nuisances, and through them."""
    c = data.c
    n, days = c.terms.n_contrasts, c.terms.n_days
    covariance = torch.empty(c.terms.n_genes, n * days, n * days, dtype=DTYPE)
    spread = None if data.excess is None else torch.empty_like(covariance)
    if data.excess is not None:
        blocks = _excess_of_genes(data, data.excess)
        on_nuisances = [
            likelihood_product(c, data.rows, data.excess, data.sd, some)
            for some in whitening.loading.split(COLUMNS, 1)
        ]
        mixed = torch.cat(on_nuisances, 1) @ whitening.root  # [P, N]
        of_nuisances = whitening.root.T @ whitening.loading.T @ mixed  # [N, N]
    for i, (group, root) in enumerate(zip(c.gene_groups(), whitening.roots, strict=True)):
        walk = torch.arange(root.shape[1]).view(n, -1)[:, :days].reshape(-1)
        own = root[:, walk]  # [Lg, K, F* (D + v)]
        places = group.place.reshape(len(group.genes), -1)
        shared = whitening.loading[places[:, walk]] @ whitening.root  # [Lg, K, N]
        covariance[group.genes] = own @ own.transpose(1, 2) + shared @ shared.transpose(1, 2)
        if spread is not None:
            onto = own @ root.transpose(1, 2)  # [Lg, K, F* (D + v)]
            both = onto @ mixed[places] @ shared.transpose(1, 2)
            through = shared @ of_nuisances @ shared.transpose(1, 2)
            spread[group.genes] = onto @ blocks[i] @ onto.transpose(1, 2) + both + both.mT + through
    return covariance, spread


def _excess_of_genes(data: _Data, excess: Tensor) -> list[Tensor]:
    """D of each gene's own coordinates, [Lg, K, K] for each group."""
    found = gene_information(gene_grams(data.index, data.c, excess), data.c, data.sd)
    return [matrix - torch.eye(matrix.shape[1], dtype=DTYPE) for matrix in found]  # without the prior


def _gene_information(
    data: _Data, covariance: Tensor, spread: Tensor | None, observed: Tensor
) -> tuple[Tensor, Tensor, Tensor | None]:
    """J [L, K, K], h = J b [L, K] and excess of all genes, from the observed gene-days [L, D]."""
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

    def on_theta(matrix: Tensor) -> Tensor:
        found = torch.where(observed[:, :, None] & observed[:, None, :], back.T @ matrix @ back, 0.0)
        return 0.5 * (found + found.mT)

    excess = None if spread is None else on_theta(precision @ spread @ precision)
    return on_theta(information), torch.where(observed, score @ back, 0.0), excess


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
    noise : _Noise or None
        D, if labels scatter otherwise than their weights say.
    """

    own: Tensor
    left: Tensor
    right: Tensor
    score: Tensor
    beta: Tensor
    noise: _Noise | None

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
        shift_error = shift_error.nan_to_num()
        error = mix @ shift_error @ mix.mT + self.right @ self.right.mT
        if self.noise:
            by_shift = mix @ shift_error
            error = error + self.noise.seen_by(self.right - by_shift @ self.left, by_shift)
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
        right = torch.cat([shift, self.score[:, :, None], one.expand_as(shift)], 2)
        size = len(one)
        given = solve(one + shift @ (spread @ spread.mT), right, "a guide")
        information = back.mT @ given[:, :, :size] @ back
        information = 0.5 * (information + information.mT)
        score = (information @ self.beta[:, :, None] + back.mT @ given[:, :, size, None])[:, :, 0]
        if self.noise is None:
            return score, information
        by_shift = back.mT @ given[:, :, size + 1 :]
        excess = self.noise.seen_by(information @ self.right - by_shift @ self.left, by_shift)
        return robust_evidence(score, information, excess)


@dataclass(frozen=True)
class _Noise:
    """D of the coordinates and of the shifts of m guides.

    Attributes
    ----------
    rest : Tensor [P, P] or [m, P, P]
        S^1/2 D S^1/2.
    between : Tensor [m, K, P]
        D of shifts and coordinates, times S^1/2.
    own : Tensor [m, K, K]
        D of shifts.
    """

    rest: Tensor
    between: Tensor
    own: Tensor

    def seen_by(self, by_rest: Tensor, by_shift: Tensor) -> Tensor:
        """Covariance of what is linear in the scores, of S^1/2 times [m, K, P] and of shifts by [m, K, K]."""
        across = by_rest @ self.between.mT @ by_shift.mT
        found = by_rest @ self.rest @ by_rest.mT + across + across.mT + by_shift @ self.own @ by_shift.mT
        return 0.5 * (found + found.mT)


def _guide_parts(data: _Data, half: Tensor, noise: Tensor | None) -> Iterator[tuple[Tensor, _GuideParts]]:
    """Guides, some at a time, and their parts."""
    c, sd = data.c, data.sd
    n, days, guides = c.terms.n_contrasts, c.terms.n_days, c.terms.n_guides
    size, q, first = n * days, c.terms.n_local_columns, c.terms.first_local_guide
    maps = [c.day_map(day).to_dense() for day in range(days)]  # [q, n + L + V]

    def grams_of(weights: Tensor) -> list[Tensor]:
        return [day_gram(data.index, day, weights, q)[:, :, first:] for day in range(days)]

    def of_shifts(grams: list[Tensor], some: Tensor) -> tuple[Tensor, Tensor]:
        """Of shifts and coordinates, times S^1/2, [m, K, P]; of shifts, [m, K, K]."""
        m = len(some)
        cross = torch.zeros(m, n, days, n, c.size, dtype=DTYPE)
        own = torch.zeros(m, n, days, n, days, dtype=DTYPE)
        for day in range(days):
            block = grams[day][:, :, some]  # [F*, F*, m, q]
            mapped = block @ maps[day]  # [F*, F*, m, n + L + V]
            cross[:, :, day] += _spread(c, mapped.permute(2, 0, 1, 3), day)
            own[:, :, day, :, day] = block[:, :, torch.arange(m), first + some].permute(2, 0, 1)
        return ((cross * sd).view(m * size, -1) @ half.T).view(m, size, -1), own.view(m, size, size)

    grams = grams_of(data.weights)
    of_excess = None if data.excess is None else grams_of(data.excess)
    for some in torch.arange(guides).split(CHUNK):
        m = len(some)
        left, own = of_shifts(grams, some)
        to_beta = torch.zeros(m, n, days, n, c.size, dtype=DTYPE)  # C in x
        for day in range(days):
            spread = _spread(c, maps[day][first + some], day)  # [m, p]
            for f in range(n):
                to_beta[:, f, day, f] = spread
        to_beta = (to_beta * sd).view(m * size, -1)
        few = torch.nonzero(to_beta.any(dim=0))[:, 0]  # coordinates of these guides and their genes
        right = (to_beta[:, few] @ half[:, few].T).view(m, size, -1)  # C S^1/2
        beta = (to_beta @ data.y.reshape(-1)).view(m, size)
        score = data.score[some].reshape(m, size)
        excess = None if of_excess is None or noise is None else _Noise(noise, *of_shifts(of_excess, some))
        yield some, _GuideParts(own, left, right, score, beta, excess)


def _guide_parts_in_blocks(data: _Data) -> Iterator[tuple[Tensor, _GuideParts]]:
    """The same from each gene's own block: what other genes and nuisances leave open is neglected."""
    c, y, sd = data.c, data.y.reshape(-1), data.sd.reshape(-1)
    n, days = c.terms.n_contrasts, c.terms.n_days
    size, weights = n * days, c.terms.walk.weights
    grams = gene_grams(data.index, c, data.weights)
    blocks = gene_information(grams, c, data.sd)
    of_excess = None if data.excess is None else gene_grams(data.index, c, data.excess)
    noises = None if data.excess is None else _excess_of_genes(data, data.excess)
    for number, (group, gram, block) in enumerate(zip(c.gene_groups(), grams, blocks, strict=True)):
        genes, v = len(group.genes), group.local.shape[1] - 1
        place = group.place.reshape(genes, -1)
        scale = sd[place][:, None, :]  # [Lg, 1, K]
        root = cholesky(block, "the information of a gene")
        half = torch.linalg.solve_triangular(root, torch.eye(block.shape[1], dtype=DTYPE), upper=False)
        rest = None if noises is None else half @ noises[number] @ half.transpose(1, 2)
        for i in range(group.size):
            left, own = _shifts_in_blocks(c, group, gram, i, scale, half)
            to_beta = torch.zeros(n, days, n, days + v, dtype=DTYPE)
            for d in range(days):
                for f in range(n):
                    to_beta[f, d, f, :days] = weights[d]
                    to_beta[f, d, f, days:] = group.local[i, 1:]
            onto = to_beta.view(1, size, -1) * scale
            right = onto @ half.transpose(1, 2)
            beta = (onto @ y[place][:, :, None])[:, :, 0]
            of = group.guides[:, i]
            score = data.score[of].reshape(genes, size)
            excess = None
            if rest is not None and of_excess is not None:
                excess = _Noise(rest, *_shifts_in_blocks(c, group, of_excess[number], i, scale, half))
            yield of, _GuideParts(own, left, right, score, beta, excess)


def _shifts_in_blocks(
    c: Coordinates, group: GeneGroup, gram: Tensor, i: int, scale: Tensor, half: Tensor
) -> tuple[Tensor, Tensor]:
    """Of shifts of each gene's guide i and coordinates, times S^1/2, [Lg, K, P]; of shifts, [Lg, K, K]."""
    n, days, weights = c.terms.n_contrasts, c.terms.n_days, c.terms.walk.weights
    genes, v = len(group.genes), group.local.shape[1] - 1
    cross = torch.zeros(genes, n, days, n, days + v, dtype=DTYPE)
    own = torch.zeros(genes, n, days, n, days, dtype=DTYPE)
    for d in range(days):
        mapped = (gram[d, :, :, :, i] @ group.local).permute(2, 0, 1, 3)  # [Lg, F*, F*, 1 + v]
        cross[:, :, d, :, :days] = mapped[..., :1] * weights[d]
        cross[:, :, d, :, days:] = mapped[..., 1:]
        own[:, :, d, :, d] = gram[d, :, :, :, i, i].permute(2, 0, 1)
    size = n * days
    return (cross.view(genes, size, -1) * scale) @ half.transpose(1, 2), own.view(genes, size, size)


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

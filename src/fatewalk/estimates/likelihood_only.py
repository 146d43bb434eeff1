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
    steepness : array [F, D]
        Slope of a day's mean probability of each fate over that of a cell at this mean, at most 1: cells
        that differ in their other guides and nuisances move together less than one of them would.
    """

    gene_score: np.ndarray
    gene_information: np.ndarray
    guide_score: np.ndarray
    guide_information: np.ndarray
    guide_variance: float
    steepness: np.ndarray


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
        _steepness(data.pi, rows.cells, rows.day, terms.n_days).numpy(),
    )


def _steepness(pi: Tensor, cells: Tensor, day: Tensor, n_days: int) -> Tensor:
    """Mean of pi (1 - pi) over P (1 - P), with P the mean of pi over the cells of a day: [F, D]."""

    def mean(values: Tensor) -> Tensor:
        total = values.new_zeros(n_days, values.shape[1]).index_add(0, day, cells[:, None] * values)
        return total / cells.new_zeros(n_days).index_add(0, day, cells)[:, None]  # [D, F]

    share = mean(pi)
    return (mean(pi * (1 - pi)) / (share * (1 - share)).clamp(min=1e-300)).T.contiguous()


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
        self.pi = pi  # [M, F]
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
        inverted = torch.cholesky_inverse(whitening.factor)  # S
        noise = _noise(data, inverted)
        place = _walk_places(data.c)
        covariance, spread = (x if x is None else _own(x, place) for x in (inverted, noise))
        assert covariance is not None
        return covariance, spread, _guide_parts(data, inverted, noise)
    assert isinstance(whitening, BlockWhitening)
    return *_block_covariance(data, whitening), _guide_parts_in_blocks(data)


def _noise(data: _Data, inverted: Tensor) -> Tensor | None:
    """S D S, [P, P]."""
    if data.excess is None:
        return None
    noise = information(data.index, data.c, data.excess)
    sd = data.sd.reshape(-1)
    noise *= sd[:, None]
    noise *= sd
    return inverted @ noise @ inverted


def _own(matrix: Tensor, place: Tensor) -> Tensor:
    """The part of each gene, at places [L, K], of a matrix [P, P]: [L, K, K]."""
    return matrix[place[:, :, None], place[:, None, :]]


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
    shift, mixed, prior : Tensor [m, K, K]
        J_xi, M and C S C'.
    seen : Tensor, bool [m, K]
        Whether the labels see the shift.
    score, beta : Tensor [m, K]
        Score of the shift at the mode, and beta there.
    noise : _Noise or None
        D, if labels scatter otherwise than their weights say.
    """

    shift: Tensor
    mixed: Tensor
    prior: Tensor
    seen: Tensor
    score: Tensor
    beta: Tensor
    noise: _Noise | None

    @classmethod
    def of(
        cls, given: _Coupling, excess: _Coupling | None, onto: Tensor, inverted: Tensor, noise: Tensor | None,
        score: Tensor, y: Tensor,
    ) -> _GuideParts:  # fmt: skip
        """Multiply out.

        Parameters
        ----------
        given, excess
            B and D of the shifts.
        onto : Tensor [m, K, P]
            C, which few coordinates have a part in.
        inverted, noise : Tensor [P, P] or [m, P, P]
            S and S D S.
        score : Tensor [m, K]
            Of the shifts.
        y : Tensor [P, 1] or [m, P, 1]
            The mode.
        """
        few = torch.nonzero(onto.any(dim=0).any(dim=0))[:, 0]
        part = onto[:, :, few]

        def on_beta(matrix: Tensor) -> Tensor:
            return part @ matrix[..., few[:, None], few] @ part.mT

        coupled = given.cross @ inverted  # B S
        shift = given.own - coupled @ given.cross.mT
        mixed = part @ coupled[:, :, few].mT  # C S B'
        found = None
        if noise is not None and excess is not None:
            through = given.cross @ noise  # B S D S
            across = part @ (inverted[..., few, :] @ excess.cross.mT - through[:, :, few].mT)
            both = coupled @ excess.cross.mT
            shifts = through @ given.cross.mT + excess.own - both - both.mT
            found = _Noise(on_beta(noise), across, shifts)
        beta = (onto @ y)[:, :, 0]
        seen = given.own.diagonal(dim1=1, dim2=2) > 0
        return cls(0.5 * (shift + shift.mT), mixed, on_beta(inverted), seen, score, beta, found)

    @property
    def mix(self) -> Tensor:
        """1 - M, [m, K, K]."""
        return torch.eye(self.mixed.shape[1], dtype=DTYPE) - self.mixed

    def estimates(self) -> tuple[Tensor, Tensor]:
        """Estimates [m, K] and their errors [m, K, K]."""
        mix = self.mix
        shift, shift_error = _solve_seen(self.shift, self.score)
        mean = self.beta + (mix @ shift.nan_to_num()[:, :, None])[:, :, 0]
        by_shift = mix @ shift_error.nan_to_num()
        error = by_shift @ mix.mT + self.prior
        if self.noise:
            error = error + self.noise.seen_by(torch.eye(mix.shape[1], dtype=DTYPE), by_shift)
        missing = shift.isnan()
        either = missing[:, :, None] | missing[:, None, :]
        return torch.where(missing, torch.nan, mean), torch.where(either, torch.nan, error)

    def evidence(self) -> tuple[Tensor, Tensor]:
        """Score [m, K] and information [m, K, K]."""
        back = inverse(self.mix, "the share of its gene in a guide")  # N
        shift = torch.where(self.seen[:, :, None] & self.seen[:, None, :], self.shift, 0.0)
        spread = back @ self.prior @ back.mT  # E
        one = torch.eye(shift.shape[1], dtype=DTYPE)
        right = torch.cat([shift, self.score[:, :, None], one.expand_as(shift)], 2)
        size = len(one)
        given = solve(one + shift @ spread, right, "a guide")
        information = back.mT @ given[:, :, :size] @ back
        information = 0.5 * (information + information.mT)
        score = (information @ self.beta[:, :, None] + back.mT @ given[:, :, size, None])[:, :, 0]
        if self.noise is None:
            return score, information
        excess = self.noise.seen_by(information, back.mT @ given[:, :, size + 1 :])
        return robust_evidence(score, information, excess)


@dataclass(frozen=True)
class _Coupling:
    """What weights say of the shifts of m guides.

    Attributes
    ----------
    cross : Tensor [m, K, P]
        With all coordinates.
    own : Tensor [m, K, K]
        With themselves.
    """

    cross: Tensor
    own: Tensor


@dataclass(frozen=True)
class _Noise:
    """Covariances, by D, of what the coordinates and the shifts of m guides answer to the scores.

    Attributes
    ----------
    beta : Tensor [m, K, K]
        Of C S: C S D S C'.
    across : Tensor [m, K, K]
        Of C S with the shifts given the coordinates.
    shifts : Tensor [m, K, K]
        Of the shifts given the coordinates.
    """

    beta: Tensor
    across: Tensor
    shifts: Tensor

    def seen_by(self, of_beta: Tensor, of_shift: Tensor) -> Tensor:
        """U D U' of U = [a C S - u B_g. S, u], a ``of_beta`` and u ``of_shift``, [.., K, K]."""
        across = of_beta @ self.across @ of_shift.mT
        found = of_beta @ self.beta @ of_beta.mT + across + across.mT + of_shift @ self.shifts @ of_shift.mT
        return 0.5 * (found + found.mT)


def _guide_parts(data: _Data, inverted: Tensor, noise: Tensor | None) -> Iterator[tuple[Tensor, _GuideParts]]:
    """Guides, some at a time, and their parts."""
    c, sd = data.c, data.sd
    n, days, guides = c.terms.n_contrasts, c.terms.n_days, c.terms.n_guides
    size, q, first = n * days, c.terms.n_local_columns, c.terms.first_local_guide
    maps = [c.day_map(day).to_dense() for day in range(days)]  # [q, n + L + V]

    def grams_of(weights: Tensor) -> list[Tensor]:
        return [day_gram(data.index, day, weights, q)[:, :, first:] for day in range(days)]

    def of_shifts(grams: list[Tensor], some: Tensor) -> _Coupling:
        m = len(some)
        cross = torch.zeros(m, n, days, n, c.size, dtype=DTYPE)
        own = torch.zeros(m, n, days, n, days, dtype=DTYPE)
        for day in range(days):
            block = grams[day][:, :, some]  # [F*, F*, m, q]
            mapped = block @ maps[day]  # [F*, F*, m, n + L + V]
            cross[:, :, day] += _spread(c, mapped.permute(2, 0, 1, 3), day)
            own[:, :, day, :, day] = block[:, :, torch.arange(m), first + some].permute(2, 0, 1)
        return _Coupling((cross * sd).view(m, size, -1), own.view(m, size, size))

    grams = grams_of(data.weights)
    of_excess = None if data.excess is None else grams_of(data.excess)
    for some in torch.arange(guides).split(CHUNK):
        m = len(some)
        to_beta = torch.zeros(m, n, days, n, c.size, dtype=DTYPE)  # C in x
        for day in range(days):
            spread = _spread(c, maps[day][first + some], day)  # [m, p]
            for f in range(n):
                to_beta[:, f, day, f] = spread
        onto = (to_beta * sd).view(m, size, -1)
        excess = None if of_excess is None else of_shifts(of_excess, some)
        score = data.score[some].reshape(m, size)
        yield (
            some,
            _GuideParts.of(
                of_shifts(grams, some), excess, onto, inverted, noise, score, data.y.reshape(-1, 1)
            ),
        )


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
        inverted = torch.cholesky_inverse(cholesky(block, "the information of a gene"))
        noise = None if noises is None else inverted @ noises[number] @ inverted
        for i in range(group.size):
            to_beta = torch.zeros(n, days, n, days + v, dtype=DTYPE)
            for d in range(days):
                for f in range(n):
                    to_beta[f, d, f, :days] = weights[d]
                    to_beta[f, d, f, days:] = group.local[i, 1:]
            onto = to_beta.view(1, size, -1) * scale
            given = _shifts_in_blocks(c, group, gram, i, scale)
            excess = None if of_excess is None else _shifts_in_blocks(c, group, of_excess[number], i, scale)
            of = group.guides[:, i]
            score = data.score[of].reshape(genes, size)
            yield (
                of,
                _GuideParts.of(given, excess, onto, inverted, noise, score, y[place][:, :, None]),
            )


def _shifts_in_blocks(c: Coordinates, group: GeneGroup, gram: Tensor, i: int, scale: Tensor) -> _Coupling:
    """Of shifts of each gene's guide i and the gene's coordinates."""
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
    return _Coupling(cross.view(genes, size, -1) * scale, own.view(genes, size, size))


def _spread(c: Coordinates, values: Tensor, day: int) -> Tensor:
    """From a day's nuisances, theta and directions to the coordinates: [..., n + L + V] -> [..., p]."""
    k, genes = c.n_nuisance, c.terms.n_genes
    out = values.new_zeros(*values.shape[:-1], c.size)
    out[..., :k] = values[..., :k]
    theta = values[..., None, k : k + genes] * c.terms.walk.weights[day][:, None]  # [..., D, L]
    out[..., c.walk] = theta.flatten(-2)
    out[..., c.directions] = values[..., k + genes :]
    return out

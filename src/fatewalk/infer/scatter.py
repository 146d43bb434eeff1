"""How unequally fates scatter within a day, for the errors of unshrunk estimates.

The weight of a label is one value for all fates of a day, 1 / phi; it makes the estimates. Their errors
need what labels really scatter. A unit with probabilities pi has labels of covariance u Sigma(pi), with

    Sigma(pi) = A [ b (diag(pi) - pi pi') + sum_f x_f pi_f / (1 - pi_f) (e_f - pi)(e_f - pi)' ] A'

on each day: what all fates scatter like a multinomial draw, b, and what each fate does beyond it, x_f pi_f
(1 - pi_f), which the other fates share in proportion, because labels sum to one. u is phi or
phi [1 + (n - 1) rho] for the n cells of a cluster that share their guides, so that 1 is what the weights of
the day expect of b, and 0 of x. All fates are treated alike, the reference too. The covariance follows pi: a
fate that a gene raises scatters as a common one does.

b and x come from the residual covariance of a day by least squares, none below zero, where multinomial
draws are white, with a ridge that pulls each x_f to 0: as strong as it is uncertain. A is what is
left: it makes the mean of Sigma over the day the residual covariance that was found, shrunk to that
without A by its sampling variance (Ledoit and Wolf 2004).

Letters: M rows, N cells, U units, F fates, F* contrasts, D days.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from scipy.optimize import nnls
from torch import Tensor

from fatewalk.infer.dispersion import units
from fatewalk.model.linalg import eigh

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fatewalk.model.rows import Rows

SMALLEST_BASE = 0.01  # the labels of every fate scatter at least a little
UNSEEN = 1e-9  # share of the largest variance below which a direction of a day's labels is not seen


@dataclass(frozen=True)
class Scatter:
    """Covariance of labels around their probabilities.

    Attributes
    ----------
    base : Tensor [D]
        b, what all fates scatter, over a multinomial draw of the day's dispersion.
    excess : Tensor [F, D]
        x, what each fate scatters beyond it.
    mix : Tensor [D, F, F]
        A.
    unit : Tensor [M]
        u of the cells of each row.
    """

    base: Tensor
    excess: Tensor
    mix: Tensor
    unit: Tensor

    def covariance(self, rows: Rows, pi: Tensor) -> Tensor:
        """Covariance of each row's score in eta, w^2 n u Sigma(pi): [M, F*, F*] from pi [M, F]."""
        size = rows.weight.square() * rows.cells * self.unit  # [M]
        return size[:, None, None] * self.of_labels(pi, rows.day)[:, 1:, 1:]

    def of_labels(self, pi: Tensor, day: Tensor) -> Tensor:
        """Sigma(pi) of labels with probabilities pi [m, F] on days [m]: [m, F, F]."""
        out = pi.new_empty(len(pi), pi.shape[1], pi.shape[1])
        for d, mix in enumerate(self.mix):
            own = torch.nonzero(day == d)[:, 0]
            out[own] = mix @ _unmixed(pi[own], self.base[d], self.excess[:, d]) @ mix.T
        return out

    def error_factors(self, pi: Tensor) -> Tensor:
        """SD of each fate's labels over that with one dispersion for all, at pi [D, F]: [F, D]."""
        found = []
        for p, mix, base, excess in zip(pi, self.mix, self.base, self.excess.T, strict=True):
            sigma = mix @ _unmixed(p[None], base, excess)[0] @ mix.T
            found.append((sigma.diagonal() / (p * (1 - p))).sqrt())
        return torch.stack(found, dim=1)

    def state(self) -> dict[str, Tensor]:
        """Tensors to restore it from, with ``Scatter(**state)``."""
        return {"base": self.base, "excess": self.excess, "mix": self.mix, "unit": self.unit}


def load_scatter(state: Mapping[str, Tensor] | None) -> Scatter | None:
    """Undo ``Scatter.state``; None stays None: one dispersion for all fates of a day."""
    return Scatter(**state) if state else None


def estimate_scatter(
    rows: Rows,
    pi: Tensor,
    labels: Tensor,
    row_of_label: Tensor,
    unit: Tensor,
    shortfall: Tensor,
    shared: bool,
) -> Scatter:
    """Estimate the scatter of the labels of each day.

    Parameters
    ----------
    rows
        All rows, with the weights of the fit.
    pi : Tensor [M, F]
        Fitted probabilities.
    labels : Tensor [N, F]
        Fate probabilities of the cells.
    row_of_label : Tensor, int64 [N]
        Row of each cell.
    unit : Tensor [M]
        u of the cells of each row, from the dispersion of the day.
    shortfall : Tensor [D]
        Squares of residuals over those of labels around their true probabilities, as in ``Dispersion``.
    shared
        Whether all cells of a cluster carry the same guides: units are then totals of clusters.

    Raises
    ------
    NumericalError
        If a matrix cannot be decomposed.
    """
    score = rows.weight[row_of_label, None] * (labels - pi[row_of_label])  # [N, F] weighted residuals
    day = rows.day[row_of_label]
    if shared:
        cluster, n_clusters = units(rows)
        of = cluster[row_of_label]
        score = score.new_zeros(n_clusters, pi.shape[1]).index_add(0, of, score)  # [U, F]
        day = torch.zeros(n_clusters, dtype=torch.int64, device=day.device).index_copy(0, of, day)
    score = score / shortfall.sqrt()[day, None]
    size = rows.weight.square() * rows.cells * unit  # [M]
    found = [
        _of_day(score[day == d], pi[rows.day == d], size[rows.day == d])
        for d in range(int(rows.day.max()) + 1)
    ]
    base, excess, mix = (torch.stack(part) for part in zip(*found, strict=True))
    return Scatter(base, excess.T.contiguous(), mix, unit)


def _of_day(score: Tensor, pi: Tensor, size: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """B [], x [F] and A [F, F] of a day, from its units' residuals [U, F], rows' pi [m, F] and sizes [m]."""
    n_fates = pi.shape[1]
    shares = _shares(pi, size)  # [1 + F, F, F] what b and each x_f add to the sum of covariances
    expected = shares[0]
    square = score.square()  # [U, F]
    if float(square.sum()) <= 0 or float(expected.trace()) <= 0:  # all labels agree with the fit
        return pi.new_ones(()), pi.new_zeros(n_fates), torch.eye(n_fates, dtype=pi.dtype, device=pi.device)
    found = score.T @ score
    white = _roots(expected)[1]
    effective = square.sum(0).square() / square.square().sum(0).clamp(min=1e-300)  # [F] units that count
    ridge = torch.diag(effective.clamp(min=1e-6).rsqrt())  # [F, F]
    design = torch.cat(
        [(white @ shares @ white).flatten(1).T, torch.cat([ridge.new_zeros(n_fates, 1), ridge], 1)]
    )
    wanted = torch.cat([(white @ found @ white).flatten(), ridge.new_zeros(n_fates)])
    factor = torch.from_numpy(nnls(design.numpy(), wanted.numpy())[0])  # [1 + F]
    factor[0] = factor[0].clamp(min=SMALLEST_BASE)
    mean = torch.einsum("k,kfg->fg", factor, shares)
    return factor[0], factor[1:], _what_is_left(score, found, mean)


def _what_is_left(score: Tensor, found: Tensor, mean: Tensor) -> Tensor:
    """A with A mean A' = found, shrunk to A = 1 where the units [U, F] leave found uncertain."""
    root, white = _roots(mean)
    own = score @ white  # [U, F]
    sample = white @ found @ white
    seen = white @ root  # projector on what the labels see
    uncertain = own.square().sum(1).square().sum() - sample.square().sum() / len(own)
    distance = (sample - seen).square().sum()
    share = (uncertain / distance.clamp(min=1e-300)).clamp(0, 1)
    middle = _roots(share * seen + (1 - share) * sample)[0]
    return root @ middle @ white + torch.eye(len(mean), dtype=mean.dtype, device=mean.device) - seen


def _unmixed(pi: Tensor, base: Tensor, excess: Tensor) -> Tensor:
    """Sigma without A, [m, F, F], from pi [m, F]."""
    own = excess * _odds(pi)  # [m, F]
    cross = own[:, :, None] * pi[:, None, :]
    both = (own.sum(1) - base)[:, None, None] * pi[:, :, None] * pi[:, None, :]
    return torch.diag_embed(own + base * pi) - cross - cross.mT + both


def _odds(pi: Tensor) -> Tensor:
    return pi / (1 - pi).clamp(min=1e-12)


def _shares(pi: Tensor, size: Tensor) -> Tensor:
    """Sums over rows, of a size [m], of what b and each x_f add to Sigma without A: [1 + F, F, F]."""
    found = [torch.diag((size[:, None] * pi).sum(0)) - pi.T @ (size[:, None] * pi)]
    odds = _odds(pi)
    for f, unit in enumerate(torch.eye(pi.shape[1], dtype=pi.dtype, device=pi.device)):
        away = unit - pi  # [m, F]
        found.append(away.T @ (away * (size * odds[:, f])[:, None]))
    return torch.stack(found)


def _roots(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Symmetric root of a matrix and of its pseudo-inverse."""
    values, vectors = eigh(0.5 * (matrix + matrix.T), "the covariance of the labels of a day")
    seen = values > UNSEEN * values.amax()
    root = torch.where(seen, values, 0.0).clamp(min=0).sqrt()
    inverse = torch.where(seen, 1 / root.clamp(min=1e-150), 0.0)
    return (vectors * root) @ vectors.T, (vectors * inverse) @ vectors.T

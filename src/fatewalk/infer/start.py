"""Where the baseline families start: a posterior mode, and rough information around it.

Variational parameters are optimised in coordinates in which a posterior SD is about one, so one
learning rate serves every screen. Letters as in ``model.fate_model``; K = F* x D is the length of
a gene's block of effects over contrasts and days.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fatewalk.model import FateModel, Rows
from fatewalk.model.rows import centred_burden
from fatewalk.screen.design import Design

LOG_SCALE_SD = 0.2  # posterior SD of a log scale to begin with


@dataclass(frozen=True)
class Start:
    """Start of a variational posterior.

    Attributes
    ----------
    values
        Value of every latent variable, constrained.
    sds
        Rough posterior SD of every latent variable but ``z``, unconstrained.
    gene_factor : Tensor [L, K, K]
        Cholesky factor of the rough posterior covariance of a gene's ``z``, contrasts slow,
        days fast.
    """

    values: dict[str, Tensor]
    sds: dict[str, Tensor]
    gene_factor: Tensor

    @classmethod
    def blank(cls, model: FateModel) -> Start:
        """A start of the right shapes, to be overwritten by saved parameters."""
        s = model.sizes
        values = {
            name: torch.zeros(shape, dtype=torch.float64) for name, (_, _, shape) in model.sites().items()
        }
        block = torch.eye(s.contrasts * s.days, dtype=torch.float64).expand(s.genes, -1, -1)
        return cls(values, {name: torch.ones_like(value) for name, value in values.items()}, block.clone())

    def to(self, device: torch.device) -> Start:
        """Copy to a device."""
        return Start(
            {name: value.to(device) for name, value in self.values.items()},
            {name: value.to(device) for name, value in self.sds.items()},
            self.gene_factor.to(device),
        )


def make_start(model: FateModel, design: Design, rows: Rows, mode: dict[str, Tensor]) -> Start:
    """Add rough SDs to a posterior mode.

    Parameters
    ----------
    model
        On the CPU, for all rows.
    design
        The cells.
    rows
        All rows, on the CPU, with their weights.
    mode
        Value of every latent variable, from the Laplace approximation.

    Returns
    -------
    Start
        On the CPU.
    """
    weight = float((rows.weight * rows.cells).sum() / rows.n_cells)
    sds, gene_factor = _information(model, design, mode, weight)
    return Start(mode, sds, gene_factor)


def day_intercepts(design: Design) -> Tensor:
    """Log odds of each day's mean fate probabilities against the reference, [F*, D]."""
    share = _fate_shares(design)
    return (share[:, 1:] / share[:, :1]).log().T.contiguous()


def _fate_shares(design: Design) -> Tensor:
    """Mean fate probabilities of each day, kept away from 0, [D, F]."""
    n_days, n_fates = len(design.days), len(design.fates)
    total = torch.zeros(n_days, n_fates, dtype=torch.float64).index_add(0, design.day, design.prob)
    total = total + 0.5  # half a cell: a fate absent on a day starts at a finite logit
    return total / total.sum(dim=1, keepdim=True)


def _information(
    model: FateModel, design: Design, values: dict[str, Tensor], w: float
) -> tuple[dict[str, Tensor], Tensor]:
    """SDs from the multinomial information at the day's mean fate shares.

    A gene's cells of a day count alone, without the other guides of these cells: enough to put
    the optimiser's coordinates on the right scale.
    """
    s, priors = model.sizes, model.config.priors
    share = _fate_shares(design)[:, 1:]  # [D, F*]
    curvature = torch.diag_embed(share) - share[:, :, None] * share[:, None, :]  # [D, F*, F*]
    diagonal = curvature.diagonal(dim1=1, dim2=2).T  # [F*, D]

    day_cells = torch.bincount(design.day, minlength=s.days).double()  # [D]
    rep_days = torch.bincount(design.day * s.reps + design.rep, minlength=s.days * s.reps)
    rep_days = rep_days.reshape(s.days, s.reps).double()  # [D, R] cells
    burden_squares = torch.zeros(s.days, dtype=torch.float64)
    burden_squares.index_add_(0, design.day, centred_burden(design).square())
    slope = diagonal * burden_squares  # [F*, D]
    guide_information = w * diagonal @ design.guide_cells.double().T  # [F*, G]

    sds = {name: torch.full_like(value, LOG_SCALE_SD) for name, value in values.items()}
    sds |= {
        "u": (1 + values["sigma_guide"][:, None].square() * guide_information).rsqrt(),
        "alpha": (priors.s_alpha**-2 + w * diagonal * day_cells).rsqrt(),
    }
    if "b" in values:
        sds["b"] = (priors.s_rep**-2 + w * diagonal @ rep_days).rsqrt()
    if "gamma" in values:
        slope = slope if values["gamma"].shape[1] == s.days else slope.sum(dim=1, keepdim=True)
        sds["gamma"] = (priors.s_gamma**-2 + w * slope).rsqrt()

    # theta = walk z with walk[d, e] = scale[e] for e <= d; precision of z = 1 + walk' I walk
    steps = model.sigma_time(values)
    scale = torch.cat([values["tau"][:, None], steps], dim=1)  # [F*, D]
    walk = torch.tril(torch.ones(s.days, s.days, dtype=torch.float64)) * scale[:, None, :]  # [F*, D, D]
    cells = w * design.gene_cells.double()  # [L, D]
    precision = torch.einsum("fde,dfg,gdh->dfegh", walk, curvature, walk)  # a day's share, per cell
    size = s.contrasts * s.days
    precision = (cells @ precision.reshape(s.days, -1)).reshape(-1, size, size)  # [L, K, K]
    precision = precision + torch.eye(size, dtype=torch.float64)
    return sds, torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(precision)))


def unfold(gene_factor: Tensor, step: Tensor) -> Tensor:
    """Apply each gene's factor to its block: [L, K, K] x [..., F*, L, D] -> [..., F*, L, D]."""
    contrasts, genes, days = step.shape[-3:]
    blocks = step.transpose(-3, -2).reshape(*step.shape[:-3], genes, contrasts * days)  # [..., L, K]
    blocks = torch.einsum("lij,...lj->...li", gene_factor, blocks)
    return blocks.reshape(*step.shape[:-3], genes, contrasts, days).transpose(-3, -2)

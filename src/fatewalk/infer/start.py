"""Where the optimisation starts: the mode at fixed scales, and the information around it.

Variational parameters are optimised in coordinates in which a posterior SD is about one, so one
learning rate serves every screen. Letters as in ``model.fate_model``; K = F* x D is the length of
a gene's block of effects over contrasts and days.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from fatewalk.design import Design
from fatewalk.model import FateModel, Rows
from fatewalk.model.rows import centred_burden, linear_predictor

#: Scales at the start, as a share of their prior scale: small, because most genes do nothing.
START_SHARE = {"tau": 0.3, "sigma_time": 0.3, "sigma_guide": 0.2}
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
        values = _empty_values(model)
        block = torch.eye(s.contrasts * s.days, dtype=torch.float64).expand(s.genes, -1, -1)
        return cls(values, {name: torch.ones_like(value) for name, value in values.items()}, block.clone())

    def to(self, device: torch.device) -> Start:
        """Copy to a device."""
        return Start(
            {name: value.to(device) for name, value in self.values.items()},
            {name: value.to(device) for name, value in self.sds.items()},
            self.gene_factor.to(device),
        )


def make_start(model: FateModel, design: Design, rows: Rows) -> Start:
    """Find the mode of the effects at fixed scales, and rough SDs around it.

    Parameters
    ----------
    model
        On the CPU, for all rows.
    design
        The cells.
    rows
        All rows, on the CPU.

    Returns
    -------
    Start
        On the CPU.
    """
    values = _values(model, design)
    sds, gene_factor = _information(model, design, values)
    values = _mode(model, rows, Start(values, sds, gene_factor))
    return Start(values, sds, gene_factor)


def _fate_shares(design: Design) -> Tensor:
    """Mean fate probabilities of each day, kept away from 0, [D, F]."""
    n_days, n_fates = len(design.days), len(design.fates)
    total = torch.zeros(n_days, n_fates, dtype=torch.float64).index_add(0, design.day, design.prob)
    total = total + 0.5  # half a cell: a fate absent on a day starts at a finite logit
    return total / total.sum(dim=1, keepdim=True)


def _empty_values(model: FateModel) -> dict[str, Tensor]:
    """Fixed scales, everything else zero."""
    s, priors = model.sizes, model.config.priors
    shapes = {
        "tau": (s.contrasts,),
        "sigma_time": (s.contrasts, s.days - 1),
        "sigma_guide": (s.contrasts,),
        "z": (s.contrasts, s.genes, s.days),
        "u": (s.contrasts, s.guides),
        "alpha": (s.contrasts, s.days),
        "b": (s.contrasts, s.reps if s.reps > 1 else 0),
        "gamma": (s.contrasts, {"per_day": s.days, "shared": 1, "none": 0}[model.config.burden_slope]),
    }
    prior_scale = {"tau": priors.s_tau, "sigma_time": priors.s_time, "sigma_guide": priors.s_guide}
    return {
        name: torch.full(shape, START_SHARE.get(name, 0) * prior_scale.get(name, 0), dtype=torch.float64)
        for name, shape in shapes.items()
        if 0 not in shape
    }


def _values(model: FateModel, design: Design) -> dict[str, Tensor]:
    """Intercepts at the log odds of each day, fixed scales, no effects."""
    share = _fate_shares(design)  # [D, F]
    return _empty_values(model) | {"alpha": (share[:, 1:] / share[:, :1]).log().T.contiguous()}


def _information(
    model: FateModel, design: Design, values: dict[str, Tensor]
) -> tuple[dict[str, Tensor], Tensor]:
    """SDs from the multinomial information at the day's mean fate shares.

    A gene's cells of a day count alone, without the other guides of these cells: enough to put
    the optimiser's coordinates on the right scale.
    """
    s, priors, w = model.sizes, model.config.priors, model.likelihood_weight
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

    sds = {
        "tau": torch.full_like(values["tau"], LOG_SCALE_SD),
        "sigma_guide": torch.full_like(values["sigma_guide"], LOG_SCALE_SD),
        "u": (1 + values["sigma_guide"][:, None].square() * guide_information).rsqrt(),
        "alpha": (priors.s_alpha**-2 + w * diagonal * day_cells).rsqrt(),
    }
    if "sigma_time" in values:
        sds["sigma_time"] = torch.full_like(values["sigma_time"], LOG_SCALE_SD)
    if "b" in values:
        sds["b"] = (priors.s_rep**-2 + w * diagonal @ rep_days).rsqrt()
    if "gamma" in values:
        slope = slope if values["gamma"].shape[1] == s.days else slope.sum(dim=1, keepdim=True)
        sds["gamma"] = (priors.s_gamma**-2 + w * slope).rsqrt()

    # theta = walk z with walk[d, e] = scale[e] for e <= d; precision of z = 1 + walk' I walk
    steps = values.get("sigma_time", share.new_zeros(s.contrasts, 0))
    scale = torch.cat([values["tau"][:, None], steps], dim=1)  # [F*, D]
    walk = torch.tril(torch.ones(s.days, s.days, dtype=torch.float64)) * scale[:, None, :]  # [F*, D, D]
    cells = w * design.gene_cells.double()  # [L, D]
    precision = torch.einsum("fde,dfg,gdh->dfegh", walk, curvature, walk)  # a day's share, per cell
    size = s.contrasts * s.days
    precision = (cells @ precision.reshape(s.days, -1)).reshape(-1, size, size)  # [L, K, K]
    precision = precision + torch.eye(size, dtype=torch.float64)
    return sds, torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(precision)))


def _mode(model: FateModel, rows: Rows, start: Start, max_iter: int = 200) -> dict[str, Tensor]:
    """Maximise the joint density over all but the scales, by L-BFGS in whitened coordinates."""
    fixed = {name: start.values[name] for name in START_SHARE if name in start.values}
    free = [name for name in start.values if name not in fixed]
    shapes = [start.values[name].shape for name in free]
    x = torch.zeros(sum(math.prod(shape) for shape in shapes), dtype=torch.float64, requires_grad=True)
    prior_sd = {"alpha": model.config.priors.s_alpha, "b": model.config.priors.s_rep,
                "gamma": model.config.priors.s_gamma}  # fmt: skip
    optimiser = torch.optim.LBFGS(
        [x], max_iter=max_iter, history_size=20, tolerance_grad=1e-3, line_search_fn="strong_wolfe"
    )

    def latents() -> dict[str, Tensor]:
        parts = x.split([math.prod(shape) for shape in shapes])
        out = dict(fixed)
        for name, shape, part in zip(free, shapes, parts, strict=True):
            step = part.reshape(shape)
            step = unfold(start.gene_factor, step) if name == "z" else start.sds[name] * step
            out[name] = start.values[name] + step
        return out

    def closure() -> Tensor:
        optimiser.zero_grad()
        values = latents()
        eta = linear_predictor(rows, model.coefficients(values, model.effects(values)))
        logits = torch.cat([eta.new_zeros(len(eta), 1), eta], dim=-1)
        loss = -model.likelihood_weight * (rows.target * log_softmax(logits, dim=-1)).sum()
        for name in free:
            loss = loss + 0.5 * (values[name] / prior_sd.get(name, 1.0)).square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    with torch.no_grad():
        return {name: value.detach().clone() for name, value in latents().items()}


def unfold(gene_factor: Tensor, step: Tensor) -> Tensor:
    """Apply each gene's factor to its block: [L, K, K] x [..., F*, L, D] -> [..., F*, L, D]."""
    contrasts, genes, days = step.shape[-3:]
    blocks = step.transpose(-3, -2).reshape(*step.shape[:-3], genes, contrasts * days)  # [..., L, K]
    blocks = torch.einsum("lij,...lj->...li", gene_factor, blocks)
    return blocks.reshape(*step.shape[:-3], genes, contrasts, days).transpose(-3, -2)

"""Posterior moments of theta, delta and beta from joint draws, streamed.

Draws are made in chunks and only running sums are kept, so memory does not grow with their
number. Letters: F* contrasts, L genes, G guides, D days.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fatewalk.estimates.arrays import Moments
from fatewalk.model.effects import Effects, within_gene_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fatewalk.infer.fitted import Posterior
    from fatewalk.screen.design import Design

CHUNK_NUMBERS = 4_000_000  # float64 numbers of a chunk of draws: 32 MB
SCALES = ("tau", "sigma_time", "sigma_guide")


class _Running:
    """Mean and SD over the first axis of chunks, shifted by the first chunk's mean."""

    def __init__(self) -> None:
        self.n = 0
        self._shift: Tensor | None = None

    def add(self, chunk: Tensor) -> None:
        """Add draws, [n, ...]."""
        if self._shift is None:
            self._shift = chunk.mean(dim=0)
            self._sum = torch.zeros_like(self._shift)
            self._square = torch.zeros_like(self._shift)
        centred = chunk - self._shift
        self.n += len(chunk)
        self._sum += centred.sum(dim=0)
        self._square += centred.square().sum(dim=0)

    def mean_sd(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and sample SD."""
        assert self._shift is not None
        mean = self._sum / self.n
        variance = (self._square - self.n * mean.square()) / (self.n - 1)
        return (self._shift + mean).numpy(), variance.clamp(min=0).sqrt().numpy()


class _RunningCovariance:
    """Covariance of the entries of vectors, shifted as in ``_Running``."""

    def __init__(self) -> None:
        self.n = 0
        self._shift: Tensor | None = None

    def add(self, draws: Tensor) -> None:
        """Add draws of vectors of length K, [..., K, n]."""
        if self._shift is None:
            self._shift = draws.mean(dim=-1, keepdim=True)
            self._sum = torch.zeros_like(self._shift)
            self._product = draws.new_zeros(*draws.shape[:-1], draws.shape[-2])  # [..., K, K]
        centred = draws - self._shift
        self.n += draws.shape[-1]
        self._sum += centred.sum(dim=-1, keepdim=True)
        self._product += centred @ centred.transpose(-1, -2)

    def covariance(self) -> np.ndarray:
        """Sample covariance, [..., K, K]."""
        product = self._product - self._sum @ self._sum.transpose(-1, -2) / self.n
        return (product / (self.n - 1)).numpy()


def draw_effects(posterior: Posterior, draws: int, seed: int) -> Iterator[tuple[dict[str, Tensor], Effects]]:
    """Joint posterior draws in chunks of bounded size.

    Parameters
    ----------
    posterior
        The fit.
    draws
        Number of draws, over all chunks.
    seed
        Set before the first chunk.

    Yields
    ------
    latents : dict
        Constrained latent variables, each [n, ...].
    effects : Effects
        Of the n draws of the chunk.
    """
    t = posterior.model.terms
    size = t.n_contrasts * t.n_days * (t.n_genes + t.n_guides)
    torch.manual_seed(seed)
    for n in _chunks(draws, max(1, CHUNK_NUMBERS // size)):
        latents = posterior.family.draw(n)
        yield latents, posterior.model.effects(latents)


@torch.no_grad()
def posterior_moments(posterior: Posterior, design: Design, draws: int, seed: int) -> Moments:
    """Draw from the posterior and keep the moments.

    Parameters
    ----------
    posterior
        The fit.
    design
        Its names and cell counts travel along.
    draws
        Number of joint draws; the Monte Carlo error of an SD is about 0.7 / sqrt(draws) of it.
    seed
        Of the draws.

    Returns
    -------
    Moments
        In logit.
    """
    model = posterior.model
    t, guides = model.terms, model.terms.guides
    theta, delta, beta, offset = _Running(), _Running(), _Running(), _Running()
    between_contrasts, between_days = _RunningCovariance(), _RunningCovariance()
    scales = {name: _Running() for name in SCALES}
    square = torch.zeros(t.n_contrasts, dtype=torch.float64)
    prior_var = torch.zeros(t.n_contrasts, t.n_days, dtype=torch.float64)
    worst = torch.zeros(t.n_contrasts, t.n_genes, dtype=torch.float64)
    for latents, effects in draw_effects(posterior, draws, seed):
        by_day, sigma_guide = model.day_scales(latents), guides.scales.of(latents)  # [n, F*, D], [n, F*, 1]
        guide_effects = effects.beta(guides.guide_to_gene)  # [n, F*, G, D]
        by_gene = within_gene_mean(
            guide_effects.transpose(-1, -2), guides.guide_to_gene, guides.n_guides_per_gene
        ).transpose(-1, -2)  # [n, F*, L, D]
        theta.add(effects.theta)
        between_contrasts.add(effects.theta.permute(2, 3, 1, 0))  # [L, D, F*, n]
        between_days.add(effects.theta.permute(2, 1, 3, 0))  # [L, F*, D, n]
        delta.add(effects.delta)
        beta.add(guide_effects)
        offset.add(by_gene - effects.theta)
        mean = within_gene_mean(effects.delta, guides.guide_to_gene, guides.n_guides_per_gene)  # [n, F*, L]
        worst = torch.maximum(worst, mean.abs().amax(dim=0))
        drawn = {"tau": by_day[..., 0], "sigma_time": by_day[..., 1:], "sigma_guide": sigma_guide[..., 0]}
        for name, running in scales.items():
            running.add(drawn[name])
        square += sigma_guide[..., 0].square().sum(dim=0)
        prior_var += t.walk.variance(by_day).sum(dim=0)

    found: dict[str, np.ndarray] = {"draws": np.asarray(draws)}
    for name, running in {"theta": theta, "delta": delta, "beta": beta}.items():
        found[f"{name}_mean"], found[f"{name}_sd"] = (x.swapaxes(0, 1) for x in running.mean_sd())
    for name, running in scales.items():
        found[f"{name}_mean"], found[f"{name}_sd"] = running.mean_sd()
    return Moments(
        **found,
        offset_mean=offset.mean_sd()[0].swapaxes(0, 1),
        delta_gene_mean=worst.numpy().swapaxes(0, 1),
        sigma_guide_square=(square / draws).numpy(),
        theta_cov=between_contrasts.covariance().transpose(0, 2, 3, 1),
        theta_day_cov=between_days.covariance(),
        theta_prior_var=(prior_var / draws).numpy(),
        genes=np.array(design.genes),
        guides=np.array(design.guides),
        contrasts=np.array(design.contrasts),
        reference=np.array(design.fates[0]),
        days=np.array(design.days),
        guide_to_gene=design.guide_to_gene.numpy(),
        gene_cells=design.gene_cells.numpy(),
        guide_cells=design.guide_cells.numpy(),
    )


def _chunks(total: int, size: int) -> Iterable[int]:
    """Sizes of chunks that add up to ``total``, nearly equal."""
    n_chunks = -(-total // max(size, 2))
    return [total // n_chunks + (i < total % n_chunks) for i in range(n_chunks)]

"""Posterior moments of theta, delta and beta from joint draws, streamed.

Draws are made in chunks and only running moments are kept, so memory does not grow with their
number. Letters: F* contrasts, L genes, G guides, D days.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from pyro.ops.streaming import CountMeanVarianceStats, StatsOfDict
from torch import Tensor

from fatewalk.estimates.arrays import Moments
from fatewalk.model.effects import Effects, within_gene_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fatewalk.infer.fitted import Posterior
    from fatewalk.model import FateModel
    from fatewalk.screen.design import Design

CHUNK_NUMBERS = 4_000_000  # float64 numbers of a chunk of draws: 32 MB
WITH_SD = ("theta", "delta", "beta", "tau", "sigma_time", "sigma_guide")


class _RunningCovariance:
    """Covariance of the entries of vectors, shifted by the mean of the first chunk.

    Pyro's is of one vector and takes draw by draw; here are many vectors, and chunks of draws.
    """

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
    t = posterior.model.terms
    guides = t.guides
    running = StatsOfDict(default=CountMeanVarianceStats)
    between_contrasts, between_days = _RunningCovariance(), _RunningCovariance()
    worst = torch.zeros(t.n_contrasts, t.n_genes, dtype=torch.float64)
    for latents, effects in draw_effects(posterior, draws, seed):
        drawn = _quantities(posterior.model, latents, effects)
        for one in zip(*drawn.values(), strict=True):
            running.update(dict(zip(drawn, one, strict=True)))
        between_contrasts.add(effects.theta.permute(2, 3, 1, 0))  # [L, D, F*, n]
        between_days.add(effects.theta.permute(2, 1, 3, 0))  # [L, F*, D, n]
        off_zero = within_gene_mean(effects.delta, guides.guide_to_gene, guides.n_guides_per_gene)
        worst = torch.maximum(worst, off_zero.abs().amax(dim=0))  # of [n, F*, L]

    found = running.get()
    mean = {name: moments["mean"].numpy() for name, moments in found.items()}
    sd = {name: moments["variance"].sqrt().numpy() for name, moments in found.items()}
    return Moments(
        **{f"{name}_mean": mean[name] for name in WITH_SD},
        **{f"{name}_sd": sd[name] for name in WITH_SD},
        draws=np.asarray(draws),
        offset_mean=mean["offset"],
        delta_gene_mean=worst.numpy().swapaxes(0, 1),
        sigma_guide_square=mean["sigma_guide_square"],
        theta_cov=between_contrasts.covariance().transpose(0, 2, 3, 1),
        theta_day_cov=between_days.covariance(),
        theta_prior_var=mean["theta_prior_var"],
        genes=np.array(design.genes),
        guides=np.array(design.guides),
        contrasts=np.array(design.contrasts),
        reference=np.array(design.fates[0]),
        days=np.array(design.days),
        guide_to_gene=design.guide_to_gene.numpy(),
        gene_cells=design.gene_cells.numpy(),
        guide_cells=design.guide_cells.numpy(),
    )


def _quantities(model: FateModel, latents: dict[str, Tensor], effects: Effects) -> dict[str, Tensor]:
    """What the moments are of, by the names of ``Moments``: n draws each, in its layout."""
    t, guides = model.terms, model.terms.guides
    by_day, sigma_guide = model.day_scales(latents), guides.scales.of(latents)[..., 0]  # [n, F*, D], [n, F*]
    beta = effects.beta(guides.guide_to_gene).transpose(1, 2)  # [n, G, F*, D]
    of_genes = within_gene_mean(beta.movedim(1, -1), guides.guide_to_gene, guides.n_guides_per_gene).movedim(
        -1, 1
    )  # [n, L, F*, D]
    theta = effects.theta.transpose(1, 2)  # [n, L, F*, D]
    return {
        "theta": theta,
        "delta": effects.delta.transpose(1, 2),
        "beta": beta,
        "offset": of_genes - theta,
        "tau": by_day[..., 0],
        "sigma_time": by_day[..., 1:],
        "sigma_guide": sigma_guide,
        "sigma_guide_square": sigma_guide.square(),
        "theta_prior_var": t.walk.variance(by_day),
    }


def _chunks(total: int, size: int) -> Iterable[int]:
    """Sizes of chunks that add up to ``total``, nearly equal."""
    n_chunks = -(-total // max(size, 2))
    return [total // n_chunks + (i < total % n_chunks) for i in range(n_chunks)]

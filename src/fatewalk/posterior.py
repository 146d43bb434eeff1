"""Posterior moments of theta, delta and beta from joint draws, streamed.

Draws are made in chunks and only running sums are kept, so memory does not grow with their
number. Letters: F* contrasts, L genes, G guides, D days.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from fatewalk.design import Design
from fatewalk.infer.fit import Posterior
from fatewalk.model.effects import within_gene_mean
from fatewalk.moments import Moments

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
    s = model.sizes
    size = s.contrasts * s.days * (s.genes + s.guides)
    torch.manual_seed(seed)
    theta, delta, beta, offset = _Running(), _Running(), _Running(), _Running()
    scales = {name: _Running() for name in SCALES}
    square = torch.zeros(s.contrasts, dtype=torch.float64)
    worst = torch.zeros(s.contrasts, s.genes, dtype=torch.float64)
    for n in _chunks(draws, max(1, CHUNK_NUMBERS // size)):
        latents = posterior.guide.draw(n)
        effects = model.effects(latents)
        guide_effects = effects.beta(s.guide_to_gene)  # [n, F*, G, D]
        by_gene = within_gene_mean(
            guide_effects.transpose(-1, -2), s.guide_to_gene, s.n_guides_per_gene
        ).transpose(-1, -2)  # [n, F*, L, D]
        theta.add(effects.theta)
        delta.add(effects.delta)
        beta.add(guide_effects)
        offset.add(by_gene - effects.theta)
        mean = within_gene_mean(effects.delta, s.guide_to_gene, s.n_guides_per_gene)  # [n, F*, L]
        worst = torch.maximum(worst, mean.abs().amax(dim=0))
        for name, running in scales.items():
            running.add(latents.get(name, latents["tau"].new_zeros(n, s.contrasts, 0)))
        square += latents["sigma_guide"].square().sum(dim=0)

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
        genes=np.array(design.genes),
        guides=np.array(design.guides),
        contrasts=np.array(design.contrasts),
        days=np.array(design.days),
        guide_to_gene=design.guide_to_gene.numpy(),
        gene_cells=design.gene_cells.numpy(),
        guide_cells=design.guide_cells.numpy(),
    )


def _chunks(total: int, size: int) -> Iterable[int]:
    """Sizes of chunks that add up to ``total``, nearly equal."""
    n_chunks = -(-total // max(size, 2))
    return [total // n_chunks + (i < total % n_chunks) for i in range(n_chunks)]

"""The Pyro model of fate probabilities: the latent variables and the likelihood.

    log L = sum_i w[i] sum_f p[i, f] log softmax(0, eta[i])_f

with the linear predictor eta of `fatewalk.model.terms`.

Letters: F* contrasts, L genes, G guides, D days, M rows (identical cells collapsed), Q columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyro
import torch
from pyro import distributions as dist
from torch import Tensor
from torch.nn.functional import log_softmax

from fatewalk.core.schema import MEAN_ZERO_TOLERANCE
from fatewalk.model.effects import Effects, within_gene_mean
from fatewalk.model.rows import Rows, linear_predictor
from fatewalk.model.scales import DTYPE
from fatewalk.model.sparse import product, transposed

if TYPE_CHECKING:
    from fatewalk.model.terms import Terms


class FateModel:
    """The generative model; calling it is one execution of the Pyro program.

    Parameters
    ----------
    terms
        Of the linear predictor.
    device
        Where the latent variables live.
    debug
        Check within-gene means of delta at every execution.
    """

    def __init__(self, terms: Terms, device: torch.device | None = None, debug: bool = False) -> None:
        self.device = device or torch.device("cpu")
        self.terms = terms
        self.guide_to_gene = terms.guides.guide_to_gene.to(self.device)
        self.nuisance_map = terms.nuisance_map.to(self.device)
        self.nuisance_transpose = transposed(self.nuisance_map)
        self.debug = debug

    def __call__(self, rows: Rows | None) -> None:
        """Sample all latent variables and score the labels.

        Parameters
        ----------
        rows
            All rows with their weights; None leaves the likelihood out.
        """
        latents = self._sample_latents()
        effects = self.effects(latents)
        if self.debug and self.terms.guides.centred:
            self._assert_mean_zero(effects.delta)
        if rows is None:
            return
        eta = linear_predictor(rows, self.coefficients(latents, effects))  # [M, F*]
        logits = torch.cat([eta.new_zeros(len(eta), 1), eta], dim=-1)  # [M, F]
        loglik = (rows.target * log_softmax(logits, dim=-1)).sum(dim=-1)  # [M]
        # summed here and in no plate, over which a sum would be broadcast and count the data M times
        pyro.factor("labels", (rows.weight * loglik).sum())

    def _sample_latents(self) -> dict[str, Tensor]:
        """Sample every latent variable."""
        latents = {}
        for name, site in self.terms.sites().items():
            shape = (self.terms.n_contrasts, *site.shape)
            full = torch.full(shape, site.scale, dtype=DTYPE, device=self.device)
            prior = dist.HalfNormal(full) if site.is_scale else dist.Normal(torch.zeros_like(full), full)
            latents[name] = pyro.sample(name, prior.to_event(len(shape)))
        return latents

    def day_scales(self, latents: dict[str, Tensor]) -> Tensor:
        """SD of the first day's effects, then of the change to each later day, [..., F*, D]."""
        return self.terms.walk.scales.of(latents)

    def effects(self, latents: dict[str, Tensor]) -> Effects:
        """Gene and guide effects of latent variables with any leading sample dimensions."""
        innovations = self.day_scales(latents)[..., None, :] * latents["z"]  # [..., F*, L, D]
        theta = self.terms.walk.apply(innovations.transpose(-1, -2)).transpose(-1, -2)
        sigma = self.terms.guides.scales.of(latents)  # [..., F*, 1]
        return Effects(theta, self.terms.guides.delta(sigma, latents["u"]))

    def coefficients(self, latents: dict[str, Tensor], effects: Effects) -> Tensor:
        """Coefficients of the columns of ``Rows.matrix``, [Q, F*]."""
        t = self.terms
        parts = [
            term.scales.of(latents) * latents[term.name] if term.scales else latents[term.name]
            for term in t.nuisances
        ]
        nuisances = product(self.nuisance_map, self.nuisance_transpose, torch.cat(parts, dim=-1).T)
        beta = effects.beta(self.guide_to_gene)  # [F*, G, D]
        return torch.cat([nuisances, beta.permute(2, 1, 0).reshape(t.n_days * t.n_guides, t.n_contrasts)])

    def _assert_mean_zero(self, delta: Tensor) -> None:
        guides = self.terms.guides
        mean = within_gene_mean(delta.cpu(), guides.guide_to_gene, guides.n_guides_per_gene)
        worst = float(mean.detach().abs().max())
        if worst > MEAN_ZERO_TOLERANCE:
            raise AssertionError(f"delta is not centred within genes: largest |mean| {worst:.2e}")

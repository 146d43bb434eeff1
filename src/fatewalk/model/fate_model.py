"""The Pyro model of fate probabilities: spec of the latent variables and the likelihood.

    eta[i, f] = alpha[f, d] + b[f, r] + gamma[f, d] k~[i] + sum over guides g of cell i of beta[g, f, d]
    beta[g, f, d] = theta[gene of g, f, d] + delta[g, f]
    log L = sum_i w sum_f p[i, f] log softmax(0, eta[i])_f

Letters: F* contrasts, L genes, G guides, D days, R replicates, M rows (identical cells collapsed).
"""

from __future__ import annotations

from dataclasses import dataclass

import pyro
import torch
from pyro import distributions as dist
from torch import Tensor
from torch.nn.functional import log_softmax

from fatewalk.config import ModelConfig
from fatewalk.design import Design
from fatewalk.model.effects import (
    Effects,
    center_within_gene,
    random_walk,
    within_gene_mean,
)
from fatewalk.model.rows import Rows, linear_predictor
from fatewalk.moments import MEAN_ZERO_TOLERANCE

DTYPE = torch.float64  # sums over a million cells need it, and sparse products cost the same


@dataclass(frozen=True)
class Sizes:
    """Sizes of the model's axes and the mapping from guides to genes.

    Attributes
    ----------
    contrasts, days, reps
        F*, D, R.
    guide_to_gene, n_guides_per_gene : Tensor, int64 [G], [L]
        As in ``Design``.
    """

    contrasts: int
    days: int
    reps: int
    guide_to_gene: Tensor
    n_guides_per_gene: Tensor

    @classmethod
    def of(cls, design: Design) -> Sizes:
        """Read the sizes off a design."""
        return cls(
            len(design.contrasts),
            len(design.days),
            len(design.reps),
            design.guide_to_gene,
            design.n_guides_per_gene,
        )

    @property
    def guides(self) -> int:
        """Number of guides G."""
        return len(self.guide_to_gene)

    @property
    def genes(self) -> int:
        """Number of genes L."""
        return len(self.n_guides_per_gene)


class FateModel:
    """The generative model; calling it is one execution of the Pyro program.

    Parameters
    ----------
    sizes
        Axes of the model.
    config
        Section ``model``.
    n_rows
        Rows M of the whole data set; batches are scaled up to it.
    likelihood_weight
        Weight w of a cell's label.
    device
        Where the latent variables live.
    debug
        Check within-gene means of delta at every execution.
    """

    def __init__(
        self,
        sizes: Sizes,
        config: ModelConfig,
        n_rows: int = 0,
        likelihood_weight: float = 1.0,
        device: torch.device | None = None,
        debug: bool = False,
    ) -> None:
        self.device = device or torch.device("cpu")
        self.sizes = sizes
        self.guide_to_gene = sizes.guide_to_gene.to(self.device)
        self.n_guides_per_gene = sizes.n_guides_per_gene.to(self.device)
        self.config = config
        self.n_rows = n_rows
        self.likelihood_weight = likelihood_weight
        self.debug = debug

    def __call__(self, rows: Rows | None) -> None:
        """Sample all latent variables and score the labels.

        Parameters
        ----------
        rows
            All rows, or a batch of them; None leaves the likelihood out.
        """
        latents = self._sample_latents()
        effects = self.effects(latents)
        if self.debug and self.config.center_delta:
            self._assert_mean_zero(effects.delta)
        if rows is None:
            return
        eta = linear_predictor(rows, self.coefficients(latents, effects))  # [M, F*]
        logits = torch.cat([eta.new_zeros(len(eta), 1), eta], dim=-1)  # [M, F]
        # One value per row: the plate sums them and scales a batch up to all rows. A summed
        # value here would be broadcast over the plate and count the data M times.
        with pyro.plate("rows", self.n_rows, subsample=torch.arange(len(rows), device=self.device)):
            loglik = (rows.target * log_softmax(logits, dim=-1)).sum(dim=-1)  # [M]
            pyro.factor("labels", self.likelihood_weight * loglik)

    def _sample_latents(self) -> dict[str, Tensor]:
        """Sample every latent variable; a variable without entries has no site."""
        s, config, priors = self.sizes, self.config, self.config.priors
        half_normals = {
            "tau": (priors.s_tau, (s.contrasts,)),
            "sigma_time": (priors.s_time, (s.contrasts, s.days - 1)),
            "sigma_guide": (priors.s_guide, (s.contrasts,)),
        }
        gamma_shape = (s.contrasts, s.days if config.burden_slope == "per_day" else 1)
        normals = {
            "z": (1.0, (s.contrasts, s.genes, s.days)),
            "u": (1.0, (s.contrasts, s.guides)),
            "alpha": (priors.s_alpha, (s.contrasts, s.days)),
            "b": (priors.s_rep, (s.contrasts, s.reps if s.reps > 1 else 0)),
            "gamma": (priors.s_gamma, gamma_shape if config.burden_slope != "none" else (0,)),
        }
        latents = {}
        for specs, kind in ((half_normals, dist.HalfNormal), (normals, dist.Normal)):
            for name, (scale, shape) in specs.items():
                if 0 in shape:
                    continue
                full = torch.full(shape, scale, dtype=DTYPE, device=self.device)
                prior = kind(full) if kind is dist.HalfNormal else kind(torch.zeros_like(full), full)
                latents[name] = pyro.sample(name, prior.to_event(len(shape)))
        return latents

    def effects(self, latents: dict[str, Tensor]) -> Effects:
        """Gene and guide effects of latent variables with any leading sample dimensions."""
        tau = latents["tau"]
        sigma_time = latents.get("sigma_time", tau.new_zeros(*tau.shape, 0))
        u = latents["u"]
        if self.config.center_delta:
            u = center_within_gene(u, self.guide_to_gene, self.n_guides_per_gene)
        return Effects(
            theta=random_walk(tau, sigma_time, latents["z"]),
            delta=latents["sigma_guide"][..., None] * u,
        )

    def coefficients(self, latents: dict[str, Tensor], effects: Effects) -> Tensor:
        """Coefficients of the columns of ``Rows.matrix``, [Q, F*]."""
        s, alpha = self.sizes, latents["alpha"]  # [F*, D]
        b = latents.get("b", alpha.new_zeros(s.contrasts, s.reps))  # [F*, R]
        if self.config.replicate_effect == "zero_sum":
            b = b - b.mean(dim=-1, keepdim=True)
        gamma = latents.get("gamma", alpha.new_zeros(s.contrasts, 1)).expand(-1, s.days)  # [F*, D]
        beta = effects.beta(self.guide_to_gene)  # [F*, G, D]
        by_day = beta.permute(2, 1, 0).reshape(s.days * s.guides, s.contrasts)  # [D*G, F*]
        return torch.cat([alpha.T, b.T, gamma.T, by_day])

    def _assert_mean_zero(self, delta: Tensor) -> None:
        mean = within_gene_mean(delta, self.guide_to_gene, self.n_guides_per_gene)
        worst = float(mean.detach().abs().max())
        if worst > MEAN_ZERO_TOLERANCE:
            raise AssertionError(f"delta is not centred within genes: largest |mean| {worst:.2e}")

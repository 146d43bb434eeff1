"""The Pyro model of fate probabilities: the latent variables and the likelihood.

    eta[i, f] = alpha[f, d] + b[f, r] + gamma[f, d] k~[i] + zeta[f] . x[i] + own intercept of the cluster
                + sum over guides g of cell i of beta[g, f, d]
    beta[g, f, d] = theta[gene of g, f, d] + delta[g, f]
    log L = sum_i w[i] sum_f p[i, f] log softmax(0, eta[i])_f

Letters: F* contrasts, L genes, G guides, D days, R replicates, K covariates, C clusters with an
intercept of their own, M rows (identical cells collapsed).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyro
import torch
from pyro import distributions as dist
from torch import Tensor
from torch.nn.functional import log_softmax

from fatewalk.config import ModelConfig
from fatewalk.core.schema import MEAN_ZERO_TOLERANCE
from fatewalk.model.effects import (
    Effects,
    center_within_gene,
    random_walk,
    within_gene_mean,
)
from fatewalk.model.rows import Columns, Rows, centred_burden, linear_predictor
from fatewalk.screen.design import Design

DTYPE = torch.float64  # sums over a million cells need it, and sparse products cost the same

GAP_SPREAD = 0.3  # time_scale gaps: SD of the log of a step's own deviation


@dataclass(frozen=True)
class Sizes:
    """Sizes of the model's axes and the mapping from guides to genes.

    Attributes
    ----------
    contrasts
        F*.
    columns
        Columns of the regression.
    has_slope
        Whether the burden varies within a day; otherwise there is no slope to fit.
    gaps : tuple of float, [D - 1]
        Time between days over the median such time.
    guide_to_gene, n_guides_per_gene : Tensor, int64 [G], [L]
        As in ``Design``.
    """

    contrasts: int
    columns: Columns
    has_slope: bool
    gaps: tuple[float, ...]
    guide_to_gene: Tensor
    n_guides_per_gene: Tensor

    @classmethod
    def of(cls, design: Design) -> Sizes:
        """Read the sizes off a design."""
        gaps = np.diff(design.times)
        return cls(
            len(design.contrasts),
            Columns.of(design),
            bool(centred_burden(design).abs().max() > 1e-9),
            tuple((gaps / np.median(gaps)).tolist()) if len(gaps) else (),
            design.guide_to_gene,
            design.n_guides_per_gene,
        )

    @property
    def days(self) -> int:
        """Number of days D."""
        return self.columns.n_days

    @property
    def reps(self) -> int:
        """Number of replicates R."""
        return self.columns.n_reps

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
    device
        Where the latent variables live.
    debug
        Check within-gene means of delta at every execution.
    """

    def __init__(
        self,
        sizes: Sizes,
        config: ModelConfig,
        device: torch.device | None = None,
        debug: bool = False,
    ) -> None:
        self.device = device or torch.device("cpu")
        self.sizes = sizes
        self.guide_to_gene = sizes.guide_to_gene.to(self.device)
        self.n_guides_per_gene = sizes.n_guides_per_gene.to(self.device)
        self.config = config
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
        if self.debug and self.config.center_delta:
            self._assert_mean_zero(effects.delta)
        if rows is None:
            return
        eta = linear_predictor(rows, self.coefficients(latents, effects))  # [M, F*]
        logits = torch.cat([eta.new_zeros(len(eta), 1), eta], dim=-1)  # [M, F]
        loglik = (rows.target * log_softmax(logits, dim=-1)).sum(dim=-1)  # [M]
        # summed here and in no plate, over which a sum would be broadcast and count the data M times
        pyro.factor("labels", (rows.weight * loglik).sum())

    def _sample_latents(self) -> dict[str, Tensor]:
        """Sample every latent variable; a variable without entries has no site."""
        latents = {}
        for name, (kind, scale, shape) in self.sites().items():
            full = torch.full(shape, scale, dtype=DTYPE, device=self.device)
            prior = (
                dist.HalfNormal(full) if kind == "half_normal" else dist.Normal(torch.zeros_like(full), full)
            )
            latents[name] = pyro.sample(name, prior.to_event(len(shape)))
        return latents

    def sites(self) -> dict[str, tuple[str, float, tuple[int, ...]]]:
        """Latent variables: kind of prior (half_normal or normal), its scale, the shape."""
        s, config, priors = self.sizes, self.config, self.config.priors
        F, D = s.contrasts, s.days
        gaps = config.time_scale == "gaps"
        slopes = {"per_day": D, "shared": 1, "none": 0}[config.burden_slope] if s.has_slope else 0
        found = {
            "tau": ("half_normal", priors.s_tau, (F,)),
            "sigma_time": ("half_normal", priors.s_time, (F, 0 if gaps else D - 1)),
            "s_gap": ("half_normal", priors.s_time, (F,) if gaps and D > 1 else (0,)),
            "e_gap": ("normal", 1.0, (F, D - 1 if gaps else 0)),
            "sigma_guide": ("half_normal", priors.s_guide, (F,)),
            "sigma_cluster": ("half_normal", priors.s_cluster, (F,) if s.columns.n_clusters else (0,)),
            "z": ("normal", 1.0, (F, s.genes, D)),
            "u": ("normal", 1.0, (F, s.guides)),
            "alpha": ("normal", priors.s_alpha, (F, D)),
            "b": ("normal", priors.s_rep, (F, s.reps if s.reps > 1 else 0)),
            "gamma": ("normal", priors.s_gamma, (F, slopes)),
            "zeta": ("normal", priors.s_covariate, (F, s.columns.n_covariates)),
            "c": ("normal", 1.0, (F, s.columns.n_clusters)),
        }
        return {name: site for name, site in found.items() if 0 not in site[2]}

    def sigma_time(self, latents: dict[str, Tensor]) -> Tensor:
        """SD of the change to each later day, [..., F*, D - 1].

        With ``time_scale: gaps``, s[f] sqrt(gap[d] / median gap) exp(0.3 e[f, d]).
        """
        if "s_gap" not in latents:
            tau = latents["tau"]
            return latents.get("sigma_time", tau.new_zeros(*tau.shape, 0))
        root = torch.tensor(self.sizes.gaps, dtype=DTYPE, device=self.device).sqrt()  # [D - 1]
        return latents["s_gap"][..., None] * root * (GAP_SPREAD * latents["e_gap"]).exp()

    def effects(self, latents: dict[str, Tensor]) -> Effects:
        """Gene and guide effects of latent variables with any leading sample dimensions."""
        u = latents["u"]
        if self.config.center_delta:
            u = center_within_gene(u, self.guide_to_gene, self.n_guides_per_gene)
        return Effects(
            theta=random_walk(latents["tau"], self.sigma_time(latents), latents["z"]),
            delta=latents["sigma_guide"][..., None] * u,
        )

    def coefficients(self, latents: dict[str, Tensor], effects: Effects) -> Tensor:
        """Coefficients of the columns of ``Rows.matrix``, [Q, F*]."""
        s, alpha = self.sizes, latents["alpha"]  # [F*, D]
        b = latents.get("b", alpha.new_zeros(s.contrasts, s.reps))  # [F*, R]
        b = b - b.mean(dim=-1, keepdim=True)  # apart from the intercepts
        gamma = latents.get("gamma", alpha.new_zeros(s.contrasts, 1)).expand(-1, s.days)  # [F*, D]
        parts = [alpha.T, b.T, gamma.T]
        if "zeta" in latents:
            parts.append(latents["zeta"].T)  # [K, F*]
        if "c" in latents:
            parts.append((latents["sigma_cluster"][:, None] * latents["c"]).T)  # [C, F*]
        beta = effects.beta(self.guide_to_gene)  # [F*, G, D]
        parts.append(beta.permute(2, 1, 0).reshape(s.days * s.guides, s.contrasts))  # [D*G, F*]
        return torch.cat(parts)

    def _assert_mean_zero(self, delta: Tensor) -> None:
        mean = within_gene_mean(delta, self.guide_to_gene, self.n_guides_per_gene)
        worst = float(mean.detach().abs().max())
        if worst > MEAN_ZERO_TOLERANCE:
            raise AssertionError(f"delta is not centred within genes: largest |mean| {worst:.2e}")

"""Gene effects over days as a linear map of independent innovations.

Another prior of theta is another `Walk`: its weights say how innovations add up, its scales how large
they are. Nothing else in the package knows either.

Letters: F* contrasts, L genes, D days.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fatewalk.model.linalg import inverse
from fatewalk.model.scales import DTYPE, LogScales, Site

if TYPE_CHECKING:
    from fatewalk.config.sections import ModelConfig

GAP_SPREAD = 0.3  # SD of the log of a step's own deviation from what the time between the days says


@dataclass(frozen=True)
class Walk:
    """theta[d] = sum over e of weights[d, e] x[e], where x[e] has scale e of ``scales``.

    Attributes
    ----------
    weights : Tensor [D, D]
        Invertible; lower triangular where the future does not act on the past.
    scales
        D log scales, one for each innovation.

    Examples
    --------
    >>> from fatewalk.config import ModelConfig
    >>> walk = random_walk(3, ModelConfig())
    >>> walk.apply(torch.tensor([[1.0], [0.5], [0.25]], dtype=torch.float64)).T
    tensor([[1.0000, 1.5000, 1.7500]], dtype=torch.float64)
    """

    weights: Tensor
    scales: LogScales

    def __post_init__(self) -> None:
        """Refuse weights that are no invertible map in float64, and scales that are not one for each day."""
        square = self.weights.ndim == 2 and self.weights.shape[0] == self.weights.shape[1]
        if not square or self.weights.dtype != DTYPE or not bool(self.weights.isfinite().all()):
            raise ValueError("the weights of a walk are a square matrix of finite numbers in float64")
        if int(torch.linalg.matrix_rank(self.weights)) < len(self.weights):
            raise ValueError("the weights of a walk are a singular matrix: effects do not tell innovations")
        if len(self.scales) != len(self.weights):
            raise ValueError(
                f"a walk over {len(self.weights)} days needs as many scales, not {len(self.scales)}"
            )

    def apply(self, x: Tensor) -> Tensor:
        """Innovations to effects, [..., D, L] -> [..., D, L]."""
        return self.weights.to(x.device) @ x

    def adjoint(self, gradient: Tensor) -> Tensor:
        """Transpose of ``apply``, [..., D, L] -> [..., D, L]."""
        return self.weights.T.to(gradient.device) @ gradient

    @property
    def inverse(self) -> Tensor:
        """From effects to innovations, [D, D]."""
        return inverse(self.weights, "the weights of the walk")

    @property
    def first_sd(self) -> float:
        """Prior SD of an effect on the first day, at the prior's own scale."""
        return float(self.variance(self.scales.at_prior)[0].sqrt())

    def variance(self, scales: Tensor) -> Tensor:
        """Prior variance of theta by day from the scales of the innovations, [..., D] -> [..., D]."""
        return scales.square() @ self.weights.square().T.to(scales.device)


def make_walk(times: tuple[float, ...], config: ModelConfig) -> Walk:
    """The walk that section ``model`` asks for, over days at real times [D]."""
    return gap_walk(times, config) if config.time_scale == "gaps" else random_walk(len(times), config)


def random_walk(n_days: int, config: ModelConfig) -> Walk:
    """theta[0] = tau z[0], theta[d] = theta[d - 1] + sigma_time[d] z[d] (docs/method.md)."""
    priors = config.priors
    each = torch.eye(n_days, dtype=DTYPE)
    sites = [Site("tau", (), priors.s_tau, is_scale=True)]
    maps = [each[:, :1]]
    if n_days > 1:
        sites.append(Site("sigma_time", (n_days - 1,), priors.s_time, is_scale=True))
        maps.append(each[:, 1:])
    constant = torch.zeros(n_days, dtype=DTYPE)
    return Walk(_sums(n_days), LogScales(tuple(sites), tuple(maps), constant))


def gap_walk(times: tuple[float, ...], config: ModelConfig) -> Walk:
    """The same with sigma_time[d] = s sqrt(gap[d] / median gap) exp(0.3 e[d]), e ~ N(0, 1)."""
    n_days = len(times)
    if n_days == 1:
        return random_walk(n_days, config)
    gaps = np.diff(times)
    first = random_walk(n_days, config).scales
    later = torch.eye(n_days, dtype=DTYPE)[:, 1:]  # [D, D - 1]
    sites = (
        first.sites[0],
        Site("s_gap", (), config.priors.s_time, is_scale=True),
        Site("e_gap", (n_days - 1,), 1.0),
    )
    maps = (first.maps[0], later.sum(dim=1, keepdim=True), GAP_SPREAD * later)
    constant = torch.from_numpy(np.concatenate([[0.0], 0.5 * np.log(gaps / np.median(gaps))]))
    return Walk(_sums(n_days), LogScales(sites, maps, constant))


def _sums(n_days: int) -> Tensor:
    """Weights of a sum up to the day, [D, D]."""
    return torch.tril(torch.ones(n_days, n_days, dtype=DTYPE))

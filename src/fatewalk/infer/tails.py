"""Noise with a heavier lower tail, for the logarithm of a scale that may be close to zero.

Where the data say little of a scale its posterior is the half-normal prior, and the logarithm of that
is far from normal: a twentieth of it lies below 0.06 of the prior's scale, of a normal distribution with
the same mode and curvature one in 20,000. The noise of a log scale is therefore

    h(e) = (1 - share) e + share g(e),    g(e) = sqrt(2) log s(e),    e ~ N(0, 1)

with s(e) the quantile of a half-normal distribution where e is that of a normal one, 2 Phi(s) - 1 = Phi(e).
A share of 0 is a log-normal scale, of 1 a half-normal one; sqrt(2) gives g the curvature 1 at its mode.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

ROOT_2 = math.sqrt(2)


def bent(e: Tensor, share: Tensor) -> Tensor:
    """h(e), increasing in e.

    Parameters
    ----------
    e : Tensor [..., S]
        Standard normal noise.
    share : Tensor [S]
        Between 0 and 1.

    Examples
    --------
    >>> e = torch.tensor([-2.0, 0.0, 2.0], dtype=torch.float64)
    >>> bent(e, torch.zeros(3)).tolist()
    [-2.0, 0.0, 2.0]
    >>> scale = (bent(e, torch.ones(3)) / ROOT_2).exp()  # quantiles of a half-normal distribution
    >>> [round(float(value), 3) for value in scale]
    [0.029, 0.674, 2.278]
    """
    return (1 - share) * e + share * ROOT_2 * _half_normal(e).log()


def slope_and_bend(e: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """First and second derivative of ``bent`` by e, [..., S] each."""
    s = _half_normal(e)
    by_e = torch.exp(0.5 * (s.square() - e.square())) / (2 * s)  # d log s / d e
    second = by_e * (s.square() * by_e - e - by_e)
    return 1 - share + share * ROOT_2 * by_e, share * ROOT_2 * second


def _half_normal(e: Tensor) -> Tensor:
    """Quantile s of |N(0, 1)| at the probability Phi(e)."""
    lower = ROOT_2 * torch.erfinv(torch.special.ndtr(e))  # each loses its digits on the other side
    upper = -torch.special.ndtri(0.5 * torch.special.ndtr(-e))
    return torch.where(e < 0, lower, upper)

"""Latent variables and the scales that some of them give to others.

Letters: F* contrasts, h scales of one term.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

DTYPE = torch.float64  # sums over a million cells need it, and sparse products cost the same


@dataclass(frozen=True)
class Site:
    """A latent variable of the model, one array for each contrast.

    Attributes
    ----------
    name
        In the Pyro program.
    shape
        Of one contrast.
    scale
        SD of its prior.
    is_scale
        Whether it is itself a scale: half-normal, and fitted on the log; otherwise normal.
    """

    name: str
    shape: tuple[int, ...]
    scale: float
    is_scale: bool = False


@dataclass(frozen=True)
class LogScales:
    """Log prior SDs of a term's coordinates, linear in latent variables.

    log scale = sum over sites of maps[site] v[site] + constant, where v is the log of a site that is
    a scale and the value of any other.

    Attributes
    ----------
    sites
        Latent variables.
    maps : tuple of Tensor [h, n]
        One for each site, n the length of its array for one contrast.
    constant : Tensor [h]
    """

    sites: tuple[Site, ...]
    maps: tuple[Tensor, ...]
    constant: Tensor

    def __post_init__(self) -> None:
        """Refuse scales that nothing determines, and maps that do not fit their sites."""
        shapes = [(len(self.constant), math.prod(site.shape)) for site in self.sites]
        if not shapes or [tuple(to_log.shape) for to_log in self.maps] != shapes:
            raise ValueError(f"each of the sites needs a map [h, n]: {shapes}")

    @classmethod
    def single(cls, name: str, scale: float) -> LogScales:
        """One half-normal scale."""
        site = Site(name, (), scale, is_scale=True)
        return cls((site,), (torch.ones(1, 1, dtype=DTYPE),), torch.zeros(1, dtype=DTYPE))

    def __len__(self) -> int:
        return len(self.constant)

    @property
    def at_prior(self) -> Tensor:
        """Scales where every latent variable is as large as its prior says, [h]."""
        latents = {
            site.name: torch.full((1, *site.shape), site.scale if site.is_scale else 0.0, dtype=DTYPE)
            for site in self.sites
        }
        return self.of(latents)[0]

    def of(self, latents: Mapping[str, Tensor]) -> Tensor:
        """Scales from the values of the latent variables, [..., F*, ...] -> [..., F*, h]."""
        total = self.constant.to(latents[self.sites[0].name].device)
        for site, to_log in zip(self.sites, self.maps, strict=True):
            value = latents[site.name]
            value = value if site.shape else value[..., None]  # [..., F*, n]
            total = total + (value.log() if site.is_scale else value) @ to_log.T.to(value.device)
        return total.exp()

"""Posterior families for SVI, chosen by ``fit.guide``.

Each is a Pyro autoguide over all unconstrained latent variables with two methods more:
``draw(n)``, joint draws from the parameters alone, and ``location_scale()``, what the stopping
rule watches.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Protocol

import pyro
import torch
from pyro import distributions as dist
from pyro.infer.autoguide import AutoContinuous, AutoNormal
from pyro.infer.autoguide.initialization import init_to_value
from pyro.nn import PyroParam
from torch import Tensor
from torch.distributions import biject_to, constraints
from torch.distributions.transforms import Transform

from fatewalk.infer.start import Start, unfold
from fatewalk.model import FateModel

pyro.settings.set(module_local_params=True)  # parameters live in the guide, not in a global store


class Guide(Protocol):
    """What the fit and the export need of a posterior family."""

    def __call__(self, *args: Any) -> Any:
        """Sample all latent variables inside Pyro."""

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """Free parameters."""

    def state_dict(self) -> dict[str, Tensor]:
        """Tensors that determine the posterior."""

    def load_state_dict(self, state: dict[str, Tensor]) -> Any:
        """Restore them."""

    def draw(self, n: int) -> dict[str, Tensor]:
        """Joint draws of the constrained latent variables, each [n, ...]."""

    def location_scale(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Posterior location and scale of each unconstrained latent variable."""


class MeanField(AutoNormal):
    """Independent normals on every unconstrained latent variable.

    The naive baseline: its SDs of theta are wrong in a way that depends on the day, because the
    random walk couples the days (docs/method.md). It starts as Pyro starts it, at small scales.
    """

    def __init__(self, model: FateModel, start: Start) -> None:
        # Pyro makes the values its parameters, which are trained in place: the start keeps its own
        values = {name: value.clone() for name, value in start.values.items()}
        super().__init__(model, init_loc_fn=init_to_value(values=values), init_scale=0.1)

    def draw(self, n: int) -> dict[str, Tensor]:
        """Joint draws of the constrained latent variables, each [n, ...]."""
        draws = {}
        for name, site in self.prototype_trace.iter_stochastic_nodes():
            loc, scale = self._get_loc_and_scale(name)
            unconstrained = loc + scale * torch.randn((n, *loc.shape), dtype=loc.dtype, device=loc.device)
            draws[name] = biject_to(site["fn"].support)(unconstrained)
        return draws

    def location_scale(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Posterior location and scale of each unconstrained latent variable."""
        return {
            name: self._get_loc_and_scale(name) for name, _ in self.prototype_trace.iter_stochastic_nodes()
        }


class GeneBlock(AutoContinuous):
    """A full covariance for each gene's effects over all days and contrasts, the rest independent.

    x = start + S (m + T e), e ~ N(0, 1), where S is the rough SD of the start (a Cholesky factor
    for a gene's ``z``), m the location and T the scale (lower triangular for a gene's ``z``), so
    that every parameter is of order one.
    """

    location: Any  # [P]; PyroParams are tensors when read
    rest_scale: Any  # [P - z]
    gene_scale: Any  # [L, K, K]

    def __init__(self, model: FateModel, start: Start) -> None:
        super().__init__(model, init_loc_fn=init_to_value(values=start.values))
        self._start = start

    def _setup_prototype(self, *args: Any, **kwargs: Any) -> None:
        super()._setup_prototype(*args, **kwargs)
        start = self._start
        self.register_buffer("center", self._init_loc())  # [P]
        self.register_buffer("gene_factor", start.gene_factor)
        rest = [start.sds[name].reshape(-1) for name in self._unconstrained_shapes if name != "z"]
        self.register_buffer("rest_sd", torch.cat(rest))
        self.location = PyroParam(torch.zeros_like(self.center), event_dim=1)
        self.rest_scale = PyroParam(torch.ones_like(self.rest_sd), constraints.positive, 1)
        genes, size, _ = start.gene_factor.shape
        eye = torch.eye(size, dtype=self.center.dtype, device=self.center.device)
        self.gene_scale = PyroParam(eye.expand(genes, -1, -1).clone(), constraints.lower_cholesky, 2)

    def get_posterior(self, *args: Any, **kwargs: Any) -> dist.TransformedDistribution:
        """Posterior of the packed unconstrained latent vector."""
        base = dist.Normal(torch.zeros_like(self.center), 1.0).to_event(1)
        return dist.TransformedDistribution(base, _Affine(self))

    def from_noise(self, noise: Tensor) -> Tensor:
        """Map noise to the packed latent vector, [..., P] -> [..., P]."""
        z, rest = self._split(noise)
        z_location, rest_location = self._split(self.location)
        z = unfold(self.gene_factor, z_location + unfold(self.gene_scale, z))
        rest = self.rest_sd * (rest_location + self.rest_scale * rest)
        return self.center + self._join(z, rest)

    def log_volume(self) -> Tensor:
        """Log determinant of the map from noise to latents."""
        factors = (self.gene_factor.diagonal(dim1=-2, dim2=-1), self.gene_scale.diagonal(dim1=-2, dim2=-1))
        return sum((f.log().sum() for f in (*factors, self.rest_sd, self.rest_scale)), torch.zeros(()))

    def draw(self, n: int) -> dict[str, Tensor]:
        """Joint draws of the constrained latent variables, each [n, ...]."""
        noise = torch.randn((n, self.latent_dim), dtype=self.center.dtype, device=self.center.device)
        return {
            site["name"]: biject_to(site["fn"].support)(value)
            for site, value in self._unpack_latent(self.from_noise(noise))
        }

    def location_scale(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Posterior location and scale of each unconstrained latent variable."""
        z_sd = (self.gene_factor @ self.gene_scale).norm(dim=-1)  # [L, K]
        shape = self._unconstrained_shapes["z"]
        z_sd = z_sd.reshape(shape[1], shape[0], shape[2]).transpose(0, 1)
        scale = self._join(z_sd, self.rest_sd * self.rest_scale)
        location = self.from_noise(torch.zeros_like(self.center))
        return {
            site["name"]: (mean, sd)
            for (site, mean), (_, sd) in zip(
                self._unpack_latent(location), self._unpack_latent(scale), strict=True
            )
        }

    def _z_range(self) -> tuple[int, int]:
        """First and last + 1 position of ``z`` in the packed vector."""
        start = 0
        for name, shape in self._unconstrained_shapes.items():
            if name == "z":
                return start, start + math.prod(shape)
            start += math.prod(shape)
        raise KeyError("z")

    def _split(self, packed: Tensor) -> tuple[Tensor, Tensor]:
        """Take ``z`` [..., F*, L, D] out of a packed vector; the rest stays packed."""
        begin, end = self._z_range()
        z = packed[..., begin:end].reshape(*packed.shape[:-1], *self._unconstrained_shapes["z"])
        return z, torch.cat([packed[..., :begin], packed[..., end:]], dim=-1)

    def _join(self, z: Tensor, rest: Tensor) -> Tensor:
        begin, _ = self._z_range()
        z = z.reshape(*rest.shape[:-1], -1)
        return torch.cat([rest[..., :begin], z, rest[..., begin:]], dim=-1)


class _Affine(Transform):
    """``GeneBlock.from_noise`` as a transform; its inverse is only needed of the last value."""

    domain = constraints.real_vector
    codomain = constraints.real_vector
    bijective = True

    def __init__(self, guide: GeneBlock) -> None:
        super().__init__(cache_size=1)
        self._guide = guide

    def _call(self, x: Tensor) -> Tensor:
        return self._guide.from_noise(x)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return self._guide.log_volume().expand(x.shape[:-1])


GUIDES: dict[str, type[MeanField] | type[GeneBlock]] = {
    "mean_field": MeanField,
    "gene_block": GeneBlock,
}


def make_guide(name: str, model: FateModel, start: Start) -> Guide:
    """Make the posterior family ``name`` and set up its parameters."""
    guide = GUIDES[name](model, start)
    guide(None)  # runs the model once, without data, to learn its sites
    return guide

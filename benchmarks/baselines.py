"""Two naive posterior families, to compare with and not for use: added from outside the package.

    posterior, card, trace = fit_effects(design, ModelConfig(), FitConfig(), family=GeneBlock)

They start from the Laplace approximation and use its weights. Letters as in ``model.fate_model``; K = F* x D
is the length of a gene's block of effects over contrasts and days, P that of the packed latent vector.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from pyro import distributions as dist
from pyro.infer.autoguide import AutoContinuous, AutoNormal
from pyro.infer.autoguide.initialization import init_to_value
from pyro.nn import PyroParam
from torch import Tensor
from torch.distributions import biject_to, constraints
from torch.distributions.transforms import Transform

from fatewalk.infer.families import LaplaceState, LocalParameters, MakeFamily, Schedule, make_family
from fatewalk.model.coordinates import Coordinates

if TYPE_CHECKING:
    from fatewalk.model import FateModel

START_DRAWS = 1000  # of the Laplace approximation, behind the rough SDs of GeneBlock


def _adam(family: Any) -> torch.optim.Optimizer:
    """Adam; parameters are of order one, so one rate serves every screen."""
    return torch.optim.Adam(family.parameters(), lr=0.03)


ADAM = Schedule(_adam, window=100, lowerings=3, doubles=False, clip=math.inf)


def mode(model: FateModel, laplace: LaplaceState) -> dict[str, Tensor]:
    """Value of every latent variable at the Laplace mode, constrained."""
    c, y = Coordinates(model.terms, model.device), laplace["y"]
    found = c.scales.latents(laplace["vector"]) | c.latents(y, y.new_zeros(len(y), c.n_means))
    # Pyro makes the values its parameters, which are trained in place
    return {name: value.clone(memory_format=torch.contiguous_format) for name, value in found.items()}


class MeanField(LocalParameters, AutoNormal):
    """Independent normals on every unconstrained latent variable.

    The naive baseline: its SDs of theta are wrong in a way that depends on the day, because the
    random walk couples the days (docs/method.md). It starts as Pyro starts it, at small scales.
    """

    schedule = ADAM

    def __init__(self, model: FateModel, laplace: LaplaceState) -> None:
        super().__init__(model, init_loc_fn=init_to_value(values=mode(model, laplace)), init_scale=0.1)

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


class GeneBlock(LocalParameters, AutoContinuous):
    """A full covariance for each gene's effects over all days and contrasts, the rest independent.

    x = mode + S (m + T e), e ~ N(0, 1), where S is the SD by the Laplace approximation (a Cholesky
    factor for a gene's ``z``), m the location and T the scale (lower triangular for a gene's ``z``),
    so that every parameter is of order one.
    """

    schedule = ADAM
    location: Any  # [P]; PyroParams are tensors when read
    rest_scale: Any  # [P - z]
    gene_scale: Any  # [L, K, K]

    def __init__(self, model: FateModel, laplace: LaplaceState) -> None:
        super().__init__(model, init_loc_fn=init_to_value(values=mode(model, laplace)))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self._laplace_draws = make_family("laplace", model, laplace).draw(START_DRAWS)

    @torch.no_grad()
    def _setup_prototype(self, *args: Any, **kwargs: Any) -> None:
        super()._setup_prototype(*args, **kwargs)
        self.register_buffer("center", self._init_loc())  # [P]
        z = self._laplace_draws.pop("z").permute(2, 0, 1, 3).flatten(2)  # [L, n, K]
        z = z - z.mean(dim=1, keepdim=True)
        self.register_buffer("gene_factor", torch.linalg.cholesky(z.mT @ z / START_DRAWS))  # [L, K, K]
        self.register_buffer("rest_sd", torch.cat([self._rest_sd(n) for n in self._rest()]))
        self.location = PyroParam(torch.zeros_like(self.center), event_dim=1)
        self.rest_scale = PyroParam(torch.ones_like(self.rest_sd), constraints.positive, 1)
        eye = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
        self.gene_scale = PyroParam(eye.expand(len(z), -1, -1).clone(), constraints.lower_cholesky, 2)

    def _rest(self) -> list[str]:
        """Latent variables but ``z``, as they are packed."""
        return [name for name in self._unconstrained_shapes if name != "z"]

    def _rest_sd(self, name: str) -> Tensor:
        """SD of an unconstrained latent variable by the Laplace approximation."""
        transform = biject_to(self.prototype_trace.nodes[name]["fn"].support)
        sd: Tensor = transform.inv(self._laplace_draws.pop(name)).std(dim=0)
        return sd.reshape(-1)

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

    def __init__(self, family: GeneBlock) -> None:
        super().__init__(cache_size=1)
        self._family = family

    def _call(self, x: Tensor) -> Tensor:
        return self._family.from_noise(x)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return self._family.log_volume().expand(x.shape[:-1])


def unfold(gene_factor: Tensor, step: Tensor) -> Tensor:
    """Apply each gene's factor to its block: [L, K, K] x [..., F*, L, D] -> [..., F*, L, D]."""
    contrasts, genes, days = step.shape[-3:]
    blocks = step.transpose(-3, -2).reshape(*step.shape[:-3], genes, contrasts * days)  # [..., L, K]
    blocks = torch.einsum("lij,...lj->...li", gene_factor, blocks)
    return blocks.reshape(*step.shape[:-3], genes, contrasts, days).transpose(-3, -2)


BASELINES: dict[str, MakeFamily] = {"gene_block": GeneBlock, "mean_field": MeanField}

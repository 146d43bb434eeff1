"""Posterior families for SVI, chosen by ``fit.family``.

Each is a Pyro autoguide over all unconstrained latent variables with two methods more:
``draw(n)``, joint draws from the parameters alone, and ``location_scale()``, what the stopping
rule watches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import pyro
import torch
from pyro import distributions as dist
from pyro.infer.autoguide import AutoContinuous, AutoNormal
from pyro.infer.autoguide.initialization import init_to_median, init_to_value
from pyro.nn import PyroParam
from torch import Tensor
from torch.distributions import biject_to, constraints
from torch.distributions.transforms import Transform

from fatewalk.infer.start import Start, unfold
from fatewalk.infer.whitening import load_whitening
from fatewalk.model import FateModel
from fatewalk.model.coordinates import Coordinates, variance_factor
from fatewalk.model.fate_model import DTYPE

pyro.settings.set(module_local_params=True)  # parameters live in the family, not in a global store


@dataclass(frozen=True)
class Schedule:
    """How a family is trained.

    Attributes
    ----------
    optimiser
        Makes the optimiser of a family's parameters.
    window
        Steps of a window, at least.
    lowerings
        Number of times the learning rate is lowered.
    doubles
        Whether the window doubles when the drift stays above its limit: averages of ever longer
        windows converge whatever the noise, at a constant rate.
    clip
        Largest entry of a gradient.
    """

    optimiser: Callable[[Any], torch.optim.Optimizer | GradientSteps]
    window: int
    lowerings: int
    doubles: bool
    clip: float


class GradientSteps:
    """Plain gradient steps, each parameter with its own rate.

    With the interface of torch.optim that the loop uses; the first step of torch's own optimisers
    imports its compiler, which takes a second of a fit of six.
    """

    def __init__(self, rates: list[tuple[torch.nn.Parameter, float]]) -> None:
        self.param_groups: list[dict[str, Any]] = [{"params": [p], "lr": rate} for p, rate in rates]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for group in self.param_groups:
            group["params"][0].grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Step against the gradients."""
        for group in self.param_groups:
            parameter = group["params"][0]
            parameter -= group["lr"] * parameter.grad

    def state_dict(self) -> dict[str, list[float]]:
        """The rates."""
        return {"rates": [group["lr"] for group in self.param_groups]}

    def load_state_dict(self, state: dict[str, list[float]]) -> None:
        """Undo ``state_dict``."""
        for group, rate in zip(self.param_groups, state["rates"], strict=True):
            group["lr"] = rate


def _newton(family: Any) -> GradientSteps:
    """Gradient steps in whitened coordinates.

    The ELBO's curvature is about 1 in a location and 2 in a log SD there, so these are damped Newton
    steps. Scales go slower: their posterior is the least normal and their gradient the noisiest.
    """
    rates = {"location": 0.1, "log_sd": 0.05, "scale_location": 0.02, "scale_log_sd": 0.01}
    return GradientSteps([(getattr(family, f"{name}_unconstrained"), rate) for name, rate in rates.items()])


def _adam(family: Any) -> torch.optim.Optimizer:
    """Adam; parameters are of order one, so one rate serves every screen."""
    return torch.optim.Adam(family.parameters(), lr=0.03)


ADAM = Schedule(_adam, window=100, lowerings=3, doubles=False, clip=math.inf)
NEWTON = Schedule(_newton, window=35, lowerings=0, doubles=True, clip=3.0)

#: Tensors of the Laplace approximation that the structured family keeps.
LaplaceState = dict[str, Tensor]


class Family(Protocol):
    """What the fit and the export need of a posterior family."""

    schedule: Schedule

    def __call__(self, *args: Any) -> Any:
        """Sample all latent variables inside Pyro."""

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """Free parameters."""

    def named_parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        """Free parameters by name."""

    def state_dict(self) -> dict[str, Tensor]:
        """Tensors that determine the posterior."""

    def load_state_dict(self, state: dict[str, Tensor], strict: bool = True) -> Any:
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

    schedule = ADAM

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

    schedule = ADAM
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

    def __init__(self, family: GeneBlock) -> None:
        super().__init__(cache_size=1)
        self._family = family

    def _call(self, x: Tensor) -> Tensor:
        return self._family.from_noise(x)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return self._family.log_volume().expand(x.shape[:-1])


class Structured(AutoContinuous):
    """All latent variables, whitened by their Laplace covariance, the scales included.

    scales  = mode + C_s (m_s + t_s e_s)                                (unconstrained)
    y       = mode of y at these scales + shrink (C (m + t e) + slope (scales - mode)),  C C' = S

    with e ~ N(0, 1), m the location and t the scale, which SVI trains from 0 and 1; untrained it is
    the Laplace approximation itself (``fit.family: laplace``). How mode and SD of a coordinate move
    with its scale is that of a coordinate on its own, see ``infer.laplace``; the slope adds the rest.
    The direction of u that centring takes out of each gene keeps its prior.
    """

    schedule = NEWTON
    scale_location: Any  # [S]; PyroParams are tensors when read
    scale_log_sd: Any  # [S]
    location: Any  # [P]
    log_sd: Any  # [P]

    def __init__(self, model: FateModel, laplace: LaplaceState) -> None:
        super().__init__(model, init_loc_fn=init_to_median)
        self._coordinates = Coordinates(model, model.device)
        for name, value in laplace.items():
            self.register_buffer(name, value)
        self._whitening = load_whitening(laplace)

    def _setup_prototype(self, *args: Any, **kwargs: Any) -> None:
        super()._setup_prototype(*args, **kwargs)
        for name, like in (("scale_", self.vector), ("", self.y.reshape(-1))):
            setattr(self, f"{name}location", PyroParam(torch.zeros_like(like), event_dim=1))
            setattr(self, f"{name}log_sd", PyroParam(torch.zeros_like(like), event_dim=1))
        self.register_buffer("noise", self.y.new_zeros(self.noise_size))
        self.register_buffer("is_mirrored", torch.tensor(True))

    @property
    def noise_size(self) -> int:
        """Length of the noise: scales S, coordinates P, and a mean direction per gene and contrast."""
        return len(self.vector) + self.y.numel() + self._n_means

    @property
    def _n_means(self) -> int:
        return self._coordinates.sizes.contrasts * self._coordinates.n_means

    def get_posterior(self, *args: Any, **kwargs: Any) -> dist.Delta:
        """One draw with its log density, whose gradient is the path derivative.

        The density is that of the present parameters held fixed: its gradient is then zero in
        expectation but without noise where the family is exact (Roeder et al. 2017).
        """
        noise = self._next_noise()
        location, log_sd = self._parameters_of_all()
        n = len(location)
        standard = location + log_sd.exp() * noise[:n]
        held = (standard - location.detach()) * (-log_sd.detach()).exp()
        place, volume = self._unpack(standard, noise[n:])
        log_density = -0.5 * held.square().sum() - log_sd.detach().sum()
        log_density = log_density - 0.5 * noise[n:].square().sum() - volume
        log_density = log_density - 0.5 * self.noise_size * math.log(2 * math.pi)
        packed = torch.cat([place[name].reshape(-1) for name in self._unconstrained_shapes])
        return dist.Delta(packed, log_density=log_density, event_dim=1)

    def _next_noise(self) -> Tensor:
        """Fresh noise, then the same with the other sign: what is odd in it cancels over two steps."""
        if self.is_mirrored:
            self.noise.copy_(torch.randn(self.noise_size, dtype=DTYPE))  # CPU: same on any device
        else:
            self.noise.neg_()
        self.is_mirrored.logical_not_()
        return self.noise.clone()

    def _parameters_of_all(self) -> tuple[Tensor, Tensor]:
        """Location and log SD of scales and coordinates together, [S + P] each."""
        return torch.cat([self.scale_location, self.location]), torch.cat([self.scale_log_sd, self.log_sd])

    def _unpack(self, e: Tensor, means: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Unconstrained latent variables, and the log volume of the fixed part of the map.

        Parameters
        ----------
        e : Tensor [..., S + P]
            White coordinates of scales and coordinates.
        means : Tensor [..., F* L]
            Of the directions that centring takes out; empty without.
        """
        c, lead, n_scales = self._coordinates, e.shape[:-1], len(self.vector)
        step = e[..., :n_scales] @ self.scale_factor.T  # [..., S]
        vector = self.vector + step
        white = self._whitening.colour(e[..., n_scales:])
        deviation = (white + step @ self.slope.T).reshape(*lead, *self.y.shape)  # [..., F*, p]
        change = torch.einsum("fhs,...s->...fh", c.scales.matrix, step)  # [..., F*, H] of log scales
        change = change[..., c.scale_of.clamp(min=0)] * (c.scale_of >= 0)  # [..., F*, p]
        shrink = variance_factor(self.ratio, change)
        y = self.y * change.exp() * shrink + shrink.sqrt() * deviation
        latents = c.latents(y, means.reshape(*lead, len(self.y), c.n_means))
        volume = 0.5 * shrink.log().sum(dim=(-1, -2)) + self.fixed_volume
        values, start = {}, 0
        for name, shape in c.scales.shapes.items():
            length = math.prod(shape)
            values[name] = vector[..., start : start + length].reshape(*lead, *shape)
            start += length
        return values | latents, volume

    @torch.no_grad()
    def untrain(self) -> None:
        """Back to the Laplace approximation."""
        for parameter in self.parameters():
            parameter.zero_()

    def draw(self, n: int) -> dict[str, Tensor]:
        """Joint draws of the constrained latent variables, each [n, ...]."""
        noise = torch.randn((n, self.noise_size), dtype=DTYPE).to(self.y.device)
        location, log_sd = self._parameters_of_all()
        size = len(location)
        values, _ = self._unpack(location + log_sd.exp() * noise[:, :size], noise[:, size:])
        logs = {name for name in self._coordinates.scales.shapes if name != "e_gap"}
        return {name: value.exp() if name in logs else value for name, value in values.items()}

    def location_scale(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Location and scale in the whitened coordinates, where a posterior SD is one."""
        return {
            "scales": (self.scale_location, self.scale_log_sd.exp()),
            "coordinates": (self.location, self.log_sd.exp()),
        }


FAMILIES: dict[str, type[MeanField] | type[GeneBlock] | type[Structured]] = {
    "mean_field": MeanField,
    "gene_block": GeneBlock,
    "structured": Structured,
    "laplace": Structured,
}


#: Guides that do not start from the Laplace approximation's covariance.
BASELINES = ("mean_field", "gene_block")


def make_family(name: str, model: FateModel, start: Start | LaplaceState) -> Family:
    """Make the posterior family ``name`` from its start and set up its parameters."""
    family = FAMILIES[name](model, start)  # type: ignore[arg-type]
    family(None)  # runs the model once, without data, to learn its sites
    return family

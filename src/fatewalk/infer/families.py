"""Posterior families for SVI, chosen by ``fit.family`` or handed to ``fit_effects``.

A family is a Pyro autoguide over all unconstrained latent variables with two methods more:
``draw(n)``, joint draws from the parameters alone, and ``location_scale()``, what the stopping
rule watches. ``benchmarks/baselines.py`` adds two from outside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import pyro
import torch
from pyro import distributions as dist
from pyro.infer.autoguide import AutoContinuous
from pyro.infer.autoguide.initialization import init_to_median
from pyro.nn import PyroModule, PyroParam
from torch import Tensor

from fatewalk.infer.tails import bent, slope_and_bend
from fatewalk.infer.whitening import load_whitening
from fatewalk.model import FateModel
from fatewalk.model.coordinates import Coordinates, variance_factor
from fatewalk.model.scales import DTYPE


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
    rates = {"location": 0.1, "log_sd": 0.05, "scale_location": 0.02}
    return GradientSteps([(getattr(family, f"{name}_unconstrained"), rate) for name, rate in rates.items()])


NEWTON = Schedule(_newton, window=35, lowerings=0, doubles=True, clip=3.0)

#: Tensors of the Laplace approximation (``Laplace.state``), from which families start.
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


class LocalParameters(PyroModule):
    """Base of families whose parameters live in the family, and not in Pyro's global store."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        with pyro.settings.context(module_local_params=True):
            super().__init__(*args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the family, with a setting of Pyro that holds for this call alone."""
        with pyro.settings.context(module_local_params=True):
            return super().__call__(*args, **kwargs)


class Structured(LocalParameters, AutoContinuous):
    """All latent variables, whitened by their Laplace covariance, the scales included.

    scales  = mode + step,    step = C_s (m_s + h(e_s))                 (unconstrained)
    y       = mode of y at these scales + shrink (C (m + t e) + slope tanh(step)),    C C' = S

    with e ~ N(0, 1), m the location and t the scale, which SVI trains from 0 and 1; untrained it is
    the Laplace approximation itself (``fit.family: laplace``). h gives log scales a tail towards zero
    (``infer.tails``). Their spread is not trained: where a scale is small the coordinates depend on each
    other in another way than at the mode, the ELBO avoids what the family cannot follow, and would
    cut the tail off. How mode and SD of a coordinate move
    with its scale is that of a coordinate on its own, see ``infer.laplace``; the slope adds the rest,
    as far as to where a scale is all that counts or nothing (tanh).
    The direction of u that centring takes out of each gene keeps its prior.
    """

    schedule = NEWTON
    scale_location: Any  # [S]; PyroParams are tensors when read
    location: Any  # [P]
    log_sd: Any  # [P]

    def __init__(self, model: FateModel, laplace: LaplaceState) -> None:
        super().__init__(model, init_loc_fn=init_to_median)
        self._coordinates = Coordinates(model.terms, model.device)
        for name, value in laplace.items():
            self.register_buffer(name, value)
        self._whitening = load_whitening(laplace)

    def _setup_prototype(self, *args: Any, **kwargs: Any) -> None:
        super()._setup_prototype(*args, **kwargs)
        self.scale_location = PyroParam(torch.zeros_like(self.vector), event_dim=1)
        self.location = PyroParam(torch.zeros_like(self.y.reshape(-1)), event_dim=1)
        self.log_sd = PyroParam(torch.zeros_like(self.y.reshape(-1)), event_dim=1)
        self.register_buffer("noise", self.y.new_zeros(self.noise_size))
        self.register_buffer("is_mirrored", torch.tensor(True))

    @property
    def noise_size(self) -> int:
        """Length of the noise: scales S, coordinates P, and a mean direction per gene and contrast."""
        return len(self.vector) + self.y.numel() + self._n_means

    @property
    def _n_means(self) -> int:
        return self._coordinates.terms.n_contrasts * self._coordinates.n_means

    def get_posterior(self, *args: Any, **kwargs: Any) -> dist.Delta:
        """One draw with its log density, whose gradient is the path derivative.

        The density is that of the present parameters held fixed: its gradient is then zero in
        expectation but without noise where the family is exact (Roeder et al. 2017).
        """
        noise = self._next_noise()
        n = self.noise_size - self._n_means
        standard = self._standard(noise[:n])
        place, volume = self._unpack(standard, noise[n:])
        log_density = self._held_density(noise[:n], standard)
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

    def _standard(self, e: Tensor) -> Tensor:
        """Noise to white coordinates, those of the scales first, [..., S + P]."""
        n = len(self.vector)
        scales = self.scale_location + bent(e[..., :n], self.tail)
        return torch.cat([scales, self.location + self.log_sd.exp() * e[..., n:]], dim=-1)

    def _held_density(self, e: Tensor, standard: Tensor) -> Tensor:
        """Log density of the white coordinates, less a constant, with the parameters held.

        Only its slope in ``standard`` carries a gradient.
        """
        n = len(self.vector)
        slope, bend = slope_and_bend(e[:n], self.tail)
        slope = torch.cat([slope, self.log_sd.detach().exp()])  # of white coordinates by noise
        score = -e / slope
        score[:n] -= bend / slope[:n].square()
        value = -0.5 * e.square().sum() - slope.log().sum()
        return value + (score * (standard - standard.detach())).sum()

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
        deviation = (white + torch.tanh(step) @ self.slope.T).reshape(*lead, *self.y.shape)  # [..., F*, p]
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
        size = self.noise_size - self._n_means
        values, _ = self._unpack(self._standard(noise[:, :size]), noise[:, size:])
        logs = {name for name, site in self._coordinates.terms.sites().items() if site.is_scale}
        return {name: value.exp() if name in logs else value for name, value in values.items()}

    def location_scale(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Location and scale in the whitened coordinates, where a posterior SD is one."""
        return {
            "scales": (self.scale_location, torch.ones_like(self.scale_location)),
            "coordinates": (self.location, self.log_sd.exp()),
        }


#: Makes a family from the model and the Laplace approximation, for example a class with this signature.
MakeFamily = Callable[[FateModel, LaplaceState], Family]

FAMILIES: dict[str, MakeFamily] = {"structured": Structured, "laplace": Structured}


def make_family(family: str | MakeFamily, model: FateModel, laplace: LaplaceState) -> Family:
    """Make a posterior family from where it starts, and set up its parameters.

    Parameters
    ----------
    family
        A name in `FAMILIES`, or what makes a family from outside the package.
    model, laplace
        On the same device.
    """
    make = FAMILIES[family] if isinstance(family, str) else family
    made = make(model, laplace)
    made(None)  # runs the model once, without data, to learn its sites
    return made

"""The SVI loop: Adam on the ELBO, stopped by a rule and not by a step count.

The loop looks at windows of steps. Over a window it averages the posterior's location and log
scale; the drift is how far these averages moved since the window before, in posterior SDs. While
the drift is above its limit the learning rate stays; once it is below, or no longer falls
(optimiser noise), the rate is lowered. The fit has converged when the drift is below its limit at
the lowest rate. The posterior is the average over the last window.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

import pyro
import torch
from pyro.infer import Trace_ELBO
from torch import Tensor

from fatewalk.infer.guides import Guide
from fatewalk.model import FateModel, Rows

log = logging.getLogger(__name__)

LEARNING_RATE = 0.03  # of Adam, at first; parameters are of order one, so one rate serves every screen
WINDOW = 100  # steps of a window, at least; a multiple of the batches of an epoch
READ_EVERY = 5  # steps between two readings of location and scale
DRIFT_MEAN_LIMIT = 0.05  # posterior SDs
DRIFT_SD_LIMIT = 0.02  # of the log SD
RATE_STEPS = 3  # number of times the learning rate is lowered
RATE_FACTOR = 0.3
PATIENCE = 3  # windows without a falling drift before the rate is lowered

#: Axis of genes or guides: a drift they share is small for each of them and large for all.
SHARED_AXIS = {"z": -2, "u": -1}


@dataclass(frozen=True)
class Window:
    """One row of ``fit_trace.csv``."""

    step: int
    loss: float
    learning_rate: float
    drift_mean: float
    drift_sd: float


@dataclass
class SviResult:
    """How the optimisation ended.

    Attributes
    ----------
    status
        ``converged``; ``budget``: the steps ended first; ``diverged``: the ELBO is not finite.
    trace
        Windows in order.
    """

    status: str = "budget"
    trace: list[Window] = field(default_factory=list)

    @property
    def criterion(self) -> dict[str, float | str | None]:
        """The stopping rule with its values and limits."""
        last = asdict(self.trace[-1]) if self.trace else {}
        return {
            "name": "drift of location and log SD between two windows of steps, lowest learning rate",
            "drift_mean": last.get("drift_mean"),
            "drift_mean_limit": DRIFT_MEAN_LIMIT,
            "drift_sd": last.get("drift_sd"),
            "drift_sd_limit": DRIFT_SD_LIMIT,
        }


def run_svi(
    model: FateModel,
    guide: Guide,
    batches: Sequence[Rows],
    *,
    max_steps: int,
    generator: torch.Generator,
    on_step: Callable[[int], object] = lambda step: None,
) -> SviResult:
    """Optimise the guide in place until the stopping rule holds or the budget ends.

    Parameters
    ----------
    model, guide
        The Pyro pair.
    batches
        Rows to visit, each once per epoch, in random order; one entry means full batches.
    max_steps
        Budget.
    generator
        Draws the order of the batches (CPU).
    on_step
        Called after each step, for a progress bar.

    Returns
    -------
    SviResult
        Status and trace. The guide holds the averages of the last window.
    """
    elbo = Trace_ELBO()
    n_cells = sum(batch.n_cells for batch in batches)
    parameters = list(guide.parameters())
    optimiser = torch.optim.Adam(parameters, lr=LEARNING_RATE)
    result = SviResult()
    length = len(batches) * math.ceil(WINDOW / len(batches))
    previous: _Average | None = None
    best, waited, lowered, step = math.inf, 0, 0, 0

    while step < max_steps:
        average, losses = _Average(parameters), torch.zeros((), dtype=torch.float64)
        for position in range(length):
            if position % len(batches) == 0:
                order = torch.randperm(len(batches), generator=generator).tolist()
            optimiser.zero_grad(set_to_none=True)
            with pyro.validation_enabled(False):  # a third of a step; the loss is checked below
                loss = elbo.differentiable_loss(model, guide, batches[order[position % len(batches)]])
                loss.backward()
            optimiser.step()
            losses += loss.detach().cpu()
            average.add(guide, read=position % READ_EVERY == 0)
            step += 1
            on_step(step)
        mean_loss = float(losses) / length
        if not math.isfinite(mean_loss):
            result.status = "diverged"
            log.error("step %d: the ELBO is not finite; the fit diverged", step)
            return result
        drift_mean, drift_sd = average.drift(previous) if previous else (math.nan, math.nan)
        previous = average
        rate = optimiser.param_groups[0]["lr"]
        result.trace.append(Window(step, mean_loss, rate, drift_mean, drift_sd))
        log.info(
            "step %6d  loss per cell %.5f  learning rate %.4f  drift of mean %.3f, of log SD %.4f",
            step, mean_loss / n_cells, rate, drift_mean, drift_sd,
        )  # fmt: skip

        excess = max(drift_mean / DRIFT_MEAN_LIMIT, drift_sd / DRIFT_SD_LIMIT)  # NaN at first
        if excess <= 1 and lowered == RATE_STEPS:
            result.status = "converged"
            break
        waited = 0 if excess < 0.9 * best else waited + 1
        best = min(best, excess) if math.isfinite(excess) else best
        if lowered < RATE_STEPS and (excess <= 1 or waited >= PATIENCE):
            optimiser.param_groups[0]["lr"] *= RATE_FACTOR
            best, waited, lowered = math.inf, 0, lowered + 1
    if previous is not None:
        previous.store(parameters)
    return result


class _Average:
    """Averages over a window: of the parameters, and of location and log scale by site."""

    def __init__(self, parameters: list[torch.nn.Parameter]) -> None:
        self._sums = [torch.zeros_like(p) for p in parameters]
        self._parameters = parameters
        self._location: dict[str, Tensor] = {}
        self._log_scale: dict[str, Tensor] = {}
        self._steps = self._readings = 0

    @torch.no_grad()
    def add(self, guide: Guide, read: bool) -> None:
        """Add the current parameters; read location and scale if asked."""
        for total, parameter in zip(self._sums, self._parameters, strict=True):
            total += parameter
        self._steps += 1
        if read:
            self._readings += 1
            for name, (location, scale) in guide.location_scale().items():
                self._location[name] = self._location.get(name, 0) + location
                self._log_scale[name] = self._log_scale.get(name, 0) + scale.log()

    @torch.no_grad()
    def store(self, parameters: list[torch.nn.Parameter]) -> None:
        """Put the averages into the parameters."""
        for parameter, total in zip(parameters, self._sums, strict=True):
            parameter.copy_(total / self._steps)

    @torch.no_grad()
    def drift(self, before: _Average) -> tuple[float, float]:
        """Largest drift over the sites: of the location in SDs, and of the log SD.

        For genes and guides the drift is the root mean square over them, or, if larger, the
        common part: its z-score, sum / sqrt(n). A common shift of all genes is small against
        each gene's SD and large against what is known of the shift.
        """
        mean_drift = sd_drift = 0.0
        for name, total in self._location.items():
            log_sd = self._log_scale[name] / self._readings
            step = (total / self._readings - before._location[name] / before._readings) / log_sd.exp()
            change = log_sd - before._log_scale[name] / before._readings
            mean_drift = max(mean_drift, float(step.square().mean().sqrt()))
            sd_drift = max(sd_drift, float(change.square().mean().sqrt()))
            if name in SHARED_AXIS:
                axis = SHARED_AXIS[name]
                common = step.sum(dim=axis) / math.sqrt(step.shape[axis])
                mean_drift = max(mean_drift, float(common.square().mean().sqrt()))
        return mean_drift, sd_drift

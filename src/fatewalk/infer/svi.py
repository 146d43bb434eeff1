"""The SVI loop, stopped by a rule and not by a step count.

The loop looks at windows of steps. Over a window it averages the posterior's location and log
scale; the drift is how far these averages moved since the window before, in posterior SDs. While
the drift is above its limit the learning rate stays; once it is below, or no longer falls
(optimiser noise), the rate is lowered and, for the structured family, the window doubled. The fit
has converged when the drift is below its limit at the lowest rate. The posterior is the average
over the last window.
"""

from __future__ import annotations

import logging
import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import pyro
import torch
from pyro.infer import Trace_ELBO
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from fatewalk.infer.checkpoint import Checkpoint
    from fatewalk.infer.families import Family, Schedule
    from fatewalk.model import FateModel, Rows

log = logging.getLogger(__name__)

READ_EVERY = 5  # steps between two readings of location and scale
DRIFT_MEAN_LIMIT = 0.05  # posterior SDs
DRIFT_SD_LIMIT = 0.02  # of the log SD
RATE_FACTOR = 0.3
PATIENCE = 3  # windows without a falling drift before the rate is lowered

#: The scales act on effects through shrinkage alone: a quarter of an SD of a scale moves theta by some
#: hundredths of an SD, while their own gradients are the noisiest. Limits are wider by this factor.
SLACK = {"scales": 5.0}

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
    steps
        Taken, also those after the last full window.
    """

    status: str = "budget"
    trace: list[Window] = field(default_factory=list)
    steps: int = 0

    @property
    def criterion(self) -> dict[str, dict[str, float | None]]:
        """What the stopping rule watches: value and limit."""
        limits = {"drift_mean": DRIFT_MEAN_LIMIT, "drift_sd": DRIFT_SD_LIMIT}
        last = asdict(self.trace[-1]) if self.trace else dict.fromkeys(limits, math.nan)
        return {
            name: {"value": last[name] if math.isfinite(last[name]) else None, "limit": limit}
            for name, limit in limits.items()
        }


def run_svi(
    model: FateModel,
    family: Family,
    rows: Rows,
    *,
    max_steps: int,
    on_step: Callable[[int], object] = lambda step: None,
    checkpoint: Checkpoint | None = None,
    before: dict[str, Any] | None = None,
) -> SviResult:
    """Optimise the family in place until the stopping rule holds or the budget ends.

    Parameters
    ----------
    model, family
        The Pyro pair.
    rows
        All rows with their weights.
    max_steps
        Budget.
    on_step
        Called after each step, for a progress bar.
    checkpoint
        Resumes the loop and keeps its state.
    before
        What a checkpoint carries along for the phases before this one.

    Returns
    -------
    SviResult
        Status and trace. The family holds the averages of the last window.
    """
    loop = _Loop(model, family, rows)
    if checkpoint is not None and (state := checkpoint.state("svi")) is not None:
        loop.restore(state)
    while loop.result.status == "budget" and loop.step < max_steps:
        if checkpoint is not None and checkpoint.due:
            checkpoint.save("svi", loop.state(), before)
        loop.take_step()
        on_step(loop.step)
        if loop.position == loop.length:
            loop.close_window()
    loop.result.steps = loop.step
    if checkpoint is not None and checkpoint.worth_it:
        checkpoint.save("svi", loop.state(), before)  # what is left to do may be cut off as well
    if loop.previous is not None and loop.result.status != "diverged":
        loop.previous.store(loop.parameters)
    return loop.result


class _Loop:
    """What the loop carries from step to step; all of it goes into a checkpoint."""

    def __init__(self, model: FateModel, family: Family, rows: Rows) -> None:
        self.model, self.family, self.rows = model, family, rows
        self.schedule: Schedule = family.schedule
        self.elbo = Trace_ELBO()
        self.parameters = list(family.parameters())
        self.optimiser = self.schedule.optimiser(family)
        self.result = SviResult()
        self.previous: _Average | None = None
        self.average = _Average(self.parameters)
        self.losses = torch.zeros((), dtype=torch.float64)
        self.step = self.position = self.waited = self.lowered = 0
        self.best = math.inf
        self.length = self.schedule.window

    def take_step(self) -> None:
        """One step of the optimiser."""
        self.optimiser.zero_grad(set_to_none=True)
        with pyro.validation_enabled(False):  # a third of a step; the loss is checked below
            loss = self.elbo.differentiable_loss(self.model, self.family, self.rows)
            loss.backward()
        torch.nn.utils.clip_grad_value_(self.parameters, self.schedule.clip)
        self.optimiser.step()
        self.losses += loss.detach().cpu()
        self.average.add(self.family, read=self.position % READ_EVERY == 0)
        self.step += 1
        self.position += 1

    def close_window(self) -> None:
        """Measure the drift; stop, lower the rate, or go on."""
        mean_loss = float(self.losses) / self.length
        if not math.isfinite(mean_loss):
            self.result.status = "diverged"
            log.error("step %d: the ELBO is not finite; the fit diverged", self.step)
            return
        drift_mean, drift_sd = self.average.drift(self.previous) if self.previous else (math.nan, math.nan)
        self.previous, self.average = self.average, _Average(self.parameters)
        self.losses = torch.zeros((), dtype=torch.float64)
        self.position = 0
        rate = self.optimiser.param_groups[0]["lr"]
        self.result.trace.append(Window(self.step, mean_loss, rate, drift_mean, drift_sd))
        log.info(
            "step %6d  loss per cell %.5f  learning rate %.4f  drift of mean %.3f, of log SD %.4f",
            self.step, mean_loss / self.rows.n_cells, rate, drift_mean, drift_sd,
        )  # fmt: skip

        excess = max(drift_mean / DRIFT_MEAN_LIMIT, drift_sd / DRIFT_SD_LIMIT)  # NaN at first
        if excess <= 1 and self.lowered >= self.schedule.lowerings:
            self.result.status = "converged"
            return
        self.waited = 0 if excess < 0.9 * self.best else self.waited + 1
        self.best = min(self.best, excess) if math.isfinite(excess) else self.best
        may_lower = self.lowered < self.schedule.lowerings or self.schedule.doubles
        if may_lower and (excess <= 1 or self.waited >= PATIENCE):
            for group in self.optimiser.param_groups:
                group["lr"] *= RATE_FACTOR if self.lowered < self.schedule.lowerings else 1.0
            if self.schedule.doubles and excess > 1:
                self.length *= 2
            self.best, self.waited, self.lowered = math.inf, 0, self.lowered + 1

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as tensors and plain containers."""
        return {
            "family": self._trained(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average.state(),
            "previous": self.previous.state() if self.previous else None,
            "losses": self.losses,
            "status": self.result.status,
            "trace": [asdict(window) for window in self.result.trace],
            **{name: getattr(self, name) for name in _COUNTERS},
        }

    def _trained(self) -> dict[str, Tensor]:
        """What changes of the family; the rest follows from the Laplace approximation."""
        names = {name for name, _ in self.family.named_parameters()} | {"noise", "is_mirrored"}
        return {name: value for name, value in self.family.state_dict().items() if name in names}

    def restore(self, state: dict[str, Any]) -> None:
        """Undo ``state``."""
        self.family.load_state_dict(state["family"], strict=False)
        self.optimiser.load_state_dict(state["optimiser"])
        self.average.restore(state["average"])
        if state["previous"] is not None:
            self.previous = _Average(self.parameters)
            self.previous.restore(state["previous"])
        self.losses = state["losses"]
        self.result.status = state["status"]
        self.result.trace = [Window(**window) for window in state["trace"]]
        for name in _COUNTERS:
            setattr(self, name, state[name])


_COUNTERS = ("step", "position", "waited", "lowered", "best", "length")


class _Average:
    """Averages over a window: of the parameters, and of location and log scale by site."""

    def __init__(self, parameters: list[torch.nn.Parameter]) -> None:
        self._sums = [torch.zeros_like(p) for p in parameters]
        self._location: dict[str, Tensor] = {}
        self._log_scale: dict[str, Tensor] = {}
        self._steps = self._readings = 0

    def state(self) -> dict[str, Any]:
        """Plain containers of tensors."""
        return dict(vars(self))

    def restore(self, state: dict[str, Any]) -> None:
        """Undo ``state``."""
        vars(self).update(state)

    @torch.no_grad()
    def add(self, family: Family, read: bool) -> None:
        """Add the current parameters; read location and scale if asked."""
        for total, parameter in zip(self._sums, family.parameters(), strict=True):
            total += parameter
        self._steps += 1
        if read:
            self._readings += 1
            for name, (location, scale) in family.location_scale().items():
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
            slack = SLACK.get(name, 1.0)
            mean_drift = max(mean_drift, float(step.square().mean().sqrt()) / slack)
            sd_drift = max(sd_drift, float(change.square().mean().sqrt()) / slack)
            if name in SHARED_AXIS:
                axis = SHARED_AXIS[name]
                common = step.sum(dim=axis) / math.sqrt(step.shape[axis])
                mean_drift = max(mean_drift, float(common.square().mean().sqrt()))
        return mean_drift, sd_drift

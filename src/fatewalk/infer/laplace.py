"""Newton-Laplace: the posterior mode at fixed scales, its curvature, and the scales themselves.

One round is a Newton step on the coordinates x (exact information matrix, Cholesky), a step on the
log scales, and new weights of the labels from their dispersion. It stops when all three stand.

The log marginal likelihood of the scales has, in standardised coordinates y with posterior
covariance S and y_h the coordinates of scale h (n_h of them),

    gradient    g_h  = |y_h|^2 + tr S_hh - n_h
    information F_hk = 2 |(I - S)_hk|^2                      (expected; Frobenius norm)
                O_hk = 4 y_h' (I - S)_hk y_k - F_hk - 2 g_h [h = k]     (observed)

so a Newton step replaces the slow EM update. Where the observed information is not positive its
eigenvalues are taken by size, and far away each scale takes a fixed-point step of its own. Traces
and norms come from products of S with a fixed set of probe vectors, exact where there are few
coordinates (Hutchinson otherwise).

Letters as in ``infer.coordinates``.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from fatewalk.infer import dispersion
from fatewalk.infer.checkpoint import Checkpoint
from fatewalk.infer.systems import BlockSystem, DenseSystem, System
from fatewalk.infer.whitening import Whitening
from fatewalk.model.coordinates import Coordinates, variance_factor
from fatewalk.model.information import RowIndex, curvature, fate_probabilities
from fatewalk.model.rows import Rows, linear_predictor
from fatewalk.model.scales import DTYPE

log = logging.getLogger(__name__)

START_SHARE = 0.5  # scales at the start, as a share of their prior scale: effects start unshrunk
PROBES = 16  # probe vectors for each scale of each contrast that has 300 coordinates
FEWEST_PROBES = 2
EXACT_BELOW = 1000  # coordinates; below it every unit vector is a probe
SCALE_LIMIT = 0.002  # largest change of a log scale in the last round
NEWTON_LIMIT = 0.05  # length of the last Newton step: no combination of effects moves by more SDs
WEIGHT_LIMIT = 0.002  # largest change of a log weight
DAY_PROBES = 16  # probe vectors for what each day's labels taught, up to 5,000 coordinates
MAX_ROUNDS = 60
FAR = 0.7
NEAR = 0.5  # Newton step over sqrt(P) below which residuals mean something


@dataclass
class Round:
    """One row of the trace of the Newton-Laplace loop."""

    round: int
    log_posterior: float
    newton_step: float
    scale_step: float
    weight_step: float
    seconds: float


@dataclass(frozen=True)
class Laplace:
    """Gaussian approximation around the mode.

    Attributes
    ----------
    vector : Tensor [S]
        Mode of the scales (``Scales``) under their marginal posterior.
    y : Tensor [F*, p]
        Mode of the standardised coordinates at these scales.
    system
        Information of y, to solve with.
    whitening
        Square root of the covariance of y, dense or in blocks.
    scale_covariance : Tensor [S, S]
        Posterior covariance of the scales.
    slope : Tensor [P, S]
        Change of the mode with the scales, without each coordinate's own part (``ratio``).
    ratio : Tensor [F*, p]
        Posterior over prior variance of each coordinate, as in ``variance_factor``.
    rows
        With their weights.
    dispersion
        Of the labels.
    status
        ``converged`` or ``budget``.
    trace
        Rounds.
    memory
        State of the loop at its end, from which a checkpoint of a later phase makes all this again.
    """

    coordinates: Coordinates
    vector: Tensor
    y: Tensor
    system: System
    whitening: Whitening
    scale_covariance: Tensor
    slope: Tensor
    ratio: Tensor
    rows: Rows
    dispersion: dispersion.Dispersion
    status: str
    trace: list[Round] = field(default_factory=list)
    memory: dict[str, Any] = field(default_factory=dict)

    def mode(self) -> dict[str, Tensor]:
        """Latent variables at the mode, constrained, on the CPU."""
        c = self.coordinates
        means = self.y.new_zeros(len(self.y), c.n_means)
        found = c.scales.latents(self.vector) | c.latents(self.y, means)
        return {
            name: value.cpu().clone(memory_format=torch.contiguous_format) for name, value in found.items()
        }

    def state(self) -> dict[str, Tensor]:
        """Tensors that the structured family keeps."""
        scale_factor = torch.linalg.cholesky(self.scale_covariance)
        c = self.coordinates
        fixed = c.sd(torch.zeros(len(self.y), c.n_scales, dtype=DTYPE, device=c.device)).log().sum()
        volume = fixed + scale_factor.diagonal().log().sum() + self.whitening.log_volume
        return {
            "vector": self.vector,
            "y": self.y,
            "scale_factor": scale_factor,
            "slope": self.slope,
            "ratio": self.ratio,
            "fixed_volume": volume,
            **self.whitening.state(),
        }


def fit_laplace(
    coordinates: Coordinates,
    rows: Rows,
    intercepts: Tensor,
    weight: float | None,
    shared: bool,
    dense_limit: int,
    checkpoint: Checkpoint | None = None,
) -> Laplace:
    """Run rounds until mode, scales and weights stand.

    Parameters
    ----------
    coordinates
        Of the model.
    rows
        All rows, on the device of the coordinates.
    intercepts : Tensor [F*, D]
        Where the intercepts start.
    weight
        Weight of a label; None: estimated.
    shared
        Whether the cells of each cluster carry the same guides.
    dense_limit
        Coordinates P up to which the information matrix is dense.
    checkpoint
        Resumes the loop and keeps its state.
    """
    return _Newton(coordinates, rows, intercepts, weight, shared, dense_limit).run(checkpoint or Checkpoint())


class _Newton:
    """State of the loop."""

    def __init__(
        self,
        coordinates: Coordinates,
        rows: Rows,
        intercepts: Tensor,
        weight: float | None,
        shared: bool,
        dense_limit: int,
    ) -> None:
        c = coordinates
        self.c, self.shared, self.estimates_weight = c, shared, weight is None
        self.dense_limit = dense_limit
        self.rows = rows.weighted(1.0 if weight is None else weight)
        self.index = RowIndex(rows, c)
        self.n = len(intercepts)
        self.x = torch.zeros(self.n, c.size, dtype=DTYPE, device=c.device)
        self.x[:, c.blocks["alpha"]] = intercepts
        self.vector = c.scales.start(START_SHARE)
        self.eta = self._predict(self.x)
        self.probes, self.group = _probes(c, self.n)
        self.trace: list[Round] = []
        self.status = "budget"
        self._disperse(dispersion.Learned(*torch.zeros(2, c.terms.n_days, dtype=DTYPE, device=c.device)))

    def _predict(self, x: Tensor) -> Tensor:
        """Linear predictor, [F*, p] -> [M, F*]."""
        return linear_predictor(self.rows, self.c.coefficients(x).T.contiguous())

    def _predict_many(self, x: Tensor) -> Tensor:
        """Linear predictors of many vectors, [k, F*, p] -> [M, k, F*]."""
        flat = self.c.coefficients(x)  # [k, F*, Q]
        return (self.rows.matrix @ flat.reshape(-1, flat.shape[-1]).T).view(len(self.rows), len(x), -1)

    def _objective(self, eta: Tensor, y: Tensor) -> float:
        logits = torch.cat([eta.new_zeros(len(eta), 1), eta], dim=-1)
        loglik = (self.rows.weight[:, None] * self.rows.target * log_softmax(logits, dim=-1)).sum()
        return float(loglik - 0.5 * y.square().sum())

    def run(self, checkpoint: Checkpoint) -> Laplace:
        """Rounds until everything stands, resumed from a checkpoint if there is one."""
        state = checkpoint.state("laplace") or checkpoint.earlier("svi")
        if state is not None:
            self._restore(state)
        while self.status == "budget" and len(self.trace) < MAX_ROUNDS:
            if checkpoint.due:
                checkpoint.save("laplace", self._state())
            self._round()
        memory = self._state()
        if checkpoint.worth_it and checkpoint.earlier("svi") is None:  # no later state is overwritten
            checkpoint.save("laplace", memory)
        self._linearise()
        self._products()
        return self._finish(memory)

    def _round(self) -> None:
        """A Newton step; near the mode also a step of scales and weights."""
        began = time.monotonic()
        self._linearise()
        newton = self._newton_step()
        scale = weight = math.inf
        if newton < NEAR * math.sqrt(self.x.numel()):
            self._products()
            learned = self._learned()  # before the scales move away from the factor
            scale = self._scale_step()
            weight = self._weight_step(learned)
        seconds = time.monotonic() - began
        entry = Round(len(self.trace) + 1, self.value, newton, scale, weight, seconds)
        self.trace.append(entry)
        log.info(
            "round %d  log posterior %.2f  Newton step %.3f SD  scales %.4f  weights %.4f  %.2f s",
            entry.round, entry.log_posterior, newton, scale, weight, seconds,
        )  # fmt: skip
        if newton < NEWTON_LIMIT and scale < SCALE_LIMIT and weight < WEIGHT_LIMIT:
            self.status = "converged"

    def _state(self) -> dict[str, Any]:
        """What the loop carries from round to round."""
        return {
            "x": self.x,
            "eta": self.eta,
            "vector": self.vector,
            "weight": self.rows.weight,
            "dispersion": asdict(self.dispersion),
            "status": self.status,
            "trace": [asdict(entry) for entry in self.trace],
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.x, self.eta, self.vector = (state[name].to(self.c.device) for name in ("x", "eta", "vector"))
        self.rows = self.rows.weighted(state["weight"].to(self.c.device))
        self.dispersion = dispersion.Dispersion(**state["dispersion"])
        self.status = state["status"]
        self.trace = [Round(**entry) for entry in state["trace"]]

    def _linearise(self) -> None:
        """Information of y at the present x, scales and weights."""
        sd = self.c.sd(self.c.scales.log_scales(self.vector))
        self.y = self.x / sd
        weights = curvature(self.rows, fate_probabilities(self.eta))
        if self.x.numel() <= self.dense_limit:
            self.system: System = DenseSystem(self.index, self.c, weights, sd)
        else:
            self.system = BlockSystem(self.index, self.c, self.rows, weights, sd)
        self.sd = sd

    def _newton_step(self) -> float:
        """One step with backtracking; its length in posterior SDs."""
        pi = fate_probabilities(self.eta)
        residual = self.rows.target - self.rows.cells[:, None] * pi
        residual = self.rows.weight[:, None] * residual[:, 1:]
        gradient = self.c.adjoint((self.rows.transpose @ residual).T)
        y = self.x / self.sd
        gradient = self.sd * gradient - y
        step = self.system.solve(gradient.reshape(-1, 1)).view_as(y)
        length = math.sqrt(max(float((step * gradient).sum()), 0.0))
        eta_step = self._predict(self.sd * step)
        before, share = self._objective(self.eta, y), 1.0
        while True:
            after = self._objective(self.eta + share * eta_step, y + share * step)
            if after >= before + 1e-4 * share * length**2 - 1e-9 * abs(before) or share < 1e-4:
                break
            share /= 2
        self.y = y + share * step
        self.x = self.sd * self.y
        self.eta = self.eta + share * eta_step
        self.value = after
        return length

    def _products(self) -> None:
        """Covariance times probes, and what follows: traces and Fisher information by scale."""
        c, n = self.c, self.n
        parts = _by_group(self.y, groups := _groups(c, n), n * (c.n_scales + 1))  # [P, groups]
        both = self.system.solve(torch.cat([self.probes, parts], dim=1))
        solved, self.solved_parts = both[:, : self.probes.shape[1]], both[:, self.probes.shape[1] :]
        self.parts = parts
        n_groups = n * (c.n_scales + 1)
        by_row = torch.zeros(n_groups, solved.shape[1], dtype=DTYPE, device=c.device)
        own = by_row.index_add(0, groups, self.probes * solved)  # [groups, m]
        traces = torch.zeros(n_groups, dtype=DTYPE, device=c.device)
        own_group = self.group  # [m] group of each probe
        traces.index_add_(0, own_group, own.gather(0, own_group[None])[0])
        rest = (self.probes - solved).square()  # |(I - S) r|^2
        norms = by_row.index_add(0, groups, rest)  # [groups, m]
        square = torch.zeros(n_groups, n_groups, dtype=DTYPE, device=c.device)
        square.index_add_(1, own_group, norms)
        self.trace_of = traces
        self.norm_of = 0.5 * (square + square.T)
        self.sizes = torch.bincount(groups, minlength=n_groups).double()
        self.solved = solved

    def _scale_derivatives(self) -> tuple[Tensor, Tensor, Tensor]:
        """Gradient [F* H], expected and observed information [F* H, F* H] of the log scales."""
        groups = self._is_scale()
        gradient = (self.parts.square().sum(dim=0) + self.trace_of - self.sizes)[groups]
        fisher = 2 * self.norm_of[groups][:, groups]
        cross = (self.parts.T @ (self.parts - self.solved_parts))[groups][:, groups]  # y_h' (I - S)_hk y_k
        return gradient, fisher, 4 * cross - fisher - 2 * torch.diag(gradient)

    def _scale_step(self) -> float:
        """One step on the scales; its largest change.

        Far away, the curvature of each log scale is that of the fixed point
        s^2 <- s^2 (|y|^2 + 1) / (n - tr S + s^2 / prior^2) (MacKay 1992, with the prior's share), which
        is right at once where the data decide and where the prior does. Near, it is the observed
        information, its eigenvalues taken by size.
        """
        gradient, _, observed = self._scale_derivatives()
        matrix = self.c.scales.matrix.reshape(-1, self.c.scales.size)
        slope, bend = self.c.scales.prior_slope_and_curvature(self.vector)
        values, vectors = torch.linalg.eigh(_with_prior(observed, matrix, bend))
        pull = vectors.T @ (matrix.T @ gradient + slope)
        step = vectors @ (pull / values.abs().clamp(min=0.5))
        if float(step.abs().max()) > FAR:
            step = self._far_step(gradient)
            step = step * min(1.0, 2.0 / float(step.abs().max()))
        self.vector = self.vector + step
        self._follow((matrix @ step).view(self.n, -1))
        return float(step.abs().max())

    def _far_step(self, gradient: Tensor) -> Tensor:
        """Step of the fixed point, each log scale on its own."""
        c, groups = self.c, self._is_scale()
        missing = (self.sizes - self.trace_of)[groups].clamp(min=1e-12)  # n - tr S
        matrix = c.scales.matrix.reshape(-1, c.scales.size)
        slope, bend = c.scales.prior_slope_and_curvature(self.vector)
        logs = c.scales.is_log.double()
        share = matrix @ (logs / matrix.sum(0).clamp(min=1))  # a shared scale's prior, split over its days
        pull = matrix @ (logs * (1 - slope) / matrix.sum(0).clamp(min=1))  # s^2 / prior^2
        total = gradient + share - pull
        wanted = 0.5 * ((gradient + missing + share).log() - (missing + pull).log())
        curvature = torch.where(wanted.abs() > 1e-9, total / wanted, 2 * missing).clamp(min=1e-6)
        precision = matrix.T @ (curvature[:, None] * matrix) + torch.diag(torch.where(logs > 0, 1e-9, bend))
        return torch.linalg.solve(precision, matrix.T @ gradient + slope)

    def _is_scale(self) -> Tensor:
        """Which groups are those of a scale, bool [F* (H + 1)]."""
        n_groups = self.n * (self.c.n_scales + 1)
        return torch.arange(n_groups, device=self.c.device) % (self.c.n_scales + 1) > 0

    def _follow(self, change: Tensor) -> None:
        """Move the mode to where it goes with the scales.

        Each coordinate as it would on its own (``ratio``), the rest to first order (``slope``).
        """
        others = (self._slope() @ change.reshape(-1)).view_as(self.y)
        change = change[:, self.c.scale_of.clamp(min=0)] * (self.c.scale_of >= 0)  # [F*, p]
        shrink = variance_factor(self._ratio(), change)
        self.y = self.y * change.exp() * shrink + shrink.sqrt() * others
        self.sd = self.c.sd(self.c.scales.log_scales(self.vector))
        self.x = self.sd * self.y
        self.eta = self._predict(self.x)

    def _slope(self) -> Tensor:
        """Change of y with each log scale, [P, F* H], without each coordinate's own part.

        d y / d log s_h = 2 S y_h - y_h.
        """
        groups = self._is_scale()
        own = self.parts[:, groups] * self._ratio().reshape(-1, 1)
        return 2 * (self.solved_parts[:, groups] - own)

    def _ratio(self) -> Tensor:
        """Posterior variances of y, [F*, p], from the probes."""
        diagonal = (self.probes * self.solved).sum(dim=1)
        return diagonal.clamp(1e-6, 1 - 1e-6).view(self.n, -1)

    def _learned(self) -> dispersion.Learned:
        """Effective parameters and posterior variance of the probabilities, by day."""
        c, n = self.c, self.n
        count = max(FEWEST_PROBES, min(DAY_PROBES, DAY_PROBES * 5000 // self.x.numel()))
        signs = _signs(n * c.size, count, seed=1).to(c.device)
        solved = self.system.solve(signs)
        pi = fate_probabilities(self.eta)
        weights = curvature(self.rows, pi)
        slope = (torch.diag_embed(pi) - pi[:, :, None] * pi[:, None, :])[:, :, 1:]  # [M, F, F*] d pi / d eta
        sums = torch.zeros(2, c.terms.n_days, dtype=DTYPE, device=c.device)
        for left, right in zip(signs.T.split(4), solved.T.split(4), strict=True):
            a = self._predict_many(self.sd * left.reshape(-1, n, c.size))  # [M, k, F*]
            b = self._predict_many(self.sd * right.reshape(-1, n, c.size))
            sums[0].index_add_(0, self.rows.day, torch.einsum("mkf,mfg,mkg->m", a, weights, b))
            a, b = (torch.einsum("mfg,mkg->mkf", slope, x) for x in (a, b))
            sums[1].index_add_(0, self.rows.day, self.rows.cells * (a * b).sum(dim=(1, 2)))
        total = float(self.x.numel() - self.trace_of.sum())  # the probes tell its shares
        parameters, variance = sums * total / sums[0].sum()
        return dispersion.Learned(parameters, variance)

    def _weight_step(self, learned: dispersion.Learned) -> float:
        """New weights from the residuals; largest change of a log weight."""
        before = self.rows.weight
        self._disperse(learned)
        return float((self.rows.weight / before).log().abs().max())

    def _disperse(self, learned: dispersion.Learned) -> None:
        pi = fate_probabilities(self.eta)
        self.dispersion = dispersion.estimate(self.rows, pi, learned, self.shared)
        if self.estimates_weight:
            self.rows = self.rows.weighted(dispersion.weights(self.rows, self.dispersion, self.shared))

    def _finish(self, memory: dict[str, Any]) -> Laplace:
        """Posterior of the scales, and how the mode moves with them."""
        c = self.c
        gradient, fisher, observed = self._scale_derivatives()
        matrix = c.scales.matrix.reshape(-1, c.scales.size)
        _, bend = c.scales.prior_slope_and_curvature(self.vector)
        values, vectors = torch.linalg.eigh(_with_prior(observed, matrix, bend))
        bound = fisher - 2 * torch.diag(gradient.clamp(max=0))
        floor = 0.25 * float(torch.linalg.eigvalsh(_with_prior(bound, matrix, bend)).min())
        covariance = vectors @ torch.diag(1 / values.clamp(min=floor)) @ vectors.T
        return Laplace(
            c, self.vector, self.y, self.system, self.system.whitening(), covariance,
            self._slope() @ matrix, self._ratio(), self.rows, self.dispersion, self.status, self.trace,
            memory,
        )  # fmt: skip


def _by_group(y: Tensor, groups: Tensor, n_groups: int) -> Tensor:
    """The coordinates of each group in a column of their own, [P, groups]."""
    out = y.new_zeros(y.numel(), n_groups)
    out[torch.arange(y.numel(), device=y.device), groups] = y.reshape(-1)
    return out


def _groups(c: Coordinates, n: int) -> Tensor:
    """Group of each coordinate, int64 [P]: for each contrast the fixed ones, then the scales."""
    return (torch.arange(n, device=c.device)[:, None] * (c.n_scales + 1) + c.scale_of + 1).reshape(-1)


def _probes(c: Coordinates, n: int) -> tuple[Tensor, Tensor]:
    """Probe vectors [P, m] with E[r r'] = I on each group, and the group of each, [m]."""
    groups = _groups(c, n).cpu()
    n_groups = n * (c.n_scales + 1)
    columns, owners = [], []
    for group in range(n_groups):
        members = torch.nonzero(groups == group)[:, 0]
        if len(members) == 0:
            continue
        n_probes = max(FEWEST_PROBES, -(-PROBES * 300 // len(members)))  # larger groups average more
        if len(groups) < EXACT_BELOW or len(members) <= n_probes:
            block = torch.zeros(len(groups), len(members), dtype=DTYPE)
            block[members, torch.arange(len(members))] = 1
        else:
            block = torch.zeros(len(groups), n_probes, dtype=DTYPE)
            block[members] = _signs(len(members), n_probes, seed=group) / math.sqrt(n_probes)
        columns.append(block)
        owners.append(torch.full((block.shape[1],), group))
    return torch.cat(columns, dim=1).to(c.device), torch.cat(owners).to(c.device)


def _with_prior(information: Tensor, matrix: Tensor, bend: Tensor) -> Tensor:
    """Information on the scales, from that on every log scale [F* H, F* H] and the prior's curvature [S]."""
    return matrix.T @ information @ matrix + torch.diag(bend)


def _signs(n: int, m: int, seed: int) -> Tensor:
    """Random signs [n, m], always the same."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 2, (n, m), generator=generator).to(DTYPE) * 2 - 1

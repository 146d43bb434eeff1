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

Letters as in ``model.coordinates``.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from fatewalk.core.outcome import NumericalError, Outcome
from fatewalk.infer import dispersion
from fatewalk.infer.checkpoint import Checkpoint
from fatewalk.infer.systems import BlockSystem, DenseSystem, System
from fatewalk.model.coordinates import Coordinates, variance_factor
from fatewalk.model.information import RowIndex, curvature, fate_probabilities
from fatewalk.model.linalg import cholesky, eigh, solve
from fatewalk.model.rows import Rows, linear_predictor
from fatewalk.model.scales import DTYPE
from fatewalk.model.terms import Intercepts

if TYPE_CHECKING:
    from fatewalk.infer.whitening import Whitening

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
UNFINISHED, CONVERGED = Outcome("budget"), Outcome("converged")
SHORTEST = 1e-4  # share of a Newton step below which the direction is given up


@dataclass(frozen=True)
class Round:
    """One row of the trace of the Newton-Laplace loop."""

    round: int
    log_posterior: float
    newton_step: float
    scale_step: float
    weight_step: float
    solve_residual: float
    seconds: float

    def stands(self, slack: float) -> bool:
        """Whether mode, scales and weights moved less than so many times their limits, by exact solves."""
        return (
            self.newton_step < slack * NEWTON_LIMIT
            and self.scale_step < slack * SCALE_LIMIT
            and self.weight_step < slack * WEIGHT_LIMIT
            and self.solve_residual <= 1
        )


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
    scale_factor : Tensor [S, S]
        Lower Cholesky factor of the posterior covariance of the scales.
    slope : Tensor [P, S]
        Change of the mode with the scales, without each coordinate's own part (``ratio``).
    ratio : Tensor [F*, p]
        Posterior over prior variance of each coordinate, as in ``variance_factor``.
    rows
        With their weights.
    dispersion
        Of the labels.
    outcome
        Whether the rounds converged, and what went wrong in words.
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
    scale_factor: Tensor
    slope: Tensor
    ratio: Tensor
    rows: Rows
    dispersion: dispersion.Dispersion
    outcome: Outcome
    trace: tuple[Round, ...] = ()
    memory: dict[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """``converged``, ``budget`` or ``diverged``."""
        return self.outcome.status

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
        c = self.coordinates
        fixed = c.sd(torch.zeros(len(self.y), c.n_scales, dtype=DTYPE, device=c.device)).log().sum()
        volume = fixed + self.scale_factor.diagonal().log().sum() + self.whitening.log_volume
        return {
            "vector": self.vector,
            "y": self.y,
            "scale_factor": self.scale_factor,
            "tail": self._tail(),
            "slope": self.slope,
            "ratio": self.ratio,
            "fixed_volume": volume,
            **self.whitening.state(),
        }

    def _tail(self) -> Tensor:
        """Share of a half-normal tail in each log scale (``infer.tails``), [S]; 0 for what is no log scale.

        Where nothing holds a scale away from zero its logarithm has variance 1/2, as that of a
        half-normal one, and a smaller one where the data do.
        """
        share = (2 * self.scale_factor.square().sum(dim=1)).clamp(max=1)
        return share * self.coordinates.scales.is_log


@dataclass(frozen=True)
class Start:
    """Where rounds begin instead of at no effect.

    Attributes
    ----------
    x : Tensor [F*, p]
        Coordinates.
    vector : Tensor [S]
        Scales.
    slack
        Factor on the limits by which the rounds end.
    """

    x: Tensor
    vector: Tensor
    slack: float = 1.0


def fit_laplace(
    coordinates: Coordinates,
    rows: Rows,
    intercepts: Tensor,
    weight: float | None,
    shared: bool,
    dense_limit: int,
    checkpoint: Checkpoint | None = None,
    start: Start | None = None,
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
    start
        Where the rounds begin; None: at the intercepts, without effects.

    Raises
    ------
    NumericalError
        If not even the first round can be taken. What fails later ends the loop with the state before it,
        and status ``diverged``.
    """
    problem = _Problem.of(coordinates, rows, shared, weight, dense_limit, start)
    keeper = _Keeper(checkpoint or Checkpoint(), "laplace", {})
    state, previous = (
        keeper.restored(problem)
        or [_State.at(problem, start) if start else _State.at_start(problem, intercepts)] * 2
    )
    state, previous = _rounds(problem, state, previous, keeper)
    try:
        return _finish(problem, state)
    except NumericalError as error:
        return _finish(problem, previous.diverged(state, error))


@dataclass(frozen=True)
class SymmetricMode:
    """The mode under the prior that treats all fates alike.

    Attributes
    ----------
    vector : Tensor [S]
        Mode of the scales, which are the same for all contrasts.
    y : Tensor [F*, p]
        Mode of the standardised symmetric coordinates at these scales.
    weight : Tensor [M]
        Of a label in each row.
    outcome, trace, memory
        As in ``Laplace``.
    """

    vector: Tensor
    y: Tensor
    weight: Tensor
    outcome: Outcome
    trace: tuple[Round, ...]
    memory: dict[str, Any]

    def state(self) -> dict[str, Tensor]:
        """Tensors that the likelihood-only estimates of all fates start from."""
        return {"vector": self.vector, "y": self.y, "weight": self.weight}


def fit_symmetric(
    first: Laplace,
    weight: float | None,
    shared: bool,
    dense_limit: int,
    checkpoint: Checkpoint | None = None,
    start: Start | None = None,
) -> SymmetricMode:
    """Run rounds again under the prior that treats all fates alike, the reference included.

    Parameters
    ----------
    first
        How `fit_laplace` ended, where this starts.
    weight, shared, dense_limit, checkpoint
        As there.
    start
        Where the rounds begin instead.

    Returns
    -------
    SymmetricMode
        Diverged where the first pass was, or where no round could be taken.
    """
    terms = first.coordinates.terms
    if terms.n_contrasts == 1:  # two fates: the same prior
        return SymmetricMode(first.vector, first.y, first.rows.weight, first.outcome, (), {})
    c = Coordinates(terms, first.coordinates.device, symmetric=True)
    problem = _Problem.of(c, first.rows, shared, weight, dense_limit, start)
    keeper = _Keeper(checkpoint or Checkpoint(), "symmetric", {"laplace": first.memory})
    state, previous = (
        keeper.restored(problem) or [_State.at(problem, start) if start else _State.after(problem, first)] * 2
    )
    try:
        state, _ = _rounds(problem, state, previous, keeper)
    except NumericalError as error:
        state = replace(state, outcome=Outcome("diverged", (f"{error}.",)))
    sd = c.sd(c.scales.log_scales(state.vector))
    return SymmetricMode(
        state.vector, state.x / sd, state.rows.weight, state.outcome, state.trace, state.saved()
    )


@dataclass(frozen=True)
class _Keeper:
    """Keeps the states of one loop in a checkpoint."""

    checkpoint: Checkpoint
    phase: str
    before: dict[str, Any]  # memory of earlier phases

    def restored(self, problem: _Problem) -> list[_State] | None:
        """The last state and the one before it, if a checkpoint has them."""
        saved = self.checkpoint.state(self.phase) or self.checkpoint.finished(self.phase)
        if saved is None:
            return None
        return [_State.restored(problem, one) for one in (saved, saved.get("previous", saved))]

    def keep(self, state: _State, previous: _State) -> None:
        """Write both states."""
        self.checkpoint.save(self.phase, state.saved() | {"previous": previous.saved()}, self.before)


def _rounds(problem: _Problem, state: _State, previous: _State, keeper: _Keeper) -> tuple[_State, _State]:
    """Take rounds until they stand, fail or run out; the last state and the one before it."""
    checkpoint = keeper.checkpoint
    while state.outcome.status == "budget" and len(state.trace) < MAX_ROUNDS:
        if checkpoint.due:
            keeper.keep(state, previous)
        try:
            previous, state = state, _take_round(problem, state)
        except NumericalError as error:
            state = previous.diverged(state, error)
    if checkpoint.worth_it and checkpoint.finished(keeper.phase) is None:  # no later state is overwritten
        keeper.keep(state, previous)
    return state, previous


@dataclass(frozen=True)
class _Problem:
    """What no round changes."""

    c: Coordinates
    index: RowIndex
    rows: Rows  # with the weights of the start
    shared: bool
    estimates_weight: bool
    dense_limit: int
    groups: Tensor  # int64 [P] group of each coordinate
    probes: Tensor  # [P, m]
    owner: Tensor  # int64 [m] group of each probe
    slack: float  # factor on the limits

    @classmethod
    def of(
        cls,
        c: Coordinates,
        rows: Rows,
        shared: bool,
        weight: float | None,
        dense_limit: int,
        start: Start | None = None,
    ) -> _Problem:
        n = c.terms.n_contrasts
        rows = rows.weighted(1.0 if weight is None else weight)
        probes, owner = _probes(c, n)
        index = RowIndex(rows, c)
        groups, slack = _groups(c, n), start.slack if start else 1.0
        return cls(c, index, rows, shared, weight is None, dense_limit, groups, probes, owner, slack)

    @property
    def n(self) -> int:
        """Contrasts F*."""
        return self.c.terms.n_contrasts

    @property
    def n_groups(self) -> int:
        """For each contrast the fixed coordinates, then the scales."""
        return self.n * (self.c.n_scales + 1)

    @property
    def is_scale(self) -> Tensor:
        """Which groups are those of a scale, bool [groups]."""
        return torch.arange(self.n_groups, device=self.c.device) % (self.c.n_scales + 1) > 0

    @property
    def scale_matrix(self) -> Tensor:
        """From the vector of scales to all log scales, [F* H, S]."""
        return self.c.scales.matrix.reshape(-1, self.c.scales.size)


@dataclass(frozen=True)
class _State:
    """What a round starts from, all of it in a checkpoint."""

    x: Tensor  # [F*, p]
    eta: Tensor  # [M, F*]
    vector: Tensor  # [S]
    rows: Rows
    dispersion: dispersion.Dispersion
    trace: tuple[Round, ...] = ()
    outcome: Outcome = UNFINISHED

    @classmethod
    def at_start(cls, problem: _Problem, intercepts: Tensor) -> _State:
        """Intercepts of the days, no effects, scales at a share of their prior's."""
        c = problem.c
        x = torch.zeros(problem.n, c.size, dtype=DTYPE, device=c.device)
        if place := c.place(Intercepts):
            x[:, place] = intercepts
        return cls.at(problem, Start(x, c.scales.start(START_SHARE)))

    @classmethod
    def at(cls, problem: _Problem, start: Start) -> _State:
        """A given place, with the weights that follow from the residuals there."""
        c = problem.c
        eta = _predict(problem.rows, c, start.x)
        nothing = dispersion.Learned(*torch.zeros(2, c.terms.n_days, dtype=DTYPE, device=c.device))
        return cls(start.x, eta, start.vector, *_disperse(problem, problem.rows, eta, nothing))

    @classmethod
    def after(cls, problem: _Problem, first: Laplace) -> _State:
        """The mode of independent contrasts in symmetric coordinates, each scale their geometric mean."""
        c, independent = problem.c, first.coordinates
        assert c.root is not None
        sd = independent.sd(independent.scales.log_scales(first.vector))
        x = torch.linalg.solve_triangular(c.root, sd * first.y, upper=False)
        sizes = [math.prod(shape) for shape in independent.scales.shapes.values()]
        vector = torch.cat([part.view(problem.n, -1).mean(dim=0) for part in first.vector.split(sizes)])
        outcome = first.outcome if first.status == "diverged" else UNFINISHED
        return cls(x, _predict(first.rows, c, x), vector, first.rows, first.dispersion, (), outcome)

    @classmethod
    def restored(cls, problem: _Problem, saved: dict[str, Any]) -> _State:
        """Undo ``saved``."""
        x, eta, vector = (saved[name].to(problem.c.device) for name in ("x", "eta", "vector"))
        return cls(
            x,
            eta,
            vector,
            problem.rows.weighted(saved["weight"].to(problem.c.device)),
            dispersion.Dispersion(**saved["dispersion"]),
            tuple(Round(**entry) for entry in saved["trace"]),
            Outcome(saved["status"], tuple(saved["words"])),
        )

    def saved(self) -> dict[str, Any]:
        """Tensors and plain containers."""
        return {
            "x": self.x,
            "eta": self.eta,
            "vector": self.vector,
            "weight": self.rows.weight,
            "dispersion": asdict(self.dispersion),
            "status": self.outcome.status,
            "words": list(self.outcome.words),
            "trace": [asdict(entry) for entry in self.trace],
        }

    def diverged(self, later: _State, error: NumericalError) -> _State:
        """The same state, from which a round could be taken, as the end of a loop that failed later."""
        if not self.trace and not later.trace:
            raise error
        words = f"Newton-Laplace failed after round {len(later.trace)}: {error}."
        log.warning(words)
        return replace(self, trace=later.trace, outcome=Outcome("diverged", (words,)))


@dataclass(frozen=True)
class _Linear:
    """Information of y at the x, scales and weights of a state."""

    sd: Tensor  # [F*, p] prior SDs
    y: Tensor  # [F*, p]
    system: System


@dataclass(frozen=True)
class _Products:
    """Covariance times probes and times each group's part of y, and what follows by group."""

    parts: Tensor  # [P, groups]
    solved_parts: Tensor  # [P, groups]
    ratio: Tensor  # [F*, p] posterior variance of y
    traces: Tensor  # [groups] of the covariance
    norms: Tensor  # [groups, groups] squares of the blocks of 1 - covariance
    sizes: Tensor  # [groups] coordinates


def _take_round(problem: _Problem, state: _State) -> _State:
    """A Newton step; near the mode also a step of scales and weights."""
    began = time.monotonic()
    linear = _linearise(problem, state)
    state, linear, newton, value = _newton_step(problem, state, linear)
    scale = weight = math.inf
    if newton < NEAR * math.sqrt(state.x.numel()):
        products = _multiply(problem, linear)
        learned = _learn(problem, state, linear, products)  # before the scales move away from the factor
        state, scale = _scale_step(problem, state, linear, products)
        before = state.rows.weight
        rows, found = _disperse(problem, state.rows, state.eta, learned)
        state = replace(state, rows=rows, dispersion=found)
        weight = float((state.rows.weight / before).log().abs().max())
    number, seconds = len(state.trace) + 1, time.monotonic() - began
    entry = Round(number, value, newton, scale, weight, linear.system.residual, seconds)
    log.info(
        "round %d  log posterior %.2f  Newton step %.3f SD  scales %.4f  weights %.4f  %.2f s",
        entry.round, entry.log_posterior, newton, scale, weight, seconds,
    )  # fmt: skip
    state = replace(state, trace=(*state.trace, entry))
    return replace(state, outcome=CONVERGED) if entry.stands(problem.slack) else state


def _predict(rows: Rows, c: Coordinates, x: Tensor) -> Tensor:
    """Linear predictor, [F*, p] -> [M, F*]."""
    return c.mixed(linear_predictor(rows, c.coefficients(x).T.contiguous()))


def _predict_many(rows: Rows, c: Coordinates, x: Tensor) -> Tensor:
    """Linear predictors of many vectors, [k, F*, p] -> [M, k, F*]."""
    flat = c.coefficients(x)  # [k, F*, Q]
    return c.mixed((rows.matrix @ flat.reshape(-1, flat.shape[-1]).T).view(len(rows), len(x), -1))


def _log_posterior(rows: Rows, eta: Tensor, y: Tensor) -> float:
    logits = torch.cat([eta.new_zeros(len(eta), 1), eta], dim=-1)
    loglik = (rows.weight[:, None] * rows.target * log_softmax(logits, dim=-1)).sum()
    return float(loglik - 0.5 * y.square().sum())


def _linearise(problem: _Problem, state: _State) -> _Linear:
    """Information of y at the present x, scales and weights."""
    c = problem.c
    sd = c.sd(c.scales.log_scales(state.vector))
    weights = c.unmixed_curvature(curvature(state.rows, fate_probabilities(state.eta)))
    system: System
    if state.x.numel() <= problem.dense_limit:
        system = DenseSystem(problem.index, c, weights, sd)
    else:
        system = BlockSystem(problem.index, c, state.rows, weights, sd)
    return _Linear(sd, state.x / sd, system)


def _newton_step(problem: _Problem, state: _State, linear: _Linear) -> tuple[_State, _Linear, float, float]:
    """One step with backtracking; its length in posterior SDs, and the log posterior after it."""
    rows, c, y = state.rows, problem.c, linear.y
    residual = rows.target - rows.cells[:, None] * fate_probabilities(state.eta)
    residual = c.unmixed(rows.weight[:, None] * residual[:, 1:])
    gradient = linear.sd * c.adjoint((rows.transpose @ residual).T) - y
    step = linear.system.solve(gradient.reshape(-1, 1)).view_as(y)
    length = math.sqrt(max(float((step * gradient).sum()), 0.0))
    eta_step = _predict(rows, c, linear.sd * step)
    before = _log_posterior(rows, state.eta, y)
    if not math.isfinite(before) or not math.isfinite(length):
        raise NumericalError("the log posterior or its gradient is not finite")
    share = 1.0
    while share >= SHORTEST:
        after = _log_posterior(rows, state.eta + share * eta_step, y + share * step)
        if after >= before + 1e-4 * share * length**2 - 1e-9 * abs(before):
            y = y + share * step
            eta = state.eta + share * eta_step
            return replace(state, x=linear.sd * y, eta=eta), replace(linear, y=y), length, after
        share /= 2
    raise NumericalError("no part of the Newton step raises the log posterior")


def _multiply(problem: _Problem, linear: _Linear) -> _Products:
    """Covariance times probes, and what follows: traces and norms by group."""
    groups, n_groups, probes, owner = problem.groups, problem.n_groups, problem.probes, problem.owner
    parts = _by_group(linear.y, groups, n_groups)  # [P, groups]
    both = linear.system.solve(torch.cat([probes, parts], dim=1))
    solved, solved_parts = both[:, : probes.shape[1]], both[:, probes.shape[1] :]
    by_row = torch.zeros(n_groups, solved.shape[1], dtype=DTYPE, device=groups.device)
    own = by_row.index_add(0, groups, probes * solved)  # [groups, m]
    traces = torch.zeros(n_groups, dtype=DTYPE, device=groups.device)
    traces.index_add_(0, owner, own.gather(0, owner[None])[0])
    rest = (probes - solved).square()  # |(I - S) r|^2
    norms = by_row.index_add(0, groups, rest)  # [groups, m]
    square = torch.zeros(n_groups, n_groups, dtype=DTYPE, device=groups.device)
    square.index_add_(1, owner, norms)
    diagonal = (probes * solved).sum(dim=1).clamp(1e-6, 1 - 1e-6)
    sizes = torch.bincount(groups, minlength=n_groups).double()
    return _Products(
        parts, solved_parts, diagonal.view_as(linear.y), traces, 0.5 * (square + square.T), sizes
    )


def _scale_derivatives(problem: _Problem, products: _Products) -> tuple[Tensor, Tensor, Tensor]:
    """Gradient [F* H], expected and observed information [F* H, F* H] of the log scales."""
    groups, p = problem.is_scale, products
    gradient = (p.parts.square().sum(dim=0) + p.traces - p.sizes)[groups]
    fisher = 2 * p.norms[groups][:, groups]
    cross = (p.parts.T @ (p.parts - p.solved_parts))[groups][:, groups]  # y_h' (I - S)_hk y_k
    return gradient, fisher, 4 * cross - fisher - 2 * torch.diag(gradient)


def _scale_step(
    problem: _Problem, state: _State, linear: _Linear, products: _Products
) -> tuple[_State, float]:
    """One step on the scales; its largest change.

    Far away, the curvature of each log scale is that of the fixed point
    s^2 <- s^2 (|y|^2 + 1) / (n - tr S + s^2 / prior^2) (MacKay 1992, with the prior's share), which
    is right at once where the data decide and where the prior does. Near, it is the observed
    information, its eigenvalues taken by size.
    """
    gradient, _, observed = _scale_derivatives(problem, products)
    matrix = problem.scale_matrix
    slope, bend = problem.c.scales.prior_slope_and_curvature(state.vector)
    values, vectors = eigh(_with_prior(observed, matrix, bend), "the information on the scales")
    pull = vectors.T @ (matrix.T @ gradient + slope)
    step = vectors @ (pull / values.abs().clamp(min=0.5))
    if float(step.abs().max()) > FAR:
        step = _far_step(problem, state, products, gradient)
        step = step * min(1.0, 2.0 / float(step.abs().max()))
    state = replace(state, vector=state.vector + step)
    moved = _follow(problem, state, linear, products, (matrix @ step).view(problem.n, -1))
    return moved, float(step.abs().max())


def _far_step(problem: _Problem, state: _State, products: _Products, gradient: Tensor) -> Tensor:
    """Step of the fixed point, each log scale on its own."""
    scales, matrix = problem.c.scales, problem.scale_matrix
    missing = (products.sizes - products.traces)[problem.is_scale].clamp(min=1e-12)  # n - tr S
    slope, bend = scales.prior_slope_and_curvature(state.vector)
    logs = scales.is_log.double()
    share = matrix @ (logs / matrix.sum(0).clamp(min=1))  # a shared scale's prior, split over its days
    pull = matrix @ (logs * (1 - slope) / matrix.sum(0).clamp(min=1))  # s^2 / prior^2
    total = gradient + share - pull
    wanted = 0.5 * ((gradient + missing + share).log() - (missing + pull).log())
    curvature = torch.where(wanted.abs() > 1e-9, total / wanted, 2 * missing).clamp(min=1e-6)
    precision = matrix.T @ (curvature[:, None] * matrix) + torch.diag(torch.where(logs > 0, 1e-9, bend))
    return solve(precision, matrix.T @ gradient + slope, "the curvature of the scales")


def _follow(problem: _Problem, state: _State, linear: _Linear, products: _Products, change: Tensor) -> _State:
    """Move the mode to where it goes with the scales, whose logs changed by [F*, H].

    Each coordinate as it would on its own (``ratio``), the rest to first order (``_slope``).
    """
    c = problem.c
    others = (_slope(problem, products) @ change.reshape(-1)).view_as(linear.y)
    change = change[:, c.scale_of.clamp(min=0)] * (c.scale_of >= 0)  # [F*, p]
    shrink = variance_factor(products.ratio, change)
    y = linear.y * change.exp() * shrink + shrink.sqrt() * others
    x = c.sd(c.scales.log_scales(state.vector)) * y
    return replace(state, x=x, eta=_predict(state.rows, c, x))


def _slope(problem: _Problem, products: _Products) -> Tensor:
    """Change of y with each log scale, [P, F* H], without each coordinate's own part.

    d y / d log s_h = 2 S y_h - y_h.
    """
    groups = problem.is_scale
    own = products.parts[:, groups] * products.ratio.reshape(-1, 1)
    return 2 * (products.solved_parts[:, groups] - own)


def _learn(problem: _Problem, state: _State, linear: _Linear, products: _Products) -> dispersion.Learned:
    """Effective parameters and posterior variance of the probabilities, by day."""
    c, n, rows = problem.c, problem.n, state.rows
    count = max(FEWEST_PROBES, min(DAY_PROBES, DAY_PROBES * 5000 // state.x.numel()))
    signs = _signs(n * c.size, count, seed=1).to(c.device)
    solved = linear.system.solve(signs)
    pi = fate_probabilities(state.eta)
    weights = curvature(rows, pi)
    slope = (torch.diag_embed(pi) - pi[:, :, None] * pi[:, None, :])[:, :, 1:]  # [M, F, F*] d pi / d eta
    sums = torch.zeros(2, c.terms.n_days, dtype=DTYPE, device=c.device)
    for left, right in zip(signs.T.split(4), solved.T.split(4), strict=True):
        a = _predict_many(rows, c, linear.sd * left.reshape(-1, n, c.size))  # [M, k, F*]
        b = _predict_many(rows, c, linear.sd * right.reshape(-1, n, c.size))
        sums[0].index_add_(0, rows.day, torch.einsum("mkf,mfg,mkg->m", a, weights, b))
        a, b = (torch.einsum("mfg,mkg->mkf", slope, x) for x in (a, b))
        sums[1].index_add_(0, rows.day, rows.cells * (a * b).sum(dim=(1, 2)))
    total = float(state.x.numel() - products.traces.sum())  # the probes tell its shares
    parameters, variance = sums * total / sums[0].sum()
    return dispersion.Learned(parameters, variance)


def _disperse(
    problem: _Problem, rows: Rows, eta: Tensor, learned: dispersion.Learned
) -> tuple[Rows, dispersion.Dispersion]:
    """Rows with the weights that follow from the residuals, unless given; dispersion of the labels."""
    found = dispersion.estimate(rows, fate_probabilities(eta), learned, problem.shared)
    if problem.estimates_weight:
        rows = rows.weighted(dispersion.weights(rows, found, problem.shared))
    return rows, found


def _finish(problem: _Problem, state: _State) -> Laplace:
    """Posterior of the scales, and how the mode moves with them."""
    linear = _linearise(problem, state)
    products = _multiply(problem, linear)
    gradient, fisher, observed = _scale_derivatives(problem, products)
    matrix = problem.scale_matrix
    _, bend = problem.c.scales.prior_slope_and_curvature(state.vector)
    values, vectors = eigh(_with_prior(observed, matrix, bend), "the information on the scales")
    bound = fisher - 2 * torch.diag(gradient.clamp(max=0))
    smallest = eigh(_with_prior(bound, matrix, bend), "the expected information on the scales")[0].min()
    covariance = vectors @ torch.diag(1 / values.clamp(min=0.25 * float(smallest))) @ vectors.T
    scale_factor = cholesky(covariance, "the covariance of the scales")
    whitening = linear.system.whitening()
    words = list(state.outcome.words)
    if not state.dispersion.settled:
        words.append("The correlation of labels within clusters did not settle.")
    status = state.outcome.status
    if linear.system.residual > 1:
        words.append(
            "Conjugate gradients ended before their limit: the residual of a solve is "
            f"{linear.system.residual:.3g} times as large. Raise fit.dense_limit if the memory is there."
        )
        status = "budget" if status == "converged" else status
    return Laplace(
        problem.c, state.vector, linear.y, linear.system, whitening, scale_factor,
        _slope(problem, products) @ matrix, products.ratio, state.rows, state.dispersion,
        Outcome(status, tuple(words)), state.trace, state.saved(),
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

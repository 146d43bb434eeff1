"""The mixture weights: a convex problem, solved to optimality.

    maximise  sum_n log sum_k pi_k L_nk + sum_k a_k log pi_k   over the simplex

A penalty a_k > 0 is a further row of L that only component k explains, counted a_k times. With row
counts w and W = sum w, weights are optimal where the gradient sum_n w_n L_nk / (L pi)_n of no component
exceeds W.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import nnls

if TYPE_CHECKING:
    from fatewalk.mash.data import Array

TOLERANCE = 1e-8  # largest KKT gap accepted
TARGET = 1e-11  # where the iteration stops: convergence is quadratic, the last digits cost nothing
MAX_STEPS = 200
N_ENTERING = 30  # components that may enter per step
MAX_LOSS = 0.9  # largest part of its density that a row may lose in a step
RIDGE = 1e-10  # keeps the Newton system solvable when components coincide


@dataclass(frozen=True)
class MixtureWeights:
    """Solution of the weights problem.

    Parameters
    ----------
    pi
        Weights [P], >= 0, sum 1.
    objective
        The penalised log-likelihood, of likelihoods divided by their row maximum.
    kkt_gap
        ``max_k gradient_k / W - 1``; 0 at the optimum.
    steps
        Newton steps taken.
    """

    pi: Array
    objective: float
    kkt_gap: float
    steps: int


def mixture_weights(loglik: Array, penalty: Array) -> MixtureWeights:
    """Maximise the penalised likelihood of a mixture over its weights.

    Proximal Newton steps on an active set. Each step replaces the objective by its second-order
    expansion in the components in use and those of the largest gradient, and minimises it over
    non-negative weights (Wang, JRSS B 69, 2007, with a prior). The start is the uniform mixture,
    kept as one further column: it explains every row, so that components enter one by one
    and the Newton systems stay as small as the support.

    Parameters
    ----------
    loglik
        Log-likelihoods [n, P].
    penalty
        Prior counts a [P], >= 0.

    Returns
    -------
    MixtureWeights
        The optimum.

    Raises
    ------
    RuntimeError
        If the KKT gap does not fall below `TOLERANCE`.
    """
    n_rows, n_components = loglik.shape
    penalised = np.flatnonzero(penalty)
    # a component is a row of memory here: a step reads few of them
    columns = np.empty((n_components + 1, n_rows + len(penalised)))
    np.exp((loglik - loglik.max(axis=1, keepdims=True)).T, out=columns[:-1, :n_rows])
    columns[:-1, n_rows:] = np.eye(n_components)[:, penalised]
    columns[-1] = columns[:-1].mean(axis=0)
    counts = np.concatenate([np.ones(n_rows), penalty[penalised]])
    total = counts.sum()

    weights = np.zeros(n_components + 1)
    weights[-1] = 1.0
    density = columns[-1].copy()
    steps = 0
    while True:
        gradient = columns @ (counts / density)
        gap = gradient[:-1].max() / total - 1
        if gap <= TARGET or steps == MAX_STEPS:
            break
        entering = np.argsort(gradient)[-N_ENTERING:]
        active = np.union1d(np.flatnonzero(weights), entering[gradient[entering] > total])
        scaled = columns[active] / density  # [active, rows]
        step = _newton_point(scaled, counts, weights[active]) - weights[active]
        size = _step_size(step @ scaled, step.sum(), counts)
        if size == 0:
            break
        weights[active] += size * step
        weights /= weights.sum()
        density = weights[active] @ columns[active]
        steps += 1
    if gap > TOLERANCE:
        raise RuntimeError(f"the mixture weights stopped at a KKT gap of {gap:.3g} after {steps} steps")
    pi = weights[:-1] + weights[-1] / n_components
    return MixtureWeights(pi, float(counts @ np.log(density)), float(gap), steps)


def _newton_point(scaled: Array, counts: Array, weights: Array) -> Array:
    """Non-negative maximiser of the second-order expansion at `weights`.

    Minimises ``1/2 q'(H + D)q - (2 g + D weights - W)'q`` over q >= 0, where H weights = g holds and
    ``W sum q`` stands for the simplex; the ridge D pulls towards `weights`, so it moves no optimum.
    """
    hessian = (scaled * counts) @ scaled.T
    ridge = RIDGE * np.diag(hessian)
    target = 2 * scaled @ counts + ridge * weights - counts.sum()
    root = np.linalg.cholesky(hessian + np.diag(ridge))
    return nnls(root.T, solve_triangular(root, target, lower=True))[0]


def _step_size(relative_change: Array, sum_change: float, counts: Array) -> float:
    """Halve from 1 until the objective rises enough (Armijo); 0 if rounding hides any rise.

    No row may lose nearly all its density: the quadratic is worthless there, and Newton's method
    only doubles a density that is far too small.
    """
    total = counts.sum()
    slope = counts @ relative_change - total * sum_change
    size = 1.0
    while size > 1e-8:
        change = size * relative_change
        if change.min() > -MAX_LOSS:
            rise = counts @ np.log1p(change) - size * total * sum_change
            if rise >= 1e-4 * size * slope > 0:
                return size
        size /= 2
    return 0.0

r"""Weights of a mixture whose components have two properties that do not depend on each other.

Component (c, s) of class c and shape s has the weight (1 - pi_0) rho_c w_s. A few dozen rows cannot tell a
weight of its own for every pair: free weights settle on a few components, as if those alone were possible,
and the posterior is too sure. The weights are the mode under Dirichlet priors that stand for some rows
spread evenly, found by EM:

    r_n(c, s) = P(row n comes from (c, s)),     rho_c ~ sum_{n, s} r_n(c, s) + a / C
                                                w_s   ~ sum_{n, c} r_n(c, s) + b / S
                                                pi_0  ~ sum_n r_n(0) + null_weight - 1
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import xlogy

if TYPE_CHECKING:
    from fatewalk.mash.data import Array

CLASS_ROWS = 1.0  # a, rows that speak for all classes alike
SHAPE_ROWS = 3.0  # b, rows that speak for all shapes alike
GAIN = 1e-5  # of a round, in log posterior, that ends the rounds
MAX_ROUNDS = 2000


@dataclass(frozen=True)
class ProductWeights:
    """Weights of the mixture.

    Parameters
    ----------
    pi0
        Of no effect.
    classes, shapes
        rho [C] and w [S], each with sum one.
    loglik
        Log-likelihood of the rows, against that of no effect in any.
    rounds
        Rounds of EM taken.
    gain
        What the last round added to the log posterior.
    """

    pi0: float
    classes: Array
    shapes: Array
    loglik: float
    rounds: int
    gain: float

    def pi(self) -> Array:
        """Weights of the components [C, S]; with `pi0` they sum to one."""
        return (1 - self.pi0) * np.outer(self.classes, self.shapes)


def product_weights(loglik: Array, null_weight: float) -> ProductWeights:
    """Find the weights.

    Parameters
    ----------
    loglik
        Log-likelihood of each row under each component, against no effect [n, C, S].
    null_weight
        No effect counts as this many rows less one, beside the data, >= 1.

    Examples
    --------
    Half of 40 rows come from class 1; shape 0 and shape 1 are as likely for each:

    >>> loglik = np.full((40, 2, 2), -9.0)
    >>> loglik[:20, 1] = 9.0
    >>> found = product_weights(loglik, null_weight=1)
    >>> round(found.pi0, 2), found.classes.round(2), found.shapes
    (0.5, array([0.02, 0.98]), array([0.5, 0.5]))
    """
    n, n_classes, n_shapes = loglik.shape
    flat = loglik.reshape(n, -1)
    top = flat.max(axis=1).clip(min=0)
    likelihood, null = np.exp(flat - top[:, None]), np.exp(-top)
    pi0, classes, shapes = 0.5, np.full(n_classes, 1 / n_classes), np.full(n_shapes, 1 / n_shapes)
    value = gain = -np.inf
    for rounds in range(1, MAX_ROUNDS + 1):
        weights = (1 - pi0) * np.outer(classes, shapes).ravel()
        total = null * pi0 + likelihood @ weights
        now = float(np.log(total).sum() + xlogy(null_weight - 1, pi0))
        now += CLASS_ROWS * np.log(classes).mean() + SHAPE_ROWS * np.log(shapes).mean()
        gain, value = now - value, now
        if gain < GAIN or rounds == MAX_ROUNDS:
            break
        rows = (weights * ((1 / total) @ likelihood)).reshape(n_classes, n_shapes)
        pi0 = float((null * pi0 / total).sum() + null_weight - 1) / (n + null_weight - 1)
        classes = (rows.sum(axis=1) + CLASS_ROWS / n_classes) / (rows.sum() + CLASS_ROWS)
        shapes = (rows.sum(axis=0) + SHAPE_ROWS / n_shapes) / (rows.sum() + SHAPE_ROWS)
    return ProductWeights(pi0, classes, shapes, float((np.log(total) + top).sum()), rounds, gain)

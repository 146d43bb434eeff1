"""Fate labels of cells: drawn from their logits, and what a label tool does to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import KDTree
from scipy.special import softmax

if TYPE_CHECKING:
    from fatewalk.config.simulate import SimulateConfig
    from fatewalk.screen.simulate.streams import Floats, Ints


def draw_labels(config: SimulateConfig, eta: Floats, day: Ints, rng: np.random.Generator) -> Floats:
    """Fate probabilities of the cells, [N, F]; rows sum to one."""
    prob = softmax(eta, axis=1)
    if config.labels == "one_hot":
        below = np.cumsum(prob[:, :-1], axis=1) < rng.random((len(prob), 1))
        return np.eye(prob.shape[1])[below.sum(axis=1)]
    shape = np.maximum(prob * _concentration(config)[day][:, None], 1e-300)
    # In logs, because gamma draws of a small shape are often 0 for all fates:
    # Gamma(a) = Gamma(a + 1) * U^(1 / a), Marsaglia & Tsang (2000).
    log_gamma = np.log(rng.standard_gamma(shape + 1)) - rng.standard_exponential(shape.shape) / shape
    drawn = softmax(log_gamma, axis=1)
    if config.dispersion_by_fate is None:
        return drawn
    keep = _kept(config.dispersion_by_fate)
    dealt = prob * (1 - keep)
    return drawn * keep + (drawn @ (1 - keep))[:, None] * dealt / dealt.sum(axis=1, keepdims=True).clip(
        1e-300
    )


def label_dispersion(config: SimulateConfig, prob: Floats) -> Floats:
    """Variance of the labels about their mean over that of one-hot labels, [D, F].

    Parameters
    ----------
    config
        The settings.
    prob
        Mean probability of the fates by day, [D, F].
    """
    if config.labels == "one_hot":
        return np.ones_like(prob)
    keep = np.ones(prob.shape[1]) if config.dispersion_by_fate is None else _kept(config.dispersion_by_fate)
    dealt = prob * (1 - keep)  # [D, F]
    share = dealt / dealt.sum(axis=1, keepdims=True).clip(1e-300)
    mix = np.eye(len(keep)) * keep + share[:, :, None] * (1 - keep)  # [D, F, F]
    one_hot = prob[:, :, None] * (np.eye(len(keep)) - prob[:, None, :])  # [D, F, F]
    variance = np.einsum("dfg,dgh,dfh->df", mix, one_hot, mix)
    return variance / (prob * (1 - prob)) / (_concentration(config)[:, None] + 1)


def smooth_labels(
    config: SimulateConfig, prob: Floats, eta: Floats, day: Ints, rng: np.random.Generator
) -> Floats:
    """Labels averaged over the nearest cells of the day, [N, F].

    The state of a cell is its logits plus N(0, 1) each; a cell is its own nearest neighbour.
    """
    if not config.label_smoothing:
        return prob
    state = eta[:, 1:] + rng.standard_normal((len(eta), eta.shape[1] - 1))
    smooth = np.empty_like(prob)
    for d in range(len(config.days)):
        cells = np.flatnonzero(day == d)
        _, near = KDTree(state[cells]).query(state[cells], k=np.arange(1, config.label_smoothing + 1))
        smooth[cells] = prob[cells][near].mean(axis=1)
    return smooth


def shrink_labels(config: SimulateConfig, prob: Floats, day: Ints) -> Floats:
    """Labels drawn towards the mean of their day by ``label_shrink``, [N, F]."""
    factor = np.broadcast_to(np.asarray(config.label_shrink, dtype=float), len(config.days))  # [D]
    if (factor == 1).all():
        return prob
    mean = np.array([prob[day == d].mean(axis=0) for d in range(len(factor))])  # [D, F]
    return mean[day] + factor[day][:, None] * (prob - mean[day])


def _concentration(config: SimulateConfig) -> Floats:
    """Of the Dirichlet labels by day, [D]; of the fate that scatters most."""
    most = max(config.dispersion_by_fate or [1.0])
    concentration = np.broadcast_to(np.asarray(config.concentration, dtype=float), len(config.days))
    return concentration if most == 1 else (concentration + 1) / most - 1


def _kept(factors: list[float]) -> Floats:
    """Share of its own label that each fate keeps, [F].

    The rest goes to a pool that is dealt to the fates as mean probability times the share not kept: so
    labels sum to one, stay between 0 and 1 and keep their mean, and the fate that scatters most keeps all.
    """
    return np.sqrt(np.asarray(factors) / max(factors))

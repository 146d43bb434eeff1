"""Probabilities of the fates that the fitted model gives to each cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from fatewalk.estimates.from_draws import draw_effects
from fatewalk.model import Effects
from fatewalk.model.rows import linear_predictor, make_rows, row_of_cells

if TYPE_CHECKING:
    import numpy as np

    from fatewalk.infer.fitted import Posterior
    from fatewalk.screen.design import Design


@torch.no_grad()
def fitted_probabilities(posterior: Posterior, design: Design, draws: int, seed: int) -> np.ndarray:
    """Probability of each fate of each cell, given its day, guides, replicate and whatever else was fitted.

    The average over posterior draws, not the cell's own label: cells that are alike in all of this have the
    same.

    Parameters
    ----------
    posterior
        The fit.
    design
        The cells that it was fitted to.
    draws, seed
        Posterior draws and their seed.

    Returns
    -------
    numpy.ndarray, float [N, F]
        In the order of the design's cells; rows sum to one.
    """
    terms = posterior.model.terms
    rows = make_rows(design, terms)
    total = torch.zeros(len(rows), len(design.fates), dtype=torch.float64)
    for latents, effects in draw_effects(posterior, draws, seed):
        for i in range(len(effects.theta)):
            one = {name: value[i] for name, value in latents.items()}
            coefficients = posterior.model.coefficients(one, Effects(effects.theta[i], effects.delta[i]))
            eta = linear_predictor(rows, coefficients)  # [M, F*]
            total += torch.softmax(torch.cat([torch.zeros(len(eta), 1), eta], dim=1), dim=1)
    probabilities: np.ndarray = (total / draws)[row_of_cells(design, terms)].numpy()
    return probabilities

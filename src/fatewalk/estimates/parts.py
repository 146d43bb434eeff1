"""What each guide x replicate says of each fate: one step from the mode, so that parts can be left out.

At the mode under the prior that treats all fates alike, the cells of guide g, replicate r and day d have

    score        s = sum of w (p_f - pi_f)              for each fate f, w the weight of a label
    information  I = sum of w pi_f (1 - pi_f)

and move the logit of the fate's probability by s / I (one Newton step, all else held at the mode). The
parts of a gene can be pooled again without any of them, and no cell is looked at twice.

Letters: N cells, E guide calls, G guides, R replicates, F fates (the reference first), F* contrasts, D days.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from fatewalk.estimates.arrays import GuideParts
from fatewalk.model.coordinates import Coordinates
from fatewalk.model.information import fate_probabilities
from fatewalk.model.rows import linear_predictor, make_rows, row_of_cells

if TYPE_CHECKING:
    from fatewalk.infer.fitted import Posterior
    from fatewalk.screen.design import Design


@torch.no_grad()
def guide_parts(posterior: Posterior, design: Design) -> GuideParts:
    """Score and information of each guide x replicate x day on each fate.

    A cell with several guides counts for each of them.

    Parameters
    ----------
    posterior
        The fit.
    design
        The cells.
    """
    terms, mode = posterior.model.terms, posterior.symmetric
    c = Coordinates(terms, symmetric=terms.n_contrasts > 1)
    sd = c.sd(c.scales.log_scales(mode["vector"]))
    rows = make_rows(design, terms).weighted(mode["weight"])
    coefficients = c.mixed(c.coefficients(sd * mode["y"]).T.contiguous())  # [Q, F*]
    pi = fate_probabilities(linear_predictor(rows, coefficients))  # [M, F]
    row = row_of_cells(design, terms)  # [N]
    shape = (len(design.guides), len(design.reps), len(design.days))
    cell = torch.repeat_interleave(torch.arange(design.n_cells), design.cell_offsets.diff())  # [E]
    part = (design.cell_guides * shape[1] + design.rep[cell]) * shape[2] + design.day[cell]
    score, information = [], []
    for f in range(len(design.fates)):  # one fate after the other: calls times fates would not fit
        own, weight = pi[row, f], rows.weight[row]  # [N]
        score.append(_total(weight * (design.prob[:, f] - own), cell, part, shape))
        information.append(_total(weight * own * (1 - own), cell, part, shape))
    beta = coefficients[terms.first_guide :].view(shape[2], shape[0], -1).permute(1, 2, 0)
    return GuideParts(
        score=np.stack(score, axis=2),
        information=np.stack(information, axis=2),
        cells=torch.bincount(part, minlength=shape[0] * shape[1] * shape[2]).view(shape).numpy(),
        at_mode=beta.numpy(),
        guides=np.array(design.guides),
        replicates=np.array(design.reps),
    )


def _total(
    values: torch.Tensor, cell: torch.Tensor, part: torch.Tensor, shape: tuple[int, ...]
) -> np.ndarray:
    """Sum of values of cells [N] over the calls of each part, [G, R, D]."""
    total = torch.zeros(shape[0] * shape[1] * shape[2], dtype=values.dtype)
    return total.index_add(0, part, values[cell]).view(shape).numpy()

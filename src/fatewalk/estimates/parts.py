"""What each guide x replicate says of each fate: one step from the mode, so that parts can be left out.

At the mode under the prior that treats all fates alike, the cells of guide g, replicate r and day d have

    score        s = sum of w (p_f - pi_f)              for each fate f, w the weight of a label
    information  I = sum of w pi_f (1 - pi_f)

and move the logit of the fate's probability by s / I (one Newton step, all else held at the mode). The
parts of a gene can be pooled again without any of them, and no cell is looked at twice.

Where controls are clusters (embryos, all of whose cells carry the same guides), the same sums over the cells
of each control say where the others would put the zero of a day: all genes shift by what the controls lose,

    shift without u = (sum of s) / (sum of I) - (the same without u)

which is the most it can be: that effects of genes lie around zero holds them back a little.

Letters: N cells, E guide calls, G guides, R replicates, F fates (the reference first), F* contrasts, D days,
U control clusters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from fatewalk.estimates.arrays import GuideParts
from fatewalk.model.cells import clusters_share_guides
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
    controls, control = _controls(design)
    cell = design.cell_of_call  # [E]
    part = (design.cell_guides * shape[1] + design.rep[cell]) * shape[2] + design.day[cell]
    score, information, shift = [], [], []
    for f in range(len(design.fates)):  # one fate after the other: calls times fates would not fit
        own, weight = pi[row, f], rows.weight[row]  # [N]
        first, second = weight * (design.prob[:, f] - own), weight * own * (1 - own)
        score.append(_total(first, cell, part, shape))
        information.append(_total(second, cell, part, shape))
        shift.append(_shift(first, second, design.day, control, (len(controls), shape[2])))
    beta = coefficients[terms.first_guide :].view(shape[2], shape[0], -1).permute(1, 2, 0)
    return GuideParts(
        score=np.stack(score, axis=2),
        information=np.stack(information, axis=2),
        cells=torch.bincount(part, minlength=shape[0] * shape[1] * shape[2]).view(shape).numpy(),
        at_mode=beta.numpy(),
        guides=np.array(design.guides),
        replicates=np.array(design.reps),
        controls=np.array(controls, dtype=str),
        control_shift=np.stack(shift, axis=1),
    )


def _controls(design: Design) -> tuple[list[str], torch.Tensor]:
    """Control clusters, and which of them a cell is of [N], -1 if none; only where clusters share guides."""
    if not clusters_share_guides(design):
        return [], torch.full((design.n_cells,), -1)
    free = design.cell_offsets.diff() == 0  # [N]
    found = torch.unique(design.cluster[free])
    place = torch.full((len(design.clusters),), -1)
    place[found] = torch.arange(len(found))
    return [design.clusters[i] for i in found.tolist()], place[design.cluster]


def _shift(
    score: torch.Tensor,
    information: torch.Tensor,
    day: torch.Tensor,
    unit: torch.Tensor,
    shape: tuple[int, int],
) -> np.ndarray:
    """Shift of all genes without each control [U, D]; 0 on other days, missing where it is alone."""
    of = unit >= 0
    place = unit[of] * shape[1] + day[of]
    own_score, own = (
        torch.zeros(shape[0] * shape[1], dtype=x.dtype).index_add(0, place, x[of]).view(shape)
        for x in (score, information)
    )
    all_score, everything = own_score.sum(dim=0), own.sum(dim=0)
    rest = everything - own
    others = torch.where(rest > 1e-9 * everything, (all_score - own_score) / rest, torch.nan)
    return torch.where(own > 0, all_score / everything - others, 0.0).numpy()


def _total(
    values: torch.Tensor, cell: torch.Tensor, part: torch.Tensor, shape: tuple[int, ...]
) -> np.ndarray:
    """Sum of values of cells [N] over the calls of each part, [G, R, D]."""
    total = torch.zeros(shape[0] * shape[1] * shape[2], dtype=values.dtype)
    return total.index_add(0, part, values[cell]).view(shape).numpy()

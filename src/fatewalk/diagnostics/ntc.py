"""A free slope on the number of NTC guides, as a check of the burden."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from fatewalk.core.errors import first_few
from fatewalk.core.words import N_NAMED
from fatewalk.diagnostics.profile import NO_INFORMATION
from fatewalk.model.cells import centred_burden
from fatewalk.model.information import fate_probabilities
from fatewalk.model.linalg import inverse
from fatewalk.model.rows import linear_predictor, row_of_cells
from fatewalk.model.scales import DTYPE
from fatewalk.model.terms import BurdenSlopes

if TYPE_CHECKING:
    import numpy as np

    from fatewalk.infer.laplace import Laplace
    from fatewalk.screen.design import Design

NTC_Z_WARN = 3.0


@dataclass(frozen=True)
class NtcSlope:
    """Effect of an NTC guide beyond its share of the burden, logit per guide; should be zero.

    Attributes
    ----------
    slope, se, z : array [F*]
        One Newton step from zero, its SD given all else, their ratio.
    contrasts
        Names.
    warnings
        Full sentences.
    """

    slope: np.ndarray
    se: np.ndarray
    z: np.ndarray
    contrasts: tuple[str, ...]
    warnings: list[str]

    def report(self) -> dict[str, Any]:
        """Part of the fit card."""
        return {
            contrast: {"slope": slope, "se": se, "z": z}
            for contrast, slope, se, z in zip(
                self.contrasts, self.slope.tolist(), self.se.tolist(), self.z.tolist(), strict=True
            )
        }


@torch.no_grad()
def ntc_slope(laplace: Laplace, design: Design) -> NtcSlope | None:
    """Test whether NTC guides act beyond the burden: one step of a slope on their number in the cell.

    With score s = sum of w n_ntc (p - pi), information I and covariance C with all other parameters,
    whose information with the prior is H, the step is (I - C' H^-1 C)^-1 s: at the mode the score of
    the others is zero. A common shift of all genes imitates this slope once it is free, so the test
    asks whether the shift that the NTC cells want fits the prior, under which effects of genes
    average to about zero; many effects of one sign are the other way to a large z.

    Parameters
    ----------
    laplace
        At its mode.
    design
        The cells.

    Returns
    -------
    NtcSlope or None
        None where no cell has an NTC guide, or nothing is left to tell the slope from the rest.
    """
    if not bool((design.n_ntc > 0).any()):
        return None
    c, rows = laplace.coordinates, laplace.rows
    device = rows.day.device
    sd = c.sd(c.scales.log_scales(laplace.vector))  # [F*, p]
    pi = fate_probabilities(linear_predictor(rows, c.coefficients(sd * laplace.y).T.contiguous()))
    row, n_ntc = row_of_cells(design, c.terms).to(device), design.n_ntc.to(device, DTYPE)
    weighted = rows.weight[row] * n_ntc  # [N]
    score = (weighted[:, None] * (design.prob.to(device) - pi[row])).sum(dim=0)[1:]  # [F*]
    zeros = torch.zeros(len(rows), dtype=DTYPE, device=device)
    first = zeros.index_add(0, row, weighted)  # [M]
    second = zeros.index_add(0, row, weighted * n_ntc)
    p = pi[:, 1:]
    bend = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]  # [M, F*, F*]
    n = len(score)
    whole = (second[:, None, None] * bend).sum(dim=0)  # [F*, F*]
    crossed = rows.transpose @ (first[:, None] * bend.reshape(len(rows), -1))  # [Q, F* F*]
    crossed = c.adjoint(crossed.T.reshape(n, n, -1))  # [F* of the slope, F*, p]
    crossed = (sd * crossed).reshape(n, -1).T  # [P, F*]
    left = whole - crossed.T @ laplace.system.solve(crossed)
    if float((left.diagonal() / whole.diagonal()).min()) < NO_INFORMATION:
        return None
    covariance = inverse(0.5 * (left + left.T), "the information on the slope of NTC guides")
    slope, se = covariance @ score, covariance.diagonal().sqrt()
    z = slope / se
    names = [
        f"{contrast} (slope {s:+.3f}, z {v:+.1f})"
        for contrast, s, v in zip(design.contrasts, slope.tolist(), z.tolist(), strict=True)
        if abs(v) > NTC_Z_WARN
    ]
    warnings = []
    if names:
        warnings.append(_why(first_few(names, N_NAMED), design, bool(c.terms.nuisance(BurdenSlopes))))
    numbers = slope.cpu().numpy(), se.cpu().numpy(), z.cpu().numpy()
    return NtcSlope(*numbers, design.contrasts, warnings)


def _why(where: str, design: Design, has_slope: bool) -> str:
    """What may be wrong where NTC guides act, in the model as it is."""
    otherwise = "most genes act in the same direction, or NTC guides do act."
    if not bool(centred_burden(design).any()):
        return f"NTC guides act on {where}, where all cells of a day have the same burden: {otherwise}"
    if not has_slope:
        return (
            f"NTC guides act on {where}, and the model has no burden slope (model.burden_slope: none) that "
            "could take up what any guide does: it goes into the effects of all genes alike. Set "
            f"model.burden_slope: per_day. If cells with more guides are known to behave alike, {otherwise}"
        )
    if bool((design.burden == design.n_guides).all()):
        mend = (
            "is probably miscounted (for example one NTC label pooled over several guides), which shifts the "
            "effects of all genes alike: give a column burden with the true number of guides in the cell"
        )
    else:
        mend = (
            "of the column does not seem to be the number of guides in the cell, which shifts the effects of "
            "all genes alike: correct the column"
        )
    return (
        f"NTC guides act beyond their share of the burden on {where}. The burden {mend}. If the burden is "
        f"right, {otherwise}"
    )

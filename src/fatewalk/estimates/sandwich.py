"""What errors become where labels scatter otherwise than their weights say.

An unshrunk estimate b solves J b = h, with J the information of the labels at their weights. If their score
has a covariance J + X instead of J, the *excess* X being zero where weights are the inverse variances,

    error of b   J^-1 + J^-1 X J^-1
    evidence     J_X = (J^-1 + J^-1 X J^-1)^-1 = J^1/2 (1 + J^-1/2 X J^-1/2)^-1 J^1/2 ,   h_X = J_X b

b stays. In the second form nothing is inverted that the labels do not see: J_X and h_X are zero there. An
error of another source, with covariance C of b itself, is added to the errors as it is, and to the
evidence as the excess J C J.

Letters: m estimates, K values each.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fatewalk.model.linalg import cholesky, eigh

ROUNDING = 1e-10  # information below this share of the largest is rounding


def robust_error(error: Tensor, excess: Tensor) -> Tensor:
    """Errors [m, K, K] with an excess [m, K, K] of the score; what is missing stays missing."""
    known = error.nan_to_num()
    added = known @ excess @ known
    return error + 0.5 * (added + added.mT)


def robust_evidence(score: Tensor, information: Tensor, excess: Tensor) -> tuple[Tensor, Tensor]:
    """Score [m, K] and information [m, K, K] with an excess [m, K, K] of the score.

    Raises
    ------
    NumericalError
        If a matrix cannot be decomposed, or the score had no variance.
    """
    own = information.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt()  # [m, K]
    unit = torch.where(own > 0, own, 1.0)
    both = unit[:, :, None] * unit[:, None, :]
    values, vectors = eigh(information / both, "the information of the labels on an effect")
    seen = values > ROUNDING * values.amax(dim=-1, keepdim=True).clamp(min=ROUNDING)
    root = torch.where(seen, values, 0.0).clamp(min=0).sqrt()  # [m, K]
    inverse = torch.where(seen, 1 / root.clamp(min=1e-150), 0.0)
    one = torch.eye(own.shape[1], dtype=own.dtype, device=own.device)
    basis = vectors * inverse[:, None, :]
    factor = cholesky(one + basis.mT @ (excess / both) @ basis, "the scatter of the labels of an effect")
    half = torch.linalg.solve_triangular(
        factor, root[:, :, None] * vectors.mT * unit[:, None, :], upper=False
    )
    on_seen = (basis / unit[:, :, None]).mT @ score[:, :, None]  # [m, K, 1]
    given = torch.linalg.solve_triangular(factor, on_seen, upper=False)
    return (half.mT @ given)[:, :, 0], half.mT @ half

"""Where the intercepts start: the fates of each day, whatever the guides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from fatewalk.screen.design import Design


def day_intercepts(design: Design) -> Tensor:
    """Log odds of each day's mean fate probabilities against the reference, [F*, D]."""
    n_days, n_fates = len(design.days), len(design.fates)
    total = torch.zeros(n_days, n_fates, dtype=torch.float64).index_add(0, design.day, design.prob)
    total = total + 0.5  # half a cell: a fate absent on a day starts at a finite logit
    share = total / total.sum(dim=1, keepdim=True)  # [D, F]
    return (share[:, 1:] / share[:, :1]).log().T.contiguous()

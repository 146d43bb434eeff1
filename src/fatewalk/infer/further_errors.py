"""Errors of effects beside those of the labels: what NTC guides and replicates add.

Letters: L genes, F* contrasts, D days.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from torch import Tensor

from fatewalk.model.scales import DTYPE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fatewalk.infer.ntc_guides import NtcGuides
    from fatewalk.infer.replicates import ReplicateSpread
    from fatewalk.screen.design import Design


@dataclass(frozen=True)
class FurtherErrors:
    """Errors beside those of the labels.

    Attributes
    ----------
    ntc_shift : Tensor [F*, D, F*, D]
        Covariance of the error that deviations of NTC guides leave to all genes and guides alike, logit
        squared; 0 where it is not asked for.
    replicate_variance : Tensor [L, F*, D]
        What differences between replicates add to the variance of a gene's effect, logit squared.
    beyond_one : Tensor []
        Sum over gene-days of replicates with cells, less one.
    """

    ntc_shift: Tensor
    replicate_variance: Tensor
    beyond_one: Tensor

    @classmethod
    def of(cls, design: Design, ntc: NtcGuides | None, replicates: ReplicateSpread | None) -> Self:
        """Those that were measured; none of what was not."""
        genes, n, days = len(design.genes), len(design.contrasts), len(design.days)
        shift = torch.zeros(n, days, n, days, dtype=DTYPE)
        variance = torch.zeros(genes, n, days, dtype=DTYPE)
        return cls(
            torch.from_numpy(np.ascontiguousarray(ntc.shift_covariance)) if ntc else shift,
            torch.from_numpy(replicates.variance) if replicates else variance,
            torch.tensor(replicates.beyond_one if replicates else 0),
        )

    @classmethod
    def none(cls, design: Design) -> Self:
        """None at all."""
        return cls.of(design, None, None)

    def to_dict(self) -> dict[str, Tensor]:
        """Tensors by name, as a file holds them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Tensor]) -> Self:
        """Undo `to_dict`."""
        return cls(**content)

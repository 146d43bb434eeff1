"""What a screen can tell, from its design alone, before or after it is fitted."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fatewalk.core.words import finite
from fatewalk.diagnostics.anchor import common_shift, judge_anchor
from fatewalk.diagnostics.attempt import attempt
from fatewalk.diagnostics.defects import (
    Defects,
    clusters_of_one_gene,
    determined_labels,
    in_every_cell,
    large_burden,
    occur_together,
    replicates_without_control,
)
from fatewalk.diagnostics.directions import WeakDirection, warn_of_weak, weak_directions
from fatewalk.diagnostics.profile import Profile
from fatewalk.model.coordinates import Coordinates

if TYPE_CHECKING:
    from fatewalk.model import Rows, Terms
    from fatewalk.screen.design import Design


@dataclass(frozen=True)
class Identifiability:
    """What a design can and cannot tell.

    Attributes
    ----------
    unanchored
        Whether the common shift of all genes is known on no day.
    shift_sd : array [F*, D]
        SD that the labels alone leave to the common shift of all genes; infinite without anchor.
    ntc_share : array [D]
        Share of cells with an NTC guide.
    control_share : array [D]
        Share of cells without targeting guides.
    weak_directions
        Weakest first.
    gene_defects, guide_defects
        Sentences by name of the gene or guide; only those that have a defect.
    warnings
        Full sentences.
    contrasts, days
        Names.
    """

    unanchored: bool
    shift_sd: np.ndarray
    ntc_share: np.ndarray
    control_share: np.ndarray
    weak_directions: list[WeakDirection]
    gene_defects: dict[str, str]
    guide_defects: dict[str, str]
    warnings: list[str]
    contrasts: tuple[str, ...]
    days: tuple[str, ...]

    def report(self) -> dict[str, Any]:
        """Part of the fit card; an infinite SD becomes None."""
        return {
            "unanchored": self.unanchored,
            "sd_of_common_shift": {
                contrast: dict(zip(self.days, map(finite, sds), strict=True))
                for contrast, sds in zip(self.contrasts, self.shift_sd.tolist(), strict=True)
            },
            "share_of_cells_with_ntc_guides": dict(zip(self.days, self.ntc_share.tolist(), strict=True)),
            "share_of_cells_without_targeting_guides": dict(
                zip(self.days, self.control_share.tolist(), strict=True)
            ),
            "weak_directions": [
                {key: finite(value) for key, value in asdict(weak).items()} for weak in self.weak_directions
            ],
            "genes_with_defects": len(self.gene_defects),
            "guides_with_defects": len(self.guide_defects),
        }


def check_identifiability(design: Design, terms: Terms, rows: Rows, primary: int = 0) -> Identifiability:
    """Find what a screen cannot tell, before or after it is fitted.

    Parameters
    ----------
    design
        The cells.
    terms
        Of the model.
    rows
        Of the design, with the weights of the labels, on any device. Weights of 1 are good enough
        for everything but the SDs, which go with 1 / sqrt(weight).
    primary
        Contrast whose weak directions are named.

    Returns
    -------
    Identifiability
        Cost: a few sparse products over the rows; where a contrast has at most
        ``DENSE_COORDINATES`` coordinates also a dense decomposition.
    """
    rows = rows.to(torch.device("cpu"))
    defects = Defects()
    check = partial(attempt, defects.warnings)
    # without centring theta and the mean of delta imitate each other in every gene, by intent
    profile = check("the nuisances", Profile, rows, Coordinates(terms.centred()))
    shift = check("the common shift of all genes", common_shift, profile) if profile else None
    groups = check("guides that occur together", occur_together, design, defects) or []
    check("guides in every cell", in_every_cell, design, defects)
    levels = check("replicates without control", replicates_without_control, design, defects) or []
    check("clusters", clusters_of_one_gene, design, defects)
    check("the burden", large_burden, design, terms, defects)
    weak: list[WeakDirection] = []
    sd, unanchored = np.full((terms.n_contrasts, terms.n_days), np.nan), False
    of_anchor: list[str] = []
    if profile:
        check("labels without spread", determined_labels, design, rows, profile, defects)
    if profile and shift:
        sd = shift.sd.numpy()
        judged = check("the anchor", judge_anchor, design, terms.walk.first_sd, sd, shift.against)
        unanchored, of_anchor = judged or (False, [])
        known = design, profile, shift, groups, levels, primary
        weak = check("weak directions", weak_directions, *known) or []
    n_days = len(design.days)
    cells = torch.bincount(design.day, minlength=n_days).double()
    ntc = torch.bincount(design.day[design.n_ntc > 0], minlength=n_days) / cells
    controls = torch.bincount(design.day[design.cell_offsets.diff() == 0], minlength=n_days) / cells
    return Identifiability(
        unanchored,
        sd,
        ntc.numpy(),
        controls.numpy(),
        weak,
        {name: " ".join(sentences) for name, sentences in defects.genes.items()},
        {name: " ".join(sentences) for name, sentences in defects.guides.items()},
        [*of_anchor, *defects.warnings, *warn_of_weak(weak)],
        design.contrasts,
        design.days,
    )

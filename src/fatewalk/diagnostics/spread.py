"""What NTC guides and replicates tell of errors that labels do not show: parts of the fit card."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fatewalk.diagnostics.attempt import attempt
from fatewalk.estimates.estimand import FEWEST_BEYOND_ONE, choose_estimand
from fatewalk.infer.further_errors import FurtherErrors
from fatewalk.infer.ntc_guides import NtcGuides, measure_ntc_guides, why_not_measured
from fatewalk.infer.replicates import LEVEL, ReplicateSpread, measure_replicates
from fatewalk.model.cells import clusters_share_guides

if TYPE_CHECKING:
    from fatewalk.infer.laplace import Laplace
    from fatewalk.screen.design import Design


@dataclass(frozen=True)
class Spread:
    """What was measured, and what not.

    Attributes
    ----------
    ntc, replicates
        None where there is nothing to measure.
    why_no_ntc
        Why there are no numbers of NTC guides; empty if there are.
    warnings
        Full sentences: measurements that failed.
    """

    ntc: NtcGuides | None
    replicates: ReplicateSpread | None
    why_no_ntc: str
    warnings: list[str]

    def errors(self, design: Design) -> FurtherErrors:
        """Errors of effects that follow from it."""
        return FurtherErrors.of(design, self.ntc, self.replicates)

    def report(self, design: Design) -> dict[str, Any]:
        """Parts of the fit card: ``ntc_guides`` and ``replicates``."""
        return {
            "ntc_guides": _of_ntc(self.ntc, design) if self.ntc else {"not_measured": self.why_no_ntc},
            "replicates": _of_replicates(self.replicates, design) if self.replicates else None,
        }


def measure_spread(laplace: Laplace, design: Design) -> Spread:
    """Measure how much NTC guides and replicates differ; what fails becomes a warning.

    Parameters
    ----------
    laplace
        At its mode.
    design
        The cells.
    """
    shared = clusters_share_guides(design)
    warnings: list[str] = []
    why = why_not_measured(design, shared)
    ntc = None if why else attempt(warnings, "the SD of NTC guides", measure_ntc_guides, laplace, design)
    replicates = attempt(
        warnings, "differences between replicates", measure_replicates, laplace, design, shared
    )
    return Spread(ntc, replicates, why or " ".join(warnings), warnings)


def _of_ntc(ntc: NtcGuides, design: Design) -> dict[str, Any]:
    """SD, Q and I2 by contrast; each guide, and what leaving it out does to all genes."""
    shift = np.sqrt(np.einsum("fdfd->fd", ntc.shift_covariance))  # [F*, D]
    by_contrast = {
        contrast: {
            "sd": ntc.sigma[f],
            "sd_95": ntc.interval[f].tolist(),
            "q": ntc.q[f],
            "freedom": len(ntc.names) - 1,
            "p": ntc.p[f],
            "i2": ntc.i2[f],
            "sd_of_common_shift": dict(zip(design.days, shift[f].tolist(), strict=True)),
        }
        for f, contrast in enumerate(design.contrasts)
    }
    guides = {
        name: {
            contrast: {
                "effect": ntc.effect[j, f],
                "se": ntc.se[j, f],
                "shift_without": dict(zip(design.days, ntc.left_out[j, f].tolist(), strict=True)),
            }
            for f, contrast in enumerate(design.contrasts)
        }
        for j, name in enumerate(ntc.names)
    }
    return {"contrasts": by_contrast, "guides": guides}


def _of_replicates(found: ReplicateSpread, design: Design) -> dict[str, Any]:
    """SD and test by contrast, and what ``calls.estimand: auto`` makes of it."""
    chosen = choose_estimand("auto", "mash_fates", found.beyond_one, design.n_guides_per_gene.numpy())
    return {
        "beyond_one": found.beyond_one,
        "needed": FEWEST_BEYOND_ONE,
        "estimand_auto": chosen.words,
        "level": LEVEL,
        "contrasts": {
            contrast: {
                "sd": _finite(found.sd[f]),
                "sd_in_errors": float(found.believed[f]),
                "q": float(found.q[f]),
                "freedom": float(found.freedom[f]),
                "p": _finite(found.p[f]),
            }
            for f, contrast in enumerate(design.contrasts)
        },
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None

"""The common shift of all genes, which only cells without targeting guides and NTC guides tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fatewalk.core.outcome import WELL_TOLD
from fatewalk.core.words import join, on_days
from fatewalk.diagnostics.profile import NO_INFORMATION, Profile
from fatewalk.model.linalg import eigh
from fatewalk.model.scales import DTYPE
from fatewalk.model.terms import BurdenSlopes

if TYPE_CHECKING:
    from fatewalk.screen.design import Design

LITTLE_ANCHOR = 0.25  # SD of the common shift over the prior's: above it the controls say little


@dataclass(frozen=True)
class Shift:
    """Common shift of all genes by day: SD [F*, D], what it trades against, features [M, D]."""

    sd: Tensor
    against: list[str]
    left: Tensor  # [M, D] what the nuisances leave of the number of targeting guides


def common_shift(profile: Profile) -> Shift:
    """SD of the common shift of all genes from the number of targeting guides in the cells.

    theta + c for all genes of a day changes the linear predictor of a cell with m targeting guides
    by c m, which intercept and burden slope imitate unless NTC guides or cells without targeting
    guides make m differ at the same burden.
    """
    n_days = profile.c.terms.n_days
    of_day = torch.nn.functional.one_hot(profile.rows.day, n_days).to(DTYPE)  # [M, D]
    m = profile.n_targeting[:, None] * of_day
    left = profile.residual(m)
    whole = profile.product(m, m).diagonal()  # [D]
    variance = _joint_variance(profile.product(m, left), whole)  # [D]
    sd = (profile.mean_per_cell * variance / profile.per_cell).sqrt()  # [F*, D]
    sd = torch.where(profile.per_cell > 0, sd, torch.inf)
    against = ["the intercept of the day"] * n_days
    slopes = profile.c.place(BurdenSlopes)
    if slopes:
        before = profile.residual(m, without=slopes)
        without_slope = profile.product(m, before).diagonal()
        with_slope = profile.product(m, left).diagonal()
        against = [
            "the burden slope" if slope < 0.5 * none else intercept
            for slope, none, intercept in zip(with_slope, without_slope, against, strict=True)
        ]
    return Shift(sd, against, left)


def _joint_variance(information: Tensor, whole: Tensor) -> Tensor:
    """Variances of parameters with a flat prior; infinite where they load on what is not known."""
    scale = torch.where(whole > 0, whole.rsqrt(), 0.0)
    values, vectors = eigh(scale[:, None] * information * scale, "the information on common shifts")
    known = values > NO_INFORMATION
    inverse = torch.where(known, 1 / values.clamp(min=NO_INFORMATION), 0.0)
    variance = (vectors.square() * inverse).sum(dim=1) * scale.square()
    unknown = vectors.square() @ (~known).to(DTYPE) > 1e-6
    return torch.where(unknown | (whole <= 0), torch.inf, variance)


def judge_anchor(design: Design, limit: float, sd: np.ndarray, against: list[str]) -> tuple[bool, list[str]]:
    """Whether no day has an anchor, and sentences for the days that lack one or have a weak one.

    ``limit`` is the prior SD of an effect on the first day.
    """
    best = sd.min(axis=0)  # [D] the contrast with the most information
    has_guides = design.gene_cells.sum(dim=0).numpy() > 0
    lost = has_guides & (best > limit)
    if lost[has_guides].all():
        return True, [_unanchored(limit, best[has_guides].min(initial=np.inf), against)]
    found = []
    for name, is_lost, value, what in zip(design.days, lost, best, against, strict=True):
        if is_lost:
            size = (
                "nothing" if np.isinf(value) else f"little (SD {value:.2g}, more than the prior's {limit:g})"
            )
            found.append(
                f"The common shift of all genes on {on_days([name])} is not told from {what}: NTC guides "
                f"and cells without targeting guides say {size} of it. Effects of that day are known "
                "relative to each other; their common level rests on the prior and on other days."
            )
    weak = [
        f"{on_days([day])} (SD {value:.2g})"
        for day, is_lost, value in zip(design.days, lost, best, strict=True)
        if not is_lost and np.isfinite(value) and value > LITTLE_ANCHOR * limit
    ]
    if weak:
        found.append(
            f"NTC guides and cells without targeting guides say little of the common shift of all genes on "
            f"{join(weak)}: an error of that size is shared by all effects of the day."
        )
    return False, found


def _unanchored(limit: float, least: float, against: list[str]) -> str:
    """Why no day has an anchor, where the best told has an SD of ``least``: a tiny prior or few controls."""
    if least < WELL_TOLD:
        return (
            f"The prior allows the effects of the first day an SD of {limit:.2g} (model.priors.s_tau), less "
            f"than the {least:.2g} to which controls tell the common shift of all genes: "
            "labels say little against such a prior. Raise model.priors.s_tau; its default is 1."
        )
    if "the burden slope" in against:  # cells without guides have no burden either
        explained = "intercepts and the burden slope"
        mend = (
            "Add NTC guides or cells with them (cells without any guide do not help beside a burden slope), "
            "or set model.burden_slope: none if cells with more guides are known to behave alike."
        )
    else:
        explained = "intercepts"
        mend = "Add NTC guides or cells without targeting guides."
    differ = "no cells differ" if np.isinf(least) else "cells hardly differ"
    size = "" if np.isinf(least) else f" (SD {least:.2g}, more than the prior's {limit:g})"
    return (
        f"The common shift of all genes is not known on any day: {differ} in their number of targeting "
        f"guides beyond what {explained} explain{size}. Effects are only known relative to each other and to "
        f"their prior. {mend}"
    )

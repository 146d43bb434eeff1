"""Hits of a simulated screen and what they rest on, in memory."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fatewalk.calls import FateCalls, FateEffects, shrink_fates
from fatewalk.calls.support import Controls, Parts, support_table
from fatewalk.config import CallsConfig, DesignConfig, FitConfig, ModelConfig
from fatewalk.estimates.arrays import name_evidence
from fatewalk.estimates.likelihood_only import label_evidence
from fatewalk.estimates.parts import guide_parts
from fatewalk.screen.design import Design, build_design
from fatewalk.stages.fit_effects import fit_effects

if TYPE_CHECKING:
    from fatewalk.screen.simulate import SimulatedScreen


def design_of(screen: SimulatedScreen, fates: list[str]) -> Design:
    """The design of a screen."""
    config = DesignConfig()
    return build_design(screen.cells, screen.guide_calls, screen.guide_map, config, fates)[0]


def hits_and_support(design: Design) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Hits of a design (gene, fate, active_days, strongest_day) by the default calls, and their support."""
    model, fit = ModelConfig(fates=list(design.fates)), FitConfig(family="laplace")
    posterior, card, _ = fit_effects(design, model, fit, progress=False)
    evidence = asdict(name_evidence(label_evidence(posterior, design), design))
    calls = CallsConfig()
    genes = shrink_fates(evidence, "gene", "library", 10.0, calls.effect_size_eps).by_fate
    hits = named_hits(genes, FateCalls.of(genes, calls))
    parts = guide_parts(posterior, design)
    controls = Controls.of(card, parts, genes.composition)
    return hits, support_table(hits, genes, Parts.of(parts, evidence), controls)


def named_hits(genes: FateEffects, calls: FateCalls) -> pd.DataFrame:
    """Rows of hits.csv with the columns that say which gene, fate and days."""
    rows = []
    for gene, fate in zip(*np.nonzero(calls.named), strict=True):
        active = calls.active[gene, fate]
        best = int(np.where(active, np.abs(genes.mean[gene, fate]), -1.0).argmax())
        days = "; ".join(np.asarray(genes.days, dtype=object)[active])
        rows.append((str(genes.names[gene]), str(genes.fates[fate]), days, str(genes.days[best])))
    return pd.DataFrame(rows, columns=["gene", "fate", "active_days", "strongest_day"])

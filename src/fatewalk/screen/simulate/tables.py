"""Tables of a simulated screen, and its truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import softmax

from fatewalk.core.schema import CLUSTER, prob_columns
from fatewalk.screen.simulate.labels import label_dispersion
from fatewalk.screen.simulate.library import names

if TYPE_CHECKING:
    from fatewalk.config.simulate import SimulateConfig
    from fatewalk.screen.simulate.cells import Layout, Nuisance
    from fatewalk.screen.simulate.effects import Effects
    from fatewalk.screen.simulate.library import Library
    from fatewalk.screen.simulate.streams import Floats, GuideIndices, Ints


def cell_tables(
    config: SimulateConfig,
    layout: Layout,
    library: Library,
    n_guides: Ints,
    guides: GuideIndices,
    prob: Floats,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of the cells and of their guides."""
    n_cells = config.cells
    cell_ids = pd.CategoricalDtype(pd.Index(names("cell", n_cells, 7).astype(object)))
    guide_names = pd.CategoricalDtype(library.guide_map["guide_name"])
    cell = np.arange(n_cells, dtype=np.int32)
    cells = pd.DataFrame(
        {
            "cell_id": pd.Categorical.from_codes(cell, dtype=cell_ids),
            "day": layout.day_names[layout.day],
            "time": np.array(config.days, dtype=float)[layout.day],
            "rep": layout.rep_names[layout.rep],
            **dict(zip(prob_columns(config.fates), prob.T, strict=True)),
        }
    )
    if len(layout.cluster_names):
        cells[CLUSTER] = layout.cluster_names[layout.cluster]
    guide_calls = pd.DataFrame(
        {
            "cell_id": pd.Categorical.from_codes(np.repeat(cell, n_guides), dtype=cell_ids),
            "guide": pd.Categorical.from_codes(guides, dtype=guide_names),
        }
    )
    return cells, guide_calls


def truth_tables(
    config: SimulateConfig, library: Library, effects: Effects
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of theta (gene, contrast, day) and of delta (guide, contrast)."""
    contrasts = np.array(config.fates[1:], dtype=object)
    gene, fate, day = (axis.ravel() for axis in np.indices(effects.theta.shape))
    genes = library.genes.astype(object)
    truth_theta = pd.DataFrame(
        {
            "gene": genes[gene],
            "fate": contrasts[fate],
            "day": day,
            "theta": effects.theta.ravel(),
            "theta_gene": effects.theta_gene.ravel(),
        }
    )
    guide, fate = (axis.ravel() for axis in np.indices(effects.delta.shape))
    truth_delta = pd.DataFrame(
        {
            "guide": library.guide_map["guide_name"].to_numpy()[guide],
            "gene": genes[library.guide_to_gene[guide]],
            "fate": contrasts[fate],
            "delta": effects.delta.ravel(),
        }
    )
    return truth_theta, truth_delta


def settings_and_scales(
    config: SimulateConfig, layout: Layout, library: Library, effects: Effects, nuisance: Nuisance
) -> dict[str, Any]:
    """Everything true that is neither theta nor delta nor known from the cells."""
    return {
        "settings": config.model_dump(mode="json"),
        "fates": config.fates,
        "contrasts": config.fates[1:],
        "days": list(layout.day_names),
        "times": config.days,
        "reps": list(layout.rep_names),
        "clusters": list(layout.cluster_names),
        "alpha": nuisance.alpha,
        "b": nuisance.b,
        "gamma": nuisance.gamma,
        "cluster_intercepts": nuisance.cluster,
        "covariate_slopes": nuisance.covariate,
        "patterns": effects.patterns,
        "scales": {
            "tau": _root_mean_square(effects.theta[:, :, 0]),
            "sigma_time": _root_mean_square(np.diff(effects.theta, axis=2)),
            "sigma_guide": config.guide_sd,
        },
        "guide_shares": library.shares,
    }


def departures(config: SimulateConfig, layout: Layout, effects: Effects, eta: Floats) -> dict[str, Any]:
    """What was drawn that the model does not have, beside clones, death and calls."""
    mean = pd.DataFrame(softmax(eta, axis=1)).groupby(layout.day).mean().to_numpy()  # [D, F]
    return {
        "ntc_effects": effects.ntc,
        "gene_replicate": effects.gene_replicate,
        "label_dispersion": label_dispersion(config, mean),
    }


def _root_mean_square(values: Floats) -> Floats:
    """Root mean square over the genes, the first axis."""
    return np.sqrt(np.mean(values**2, axis=0))

"""Effects on the log odds of any two fates, from the prior that mash over fates and days was fitted with.

Letters: n genes or guides, L genes, F fates (the reference first), F* contrasts, D days.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fatewalk import mash
from fatewalk.calls.fates import evidence_of_level, percent_points
from fatewalk.core.daywise import Daywise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fatewalk.calls.fates import FateEffects
    from fatewalk.core.schema import Estimand

    Numbers = NDArray[np.float64]


def pair_effects_table(
    level: str,
    effects: FateEffects,
    evidence: Mapping[str, np.ndarray],
    pair: tuple[str, str],
    table: pd.DataFrame,
    *,
    estimand: Estimand,
    eps: float,
    theta: Mapping[str, np.ndarray],
    day_cells: Numbers,
) -> pd.DataFrame:
    """Log odds of one fate against another, a row for each gene or guide, and day.

    Those of the second against the first are the same with the other sign, and against the reference they are
    those of the contrast.

    Parameters
    ----------
    level
        gene or guide.
    effects
        Of that level, with the prior.
    evidence
        Arrays of evidence.npz.
    pair
        The fate, and the one that it is held against.
    table
        ``<level>_daywise_for_mash.csv`` of any contrast: cells, genes, marks.
    estimand, eps
        Those that `effects` were made with.
    theta
        Arrays of theta_posterior_summary.npz, for the posterior of genes.
    day_cells : [D]
        Cells of each day.

    Returns
    -------
    pandas.DataFrame
        gene, guide (of guides only), fate, against, day; estimate and se (unshrunk), posterior_mean and
        posterior_sd (of genes only), mash_mean, mash_sd, lfsr, plarge; percent_points, percent_points_against
        (change of either fate's own probability; of genes only), n_cells and the marks. Without cells
        everything but n_cells is missing.
    """
    where = f"{level}_daywise table"
    found = Daywise.of(table, where, ["n_cells"], list(dict.fromkeys([level, "gene"])))
    found = found.rows_of(level, effects.names, where)
    seen = evidence[f"{level}_cells"] > 0  # [n, D]
    n, n_days = seen.shape
    contrast = pair_contrast([str(fate) for fate in effects.fates], pair)
    given = evidence_of_level(evidence, level, estimand)
    estimate, se = unshrunk_pair(given, contrast)
    after = mash.contrast_effects(effects.prior, given, eps, contrast[None])
    of_genes = level == "gene"
    posterior = posterior_of_pair(theta, contrast) if of_genes else ()
    change = percent_points(effects, evidence[f"{level}_cells"] / day_cells)["percent_points"]  # [n, F, D]
    points = [change[:, list(effects.fates).index(fate)] for fate in pair] if of_genes else ()
    columns = {
        "estimate": estimate,
        "se": se,
        **dict(zip(("posterior_mean", "posterior_sd"), posterior, strict=False)),
        "mash_mean": after.mean[:, 0],
        "mash_sd": after.sd[:, 0],
        "lfsr": after.lfsr[:, 0],
        "plarge": after.prob_large[:, 0],
        **dict(zip(("percent_points", "percent_points_against"), points, strict=False)),
    }
    names = {name: np.repeat(found[name].astype(object), n_days) for name in dict.fromkeys(["gene", level])}
    labels = {"fate": pair[0], "against": pair[1], "day": np.tile(np.asarray(effects.days, dtype=object), n)}
    values = {name: np.where(seen, one, np.nan).ravel() for name, one in columns.items()}
    cells = {"n_cells": found["n_cells"].ravel().astype(int)}
    return pd.DataFrame(names | labels | values | cells).assign(**found.marks)


def pair_contrast(fates: list[str], pair: tuple[str, str]) -> Numbers:
    """Weights of the contrasts against the first fate that hold one fate against another, [F*].

    Examples
    --------
    >>> pair_contrast(["EC", "MES", "NEU"], ("EC", "NEU"))
    array([ 0., -1.])
    """
    own = np.vstack([np.zeros(len(fates) - 1), np.eye(len(fates) - 1)])
    fate, against = (own[fates.index(name)] for name in pair)
    return np.asarray(fate - against)


def unshrunk_pair(given: mash.Evidence, contrast: Numbers) -> tuple[Numbers, Numbers]:
    """Unshrunk estimates and standard errors of one contrast [F*], [n, D] each; missing where not seen."""
    mean, root, seen = given.estimates(contrasts=contrast[None])
    return np.where(seen, mean, np.nan), np.where(seen, np.sqrt((root**2).sum(axis=2)), np.nan)


def posterior_of_pair(theta: Mapping[str, np.ndarray], contrast: Numbers) -> tuple[Numbers, Numbers]:
    """Mean and SD of the hierarchical posterior of one contrast [F*], [L, D] each."""
    variance = np.einsum("a,labd,b->ld", contrast, theta["theta_cov"], contrast)
    return np.einsum("a,lad->ld", contrast, theta["theta_mean"]), np.sqrt(variance.clip(min=0))

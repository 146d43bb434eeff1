"""Hits of the analysis in screens whose guides were shuffled, from the scores that were kept.

Letters as in `fatewalk.certificate.permutation`; F* contrasts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fatewalk.calls import FateCalls, shrink_fates

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fatewalk.certificate.nulls import Nulls
    from fatewalk.config.sections import CallsConfig

    Numbers = NDArray[np.float64]

EFFECTS = 40_000  # gene x fate x day that mash is run on in all, so that large screens take minutes
FEWEST = 3  # screens at least


def hits_of_shuffled(
    nulls: Nulls, evidence: Mapping[str, np.ndarray], null_weight: float, calls: CallsConfig
) -> list[int]:
    """Number of hits by fate in each shuffled screen, each with a prior of its own.

    Parameters
    ----------
    nulls
        Of the fit.
    evidence
        Arrays of evidence.npz, of which score and information of the genes are replaced.
    null_weight
        ``mash.null_weight``.
    calls
        Thresholds.
    """
    n = max(FEWEST, EFFECTS // (nulls.told.size * len(nulls.fates)))
    information, onto = _information(nulls)
    found = []
    for score in nulls.score[:n]:  # [L, D, F]
        of_noise = {
            "gene_cells": nulls.told,
            "gene_score": np.einsum("ldkm,ldm->lkd", onto, score[..., 1:]),
            "gene_information": information,
        }
        shrunk = shrink_fates({**evidence, **of_noise}, "gene", "library", null_weight, calls.effect_size_eps)
        found.append(int(FateCalls.of(shrunk.by_fate, calls).named.sum()))
    return found


def _information(nulls: Nulls) -> tuple[Numbers, Numbers]:
    """J [L, F*, D, F*, D] and the map of T to the score of the effects [L, D, F*, F*].

    With T = U theta + noise of covariance M the score is U M^-1 T, the information U M^-1 U; days are
    independent.
    """
    bend, variance = nulls.bend[..., 1:, 1:], nulls.variance[..., 1:, 1:]  # [L, D, F*, F*]
    onto = bend @ np.linalg.pinv(variance, hermitian=True)
    onto = np.where(nulls.told[:, :, None, None], onto, 0.0)
    blocks = onto @ bend
    n_genes, n_days, n, _ = blocks.shape
    out = np.zeros((n_genes, n, n_days, n, n_days))
    for d in range(n_days):
        out[:, :, d, :, d] = 0.5 * (blocks[:, d] + blocks[:, d].swapaxes(1, 2))
    return out, onto

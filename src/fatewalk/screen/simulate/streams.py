"""Random streams of the simulator, and the arrays that it is made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
GuideIndices = NDArray[np.int32]
Rngs = dict[str, np.random.Generator]

#: Each component draws from a stream of its own, so that one setting does not shift the draws of
#: another. Append only: the place in this list is the identity of the stream.
STREAMS = (
    "guides_per_gene", "abundance", "moi", "guides", "active", "pattern", "size", "hit", "walk",
    "guide_effect", "intercept", "replicate", "cluster", "label", "covariate", "burden_slope",
    "ntc_effect", "gene_replicate", "clone", "clone_deviation", "survival", "neighbour", "dropout", "ambient",
)  # fmt: skip


def random_streams(seed: int) -> Rngs:
    """One generator for each name of `STREAMS`."""
    seeds = np.random.SeedSequence(seed).spawn(len(STREAMS))
    return {name: np.random.default_rng(one) for name, one in zip(STREAMS, seeds, strict=True)}

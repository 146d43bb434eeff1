"""Genes and guides of a simulated library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fatewalk.core.schema import NTC

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fatewalk.config.simulate import SimulateConfig
    from fatewalk.screen.simulate.streams import Floats, Ints, Rngs


@dataclass(frozen=True)
class Library:
    """Genes, their guides and how often each is drawn."""

    genes: NDArray[np.str_]  # [L]
    guide_map: pd.DataFrame  # targeting guides in the order of their genes, then NTC guides
    guide_to_gene: Ints  # [G]
    shares: Floats  # [M]: probability of a guide in a draw


def draw_library(config: SimulateConfig, rngs: Rngs) -> Library:
    """Draw the number of guides of each gene, and the abundance of each guide."""
    per_gene = config.guides_per_gene
    if isinstance(per_gene, dict):
        weights = np.array(list(per_gene.values()))
        sizes = rngs["guides_per_gene"].choice(list(per_gene), size=config.genes, p=weights / weights.sum())
    else:
        sizes = np.full(config.genes, per_gene)
    guide_to_gene = np.repeat(np.arange(config.genes), sizes)  # [G]
    within_gene = np.arange(len(guide_to_gene)) - (np.cumsum(sizes) - sizes)[guide_to_gene]  # [G]
    genes = names("Gene", config.genes, 3)
    guides = np.char.add(np.char.add(genes[guide_to_gene], "_g"), (within_gene + 1).astype(str))
    is_ntc = np.repeat([False, True], [len(guides), config.ntc_guides])  # [M]
    guide_map = pd.DataFrame(
        {
            "guide_name": np.concatenate([guides, names("NTC_", config.ntc_guides, 2)]).astype(object),
            "gene_name": np.append(genes[guide_to_gene], np.repeat(NTC, config.ntc_guides)).astype(object),
            "is_ntc": is_ntc,
        }
    )
    abundance = np.exp(config.guide_abundance_sd * rngs["abundance"].standard_normal(len(is_ntc)))
    shares = np.where(is_ntc, config.ntc_share, 1 - config.ntc_share) * abundance
    shares /= np.where(is_ntc, abundance[is_ntc].sum(), abundance[~is_ntc].sum())
    return Library(genes, guide_map, guide_to_gene, shares / shares.sum())


def names(prefix: str, n: int, width: int) -> NDArray[np.str_]:
    """Names ``prefix01``, ``prefix02``, ..., with at least ``width`` digits and all as long."""
    return np.char.mod(f"{prefix}%0{max(width, len(str(n)))}d", np.arange(1, n + 1))

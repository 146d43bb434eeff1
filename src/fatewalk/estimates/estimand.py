"""What the calls ask for: the effect of these guides in these replicates, or of any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fatewalk.core.errors import FatewalkError
from fatewalk.core.schema import MIN_MULTI_GUIDE_GENES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fatewalk.core.schema import Estimand

FEWEST_BEYOND_ONE = 20  # the SD of replicates is then known to about 16 %


@dataclass(frozen=True)
class Chosen:
    """The estimand of the calls.

    Attributes
    ----------
    name
        library | gene | population.
    guides
        Whether the guides of a gene count as a sample.
    words
        What it is, and why.
    """

    name: Estimand
    guides: bool
    words: str

    @property
    def of_truth(self) -> Estimand:
        """The true effect of a simulated screen that the calls are held against."""
        return "gene" if self.guides else "library"


def choose_estimand(asked: str, source: str, beyond_one: int, n_guides: np.ndarray) -> Chosen:
    """The estimand of the calls.

    Parameters
    ----------
    asked
        ``calls.estimand``. auto: population, where the replicates tell how much they differ; else library.
    source
        ``calls.source``; mash_posterior knows library alone.
    beyond_one
        Sum over gene-days of replicates with cells, less one.
    n_guides : array [L]
        Guides of each gene.

    Raises
    ------
    FatewalkError
        If population is asked for and no gene has cells in two replicates of a day.

    Examples
    --------
    >>> choose_estimand("auto", "mash_fates", 160, np.full(40, 4)).name
    'population'
    >>> choose_estimand("auto", "mash_fates", 12, np.full(40, 4)).name
    'library'
    """
    if asked == "library":
        return Chosen(
            "library", False, "library (calls.estimand): the effect of these guides in these replicates"
        )
    if asked == "gene":
        return Chosen("gene", True, "gene (calls.estimand): guides count as a sample, replicates do not")
    few = f"{beyond_one} further replicates of gene-days"
    if asked == "auto" and source == "mash_posterior":
        return Chosen("library", False, "library (auto): source mash_posterior describes these guides alone")
    if asked == "auto" and beyond_one < FEWEST_BEYOND_ONE:
        return Chosen(
            "library",
            False,
            f"library (auto): {few} cannot tell how much replicates differ, {FEWEST_BEYOND_ONE} can; the "
            "errors are those of these guides in these replicates",
        )
    if not beyond_one:
        raise FatewalkError(
            "calls.estimand: population asks how much replicates differ, and no gene has cells in two "
            "replicates of one day; set calls.estimand: auto, or name the column of replicates (rep_key)"
        )
    guides = int((n_guides >= 2).sum()) >= MIN_MULTI_GUIDE_GENES
    carried = (
        "guides and replicates count as samples"
        if guides
        else "replicates count as a sample; guides do not, since fewer than "
        f"{MIN_MULTI_GUIDE_GENES} genes have two or more and how much they differ is not known"
    )
    how = "auto" if asked == "auto" else "calls.estimand"
    return Chosen("population", guides, f"population ({how}, {few}): {carried}")


def estimand_of_evidence(asked: str, source: str, evidence: Mapping[str, np.ndarray]) -> Chosen:
    """The same with what evidence.npz says of replicates and guides."""
    n_guides = np.bincount(evidence["guide_to_gene"], minlength=len(evidence["genes"]))
    return choose_estimand(asked, source, int(evidence["replicates_beyond_one"]), n_guides)

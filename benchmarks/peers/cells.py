"""Cells as the peers take them: plain arrays, with the guides of the controls.

Letters: N cells, F fates, L genes, G targeting guides, M control guides, D days, U units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fatewalk.screen.design import Design

    Numbers = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    Index = NDArray[np.int64]

ONE_REAGENT = 1.5  # guides of a cell on average, below which only control cells are compared with


@dataclass(frozen=True)
class Cells:
    """A screen without a model.

    Attributes
    ----------
    genes, fates
        Names, [L], [F]; the reference fate first.
    n_days
        D.
    labels : array [N, F]
        Fate probabilities.
    day, rep : array of int [N]
    burden : array [N]
        Guides of the cell.
    group : array of int [N]
        What cells are a sample of: the cluster where there are clusters, else the replicate.
    clustered
        Whether all cells of a cluster carry the same reagent.
    carries : sparse array [N, G + M]
        1 for guides of the cell, those of the controls last.
    gene : array of int [G + M]
        Gene of each guide, -1 for controls.
    """

    genes: tuple[str, ...]
    fates: tuple[str, ...]
    n_days: int
    labels: Numbers
    day: Index
    rep: Index
    burden: Numbers
    group: Index
    clustered: bool
    carries: Any
    gene: Index

    @property
    def one_hot(self) -> bool:
        """Whether every label is one fate."""
        return bool((self.labels.max(axis=1) == 1).all())

    @property
    def composition(self) -> Numbers:
        """Mean label of each day, [F, D]."""
        total = np.zeros((self.n_days, len(self.fates)))
        np.add.at(total, self.day, self.labels)
        return (total / np.bincount(self.day, minlength=self.n_days)[:, None]).T

    @property
    def of_genes(self) -> Any:
        """1 for genes of which the cell carries a guide, sparse [N, L]."""
        targeting = np.flatnonzero(self.gene >= 0)
        to_gene = sparse.csr_array(
            (np.ones(len(targeting)), (targeting, self.gene[targeting])), (len(self.gene), len(self.genes))
        )
        return (self.carries @ to_gene).sign().tocsr()

    @property
    def controls(self) -> Flags:
        """Cells with a control guide, [N]."""
        return np.asarray(self.carries @ (self.gene < 0).astype(float)) > 0

    @property
    def against_controls(self) -> bool:
        """Whether cells carry so few guides that a gene is compared with the control cells alone."""
        return bool(self.burden.mean() < ONE_REAGENT)


def from_design(design: Design, cells: pd.DataFrame, calls: pd.DataFrame, guide_map: pd.DataFrame) -> Cells:
    """Cells of a design, with the controls of the tables it was built from.

    Parameters
    ----------
    design
        As built.
    cells, calls, guide_map
        Canonical tables; calls below ``min_umi`` left out.
    """
    n, genes = design.n_cells, design.guide_to_gene.numpy()
    offsets, guides = design.cell_offsets.numpy(), design.cell_guides.numpy()
    targeting = sparse.csr_array((np.ones(len(guides)), guides, offsets), (n, len(genes)))
    names = guide_map["guide_name"][guide_map["is_ntc"].astype(bool)].astype(str).unique()
    ids = pd.Index(cells["cell_id"].astype(str).to_numpy()[design.row.numpy()])
    ntc = pd.Index(names).get_indexer(calls["guide"].astype(str))
    cell = ids.get_indexer(calls["cell_id"].astype(str))
    pairs = np.unique(np.stack([cell, ntc])[:, (ntc >= 0) & (cell >= 0)], axis=1)
    controls = sparse.csr_array((np.ones(pairs.shape[1]), tuple(pairs)), (n, len(names)))
    clustered = len(design.clusters) > 0
    return Cells(
        genes=design.genes,
        fates=design.fates,
        n_days=len(design.days),
        labels=design.prob.numpy(),
        day=design.day.numpy(),
        rep=design.rep.numpy(),
        burden=design.n_guides.numpy().astype(float),
        group=(design.cluster if clustered else design.rep).numpy(),
        clustered=clustered,
        carries=sparse.hstack([targeting, controls]).tocsr(),
        gene=np.concatenate([genes, np.full(len(names), -1)]),
    )


@dataclass(frozen=True)
class Units:
    """Sums over the cells of a guide in a sample (replicate or cluster) and day.

    Attributes
    ----------
    total : array [U, F]
        Of labels: counts where they are one-hot.
    gene, day, rep : array of int [U]
        Gene -1 for controls.
    """

    total: Numbers
    gene: Index
    day: Index
    rep: Index

    @property
    def n_cells(self) -> Numbers:
        """Cells of each unit, [U]."""
        found: Numbers = self.total.sum(axis=1)
        return found

    def on(self, day: int, fewest: float = 1) -> Units:
        """Units of a day with at least so many cells."""
        keep = (self.day == day) & (self.n_cells >= fewest)
        return Units(self.total[keep], self.gene[keep], self.day[keep], self.rep[keep])


def pseudobulk(cells: Cells) -> Units:
    """Sum labels by guide, sample and day."""
    calls = cells.carries.tocoo()
    cell, guide = calls.coords
    n_groups = int(cells.group.max()) + 1
    key = (guide * cells.n_days + cells.day[cell]) * n_groups + cells.group[cell]
    _, first, unit = np.unique(key, return_index=True, return_inverse=True)
    total = sparse.csr_array((np.ones(len(key)), (unit, cell)), (len(first), len(cells.day))) @ cells.labels
    return Units(np.asarray(total), cells.gene[guide[first]], cells.day[cell[first]], cells.rep[cell[first]])


def replicate_columns(rep: Index, control: Flags) -> Numbers:
    """Indicators of replicates that hold controls, but for the first one; mean 0, [n, columns].

    An effect of a replicate without controls cannot be told from those of its genes.
    """
    known = np.unique(rep[control])[1:]
    columns = (rep[:, None] == known).astype(float)
    centred: Numbers = columns - columns.mean(axis=0)
    return centred

"""What a screen can show, before any fit: closed forms from the cells and their labels.

Dimensions: N cells, F fates (reference first), D days, L genes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fatewalk.diagnostics.power import DETECTABLE
from fatewalk.model.cells import guides_vary_in_clusters

if TYPE_CHECKING:
    from fatewalk.screen.design import Design


def detectable_effects(design: Design) -> tuple[np.ndarray, np.ndarray]:
    """Smallest effect of a gene on the probability of each fate that is seen with 80 % power.

    The cells with a guide of the gene, n of N on the day, are held against the others. The means of labels
    with variance s^2 differ by s sqrt(1/n + 1/(N - n)) by chance, and in logit by 1 / (p (1 - p)) times as
    much. Seen is what exceeds 1.96 of these with probability 0.8. n is the median over genes with cells on
    the day. Where the cells of a cluster share their guides, clusters take the place of cells.

    Neglected: nuisances (replicates, burden), guides of one gene that differ, other genes in the same cells,
    shrinkage, and the number of tests. `fatewalk.diagnostics.power` has the first three, for a finished fit.

    Returns
    -------
    effect : numpy.ndarray, float64 [F, D]
        Change of the logit of the fate's probability; infinite where no gene can be seen.
    points : numpy.ndarray, float64 [F, D]
        The same as percentage points, of a gain.
    """
    effect = np.full((len(design.fates), len(design.days)), np.inf)
    points = np.full_like(effect, np.nan)
    shared = bool(design.clusters) and not guides_vary_in_clusters(design)
    for d in range(len(design.days)):
        labels, carriers = _clusters_of_day(design, d) if shared else _cells_of_day(design, d)
        p, total = labels.mean(0), len(labels)  # [F]
        if total < 2 or not (carriers > 0).any():
            continue
        n = float(np.median(carriers[carriers > 0]))
        se = labels.std(0, ddof=1) * np.sqrt(1 / n + 1 / max(total - n, 1.0))  # [F]
        seen = (p > 0) & (p < 1) & (se > 0)
        effect[seen, d] = DETECTABLE * se[seen] / (p * (1 - p))[seen]
        odds = p[seen] / (1 - p[seen]) * np.exp(effect[seen, d])
        points[seen, d] = 100 * (odds / (1 + odds) - p[seen])
    return effect, points


def _cells_of_day(design: Design, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels of the cells of a day, [n, F], and the cells with each gene, [L]."""
    return design.prob[design.day == d].numpy(), design.gene_cells[:, d].numpy()


def _clusters_of_day(design: Design, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean labels of the clusters of a day, [n, F], and the clusters with each gene, [L]."""
    cells = np.flatnonzero(design.day.numpy() == d)
    _, first, cluster, sizes = np.unique(
        design.cluster.numpy()[cells], return_index=True, return_inverse=True, return_counts=True
    )
    labels = np.zeros((len(sizes), len(design.fates)))
    np.add.at(labels, cluster, design.prob.numpy()[cells])
    offsets, guides, gene = (
        array.numpy() for array in (design.cell_offsets, design.cell_guides, design.guide_to_gene)
    )
    genes = [np.unique(gene[guides[offsets[cell] : offsets[cell + 1]]]) for cell in cells[first]]
    carriers = np.bincount(np.concatenate([np.zeros(0, np.int64), *genes]), minlength=len(design.genes))
    return labels / sizes[:, None], carriers

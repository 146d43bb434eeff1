"""What a screen can show, before any fit: closed forms from the cells and their labels.

Dimensions: N cells, F fates (reference first), D days, L genes, G guides, R replicates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import chdtrc

from fatewalk.core.schema import DETECTABLE
from fatewalk.infer.replicates import LEVEL, two_way
from fatewalk.model.cells import clusters_share_guides

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fatewalk.screen.design import Design

FEWEST_CELLS = 5  # of a guide, or of a gene in a replicate and day, that tell how much these differ


def detectable_effects(
    design: Design, *, guides: bool = False, replicates: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Smallest effect of a gene on the probability of each fate that is seen with 80 % power.

    The cells with a guide of the gene, n of N on the day, are held against the others. The means of labels
    with variance s^2 differ by s sqrt(1/n + 1/(N - n)) by chance, and in logit by 1 / (p (1 - p)) times as
    much. Seen is what exceeds 1.96 of these with probability 0.8. n is the median over genes with cells on
    the day. Where the cells of a cluster share their guides, clusters take the place of cells.

    Neglected: nuisances (replicates, burden), other genes in the same cells, shrinkage, and the number of
    tests. `fatewalk.diagnostics.power` has the first two, for a finished fit.

    Parameters
    ----------
    design
        The cells.
    guides, replicates
        Whether the guides of a gene, and its replicates, count as samples (`fatewalk.estimates.estimand`):
        how much they differ in these cells is then added, by moments.

    Returns
    -------
    effect : numpy.ndarray, float64 [F, D]
        Change of the logit of the fate's probability; infinite where no gene can be seen.
    points : numpy.ndarray, float64 [F, D]
        The same as percentage points, of a gain.
    """
    effect = np.full((len(design.fates), len(design.days)), np.inf)
    points = np.full_like(effect, np.nan)
    shared = clusters_share_guides(design)
    more = _between_guides(design) if guides and not shared else np.zeros(effect.shape)  # [F, D] logit^2
    more = more + (_between_replicates(design) if replicates and not shared else 0.0)
    for d in range(len(design.days)):
        labels, carriers = _clusters_of_day(design, d) if shared else _cells_of_day(design, d)
        p, total = labels.mean(0), len(labels)  # [F]
        if total < 2 or not (carriers > 0).any():
            continue
        n = float(np.median(carriers[carriers > 0]))
        se = labels.std(0, ddof=1) * np.sqrt(1 / n + 1 / max(total - n, 1.0))  # [F]
        seen = (p > 0) & (p < 1) & (se > 0)
        effect[seen, d] = DETECTABLE * np.hypot(se[seen] / (p * (1 - p))[seen], np.sqrt(more[seen, d]))
        odds = p[seen] / (1 - p[seen]) * np.exp(effect[seen, d])
        points[seen, d] = 100 * (odds / (1 + odds) - p[seen])
    return effect, points


def _between_guides(design: Design) -> np.ndarray:
    """Variance of a gene's effect by the sample of its guides, for a gene with the median of guides, [F, D].

    DerSimonian and Laird over all genes: the labels of a guide's cells, less the mean of the gene on the day.
    """
    cell, guide = design.cell_of_call.numpy(), design.cell_guides.numpy()
    of_guide = design.guide_to_gene.numpy()  # [G]
    gene, day = of_guide[guide], design.day.numpy()[cell]
    n_guides = np.bincount(of_guide)
    variance = np.zeros(len(design.fates))
    for f, (labels, bend, square) in enumerate(_by_fate(design)):
        of_gene_day = _mean_of(gene * len(design.days) + day, labels[cell])
        value, error = _pooled(guide, len(of_guide), labels[cell] - of_gene_day, bend[day], square[day])
        weight = np.where(np.bincount(guide, minlength=len(of_guide)) >= FEWEST_CELLS, 1 / error, 0.0)  # [G]
        total = np.bincount(of_guide, weights=weight)  # [L]
        used = total > 0
        mean = np.bincount(of_guide, weights=weight * value)[used] / total[used]
        q = (weight * value**2).sum() - (total[used] * mean**2).sum()
        freedom = (weight > 0).sum() - used.sum()
        scale = weight.sum() - (np.bincount(of_guide, weights=weight**2)[used] / total[used]).sum()
        variance[f] = max(0.0, (q - freedom) / scale) if freedom > 0 and scale > 0 else 0.0
    return np.repeat(variance[:, None] / np.median(n_guides[n_guides > 0]), len(design.days), axis=1)


def _between_replicates(design: Design) -> np.ndarray:
    """Variance of a gene's effect on a day by the sample of replicates, for a middling gene, [F, D].

    As `fatewalk.infer.replicates` has it of a fit: none where the replicates do not differ for certain.
    """
    cell, place, cells = _by_replicate(design)
    shape, day = cells.shape, design.day.numpy()[cell]
    variance = np.zeros(len(design.fates))
    for f, (labels, bend, square) in enumerate(_by_fate(design)):
        pooled = _pooled(place, cells.size, labels[cell], bend[day], square[day])
        value, error = (array.reshape(shape) for array in pooled)
        weight = np.where(cells >= FEWEST_CELLS, 1 / error, 0.0)
        q, freedom, scale = np.sum([two_way(v, w) for v, w in zip(value, weight, strict=True)], axis=0)
        if freedom > 0.5 and chdtrc(freedom, q) < LEVEL:
            variance[f] = max(0.0, (q - freedom) / scale)
    total = cells.sum(-1)
    share = ((cells / np.maximum(total, 1)[..., None]) ** 2).sum(-1)  # [D, L]
    middling = [np.median(s[n > 0]) if (n > 0).any() else 0.0 for s, n in zip(share, total, strict=True)]
    return variance[:, None] * np.array(middling)


def replicates_beyond_one(design: Design) -> int:
    """Sum over gene-days of the replicates with cells, less one: what knows how much replicates differ."""
    return int(((_by_replicate(design)[2] > 0).sum(-1) - 1).clip(min=0).sum())


def _by_replicate(design: Design) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells that carry a gene, each gene of a cell once; their places in, and the counts of, [D, L, R]."""
    cell, gene = (found.numpy() for found in design.carried_genes)
    shape = len(design.days), len(design.genes), len(design.reps)
    place = np.ravel_multi_index((design.day.numpy()[cell], gene, design.rep.numpy()[cell]), shape)
    return cell, place, np.bincount(place, minlength=np.prod(shape)).reshape(shape)


def _by_fate(design: Design) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of each fate: labels less the mean of the day [N], p (1 - p) and their variance by day [D] each."""
    day, n_days = design.day.numpy(), len(design.days)
    for label in design.prob.numpy().T:
        p = _mean_of(day, label)
        size = np.bincount(day, minlength=n_days)
        square = np.bincount(day, weights=(label - p) ** 2, minlength=n_days) / np.maximum(size - 1, 1)
        bend = np.bincount(day, weights=p * (1 - p), minlength=n_days) / np.maximum(size, 1)
        yield label - p, bend, square


def _mean_of(place: np.ndarray, values: np.ndarray) -> np.ndarray:
    """For each value the mean of those in its place."""
    return (np.bincount(place, weights=values) / np.maximum(np.bincount(place), 1))[place]


def _pooled(
    place: np.ndarray, size: int, labels: np.ndarray, bend: np.ndarray, square: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Effect in logit of the cells in each place, and its variance by chance; infinite without cells."""
    known = np.bincount(place, weights=bend, minlength=size)
    by_chance = np.bincount(place, weights=square, minlength=size)
    safe = np.where(known > 0, known, 1.0)
    error = np.where((known > 0) & (by_chance > 0), by_chance / safe**2, np.inf)
    return np.bincount(place, weights=labels, minlength=size) / safe, error


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

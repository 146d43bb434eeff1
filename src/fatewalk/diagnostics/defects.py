"""Local defects of a design, each named where it is.

Letters: N cells, E guide calls, L genes, G guides, D days, R replicates.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fatewalk.core.errors import first_few
from fatewalk.core.schema import NOT_APART
from fatewalk.core.words import N_NAMED, count, join, on_days
from fatewalk.model.cells import centred_burden, guides_vary_in_clusters
from fatewalk.model.terms import BurdenSlopes

if TYPE_CHECKING:
    from fatewalk.diagnostics.profile import Profile
    from fatewalk.model import Rows, Terms
    from fatewalk.screen.design import Design

TOGETHER = 0.9  # cells with both guides over cells with either: above it they are one guide
N_EXAMPLES = 2
FEW_SENTENCES = 3
NEARLY_EVERY = 0.95  # share of the cells of a day
MANY_CELLS, FAR_MORE = 0.5, 10.0  # ... that is odd where the median guide is in ten times fewer
LARGE_BURDEN = 100.0  # SD within days
NEIGHBOURS = 50  # pairs made of sets with the same hashes; identical sets are linked anyway
HASHES = 16  # minimum hashes of a set of cells, compared two by two


@dataclass
class Defects:
    """Sentences collected so far."""

    genes: dict[str, list[str]] = field(default_factory=dict)
    guides: dict[str, list[str]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Group:
    """Guides (``day`` None) or genes of one day that occur together."""

    members: list[int]
    day: int | None


@dataclass(frozen=True)
class Levels:
    """A replicate whose level pairs [n, 2] of gene and day imitate."""

    name: str
    rep: int
    genes: np.ndarray


def occur_together(design: Design, defects: Defects) -> list[Group]:
    """Find guides, and genes by day, that occur in the same cells or nearly so."""
    n_days, n_cells = len(design.days), design.n_cells
    cell = design.cell_of_call.numpy()  # [E]
    guide = design.cell_guides.numpy()
    gene = design.guide_to_gene.numpy()
    groups = []
    sentences: dict[bool, list[str]] = {True: [], False: []}  # of one gene; of several
    covered: list[set[int]] = []  # genes of a guide group that stand for their only guides
    single = design.n_guides_per_gene.numpy() == 1
    for members, overlap in same_sets(guide, cell, len(design.guides), n_cells):
        names = [f"{design.guides[g]} (gene {design.genes[gene[g]]})" for g in members]
        sentence = f"Guides {join(names)} {_together(overlap)}: their effects {NOT_APART}."
        for g in members:
            defects.guides.setdefault(design.guides[g], []).append(sentence)
        genes = [int(index) for index in gene[members]]
        for index in {index for index in genes if single[index]}:
            defects.genes.setdefault(design.genes[index], []).append(sentence)
        covered.append({index for index in genes if single[index]})
        sentences[len(set(gene[members])) == 1].append(sentence)
        groups.append(Group(members, None))
    defects.warnings += _one_warning(sentences[False], "", "Read them as one, or give them one name.")
    defects.warnings += _one_warning(
        sentences[True],
        " of one gene",
        "Effects are per guide, so the effect of such a cassette is the sum of its guides' effects. Give the "
        "guides of a cassette one name, in the calls and in the guide map, to have its own.",
    )
    of_gene = gene[guide] * n_days + design.day.numpy()[cell]  # [E] gene and day
    by_genes: dict[tuple[int, ...], list[tuple[int, float]]] = {}
    for members, overlap in same_sets(of_gene, cell, len(design.genes) * n_days, n_cells):
        genes = sorted(item // n_days for item in members)
        if not any(set(genes) <= known for known in covered):
            by_genes.setdefault(tuple(genes), []).append((members[0] % n_days, overlap))
    for key, days in by_genes.items():
        names = [design.genes[index] for index in key]
        on = on_days([design.days[d] for d, _ in days])
        sentence = (
            f"Genes {join(names)} {_together(min(o for _, o in days))} on {on}: their effects there "
            f"{NOT_APART}."
        )
        for name in names:
            defects.genes.setdefault(name, []).append(sentence)
        defects.warnings.append(sentence)
        groups += [Group(list(key), d) for d, _ in days]
    return groups


def _one_warning(sentences: list[str], of: str, mend: str) -> list[str]:
    """One warning for all groups of guides that occur together."""
    if len(sentences) > 1:
        first = " ".join(sentences[:N_EXAMPLES])
        sentences = [f"{len(sentences)} groups of guides{of} occur together, as in cassettes. First: {first}"]
    return [f"{sentence} {mend}" for sentence in sentences]


def _together(overlap: float) -> str:
    if overlap >= 1:
        return "always occur together"
    return f"nearly always occur together ({overlap:.0%} of the cells with one have the other)"


def same_sets(
    item: np.ndarray, cell: np.ndarray, n_items: int, n_cells: int
) -> list[tuple[list[int], float]]:
    """Groups of items whose sets of cells overlap by ``TOGETHER`` or more (Jaccard), and the overlap.

    Two sets share a minimum hash with a probability equal to their Jaccard index, so pairs that
    agree in two hashes are few; their overlap is then counted. No pairs of all items are made.

    Parameters
    ----------
    item, cell : array, int64 [E]
        Memberships, repeats allowed.
    n_items, n_cells
        Range of their values.
    """
    member = np.sort(item * n_cells + cell, kind="stable")  # np.unique takes ten times as long
    member = member[np.diff(member, prepend=-1) > 0]  # sorted by item
    item, cell = member // n_cells, member % n_cells
    starts = np.flatnonzero(np.diff(item, prepend=-1))
    items = item[starts]  # items with cells
    sizes = np.zeros(n_items, dtype=np.int64)
    sizes[items] = np.diff(np.append(starts, len(item)))
    first = np.zeros(n_items, dtype=np.int64)
    first[items] = starts
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(HASHES // 2):
        code = np.zeros(len(items), dtype=np.uint64)
        for _ in range(2):
            key = rng.integers(0, 2**63, size=n_cells, dtype=np.uint64)
            code = code * np.uint64(6364136223846793005) + np.minimum.reduceat(key[cell], starts)
        order = np.argsort(code, kind="stable")
        for lag in range(1, min(NEIGHBOURS, len(order) - 1) + 1):
            same = np.flatnonzero(code[order[lag:]] == code[order[:-lag]])
            if not len(same):
                break
            pairs.append(np.stack([items[order[same]], items[order[same + lag]]], axis=1))
    if not pairs:
        return []
    pair = np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0)  # [P, 2]
    counts = sizes[pair[:, 0]]
    owner = np.repeat(np.arange(len(pair)), counts)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    wanted = pair[owner, 1] * n_cells + cell[first[pair[owner, 0]] + within]
    place = np.minimum(np.searchsorted(member, wanted), len(member) - 1)
    both = np.bincount(owner, member[place] == wanted, minlength=len(pair))
    overlap = both / (sizes[pair].sum(axis=1) - both)
    keep = overlap >= TOGETHER
    pair, overlap = pair[keep], overlap[keep]
    graph = coo_array((np.ones(len(pair)), (pair[:, 0], pair[:, 1])), shape=(n_items, n_items))
    _, label = connected_components(graph, directed=False)
    return [
        (
            np.unique(pair[label[pair[:, 0]] == group]).tolist(),
            float(overlap[label[pair[:, 0]] == group].min()),
        )
        for group in np.unique(label[pair[:, 0]])
    ]


def in_every_cell(design: Design, defects: Defects) -> None:
    """Find genes and guides that no cell of a day is without, or hardly any."""
    cells = torch.bincount(design.day, minlength=len(design.days))  # [D]
    guides = (design.guide_cells == cells) & (cells > 0)  # [G, D]
    per_gene = torch.zeros_like(design.gene_cells).index_add(0, design.guide_to_gene, design.guide_cells)
    genes = (design.gene_cells == cells) & (per_gene == cells) & (cells > 0)  # [L, D]
    for kind, names, places, found in (
        ("Guide", design.guides, guides, defects.guides),
        ("Gene", design.genes, genes, defects.genes),
    ):
        everywhere = {}
        for index in torch.nonzero(places.any(dim=1))[:, 0].tolist():
            days = on_days([design.days[d] for d in torch.nonzero(places[index])[:, 0].tolist()])
            everywhere[names[index]] = (
                f"{kind} {names[index]} is in every cell of {days}: its effect there cannot be told from "
                "the intercept."
            )
        for name, sentence in everywhere.items():
            found.setdefault(name, []).append(sentence)
        defects.warnings += _first_of(list(everywhere.values()), f"{kind.lower()}s")
    share = design.guide_cells / cells.clamp(min=1)  # [G, D]
    far = (share >= MANY_CELLS) & (share > FAR_MORE * share.median(dim=0).values)
    common = (((share >= NEARLY_EVERY) | far) & (share < 1)).any(dim=1)
    sentences = [
        f"Guide {design.guides[index]} is called in {float(share[index].max()):.1%} of the cells of a "
        "day: its effect rests on the few cells without it. Is it a guide at all (a barcode of all "
        "cells, the vector, a sum, ambient)? If not, leave it out."
        for index in torch.nonzero(common)[:, 0].tolist()
    ]
    defects.warnings += _first_of(sentences, "guides")


def _first_of(sentences: list[str], what: str) -> list[str]:
    """All sentences if they are few, else the first, with the number of the others."""
    if len(sentences) <= FEW_SENTENCES:
        return sentences
    return [f"{sentences[0]} The same holds of {len(sentences) - 1} other {what}."]


def large_burden(design: Design, terms: Terms, defects: Defects) -> None:
    """Find a burden whose unit is not a guide, so that the prior of its slope is far too wide."""
    slopes = terms.nuisance(BurdenSlopes)
    spread = float(centred_burden(design).square().mean().sqrt())
    if slopes and spread > LARGE_BURDEN:
        defects.warnings.append(
            f"The burden varies by {spread:.3g} (SD) within days, and the prior SD of its slope is "
            f"{slopes.sd:g} for each unit (model.priors.s_gamma): the fit may not converge. Give the number "
            "of guides of each cell as burden, and UMI counts on a log scale as a covariate."
        )


def replicates_without_control(design: Design, defects: Defects) -> list[Levels]:
    """Judge replicates: without controls, with one gene only.

    Returns
    -------
    list of Levels
        Replicates whose level no control fixes, also not through genes that other replicates carry.
    """
    n_reps, n_days, n_genes = len(design.reps), len(design.days), len(design.genes)
    if n_reps == 1:
        return []
    rep, day = design.rep.numpy(), design.day.numpy()
    counts = design.cell_offsets.diff().numpy()
    n_controls = np.bincount(rep[(counts == 0) | (design.n_ntc.numpy() > 0)], minlength=n_reps)
    has_control = np.asarray(n_controls > 0)
    gene = design.guide_to_gene.numpy()[design.cell_guides.numpy()]  # [E]
    of_gene = gene * n_days + np.repeat(day, counts)
    present = np.zeros((n_reps, n_genes * n_days), dtype=bool)
    present[np.repeat(rep, counts), of_gene] = True
    carried = np.asarray(present.reshape(n_reps, n_genes, n_days).any(axis=2))  # [R, L]
    for index in np.flatnonzero(has_control & (carried.sum(axis=1) == 1)) if n_genes > 1 else []:
        name = design.genes[int(carried[index].argmax())]
        defects.warnings.append(
            f"Replicate {design.reps[index]} carries only gene {name} beside its controls: whatever is wrong "
            "with these cells looks like an effect of the gene."
        )
    if not has_control.any():
        defects.warnings.append(
            "No replicate has a control (a cell without targeting guides, or with an NTC guide)."
        )
        return []
    # replicates that share a gene on a day fix each other's level
    reps, item = np.nonzero(present)
    graph = coo_array((np.ones(len(reps)), (reps, n_reps + item)), shape=(n_reps + n_genes * n_days,) * 2)
    _, label = connected_components(graph, directed=False)
    fixed = np.isin(label[:n_reps], label[:n_reps][has_control])
    for index in np.flatnonzero(~has_control):
        names = [design.genes[i] for i in np.flatnonzero(carried[index])]
        if fixed[index]:
            level = "its level rests on the genes that it shares with other replicates"
        else:
            level = "its level cannot be told from the effects of these genes on its days"
        sentence = (
            f"Replicate (batch) {design.reps[index]} has no control, only cells with a guide of "
            f"{first_few(names, 5)}: {level}."
        )
        defects.warnings.append(sentence)
        if not fixed[index]:
            for i in np.flatnonzero(carried[index]):
                on = [design.days[d] for d in range(n_days) if present[index, i * n_days + d]]
                defects.genes.setdefault(design.genes[i], []).append(
                    f"All cells of {on_days(on)} are in replicates without a control ({design.reps[index]} "
                    "and what it is linked to), whose level cannot be told from the effect."
                )
    return [
        Levels(
            f"level of replicate {design.reps[i]}, which has no control, against its genes",
            int(i),
            np.argwhere(present[i].reshape(n_genes, n_days)),
        )
        for i in np.flatnonzero(~fixed)
    ]


def clusters_of_one_gene(design: Design, defects: Defects) -> None:
    """Find effects that rest on one cluster, and clusters that say nothing of their gene."""
    if not design.clusters:
        return
    n_days, n_clusters, n_genes = len(design.days), len(design.clusters), len(design.genes)
    counts = design.cell_offsets.diff()
    gene = design.guide_to_gene[design.cell_guides]
    cluster = torch.repeat_interleave(design.cluster, counts)
    if guides_vary_in_clusters(design):
        pairs = torch.unique(cluster * n_genes + gene)
        n_carried = torch.bincount(pairs // n_genes, minlength=n_clusters)
        control = (counts == 0) | (design.n_ntc > 0)
        has_control = torch.bincount(design.cluster[control], minlength=n_clusters) > 0
        lonely = torch.nonzero((n_carried == 1) & ~has_control)[:, 0].tolist()
        if lonely:
            defects.warnings.append(
                f"{len(lonely)} of {n_clusters} clusters {'carries' if len(lonely) == 1 else 'carry'} only "
                f"one gene and no control ({first_few([design.clusters[i] for i in lonely])}): all that is "
                "told of the gene there is what the intercepts of clusters leave."
            )
        return
    day = torch.repeat_interleave(design.day, counts)
    triples = torch.unique((gene * n_days + day) * n_clusters + cluster)
    number = torch.bincount(triples // n_clusters, minlength=n_genes * n_days).reshape(n_genes, n_days)
    rests = torch.nonzero(number == 1).tolist()
    by_gene: dict[int, list[str]] = {}
    for index, d in rests:
        by_gene.setdefault(index, []).append(design.days[d])
    for index, days in by_gene.items():
        defects.genes.setdefault(design.genes[index], []).append(
            f"The effect on {on_days(days)} rests on a single cluster."
        )
    if by_gene:
        names = first_few([f"{design.genes[i]} on {on_days(days)}" for i, days in by_gene.items()], N_NAMED)
        defects.warnings.append(
            f"{count(len(rests), 'gene-day rests', 'gene-days rest')} on a single cluster: {names}."
        )


def determined_labels(design: Design, rows: Rows, profile: Profile, defects: Defects) -> None:
    """Find fates that a day lacks, and gene-days whose cells all have one fate for certain."""
    for f, fate in enumerate(design.fates):
        days = [
            day for day, share in zip(design.days, profile.shares[:, f].tolist(), strict=True) if share == 0
        ]
        if days:
            what = "no effect is informed" if f == 0 else "no effect on it is informed"
            defects.warnings.append(f"No cell of {on_days(days)} has fate {fate}: {what} there.")
    sums = (rows.transpose @ rows.target)[profile.c.terms.first_guide :]  # [D * G, F]
    of_gene = profile.genes(sums.reshape(len(design.days), len(design.guides), -1))  # [D, L, F]
    total = of_gene.sum(dim=2)
    sure = (of_gene.amax(dim=2) >= (1 - 1e-9) * total) & (total > 0)  # [D, L]
    sure &= (profile.shares.amax(dim=1) < 1 - 1e-9)[:, None]
    places = torch.nonzero(sure.T).tolist()
    for index, d in places:
        n, fate = int(design.gene_cells[index, d]), design.fates[int(of_gene[d, index].argmax())]
        defects.genes.setdefault(design.genes[index], []).append(
            f"On {on_days([design.days[d]])} all its cells ({n}) have fate {fate}: the labels bound the "
            "effect on one side only."
        )
    if places:
        names = first_few([f"{design.genes[i]} on {on_days([design.days[d]])}" for i, d in places], N_NAMED)
        defects.warnings.append(
            f"{count(len(places), 'gene-day has', 'gene-days have')} cells of one and the same fate, which "
            f"bounds the effect on one side only: {names}."
        )

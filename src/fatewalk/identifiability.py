"""What a screen can tell, from its design alone: anchors, local defects, weak directions, power.

Nothing here needs a fit but ``ntc_slope``. Everything is computed at the mean fate shares pi of each
day, where the information of the labels on a combination of guide effects of contrast f is that of a
weighted regression: its variance, with the other contrasts free, is (1 / pi_f + 1 / pi_0) over the
weighted sum of squares that is left after the nuisances are profiled out.

Letters: N cells, M rows (identical cells collapsed), F* contrasts, L genes, G guides, D days,
R replicates, Q columns of the regression, k nuisances, p coordinates of a contrast.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor

from fatewalk.config import ModelConfig
from fatewalk.design import Design
from fatewalk.errors import first_few
from fatewalk.infer.coordinates import Coordinates
from fatewalk.infer.information import RowIndex, fate_probabilities, information
from fatewalk.infer.laplace import START_SHARE, Laplace
from fatewalk.model import FateModel, Rows, Sizes
from fatewalk.model.fate_model import DTYPE
from fatewalk.model.rows import guides_vary_in_clusters, linear_predictor, row_of_cells
from fatewalk.tables import day_columns

NO_INFORMATION = 1e-9  # share of a sum of squares that is rounding error
LITTLE_ANCHOR = 0.25  # SD of the common shift over s_tau: above it the controls say little
TOGETHER = 0.9  # cells with both guides over cells with either: above it they are one guide
HASHES = 16  # minimum hashes of a set of cells, compared two by two
DENSE_COORDINATES = 3000  # coordinates of a contrast up to which the information is decomposed
N_WEAKEST = 12  # directions looked at beyond the candidates
MOST_WEAKEST = 60
WEAK = 0.02  # information left to a direction, of what its parts have one by one
SAME_DIRECTION = 0.5  # squared cosine above which a direction has a candidate's name
N_NAMED = 10  # offenders named in one sentence
DETECTABLE = 1.96 + 0.84  # effect over SE whose |z| exceeds 1.96 with probability 0.8
NTC_Z_WARN = 3.0


@dataclass(frozen=True)
class WeakDirection:
    """A combination of effects of which the labels say little.

    Attributes
    ----------
    name
        In words.
    share
        Information left to it, of what its parts have one by one; None where not computed.
    prior_sd, labels_sd
        SD that the prior at the start scales and the labels alone leave, in the primary contrast;
        None for a direction without a name of its own.
    """

    name: str
    share: float | None
    prior_sd: float | None
    labels_sd: float | None


@dataclass(frozen=True)
class Identifiability:
    """What a design can and cannot tell.

    Attributes
    ----------
    unanchored
        Whether the common shift of all genes is known on no day.
    shift_sd : array [F*, D]
        SD that the labels alone leave to the common shift of all genes; infinite without anchor.
    ntc_share : array [D]
        Share of cells with an NTC guide.
    control_share : array [D]
        Share of cells without targeting guides.
    weak_directions
        Weakest first.
    gene_defects, guide_defects
        Sentences by name of the gene or guide; only those that have a defect.
    warnings
        Full sentences.
    contrasts, days
        Names.
    """

    unanchored: bool
    shift_sd: np.ndarray
    ntc_share: np.ndarray
    control_share: np.ndarray
    weak_directions: list[WeakDirection]
    gene_defects: dict[str, str]
    guide_defects: dict[str, str]
    warnings: list[str]
    contrasts: tuple[str, ...]
    days: tuple[str, ...]

    def report(self) -> dict[str, Any]:
        """Part of the fit card; an infinite SD becomes None."""
        return {
            "unanchored": self.unanchored,
            "sd_of_common_shift": {
                contrast: dict(zip(self.days, map(_finite, sds), strict=True))
                for contrast, sds in zip(self.contrasts, self.shift_sd.tolist(), strict=True)
            },
            "share_of_cells_with_ntc_guides": dict(zip(self.days, self.ntc_share.tolist(), strict=True)),
            "share_of_cells_without_targeting_guides": dict(
                zip(self.days, self.control_share.tolist(), strict=True)
            ),
            "weak_directions": [
                {key: _finite(value) for key, value in asdict(weak).items()} for weak in self.weak_directions
            ],
            "genes_with_defects": len(self.gene_defects),
            "guides_with_defects": len(self.guide_defects),
        }


@dataclass
class _Defects:
    """Sentences collected so far."""

    genes: dict[str, list[str]] = field(default_factory=dict)
    guides: dict[str, list[str]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def check_identifiability(design: Design, config: ModelConfig, rows: Rows) -> Identifiability:
    """Find what a screen cannot tell, before or after it is fitted.

    Parameters
    ----------
    design
        The cells.
    config
        Section ``model``.
    rows
        Of the design, with the weights of the labels, on any device. Weights of 1 are good enough
        for everything but the SDs, which go with 1 / sqrt(weight).

    Returns
    -------
    Identifiability
        Cost: a few sparse products over the rows; where a contrast has at most
        ``DENSE_COORDINATES`` coordinates also a dense decomposition.
    """
    rows = rows.to(torch.device("cpu"))
    coordinates = Coordinates(FateModel(Sizes.of(design), config))
    profile = _Profile(rows, coordinates)
    shift = _common_shift(profile)
    defects = _Defects()
    groups = _occur_together(design, defects)
    _in_every_cell(design, defects)
    confounded = _rep_and_day(design, defects)
    lonely = _replicates(design, defects)
    _clusters(design, defects)
    _determined_labels(design, rows, profile, defects)
    n_days = len(design.days)
    cells = torch.bincount(design.day, minlength=n_days).double()
    ntc = torch.bincount(design.day[design.n_ntc > 0], minlength=n_days) / cells
    controls = torch.bincount(design.day[design.cell_offsets.diff() == 0], minlength=n_days) / cells
    weak = _weak_directions(design, config, profile, shift, groups, [*lonely, *confounded])
    sd = shift.sd.numpy()
    unanchored, of_anchor = _judge_anchor(design, config, sd, shift.against)
    return Identifiability(
        unanchored,
        sd,
        ntc.numpy(),
        controls.numpy(),
        weak,
        {name: " ".join(sentences) for name, sentences in defects.genes.items()},
        {name: " ".join(sentences) for name, sentences in defects.guides.items()},
        [*of_anchor, *defects.warnings, *_warn_of_weak(weak)],
        design.contrasts,
        design.days,
    )


# ------------------------------------------------------------ profiled sums


class _Profile:
    """Weighted sums of squares and products after the nuisances are profiled out.

    The nuisances are intercepts, replicates, burden slopes and covariates, all with flat priors, and
    the intercepts of clusters with theirs. Where a nuisance is shared by days, the days count with
    the mean over contrasts of pi_f pi_0 / (pi_f + pi_0); within a day the sums are exact.
    """

    def __init__(self, rows: Rows, coordinates: Coordinates) -> None:
        c = coordinates
        self.rows, self.c = rows, c
        n_days = c.sizes.days
        total = torch.zeros(n_days, rows.target.shape[1], dtype=DTYPE).index_add(0, rows.day, rows.target)
        self.shares = total / total.sum(dim=1, keepdim=True)  # [D, F]
        #: [F*, D] information of one cell in a contrast, the others free
        self.per_cell = 1 / (1 / self.shares[:, 1:] + 1 / self.shares[:, :1]).T
        self.mean_per_cell = self.per_cell.mean(dim=0)  # [D]
        self.weight = rows.weight * rows.cells * self.mean_per_cell[rows.day]  # [M]
        at = c.columns
        heads = 3 + at.n_covariates + (1 if at.n_clusters else 0)  # entries of a row that are no guides
        self.n_targeting = (rows.matrix.crow_indices().diff() - heads).double()  # [M]
        n = c.n_nuisance - at.n_clusters  # cluster intercepts come last
        unit = torch.zeros(n, 1, c.size, dtype=DTYPE)
        unit[torch.arange(n), 0, torch.arange(n)] = 1
        coefficients = c.coefficients(unit)[:, 0].T.contiguous()  # [Q, k]
        self.of_clusters = at.n_clusters
        if at.n_clusters:
            prior = c.model.config.priors.s_cluster**-2
            sums = torch.zeros(at.n_clusters, dtype=DTYPE)
            self._cluster_total = prior + sums.index_add(0, rows.cluster, self.weight)
        self.nuisances = rows.matrix @ coefficients  # [M, k]
        self._within = self._within_clusters(self.nuisances)
        self._inverse = _pseudo_inverse(self.product(self.nuisances, self._within))

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        """Weighted products of features, [M, a] x [M, b] -> [a, b]."""
        return a.T @ (self.weight[:, None] * b)

    def _within_clusters(self, a: Tensor) -> Tensor:
        if not self.of_clusters:
            return a
        sums = torch.zeros(self.of_clusters, a.shape[1], dtype=DTYPE)
        sums.index_add_(0, self.rows.cluster, self.weight[:, None] * a)
        return a - (sums / self._cluster_total[:, None])[self.rows.cluster]

    def residual(self, a: Tensor, n: int | None = None) -> Tensor:
        """What the first n nuisances (None: all) leave of features, [M, a] -> [M, a]."""
        within = self._within_clusters(a)
        z, inverse = self._within, self._inverse
        if n is not None:
            z = z[:, :n]
            inverse = _pseudo_inverse(self.product(self.nuisances[:, :n], z))
        return within - z @ (inverse @ self.product(self.nuisances[:, : z.shape[1]], within))

    def guides(self, a: Tensor) -> Tensor:
        """Weighted products of each guide and day with features, [M, a] -> [D, G, a]."""
        both = self.rows.transpose @ (self.weight[:, None] * a)  # [Q, a]
        return both[self.c.columns.guides :].reshape(self.c.sizes.days, self.c.sizes.guides, -1)

    def gene_squares(self) -> Tensor:
        """Weighted sum of the squared number of guides of each gene, by day, [D, L]."""
        at, n_genes, n_days = self.c.columns, self.c.sizes.genes, self.c.sizes.days
        matrix = self.rows.matrix
        row = torch.repeat_interleave(torch.arange(len(self.rows)), matrix.crow_indices().diff())
        column = matrix.col_indices() - at.guides
        is_guide = column >= 0
        gene = self.c.guide_to_gene[column[is_guide] % at.n_guides]
        key = torch.sort(row[is_guide] * n_genes + gene).values
        key, counts = torch.unique_consecutive(key, return_counts=True)
        row, gene = key // n_genes, key % n_genes
        sums = torch.zeros(n_days * n_genes, dtype=DTYPE)
        sums.index_add_(0, self.rows.day[row] * n_genes + gene, self.weight[row] * counts.double().square())
        return sums.view(n_days, n_genes)

    def genes(self, of_guides: Tensor) -> Tensor:
        """Sum guides by gene, [D, G, a] -> [D, L, a]."""
        zeros = of_guides.new_zeros(len(of_guides), self.c.sizes.genes, of_guides.shape[2])
        return zeros.index_add(1, self.c.guide_to_gene, of_guides)


def _pseudo_inverse(gram: Tensor) -> Tensor:
    """Invert a Gram matrix on the directions that it sees, at unit diagonal."""
    scale = gram.diagonal().clamp(min=0).sqrt()
    scale = torch.where(scale > 0, 1 / scale, 0.0)
    values, vectors = torch.linalg.eigh(scale[:, None] * gram * scale)
    inverse = torch.where(values > NO_INFORMATION, 1 / values, 0.0)
    return scale[:, None] * ((vectors * inverse) @ vectors.T) * scale


# ------------------------------------------------------------------- anchor


@dataclass(frozen=True)
class _Shift:
    """Common shift of all genes by day: SD [F*, D], what it trades against, features [M, D]."""

    sd: Tensor
    against: list[str]
    left: Tensor  # [M, D] what the nuisances leave of the number of targeting guides


def _common_shift(profile: _Profile) -> _Shift:
    """SD of the common shift of all genes from the number of targeting guides in the cells.

    theta + c for all genes of a day changes the linear predictor of a cell with m targeting guides
    by c m, which intercept and burden slope imitate unless NTC guides or cells without targeting
    guides make m differ at the same burden (design, 3.7).
    """
    n_days = profile.c.sizes.days
    of_day = torch.nn.functional.one_hot(profile.rows.day, n_days).to(DTYPE)  # [M, D]
    m = profile.n_targeting[:, None] * of_day
    left = profile.residual(m)
    whole = profile.product(m, m).diagonal()  # [D]
    variance = _joint_variance(profile.product(m, left), whole)  # [D]
    sd = (profile.mean_per_cell * variance / profile.per_cell).sqrt()  # [F*, D]
    sd = torch.where(profile.per_cell > 0, sd, torch.inf)
    against = ["the intercept of the day"] * n_days
    if "gamma" in profile.c.blocks:
        before = profile.residual(m, profile.c.blocks["gamma"].start)
        without_slope = profile.product(m, before).diagonal()
        with_slope = profile.product(m, left).diagonal()
        against = [
            "the burden slope" if slope < 0.5 * none else intercept
            for slope, none, intercept in zip(with_slope, without_slope, against, strict=True)
        ]
    return _Shift(sd, against, left)


def _joint_variance(information: Tensor, whole: Tensor) -> Tensor:
    """Variances of parameters with a flat prior; infinite where they load on what is not known."""
    scale = torch.where(whole > 0, whole.rsqrt(), 0.0)
    values, vectors = torch.linalg.eigh(scale[:, None] * information * scale)
    known = values > NO_INFORMATION
    inverse = torch.where(known, 1 / values.clamp(min=NO_INFORMATION), 0.0)
    variance = (vectors.square() * inverse).sum(dim=1) * scale.square()
    unknown = vectors.square() @ (~known).to(DTYPE) > 1e-6
    return torch.where(unknown | (whole <= 0), torch.inf, variance)


def _judge_anchor(
    design: Design, config: ModelConfig, sd: np.ndarray, against: list[str]
) -> tuple[bool, list[str]]:
    """Whether no day has an anchor, and sentences for the days that lack one or have a weak one."""
    best = sd.min(axis=0)  # [D] the contrast with the most information
    limit = config.priors.s_tau
    has_guides = design.gene_cells.sum(dim=0).numpy() > 0
    lost = has_guides & (best > limit)
    if lost[has_guides].all():
        return True, [
            "The common shift of all genes is not known on any day: no cells differ in their number of "
            "targeting guides beyond what intercepts"
            + (" and the burden slope" if "the burden slope" in against else "")
            + " explain. Effects are only known relative to each other and to their prior. Add NTC guides "
            "or cells without targeting guides"
            + (", or set model.burden_slope: none if cells with more guides are known to behave alike."
               if "the burden slope" in against else ".")
        ]  # fmt: skip
    found = []
    for name, is_lost, value, what in zip(design.days, lost, best, against, strict=True):
        if is_lost:
            size = (
                "nothing" if np.isinf(value) else f"little (SD {value:.2g}, more than the prior's {limit:g})"
            )
            found.append(
                f"The common shift of all genes on {_on([name])} is not told from {what}: NTC guides "
                f"and cells without targeting guides say {size} of it. Effects of that day are known "
                "relative to each other; their common level rests on the prior and on other days."
            )
    weak = [
        f"{_on([day])} (SD {value:.2g})"
        for day, is_lost, value in zip(design.days, lost, best, strict=True)
        if not is_lost and np.isfinite(value) and value > LITTLE_ANCHOR * limit
    ]
    if weak:
        found.append(
            f"NTC guides and cells without targeting guides say little of the common shift of all genes on "
            f"{_join(weak)}: an error of that size is shared by all effects of the day."
        )
    return False, found


# ------------------------------------------------------------ local defects


@dataclass(frozen=True)
class _Group:
    """Guides (``day`` None) or genes of one day that occur together."""

    members: list[int]
    day: int | None


@dataclass(frozen=True)
class _Levels:
    """Replicates whose level is imitated by intercepts of ``days`` or by pairs [n, 2] of gene and day."""

    name: str
    reps: list[int]
    days: list[int]
    genes: np.ndarray


def _occur_together(design: Design, defects: _Defects) -> list[_Group]:
    """Find guides, and genes by day, that occur in the same cells or nearly so."""
    n_days, n_cells = len(design.days), design.n_cells
    cell = np.repeat(np.arange(n_cells), design.cell_offsets.diff().numpy())  # [E]
    guide = design.cell_guides.numpy()
    gene = design.guide_to_gene.numpy()
    groups = []
    covered: list[set[int]] = []  # genes of a guide group that stand for their only guides
    single = design.n_guides_per_gene.numpy() == 1
    for members, overlap in _same_sets(guide, cell, len(design.guides), n_cells):
        names = [f"{design.guides[g]} (gene {design.genes[gene[g]]})" for g in members]
        sentence = f"Guides {_join(names)} {_together(overlap)}: their effects cannot be told apart."
        for g in members:
            defects.guides.setdefault(design.guides[g], []).append(sentence)
        genes = [int(index) for index in gene[members]]
        for index in {index for index in genes if single[index]}:
            defects.genes.setdefault(design.genes[index], []).append(sentence)
        covered.append({index for index in genes if single[index]})
        defects.warnings.append(sentence)
        groups.append(_Group(members, None))
    of_gene = gene[guide] * n_days + design.day.numpy()[cell]  # [E] gene and day
    by_genes: dict[tuple[int, ...], list[tuple[int, float]]] = {}
    for members, overlap in _same_sets(of_gene, cell, len(design.genes) * n_days, n_cells):
        genes = sorted(item // n_days for item in members)
        if not any(set(genes) <= known for known in covered):
            by_genes.setdefault(tuple(genes), []).append((members[0] % n_days, overlap))
    for key, days in by_genes.items():
        names = [design.genes[index] for index in key]
        on = _on([design.days[d] for d, _ in days])
        sentence = (
            f"Genes {_join(names)} {_together(min(o for _, o in days))} on {on}: their effects there "
            "cannot be told apart."
        )
        for name in names:
            defects.genes.setdefault(name, []).append(sentence)
        defects.warnings.append(sentence)
        groups += [_Group(list(key), d) for d, _ in days]
    return groups


def _together(overlap: float) -> str:
    if overlap >= 1:
        return "always occur together"
    return f"nearly always occur together ({overlap:.0%} of the cells with one have the other)"


def _same_sets(
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
        same = np.flatnonzero(np.diff(code[order]) == 0)
        pairs.append(np.stack([items[order[same]], items[order[same + 1]]], axis=1))
    pair = np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0)  # [P, 2]
    if not len(pair):
        return []
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


def _in_every_cell(design: Design, defects: _Defects) -> None:
    """Find genes and guides that no cell of a day is without."""
    cells = torch.bincount(design.day, minlength=len(design.days))  # [D]
    guides = (design.guide_cells == cells) & (cells > 0)  # [G, D]
    per_gene = torch.zeros_like(design.gene_cells).index_add(0, design.guide_to_gene, design.guide_cells)
    genes = (design.gene_cells == cells) & (per_gene == cells) & (cells > 0)  # [L, D]
    for kind, names, places, found in (
        ("Guide", design.guides, guides, defects.guides),
        ("Gene", design.genes, genes, defects.genes),
    ):
        for index in torch.nonzero(places.any(dim=1))[:, 0].tolist():
            days = _on([design.days[d] for d in torch.nonzero(places[index])[:, 0].tolist()])
            sentence = (
                f"{kind} {names[index]} is in every cell of {days}: its effect there cannot be told from "
                "the intercept."
            )
            found.setdefault(names[index], []).append(sentence)
            defects.warnings.append(sentence)


def _replicates(design: Design, defects: _Defects) -> list[_Levels]:
    """Judge replicates: without controls, with one gene only.

    Returns
    -------
    list of _Levels
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
                    f"All cells of {_on(on)} are in replicates without a control ({design.reps[index]} "
                    "and what it is linked to), whose level cannot be told from the effect."
                )
    return [
        _Levels(
            f"level of replicate {design.reps[i]}, which has no control, against its genes",
            [int(i)],
            [],
            np.argwhere(present[i].reshape(n_genes, n_days)),
        )
        for i in np.flatnonzero(~fixed)
    ]


def _rep_and_day(design: Design, defects: _Defects) -> list[_Levels]:
    """Name replicates that are tied to days: their levels and the days' intercepts are one thing."""
    n_reps, n_days = len(design.reps), len(design.days)
    table = torch.bincount(design.rep * n_days + design.day, minlength=n_reps * n_days)
    reps, days = np.nonzero(table.reshape(n_reps, n_days).numpy())
    graph = coo_array((np.ones(len(reps)), (reps, n_reps + days)), shape=(n_reps + n_days,) * 2)
    n_parts, label = connected_components(graph, directed=False)
    if n_parts == 1:
        return []
    found, parts = [], []
    for part in range(n_parts):
        reps, days = np.flatnonzero(label[:n_reps] == part), np.flatnonzero(label[n_reps:] == part)
        who = _join([design.reps[i] for i in reps])
        when = _on([design.days[i] for i in days])
        parts.append(f"{who} only on {when}")
        name = f"level of replicates {who} against the intercept of {when}"
        found.append(_Levels(name, reps.tolist(), days.tolist(), np.empty((0, 2), np.int64)))
    defects.warnings.append(
        f"Replicates are confounded with days ({'; '.join(parts[:N_NAMED])}): their levels cannot be told "
        "from the intercepts of the days. Gene effects within a day are not touched."
    )
    return found[1:]  # the others say where the first is


def _clusters(design: Design, defects: _Defects) -> None:
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
                f"{len(lonely)} of {n_clusters} clusters carry only one gene and no control "
                f"({first_few([design.clusters[i] for i in lonely])}): they say of it only what their own "
                "intercepts leave."
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
            f"The effect on {_on(days)} rests on a single cluster."
        )
    if by_gene:
        names = first_few([f"{design.genes[i]} on {_on(days)}" for i, days in by_gene.items()], N_NAMED)
        defects.warnings.append(f"{len(rests)} gene-days rest on a single cluster: {names}.")


def _determined_labels(design: Design, rows: Rows, profile: _Profile, defects: _Defects) -> None:
    """Find fates that a day lacks, and gene-days whose cells all have one fate for certain."""
    for f, fate in enumerate(design.fates):
        days = [
            day for day, share in zip(design.days, profile.shares[:, f].tolist(), strict=True) if share == 0
        ]
        if days:
            what = "no effect is informed" if f == 0 else "no effect on it is informed"
            defects.warnings.append(f"No cell of {_on(days)} has fate {fate}: {what} there.")
    sums = (rows.transpose @ rows.target)[profile.c.columns.guides :]  # [D * G, F]
    of_gene = profile.genes(sums.reshape(len(design.days), len(design.guides), -1))  # [D, L, F]
    total = of_gene.sum(dim=2)
    sure = (of_gene.amax(dim=2) >= (1 - 1e-9) * total) & (total > 0)  # [D, L]
    sure &= (profile.shares.amax(dim=1) < 1 - 1e-9)[:, None]
    places = torch.nonzero(sure.T).tolist()
    for index, d in places:
        n, fate = int(design.gene_cells[index, d]), design.fates[int(of_gene[d, index].argmax())]
        defects.genes.setdefault(design.genes[index], []).append(
            f"On {_on([design.days[d]])} all its cells ({n}) have fate {fate}: the labels bound the effect "
            "on one side only."
        )
    if places:
        names = first_few([f"{design.genes[i]} on {_on([design.days[d]])}" for i, d in places], N_NAMED)
        defects.warnings.append(
            f"All cells of {len(places)} gene-days have one and the same fate, which bounds the effect on "
            f"one side only: {names}."
        )


# --------------------------------------------------------- weak directions


def _weak_directions(
    design: Design,
    config: ModelConfig,
    profile: _Profile,
    shift: _Shift,
    groups: list[_Group],
    levels: list[_Levels],
) -> list[WeakDirection]:
    """Name the weakest directions of the information of the primary contrast.

    Candidates with a name come first to explain what the decomposition finds; what none of them
    explains is described by its largest parts.
    """
    f = design.contrasts.index(config.contrast) if config.contrast in design.contrasts else 0
    candidates = _candidates(design, profile, shift, groups, levels, f)
    if profile.c.size > DENSE_COORDINATES:
        named = {c.name: WeakDirection(c.name, None, c.prior_sd, c.labels_sd) for c in candidates}
        return sorted(named.values(), key=lambda weak: -_ratio(weak))
    values, vectors, scale = _decompose(profile, f, min(N_WEAKEST + len(candidates), MOST_WEAKEST))
    found: list[WeakDirection] = []
    for candidate in candidates:
        direction = (candidate.vector * scale)[:, None]
        length = float(direction.square().sum())
        if not length:
            continue
        inside = vectors.T @ direction  # [K, 1]
        share = _information_along(profile, candidate.vector, f) / length
        if float(inside.square().sum()) > SAME_DIRECTION * length:
            found.append(WeakDirection(candidate.name, share, candidate.prior_sd, candidate.labels_sd))
            axis = inside / inside.norm()
            # what is left of the weak space once this direction is taken out
            keep = torch.linalg.qr(torch.cat([axis, torch.eye(len(axis), dtype=DTYPE)], dim=1)).Q[:, 1:]
            values, vectors = _rotate(values, vectors, keep)
        elif candidate.labels_sd > candidate.prior_sd:
            found.append(WeakDirection(candidate.name, None, candidate.prior_sd, candidate.labels_sd))
    for value, vector in zip(values.tolist(), vectors.T, strict=True):
        if value < WEAK:
            found.append(WeakDirection(_largest_parts(design, profile.c, vector), value, None, None))
    distinct = {weak.name: weak for weak in reversed(found)}.values()
    return sorted(distinct, key=lambda weak: (-_ratio(weak), weak.share or 0.0))


def _rotate(values: Tensor, vectors: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenpairs within the part ``keep`` [K, K - 1] of the space of ``vectors`` [p, K]."""
    inner, turn = torch.linalg.eigh(keep.T @ torch.diag(values) @ keep)
    return inner, vectors @ (keep @ turn)


def _ratio(weak: WeakDirection) -> float:
    """SD from the labels over that of the prior; 0 for a direction without SDs."""
    return (weak.labels_sd / weak.prior_sd) if weak.labels_sd and weak.prior_sd else 0.0


@dataclass(frozen=True)
class _Candidate:
    """A direction with a name: in theta by day, nuisances and guide directions, [p]."""

    name: str
    vector: Tensor
    prior_sd: float
    labels_sd: float


def _candidates(
    design: Design, profile: _Profile, shift: _Shift, groups: list[_Group], levels: list[_Levels], f: int
) -> list[_Candidate]:
    """Directions that are often weak."""
    c, n_days, n_genes = profile.c, len(design.days), len(design.genes)
    scales = c.scales.log_scales(c.scales.start(START_SHARE))[f].exp()  # [H]
    theta_sd = scales[:n_days].square().cumsum(0).sqrt()  # [D]
    guide_sd = float(scales[n_days])
    found = []
    of_day = torch.nn.functional.one_hot(profile.rows.day, n_days).to(DTYPE) * profile.n_targeting[:, None]
    solved = -profile._inverse @ profile.product(profile._within, of_day)  # [k, D] nuisances that make up
    for d, day in enumerate(design.days):
        vector = torch.zeros(c.size, dtype=DTYPE)
        vector[: len(solved)] = solved[:, d]
        vector[c.walk].view(n_days, n_genes)[d] = (design.gene_cells[:, d] > 0).to(DTYPE)
        observed = max(int((design.gene_cells[:, d] > 0).sum()), 1)
        prior = float(theta_sd[d]) / observed**0.5
        name = f"common shift of all genes on {_on([day])} against {shift.against[d]}"
        found.append(_Candidate(name, vector, prior, float(shift.sd[f, d])))
    pairs = [(g, *pair) for g in groups for pair in pairwise(g.members)]
    for group, a, b in pairs:
        if group.day is not None:
            name = f"gene {design.genes[a]} against gene {design.genes[b]} on {_on([design.days[group.day]])}"
            vector = _gene_difference(c, group.day, a, b)
            sd = _difference_sd(profile, vector, f)
            found.append(_Candidate(name, vector, 2**0.5 * float(theta_sd[group.day]), sd))
            continue
        name = f"guide {design.guides[a]} against guide {design.guides[b]}, which occur together"
        genes = design.guide_to_gene[[a, b]].tolist()
        prior = (2 * guide_sd**2 + (0 if genes[0] == genes[1] else 2 * float(theta_sd[0]) ** 2)) ** 0.5
        if c.n_means and bool((design.n_guides_per_gene[genes] == 1).all()):
            prior = 2**0.5 * float(theta_sd[0])
            vectors = [_gene_difference(c, d, *genes) for d in range(n_days)]  # free on each day
        else:
            vectors = [_guide_difference(c, a, b)]
        sd = _difference_sd(profile, torch.stack(vectors).sum(dim=0), f)
        found += [_Candidate(name, vector, prior, sd) for vector in vectors]
    for level in levels:
        vector = torch.zeros(c.size, dtype=DTYPE)
        replicates, alpha = vector[c.blocks["b"]], vector[c.blocks["alpha"]]
        replicates[level.reps] = 1.0
        alpha[level.days] = -1.0
        if c.model.config.replicate_effect == "zero_sum":  # what centring takes from all replicates
            alpha += len(level.reps) / len(replicates)
        gene, day_of = level.genes.T.tolist()
        vector[c.walk].view(n_days, n_genes)[day_of, gene] = -1.0
        found.append(_Candidate(level.name, vector, c.model.config.priors.s_rep, float("inf")))
    return found


def _gene_difference(c: Coordinates, day: int, a: int, b: int) -> Tensor:
    """Effect of gene a on a day against that of gene b, [p]."""
    vector = torch.zeros(c.size, dtype=DTYPE)
    walk = vector[c.walk].view(c.sizes.days, c.sizes.genes)
    walk[day, a], walk[day, b] = 1.0, -1.0
    return vector


def _guide_difference(c: Coordinates, a: int, b: int) -> Tensor:
    """Effect of guide a against that of guide b on all days, other guides of their genes fixed, [p]."""
    vector = torch.zeros(c.size, dtype=DTYPE)
    beta = torch.zeros(c.sizes.guides, 1, dtype=DTYPE)
    beta[a], beta[b] = 1.0, -1.0
    if c.n_means:  # theta is the mean over the gene's guides
        sums = torch.zeros(c.sizes.genes, dtype=DTYPE).index_add(0, c.guide_to_gene, beta[:, 0])
        vector[c.walk] = (sums / c.sizes.n_guides_per_gene).repeat(c.sizes.days)
    vector[c.directions] = (c.rotation_transpose @ beta)[:, 0]
    return vector


def _predictor(profile: _Profile, vector: Tensor) -> Tensor:
    """Linear predictor of a direction whose walk holds theta by day, [p] -> [M, 1]."""
    x = vector.clone()
    walk = x[profile.c.walk].view(profile.c.sizes.days, -1)
    walk[1:] -= walk[:-1].clone()
    return profile.rows.matrix @ profile.c.coefficients(x[None]).T.contiguous()


def _information_along(profile: _Profile, vector: Tensor, f: int, profiled: bool = False) -> float:
    """Information of contrast f along a direction, with the nuisances fixed or profiled out."""
    feature = _predictor(profile, vector)
    left = profile.residual(feature) if profiled else feature
    weight = profile.rows.weight * profile.rows.cells * profile.per_cell[f][profile.rows.day]
    return float((weight[:, None] * feature * left).sum())


def _difference_sd(profile: _Profile, vector: Tensor, f: int) -> float:
    """SD from the labels of the difference of two effects, their sum known."""
    left = _information_along(profile, vector / 2, f, profiled=True)
    return left**-0.5 if left > NO_INFORMATION else float("inf")


def _decompose(profile: _Profile, f: int, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Smallest eigenvalues [K], eigenvectors [p, K] of the information at unit diagonal; its scale [p].

    At unit diagonal an effect with few cells is not weak, only one that others imitate.
    """
    c = profile.c
    weights = profile.rows.weight * profile.rows.cells * profile.per_cell[f][profile.rows.day]
    matrix = information(RowIndex(profile.rows, c), c, weights[:, None, None])  # [p, p]
    n_days, n_genes = c.sizes.days, c.sizes.genes
    # from innovations to theta: the block of a day is what later innovations do not share
    rows = matrix[c.walk].view(n_days, n_genes, -1)
    rows[:-1] -= rows[1:].clone()
    columns = matrix[:, c.walk].view(-1, n_days, n_genes)
    columns[:, :-1] -= columns[:, 1:].clone()
    diagonal = matrix.diagonal().clone()
    seen = diagonal > NO_INFORMATION * float(diagonal.max())
    scale = torch.where(seen, diagonal.clamp(min=1e-300).sqrt(), 0.0)
    inverse = torch.where(seen, 1 / scale.clamp(min=1e-150), 0.0)
    matrix *= inverse[:, None]
    matrix *= inverse
    matrix.diagonal()[~seen] = 1.0  # unobserved gene-days are no direction of interest
    if "b" in c.blocks:  # a common level of all replicates: centred out, or the intercepts
        level = torch.zeros(c.size, dtype=DTYPE)
        level[c.blocks["b"]] = scale[c.blocks["b"]]
        if c.model.config.replicate_effect == "free":
            level[c.blocks["alpha"]] = -scale[c.blocks["alpha"]]
        level /= level.norm()
        matrix += level[:, None] * level
    matrix.diagonal().add_(NO_INFORMATION)
    factor = torch.linalg.cholesky(matrix)
    operator = LinearOperator(
        matrix.shape,
        matvec=lambda x: torch.cholesky_solve(torch.from_numpy(x.reshape(-1, 1)), factor)[:, 0].numpy(),
        dtype=np.float64,
    )
    k = min(k, c.size - 1)
    start = np.random.default_rng(0).normal(size=c.size)
    found, vectors = eigsh(operator, k=k, which="LA", v0=start, tol=1e-6)
    order = np.argsort(-found)
    values = torch.from_numpy(1 / found[order]) - NO_INFORMATION
    return values.clamp(min=0), torch.from_numpy(vectors[:, order].copy()), scale


def _largest_parts(design: Design, c: Coordinates, vector: Tensor) -> str:
    """Describe a direction by its four largest parts."""
    parts = []
    for place in vector.abs().argsort(descending=True)[:4].tolist():
        name = _coordinate_name(design, c, place)
        if float(vector[place]) ** 2 > 0.02 and name not in parts:
            parts.append(name)
    return f"a combination of {_join(parts)}" if parts else "a combination of many effects"


def _coordinate_name(design: Design, c: Coordinates, place: int) -> str:
    if place >= c.directions.start:
        guide = int(c.rotation.to_dense()[:, place - c.directions.start].abs().argmax())
        return f"guides of gene {design.genes[int(design.guide_to_gene[guide])]} ({design.guides[guide]})"
    if place >= c.walk.start:
        d, gene = divmod(place - c.walk.start, len(design.genes))
        return f"gene {design.genes[gene]} on {_on([design.days[d]])}"
    block, at = next((n, place - b.start) for n, b in c.blocks.items() if b.start <= place < b.stop)
    return {
        "alpha": lambda: f"the intercept of {_on([design.days[at]])}",
        "b": lambda: f"replicate {design.reps[at]}",
        "gamma": lambda: (
            "the burden slope" + (f" of {_on([design.days[at]])}" if c._length("gamma") > 1 else "")
        ),
        "zeta": lambda: f"covariate {design.covariate_names[at]}",
        "c": lambda: f"cluster {design.clusters[at]}",
    }[block]()


def _warn_of_weak(weak: list[WeakDirection]) -> list[str]:
    """Sentences for combinations that nothing else has named yet."""
    return [
        f"Effects imitate each other: {w.name}. Of the information that they have one by one, "
        f"{w.share:.1%} is left to this combination."
        for w in weak
        if w.prior_sd is None and w.share is not None
    ]


# ------------------------------------------------------------ free NTC slope


@dataclass(frozen=True)
class NtcSlope:
    """Effect of an NTC guide beyond its share of the burden, logit per guide; should be zero.

    Attributes
    ----------
    slope, se, z : array [F*]
        One Newton step from zero, its SD given all else, their ratio.
    contrasts
        Names.
    warnings
        Full sentences.
    """

    slope: np.ndarray
    se: np.ndarray
    z: np.ndarray
    contrasts: tuple[str, ...]
    warnings: list[str]

    def report(self) -> dict[str, Any]:
        """Part of the fit card."""
        return {
            contrast: {"slope": slope, "se": se, "z": z}
            for contrast, slope, se, z in zip(
                self.contrasts, self.slope.tolist(), self.se.tolist(), self.z.tolist(), strict=True
            )
        }


@torch.no_grad()
def ntc_slope(laplace: Laplace, design: Design) -> NtcSlope | None:
    """Test whether NTC guides act beyond the burden: one step of a slope on their number in the cell.

    With score s = sum of w n_ntc (p - pi), information I and covariance C with all other parameters,
    whose information with the prior is H, the step is (I - C' H^-1 C)^-1 s: at the mode the score of
    the others is zero. A common shift of all genes imitates this slope once it is free, so the test
    asks whether the shift that the NTC cells want fits the prior, under which effects of genes
    average to about zero; many effects of one sign are the other way to a large z.

    Parameters
    ----------
    laplace
        At its mode.
    design
        The cells.

    Returns
    -------
    NtcSlope or None
        None where no cell has an NTC guide, or nothing is left to tell the slope from the rest.
    """
    if not bool((design.n_ntc > 0).any()):
        return None
    c, rows = laplace.coordinates, laplace.rows
    device = rows.day.device
    sd = c.sd(c.scales.log_scales(laplace.vector))  # [F*, p]
    pi = fate_probabilities(linear_predictor(rows, c.coefficients(sd * laplace.y).T.contiguous()))
    row, n_ntc = row_of_cells(design).to(device), design.n_ntc.to(device, DTYPE)
    weighted = rows.weight[row] * n_ntc  # [N]
    score = (weighted[:, None] * (design.prob.to(device) - pi[row])).sum(dim=0)[1:]  # [F*]
    zeros = torch.zeros(len(rows), dtype=DTYPE, device=device)
    first = zeros.index_add(0, row, weighted)  # [M]
    second = zeros.index_add(0, row, weighted * n_ntc)
    p = pi[:, 1:]
    bend = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]  # [M, F*, F*]
    n = len(score)
    whole = (second[:, None, None] * bend).sum(dim=0)  # [F*, F*]
    crossed = rows.transpose @ (first[:, None] * bend.reshape(len(rows), -1))  # [Q, F* F*]
    crossed = c.adjoint(crossed.T.reshape(n, n, -1))  # [F* of the slope, F*, p]
    crossed = (sd * crossed).reshape(n, -1).T  # [P, F*]
    left = whole - crossed.T @ torch.cholesky_solve(crossed, laplace.factor)
    if float((left.diagonal() / whole.diagonal()).min()) < NO_INFORMATION:
        return None
    covariance = torch.linalg.inv(0.5 * (left + left.T))
    slope, se = covariance @ score, covariance.diagonal().sqrt()
    z = slope / se
    names = [
        f"{contrast} (slope {s:+.3f}, z {v:+.1f})"
        for contrast, s, v in zip(design.contrasts, slope.tolist(), z.tolist(), strict=True)
        if abs(v) > NTC_Z_WARN
    ]
    warnings = []
    if names:
        warnings.append(
            f"NTC guides act beyond their share of the burden on {first_few(names, N_NAMED)}. The burden is "
            "probably miscounted (for example one NTC label pooled over several guides), which shifts the "
            "effects of all genes alike: give a column burden with the true number of guides in the cell. If "
            "the burden is right, most genes act in the same direction, or NTC guides do act."
        )
    numbers = slope.cpu().numpy(), se.cpu().numpy(), z.cpu().numpy()
    return NtcSlope(*numbers, design.contrasts, warnings)


# -------------------------------------------------------------------- power


def gene_power(design: Design, config: ModelConfig, rows: Rows) -> pd.DataFrame:
    """Minimum detectable effect of each gene, contrast and day: table ``gene_power.csv``.

    The effect whose |z| exceeds 1.96 with probability 0.8, (1.96 + 0.84) x SE, where SE is that of
    the likelihood-only estimate expected from the design at the day's mean fate shares. Profiled out:
    all nuisances, the other contrasts, the common shift of the other genes (with its prior), and the
    gene's guide deviations (with their prior at half the prior scale, so that genes of several guides
    of unequal abundance come out a little worse). Neglected: that the other genes' single effects are
    estimated too, intercepts of clusters, and that fate shares of the gene's own cells differ from the day's where its effect is large.

    Parameters
    ----------
    design
        The cells.
    config
        Section ``model``.
    rows
        Of the design, with the weights of the labels: power goes with sqrt(weight).

    Returns
    -------
    pandas.DataFrame
        gene, contrast, mde_d* (logit; missing without cells, infinite without information),
        n_cells_d*, n_guides.
    """
    rows = rows.to(torch.device("cpu"))
    profile = _Profile(rows, Coordinates(FateModel(Sizes.of(design), config)))
    variance = _gene_variance(design, profile).numpy()  # [F*, L, D]
    n_days, n_genes = len(design.days), len(design.genes)
    cells = design.gene_cells.numpy()
    parts = []
    for contrast, values in zip(design.contrasts, variance, strict=True):
        mde = np.where(cells > 0, DETECTABLE * np.sqrt(values), np.nan)
        columns = {
            "gene": np.array(design.genes, dtype=object),
            "contrast": np.full(n_genes, contrast, dtype=object),
            **dict(zip(day_columns("mde", n_days), mde.T, strict=True)),
            **dict(zip(day_columns("n_cells", n_days), cells.T, strict=True)),
            "n_guides": design.n_guides_per_gene.numpy(),
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def _gene_variance(design: Design, profile: _Profile) -> Tensor:
    """Variance of likelihood-only gene effects expected from the design, [F*, L, D]."""
    c = profile.c
    n_days, n_genes = len(design.days), len(design.genes)
    raw = profile.guides(torch.ones(len(profile.rows), 1, dtype=DTYPE))[:, :, 0]  # [D, G] sum of w
    kept = _share_kept(profile, profile.genes(raw[..., None])[..., 0])  # [D, L]
    scales = c.scales.log_scales(c.scales.start(START_SHARE)).exp()  # [F*, H]
    out = torch.full((len(design.contrasts), n_genes, n_days), torch.inf, dtype=DTYPE)
    per_cell = profile.per_cell / profile.mean_per_cell  # [F*, D]
    by_gene = design.guides_by_gene
    for n in torch.unique(design.n_guides_per_gene).tolist():
        genes = torch.nonzero(design.n_guides_per_gene == n)[:, 0]  # [K]
        guides = by_gene[design.gene_offsets[genes][:, None] + torch.arange(n)]  # [K, n]
        base = (raw[:, guides] * kept[:, genes][..., None]).permute(1, 0, 2)  # [K, D, n]
        turn = _contrasts_of(n)  # [n, n - 1]
        for f in range(len(design.contrasts)):
            info = base * per_cell[f][:, None].nan_to_num()  # [K, D, n]
            theta = info.sum(dim=2)  # [K, D]
            seen = theta > 0
            cross = info @ turn  # [K, D, n - 1]
            own = turn.T @ torch.diag_embed(info.sum(dim=1)) @ turn  # [K, n - 1, n - 1]
            own = own + torch.eye(n - 1, dtype=DTYPE) / scales[f, n_days].square()
            matrix = torch.diag_embed(torch.where(seen, theta, 1.0)) - cross @ torch.linalg.solve(
                own, cross.transpose(1, 2)
            )
            variance = torch.linalg.inv(matrix).diagonal(dim1=1, dim2=2)  # [K, D]
            out[f, genes] = torch.where(seen, variance, torch.inf)
    return out


def _share_kept(profile: _Profile, whole: Tensor) -> Tensor:
    """Sum of squares of each gene-day that the rest of the regression leaves, over ``whole``, [D, L].

    Cells with several guides of the gene count with the square, so that it can exceed one. The rest: nuisances, and the number of guides of other genes with the prior of their mean.
    """
    c, n_days = profile.c, profile.c.sizes.days
    of_day = torch.nn.functional.one_hot(profile.rows.day, n_days).to(DTYPE)
    m = profile.n_targeting[:, None] * of_day  # [M, D]
    left = profile.residual(m)
    k = profile.nuisances.shape[1]
    crossed = profile.genes(profile.guides(torch.cat([profile._within, left], dim=1)))  # [D, L, k + D]
    z = crossed[..., :k]
    own = profile.gene_squares() - torch.einsum("dlk,kj,dlj->dl", z, profile._inverse, z)  # <x, x>
    with_all = crossed[..., k:].diagonal(dim1=0, dim2=2).T  # [D, L] <x, m> of the same day
    all_square = profile.product(m, left).diagonal()[:, None]  # [D, 1] <m, m>
    scales = c.scales.log_scales(c.scales.start(START_SHARE)).exp().mean(dim=0)  # [H]
    prior = max(c.sizes.genes - 1, 1) / scales[:n_days].square().cumsum(0)[:, None]  # [D, 1] of their mean
    others = all_square - 2 * with_all + own + prior
    own = own - (with_all - own).square() / others
    share = torch.where(whole > 0, own / whole.clamp(min=1e-300), 0.0)
    return torch.where(share > NO_INFORMATION, share, 0.0)


def _contrasts_of(n: int) -> Tensor:
    """Orthonormal directions of n values that sum to zero, [n, n - 1]."""
    basis = torch.eye(n, dtype=DTYPE)
    basis[:, 0] = 1
    return torch.linalg.qr(basis).Q[:, 1:]


# -------------------------------------------------------------------- words


def _join(names: list[str]) -> str:
    """Join names: a, b and c; after ten the number of the rest."""
    if len(names) > N_NAMED:
        return first_few(names, N_NAMED)
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _on(days: list[str]) -> str:
    """Name days: a label that is a number gets the word."""
    names = _join(days)
    return names if days[0].lower().startswith("day") else f"day {names}"


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value

"""Weak directions of the information: what the labels cannot tell apart, in words.

Letters: L genes, G guides, D days, M rows, K eigenvectors, p coordinates of a contrast. A direction
[p] is laid out as in ``model.coordinates``, but its walk holds theta by day, not innovations.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.sparse.linalg import ArpackError, eigsh
from torch import Tensor

from fatewalk.core.outcome import NumericalError
from fatewalk.core.words import join, on_days
from fatewalk.diagnostics.profile import NO_INFORMATION, Profile
from fatewalk.infer.laplace import START_SHARE
from fatewalk.model.information import RowIndex, information
from fatewalk.model.linalg import cholesky, eigh
from fatewalk.model.scales import DTYPE
from fatewalk.model.terms import Clusters, Intercepts, Replicates

if TYPE_CHECKING:
    from fatewalk.diagnostics.anchor import Shift
    from fatewalk.diagnostics.defects import Group, Levels
    from fatewalk.model.coordinates import Coordinates
    from fatewalk.screen.design import Design

DENSE_COORDINATES = 1500  # coordinates of a contrast up to which the information is decomposed
N_WEAKEST = 12  # directions looked at beyond the candidates
MOST_WEAKEST = 60
WEAK = 0.02  # information left to a direction, of what its parts have one by one
SAME_DIRECTION = 0.5  # squared cosine above which a direction has a candidate's name


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


def weak_directions(
    design: Design,
    profile: Profile,
    shift: Shift,
    groups: list[Group],
    levels: list[Levels],
    f: int,
) -> list[WeakDirection]:
    """Name the weakest directions of the information of contrast f.

    Candidates with a name come first to explain what the decomposition finds; what none of them
    explains is described by its largest parts.
    """
    candidates = _candidates(design, profile, shift, groups, levels, f)
    if profile.c.size > DENSE_COORDINATES:
        named = {c.name: WeakDirection(c.name, None, c.prior_sd, c.labels_sd) for c in candidates}
        return sorted(named.values(), key=lambda weak: -_ratio(weak))
    values, vectors, scale = _decompose(profile, f, min(N_WEAKEST + len(candidates), MOST_WEAKEST))
    unseen = _unseen(profile.c, scale)
    found: list[WeakDirection] = []
    for candidate in candidates:
        direction = (candidate.vector * scale)[:, None]
        for block, axes in unseen:
            direction[block] -= axes @ (axes.T @ direction[block])
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
    inner, turn = eigh(keep.T @ torch.diag(values) @ keep, "the weak part of the information")
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
    design: Design, profile: Profile, shift: Shift, groups: list[Group], levels: list[Levels], f: int
) -> list[_Candidate]:
    """Directions that are often weak."""
    c, n_days, n_genes = profile.c, len(design.days), len(design.genes)
    scales = c.scales.log_scales(c.scales.start(START_SHARE))[f].exp()  # [H]
    theta_sd = c.terms.walk.variance(scales[:n_days]).sqrt()  # [D]
    guide_sd = float(scales[n_days])
    found = []
    of_day = torch.nn.functional.one_hot(profile.rows.day, n_days).to(DTYPE) * profile.n_targeting[:, None]
    solved = -profile.inverse @ profile.product(profile.within, of_day)  # [k, D] nuisances that make up
    for d, day in enumerate(design.days):
        vector = torch.zeros(c.size, dtype=DTYPE)
        vector[profile.places] = solved[:, d]
        vector[c.walk].view(n_days, n_genes)[d] = (design.gene_cells[:, d] > 0).to(DTYPE)
        observed = max(int((design.gene_cells[:, d] > 0).sum()), 1)
        prior = float(theta_sd[d]) / observed**0.5
        name = f"common shift of all genes on {on_days([day])} against {shift.against[d]}"
        found.append(_Candidate(name, vector, prior, float(shift.sd[f, d])))
    pairs = [(g, *pair) for g in groups for pair in pairwise(g.members)]
    for group, a, b in pairs:
        if group.day is not None:
            day = on_days([design.days[group.day]])
            name = f"gene {design.genes[a]} against gene {design.genes[b]} on {day}"
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
    replicate_term = c.terms.nuisance(Replicates)
    for level in levels:
        assert replicate_term is not None  # levels are those of replicates
        of_reps, of_days = c.place(Replicates), c.place(Intercepts)
        assert of_reps is not None
        assert of_days is not None
        vector = torch.zeros(c.size, dtype=DTYPE)
        levels_of_reps = vector[of_reps][: len(design.reps)]
        levels_of_reps[level.rep] = 1.0
        vector[of_days] = replicate_term.day_means(levels_of_reps)
        gene, day_of = level.genes.T.tolist()
        vector[c.walk].view(n_days, n_genes)[day_of, gene] = -1.0
        found.append(_Candidate(level.name, vector, replicate_term.sd, float("inf")))
    return found


def _gene_difference(c: Coordinates, day: int, a: int, b: int) -> Tensor:
    """Effect of gene a on a day against that of gene b, [p]."""
    vector = torch.zeros(c.size, dtype=DTYPE)
    walk = vector[c.walk].view(c.terms.n_days, c.terms.n_genes)
    walk[day, a], walk[day, b] = 1.0, -1.0
    return vector


def _guide_difference(c: Coordinates, a: int, b: int) -> Tensor:
    """Effect of guide a against that of guide b on all days, other guides of their genes fixed, [p]."""
    vector = torch.zeros(c.size, dtype=DTYPE)
    beta = torch.zeros(c.terms.n_guides, 1, dtype=DTYPE)
    beta[a], beta[b] = 1.0, -1.0
    if c.n_means:  # theta is the mean over the gene's guides
        sums = torch.zeros(c.terms.n_genes, dtype=DTYPE).index_add(0, c.guide_to_gene, beta[:, 0])
        vector[c.walk] = (sums / c.terms.guides.n_guides_per_gene).repeat(c.terms.n_days)
    vector[c.directions] = (c.rotation_transpose @ beta)[:, 0]
    return vector


def _predictor(profile: Profile, vector: Tensor) -> Tensor:
    """Linear predictor of a direction whose walk holds theta by day, [p] -> [M, 1]."""
    x = vector.clone()
    theta = x[profile.c.walk].view(profile.c.terms.n_days, -1)
    theta.copy_(profile.c.terms.walk.inverse @ theta)
    return profile.rows.matrix @ profile.c.coefficients(x[None]).T.contiguous()


def _information_along(profile: Profile, vector: Tensor, f: int, profiled: bool = False) -> float:
    """Information of contrast f along a direction, with the nuisances fixed or profiled out."""
    feature = _predictor(profile, vector)
    left = profile.residual(feature) if profiled else profile.within_clusters(feature)
    weight = profile.rows.weight * profile.rows.cells * profile.per_cell[f][profile.rows.day]
    return float((weight[:, None] * feature * left).sum())


def _difference_sd(profile: Profile, vector: Tensor, f: int) -> float:
    """SD from the labels of the difference of two effects, their sum known."""
    left = _information_along(profile, vector / 2, f, profiled=True)
    return left**-0.5 if left > NO_INFORMATION else float("inf")


def _decompose(profile: Profile, f: int, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Smallest eigenvalues [K], eigenvectors [p, K] of the information at unit diagonal; its scale [p].

    At unit diagonal an effect with few cells is not weak, only one that others imitate.
    """
    c = profile.c
    weights = profile.rows.weight * profile.rows.cells * profile.per_cell[f][profile.rows.day]
    matrix = information(RowIndex(profile.rows, c), c, weights[:, None, None])  # [p, p]
    inverse = c.terms.walk.inverse  # [D, D]; from innovations to theta
    rows = matrix[c.walk].view(c.terms.n_days, -1)
    rows.copy_(inverse.T @ rows)
    columns = matrix[:, c.walk].view(len(matrix), c.terms.n_days, -1)
    columns.copy_(inverse.T @ columns)
    clusters = c.terms.nuisance(Clusters)
    for term in c.terms.nuisances:
        matrix.diagonal()[c.blocks[term.name]] += term.prior_precision
    if clusters:  # each cell is in one of them
        place = c.blocks[clusters.name]
        own = matrix.diagonal()[place]
        cross = matrix[:, place] / own.sqrt()  # [p, C]
        matrix -= cross @ cross.T
        matrix[place] = 0.0
        matrix[:, place] = 0.0
    diagonal = matrix.diagonal().clone()
    seen = _seen(c, diagonal)
    scale = torch.where(seen, diagonal.clamp(min=1e-300).sqrt(), 0.0)
    inverse = torch.where(seen, 1 / scale.clamp(min=1e-150), 0.0)
    matrix *= inverse[:, None]
    matrix *= inverse
    matrix.diagonal()[~seen] = 1.0  # unobserved gene-days are no direction of interest
    for block, axes in _unseen(c, scale):
        matrix[block, block] += axes @ axes.T
    matrix.diagonal().add_(NO_INFORMATION)
    factor = cholesky(matrix, "the information at unit diagonal")
    inverse_matrix = torch.cholesky_inverse(factor).numpy()
    k = min(k, c.size - 1)
    start = np.random.default_rng(0).normal(size=c.size)
    try:
        found, vectors = eigsh(inverse_matrix, k=k, which="LA", v0=start, tol=1e-6)
    except ArpackError as error:
        raise NumericalError(
            f"the smallest eigenvalues of the information were not found ({error})"
        ) from error
    order = np.argsort(-found)
    values = torch.from_numpy(1 / found[order]) - NO_INFORMATION
    return values.clamp(min=0), torch.from_numpy(vectors[:, order].copy()), scale


def _unseen(c: Coordinates, scale: Tensor) -> list[tuple[slice, Tensor]]:
    """Directions of nuisances that no column sees, at unit diagonal: place, and orthonormal axes [n, k].

    A common level of all replicates is centred out, for example.
    """
    found = []
    for term in c.terms.nuisances:
        block = c.blocks[term.name]
        axes, size, _ = torch.linalg.svd(scale[block, None] * term.null_space, full_matrices=False)
        found.append((block, axes[:, size > 1e-9 * size.sum()]))
    return found


def _seen(c: Coordinates, diagonal: Tensor) -> Tensor:
    """Coordinates on which there is information, bool [p]: each against the largest of its own kind.

    Kinds have units of their own: a burden of 1e5 UMIs has 1e10 times the information of an intercept.
    """
    found = torch.zeros(c.size, dtype=torch.bool)
    for kind in (*c.blocks.values(), c.walk, c.directions):
        own = diagonal[kind]
        found[kind] = own > NO_INFORMATION * own.amax() if len(own) else False
    return found


def _largest_parts(design: Design, c: Coordinates, vector: Tensor) -> str:
    """Describe a direction by its four largest parts."""
    parts = []
    for place in vector.abs().argsort(descending=True)[:4].tolist():
        name = _coordinate_name(design, c, place)
        if float(vector[place]) ** 2 > 0.02 and name not in parts:
            parts.append(name)
    return f"a combination of {join(parts)}" if parts else "a combination of many effects"


def _coordinate_name(design: Design, c: Coordinates, place: int) -> str:
    if place >= c.directions.start:
        guides = c.rotation_transpose  # a row for each direction
        guide = int(guides.col_indices()[guides.crow_indices()[place - c.directions.start]])
        return f"guides of gene {design.genes[int(design.guide_to_gene[guide])]} ({design.guides[guide]})"
    if place >= c.walk.start:
        d, gene = divmod(place - c.walk.start, len(design.genes))
        return f"gene {design.genes[gene]} on {on_days([design.days[d]])}"
    term = next(t for t in reversed(c.terms.nuisances) if c.blocks[t.name].start <= place)
    return term.words(design)[place - c.blocks[term.name].start]


def warn_of_weak(weak: list[WeakDirection]) -> list[str]:
    """Sentences for combinations that nothing else has named yet."""
    return [
        f"Effects imitate each other: {w.name}. Of the information that they have one by one, "
        f"{max(w.share, 0.0):.1%} is left to this combination."
        for w in weak
        if w.prior_sd is None and w.share is not None
    ]

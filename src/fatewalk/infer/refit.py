"""Fits of designs that were drawn again, each from the mode of the first one.

The same Newton-Laplace as in the fit, which from there takes a few rounds. It ends at looser limits: a scale
that is still to move by 2 % moves an effect by far less than the spread between draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from fatewalk.infer.intercepts import day_intercepts
from fatewalk.infer.laplace import Laplace, Start, SymmetricMode, fit_laplace, fit_symmetric
from fatewalk.model import make_rows, make_terms
from fatewalk.model.cells import clusters_share_guides
from fatewalk.model.coordinates import Coordinates
from fatewalk.model.sparse import apply
from fatewalk.model.terms import Clusters, Replicates

if TYPE_CHECKING:
    from torch import Tensor

    from fatewalk.infer.fitted import Posterior
    from fatewalk.model.terms import Nuisance
    from fatewalk.screen.resample import Resampled

SLACK = 10.0  # factor on the limits of a fit


@torch.no_grad()
def refit(
    first: Posterior, drawn: Resampled, weight: float | None, dense_limit: int
) -> tuple[Laplace, SymmetricMode]:
    """Fit a design that was drawn again.

    Parameters
    ----------
    first
        The fit of the first design.
    drawn
        The design.
    weight, dense_limit
        As in `fit_laplace`.

    Returns
    -------
    laplace
        The mode and its curvature.
    symmetric
        The mode under the prior that treats all fates alike.

    Raises
    ------
    NumericalError
        If no round can be taken.
    """
    design = drawn.design
    terms = make_terms(design, first.config)
    both = [Coordinates(terms), Coordinates(terms, symmetric=terms.n_contrasts > 1)]
    starts = [
        _start(first, mode, c, drawn) for mode, c in zip((first.laplace, first.symmetric), both, strict=True)
    ]
    shared = clusters_share_guides(design)
    labels = (weight, shared, dense_limit)
    rows = make_rows(design, terms)
    laplace = fit_laplace(both[0], rows, day_intercepts(design), *labels, start=starts[0])
    return laplace, fit_symmetric(laplace, *labels, start=starts[1])


def _start(first: Posterior, mode: dict[str, Tensor], c: Coordinates, drawn: Resampled) -> Start | None:
    """The mode of the first fit in the coordinates of another design; None if the scales are others."""
    old = Coordinates(first.model.terms, symmetric=c.root is not None)
    if old.scales.size != c.scales.size:  # a term is there in one alone
        return None
    x = old.sd(old.scales.log_scales(mode["vector"])) * mode["y"]
    out = x.new_zeros(len(x), c.size)
    for term in c.terms.nuisances:
        before = first.model.terms.nuisance(type(term))
        if before is not None:
            source = _source(term, before, drawn)
            place = torch.arange(c.size)[c.blocks[term.name]][source >= 0]
            out[:, place] = x[:, old.blocks[term.name]][:, source[source >= 0]]
    gene, guide = torch.from_numpy(drawn.gene), torch.from_numpy(drawn.guide)
    delta = apply(old.rotation, x[:, old.directions])[:, guide]  # [F*, G']
    theta = old.theta(x)[:, :, gene]  # [F*, D, L']
    if c.terms.guides.centred:  # a gene's effect is the mean of the guides that were drawn
        n_guides = c.terms.guides.n_guides_per_gene
        mean = theta.new_zeros(len(x), len(gene)).index_add(1, c.guide_to_gene, delta) / n_guides
        theta, delta = theta + mean[:, None, :], delta - mean[:, c.guide_to_gene]
    out[:, c.walk] = torch.einsum("de,fel->fdl", c.terms.walk.inverse, theta).reshape(len(x), -1)
    out[:, c.directions] = apply(c.rotation_transpose, delta)
    return Start(out, mode["vector"], SLACK)


def _source(term: Nuisance, before: Nuisance, drawn: Resampled) -> Tensor:
    """Coordinate of the first fit that each coordinate of a term is to start at, int64 [n]; -1: none."""
    if isinstance(term, Clusters):
        return torch.from_numpy(drawn.cluster)
    if not (isinstance(term, Replicates) and isinstance(before, Replicates)):
        return torch.arange(term.size)
    reps = torch.from_numpy(drawn.rep)
    day, rep = term.samples.T
    same = (torch.stack([day, reps[rep]], dim=1)[:, None] == before.samples).all(dim=-1)  # [S, S before]
    n_levels = before.size - len(before.samples)
    samples = torch.where(same.any(dim=1), n_levels + same.int().argmax(dim=1), -1)
    return torch.cat([reps, samples])[: term.size]

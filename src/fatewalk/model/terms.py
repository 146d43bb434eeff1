"""The terms of the linear predictor, each described once.

    eta[i, f] = intercept of the day + replicate, on the day + burden slope of the day x centred burden
                + covariates + own intercept of the cluster                      (nuisances)
                + sum over guides g of cell i of theta[gene of g, f, d] + delta[g, f]

A nuisance says which columns a cell has, the linear map from its coordinates to the coefficients of
these columns, its prior, and its names in words. Genes and guides share the columns of guides: theta
is a walk of independent innovations, delta a rotation of independent directions within genes. Rows,
model, coordinates, information, likelihood-only estimates and diagnostics loop over what stands here.

Letters: F* contrasts, L genes, G guides, D days, V directions of guides, n coordinates of a nuisance.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from fatewalk.core.words import on_days
from fatewalk.model.cells import centred_burden, guides_vary_in_clusters
from fatewalk.model.effects import center_within_gene
from fatewalk.model.scales import DTYPE, LogScales, Site
from fatewalk.model.sparse import block_diagonal, identity, sparse_matrix
from fatewalk.model.walk import Walk, make_walk

if TYPE_CHECKING:
    from fatewalk.config.sections import ModelConfig
    from fatewalk.screen.design import Design

N = TypeVar("N", bound="Nuisance")
Entries = list[tuple[Tensor, Tensor | None]]  # column [N] and value [N] of every cell; None: 1


@dataclass(frozen=True)
class Nuisance(ABC):
    """A term beside the effects of guides.

    Attributes
    ----------
    name
        Of its latent variable.
    map : sparse Tensor [columns, n]
        From the coordinates of a contrast to the coefficients of the term's columns.
    by_day
        Whether each day has columns of its own, as many as any other and day after day.
    sd
        Prior SD of a coordinate.
    scales
        Where the prior SD is a latent variable itself: the one scale of all coordinates.
    """

    name: str
    map: Tensor
    by_day: bool
    sd: float = 1.0
    scales: LogScales | None = None

    @abstractmethod
    def entries(self, design: Design) -> Entries:
        """Columns of the term that each cell has, ascending, and the values there."""

    @abstractmethod
    def words(self, design: Design) -> list[str]:
        """What each coordinate is called, [n]."""

    @property
    def n_columns(self) -> int:
        """Columns of the regression."""
        return self.map.shape[0]

    @property
    def size(self) -> int:
        """Coordinates n of a contrast."""
        return self.map.shape[1]

    @cached_property
    def null_space(self) -> Tensor:
        """Orthonormal directions of the coordinates that no column sees, [n, k]; mostly none."""
        _, values, directions = torch.linalg.svd(self.map.to_dense(), full_matrices=True)
        rank = int((values > 1e-9 * values.amax()).sum())
        return directions[rank:].T

    @property
    def prior_precision(self) -> float:
        """Of a coordinate where its prior SD is learned, at the prior of the scale; 0: taken as flat."""
        return float(self.scales.at_prior) ** -2 if self.scales else 0.0

    @property
    def site(self) -> Site:
        """Its latent variable: the coordinates, standardised where their SD is one."""
        return Site(self.name, (self.size,), 1.0 if self.scales else self.sd)


class Intercepts(Nuisance):
    """An intercept for each day."""

    @classmethod
    def of(cls, design: Design, config: ModelConfig) -> Intercepts:
        """One for each day of the design."""
        return cls("alpha", identity(len(design.days)), True, config.priors.s_alpha)

    def entries(self, design: Design) -> Entries:
        """The column of its day."""
        return [(design.day, None)]

    def words(self, design: Design) -> list[str]:
        """By day."""
        return [f"the intercept of {on_days([day])}" for day in design.days]


@dataclass(frozen=True)
class Replicates(Nuisance):
    """Levels of replicates apart from the intercepts: on the average over a day's replicates they are zero.

    A replicate has one level, and each of its samples (its cells of a day) deviates from it. A coordinate
    is a level or the deviation of a sample in units that give both the SD of levels.

    Attributes
    ----------
    samples : Tensor, int64 [S, 2]
        Day and replicate of each sample, ascending.
    """

    samples: Tensor = field(default_factory=lambda: torch.zeros(0, 2, dtype=torch.int64))

    @classmethod
    def of(cls, design: Design, config: ModelConfig) -> Replicates | None:
        """None where no day has two replicates."""
        n_days, n_reps, priors = len(design.days), len(design.reps), config.priors
        samples = design.samples  # [S, 2]
        day, rep = samples.T
        sizes = torch.bincount(day, minlength=n_days)
        if sizes.amax() == 1:
            return None
        both = torch.nn.functional.one_hot(rep, n_reps).to(DTYPE)  # [S, R]
        if priors.s_rep_day > 0 and len(samples) > n_reps:  # replicates of one day each have but a level
            deviations = priors.s_rep_day / priors.s_rep * torch.eye(len(samples), dtype=DTYPE)  # [S, S]
            both = torch.cat([both, deviations], dim=1)
        means = both.new_zeros(n_days, both.shape[1]).index_add(0, day, both) / sizes.clamp(min=1)[:, None]
        full = both.new_zeros(n_days * int(sizes.amax()), both.shape[1])
        full[_columns(day, int(sizes.amax()))] = both - means[day]
        return cls("b", full.to_sparse_csr(), True, priors.s_rep, samples=samples)

    def entries(self, design: Design) -> Entries:
        """The column of its sample."""
        n_days, n_reps = len(design.days), len(design.reps)
        column = torch.full((n_days * n_reps,), -1, dtype=torch.int64)
        column[self.samples @ torch.tensor([n_reps, 1])] = _columns(
            self.samples[:, 0], self.n_columns // n_days
        )
        return [(column[design.day * n_reps + design.rep], None)]

    def words(self, design: Design) -> list[str]:
        """By replicate, then by replicate and day."""
        samples = [f"replicate {design.reps[r]} on {on_days([design.days[d]])}" for d, r in self.samples]
        return [*(f"replicate {rep}" for rep in design.reps), *samples][: self.size]

    def day_means(self, levels: Tensor) -> Tensor:
        """Mean of levels of replicates [R] over the replicates of each day, [D]: what centring takes."""
        day, rep = self.samples.T
        return levels.new_zeros(int(day[-1]) + 1).index_add(0, day, levels[rep]) / torch.bincount(day)


def _columns(day: Tensor, width: int) -> Tensor:
    """Columns of samples whose days are ascending, ``width`` of them for each day, int64 [S]."""
    first = torch.searchsorted(day, day)
    return day * width + torch.arange(len(day)) - first


class BurdenSlopes(Nuisance):
    """Slopes over the centred number of guides in a cell, by day or shared."""

    @classmethod
    def of(cls, design: Design, config: ModelConfig) -> BurdenSlopes | None:
        """None where the burden does not vary within a day, or is not to matter."""
        n_days = len(design.days)
        varies = bool(centred_burden(design).abs().max() > 1e-9)
        if config.burden_slope == "none" or not varies:
            return None
        slopes = identity(n_days)
        if config.burden_slope == "shared":
            slopes = torch.ones(n_days, 1, dtype=DTYPE).to_sparse_csr()
        return cls("gamma", slopes, True, config.priors.s_gamma)

    def entries(self, design: Design) -> Entries:
        """The column of its day, with its burden."""
        return [(design.day, centred_burden(design))]

    def words(self, design: Design) -> list[str]:
        """By day, or one name."""
        if self.size == 1:
            return ["the burden slope"]
        return [f"the burden slope of {on_days([day])}" for day in design.days]


class Covariates(Nuisance):
    """Slopes over covariates of the cells."""

    @classmethod
    def of(cls, design: Design, config: ModelConfig) -> Covariates | None:
        """None where there are none."""
        n = design.covariates.shape[1]
        return cls("zeta", identity(n), False, config.priors.s_covariate) if n else None

    def entries(self, design: Design) -> Entries:
        """All columns, with its own values."""
        one = torch.ones_like(design.day)
        return [(k * one, values) for k, values in enumerate(design.covariates.T)]

    def words(self, design: Design) -> list[str]:
        """By covariate or level."""
        return [f"covariate {name}" for name in design.covariate_names]


class Clusters(Nuisance):
    """An intercept of its own for each cluster whose cells carry different guides."""

    @classmethod
    def of(cls, design: Design, config: ModelConfig) -> Clusters | None:
        """None where all cells of a cluster carry the same guides: it is a matter of weights then."""
        if not guides_vary_in_clusters(design):
            return None
        scales = LogScales.single("sigma_cluster", config.priors.s_cluster)
        return cls("c", identity(len(design.clusters)), False, scales=scales)

    @cached_property
    def null_space(self) -> Tensor:
        """None, and the decomposition of a large identity is spared."""
        return torch.zeros(self.size, 0, dtype=DTYPE)

    def entries(self, design: Design) -> Entries:
        """The column of its cluster."""
        return [(design.cluster, None)]

    def words(self, design: Design) -> list[str]:
        """By cluster."""
        return [f"cluster {cluster}" for cluster in design.clusters]


@dataclass(frozen=True)
class Guides:
    """Deviations delta of guides from their genes, the same on all days.

    delta = sigma_guide rotation x, where the rotation holds orthonormal directions within genes:
    with centring n - 1 for a gene of n guides, whose entries sum to zero; without, the guides
    themselves. In the Pyro program the latent variable is one value u for each guide, centred there;
    its mean over a gene is a direction that the likelihood knows nothing of.

    Attributes
    ----------
    guide_to_gene, n_guides_per_gene : Tensor, int64 [G], [L]
        As in ``Design``.
    scales
        sigma_guide.
    centred
        ``model.center_delta``.
    """

    guide_to_gene: Tensor
    n_guides_per_gene: Tensor
    scales: LogScales
    centred: bool = True

    @property
    def site(self) -> Site:
        """One standard normal for each guide."""
        return Site("u", (len(self.guide_to_gene),), 1.0)

    @property
    def n_means(self) -> int:
        """Directions of a contrast that centring takes out."""
        return len(self.n_guides_per_gene) if self.centred else 0

    def delta(self, sigma: Tensor, u: Tensor) -> Tensor:
        """Deviations from the latent variables, [..., F*, 1], [..., F*, G] -> [..., F*, G]."""
        if self.centred:
            u = center_within_gene(u, self.guide_to_gene.to(u.device), self.n_guides_per_gene.to(u.device))
        return sigma * u

    @cached_property
    def rotation(self) -> Tensor:
        """Orthonormal directions of guides within their genes, sparse [G, V] (Helmert contrasts)."""
        n, n_guides = self.n_guides_per_gene, len(self.guide_to_gene)
        order = torch.argsort(self.guide_to_gene, stable=True)  # [G] guides by gene
        if not self.centred:
            ones = torch.ones(n_guides, dtype=DTYPE)
            return sparse_matrix(order, torch.arange(n_guides), ones, (n_guides, n_guides))
        starts = n.cumsum(0) - n  # [L] first guide of each gene in the order
        directions = (n - 1).cumsum(0) - (n - 1)  # [L] first direction of each gene
        position = torch.arange(n_guides) - torch.repeat_interleave(starts, n)  # [G] of a guide in its gene
        gene = self.guide_to_gene[order]
        # a guide at position p is in the directions j >= max(p, 1): in j = p with -p, above with 1
        lowest = position.clamp(min=1)
        counts = n[gene] - lowest  # [G] directions of each guide
        guide = torch.repeat_interleave(torch.arange(n_guides), counts)
        ends = counts.cumsum(0)
        j = torch.arange(int(counts.sum())) - torch.repeat_interleave(ends - counts, counts) + lowest[guide]
        value = torch.where(j == position[guide], -j, torch.ones_like(j)) / (j * (j + 1)).double().sqrt()
        shape = (n_guides, int((n - 1).sum()))
        return sparse_matrix(order[guide], directions[gene[guide]] + j - 1, value.double(), shape)

    def local(self, n: int) -> Tensor:
        """The rotation of one gene with n guides, dense [n, n - 1] or, without centring, [n, n]."""
        return helmert(n) if self.centred else torch.eye(n, dtype=DTYPE)


def helmert(n: int) -> Tensor:
    """Orthonormal contrasts of n values, [n, n - 1]."""
    j = torch.arange(1, n, dtype=DTYPE)
    position = torch.arange(n, dtype=DTYPE)[:, None]
    entries = torch.where(position < j, 1.0, torch.where(position == j, -j, 0.0)).to(DTYPE)
    return entries / (j * (j + 1)).sqrt()


@dataclass(frozen=True)
class Terms:
    """All terms of a model, and where their columns lie.

    The columns of the regression are those of the nuisances, one after the other, then guide g on day
    d at ``first_guide + d * G + g``.

    Attributes
    ----------
    n_contrasts, n_days
        F*, D.
    nuisances
        In the order of their columns.
    walk
        Of theta.
    guides
        Deviations, and which guide belongs to which gene.
    """

    n_contrasts: int
    n_days: int
    nuisances: tuple[Nuisance, ...]
    walk: Walk
    guides: Guides

    @property
    def n_guides(self) -> int:
        """Number of guides G."""
        return len(self.guides.guide_to_gene)

    @property
    def n_genes(self) -> int:
        """Number of genes L."""
        return len(self.guides.n_guides_per_gene)

    @cached_property
    def nuisance_map(self) -> Tensor:
        """All nuisances' maps in one, sparse [columns, coordinates]."""
        return block_diagonal([term.map for term in self.nuisances])

    @property
    def first_guide(self) -> int:
        """First column of the guides."""
        return sum(term.n_columns for term in self.nuisances)

    @property
    def n_columns(self) -> int:
        """Number of columns Q."""
        return self.first_guide + self.n_days * self.n_guides

    @property
    def first_local_guide(self) -> int:
        """First column of the guides among those of one day."""
        return sum(self._width(term) for term in self.nuisances)

    @property
    def n_local_columns(self) -> int:
        """Number of columns q that the cells of one day can have."""
        return self.first_local_guide + self.n_guides

    def _width(self, term: Nuisance) -> int:
        return term.n_columns // self.n_days if term.by_day else term.n_columns

    def local(self) -> Tensor:
        """Place of each column among those of its day, int64 [Q]."""
        parts, start = [], 0
        for term in self.nuisances:
            width = self._width(term)
            of_day = start + torch.arange(width)
            parts.append(of_day.repeat(self.n_days) if term.by_day else of_day)
            start += width
        parts.append((start + torch.arange(self.n_guides)).repeat(self.n_days))
        return torch.cat(parts)

    def columns_of_day(self, day: int) -> Tensor:
        """Columns of the nuisances that the cells of a day can have, in the order of ``local``."""
        parts, start = [], 0
        for term in self.nuisances:
            width = self._width(term)
            parts.append(start + (day * width if term.by_day else 0) + torch.arange(width))
            start += term.n_columns
        return torch.cat(parts)

    @property
    def scaled(self) -> list[LogScales]:
        """Scales of the terms that have some: walk, guides, nuisances."""
        of_nuisances = [term.scales for term in self.nuisances if term.scales]
        return [self.walk.scales, self.guides.scales, *of_nuisances]

    def sites(self) -> dict[str, Site]:
        """Every latent variable of the model by name, scales first."""
        found = [site for scales in self.scaled for site in scales.sites]
        found += [Site("z", (self.n_genes, self.n_days), 1.0), self.guides.site]
        found += [term.site for term in self.nuisances]
        names = [site.name for site in found]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two latent variables have the name {twice[0]!r}")
        return dict(zip(names, found, strict=True))

    def plus(self, term: Nuisance) -> Terms:
        """The same with one nuisance more."""
        return replace(self, nuisances=(*self.nuisances, term))

    def centred(self) -> Terms:
        """The same with centred deviations."""
        return replace(self, guides=replace(self.guides, centred=True))

    def nuisance(self, kind: type[N]) -> N | None:
        """The nuisance of a kind, if there is one."""
        return next((term for term in self.nuisances if isinstance(term, kind)), None)


NUISANCES = (Intercepts, Replicates, BurdenSlopes, Covariates, Clusters)


def make_terms(design: Design, config: ModelConfig) -> Terms:
    """The terms that a design and the section ``model`` ask for.

    Parameters
    ----------
    design
        The cells.
    config
        Section ``model``.
    """
    nuisances = [kind.of(design, config) for kind in NUISANCES]
    return Terms(
        len(design.contrasts),
        len(design.days),
        tuple(term for term in nuisances if term is not None),
        make_walk(design.times, config),
        Guides(
            design.guide_to_gene,
            design.n_guides_per_gene,
            LogScales.single("sigma_guide", config.priors.s_guide),
            config.center_delta,
        ),
    )

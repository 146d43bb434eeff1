"""From a fit to its nulls: residuals of the labels, who carries what, and the shuffles.

Letters: N cells, U units, L genes, G guides, J NTC guides, D days, F fates, F* contrasts, E pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fatewalk.certificate.nulls import SEED, TIMES, Gains, Nulls, permute
from fatewalk.certificate.permutation import Carried, Units, by_item_and_day
from fatewalk.certificate.quiet import z_of_controls, z_of_genes
from fatewalk.certificate.strata import strata
from fatewalk.core.schema import RARE
from fatewalk.estimates.arrays import mean_composition
from fatewalk.model.cells import clusters_share_guides
from fatewalk.model.coordinates import Coordinates
from fatewalk.model.information import fate_probabilities
from fatewalk.model.rows import linear_predictor, make_rows, row_of_cells

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import NDArray

    from fatewalk.infer.fitted import Posterior
    from fatewalk.infer.scatter import Scatter
    from fatewalk.screen.design import Design

    Numbers = NDArray[np.float64]
    Places = NDArray[np.int64]

CHUNK = 20_000  # cells whose covariances are held at once


@torch.no_grad()
def draw_nulls(
    posterior: Posterior, design: Design, phi: Numbers | None, times: int = TIMES, seed: int = SEED
) -> Nulls:
    """Shuffle the guides of a screen between its cells, and take each NTC guide for a gene.

    Parameters
    ----------
    posterior
        The fit.
    design
        The cells.
    phi : array [D]
        Dispersion of the labels by day, which the given weight of a label may miss; None: the weight is
        estimated from it.
    times, seed
        Shuffles.
    """
    cells = Cells.of(posterior, design, phi)
    unit = units_of(design)
    units = _summed(cells, design, unit, posterior.scatter)
    gains = _gains(cells, design, unit)
    found, p_value, variance, told = permute(gains, units, times, seed)
    controls = _carried(
        unit, design.ntc_offsets.diff().numpy(), design.ntc_guides.numpy(), len(design.ntc_names)
    )[0]
    control_z, control_share = z_of_controls(controls, gains.carried, units)
    bend = _bend(gains.carried, units)
    gene_z, gene_share = z_of_genes(
        gains.carried, units, found.own, bend.diagonal(axis1=2, axis2=3), _of_guides(posterior, design)
    )
    common = mean_composition(design) >= RARE  # [F, D]
    return Nulls(
        genes=np.array(design.genes),
        fates=np.array(design.fates),
        days=np.array(design.days),
        score=found.kept,
        variance=variance,
        bend=bend,
        told=told,
        z_sd=np.where(common, found.z_sd, np.nan),
        z_sd_freedom=np.where(common, found.freedom, 0.0),
        p_value=p_value,
        permutations=np.array(times),
        controls=np.array(design.ntc_names, dtype=str),
        control_z=np.where(common.T, control_z, np.nan),
        control_share=np.where(common.T, control_share, 0.0),
        gene_z=np.where(common.T, gene_z, np.nan),
        gene_share=np.where(common.T, gene_share, 0.0),
        units=np.array(len(units.stratum)),
        weight_ratio=_mean_by_day(cells.weight * cells.dispersion, design),
    )


@dataclass(frozen=True)
class Cells:
    """Cells at the mode under the prior that treats all fates alike, where the evidence is taken too.

    Attributes
    ----------
    eta : Tensor [N, F*]
        Linear predictor.
    pi : Tensor [N, F]
        Fitted probabilities.
    weight, dispersion : Tensor [N]
        Weight of a label, and how far labels scatter over a multinomial draw.
    beta : Tensor [F*, D, G]
        Effects of guides.
    """

    eta: Tensor
    pi: Tensor
    weight: Tensor
    dispersion: Tensor
    beta: Tensor

    @classmethod
    def of(cls, posterior: Posterior, design: Design, phi: Numbers | None) -> Cells:
        """Of a fit; arguments as of `draw_nulls`."""
        terms, mode = posterior.model.terms, posterior.symmetric
        c = Coordinates(terms, symmetric=terms.n_contrasts > 1)
        rows = make_rows(design, terms).weighted(mode["weight"])
        x = c.sd(c.scales.log_scales(mode["vector"])) * mode["y"]
        coefficients = c.mixed(c.coefficients(x).T)  # [Q, F*]
        row = row_of_cells(design, terms)
        eta = linear_predictor(rows, coefficients.contiguous())[row]
        beta = coefficients[terms.first_guide :].view(terms.n_days, terms.n_guides, -1).permute(2, 0, 1)
        weight = rows.weight[row]
        if posterior.scatter:
            dispersion = posterior.scatter.unit[row]
        else:
            dispersion = 1 / weight if phi is None else torch.from_numpy(phi)[design.day]
        return cls(eta, fate_probabilities(eta), weight, dispersion, beta)


def given_phi(card: Mapping[str, Any], design: Design) -> Numbers | None:
    """Dispersion by day where the weight of a label was given, from fit_card.json; None: it was estimated."""
    if card["likelihood_weight"] == "auto":
        return None
    return np.array([card["phi_by_day"][day] for day in design.days])


def units_of(design: Design) -> Places:
    """Unit of each cell: itself, or its cluster on the day if all cells of a cluster carry the same."""
    if not clusters_share_guides(design):
        return np.arange(design.n_cells)
    own = (design.cluster * len(design.days) + design.day).numpy()
    return np.unique(own, return_inverse=True)[1].astype(np.int64)


def _summed(cells: Cells, design: Design, unit: Places, scatter: Scatter | None) -> Units:
    """Residuals of the units, and what the errors of the estimates take for their covariance.

    The fit follows the labels it is made of, so that residuals fall short; they are stretched to the
    dispersion of their day, one factor for all fates and units.
    """
    n_units = int(unit.max()) + 1
    first, stratum = strata_of(design, unit)
    day_of_unit, of_cell = design.day.numpy()[first], torch.from_numpy(stratum[unit])
    residual = np.zeros((n_units, cells.pi.shape[1]))
    np.add.at(residual, unit, (cells.weight[:, None] * (design.prob - cells.pi)).numpy())
    sizes = np.bincount(stratum)
    variance = torch.zeros(n_units, cells.pi.shape[1], dtype=cells.pi.dtype)
    covariance, bend, drawn = (
        torch.zeros(len(sizes), *[cells.pi.shape[1]] * 2, dtype=cells.pi.dtype) for _ in range(3)
    )
    for some in torch.arange(design.n_cells).split(CHUNK):
        p, w, of = cells.pi[some], cells.weight[some], of_cell[some]
        multinomial = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
        size = w.square() * cells.dispersion[some]
        own = curved = w[:, None, None] * multinomial
        if scatter:
            own = size[:, None, None] * scatter.of_labels(p, design.day[some])
        bend.index_add_(0, of, curved)
        drawn.index_add_(0, of, size[:, None, None] * multinomial)
        covariance.index_add_(0, of, own)
        variance.index_add_(0, torch.from_numpy(unit)[some], own.diagonal(dim1=1, dim2=2))
    n_days = len(design.days)
    day_of_stratum = np.zeros(len(sizes), dtype=np.int64)
    day_of_stratum[stratum] = day_of_unit
    found = np.bincount(day_of_unit, weights=(residual**2).sum(axis=1), minlength=n_days)
    wanted = drawn.diagonal(dim1=1, dim2=2).sum(1).numpy()
    wanted = np.bincount(day_of_stratum, weights=wanted, minlength=n_days)
    stretch = np.sqrt(wanted / np.where(found > 0, found, 1.0))
    stretched = residual * stretch[day_of_unit][:, None]
    mean, bent = ((x / torch.from_numpy(sizes)[:, None, None]).numpy() for x in (covariance, bend))
    return Units(stratum, day_of_unit, stretched, mean, bent, variance.numpy(), stretch)


def _of_guides(posterior: Posterior, design: Design) -> Numbers:
    """Variance of the mean deviation of guides over the cells of each gene and day, [L, D].

    Deviations have mean 0 over the guides of a gene, but not over its cells.
    """
    terms = posterior.model.terms
    found = np.zeros((len(design.genes), len(design.days)))
    if not terms.guides.centred:
        return found
    c = Coordinates(terms, symmetric=terms.n_contrasts > 1)
    sd = float(c.scales.log_scales(posterior.symmetric["vector"])[0, terms.n_days].exp())
    cells, gene = design.guide_cells.numpy().astype(float), design.guide_to_gene.numpy()
    total = np.zeros_like(found)
    np.add.at(total, gene, cells)
    np.add.at(found, gene, (cells / np.maximum(total, 1)[gene]) ** 2)
    found -= np.where(total > 0, 1 / np.bincount(gene, minlength=len(found))[:, None], 0.0)
    return sd**2 * found.clip(min=0)


def _mean_by_day(values: Tensor, design: Design) -> Numbers:
    """Mean over the cells of each day, [D] from [N]."""
    day = design.day.numpy()
    found: Numbers = np.bincount(day, weights=values.numpy()) / np.bincount(day)
    return found


def strata_of(design: Design, unit: Places) -> tuple[Places, Places]:
    """A cell of each unit [U], and the stratum of each unit [U]."""
    first = np.unique(unit, return_index=True)[1]
    day, rep, burden = (x.numpy()[first] for x in (design.day, design.rep, design.burden))
    return first, strata(day, rep, burden)


def _carried(unit: Places, counts: Places, item: Places, n_items: int) -> tuple[Carried, Places]:
    """Units by item from the lists of cells, and the pair of unit and item that each entry went into [E'].

    Parameters
    ----------
    unit, counts : array [N]
        Unit of each cell, entries of its list.
    item : array [E']
        All lists, one after the other.
    n_items
        Number of items.
    """
    size = np.bincount(unit)  # cells of a unit, all of which carry the same
    key = np.repeat(unit, counts) * n_items + item
    present, pair = np.unique(key, return_inverse=True)
    of_unit, of_item = np.divmod(present, max(n_items, 1))
    return Carried(of_unit, of_item, np.bincount(pair) / size[of_unit], n_items), pair


def _gains(cells: Cells, design: Design, unit: Places) -> Gains:
    """Genes of each unit, and what each adds there to the fitted probabilities, times the weight."""
    counts = design.cell_offsets.diff()
    gene = design.guide_to_gene[design.cell_guides]
    carried, pair = _carried(unit, counts.numpy(), gene.numpy(), len(design.genes))
    cell = design.cell_of_call  # [E']
    # guides of one gene in one cell act together
    both, entry = torch.unique(cell * len(design.genes) + gene, return_inverse=True)
    of_cell = both // len(design.genes)
    effect = cells.beta[:, design.day[cell], design.cell_guides].T  # [E', F*]
    effect = effect.new_zeros(len(both), effect.shape[1]).index_add(0, entry, effect)
    gain = cells.pi[of_cell] - fate_probabilities(cells.eta[of_cell] - effect)
    pair_of_both = torch.zeros_like(both).index_copy(0, entry, torch.from_numpy(pair))
    own = gain.new_zeros(len(carried.unit), gain.shape[1])
    own = own.index_add(0, pair_of_both, cells.weight[of_cell, None] * gain)
    return Gains(carried, own.numpy())


def _bend(carried: Carried, units: Units) -> Numbers:
    """How the scores of genes follow the logits, [L, D, F, F]."""
    return by_item_and_day(carried.spread(units), units, units.bend)

"""The user's screen with planted effects: shuffled guides, and labels tilted by effects that are known.

Everything but the effects is the user's own: cells, labels and how they scatter, days, replicates, clusters,
the number of guides in a cell and of cells with a guide. So coverage and power are those of this screen
(a *plasmode*: Vaughan et al. 2009).

Letters: N cells, L genes, G guides, D days, F fates, F* contrasts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fatewalk import mash
from fatewalk.certificate.from_fit import Cells, strata_of, units_of
from fatewalk.core.schema import Z95
from fatewalk.model.effects import center_within_gene
from fatewalk.model.information import fate_probabilities
from fatewalk.model.sparse import ragged_positions
from fatewalk.screen.design import entries, with_calls

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fatewalk.calls import FateEffects
    from fatewalk.infer.fitted import Posterior
    from fatewalk.screen.design import Design

    Numbers = NDArray[np.float64]

MOST_STRETCH, HALVINGS = 16.0, 20  # of the tilt of soft labels
SIZES = (0.0, 0.1, 0.2, 0.4, 0.8, np.inf)  # classes of |change| of a fate, logit


def plant(
    posterior: Posterior, design: Design, prior: mash.FatesPrior, guide_sd: float, seed: int
) -> tuple[Design, Numbers]:
    """A screen like the user's whose effects are known.

    Parameters
    ----------
    posterior
        The fit.
    design
        The cells.
    prior
        Of the effects of genes, as mash fitted it.
    guide_sd
        SD of guides around their gene, logit.
    seed
        Of guides, effects and one-hot labels.

    Returns
    -------
    design
        Guides shuffled within strata; labels without the fitted effects and with the planted ones.
    theta : array [L, F*, D]
        Effects of genes on contrasts.
    """
    rng = np.random.default_rng(seed)
    cells = Cells.of(posterior, design, None)
    theta = prior.draw(len(design.genes), rng)
    delta = torch.from_numpy(guide_sd * rng.standard_normal((theta.shape[1], len(design.guides))))
    delta = center_within_gene(delta, design.guide_to_gene, design.n_guides_per_gene)  # [F*, G]
    beta = torch.from_numpy(theta).permute(1, 2, 0)[:, :, design.guide_to_gene] + delta[:, None]
    shuffled = _shuffle(design, rng)
    old, new = _effects(design, cells.beta), _effects(shuffled, beta)  # [N, F*]
    prob = _planted(design, cells.eta, cells.eta - old + new, rng)
    return replace(shuffled, prob=prob), theta


def _shuffle(design: Design, rng: np.random.Generator) -> Design:
    """Guide lists dealt to other units of the same stratum."""
    unit = units_of(design)
    first, stratum = strata_of(design, unit)
    base = np.argsort(stratum, kind="stable")
    source = np.empty(len(first), dtype=np.int64)
    source[base] = first[np.lexsort((rng.random(len(first)), stratum))]
    cell = torch.from_numpy(source[unit])  # whose guides each cell gets
    offsets, guides = _taken(design.cell_offsets, design.cell_guides, cell)
    ntc_offsets, ntc_guides = _taken(design.ntc_offsets, design.ntc_guides, cell)
    moved = replace(
        design,
        ntc_offsets=ntc_offsets,
        ntc_guides=ntc_guides,
        n_ntc=design.n_ntc[cell],
        burden=design.burden[cell],
    )
    of_call = entries(offsets).numpy()
    return with_calls(moved, of_call, guides.numpy())


def _taken(offsets: Tensor, values: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """CSR lists of the given cells."""
    counts = offsets.diff()[cell]
    starts = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
    return starts, values[ragged_positions(offsets[cell], counts)]


def _effects(design: Design, beta: Tensor) -> Tensor:
    """Sum of the effects of each cell's guides, [N, F*] from [F*, D, G]."""
    cell = design.cell_of_call
    each = beta[:, design.day[cell], design.cell_guides].T  # [E, F*]
    return each.new_zeros(design.n_cells, len(beta)).index_add(0, cell, each)


def _planted(design: Design, before: Tensor, after: Tensor, rng: np.random.Generator) -> Tensor:
    """Labels [N, F] whose linear predictor [N, F*] was changed: soft ones tilted, one-hot ones drawn again.

    The mean of labels that are tilted one by one moves less than their linear predictor says, the less so the
    closer each is to one fate. So the tilt is stretched on every day until labels move as far as the model.
    """
    if bool((design.prob.max(dim=1).values > 1 - 1e-6).all()):
        cumulative = fate_probabilities(after).cumsum(dim=1)
        drawn = (torch.from_numpy(rng.random((design.n_cells, 1))) > cumulative[:, :-1]).sum(dim=1)
        return torch.nn.functional.one_hot(drawn, design.prob.shape[1]).to(design.prob.dtype)
    change, day = after - before, design.day

    def along(moved: Tensor) -> Tensor:
        """How far labels move along their change, summed by day, [D]."""
        return moved.new_zeros(len(design.days)).index_add(0, day, (change * moved[:, 1:]).sum(dim=1))

    wanted = along(fate_probabilities(after) - fate_probabilities(before))
    low, high = torch.zeros_like(wanted), torch.full_like(wanted, MOST_STRETCH)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        short = along(_tilted(design.prob, middle[day, None] * change) - design.prob) < wanted
        low, high = torch.where(short, middle, low), torch.where(short, high, middle)
    return _tilted(design.prob, high[day, None] * change)


def _tilted(prob: Tensor, change: Tensor) -> Tensor:
    """Labels [N, F] whose logits change by [N, F*]."""
    tilt = torch.cat([torch.zeros(len(prob), 1, dtype=prob.dtype), change], dim=1)
    tilted = prob * (tilt - tilt.max(dim=1, keepdim=True).values).exp()
    return tilted / tilted.sum(dim=1, keepdim=True)


def compare(found: FateEffects, theta: Numbers, called: NDArray[np.bool_]) -> pd.DataFrame:
    """Every effect on a fate beside the planted one.

    Parameters
    ----------
    found
        Of the planted screen.
    theta : array [L, F*, D]
        Planted.
    called : array [L, F, D]
        Called active.

    Returns
    -------
    pandas.DataFrame
        truth, covered (by the 95 % interval of the unshrunk estimate), called, wrong_sign.
    """
    truth = mash.fate_scale(theta, found.composition)  # [L, F, D]
    seen = np.isfinite(found.se) & np.isfinite(found.mean)
    columns = {
        "truth": truth[seen],
        "covered": (np.abs(found.estimate - truth) <= Z95 * found.se)[seen],
        "called": called[seen],
        "wrong_sign": (called & (np.sign(found.mean) != np.sign(truth)))[seen],
    }
    return pd.DataFrame(columns)


def by_size(effects: pd.DataFrame) -> pd.DataFrame:
    """Coverage, power and wrong signs by the size of the planted effect, ``certificate_planted.csv``."""
    size = pd.cut(effects["truth"].abs(), SIZES, right=False)
    groups = effects.groupby(size, observed=True)
    table = groups.agg(
        n=("truth", "size"),
        covered=("covered", "mean"),
        called=("called", "mean"),
        wrong=("wrong_sign", "sum"),
    ).reset_index(names="size")
    n_called = groups["called"].sum().to_numpy()
    table.insert(0, "size_from", [float(one.left) for one in table["size"]])
    table.insert(1, "size_to", [float(one.right) for one in table.pop("size")])
    table["wrong"] = table["wrong"] / np.where(n_called > 0, n_called, np.nan)
    return table.rename(columns={"wrong": "wrong_sign"})

"""Hits by fate: which gene moved which fate itself, on which days.

Letters: n genes, F fates (the reference first), D days.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fatewalk import mash
from fatewalk.calls.fates import percent_points
from fatewalk.calls.hits import active_days, hit_anyday, running_mean
from fatewalk.calls.patterns import PATTERNS, likeliest, unresolved_words
from fatewalk.calls.tables import in_order, rounded, sign_words
from fatewalk.core.daywise import ACTIVE_DAYS, Daywise
from fatewalk.core.schema import Z95

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fatewalk.calls.fates import FateEffects
    from fatewalk.config.sections import CallsConfig

    Numbers = NDArray[np.float64]
    Flags = NDArray[np.bool_]

LIKELY = 0.5  # a set of movers, that a fate moved, or that a pattern holds, is what is more likely than not
HIDDEN = 0.2  # a day is not resolved for a gene where an effect is this likely on the labels' own scale alone
ITSELF, UNTOLD = "this fate", "cannot be told"


@dataclass(frozen=True)
class FateCalls:
    """Calls of all genes on all fates.

    Attributes
    ----------
    active : array [n, F, D]
        Gene-days called active on the scale of the fate.
    hit : array [n, F]
        Fates that have an effect on some day, followers included.
    told : array [n]
        Whether the data tell who moved.
    named : array [n, F]
        Hits on fates that moved themselves, or all hits of a gene where that cannot be told; of two fates
        the second one stands for both.
    """

    active: Flags
    hit: Flags
    told: Flags
    named: Flags

    @classmethod
    def of(cls, genes: FateEffects, calls: CallsConfig) -> FateCalls:
        """Call genes by `calls.rule`, and tell movers from followers.

        Of a gene with hits, who moved is told if it is more likely than not that fewer than F - 1 fates
        did, and if one of the hits more likely moved itself than not. Then those that did are named; else
        all are, because any of them may have moved.
        """
        active = _both_or_neither(active_days(genes.lfsr, genes.prob_large, calls))
        none = genes.patterns[:, :, PATTERNS.index("none")]  # [n, F]
        candidate = active.any(axis=2)
        fdr = np.full(candidate.shape, np.nan)
        fdr[candidate] = running_mean(none[candidate])
        hit = _both_or_neither(hit_anyday(active, genes.lfsr, fdr, calls))
        moved = hit & (genes.moved > LIKELY)
        told = (genes.untold <= LIKELY) & moved.any(axis=1)
        named = np.where(told[:, None], moved, hit)
        if hit.shape[1] == 2:  # the gain of one is the loss of the other: once is enough
            named[:, 0] = False
        return cls(active, hit, told, named)


def _both_or_neither(flags: Flags) -> Flags:
    """Flags [n, F, ...]; two fates are equal but for rounding, and a list of calls may end between them."""
    return flags | flags[:, ::-1] if flags.shape[1] == 2 else flags


def fate_hits_table(
    genes: FateEffects,
    guides: FateEffects,
    gene_table: pd.DataFrame,
    guide_table: pd.DataFrame,
    calls: FateCalls,
    day_cells: Numbers,
) -> pd.DataFrame:
    """One row for each gene and fate that it moved, as a person reads them.

    Parameters
    ----------
    genes, guides
        Effects on each fate.
    gene_table, guide_table
        gene_daywise_for_mash.csv and guide_daywise_for_mash.csv of any contrast: cells, guides, marks.
    calls
        Of the genes.
    day_cells : [D]
        Cells of each day.

    Returns
    -------
    pandas.DataFrame
        hits.csv, best first: rank, gene, fate, direction (gain or loss of the fate), active_days (labels),
        lfsr (the smallest of these days, which the rank follows), strongest_day (the active day with the
        largest effect) and of that day effect, effect_low, effect_high (change of the logit of the fate's
        own probability, mean and 95 % interval), plarge, percent_points, percent_points_low,
        percent_points_high (change of the fate's probability); then prob_moved (that the fate moved
        itself), who_moved (``this fate``, or ``cannot be told``), also_moved (other fates that more likely
        moved than not, hits or not; where that cannot be told, the other fates with an effect), guides_agree
        ("3 of 4" guides with cells on that day have the sign of the gene) and n_cells of that day; pattern,
        pattern_prob, not_resolved (see `hit_patterns`), and the marks of the fit.
    """
    row, fate = np.nonzero(calls.named)  # [m]
    days = np.asarray(genes.days, dtype=object)
    active = calls.active[row, fate]  # [m, D]
    mean = genes.mean[row, fate]
    best = np.where(active, np.abs(mean), -1.0).argmax(axis=1)
    of = np.arange(len(row))
    effect, sd = mean[of, best], genes.sd[row, fate, best]
    lfsr = np.where(active, genes.lfsr[row, fate], np.inf).min(axis=1, initial=np.inf)
    counts = Daywise.of(gene_table, "gene_daywise table", ["n_cells"], ["gene"])
    points = percent_points(genes, counts["n_cells"] / day_cells)  # [n, F, D] each
    agree, seen = _agreement(genes, guides, guide_table)
    pattern, pattern_prob, not_resolved = hit_patterns(genes, calls, row, fate)
    names = np.asarray(genes.fates, dtype=object)
    others = np.where(calls.told[:, None], genes.moved > LIKELY, calls.hit)  # [n, F]
    columns = {
        "gene": np.asarray(genes.names, dtype=object)[row],
        "fate": names[fate],
        "direction": [sign_words(m[a]) for m, a in zip(mean, active, strict=True)],
        ACTIVE_DAYS: ["; ".join(days[a]) for a in active],
        "lfsr": lfsr,
        "strongest_day": days[best],
        "effect": effect,
        "effect_low": effect - Z95 * sd,
        "effect_high": effect + Z95 * sd,
        "plarge": genes.prob_large[row, fate, best],
        **{name: values[row, fate, best] for name, values in points.items()},
        "prob_moved": genes.moved[row, fate],
        "who_moved": np.where(calls.told[row], ITSELF, UNTOLD),
        "also_moved": [
            "; ".join(names[others[r] & (np.arange(len(names)) != f)]) for r, f in zip(row, fate, strict=True)
        ],
        "guides_agree": [f"{a} of {s}" for a, s in zip(agree[row, fate, best], seen[row, best], strict=True)],
        "n_cells": counts["n_cells"][row, best].astype(int),
        "pattern": pattern,
        "pattern_prob": pattern_prob,
        "not_resolved": not_resolved,
    }
    return rounded(in_order(pd.DataFrame(columns), "fate")).assign(**counts.marks)


def hit_patterns(
    genes: FateEffects, calls: FateCalls, row: NDArray[np.intp], fate: NDArray[np.intp]
) -> tuple[NDArray[np.object_], Numbers, NDArray[np.object_]]:
    """How the effect of each hit runs over the days, as far as the labels resolve it.

    A pattern stands if, given that it holds in logit, it more likely than not holds on the scale of the
    labels' spread too; its probability is that of both. Else the words say where the effect is present and
    which days are not resolved, with the probability of the pattern in logit.

    Parameters
    ----------
    genes, calls
        All genes.
    row, fate
        Gene and fate of each hit [m].

    Returns
    -------
    tuple
        pattern, pattern_prob, not_resolved (labels of days, empty where the pattern stands), [m] each.
    """
    days = np.asarray(genes.days, dtype=object)
    name, in_logit = likeliest(genes.patterns[row, fate])
    on_both = genes.steady[row, fate, [PATTERNS.index(one) for one in name]]
    pattern, probability, hidden = name.astype(object), on_both.copy(), np.full(len(row), "", dtype=object)
    for i in np.flatnonzero(on_both <= LIKELY * in_logit):
        active = calls.active[row[i], fate[i]]  # [D]
        gained = np.where(active, 0.0, np.nan_to_num(genes.gained[row[i], fate[i]]))
        if not gained.any():  # active on every day that could be hidden
            continue
        unresolved = (gained > HIDDEN) | (gained == gained.max())
        present = (active | (genes.prob_large[row[i], fate[i]] > LIKELY)) & ~unresolved
        pattern[i] = unresolved_words(name[i], days[present], days[unresolved])
        probability[i], hidden[i] = in_logit[i], "; ".join(days[unresolved])
    return pattern, probability, hidden


def fate_effects_table(
    level: str,
    effects: FateEffects,
    table: pd.DataFrame,
    day_cells: Numbers,
    active: Flags | None = None,
    theta: Mapping[str, np.ndarray] | None = None,
) -> pd.DataFrame:
    """Rows of effects.parquet on the scale of each fate, with the columns of `effects_table`.

    Parameters
    ----------
    level
        gene or guide.
    effects
        Of that level.
    table
        ``<level>_daywise_for_mash.csv`` of any contrast: cells, genes, marks.
    day_cells : [D]
        Cells of each day.
    active
        Gene-days called active [n, F, D]; None for guides.
    theta
        Arrays of theta_posterior_summary.npz, for the posterior of genes.
    """
    where = f"{level}_daywise table"
    found = Daywise.of(table, where, ["n_cells"], list(dict.fromkeys([level, "gene"])))
    found = found.rows_of(level, effects.names, where)
    n, n_fates, n_days = effects.mean.shape
    points = percent_points(effects, found["n_cells"] / day_cells)
    missing = np.full(effects.mean.shape, np.nan)
    mean, sd = posterior_of_fates(theta, effects) if theta is not None else (missing, missing)
    called = pd.array((missing > 0 if active is None else active).ravel(), dtype="boolean")
    called[np.isnan(effects.lfsr.ravel()) if active is not None else slice(None)] = pd.NA
    each = np.repeat(np.arange(n), n_fates * n_days)
    guide = found["guide"] if level == "guide" else np.array([None] * n, dtype=object)
    columns = {
        "level": level,
        "gene": found["gene"].astype(object)[each],
        "guide": pd.Series(guide[each], dtype=object),  # as text is, though missing for all genes
        "scale": "fate",
        "fate": np.tile(np.repeat(np.asarray(effects.fates, dtype=object), n_days), n),
        "day": np.tile(np.asarray(effects.days, dtype=object), n * n_fates),
        "estimate": effects.estimate.ravel(),
        "se": effects.se.ravel(),
        "posterior_mean": mean.ravel(),
        "posterior_sd": sd.ravel(),
        "mash_mean": effects.mean.ravel(),
        "mash_sd": effects.sd.ravel(),
        **{name: values.ravel() for name, values in points.items()},
        "lfsr": effects.lfsr.ravel(),
        "plarge": effects.prob_large.ravel(),
        "called": called,
        "prob_moved": np.repeat(effects.moved.ravel(), n_days),
        "n_cells": np.repeat(found["n_cells"][:, None], n_fates, axis=1).ravel().astype(int),
    }
    return pd.DataFrame(columns).assign(**found.marks)


def posterior_of_fates(theta: Mapping[str, np.ndarray], effects: FateEffects) -> tuple[Numbers, Numbers]:
    """Mean and SD of the hierarchical posterior on the scale of each fate, [L, F, D] each.

    At the posterior mean of the contrasts, the SD by the linear map there.
    """
    shares = effects.composition  # [F, D]
    mean = mash.fate_scale(theta["theta_mean"], shares)
    jacobian = mash.fate_jacobian(theta["theta_mean"], shares)  # [L, F, F*, D]
    variance = np.einsum("lfad,labd,lfbd->lfd", jacobian, theta["theta_cov"], jacobian)
    hidden = np.isnan(effects.mean)
    return np.where(hidden, np.nan, mean), np.where(hidden, np.nan, np.sqrt(variance.clip(min=0)))


def _agreement(
    genes: FateEffects, guides: FateEffects, guide_table: pd.DataFrame
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Guides with cells that have the sign of their gene [n, F, D], and how many have cells [n, D]."""
    found = Daywise.of(guide_table, "guide_daywise table", ["n_cells"], ["guide", "gene"])
    found = found.rows_of("guide", guides.names, "guide_daywise table")
    gene = pd.Index(genes.names).get_indexer(found["gene"])
    seen = found["n_cells"] > 0  # [G, D]
    same = seen[:, None, :] & (np.sign(guides.estimate) == np.sign(genes.mean)[gene])
    agree = np.zeros(genes.mean.shape, dtype=np.int64)
    np.add.at(agree, gene, same)
    of_gene = np.zeros((len(genes.names), seen.shape[1]), dtype=np.int64)
    np.add.at(of_gene, gene, seen)
    return agree, of_gene

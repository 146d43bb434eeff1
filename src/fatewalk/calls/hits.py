"""Calls and rankings: which gene is active on which day, and which genes are hits.

Letters: n genes, D days.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fatewalk.calls.checks import Numbers, refuse_repeats, smallest
from fatewalk.calls.patterns import likeliest
from fatewalk.core.daywise import ACTIVE_DAYS, Daywise, join_days
from fatewalk.core.errors import FatewalkError
from fatewalk.core.schema import day_names

if TYPE_CHECKING:  # a stage that reads and writes tables needs no config models
    from collections.abc import Mapping

    import pandas as pd

    from fatewalk.calls.sources import Shrunk
    from fatewalk.config.sections import CallsConfig


def rank_hits(genes: pd.DataFrame, sources: Mapping[str, Shrunk], calls: CallsConfig) -> pd.DataFrame:
    """Call active days and hits by `calls.source`, and rank the genes.

    By rule ``fdr`` a gene is *active* on the gene-days of the largest set whose mean
    ``P(|effect| <= effect_size_eps)``, the Bayesian false discovery rate of the set, is at most `fdr`, each
    with ``P(|effect| > effect_size_eps) >= fdr_prob_large_min``; it is a *hit* if it is active on any day.

    By rule ``lfsr`` it is active on day d if ``lfsr_d < lfsr_day`` and
    ``P(|effect_d| > effect_size_eps) >= effect_prob_large_min``, and a hit if, by `anyday_correction`,

    - "bonferroni": one of its days also has ``lfsr_d < lfsr_day / D``, D the days of the screen, also
      for a gene that is unobserved on some of them;
    - "fdr": it is in the largest set of such genes whose mean probability of no effect above eps on
      any day, the Bayesian false discovery rate of the set, is at most `anyday_fdr`;
    - "none": always.

    So by rule ``lfsr`` a gene may have active days and be no hit; its active days are listed all the same.
    A gene-day that was not observed (no cell, or no estimate) is never active, and its columns are empty.

    Ranks: hits first, by ``min_lfsr_among_active``; then the other genes by their smallest lfsr.
    Ties go to the larger ``max_abs_postmean``, then to the smallest lfsr by any source (so that
    genes have an order even if mash finds no effect anywhere), then to the name that sorts first.
    Genes without an observed day come last.

    Parameters
    ----------
    genes
        gene_daywise_for_mash.csv, n genes.
    sources
        What each source says of these genes, among them `calls.source`.
    calls
        Thresholds.

    Returns
    -------
    pandas.DataFrame
        hits_ranked.csv, one row per gene: rank (from 1), gene, n_guides, hit_anyday, active_days
        ("d0;d2"), n_active_days, best_day_among_active (smallest lfsr, the earlier day on a tie),
        min_lfsr_among_active, max_abs_postmean (over the observed days, logit), prob_any_day
        (probability of an effect above eps on any day), bayesian_fdr (of the genes with enough
        active days whose prob_any_day is at least this one's; missing for others), pattern and
        pattern_prob (the likeliest pattern over days other than none, for genes with an active
        day), n_sources_hit (of the sources shown, by which the gene is a hit), source, estimand;
        postmean_d*, postsd_d*, lfsr_d*, plarge_d*, n_cells_d*; for every other source shown (of the two
        kinds of mash on unshrunk estimates only that of the calls, if it is one) hit_<source>,
        active_days_<source>, postmean_<source>_d*, lfsr_<source>_d*, plarge_<source>_d*; and the
        marks of `genes`.

    Raises
    ------
    FatewalkError
        If a column is missing, a gene is repeated or without a name, or the source of the calls is
        not among `sources`.
    """
    where = "gene_daywise table"
    cells = Daywise.of(genes, where, ["n_cells"], ["gene", "n_guides"])
    refuse_repeats(genes, "gene", where)
    if calls.source not in sources:
        raise FatewalkError(f"calls.source: found {calls.source!r}; here are only {', '.join(sources)}")
    sources = {name: sources[name] for name in sources if name in _shown(calls.source)}
    found = {name: _Calls(shrunk, calls) for name, shrunk in sources.items()}
    main, shrunk = found[calls.source], sources[calls.source]

    max_abs = -smallest(-np.abs(shrunk.mean))  # [n]
    columns = {
        "gene": cells["gene"],
        "n_guides": cells["n_guides"],
        "hit_anyday": main.hit,
        ACTIVE_DAYS: join_days(main.active),
        "n_active_days": main.n_active,
        "best_day_among_active": main.best_day,
        "min_lfsr_among_active": main.min_active_lfsr,
        "max_abs_postmean": max_abs,
        "prob_any_day": shrunk.prob_any_day,
        "bayesian_fdr": main.bayesian_fdr,
        **_likeliest_pattern(shrunk, main),
        "n_sources_hit": sum(one.hit.astype(int) for one in found.values()),
        "source": np.full(len(cells), calls.source),
        "estimand": np.full(len(cells), calls.estimand),
        "postmean": shrunk.mean,
        "postsd": shrunk.sd,
        "lfsr": shrunk.lfsr,
        "plarge": shrunk.prob_large,
        "n_cells": cells["n_cells"],
    }
    for name, other in sources.items():
        if name != calls.source:
            columns |= {
                f"hit_{name}": found[name].hit,
                f"{ACTIVE_DAYS}_{name}": join_days(found[name].active),
                f"postmean_{name}": other.mean,
                f"lfsr_{name}": other.lfsr,
                f"plarge_{name}": other.prob_large,
            }
    names = cells["gene"].astype(str)
    key = np.where(main.hit, main.min_active_lfsr, smallest(shrunk.lfsr))
    elsewhere = smallest(np.stack([smallest(one.lfsr) for one in sources.values()], axis=1))  # [n]
    # the last key counts most; missing is last
    order = np.lexsort((names, elsewhere, -max_abs, key, ~main.hit))
    table = Daywise(columns, cells.marks).take(order).table()
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return table


def _shown(main: str) -> list[str]:
    """The source of the calls and those beside it: of the two kinds of mash on unshrunk estimates one."""
    unshrunk = "mash_fates" if main == "mash_fates" else "mash_likelihood"
    return [unshrunk, "mash_posterior", "joint"]


class _Calls:
    """Calls by one source; arrays over genes [n], but for `active`."""

    def __init__(self, shrunk: Shrunk, calls: CallsConfig) -> None:
        lfsr = shrunk.lfsr
        n_days = lfsr.shape[1]
        active = active_days(lfsr, shrunk.prob_large, calls)
        days = np.array(day_names(n_days))
        self.active = active  # [n, D]
        self.n_active = active.sum(axis=1)
        self.min_active_lfsr = smallest(np.where(active, lfsr, np.nan))
        best = days[np.argmin(np.where(active, lfsr, np.inf), axis=1)]
        self.best_day = np.where(self.n_active > 0, best, "")
        candidate = self.n_active > 0
        self.bayesian_fdr = np.full(len(lfsr), np.nan)
        self.bayesian_fdr[candidate] = running_mean(1 - shrunk.prob_any_day[candidate])
        self.hit = hit_anyday(active, lfsr, self.bayesian_fdr, calls)


def active_days(lfsr: Numbers, prob_large: Numbers, calls: CallsConfig) -> np.ndarray:
    """Gene-days that are active by `calls.rule`, of any shape; missing is not active.

    Parameters
    ----------
    lfsr, prob_large
        Local false sign rates and P(|effect| > eps), the days along the last dimension.
    calls
        Thresholds.

    Examples
    --------
    The third is taken because the first two leave room for it; with the fourth the mean would be .11:

    >>> from fatewalk.config import CallsConfig
    >>> active_days(np.zeros(5), np.array([1.0, 0.99, 0.88, 0.69, np.nan]), CallsConfig())
    array([ True,  True,  True, False, False])
    """
    if calls.rule == "lfsr":
        return np.asarray((lfsr < calls.lfsr_day) & (prob_large >= calls.effect_prob_large_min))
    error = 1 - np.nan_to_num(prob_large)  # P(|effect| <= eps)
    ordered = np.sort(error, axis=None)
    mean = np.cumsum(ordered) / np.arange(1, ordered.size + 1)  # ascending
    n_active = int((mean <= calls.fdr).sum())
    limit = ordered[n_active - 1] if n_active else -1.0
    return np.asarray((error <= limit) & (prob_large >= calls.fdr_prob_large_min))


def hit_anyday(active: np.ndarray, lfsr: Numbers, bayesian_fdr: Numbers, calls: CallsConfig) -> np.ndarray:
    """Rows that are hits over the whole time course, by `calls.rule`: [...] from active [..., D]."""
    candidate = np.asarray(active.any(axis=-1))
    if calls.rule == "fdr" or calls.anyday_correction == "none":
        return candidate
    if calls.anyday_correction == "bonferroni":
        return candidate & (active & (lfsr < calls.lfsr_day / lfsr.shape[-1])).any(axis=-1)
    return candidate & (bayesian_fdr <= calls.anyday_fdr)


def running_mean(error: Numbers) -> Numbers:
    """Mean of all errors that are no larger than each one, [m]."""
    sizes, inverse, counts = np.unique(error, return_inverse=True, return_counts=True)
    return (np.cumsum(sizes * counts) / np.cumsum(counts))[inverse]


def _likeliest_pattern(shrunk: Shrunk, calls: _Calls) -> dict[str, np.ndarray]:
    """Columns pattern and pattern_prob: empty and missing for a gene without an active day."""
    names, probability = likeliest(shrunk.patterns)
    active = calls.n_active > 0
    return {
        "pattern": np.where(active, names, ""),
        "pattern_prob": np.where(active, probability, np.nan),
    }

"""The two tables over all contrasts: hits as a person reads them, effects as a program does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fatewalk.calls.fates import POINTS, percent_points
from fatewalk.core.daywise import ACTIVE_DAYS, Daywise, active_matrix
from fatewalk.core.errors import FatewalkError
from fatewalk.core.schema import Z95
from fatewalk.core.tables import as_bool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fatewalk.calls.checks import Numbers
    from fatewalk.calls.fates import FateEffects

#: Digits that a person reads; all of them stand in effects.parquet.
DECIMALS = {
    **dict.fromkeys(("effect", "effect_low", "effect_high", "plarge", "prob_moved", "pattern_prob"), 3),
    **dict.fromkeys(POINTS, 1),
}
#: Columns of hits_ranked.csv behind hits.csv.
OF_HIT = ("gene", "min_lfsr_among_active", "pattern", "pattern_prob", "n_guides", "n_sources_hit")
OF_HIT_BY_DAY = ("postmean", "postsd", "plarge", "n_cells")
DIRECTION = {1: "gain", -1: "loss"}


def hits_table(
    ranked: Mapping[str, pd.DataFrame],
    concordance: Mapping[str, pd.DataFrame],
    effects: FateEffects,
    days: Sequence[str],
    reference: str,
    day_cells: Numbers,
) -> pd.DataFrame:
    """The hits of all contrasts, one row for each gene and contrast, as a person reads them.

    Parameters
    ----------
    ranked
        hits_ranked.csv by contrast.
    concordance
        guide_concordance.csv by contrast.
    effects
        Of genes on each fate, for the percentage points.
    days : [D]
        Labels of the days, in time order.
    reference
        Fate that the contrasts are against.
    day_cells : [D]
        Cells of each day.

    Returns
    -------
    pandas.DataFrame
        hits.csv, best first: rank, gene, contrast, reference, direction (gain or loss of the contrast
        against the reference; ``gain then loss`` if the sign changes), active_days (labels), lfsr (the
        smallest of these days, which the rank follows), strongest_day (the active day with the largest
        effect) and of that day effect, effect_low, effect_high (logit, mean and 95 % interval after
        mash), plarge, percent_points, percent_points_low, percent_points_high (change of the
        fate's own probability, with its 95 % interval), guides_agree ("3 of 4" guides with cells have the
        sign of the gene) and n_cells; then pattern, pattern_prob, n_guides, n_sources_hit, and the marks
        of the fit. Numbers are rounded (`DECIMALS`, lfsr to three digits).
    """
    parts = [
        _hits_of_contrast(
            ranked[contrast], concordance[contrast], effects, days, contrast, reference, day_cells
        )
        for contrast in ranked
    ]
    return rounded(in_order(pd.concat(parts, ignore_index=True), "contrast"))


def in_order(hits: pd.DataFrame, second: str) -> pd.DataFrame:
    """Hits ranked: by lfsr, on a tie the larger effect, then by gene and a second name."""
    order = np.lexsort((hits[second], hits["gene"], -hits["effect"].abs(), hits["lfsr"]))
    hits = hits.iloc[order].reset_index(drop=True)
    hits.insert(0, "rank", np.arange(1, len(hits) + 1))
    return hits


def rounded(hits: pd.DataFrame) -> pd.DataFrame:
    """The digits that a person reads: `DECIMALS`, and three of the lfsr, whatever its size."""
    return hits.round(DECIMALS).assign(lfsr=[float(f"{value:.3g}") for value in hits["lfsr"]])


def _hits_of_contrast(
    ranked: pd.DataFrame,
    concordance: pd.DataFrame,
    effects: FateEffects,
    days: Sequence[str],
    contrast: str,
    reference: str,
    day_cells: Numbers,
) -> pd.DataFrame:
    """Rows of `hits_table` of one contrast."""
    is_hit = as_bool(ranked["hit_anyday"], "hits_ranked table")
    hits = Daywise.of(ranked, "hits_ranked table", OF_HIT_BY_DAY, OF_HIT).take(is_hit)
    agree = Daywise.of(concordance, "guide_concordance table", ["n_agree", "n_guides_seen"], ["gene"])
    agree = agree.rows_of("gene", hits["gene"], contrast)
    of_gene, of_fate = pd.Index(effects.names).get_indexer(hits["gene"]), list(effects.fates).index(contrast)
    carriers = np.zeros((len(effects.names), len(days)))
    carriers[of_gene] = hits["n_cells"] / day_cells
    labels = np.asarray(days, dtype=object)
    active = active_matrix(ranked, len(days))[is_hit]  # [n, D]
    effect = hits["postmean"]
    best = np.where(active, np.abs(effect), -1.0).argmax(axis=1)  # [n]
    rows = np.arange(len(hits))
    mean, sd = effect[rows, best], hits["postsd"][rows, best]
    seen = zip(agree["n_agree"][rows, best], agree["n_guides_seen"][rows, best], strict=True)
    columns = {
        "gene": hits["gene"],
        "contrast": contrast,
        "reference": reference,
        "direction": [sign_words(effect[row][active[row]]) for row in rows],
        ACTIVE_DAYS: ["; ".join(labels[active[row]]) for row in rows],
        "lfsr": hits["min_lfsr_among_active"],
        "strongest_day": labels[best],
        "effect": mean,
        "effect_low": mean - Z95 * sd,
        "effect_high": mean + Z95 * sd,
        "plarge": hits["plarge"][rows, best],
        **{name: x[of_gene, of_fate, best] for name, x in percent_points(effects, carriers).items()},
        "guides_agree": [f"{a:.0f} of {n:.0f}" for a, n in seen],
        "n_cells": hits["n_cells"][rows, best].astype(int),
        **{name: hits[name] for name in ("pattern", "pattern_prob", "n_guides", "n_sources_hit")},
    }
    return pd.DataFrame(columns).assign(**hits.marks)


def sign_words(effects: Numbers) -> str:
    """``gain``, ``loss``, or their order where the sign changes, from the effects of the active days."""
    signs = [int(sign) for sign in np.sign(effects)]
    turns = [sign for i, sign in enumerate(signs) if i == 0 or sign != signs[i - 1]]
    return " then ".join(DIRECTION[sign] for sign in turns)


@dataclass(frozen=True)
class ContrastEffects:
    """What is known of the genes or guides of one contrast.

    Attributes
    ----------
    likelihood
        {gene,guide}_daywise_likelihood.csv: betahat, se, n_cells.
    posterior
        {gene,guide}_daywise_for_mash.csv: betahat, se.
    mash
        shrunk_{gene,guide}.npz.
    lfsr, plarge, called : array [n, D]
        By the source of the calls, in the row order of `likelihood`.
    """

    likelihood: Daywise
    posterior: Daywise
    mash: Daywise
    lfsr: Numbers
    plarge: Numbers
    called: np.ndarray


def effects_table(
    genes: Mapping[str, ContrastEffects], guides: Mapping[str, ContrastEffects], days: Sequence[str]
) -> pd.DataFrame:
    """All effects on contrasts in one tidy table: a row for each gene or guide, contrast and day.

    Parameters
    ----------
    genes, guides
        By contrast.
    days : [D]
        Labels of the days, in time order.

    Returns
    -------
    pandas.DataFrame
        effects.parquet: level (gene or guide), gene, guide (missing for genes), scale (contrast: logit
        against the reference), fate, day (label), estimate and se (likelihood-only), posterior_mean and
        posterior_sd, mash_mean and mash_sd (mash over all fates), lfsr and plarge (by the source of the
        calls; of guides by mash over all fates), called (missing for guides), percent_points* and prob_moved
        (missing: a matter of fates), n_cells, and the marks of the fit. Without cells everything but n_cells
        is missing.
    """
    parts = [
        _tidy(level, contrast, effects, days)
        for level, by_contrast in (("gene", genes), ("guide", guides))
        for contrast, effects in by_contrast.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _tidy(level: str, contrast: str, effects: ContrastEffects, days: Sequence[str]) -> pd.DataFrame:
    """Rows of `effects_table` of one level and contrast, day by day within a gene or guide."""
    n, D = len(effects.likelihood), len(days)
    for other in (effects.posterior, effects.mash):
        if not np.array_equal(effects.likelihood[level], other[level]):
            raise FatewalkError(
                f"the {level} tables of {contrast} do not have the same rows in the same order, so they are "
                "not of one run: run export_effects and fit_mash again"
            )
    likelihood, posterior = effects.likelihood, effects.posterior
    guide = likelihood["guide"] if level == "guide" else np.array([None] * n, dtype=object)
    called = pd.array(effects.called.ravel(), dtype="boolean")
    called[np.isnan(effects.lfsr.ravel()) if level == "gene" else slice(None)] = pd.NA
    columns = {
        "level": level,
        "gene": np.repeat(likelihood["gene"].astype(object), D),
        "guide": pd.Series(np.repeat(guide, D), dtype=object),  # as text is, though missing for all genes
        "scale": "contrast",
        "fate": contrast,
        "day": np.tile(np.asarray(days, dtype=object), n),
        "estimate": likelihood["betahat"].ravel(),
        "se": likelihood["se"].ravel(),
        "posterior_mean": posterior["betahat"].ravel(),
        "posterior_sd": posterior["se"].ravel(),
        "mash_mean": effects.mash["postmean_mash_fates"].ravel(),
        "mash_sd": effects.mash["postsd_mash_fates"].ravel(),
        **dict.fromkeys(POINTS, np.nan),
        "lfsr": effects.lfsr.ravel(),
        "plarge": effects.plarge.ravel(),
        "called": called,
        "prob_moved": np.nan,
        "n_cells": likelihood["n_cells"].ravel().astype(int),
    }
    return pd.DataFrame(columns).assign(**likelihood.marks)

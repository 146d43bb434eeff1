"""What refits of resampled designs say: the spread of each effect, and how often a hit is called again.

Letters: B refits, L genes, F fates, F* contrasts, D days.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fatewalk import mash
from fatewalk.calls.fate_hits import FateCalls
from fatewalk.calls.fates import evidence_of_level, shrink_again

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from fatewalk.calls.fates import FateEffects
    from fatewalk.config.sections import CallsConfig
    from fatewalk.core.schema import Estimand, Unit
    from fatewalk.estimates.arrays import Refits

    Numbers = NDArray[np.float64]

LIMIT = 1.25  # a bootstrap SD and a standard error that differ by more do not tell the same
FEWEST = 20  # gene-days whose spread is compared: fewer say nothing of a fate and a day
N_DRAWS = 200  # of a gene in each refit
ROWS = 2000  # genes of several refits that go through mash together
OF_ESTIMATES = ("cells", "clusters", "replicates", "leave_one_replicate_out")
"""Units whose spread standard errors should match; guides are drawn within genes, which is one more error."""


def spread(values: Numbers, unit: Unit) -> Numbers:
    """SD over refits [B, ...] -> [...]; where one replicate is left out that of the jackknife.

    Examples
    --------
    >>> spread(np.array([1.0, 2.0, 3.0]), "cells").item()
    1.0
    >>> round(spread(np.array([1.0, 3.0]), "leave_one_replicate_out").item(), 3)
    1.0
    """
    n = np.isfinite(values).sum(axis=0)
    squares = np.nansum((values - np.nansum(values, axis=0) / np.maximum(n, 1)) ** 2, axis=0)
    factor = (n - 1) / np.maximum(n, 1) if unit == "leave_one_replicate_out" else 1 / np.maximum(n - 1, 1)
    return np.where(n > 1, np.sqrt(factor * squares), np.nan)


def bootstrap_table(
    effects: pd.DataFrame, refits: Refits, unit: Unit, shift: Numbers | None = None
) -> pd.DataFrame:
    """Effects of genes by contrast and day, each with its spread over the refits beside its standard errors.

    Parameters
    ----------
    effects
        ``effects.parquet``: genes on the scale of contrasts.
    refits
        Those that converged.
    unit
        What was drawn.
    shift : array [F*, D]
        Variance that the deviations of the NTC guides add to every standard error. They are not drawn, so
        the ratio leaves it out.

    Returns
    -------
    pandas.DataFrame
        gene, contrast, day, refits, estimate, se, se_drawn, bootstrap_sd, ratio, posterior_mean,
        posterior_sd, bootstrap_sd_posterior; logit.
    """
    axes = [refits.genes, refits.contrasts, refits.days]
    index = pd.MultiIndex.from_product([one.astype(str) for one in axes], names=["gene", "contrast", "day"])
    added = np.zeros(refits.likelihood.shape[1:]) + (0.0 if shift is None else shift)
    spreads = {
        "added": added,
        "refits": np.isfinite(refits.likelihood).sum(axis=0),
        "bootstrap_sd": spread(refits.likelihood, unit),
        "bootstrap_sd_posterior": spread(refits.theta, unit),
    }
    found = pd.DataFrame({name: values.reshape(-1) for name, values in spreads.items()}, index=index)
    known = effects.rename(columns={"fate": "contrast"}).set_index(list(index.names))
    table = known[["estimate", "se", "posterior_mean", "posterior_sd"]].astype(float).join(found, how="left")
    table["se_drawn"] = np.sqrt((table["se"] ** 2 - table["added"]).clip(lower=0))
    table["ratio"] = table["bootstrap_sd"] / table["se_drawn"]
    columns = ["refits", "estimate", "se", "se_drawn", "bootstrap_sd", "ratio", "posterior_mean"]
    return table[[*columns, "posterior_sd", "bootstrap_sd_posterior"]].reset_index()


def spread_of(table: pd.DataFrame, unit: Unit) -> tuple[list[dict[str, Any]], list[str]]:
    """Bootstrap SD over standard error by contrast and day, pooled over genes, and what to think of it.

    Parameters
    ----------
    table
        From `bootstrap_table`.
    unit
        What was drawn.

    Returns
    -------
    rows
        contrast, day, gene_days, ratio, ratio_posterior: roots of mean squares over one another.
    warnings
        A sentence for each contrast and day whose ratio is off by more than `LIMIT`. Posterior means are
        shrunk, so that they spread less than their posterior SD: of these only more is told.
    """
    rows, warnings = [], []
    for (contrast, day), part in table.groupby(["contrast", "day"], sort=False):
        both = part.dropna(subset=["bootstrap_sd", "se_drawn", "bootstrap_sd_posterior", "posterior_sd"])
        if not len(both):
            continue
        ratio = _over(both["bootstrap_sd"], both["se_drawn"])
        shrunk = _over(both["bootstrap_sd_posterior"], both["posterior_sd"])
        rows.append(
            {
                "contrast": contrast,
                "day": day,
                "gene_days": len(both),
                "ratio": ratio,
                "ratio_posterior": shrunk,
            }
        )
        if unit not in OF_ESTIMATES or len(both) < FEWEST:
            continue
        where = f"{contrast}, {day}: over draws of {unit.replace('_', ' ')} the effects"
        if ratio > LIMIT:
            warnings.append(
                f"{where} spread {ratio:.2f} times as much as their standard errors say: these are too small."
            )
        elif ratio < 1 / LIMIT:
            warnings.append(f"{where} spread {ratio:.2f} times as much as their standard errors say.")
        if shrunk > LIMIT:
            warnings.append(f"{where} spread {shrunk:.2f} times as much as their posterior SDs say.")
    return rows, warnings


def _over(above: pd.Series, below: pd.Series) -> float:
    return float(np.sqrt((above**2).mean() / (below**2).mean()))


def call_again(
    genes: FateEffects,
    evidence: Mapping[str, np.ndarray],
    refits: Refits,
    calls: CallsConfig,
    estimand: Estimand,
) -> pd.DataFrame:
    """How often each gene is called on each fate over the refits, under the mash prior of the run.

    Parameters
    ----------
    genes
        Content of shrunk_fates_gene.npz.
    evidence
        Arrays of evidence.npz, for what does not differ between refits.
    refits
        Those that converged.
    calls
        Section ``calls``; the source is mash_fates, whichever it names.
    estimand
        Of the calls of the run.

    Returns
    -------
    pandas.DataFrame
        gene, fate, called (in the run itself), called_again (share of the refits that name the fate),
        hit_again (share that calls it, whether it moved itself or follows); those of the run and of at
        least one refit in ten.
    """
    named, hit = [], []
    for again in _shrunk_refits(genes, evidence, refits, calls.effect_size_eps, estimand):
        found = FateCalls.of(again, calls)
        named.append(found.named)
        hit.append(found.hit)
    first = FateCalls.of(genes, calls).named  # [L, F]
    share, either = np.mean(named, axis=0), np.mean(hit, axis=0)
    rows, columns = np.nonzero(first | (share >= 0.1))
    table = pd.DataFrame(
        {
            "gene": genes.names[rows],
            "fate": genes.fates[columns],
            "called": first[rows, columns],
            "called_again": share[rows, columns],
            "hit_again": either[rows, columns],
        }
    )
    return table.sort_values(["called", "called_again"], ascending=False, kind="stable", ignore_index=True)


def _shrunk_refits(
    genes: FateEffects, evidence: Mapping[str, np.ndarray], refits: Refits, eps: float, estimand: Estimand
) -> Iterator[FateEffects]:
    """The genes of each refit after mash; many refits go through it together."""
    n, seen = len(genes.names), evidence["gene_cells"].astype(bool)  # [L, D]
    for some in np.array_split(np.arange(len(refits.score)), -(-len(refits.score) * n // ROWS)):
        labels = [
            {"gene_score": refits.score[b], "gene_information": refits.information[b].astype(float)}
            for b in some
        ]
        each = [evidence_of_level({**evidence, **one}, "gene", estimand) for one in labels]
        given = mash.Evidence(
            np.concatenate([one.score for one in each]), np.concatenate([one.information for one in each])
        )
        together = shrink_again(genes, given, np.tile(seen, (len(some), 1)), eps, N_DRAWS)
        for i in range(len(some)):
            own = slice(i * n, (i + 1) * n)
            names = ("mean", "sd", "lfsr", "prob_large", "patterns", "moved", "untold")
            yield replace(genes, **{name: getattr(together, name)[own] for name in names})

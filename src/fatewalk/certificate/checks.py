"""The certificate's checks: a value, a limit, pass, warn or fail, and a sentence.

Letters as in `fatewalk.certificate.permutation`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.special import chdtrc, chdtri, ndtri

from fatewalk.core.errors import quoted
from fatewalk.core.words import count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fatewalk.certificate.nulls import Nulls

    Numbers = NDArray[np.float64]

Verdict = Literal["pass", "warn", "fail"]

SPREAD_WARN, SPREAD_FAIL = 1.07, 1.15  # of z of what does nothing: less does not matter
DOUBTFUL, SURE = 0.04, 0.02  # how unlikely such a spread must be where nothing is wrong
UNUSUAL = 0.05  # of controls, where genes are loud
FEWEST_Z, FEW_Z = 5, 40  # independent z below which they tell nothing, little
SPREADS = np.arange(0.7, 2.5, 0.025)
WIDER = (0.0, 3.0, 8.0, 20.0, 50.0)  # SD of effects over that of the null part
EM_ROUNDS, MOST_Z = 40, 4000
SLOPE_DOUBTFUL, SLOPE_SURE = 0.01, 0.001  # how unlikely a slope on the number of NTC guides must be
SLOPE_MATTERS = 0.05  # logit per NTC guide, below which a slope is no reason to withhold
WEIGHT_WARN, WEIGHT_FAIL = 1.2, 1.5  # weight of a label times its dispersion, or one over them
COVERAGE_WARN, COVERAGE_FAIL = (0.92, 0.975), (0.9, 0.99)  # of 95 % intervals of planted effects
FALSE_HITS = 0.02  # hits per gene in a screen whose guides were shuffled, and at least one a screen
ORDER: tuple[Verdict, ...] = ("pass", "warn", "fail")


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes
    ----------
    name
        Of the check.
    verdict
        pass, warn or fail.
    value
        What was found; None where nothing could be.
    limit
        Beyond which it fails; None for a check that only warns.
    words
        A sentence.
    """

    name: str
    verdict: Verdict
    value: float | None
    limit: float | None
    words: str


def shuffled_guides(nulls: Nulls) -> Check:
    """Do the errors fit the labels: SD of z with guides shuffled between cells.

    Errors that are too large cost power, but make no false hit: a warning at most.
    """
    sd, freedom = np.nan_to_num(nulls.z_sd), nulls.z_sd_freedom  # [F, D]
    name, n = "shuffled_guides", freedom.sum(axis=1)
    seen = n > FEWEST_Z
    if not seen.any():
        return Check(name, "warn", None, None, "No gene has enough cells on any day to shuffle its guides.")
    by_fate = np.sqrt((freedom * sd**2).sum(axis=1) / np.where(seen, n, np.inf))
    chance = SURE / seen.sum()  # of any fate
    limit = np.where(seen, np.sqrt(chdtri(np.maximum(n, 1), chance) / np.maximum(n, 1)), np.inf)
    small = np.sqrt(chdtri(np.maximum(n, 1), 1 - chance) / np.maximum(n, 1))
    excess = by_fate / np.maximum(limit, SPREAD_WARN)
    lack = np.where(seen, by_fate, np.inf) / np.minimum(small, 1 / SPREAD_WARN)
    worst = int(np.argmax(excess))
    if excess[worst] <= 1 and lack.min() < 1:
        worst = int(np.argmin(lack))
    value, fate = float(by_fate[worst]), str(nulls.fates[worst])
    fails = max(SPREAD_FAIL, float(limit[worst]))
    found = f"with guides shuffled between cells, z scores have a spread of {value:.2f} on {fate!r}"
    if excess.max() <= 1 and lack.min() >= 1:
        few = (
            ""
            if limit[worst] < SPREAD_FAIL
            else f" With so few cells or clusters less than {fails:.2f} is chance."
        )
        return Check(name, "pass", value, fails, f"The errors fit the labels: {found}; 1 is right.{few}")
    verdict: Verdict = "fail" if value > fails else "warn"
    way = "too small" if value > 1 else "too large within replicates and days"
    return Check(name, verdict, value, fails, f"The errors of {fate!r} are {way}: {found}, where 1 is right.")


def control_guides(nulls: Nulls) -> Check:
    """Are controls quiet: each NTC guide taken for a gene, the others its controls."""
    name, z, share = "control_guides", nulls.control_z, nulls.control_share  # [K, D, F]
    n = float(share.sum())
    if n < FEWEST_Z:
        few = "No NTC guide could be tried as if it were a gene: that takes two or more with enough cells."
        return Check(name, "warn", None, None, few)
    value = _spread(z, share)
    limit = max(SPREAD_FAIL, float(np.sqrt(chdtri(n, SURE) / n)))
    verdict: Verdict = "fail" if value > limit else "pass"
    if verdict == "pass" and value > SPREAD_WARN and chdtrc(n, n * value**2) < DOUBTFUL:
        verdict = "warn"
    k = int((share.sum(axis=(1, 2)) > 0).sum())
    found = f"{count(k, 'NTC guide')}, each taken for a gene, have z scores with a spread of {value:.2f}"
    words = f"Controls are quiet: {found}; 1 is right."
    if verdict != "pass":
        loud = np.argsort(-np.nan_to_num(np.abs(z)).max(axis=(1, 2)))[:3]
        words = (
            f"Controls are louder than their errors allow: {found}, where 1 is right; the loudest: "
            f"{quoted(nulls.controls[loud].tolist())}. Cells that belong together (clones, embryos, wells) "
            "and are not named do this: name them with cluster_key. So do NTC guides that act."
        )
    elif n < FEW_Z:
        words += f" {n:.0f} independent z scores can tell little."
    return Check(name, verdict, value, limit, words)


def quiet_genes(nulls: Nulls) -> Check:
    """Are all that seem to do nothing, controls and genes together, as quiet as errors say.

    Most genes of a screen do nothing, and there are many of them: together with the controls they see what
    neither sees alone. But many small effects spread z too, so the controls must not speak against it.
    """
    name = "quiet_genes"
    n_genes, n = float(nulls.gene_share.sum()), float(nulls.control_share.sum())
    if n_genes + n < FEW_Z:
        few = f"{n_genes + n:.0f} independent z scores of genes and controls can tell little."
        return Check(name, "warn", None, None, few)
    squares = n * _spread(nulls.control_z, nulls.control_share) ** 2 if n else 0.0
    value, gain = null_spread(nulls.gene_z, nulls.gene_share, squares, n)
    # the spread whose likelihood gains enough over 1, as log likelihoods are quadratic in log spread
    sure, doubtful = (
        float(value ** np.sqrt(chdtri(1, 2 * p) / gain)) if gain > 0 else np.inf for p in (SURE, DOUBTFUL)
    )
    limit = max(SPREAD_FAIL, sure)
    found = f"z scores of what seems to do nothing, genes and controls, have a spread of {value:.2f}"
    if value <= max(SPREAD_WARN, doubtful):
        known = limit if np.isfinite(limit) else None
        return Check(name, "pass", value, known, f"Quiet genes are quiet: {found}; 1 is right.")
    loud = n >= FEWEST_Z and chdtrc(n, squares) < UNUSUAL
    verdict: Verdict = "fail" if value > limit and loud else "warn"
    why = (
        "and controls are loud too: the errors are too small. Cells that belong together (clones, embryos, "
        "wells) and are not named do this: name them with cluster_key"
        if loud
        else "though controls are not loud: most genes may act a little"
    )
    return Check(name, verdict, value, limit, f"Hardly any gene is quiet: {found}, where 1 is right, {why}.")


def _spread(z: Numbers, share: Numbers) -> float:
    """SD of z around 0, each with the share of an independent one that it counts for."""
    return float(np.sqrt((share * np.nan_to_num(z) ** 2).sum() / share.sum()))


def null_spread(z: Numbers, share: Numbers, squares: float, n: float) -> tuple[float, float]:
    """SD of z without an effect, and twice the log likelihood that it gains over 1.

    z of genes are the narrowest part of a mixture of normals around zero (an empirical null, Efron 2004,
    with its mean at zero); z of controls have no other part. For each SD on a grid the weights of wider parts
    are found by EM, and the SD with the largest likelihood is taken.

    Parameters
    ----------
    z, share : array [...]
        z of genes, and what each counts for.
    squares, n
        Sum of squares and number of independent z of the controls.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> z = 1.3 * rng.normal(size=4000)
    >>> z[:800] *= 4
    >>> abs(null_spread(z, np.ones(4000), 0.0, 0.0)[0] - 1.3) < 0.1
    True
    """
    z, share = z[share > 0], share[share > 0]
    if len(z) > MOST_Z:
        some = np.random.default_rng(0).choice(len(z), MOST_Z, replace=False)
        z, share = z[some], share[some]
    loglik = np.array([_loglik(z, share, sd) - n * np.log(sd) - squares / (2 * sd**2) for sd in SPREADS])
    best, one = int(np.argmax(loglik)), int(np.argmin(np.abs(SPREADS - 1)))
    return float(SPREADS[best]), float(2 * (loglik[best] - loglik[one]))


def _loglik(z: Numbers, share: Numbers, sd: float) -> float:
    """Log likelihood of z with a null part of this SD."""
    spread = sd * np.sqrt(1 + np.square(WIDER))  # [k]
    density = np.exp(-0.5 * (z[:, None] / spread) ** 2) / spread  # [n, k]
    weight = np.full(len(WIDER), 1 / len(WIDER))
    for _ in range(EM_ROUNDS):
        of_part = density * weight
        weight = share @ (of_part / of_part.sum(axis=1, keepdims=True)) / share.sum()
    return float(share @ np.log(density @ weight))


def ntc_slope(card: Mapping[str, Any]) -> Check:
    """Do NTC guides act beyond their share of the burden (`fatewalk.diagnostics.ntc`)."""
    name, found = "ntc_slope", card["ntc_slope"]
    if not found:
        return Check(name, "warn", None, None, "No slope on the number of NTC guides can be told.")
    contrast = max(found, key=lambda one: abs(found[one]["z"]))
    slope, value = float(found[contrast]["slope"]), float(found[contrast]["z"])
    doubtful, limit = (float(-ndtri(p / (2 * len(found)))) for p in (SLOPE_DOUBTFUL, SLOPE_SURE))
    verdict: Verdict = "pass" if abs(value) <= doubtful else "warn"
    if abs(value) > limit and abs(slope) > SLOPE_MATTERS:
        verdict = "fail"
    if verdict == "pass":
        words = f"NTC guides do no more than their share of the number of guides (largest z {value:+.1f})."
    else:
        words = (
            f"NTC guides act on {contrast!r} beyond their share of the number of guides (slope {slope:+.2f}, "
            f"z {value:+.1f}): the number of guides of a cell is miscounted (one NTC label for several "
            "guides), or most genes act in one direction."
        )
    return Check(name, verdict, abs(value), limit, words)


def label_weight(nulls: Nulls) -> Check:
    """Does the weight of a label fit how far labels scatter."""
    name, ratio = "label_weight", nulls.weight_ratio
    finite = np.where(np.isfinite(ratio), ratio, 1.0)
    worst = int(np.argmax(np.abs(np.log(finite))))
    value, day = float(finite[worst]), str(nulls.days[worst])
    verdict = _two_sided(value, WEIGHT_WARN, WEIGHT_FAIL)
    if verdict == "pass":
        return Check(name, verdict, value, WEIGHT_FAIL, "Labels weigh as much as their scatter allows.")
    way = "more" if value > 1 else "less"
    words = (
        f"Labels of day {day} count {value:.2f} times as much as their scatter allows, {way} than they "
        "should: set fit.likelihood_weight to auto."
    )
    return Check(name, verdict, value, WEIGHT_FAIL, words)


def false_hits(hits: Sequence[int], n_genes: int) -> Check:
    """Does the analysis find nothing where there is nothing: hits in screens whose guides were shuffled.

    Parameters
    ----------
    hits
        Hits of each shuffled screen.
    n_genes
        Genes L.
    """
    value = float(np.mean(hits))
    limit = max(1.0, FALSE_HITS * n_genes)
    verdict: Verdict = "fail" if value > limit else "warn" if value > 0.5 * limit else "pass"
    total = count(sum(hits), "hit") if sum(hits) else "no hit"
    words = f"{count(len(hits), 'screen')} with guides shuffled between cells gave {total} in all."
    return Check("false_hits", verdict, value, limit, words)


def planted_effects(coverage: float, n: int) -> Check:
    """Do 95 % intervals hold 95 % of effects that were planted in this very screen.

    Parameters
    ----------
    coverage
        Share of them that their interval holds.
    n
        How many.
    """
    low, high = COVERAGE_FAIL
    inside = COVERAGE_WARN[0] <= coverage <= COVERAGE_WARN[1]
    verdict: Verdict = "pass" if inside else "warn" if low <= coverage <= high else "fail"
    words = f"95 % intervals hold {100 * coverage:.1f} % of {n} effects planted in this screen."
    return Check("planted_effects", verdict, coverage, low if coverage < 0.95 else high, words)


def certificate(kind: str, checks: Sequence[Check], notes: Sequence[str]) -> dict[str, Any]:
    """Content of ``certificate.json``.

    Parameters
    ----------
    kind
        ``calls.certificate``.
    checks
        All checks; none: nothing is certified.
    notes
        What the certificate cannot tell here.
    """
    if not checks:
        return {"kind": kind, "verdict": "none", "words": "not certified", "checks": [], "cannot_tell": []}
    worst = max(checks, key=lambda check: ORDER.index(check.verdict)).verdict
    failed = [check.name for check in checks if check.verdict == worst]
    n = count(len(checks), "check")
    words = {
        "pass": f"certified: {n} passed",
        "warn": f"certified with warnings ({', '.join(failed)})",
        "fail": f"NOT CERTIFIED: {', '.join(failed)} failed",
    }[worst]
    return {
        "kind": kind,
        "verdict": worst,
        "words": words,
        "checks": [asdict(check) for check in checks],
        "cannot_tell": list(notes),
    }


def cannot_tell(nulls: Nulls) -> list[str]:
    """What no check here can see."""
    notes = ["Guide calls that are exchanged at random look like a screen with weaker effects."]
    told = int((nulls.control_share.sum(axis=(1, 2)) > 0).sum())
    if nulls.control_share.sum() < FEW_Z:
        notes.append(
            f"{count(told, 'NTC guide')} in enough cells: cells that belong together and are not named would "
            "hardly be seen."
        )
    return notes


def _two_sided(value: float, warn: float, fail: float) -> Verdict:
    """Verdict on a ratio that should be 1."""
    away = max(value, 1 / max(value, 1e-9))
    return "pass" if away <= warn else "warn" if away <= fail else "fail"

"""How an effect runs over the days: early, late, transient, sustained, with a switch of sign.

Letters: S draws, n genes, D days.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fatewalk.core.words import on_days

if TYPE_CHECKING:
    from collections.abc import Sequence

PATTERNS = ("none", "early", "late", "transient", "sustained", "intermittent", "sign_switch")
"""In the order of the columns of `pattern_probabilities`."""

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]


def classify(effects: Numbers, observed: Flags, eps: float) -> NDArray[np.int8]:
    """Name the pattern of effects over the observed days.

    A day is active if |effect| > eps. With the active days among the observed ones,

    - ``none``: there is none;
    - ``sign_switch``: effects of both signs;
    - ``sustained``: all of them (also the only one);
    - ``early``: an unbroken run from the first day that ends before the last;
    - ``late``: an unbroken run to the last day that starts after the first;
    - ``transient``: an unbroken run in between;
    - ``intermittent``: anything else.

    Parameters
    ----------
    effects
        Effects or draws of them [..., n, D], logit.
    observed
        Gene-days that count [n, D]; the others are skipped, as if the screen did not have them.
    eps
        Smallest effect of interest, logit.

    Returns
    -------
    array of int
        Places in `PATTERNS` [..., n].
    """
    active = (np.abs(effects) > eps) & observed  # [..., n, D]
    n_active = active.sum(axis=-1)
    # place of a day among the observed ones, so that a run may step over a day without cells
    place = np.cumsum(observed, axis=-1)  # [n, D], from 1
    n_observed = observed.sum(axis=-1)  # [n]
    last = np.where(active, place, 0).max(axis=-1)
    first = np.where(active, place, place.shape[-1] + 1).min(axis=-1)
    unbroken = last - first + 1 == n_active
    both = (active & (effects > 0)).any(axis=-1) & (active & (effects < 0)).any(axis=-1)
    conditions = {
        "none": n_active == 0,
        "sign_switch": both,
        "sustained": n_active == n_observed,
        "early": unbroken & (first == 1),
        "late": unbroken & (last == n_observed),
        "transient": unbroken,
    }
    codes = [PATTERNS.index(name) for name in conditions]
    chosen = np.select(list(conditions.values()), codes, default=PATTERNS.index("intermittent"))
    return chosen.astype(np.int8)


def pattern_probabilities(draws: Numbers, observed: Flags, eps: float) -> Numbers:
    """Posterior probability of each pattern.

    Parameters
    ----------
    draws
        Joint draws of the effects over days [S, n, D], logit.
    observed
        Gene-days that count [n, D].
    eps
        Smallest effect of interest, logit.

    Returns
    -------
    array
        [n, len(PATTERNS)]; rows sum to 1.
    """
    found = classify(draws, observed, eps)  # [S, n]
    return np.stack([(found == code).mean(axis=0) for code in range(len(PATTERNS))], axis=1)


def on_both_scales(
    effects: Numbers, stretched: Numbers, observed: Flags, eps: float
) -> tuple[NDArray[np.int8], Flags]:
    """Patterns of draws that hold on both scales, and days that only one of them calls active.

    Parameters
    ----------
    effects
        Draws [..., n, D], logit.
    stretched
        The same draws on the scale of the labels' spread, see `stretch`.
    observed, eps
        As of `classify`.

    Returns
    -------
    array of int [..., n]
        Places in `PATTERNS`; -1 where the two scales give different patterns.
    array of bool [..., n, D]
        Days active on the second scale alone.
    """
    code = classify(effects, observed, eps)
    same = code == classify(stretched, observed, eps)
    gained = observed & (np.abs(stretched) > eps) & (np.abs(effects) <= eps)
    return np.where(same, code, -1).astype(np.int8), gained


def stretch(spread: Numbers) -> Numbers:
    """By how much effects of each day would be larger if its labels spread as those of the best day do.

    Parameters
    ----------
    spread
        Spread of the labels [F, D], see `fatewalk.screen.resolution.label_spread`.

    Returns
    -------
    array
        At least 1 [F, D].
    """
    best = spread.max(axis=1, keepdims=True)
    return best / np.maximum(spread, 1e-6 * best.clip(1e-300))


def unresolved_words(pattern: str, present: Sequence[str], unresolved: Sequence[str]) -> str:
    """What a pattern says where it does not hold on both scales.

    Parameters
    ----------
    pattern
        On the scale of logits.
    present
        Labels of the days with an effect, in time order.
    unresolved
        Labels of the days on which labels may hide one.

    Examples
    --------
    >>> unresolved_words("late", ["day5", "day7"], ["day3"])
    'present from day5 on; day3 not resolved'
    >>> unresolved_words("transient", ["24", "36"], ["18"])
    'present on day 24 and 36; day 18 not resolved'
    """
    days = {"late": f"from {on_days([present[0]])} on", "early": f"until {on_days([present[-1]])}"}.get(
        pattern, f"on {on_days(list(present))}"
    )
    return f"present {days}; {on_days(list(unresolved))} not resolved"


def likeliest(patterns: Numbers) -> tuple[NDArray[np.str_], Numbers]:
    """The likeliest pattern other than none, and its probability, [n] each from [n, P]."""
    effective = patterns.copy()
    effective[:, PATTERNS.index("none")] = -1
    return np.array(PATTERNS)[effective.argmax(axis=1)], effective.max(axis=1, initial=-1.0)

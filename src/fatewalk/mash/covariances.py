"""Prior covariances and their grid of scales."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from fatewalk.mash.data import need_data
from fatewalk.mash.errors import MashError, first_few, numbers, whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from fatewalk.mash.data import Array, MashData

OWN_SHARE = 0.1
RAMP_FACTOR = 2.5


def cov_canonical(n_conditions: int, names: Sequence[str] | None = None) -> dict[str, Array]:
    """Canonical prior covariances, in mashr's order and with its names.

    Parameters
    ----------
    n_conditions
        Number of conditions D, >= 1.
    names
        Names of the conditions, which become those of the single-condition covariances;
        ``singletons_1..D`` if None.

    Returns
    -------
    dict of str to array
        ``identity`` (independent effects), one covariance per condition (an effect there only),
        ``equal_effects`` and ``simple_het_1..3`` (correlation 0.25, 0.5, 0.75), each [D, D].

    Raises
    ------
    MashError
        If the names are not D distinct names, or one of them is taken by another covariance.
    """
    n_conditions = whole(n_conditions, "n_conditions", 1)
    eye = np.eye(n_conditions)
    ones = np.ones((n_conditions, n_conditions))
    if names is None:
        names = [f"singletons_{d + 1}" for d in range(n_conditions)]
    covariances = {"identity": eye}
    covariances |= {name: np.diag(row) for name, row in zip(names, eye, strict=False)}
    covariances["equal_effects"] = ones
    for i, correlation in enumerate((0.25, 0.5, 0.75), start=1):
        covariances[f"simple_het_{i}"] = correlation * ones + (1 - correlation) * eye
    if len(names) != n_conditions or len(covariances) != n_conditions + 5:
        raise MashError(
            f"{n_conditions} conditions need as many distinct names, none of them identity, "
            f"equal_effects or simple_het_1..3; found {first_few(names)}"
        )
    return covariances


def cov_time(n_days: int, own_share: float = OWN_SHARE) -> dict[str, Array]:
    r"""Prior covariances for effects over ordered days, beside the canonical ones.

    With the days 0..D-1 and k the day of a change, 1 <= k < D, an effect of size b ~ N(0, 1) is about

    - ``sustained``: b on all days;
    - ``early_k``: b on the first k days, and 0 later; ``late_k``: b from day k on, and 0 before;
    - ``transient_j_k``: b from day j to day k, two or more, and 0 on the first and the last day;
    - ``sign_switch_k``: b before day k, and -b from then on;
    - ``ramp_up``, ``ramp_down``: b times a straight line, to 1 on the last day or from 1 on the first,
      that would reach 0 one day outside.

    About: `own_share` of the variance on a day is that day's own (`RAMP_FACTOR` times as much for ramps,
    which are rarely exact), and days of effect 0 stay at 0. Of an effect of exactly one shape the strong days
    would prove the weak ones, and small lfsr would be wrong too often. Of more than one size are

    - ``switch_k``: about one level before day k, about another one, independent, from then on;
    - ``random_walk``: the sum of independent steps, :math:`\mathrm{cov}(i, j) = \min(i, j) + 1`.

    Days count as equally spaced. What `cov_canonical` has already (a single day, all days alike, all
    days independent) is left out.

    Parameters
    ----------
    n_days
        Number of days D, in time order, >= 1.
    own_share
        See above.

    Returns
    -------
    dict of str to array
        Covariances [D, D]; empty for a single day.
    """
    day = np.arange(_days(n_days, own_share))
    if n_days < 2:
        return {}
    ramp = (day + 1) / n_days
    lines: dict[str, NDArray[Any]] = {"sustained": day >= 0}
    lines |= {f"early_{k}": day < k for k in range(2, n_days)}
    lines |= {f"late_{k}": day >= k for k in range(1, n_days - 1)}
    lines |= {f"sign_switch_{k}": np.where(day < k, 1, -1) for k in range(1, n_days)}
    inner = combinations(range(1, n_days - 1), 2)
    lines |= {f"transient_{j}_{k}": (day >= j) & (day <= k) for j, k in inner}
    covariances = {name: _about(line, own_share) for name, line in lines.items()}
    covariances["ramp_up"] = _about(ramp, RAMP_FACTOR * own_share)
    covariances["ramp_down"] = _about(ramp[::-1], RAMP_FACTOR * own_share)
    if n_days > 2:
        for k in range(1, n_days):
            levels = np.equal.outer(day < k, day < k).astype(float)
            covariances[f"switch_{k}"] = (1 - own_share) * levels + own_share * np.eye(n_days)
    covariances["random_walk"] = np.minimum.outer(day, day) + 1.0
    return covariances


def cov_onset(n_days: int, own_share: float = OWN_SHARE) -> dict[str, Array]:
    """Prior covariances for effects that set in or fade, exactly 0 before or after.

    With k the day of a change, 1 <= k < D - 1:

    - ``late_walk_k``, ``late_ramp_k``: 0 before day k, from then on a random walk, or a straight line up
      to the last day;
    - ``early_walk_k``, ``early_ramp_k``: their mirror images, which end k days before the last one;
    - ``walk_back``: a random walk read backwards.

    Without them a gene whose effect sets in late looks like one whose effect was small at first, because
    walks and ramps of `cov_time` have no day of effect 0.

    Parameters
    ----------
    n_days
        Number of days D, in time order, >= 1.
    own_share
        As in `cov_time`.

    Returns
    -------
    dict of str to array
        Covariances [D, D]; empty for fewer than three days.
    """
    day = np.arange(_days(n_days, own_share))
    covariances: dict[str, Array] = {}
    for k in range(1, n_days - 1):
        since = np.clip(day - k + 1, 0, None).astype(float)  # [D]
        shapes = {
            "walk": np.minimum.outer(since, since),
            "ramp": _about(since / since[-1], RAMP_FACTOR * own_share),
        }
        covariances |= {f"late_{name}_{k}": shape for name, shape in shapes.items()}
        covariances |= {f"early_{name}_{k}": shape[::-1, ::-1] for name, shape in shapes.items()}
    if covariances:
        covariances["walk_back"] = (np.minimum.outer(day, day) + 1.0)[::-1, ::-1]
    return covariances


def _days(n_days: int, own_share: float) -> int:
    """The number of days, once it and the share are known to be usable."""
    if not 0 <= own_share <= 1 / RAMP_FACTOR:
        raise MashError(f"own_share must be from 0 to {1 / RAMP_FACTOR}; found {own_share}")
    return whole(n_days, "n_days", 1)


def _about(line: NDArray[Any], own_share: float) -> Array:
    """Covariance of effects along a line [D] up to a share of each day's variance that is its own."""
    square = np.outer(line, line).astype(float)
    return (1 - own_share) * square + own_share * np.diag(np.diag(square))


def stacked(covariances: Mapping[str, ArrayLike], n_conditions: int, *, normalise: bool) -> Array:
    """Check the prior covariances; if asked to, divide each by its largest diagonal entry.

    Returns
    -------
    array
        The K covariances [K, D, D] in the order of the mapping.

    Raises
    ------
    MashError
        If there are none, or one is not a non-zero covariance of D conditions.
    """
    if not isinstance(covariances, Mapping) or not covariances:
        raise MashError("mash needs at least one prior covariance, by its name; found none")
    stack = np.empty((len(covariances), n_conditions, n_conditions))
    for k, (name, matrix) in enumerate(covariances.items()):
        matrix = numbers(matrix, f"the prior covariance {name!r}")
        if matrix.shape != (n_conditions, n_conditions) or not np.isfinite(matrix).all():
            raise MashError(
                f"the prior covariance {name!r} must be {n_conditions} x {n_conditions} finite "
                f"numbers; found the shape {matrix.shape}"
            )
        largest = np.diag(matrix).max()
        if largest <= 0 or not np.allclose(matrix, matrix.T, atol=1e-8 * largest):
            raise MashError(f"the prior covariance {name!r} must be symmetric and have a positive variance")
        stack[k] = (matrix + matrix.T) / (2 * largest if normalise else 2)
        smallest = np.linalg.eigvalsh(matrix)[0] / largest
        if smallest < -1e-8:
            raise MashError(
                f"the prior covariance {name!r} has a negative eigenvalue ({smallest:.3g} of its "
                "largest variance)"
            )
    return stack


def autoselect_grid(data: MashData, gridmult: float = 2**0.5) -> Array:
    """Grid of prior standard deviations that spans the effects the data can show.

    From a tenth of the smallest standard error to twice the largest ``sqrt(betahat^2 - se^2)``
    (or 0.8 standard errors, if no estimate exceeds its own), as in mashr and ashr.

    Parameters
    ----------
    data
        The data; missing cells, with their large standard error, play no part.
    gridmult
        Ratio of neighbouring grid points, > 1.

    Returns
    -------
    array
        The grid [G], ascending.

    Raises
    ------
    MashError
        If `gridmult` is not above 1.
    """
    need_data(data)
    if not gridmult > 1:
        raise MashError(f"gridmult must be > 1; found {gridmult}")
    return scale_grid(data.betahat, data.se, gridmult)


def scale_grid(betahat: Array, se: Array, ratio: float) -> Array:
    """Grid [G] of `autoselect_grid` for estimates and standard errors of any shape."""
    smallest = se.min() / 10
    excess = (betahat**2 - se**2).max()  # an estimate of the largest squared effect
    largest = 2 * np.sqrt(excess) if excess > 0 else 8 * smallest
    steps = int(np.ceil(np.log2(largest / smallest) / np.log2(ratio)))
    # with a tiny excess `largest` is the smaller end, and the grid goes up from it
    exponents = np.arange(min(-steps, 0), max(-steps, 0) + 1)
    return largest * ratio ** exponents.astype(float)

"""Stage ``fit_mash``: mash on a day-wise table, with the built-in engine.

Both engines write the same two files: the table with posterior columns, and the fitted mixture in
JSON. The mixture is enough to compute any other posterior quantity later (``prob_large_table``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fatewalk import __version__, mash
from fatewalk.config import MashConfig
from fatewalk.errors import FatewalkError
from fatewalk.tables import count_days, day_columns

SIGNIFICANT_LFSR = 0.05
TIE = 1e-9  # days whose lfsr differs by less, relatively, differ by rounding only


def fit_mash_table(
    table: pd.DataFrame, config: MashConfig, where: str
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Shrink a day-wise table, conservative mode.

    Parameters
    ----------
    table
        gene_daywise_for_mash.csv or guide_daywise_for_mash.csv; empty betahat and se are missing.
    config
        Section ``mash``.
    where
        Name of the table, for messages.

    Returns
    -------
    table : pandas.DataFrame
        All columns of the input, then postmean_d*, postsd_d*, lfsr_d*, lfsr_min, best_day.
    mixture : dict
        Fitted mixture and settings, the content of the JSON file.

    Raises
    ------
    FatewalkError
        If days are left out or values are not usable.
    """
    n_days = count_days(table, where)
    names = [f"betahat_d{day}" for day in range(n_days)]
    notes = []
    correlation = np.eye(n_days)
    if config.null_correlation == "simple":
        null = mash.estimate_null_correlation_simple(
            _data(table, n_days, config.se_inflate, config.se_floor), config.null_z
        )
        notes += [null.note] if null.note else []
        correlation = mash.regularise_correlation(
            null.correlation, eigenvalue_floor=config.eigen_floor, shrinkage=config.corr_shrink
        )
    data = _data(table, n_days, config.se_inflate, config.se_floor, correlation)
    fit = mash.fit_mash(data, mash.cov_canonical(n_days, names), null_weight=config.null_weight)
    found = mash.posterior(fit, data)
    lfsr = np.where(data.missing, np.nan, found.lfsr)
    shrunk = _posterior_columns(data.missing, found.mean, found.sd, lfsr)
    mixture = {
        "engine": "python",
        "mode": "conservative",
        "versions": {"fatewalk": __version__},
        "n_rows": data.n_rows,
        "n_significant": int((lfsr < SIGNIFICANT_LFSR).any(axis=1).sum()),
        "se_inflate": config.se_inflate,
        "se_floor": config.se_floor,
        "error_correlation": correlation,
        "covariances": dict(zip(fit.covariance_names, fit.covariances, strict=True)),
        "grid": fit.grid,
        "pi": dict(zip(fit.component_names, fit.pi, strict=True)),
        "loglik": fit.loglik,
        "kkt_gap": fit.kkt_gap,
        "notes": notes,
    }
    return pd.concat([table, shrunk], axis=1), mixture


def prob_large_table(table: pd.DataFrame, mixture: dict[str, Any], eps: float) -> np.ndarray:
    """P(|effect| > eps) of every row and day, from the fitted mixture.

    Parameters
    ----------
    table
        The table that the mixture was fitted to (its betahat and se columns).
    mixture
        Content of the JSON file, of either engine.
    eps
        Threshold in logit.

    Returns
    -------
    array [n, D]
        The atom at zero counts as not large.

    Raises
    ------
    FatewalkError
        If the mixture has other days than the table, or lacks an entry.
    """
    n_days = count_days(table, "mash table")
    try:
        names = tuple(mixture["covariances"])
        prior = mash.MashPrior(
            covariance_names=names,
            covariances=np.array([mixture["covariances"][name] for name in names], dtype=float),
            grid=np.atleast_1d(np.array(mixture["grid"], dtype=float)),
            point_mass="null" in mixture["pi"],
            pi=np.array(list(mixture["pi"].values()), dtype=float),
        )
        se_inflate, se_floor = float(mixture["se_inflate"]), float(mixture["se_floor"])
        correlation = np.array(mixture["error_correlation"], dtype=float)
    except KeyError as error:
        raise FatewalkError(f"the mash mixture (JSON) lacks the entry {error}; run mash again") from error
    if list(mixture["pi"]) != list(prior.component_names):
        raise FatewalkError("the mash mixture (JSON) names other components than its grid; run mash again")
    return mash.prob_large(prior, _data(table, n_days, se_inflate, se_floor, correlation), eps)


def _data(
    table: pd.DataFrame,
    n_days: int,
    se_inflate: float,
    se_floor: float,
    correlation: np.ndarray | None = None,
) -> mash.MashData:
    """Betahat and se of a day-wise table."""
    return mash.set_data(
        table[day_columns("betahat", n_days)].to_numpy(dtype=float),
        table[day_columns("se", n_days)].to_numpy(dtype=float),
        error_correlation=correlation,
        se_inflate=se_inflate,
        se_floor=se_floor,
    )


def _posterior_columns(
    missing: np.ndarray, mean: np.ndarray, sd: np.ndarray, lfsr: np.ndarray
) -> pd.DataFrame:
    """Posterior columns; a missing cell stays missing, also where other days would inform it."""
    n_days = missing.shape[1]
    blocks = {"postmean": mean, "postsd": sd, "lfsr": lfsr}
    frames = [
        pd.DataFrame(np.where(missing, np.nan, values), columns=day_columns(stem, n_days))
        for stem, values in blocks.items()
    ]
    seen = np.logical_not(missing.all(axis=1))
    filled = np.where(np.isnan(lfsr), np.inf, lfsr)  # [n, D]
    smallest = filled.min(axis=1)
    best = (filled <= smallest[:, None] * (1 + TIE)).argmax(axis=1)  # the first of tied days
    last = pd.DataFrame(
        {
            "lfsr_min": np.where(seen, smallest, np.nan),
            "best_day": [f"d{day}" if ok else None for day, ok in zip(best, seen, strict=True)],
        }
    )
    return pd.concat([*frames, last], axis=1)

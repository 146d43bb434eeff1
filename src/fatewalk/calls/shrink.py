"""mash on a day-wise table, with the built-in engine.

Two kinds of tables are shrunk. The posterior tables (``*_daywise_for_mash.csv``) go through the same
model as R's script, mode by mode, so that the engines can be compared. The likelihood-only tables
(``*_daywise_likelihood.csv``) are unshrunk and come with an error covariance per row, as mash
assumes. Either way two files result, the table with posterior columns and the fitted mixture in
JSON; what else the calls need is computed from the same fit (`fatewalk.calls.sources`).
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from fatewalk import __version__, mash
from fatewalk.calls.checks import refuse_unknown
from fatewalk.core.daywise import Daywise
from fatewalk.core.errors import FatewalkError
from fatewalk.core.schema import Estimand, day_columns, day_names

if TYPE_CHECKING:  # a stage that reads and writes tables needs no config models
    from collections.abc import Iterator, Mapping

    from fatewalk.config import MashConfig

SIGNIFICANT_LFSR = 0.05
FEWEST_ROWS = 1000  # of a table that covariances are learned from
NEGLIGIBLE = 1e-6  # weight of all effects together
TIE = 1e-9  # days whose lfsr differs by less, relatively, differ by rounding only

Mode = Literal["conservative", "enriched"]


@dataclass(frozen=True)
class MashResult:
    """mash on a table of n rows.

    Attributes
    ----------
    table
        All columns of the input, then postmean_d*, postsd_d*, lfsr_d*, lfsr_min, best_day.
    mixture
        Fitted mixture and settings, the content of the JSON file.
    prior, data
        The mixture and what it was fitted to, for further posterior quantities.
    posterior
        Of every effect, also where the table leaves it empty.
    """

    table: pd.DataFrame
    mixture: dict[str, Any]
    prior: mash.MashPrior
    data: mash.MashData
    posterior: mash.MashPosterior


def fit_mash_table(table: pd.DataFrame, config: MashConfig, mode: Mode, where: str) -> MashResult:
    """Shrink a posterior table.

    Parameters
    ----------
    table
        gene_daywise_for_mash.csv or guide_daywise_for_mash.csv; empty betahat and se are missing.
    config
        Section ``mash``.
    mode
        conservative: canonical covariances, null-biased prior of the weights; enriched: covariances
        for time and of the data as well (`further_covariances`), uniform prior.
    where
        Name of the table, for messages.

    Raises
    ------
    FatewalkError
        If days are left out or values are not usable.
    """
    data = _data(table, where, config.se_inflate, config.se_floor)
    notes = []
    if config.null_correlation == "simple":
        null = mash.estimate_null_correlation_simple(data, config.null_z)
        notes += [null.note] if null.note else []
        with _noted(notes):
            regular = mash.regularise_correlation(
                null.correlation, eigenvalue_floor=config.eigen_floor, shrinkage=config.corr_shrink
            )
        data = data.with_correlation(regular)
    covariances = mash.cov_canonical(data.n_conditions, day_columns("betahat", data.n_conditions))
    if mode == "enriched":
        more, note = further_covariances(data, config)
        covariances |= more
        notes += note
    fit = mash.fit_mash(
        data,
        covariances,
        prior="uniform" if mode == "enriched" else "nullbiased",
        null_weight=config.null_weight,
    )
    settings = {"mode": mode, "error_correlation": data.error_correlation}
    return _results(table, data, fit, config, settings | {"notes": notes})


def fit_mash_likelihood(
    table: pd.DataFrame,
    errors: Mapping[str, np.ndarray],
    config: MashConfig,
    where: str,
    estimand: Estimand = "library",
    time: bool = True,
) -> MashResult:
    """Shrink a likelihood-only table, with the error covariance of each row.

    Parameters
    ----------
    table
        gene_daywise_likelihood.csv or guide_daywise_likelihood.csv; empty betahat and se are missing.
    errors
        Arrays of mash_error_covariance.npz; for estimand population also replicate_variance [L, D] of the
        contrast (evidence.npz).
    config
        Section ``mash``.
    where
        Name of the table, for messages.
    estimand
        library: the mean effect of the library's guides; gene: guide sampling is one more error;
        population: differences between replicates are one more.
    time
        Use covariances for effects over time, too.

    Returns
    -------
    MashResult
        With se_d* of the estimand.

    Raises
    ------
    FatewalkError
        If days are left out, values are not usable, rows have no covariance, or the variance of guide
        sampling is not known.
    """
    covariance = _row_covariances(table, errors, where, estimand)  # [n, D, D]
    sd = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    if estimand != "library":
        known = np.isfinite(Daywise.of(table, where, ["se"])["se"])
        table = table.assign(**Daywise({"se": np.where(known, sd, np.nan)}).table())
    correlation = covariance / sd[:, :, None] / sd[:, None, :]
    data = _data(table, where, config.se_inflate, config.se_floor, correlation)
    covariances = mash.cov_canonical(data.n_conditions, day_columns("betahat", data.n_conditions))
    more, notes = further_covariances(data, config, time)
    fit = mash.fit_mash(data, covariances | more, null_weight=config.null_weight)
    settings = {
        "mode": "likelihood",
        "estimand": estimand,
        "error_correlation": "one per row, mash_error_covariance.npz",
    }
    return _results(table, data, fit, config, settings | {"notes": notes})


def _row_covariances(
    table: pd.DataFrame, errors: Mapping[str, np.ndarray], where: str, estimand: Estimand
) -> np.ndarray:
    """Error covariance of every row [n, D, D]."""
    level = "guide" if "guide" in table else "gene"
    place = pd.Index(errors[f"{level}s"]).get_indexer(table[level])
    if (place < 0).any():
        raise FatewalkError(
            f"{where}: {level} {table[level][place < 0].iloc[0]!r} has no covariance in "
            "mash_error_covariance.npz; run export_effects again"
        )
    covariance = errors[level][place]
    if estimand == "library":
        return covariance
    sampling = errors["guide_sampling"][place]  # [n]
    if estimand == "gene":
        refuse_unknown(sampling)
        return covariance + sampling[:, None, None]
    own = errors["replicate_variance"][place][:, :, None] * np.eye(covariance.shape[1])  # [n, D, D]
    return covariance + np.nan_to_num(sampling)[:, None, None] + own


def further_covariances(
    data: mash.MashData, config: MashConfig, time: bool = True
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Covariances beside the canonical ones: for time, and learned from the strong rows.

    Returns
    -------
    covariances : dict of str to array
        `fatewalk.mash.cov_time` with `time`; then ED_* from `fatewalk.mash.cov_ed`, unless the table
        has too few rows, too few strong rows, or fewer than three days.
    notes : list of str
        Why there are no learned ones, or how far they are learned.
    """
    given = mash.cov_time(data.n_conditions) if time else {}
    if data.n_rows < FEWEST_ROWS:
        return given, [
            f"no covariances were learned from the data: {data.n_rows} rows, fewer than {FEWEST_ROWS}"
        ]
    strong = mash.get_significant_results(mash.mash_1by1(data).lfsr, config.strong_lfsr)
    n_pcs = min(config.n_pcs, data.n_conditions - 1, len(strong))
    if len(strong) < config.min_strong or n_pcs < 2:
        return given, [
            f"no covariances were learned from the data: {len(strong)} rows with lfsr < "
            f"{config.strong_lfsr:g} (mash.min_strong is {config.min_strong}), {data.n_conditions} days"
        ]
    start = mash.cov_pca(data, n_pcs, strong)
    notes: list[str] = []
    with _noted(notes):
        learned = mash.cov_ed(data, start, strong)
    return given | dict(learned.covariances), notes


@contextmanager
def _noted(notes: list[str]) -> Iterator[None]:
    """Put what mash warns of among the notes."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        yield
    notes += [str(warning.message) for warning in said]


def read_mash_of_r(
    table: pd.DataFrame, mixture: Mapping[str, Any], where: str
) -> tuple[mash.MashPrior, mash.MashData]:
    """The mixture that R fitted to a posterior table, and its data.

    Parameters
    ----------
    table
        The shrunken table.
    mixture
        Content of its JSON file.
    where
        Name of the table, for messages.

    Raises
    ------
    FatewalkError
        If the mixture lacks an entry, or its components do not fit its grid.
    """
    try:
        names = tuple(mixture["covariances"])
        prior = mash.MashPrior(
            covariance_names=names,
            covariances=np.array([mixture["covariances"][name] for name in names], dtype=float),
            grid=np.atleast_1d(np.array(mixture["grid"], dtype=float)),
            point_mass="null" in mixture["pi"],
            pi=np.array(list(mixture["pi"].values()), dtype=float),
        )
        correlation = np.array(mixture["error_correlation"], dtype=float)
        data = _data(table, where, float(mixture["se_inflate"]), float(mixture["se_floor"]), correlation)
    except KeyError as error:
        raise FatewalkError(f"the mash mixture (JSON) lacks the entry {error}; run mash again") from error
    if list(mixture["pi"]) != list(prior.component_names):
        raise FatewalkError("the mash mixture (JSON) names other components than its grid; run mash again")
    return prior, data


def _data(
    table: pd.DataFrame,
    where: str,
    se_inflate: float,
    se_floor: float,
    correlation: np.ndarray | None = None,
) -> mash.MashData:
    """Betahat and se of a day-wise table."""
    found = Daywise.of(table, where, ["betahat", "se"])
    return mash.set_data(
        found["betahat"].astype(float),
        found["se"].astype(float),
        error_correlation=correlation,
        se_inflate=se_inflate,
        se_floor=se_floor,
    )


def _results(
    table: pd.DataFrame,
    data: mash.MashData,
    fit: mash.MashFit,
    config: MashConfig,
    settings: Mapping[str, Any],
) -> MashResult:
    """Add the posterior to the table, and tell the fit."""
    found = mash.posterior(fit, data)
    # a missing cell stays missing, also where other days inform it
    shrunk = {
        stem: np.where(data.missing, np.nan, values)
        for stem, values in {"postmean": found.mean, "postsd": found.sd, "lfsr": found.lfsr}.items()
    }
    if fit.point_mass and fit.pi[0] > 1 - NEGLIGIBLE:
        settings["notes"].append(
            "the mixture has all its weight on no effect: every effect is shrunk to 0, every lfsr is 1"
        )
    mixture = {
        "engine": "python",
        "versions": {"fatewalk": __version__},
        "n_rows": data.n_rows,
        "n_significant": int((shrunk["lfsr"] < SIGNIFICANT_LFSR).any(axis=1).sum()),
        "se_inflate": config.se_inflate,
        "se_floor": config.se_floor,
        **settings,
        "covariances": dict(zip(fit.covariance_names, fit.covariances, strict=True)),
        "grid": fit.grid,
        "pi": dict(zip(fit.component_names, fit.pi, strict=True)),
        "loglik": fit.loglik,
        "kkt_gap": fit.kkt_gap,
    }
    columns = Daywise(shrunk | _best_day(shrunk["lfsr"]))
    return MashResult(pd.concat([table, columns.table()], axis=1), mixture, fit, data, found)


def _best_day(lfsr: np.ndarray) -> dict[str, np.ndarray]:
    """Columns lfsr_min and best_day from lfsr [n, D]; empty for a row without an observed day."""
    filled = np.where(np.isnan(lfsr), np.inf, lfsr)
    smallest = filled.min(axis=1)
    seen = np.isfinite(smallest)
    days = np.array(day_names(lfsr.shape[1]), dtype=object)
    best = days[(filled <= smallest[:, None] * (1 + TIE)).argmax(axis=1)]  # the first of tied days
    best[~seen] = None
    return {"lfsr_min": np.where(seen, smallest, np.nan), "best_day": best}

"""Truth against calls and estimates, for simulated screens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fatewalk.core.daywise import ACTIVE_DAYS, Daywise, active_matrix
from fatewalk.core.errors import FatewalkError, first_few, quoted
from fatewalk.core.marks import marks_of
from fatewalk.core.schema import TRUTH_THETA, Estimand, day_names
from fatewalk.core.tables import as_bool, require_columns

if TYPE_CHECKING:  # a stage that reads and writes tables needs no config models
    from collections.abc import Mapping

    from fatewalk.config.sections import CallsConfig

ZERO = 1e-12
"""Effects (logit) closer to zero than this are null; differences of logits leave rounding errors."""

LATER_KEYS = ("rule", "fdr", "fdr_prob_large_min")
"""Keys of section ``calls`` that pred_call_summary.json does not have: its entries are agreed on."""

COLUMN: dict[Estimand, str] = {"library": "theta", "gene": "theta_gene", "population": "theta_gene"}
Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]


def truth_for_contrast(
    truth_theta: pd.DataFrame, contrast: str, reference: str, estimand: Estimand = "library"
) -> pd.DataFrame:
    """True effects on one contrast, against any reference.

    The truth is given against the simulator's first fate, whose own effects are zero and not in
    the table; against another reference it is the difference ``theta_contrast - theta_reference``.

    Parameters
    ----------
    truth_theta
        truth_theta.csv: gene, fate, day (index), theta, theta_gene.
    contrast, reference
        Fates. One of them may be absent from the table: it is then the simulator's first fate.
    estimand
        library (mean over the library's guides), or gene and population (the gene's own effect).

    Returns
    -------
    pandas.DataFrame
        Logits, genes (index, by first appearance) x d0.. (columns).

    Raises
    ------
    FatewalkError
        If a column is missing, the fates are the same or both unknown, days are not 0, 1, ..., or
        a value is missing or repeated.
    """
    where = "truth_theta table"
    require_columns(truth_theta, TRUTH_THETA, where)
    known = truth_theta["fate"].unique()
    unknown = [fate for fate in (contrast, reference) if fate not in known]
    if contrast == reference or len(unknown) == 2:
        raise FatewalkError(
            f"{where}: cannot give {contrast!r} against {reference!r}; found fates {quoted(known, 12)} "
            "against the simulator's first fate. Name two different fates of the simulation"
        )
    days = sorted(truth_theta["day"].unique())
    if days != list(range(len(days))):
        raise FatewalkError(f"{where}: column day: found {first_few(days)}; needed: 0, 1, ... without gaps")
    repeated = truth_theta.duplicated(["gene", "fate", "day"])
    if repeated.any():
        genes = truth_theta.loc[repeated, "gene"].unique()
        raise FatewalkError(f"{where}: gene {quoted(genes)} has two rows for one fate and day; keep one")
    genes = truth_theta["gene"].unique()
    values = truth_theta.set_index(["fate", "gene", "day"])[COLUMN[estimand]]
    effects = np.zeros((len(genes), len(days)))  # [L, D]
    for side, fate in ((1.0, contrast), (-1.0, reference)):
        if fate in known:
            wanted = pd.MultiIndex.from_product([[fate], genes, days])
            effects += side * values.reindex(wanted).to_numpy(float).reshape(effects.shape)
    missing = np.isnan(effects).any(axis=1)
    if missing.any():
        raise FatewalkError(
            f"{where}: {COLUMN[estimand]} is missing for gene {quoted(genes[missing])}; every gene, fate "
            "and day needs a value. Simulate again"
        )
    index = pd.Index(genes, name="gene")
    return pd.DataFrame(effects, index=index, columns=day_names(len(days)))


def daywise_confusion(hits: pd.DataFrame, truth: pd.DataFrame, eps: float) -> pd.DataFrame:
    """Count right and wrong calls by day.

    A gene-day is truly active if ``|theta| >= eps`` and theta is not zero; signs are not compared
    (`call_summary` counts calls with the wrong sign). Unobserved gene-days (no lfsr) cannot be
    called either way and are left out of every row; so are genes of the truth that are not in
    `hits`. `call_summary` counts them.

    Parameters
    ----------
    hits
        hits_ranked.csv.
    truth
        Genes x d0.., from `truth_for_contrast`.
    eps
        Smallest effect of interest, logit.

    Returns
    -------
    pandas.DataFrame
        daywise_confusion.csv: day, tp, fp, fn, tn, precision, recall, f1, fpr, marks. Rows d0.., overall
        (their sum) and any (genes: active in truth on any observed day against hit_anyday; genes
        without an observed day are left out). A ratio whose denominator is zero is missing.

    Raises
    ------
    FatewalkError
        If a column is missing, a gene has no truth, or the days differ.
    """
    observed, called, active = _calls_and_truth(hits, truth, eps)  # [n, D] each
    hit = as_bool(hits["hit_anyday"], "hits_ranked table")  # [n]
    by_day = _count(called, active, observed)  # [4, D]
    any_day = _count(hit, np.array((active & observed).any(axis=1)), np.array(observed.any(axis=1)))  # [4]
    counts = np.column_stack([by_day, by_day.sum(axis=1), any_day])  # [4, D + 2]
    table = pd.DataFrame(counts.T, columns=["tp", "fp", "fn", "tn"])
    table.insert(0, "day", [*truth.columns, "overall", "any"])
    tp, fp, fn, tn = (table[name].astype(float) for name in ("tp", "fp", "fn", "tn"))
    return table.assign(  # 0 / 0 is missing in pandas, and no other numerator meets a zero here
        precision=tp / (tp + fp),
        recall=tp / (tp + fn),
        f1=2 * tp / (2 * tp + fp + fn),
        fpr=fp / (fp + tn),
        **marks_of(hits),
    )


def recovery_by_day(gene_table: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Compare the estimates with the truth, day by day, over the observed gene-days.

    Parameters
    ----------
    gene_table
        gene_daywise_for_mash.csv.
    truth
        Genes x d0.., from `truth_for_contrast`.

    Returns
    -------
    pandas.DataFrame
        recovery_by_day.csv, rows d0.. and overall: day, n (observed gene-days), rmse (logit),
        bias_null (mean of betahat over the gene-days whose truth is zero, logit), sd_z_null (SD of
        betahat / se over them; 1 if the standard errors are right and nothing is shrunk),
        coverage95 (share of intervals betahat +- 1.96 se that hold the truth), n_null, and
        correlation (Pearson, with the truth). What cannot be computed is missing.

    Raises
    ------
    FatewalkError
        If a column is missing, a gene has no truth, the days differ, or a standard error is not
        positive.
    """
    where = "gene_daywise_for_mash table"
    found = Daywise.of(gene_table, where, ["betahat", "se"], ["gene"])
    truth_of_genes = _truth_of(found["gene"], truth, found.n_days, where)
    cells = pd.DataFrame(
        {
            "day": np.tile(day_names(found.n_days), len(found)),
            "betahat": found["betahat"].ravel(),
            "se": found["se"].ravel(),
            "truth": truth_of_genes.ravel(),
        }
    )
    if (found["se"] <= 0).any():
        genes = found["gene"][(found["se"] <= 0).any(axis=1)]
        raise FatewalkError(f"{where}: a standard error is not positive: gene {quoted(genes)}; fit again")
    seen = cells.dropna()
    rows = {day: seen[seen["day"] == day] for day in truth.columns} | {"overall": seen}
    table = pd.DataFrame([{"day": day, **_recovery(part)} for day, part in rows.items()])
    return table.assign(**found.marks)


def call_summary(hits: pd.DataFrame, truth: pd.DataFrame, calls: CallsConfig) -> dict[str, Any]:
    """Summarise calls against truth, with what was left out.

    Parameters
    ----------
    hits
        hits_ranked.csv.
    truth
        Genes x d0.., from `truth_for_contrast`.
    calls
        Thresholds that made `hits`.

    Returns
    -------
    dict
        pred_call_summary.json: the section calls; n_genes, n_days, n_hits, n_active_gene_days;
        n_wrong_sign (called, truly active gene-days whose posterior mean has the other sign); the
        counts of `daywise_confusion` overall, any and by_day; left_out (unobserved gene-days, how
        many of them are truly active, genes without an observed day, genes of the truth that are
        not in the table); and the marks of `hits`.

    Raises
    ------
    FatewalkError
        As `daywise_confusion`.
    """
    eps = calls.effect_size_eps
    confusion = daywise_confusion(hits, truth, eps)
    observed, called, active = _calls_and_truth(hits, truth, eps)  # [n, D] each
    theta = truth.loc[hits["gene"]].to_numpy()  # [n, D]
    opposite = Daywise.of(hits, "hits_ranked table", ["postmean"])["postmean"] * theta < 0
    counts = {
        str(row["day"]): {str(name): value for name, value in row.items() if name != "day"}
        for row in confusion.to_dict("records")
    }
    overall, any_day = counts.pop("overall"), counts.pop("any")
    return {
        **{key: value for key, value in vars(calls).items() if key not in LATER_KEYS},
        "min_active_days": 1,  # was a key of the config: the file keeps its entries
        "n_genes": len(hits),
        "n_days": truth.shape[1],
        "n_hits": int(as_bool(hits["hit_anyday"], "hits_ranked table").sum()),
        "n_active_gene_days": int(called.sum()),
        "n_wrong_sign": int((called & active & opposite).sum()),
        "overall": overall,
        "any": any_day,
        "by_day": counts,
        "left_out": {
            "gene_days_unobserved": int((~observed).sum()),
            "gene_days_unobserved_truly_active": int((~observed & active).sum()),
            "genes_without_observed_day": int((~observed).all(axis=1).sum()),
            "genes_of_truth_not_in_table": int((~truth.index.isin(hits["gene"])).sum()),
        },
        **marks_of(hits),
    }


def ablation_table(
    confusions: Mapping[tuple[str, str], pd.DataFrame],
    recoveries: Mapping[tuple[str, str], pd.DataFrame],
    offsets: Mapping[tuple[str, str], pd.DataFrame],
) -> pd.DataFrame:
    """Two runs (centred and uncentred) on the same simulated screens, side by side.

    Parameters
    ----------
    confusions, recoveries, offsets
        daywise_confusion.csv, recovery_by_day.csv and qc_theta_beta_offset_by_gene.csv by
        (dataset, run): the same keys, two runs on every dataset. A dataset is one screen (seed).

    Returns
    -------
    pandas.DataFrame
        Columns kind, dataset, run, day (d0.., overall, any), fp, fn, tp, rmse (missing for any),
        and offset: mean over genes of |mean(beta) - theta|, in logit, which belongs to the run and
        stands in the row "overall". Kinds of row: "screen"; "mean" (over screens, by run);
        "difference" (mean over screens of second minus first run, paired by screen; the first run
        is that of the first key of `confusions`) and "difference_se" (its standard error, missing
        with one screen). dataset is empty but for "screen".

    Raises
    ------
    FatewalkError
        If keys differ, the runs are not two on every dataset, or a column is missing.
    """
    runs = _two_runs(confusions, recoveries, offsets)
    values = ["fp", "fn", "tp", "rmse", "offset"]
    parts = []
    for (dataset, run), confusion in confusions.items():
        where = f"dataset {dataset}, run {run}"
        recovery, offset = recoveries[dataset, run], offsets[dataset, run]
        require_columns(confusion, ["day", "fp", "fn", "tp"], f"{where}: daywise_confusion table")
        require_columns(recovery, ["day", "rmse"], f"{where}: recovery_by_day table")
        require_columns(offset, ["offset_mean"], f"{where}: qc_theta_beta_offset_by_gene table")
        rmse = recovery.set_index("day")["rmse"]
        part = confusion[["day", "fp", "fn", "tp"]].assign(rmse=confusion["day"].map(rmse))
        part["offset"] = np.where(part["day"] == "overall", offset["offset_mean"].abs().mean(), np.nan)
        parts.append(part.assign(kind="screen", dataset=dataset, run=run))
    screens = pd.concat(parts, ignore_index=True)
    mean = screens.groupby(["run", "day"], sort=False)[values].mean().reset_index()
    by_run = {run: screens[screens["run"] == run].set_index(["dataset", "day"])[values] for run in runs}
    gap = (by_run[runs[1]] - by_run[runs[0]].reindex(by_run[runs[1]].index)).groupby("day", sort=False)
    contrast = f"{runs[1]} - {runs[0]}"
    blocks = [
        screens,
        mean.assign(kind="mean", dataset=""),
        gap.mean().reset_index().assign(kind="difference", dataset="", run=contrast),
        gap.sem().reset_index().assign(kind="difference_se", dataset="", run=contrast),
    ]
    return pd.concat(blocks, ignore_index=True)[["kind", "dataset", "run", "day", *values]]


def _two_runs(*tables: Mapping[tuple[str, str], pd.DataFrame]) -> list[str]:
    """The names of the two runs; refuses anything but two runs on every dataset."""
    keys = list(tables[0])
    if any(set(other) != set(keys) for other in tables[1:]):
        differing = sorted(
            {key for table in tables for key in table if not all(key in other for other in tables)}
        )
        raise FatewalkError(
            f"ablation: tables are missing for some (dataset, run): {quoted(differing)}; each needs a "
            "confusion, a recovery and an offset table"
        )
    runs = list(dict.fromkeys(run for _, run in keys))
    datasets = {dataset for dataset, _ in keys}
    if len(runs) != 2 or len(keys) != 2 * len(datasets):
        raise FatewalkError(
            f"ablation: found runs {quoted(runs) or 'none'} in {len(keys)} tables of {len(datasets)} "
            "datasets; needed: the same two runs on every dataset"
        )
    return runs


def _calls_and_truth(hits: pd.DataFrame, truth: pd.DataFrame, eps: float) -> tuple[Flags, Flags, Flags]:
    """Which gene-days [n, D] are observed, observed and called, and truly active (observed or not)."""
    where = "hits_ranked table"
    found = Daywise.of(hits, where, ["lfsr"], ["gene", "hit_anyday", ACTIVE_DAYS])
    size = np.abs(_truth_of(found["gene"], truth, found.n_days, where))  # [n, D]
    observed = ~np.isnan(found["lfsr"])
    active = (size >= eps - ZERO) & (size > ZERO)
    return observed, active_matrix(hits, found.n_days) & observed, active


def _truth_of(genes: np.ndarray, truth: pd.DataFrame, n_days: int, where: str) -> Numbers:
    """Truth [n, D] in the order of the table's genes."""
    if list(truth.columns) != day_names(n_days):
        raise FatewalkError(
            f"{where}: has {n_days} days, the truth {quoted(truth.columns, 12)}; compare a run with the "
            "truth of its own simulation"
        )
    strangers = genes[~pd.Index(genes).isin(truth.index)]
    if len(strangers):
        raise FatewalkError(
            f"{where}: gene {quoted(strangers)} is not in the truth; compare a run with the truth of "
            "its own simulation"
        )
    return truth.loc[genes].to_numpy(float)


def _count(called: Flags, active: Flags, observed: Flags) -> NDArray[np.int64]:
    """True and false positives, false and true negatives: [n, D] -> [4, D], [n] -> [4]."""
    kinds = [called & active, called & ~active, ~called & active, ~called & ~active]
    return np.array([(kind & observed).sum(axis=0) for kind in kinds])


def _recovery(part: pd.DataFrame) -> dict[str, float]:
    """Measures of a set of gene-days (betahat, se, truth); missing where undefined."""
    error = part["betahat"] - part["truth"]
    null = part[part["truth"].abs() < ZERO]
    varies = part["betahat"].std() > 0 and part["truth"].std() > 0
    return {
        "n": len(part),
        "rmse": float(np.sqrt((error**2).mean())),
        "bias_null": float(null["betahat"].mean()),
        "sd_z_null": float((null["betahat"] / null["se"]).std()),
        "coverage95": float((error.abs() <= 1.96 * part["se"]).mean()),
        "n_null": len(null),
        "correlation": float(part["betahat"].corr(part["truth"])) if varies else np.nan,
    }

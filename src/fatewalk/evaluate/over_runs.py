"""Runs of one data set side by side: what a sweep of a key changes, and what a label set does."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KEYS = ["gene", "fate", "day"]
HANGS = "hangs on one label set"
Hit = tuple[str, str]  # gene and fate, or gene and contrast where calls are by contrast


@dataclass(frozen=True)
class OneRun:
    """What is compared of a run.

    Attributes
    ----------
    hits
        ``hits.csv``, or the hits that are withheld: a certificate that fails is no difference of the calls.
    effects
        ``effects.parquet``: genes on the scale of fates.
    confusion, recovery
        ``daywise_confusion.csv`` and ``recovery_by_day.csv`` of each contrast; empty without a truth.
    """

    hits: pd.DataFrame
    effects: pd.DataFrame
    confusion: Sequence[pd.DataFrame] = ()
    recovery: Sequence[pd.DataFrame] = ()

    @cached_property
    def called(self) -> set[Hit]:
        """Gene and fate of the hits."""
        of = "fate" if "fate" in self.hits else "contrast"
        return set(zip(self.hits["gene"], self.hits[of], strict=True))

    @property
    def means(self) -> pd.Series:
        """Effects after mash by gene, fate and day, in logit."""
        return self.effects.set_index(KEYS)["mash_mean"].astype(float)


def sweep_table(
    runs: Mapping[str, OneRun], keys: Mapping[str, tuple[str, str]], first: str = "main"
) -> pd.DataFrame:
    """Hits, effects and recovery of runs, a row each, beside the first.

    Parameters
    ----------
    runs
        By name.
    keys
        The key and the value that tell a run from the first, by name; none for the first.
    first
        The run that the others are held against.

    Returns
    -------
    pandas.DataFrame
        run, key, value, hits, shared, gained, lost, effect_rms, effect_max (logit), tp, fp, fn, precision,
        recall, f1, rmse, coverage95.

    Examples
    --------
    >>> hits = pd.DataFrame({"gene": ["A", "B"], "fate": ["EC", "EC"]})
    >>> effects = pd.DataFrame({"gene": ["A"], "fate": ["EC"], "day": ["d0"], "mash_mean": [0.5]})
    >>> runs = {"main": OneRun(hits, effects), "fit.seed=2": OneRun(hits[:1], effects)}
    >>> table = sweep_table(runs, {"fit.seed=2": ("fit.seed", "2")})
    >>> table[["run", "hits", "shared", "gained", "lost"]].values.tolist()
    [['main', 2, 2, 0, 0], ['fit.seed=2', 1, 1, 0, 1]]
    """
    base = runs[first]
    rows = []
    for name, run in runs.items():
        key, value = keys.get(name, ("", ""))
        shared = len(run.called & base.called)
        moved = (run.means - base.means).dropna().to_numpy()  # by the day's label, whatever the order
        rows.append(
            {
                "run": name,
                "key": key,
                "value": value,
                "hits": len(run.called),
                "shared": shared,
                "gained": len(run.called) - shared,
                "lost": len(base.called) - shared,
                "effect_rms": _root_mean_square(moved),
                "effect_max": np.abs(moved).max() if len(moved) else np.nan,
                **_recovery(run),
            }
        )
    return pd.DataFrame(rows)


def calls_over_runs(runs: Mapping[str, OneRun]) -> pd.DataFrame:
    """Which hit is called in which runs, most often called first.

    Returns
    -------
    pandas.DataFrame
        gene, fate (or contrast), called_in (number of runs), runs (of all), not_in (their names).
    """
    every = sorted(set().union(*(run.called for run in runs.values())))
    rows = []
    for gene, fate in every:
        without = [name for name, run in runs.items() if (gene, fate) not in run.called]
        row = {"gene": gene, "fate": fate, "called_in": len(runs) - len(without), "runs": len(runs)}
        rows.append(row | {"not_in": "; ".join(without)})
    table = pd.DataFrame(rows, columns=["gene", "fate", "called_in", "runs", "not_in"])
    return table.sort_values("called_in", ascending=False, kind="stable", ignore_index=True)


def label_table(runs: Mapping[str, OneRun]) -> pd.DataFrame:
    """How far each effect is apart over label sets, and which calls hang on one of them.

    Parameters
    ----------
    runs
        By label set, all of the same cells.

    Returns
    -------
    pandas.DataFrame
        gene, fate, day, sets (that have the effect), lowest, highest, range (of the effect after mash),
        range_unshrunk, called_in, called_by (names), mark: `HANGS` on all days of a gene and fate that one of
        several label sets alone calls.

    Examples
    --------
    >>> hits = pd.DataFrame({"gene": ["A"], "fate": ["EC"]})
    >>> row = {"gene": ["A"], "fate": ["EC"], "day": ["d0"], "mash_mean": [0.5], "estimate": [0.7]}
    >>> effects = pd.DataFrame(row)
    >>> runs = {"main": OneRun(hits, effects), "seed_2": OneRun(hits[:0], effects)}
    >>> label_table(runs)[["called_in", "called_by", "mark"]].values.tolist()
    [[1, 'main', 'hangs on one label set']]
    """
    by_set = {name: run.effects.set_index(KEYS)[["mash_mean", "estimate"]] for name, run in runs.items()}
    both = pd.concat(by_set, axis=1).astype(float)  # by gene, fate and day of any set
    means, unshrunk = (
        pd.DataFrame({name: both[name, what] for name in runs}) for what in ("mash_mean", "estimate")
    )
    table = pd.DataFrame(
        {
            "sets": means.notna().sum(axis=1),
            "lowest": means.min(axis=1),
            "highest": means.max(axis=1),
            "range": means.max(axis=1) - means.min(axis=1),
            "range_unshrunk": unshrunk.max(axis=1) - unshrunk.min(axis=1),
        }
    ).reset_index()
    called = [
        [name for name, run in runs.items() if (gene, fate) in run.called]
        for gene, fate in zip(table["gene"], table["fate"], strict=True)
    ]
    table["called_in"] = [len(names) for names in called]
    table["called_by"] = ["; ".join(names) for names in called]
    table["mark"] = np.where((table["called_in"] == 1) & (len(runs) > 1), HANGS, "")
    return table


def _recovery(run: OneRun) -> dict[str, Any]:
    """Calls and estimates of all contrasts and days against the truth; missing without one."""
    names = ("tp", "fp", "fn", "precision", "recall", "f1", "rmse", "coverage95")
    if not run.confusion:
        return dict.fromkeys(names, np.nan)
    counts = [
        one.set_index("day").loc["overall", ["tp", "fp", "fn"]].to_numpy(float) for one in run.confusion
    ]
    tp, fp, fn = np.sum(counts, axis=0)
    overall = pd.DataFrame([one.set_index("day").loc["overall"] for one in run.recovery]).astype(float)
    n = overall["n"]
    return {
        "tp": int(tp),
        "fp": int(fp),
        "fn": int(fn),
        "precision": _share(tp, tp + fp),
        "recall": _share(tp, tp + fn),
        "f1": _share(2 * tp, 2 * tp + fp + fn),
        "rmse": float(np.sqrt(np.average(overall["rmse"] ** 2, weights=n))),
        "coverage95": float(np.average(overall["coverage95"], weights=n)),
    }


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else np.nan


def _root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2))) if len(values) else np.nan

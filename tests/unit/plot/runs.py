"""Runs whose tables are in memory, for figures."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fatewalk.run.files import Run
from fatewalk.run.settings import sections

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CALLS = {"effect_size_eps": 0.2, "lfsr_day": 0.05, "scale": "contrast"}


def run_of(
    tables: Mapping[str, Mapping[str, pd.DataFrame]],
    days: Sequence[str] = (),
    times: Sequence[float] = (),
    delta: Mapping[str, object] | None = None,
    truth: Mapping[str, pd.DataFrame] | None = None,
    contrasts: Sequence[str] = ("MES",),
    reference: str = "EC",
) -> Run:
    """A run that has read its files already.

    Parameters
    ----------
    tables
        By contrast and name of the file.
    days, times : [D]
        Labels and real times.
    delta
        delta_mean and delta_sd, [G] or [G, F*], and the gene of each guide.
    truth
        True effects [L, D] by contrast.
    contrasts, reference
        The first is the primary contrast.
    """
    model = {"contrast_fate": next(iter(contrasts), ""), "ref_fate": reference}
    run = Run(Path("nowhere"), list(contrasts), sections({"model": model, "calls": CALLS}))
    held = run._held
    for contrast, of_contrast in tables.items():
        for name, table in of_contrast.items():
            held["table", run.path(contrast, name)] = table
    report = [{"label": label, "time": time} for label, time in zip(days, times, strict=True)]
    held["json", run.folder / "design_report.json"] = {"days": report}
    if delta is not None:
        arrays = {name: np.asarray(values) for name, values in delta.items()}
        arrays.setdefault("guides", np.array([f"g{i}" for i in range(len(arrays["genes"]))]))
        for name in ("delta_mean", "delta_sd"):
            arrays[name] = arrays[name].reshape(len(arrays[name]), -1)
        held["arrays", run.folder / "delta_posterior_summary.npz"] = {
            **arrays,
            "contrasts": np.array(contrasts),
        }
    if truth is not None:
        held["table", run.source / "truth_theta.csv"] = pd.concat(map(in_rows, truth, truth.values()))
    return run


def tell_of_fates(run: Run, effects: pd.DataFrame, hits: pd.DataFrame, guides: pd.DataFrame) -> Run:
    """Give a run its calls by fate: rows of effects.parquet (of genes and of guides) and hits.csv."""
    run.settings.calls = SimpleNamespace(**CALLS | {"scale": "fate"})
    run._held["effects of genes by fate", run.folder / "effects.parquet"] = effects
    run._held["effects of guides by fate", run.folder / "effects.parquet"] = guides
    run._held["table", run.folder / "hits.csv"] = hits
    return run


def in_rows(contrast: str, truth: pd.DataFrame) -> pd.DataFrame:
    """Rows of truth_theta.csv."""
    table = truth.set_axis(range(truth.shape[1]), axis=1).rename_axis("gene").reset_index()
    rows = table.melt("gene", var_name="day", value_name="theta")
    return rows.assign(fate=contrast, theta_gene=rows["theta"], day=rows["day"].astype(int))

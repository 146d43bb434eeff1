"""Active gene-days of a run beside a Welch test of embryos, for screens in which an embryo has one reagent.

    python -m benchmarks.embryos RUN ../shared/realdata/zscape_crispants --out results/embryos.csv

RUN is the folder of a finished run with calls by fate. The test sees none of the model: the log odds of a
fate against all others in each embryo (half a cell added to both), condition against the controls of the day,
all of them or those of the condition's batches.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import ttest_ind

from fatewalk.core.tables import read_table, write_table

FEWEST = 3  # embryos of a side, for a test
SMALL_P = 0.05


def embryo_logits(folder: Path) -> pd.DataFrame:
    """Log odds of each fate in each embryo: embryo, day, batch, gene (NTC for controls), then the fates."""
    cells = read_table(folder / "cells.csv.gz").merge(read_table(folder / "guides.csv.gz"), on="cell_id")
    genes = read_table(folder / "guide_map.csv").set_index("guide_name")["gene_name"]
    keys = ["embryo", "hpf", "rep", "gene"]
    cells["gene"] = cells["guide"].map(genes)
    counts = cells.pivot_table(index=keys, columns="fate", values="cell_id", aggfunc="count", fill_value=0)
    rest = counts.sum(axis=1).to_numpy()[:, None] - counts.to_numpy()
    logits = np.log((counts.to_numpy() + 0.5) / (rest + 0.5))
    return pd.DataFrame(logits, index=counts.index, columns=counts.columns).reset_index()


def welch(ours: np.ndarray, controls: np.ndarray) -> tuple[float, float]:
    """Welch's t and its two-sided p; missing with fewer than `FEWEST` embryos on a side."""
    if min(len(ours), len(controls)) < FEWEST:
        return np.nan, np.nan
    found = ttest_ind(ours, controls, equal_var=False)
    return float(found.statistic), float(found.pvalue)


def tested(effects: pd.DataFrame, logits: pd.DataFrame) -> pd.DataFrame:
    """Gene-fate-days beside the tests of embryos.

    Parameters
    ----------
    effects
        Rows of effects.parquet: gene, fate, day, mash_mean, mash_sd, lfsr, plarge, prob_moved.
    logits
        From `embryo_logits`.

    Returns
    -------
    pandas.DataFrame
        The same with embryos; t, p, t_batch, p_batch: against all controls and those of the same batches;
        supported: either p below `SMALL_P` with the sign of the effect.
    """
    rows = []
    for one in effects.itertuples():
        on_day = logits[logits["hpf"].astype(str) == str(one.day)]
        ours = on_day[on_day["gene"] == one.gene]
        controls = on_day[on_day["gene"] == "NTC"]
        near = controls[controls["rep"].isin(ours["rep"])]
        fate = str(one.fate)
        t, p = welch(ours[fate].to_numpy(), controls[fate].to_numpy())
        t_batch, p_batch = welch(ours[fate].to_numpy(), near[fate].to_numpy())
        rows.append((len(ours), t, p, t_batch, p_batch))
    tests = pd.DataFrame(rows, columns=["embryos", "t", "p", "t_batch", "p_batch"])
    found = effects.reset_index(drop=True).join(tests)
    sign = np.sign(found["mash_mean"])
    of_all = (sign * found["t"] > 0) & (found["p"] < SMALL_P)
    found["supported"] = of_all | ((sign * found["t_batch"] > 0) & (found["p_batch"] < SMALL_P))
    return found


def main() -> None:
    """Write the active gene-days of hits.csv with their tests, and print how many are supported."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("data", type=Path, help="folder of the data")
    parser.add_argument("--out", type=Path, required=True, help="table")
    args = parser.parse_args()
    hits = read_table(args.run / "hits.csv")[["gene", "fate", "who_moved"]]
    effects = pd.read_parquet(args.run / "effects.parquet")
    effects = effects[(effects["scale"] == "fate") & (effects["level"] == "gene")]
    columns = ["gene", "fate", "day", "mash_mean", "mash_sd", "lfsr", "plarge", "prob_moved", "n_cells"]
    active = effects.loc[effects["called"].fillna(False).astype(bool), columns]
    table = tested(active, embryo_logits(args.data)).merge(hits, on=["gene", "fate"], how="left")
    table = table.fillna({"who_moved": "follows"})
    write_table(table, args.out)
    print(table.groupby("who_moved")["supported"].agg(["size", "sum"]).to_string())


if __name__ == "__main__":
    main()

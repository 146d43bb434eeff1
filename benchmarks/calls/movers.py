"""Who moved, told from who follows, over the screens of set movers of `benchmarks.calls.screens`.

    python -m benchmarks.calls.movers results/calls/movers --out benchmarks/calls

Letters: L genes, F fates, F* contrasts, D days.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmarks.calls.screens import evidence_arrays
from fatewalk.calls import FateCalls
from fatewalk.calls.fate_hits import LIKELY
from fatewalk.calls.fates import shrink_fates
from fatewalk.config import CallsConfig, MashConfig
from fatewalk.core.tables import write_table
from fatewalk.evaluate.recovery import ZERO

if TYPE_CHECKING:
    from collections.abc import Mapping

CALLS = CallsConfig()


def true_movers(theta: np.ndarray) -> np.ndarray:
    """Fates that moved themselves [L, F], from contrasts against the first fate [L, F*, D]."""
    return sizes(theta) > ZERO


def sizes(theta: np.ndarray) -> np.ndarray:
    """How far each fate moved itself on some day [L, F].

    Fates that did not move share one value, that of most fates: the median, if fewer than half moved.
    """
    values = np.concatenate([np.zeros_like(theta[:, :1]), theta], axis=1)  # [L, F, D]
    return np.asarray(np.abs(values - np.median(values, axis=1, keepdims=True)).max(axis=2))


def measure(screen: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Count hits of one screen, by what they are.

    Returns
    -------
    dict
        rows of hits.csv; null_rows, of genes without any effect; followers, of a fate that did not move
        itself, though one did and the row says that it is told who; untold_rows, where who moved cannot be
        told. movers_named, movers_hit: fates that moved and are named, and those with an effect on some day.
        genes with an effect that have rows, right: the fates with P(moved) > 1/2 are those that did; large,
        right_large: the same of genes whose movers all move by 1 or more.
    """
    found = shrink_fates(
        evidence_arrays(screen), "gene", "library", MashConfig().null_weight, CALLS.effect_size_eps
    )
    calls = FateCalls.of(found.by_fate, CALLS)
    truth = true_movers(screen["library"])
    acts = truth.any(axis=1)
    genes = calls.named.any(axis=1) & acts
    right = genes & ((found.by_fate.moved > LIKELY) == truth).all(axis=1)
    large = genes & (np.where(truth, sizes(screen["library"]), np.inf).min(axis=1) >= 1)
    told_rows = calls.named & calls.told[:, None]
    return {
        "rows": int(calls.named.sum()),
        "null_rows": int(calls.named[~acts].sum()),
        "followers": int((told_rows & ~truth)[acts].sum()),
        "untold_rows": int((calls.named & ~calls.told[:, None]).sum()),
        "movers_named": int((calls.named & truth).sum()),
        "movers_hit": int((calls.hit & truth).sum()),
        "genes": int(genes.sum()),
        "right": int(right.sum()),
        "large": int(large.sum()),
        "right_large": int((right & large).sum()),
    }


def measure_file(path: Path) -> dict[str, object]:
    """Measure a stored screen, with its setting."""
    with np.load(path) as arrays:
        counts = measure(dict(arrays))
    return {"setting": path.stem.rsplit(",", 1)[0], "screens": 1, **counts}


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Rates by setting, from counts of screens."""
    total = table.groupby("setting", sort=True).sum()
    rates = pd.DataFrame(
        {
            "followers_of_rows": total["followers"] / total["rows"],
            "rows_untold": total["untold_rows"] / total["rows"],
            "movers_kept": total["movers_named"] / total["movers_hit"],
            "sets_right": total["right"] / total["genes"],
            "sets_right_large": total["right_large"] / total["large"],
        }
    )
    return pd.concat([total, rates], axis=1).reset_index()


def main() -> None:
    """Measure all screens of the folder; write movers.csv."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="screens of set movers of benchmarks.calls.screens")
    parser.add_argument("--out", type=Path, required=True, help="folder of the table")
    parser.add_argument("--jobs", type=int, default=1, help="screens at once")
    args = parser.parse_args()
    with ProcessPoolExecutor(args.jobs) as pool:
        table = pd.DataFrame(pool.map(measure_file, sorted(args.folder.glob("*.npz"))))
    write_table(summarise(table), args.out / "movers.csv")


if __name__ == "__main__":
    main()

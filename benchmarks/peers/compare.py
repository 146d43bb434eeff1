"""Head to head with peers on simulated screens and on real ones; writes simulated.csv and real.csv.

    python -m benchmarks.peers.compare results/calls --out benchmarks/peers --realdata ../shared/realdata

Screens that ``benchmarks.calls.screens`` has not fitted yet are fitted first.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmarks.calls.screens import run_screen, screens
from benchmarks.common import draw_screen
from benchmarks.peers import ours
from benchmarks.peers.cells import from_design
from benchmarks.peers.measure import Outcome
from benchmarks.peers.real import real
from benchmarks.peers.run import SCALES, run_ours, run_peers
from fatewalk.config import ModelConfig
from fatewalk.core.tables import read_arrays, write_table
from fatewalk.mash import fate_scale

if TYPE_CHECKING:
    from benchmarks.peers.found import Found, Scale

SETTINGS = (
    ("grid", "mixed,one_hot,centred"),
    ("grid", "mixed,dirichlet,centred"),
    ("kinds", "independent"),
    ("movers", "one_of_5,0.5-1"),
    ("nulls", "null,one_hot"),
    ("nulls", "null,dirichlet"),
)
N_SCREENS = 5


def simulated(folder: Path, n_screens: int = N_SCREENS) -> pd.DataFrame:
    """Every method on every setting.

    Parameters
    ----------
    folder
        Of `benchmarks.calls.screens`: a folder for each set, one .npz a screen.
    n_screens
        Of each setting.

    Returns
    -------
    pandas.DataFrame
        setting, scale, method; recall_at_equal_fsr, calls, recall, precision, fsr (over all screens);
        screens; seconds (CPU, a screen).
    """
    rows = []
    for kind, setting in SETTINGS:
        found: dict[tuple[Scale, str], list[tuple[Found, np.ndarray, float]]] = {}
        sections, fit_seconds = dict(screens(kind)), np.nan
        for number in range(1, n_screens + 1):
            name = f"{setting},{number}"
            path = folder / kind / f"{name}.npz"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                run_screen(sections[name], path)
            arrays = read_arrays(path)
            screen, design = draw_screen(sections[name])
            if number == 1:
                began = time.process_time()
                ours.fit(design, ModelConfig(fates=list(design.fates)))
                fit_seconds = time.process_time() - began
            cells = from_design(design, screen.cells, screen.guide_calls, screen.guide_map)
            on_contrasts = arrays["library"]
            for scale in SCALES:
                truth = (
                    on_contrasts if scale == "contrast" else fate_scale(on_contrasts, arrays["composition"])
                )
                for method, (one, seconds) in (
                    *run_peers(cells, scale),
                    *run_ours(arrays, scale, fit_seconds),
                ):
                    found.setdefault((scale, method), []).append((one, truth, seconds))
        for (scale, method), all_screens in found.items():
            rows.append(
                {"setting": setting, "scale": scale, "method": method}
                | Outcome.of([(one, truth) for one, truth, _ in all_screens]).summary()
                | {"screens": n_screens, "seconds": float(np.mean([s for *_, s in all_screens]))}
            )
        print(pd.DataFrame(rows[-len(found) :]).to_string(), flush=True)
    return pd.DataFrame(rows)


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="fitted screens of benchmarks.calls.screens")
    parser.add_argument("--realdata", type=Path, help="folder of the real examples")
    parser.add_argument("--out", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--screens", type=int, default=N_SCREENS, help="of each setting")
    args = parser.parse_args()
    write_table(_rounded(simulated(args.folder, args.screens)), args.out / "simulated.csv")
    if args.realdata:
        write_table(_rounded(real(args.realdata)), args.out / "real.csv")


def _rounded(table: pd.DataFrame) -> pd.DataFrame:
    return table.round({"recall_at_equal_fsr": 3, "recall": 3, "precision": 3, "fsr": 3, "seconds": 2})


if __name__ == "__main__":
    main()

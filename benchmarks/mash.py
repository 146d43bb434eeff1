"""Time and memory of mash: fit of the mixture and posteriors of all rows, one thread.

    OMP_NUM_THREADS=1 python -m benchmarks.mash 20000x4 20000x10 20000x44 20000x44-full

Standard errors differ from cell to cell, so that no decomposition is shared between rows. CPU times of
this process; each case runs in a process of its own.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time

import numpy as np

from fatewalk import mash

CASES = {
    "20000x4": (20_000, 4, "canonical"),
    "20000x10": (20_000, 10, "canonical"),
    "20000x44": (20_000, 44, "canonical"),  # 49 covariances, most of rank one
    "20000x44-full": (20_000, 44, "full"),  # 50 covariances of full rank
}
N_SCALES = 20  # for 44 conditions: about 1,000 components


def draw(n_rows: int, n_conditions: int) -> mash.MashData:
    """A table in which a tenth of the rows act alike on all conditions, and a tenth on some of them."""
    rng = np.random.default_rng(0)
    se = rng.uniform(0.05, 0.3, (n_rows, n_conditions))
    effect = np.zeros((n_rows, n_conditions))
    some = n_rows // 10
    effect[:some] = rng.normal(0, 0.5, (some, 1))
    on = rng.random((some, n_conditions)) < 0.3
    effect[some : 2 * some] = rng.normal(0, 0.5, (some, n_conditions)) * on
    return mash.set_data(effect + se * rng.normal(size=se.shape), se)


def run(case: str) -> str:
    """Fit one case and say what it took."""
    n_rows, n_conditions, kind = CASES[case]
    data = draw(n_rows, n_conditions)
    covariances = mash.cov_canonical(n_conditions)
    if kind == "full":
        factors = np.random.default_rng(1).normal(size=(50, n_conditions, n_conditions))
        covariances = {f"U{k}": factor @ factor.T for k, factor in enumerate(factors)}
    grid = mash.autoselect_grid(data)
    if n_conditions == 44:
        grid = grid[-N_SCALES:]
    start = time.process_time()
    fit = mash.fit_mash(data, covariances, grid=grid)
    fitted = time.process_time()
    mash.posterior(fit, data)
    end = time.process_time()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return (
        f"{case} ({len(fit.pi)} components): fit {fitted - start:.2f} s, posterior {end - fitted:.2f} s, "
        f"{memory:.0f} MB, KKT gap {fit.kkt_gap:.1e}"
    )


def main() -> None:
    """Run the cases that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("cases", nargs="+", choices=CASES)
    cases = parser.parse_args().cases
    if len(cases) == 1:
        print(run(cases[0]), flush=True)
        return
    for case in cases:
        subprocess.run([sys.executable, "-m", "benchmarks.mash", case], check=True)


if __name__ == "__main__":
    main()

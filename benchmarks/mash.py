"""Time and memory of mash: fit of the mixture and posteriors of all rows, one thread.

    OMP_NUM_THREADS=1 python -m benchmarks.mash 20000x4 20000x10 20000x44 20000x44-full
    OMP_NUM_THREADS=1 python -m benchmarks.mash 100x3x4 28x18x5 5000x6x5

Rows x conditions, or rows x fates x days for mash over fates. Standard errors differ from cell to cell, so
that no decomposition is shared between rows. CPU times of this process; each case runs in a process of its
own.
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
FATES = {"100x3x4": (100, 3, 4), "28x18x5": (28, 18, 5), "5000x6x5": (5000, 6, 5)}
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


def draw_fates(n_rows: int, n_fates: int, n_days: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Score, information, composition; in a fifth of the rows (14 at least) one fate moves, alike by day."""
    rng = np.random.default_rng(0)
    by_fate = np.zeros((n_rows, n_fates, n_days))
    some = max(n_rows // 5, 14)
    by_fate[np.arange(some), rng.integers(0, n_fates, some)] = rng.normal(0, 0.6, (some, 1))
    shape = (n_rows, n_fates - 1, n_days)
    effect = (by_fate[:, 1:] - by_fate[:, :1]).reshape(n_rows, -1)
    alike = np.kron((np.eye(n_fates - 1) + 1) / 2, np.eye(n_days))
    error = rng.uniform(0.05, 0.3, (n_rows, 1, 1)) ** 2 * (np.eye(effect.shape[1]) + alike) / 2
    noise = (np.linalg.cholesky(error) @ rng.normal(size=(*effect.shape, 1)))[:, :, 0]
    estimates = (effect + noise).reshape(shape)
    score, information = mash.evidence_of(estimates, error.reshape(*shape, *shape[1:]))
    return score, information, rng.dirichlet(np.full(n_fates, 5.0), size=n_days).T


def run_fates(case: str) -> str:
    """Run mash over fates on one case and say what it took."""
    data = draw_fates(*FATES[case])
    start = time.process_time()
    found = mash.mash_fates(*data)
    seconds = time.process_time() - start
    used = int((found.fit.pi > 0).sum())
    return f"{case} ({used} weights, {found.fit.rounds} rounds): {seconds:.2f} s, {peak_memory():.0f} MB"


def peak_memory() -> float:
    """Largest memory of this process so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


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
    return (
        f"{case} ({len(fit.pi)} components): fit {fitted - start:.2f} s, posterior {end - fitted:.2f} s, "
        f"{peak_memory():.0f} MB, KKT gap {fit.kkt_gap:.1e}"
    )


def main() -> None:
    """Run the cases that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("cases", nargs="+", choices=[*CASES, *FATES])
    cases = parser.parse_args().cases
    if len(cases) == 1:
        print((run if cases[0] in CASES else run_fates)(cases[0]), flush=True)
        return
    for case in cases:
        subprocess.run([sys.executable, "-m", "benchmarks.mash", case], check=True)


if __name__ == "__main__":
    main()

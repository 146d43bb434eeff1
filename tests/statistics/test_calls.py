"""Error rates of calls are what they say: mash on its own model, Q of guides that agree, a sparse screen."""

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.calls.compare import contrast_sources, measure
from benchmarks.calls.screens import estimates
from benchmarks.common import draw_screen, fit_config
from fatewalk import mash
from fatewalk.calls import aggregate_guides
from fatewalk.config import ModelConfig
from fatewalk.core.schema import day_columns
from fatewalk.estimates.arrays import name_estimates
from fatewalk.estimates.export import guide_likelihood_table
from fatewalk.estimates.from_draws import posterior_moments
from fatewalk.estimates.likelihood_only import likelihood_estimates
from fatewalk.stages.fit_effects import fit_effects

N_ROWS, N_DAYS = 3000, 4


@pytest.fixture(scope="module")
def drawn():
    """Effects from a mash prior, and estimates with an error correlation per row."""
    rng = np.random.default_rng(11)
    covariances = mash.cov_canonical(N_DAYS) | mash.cov_time(N_DAYS)
    names = ["singletons_1", "equal_effects", "late_2", "sign_switch_2", "random_walk"]
    effect = np.zeros((N_ROWS, N_DAYS))
    for k, name in enumerate(names):
        rows = slice(200 * k, 200 * (k + 1))
        effect[rows] = rng.multivariate_normal(np.zeros(N_DAYS), 0.25 * covariances[name], 200, method="eigh")
    effect[np.abs(effect) < 1e-7] = 0
    se = rng.uniform(0.1, 0.3, (N_ROWS, N_DAYS))
    distance = np.abs(np.subtract.outer(np.arange(N_DAYS), np.arange(N_DAYS)))
    correlation = rng.uniform(0.5, 0.9, (N_ROWS, 1, 1)) ** distance
    noise = (np.linalg.cholesky(correlation) @ rng.normal(size=(N_ROWS, N_DAYS, 1)))[:, :, 0]
    return effect, effect + se * noise, se, correlation, covariances


def false_signs(drawn, correlation):
    """Wrong signs among lfsr < 0.05, how many the lfsr expects, and the SD of that number."""
    effect, betahat, se, _, covariances = drawn
    data = mash.set_data(betahat, se, error_correlation=correlation)
    found = mash.posterior(mash.fit_mash(data, covariances), data)
    below = found.lfsr < 0.05
    wrong = np.where(effect == 0, True, np.sign(found.mean) != np.sign(effect))[below]
    lfsr = found.lfsr[below]
    return wrong.sum(), lfsr.sum(), np.sqrt((lfsr * (1 - lfsr)).sum())


def test_the_lfsr_counts_the_wrong_signs(drawn):
    wrong, expected, sd = false_signs(drawn, drawn[3])
    assert expected > 5
    assert abs(wrong - expected) < 4 * sd  # days of a row err together, so more than 3 SD


def test_errors_taken_as_independent_are_noticed(drawn):
    wrong, expected, sd = false_signs(drawn, None)
    assert wrong > expected + 4 * sd


def fitted(**simulate):
    torch.set_num_threads(1)
    screen, design = draw_screen(simulate)
    fit = fit_config(None, None, threads=1, device="cpu")
    posterior, card, _ = fit_effects(design, ModelConfig(fates=list(design.fates)), fit, progress=False)
    assert card["status"] == "converged"
    return screen, design, posterior


def guide_q(guide_sd):
    """Q over its degrees of freedom, and the p-values, of 40 genes on 4 days."""
    simulate = {"cells": 8000, "genes": 40, "guides_per_gene": 4, "guide_sd": guide_sd, "seed": 1}
    _, design, posterior = fitted(**simulate)
    unshrunk = name_estimates(likelihood_estimates(posterior, design, posterior.rows(design)), design)
    n_days = len(design.days)
    unused = dict.fromkeys([f"{s}_d{d}" for s in ("postmean", "postsd", "lfsr") for d in range(n_days)], 0.5)
    genes = pd.DataFrame({"gene": design.genes}).assign(**dict.fromkeys(day_columns("n_cells", n_days), 1))
    table = aggregate_guides(guide_likelihood_table(unshrunk, 0, {}).assign(**unused), genes, "likelihood")
    q, p = (table[day_columns(stem, n_days)].to_numpy() for stem in ("q", "q_pvalue"))
    return q.mean() / 3, (p < 0.05).mean()


def test_q_of_guides_that_agree_is_a_chi_square():
    ratio, rejected = guide_q(0.0)
    assert 0.85 < ratio < 1.15  # 160 values: SE 0.065
    assert rejected < 0.11


def test_q_of_guides_that_differ_is_larger():
    assert guide_q(0.5)[0] > 1.6


def test_false_signs_and_power_on_a_sparse_screen():
    simulate = {"cells": 8000, "genes": 60, "guides_per_gene": 4, "active_genes": 12, "seed": 3}
    screen, design, posterior = fitted(**simulate)
    moments = posterior_moments(posterior, design, 1000, 0)
    arrays = estimates(screen, design, posterior, moments)
    found = [
        {name: measure(effects, arrays["library"][:, contrast]) for name, effects in one.items()}
        for contrast in range(2)
        for one in [contrast_sources(arrays, contrast, "library")]
    ]
    total = {
        name: {
            key: sum(part[name][key] for part in found)
            for key in ("n_0.05", "wrong_0.05", "tp_lfsr", "fp_lfsr")
        }
        for name in found[0]
    }
    ours = total["mash_likelihood"]
    assert ours["n_0.05"] > 30
    assert ours["wrong_0.05"] <= largest_wrong(ours["n_0.05"])
    assert ours["tp_lfsr"] > 25
    assert ours["fp_lfsr"] <= 2
    # why the calls do not rest on the joint posterior: it has no point mass at zero
    joint = total["joint"]
    assert joint["wrong_0.05"] > largest_wrong(joint["n_0.05"])


def largest_wrong(n):
    """Wrong signs among n gene-days with lfsr < 0.05 that a false-sign rate of 0.05 may show: 3 SD."""
    return 0.05 * n + 3 * np.sqrt(0.05 * 0.95 * n)

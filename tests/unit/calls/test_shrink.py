"""Stage fit_mash: tables in, tables and a reusable mixture out."""

import numpy as np
import pandas as pd
import pytest

from fatewalk import mash
from fatewalk.calls import shrink
from fatewalk.calls.shrink import (
    fit_mash_likelihood,
    fit_mash_table,
    further_covariances,
    read_mash_of_r,
)
from fatewalk.config import MashConfig
from fatewalk.core.errors import FatewalkError
from fatewalk.core.files import read_json, write_json


@pytest.fixture(scope="module")
def table():
    """100 genes, 3 days; the first ten have an effect on all days."""
    rng = np.random.default_rng(0)
    truth = np.zeros((100, 3))
    truth[:10] = rng.normal(0, 1, (10, 1))
    se = rng.uniform(0.05, 0.15, (100, 3))
    frame = pd.DataFrame({"gene": [f"g{i}" for i in range(100)]})
    frame = frame.join(pd.DataFrame(rng.normal(truth, se), columns=[f"betahat_d{d}" for d in range(3)]))
    frame = frame.join(pd.DataFrame(se, columns=[f"se_d{d}" for d in range(3)]))
    frame.loc[4, ["betahat_d1", "se_d1"]] = np.nan
    frame.loc[5, [f"{stem}_d{d}" for stem in ("betahat", "se") for d in range(3)]] = np.nan
    return frame.assign(n_guides=4)


def test_columns_rows_and_missing_values(table):
    found = fit_mash_table(table, MashConfig(), "conservative", "t")
    out, mixture = found.table, found.mixture
    stems = [f"{stem}_d{d}" for stem in ("postmean", "postsd", "lfsr") for d in range(3)]
    assert list(out) == [*table.columns, *stems, "lfsr_min", "best_day"]
    pd.testing.assert_frame_equal(out[table.columns], table)
    assert out.loc[4, ["postmean_d1", "postsd_d1", "lfsr_d1"]].isna().all()
    assert out.loc[4, ["lfsr_d0", "lfsr_d2"]].notna().all()
    assert out.loc[5, [*stems, "lfsr_min", "best_day"]].isna().all()
    observed = out.drop(5)
    lfsr = observed[["lfsr_d0", "lfsr_d1", "lfsr_d2"]]
    np.testing.assert_array_equal(observed["lfsr_min"], lfsr.min(axis=1))
    assert (observed["best_day"] == lfsr.idxmin(axis=1).str.removeprefix("lfsr_")).all()
    assert mixture["kkt_gap"] < 1e-8
    assert mixture["n_rows"] == 100


def test_inflation_and_floor_weaken_the_calls(table):
    plain = fit_mash_table(table, MashConfig(), "conservative", "t").mixture["n_significant"]
    inflated = fit_mash_table(table, MashConfig(se_inflate=4.0), "conservative", "t").mixture["n_significant"]
    floored = fit_mash_table(table, MashConfig(se_floor=0.6), "conservative", "t").mixture["n_significant"]
    assert plain > inflated
    assert plain > floored


def test_mixture_file_gives_the_probability_of_a_large_effect(table, tmp_path):
    found = fit_mash_table(table, MashConfig(), "conservative", "t")
    write_json(found.mixture, tmp_path / "m.json")
    out = found.table
    large = mash.prob_large(*read_mash_of_r(out, read_json(tmp_path / "m.json"), "t"), 0.2)
    np.testing.assert_allclose(large, mash.prob_large(found.prior, found.data, 0.2), rtol=1e-9)
    assert large.shape == (100, 3)
    sure = (out["postmean_d0"].abs() > 0.5) & (out["postsd_d0"] < 0.1)
    assert sure.any()
    assert (large[sure.to_numpy(), 0] > 0.99).all()
    assert np.median(large[10:, 0]) < 0.1


def test_a_mixture_that_lacks_an_entry_is_refused(table):
    with pytest.raises(FatewalkError, match="lacks the entry 'covariances'"):
        read_mash_of_r(table, {}, "t")
    mixture = fit_mash_table(table, MashConfig(), "conservative", "t").mixture
    del mixture["se_inflate"]
    with pytest.raises(FatewalkError, match="lacks the entry 'se_inflate'"):
        read_mash_of_r(table, mixture, "t")


def test_a_screen_without_effects_says_so(table):
    rng = np.random.default_rng(1)
    columns = [f"betahat_d{d}" for d in range(3)]
    quiet = table.assign(**dict(zip(columns, rng.normal(0, 0.01, (3, 100)), strict=True)))
    found = fit_mash_table(quiet, MashConfig(), "conservative", "t")
    out, mixture = found.table, found.mixture
    assert out["lfsr_d0"].dropna().min() > 0.999
    assert "all its weight on no effect" in mixture["notes"][-1]


def test_one_day(table):
    one = table[["gene", "betahat_d0", "se_d0"]]
    out = fit_mash_table(one, MashConfig(), "conservative", "t").table
    assert out["best_day"].dropna().eq("d0").all()


def test_few_null_rows_fall_back_and_say_so(table):
    notes = fit_mash_table(table.head(4), MashConfig(null_z=0.01), "conservative", "t").mixture["notes"]
    assert len(notes) == 1
    assert "uncorrelated" in notes[0]


def test_enriched_adds_covariances_for_time_and_no_penalty(table):
    found = fit_mash_table(table, MashConfig(), "enriched", "t")
    out, mixture = found.table, found.mixture
    names = list(mixture["covariances"])
    assert names == list(mash.cov_canonical(3, [f"betahat_d{d}" for d in range(3)]) | mash.cov_time(3))
    assert mixture["notes"] == ["no covariances were learned from the data: 100 rows, fewer than 1000"]
    plain = fit_mash_table(table, MashConfig(), "conservative", "t").mixture
    assert mixture["loglik"] > plain["loglik"]
    assert out["lfsr_d0"].notna().sum() == 99


def test_covariances_are_learned_from_enough_strong_rows(monkeypatch):
    monkeypatch.setattr(shrink, "FEWEST_ROWS", 300)
    rng = np.random.default_rng(3)
    direction = np.array([1.0, -0.5, 0.2])
    betahat = rng.normal(0, 0.1, (300, 3))
    betahat[:60] += rng.normal(0, 1, (60, 1)) * direction
    data = mash.set_data(betahat, np.full((300, 3), 0.1))
    found, notes = further_covariances(data, MashConfig(), time=False)
    assert notes == []
    assert set(found) == {"ED_PCA_1", "ED_PCA_2", "ED_tPCA"}
    learned = max(found.values(), key=lambda m: m[0, 0])
    vectors = np.linalg.eigh(learned)[1]
    along = abs(vectors[:, -1] @ direction) / np.linalg.norm(direction)
    assert along > 0.98
    none, notes = further_covariances(data, MashConfig(min_strong=200))
    assert set(none) == set(mash.cov_time(3))
    assert "mash.min_strong is 200" in notes[0]


def likelihood_files(table, correlation):
    """The table as if likelihood-only, every row with the given error correlation [n, 3, 3]."""
    se = table[[f"se_d{d}" for d in range(3)]].to_numpy()
    return {"genes": table["gene"].to_numpy(), "gene": correlation * se[:, :, None] * se[:, None, :]}


def test_likelihood_tables_use_the_errors_of_each_row(table):
    same = np.full((3, 3), 0.6) + 0.4 * np.eye(3)
    errors = likelihood_files(table, np.tile(same, (100, 1, 1)))
    out = fit_mash_likelihood(table, errors, MashConfig(), "t").table
    covariances = mash.cov_canonical(3, [f"betahat_d{d}" for d in range(3)]) | mash.cov_time(3)
    betahat, se = (table[[f"{stem}_d{d}" for d in range(3)]].to_numpy() for stem in ("betahat", "se"))
    data = mash.set_data(betahat, se, error_correlation=same)
    expected = mash.posterior(mash.fit_mash(data, covariances), data)
    seen = out["lfsr_d1"].notna().to_numpy()
    assert seen.sum() == 98
    np.testing.assert_allclose(out["postmean_d1"][seen], expected.mean[seen, 1], atol=1e-6)
    # rows whose errors differ get other answers, and the result has the data behind them
    varied = np.linspace(-0.3, 0.9, 100)[:, None, None] * (1 - np.eye(3)) + np.eye(3)
    errors = likelihood_files(table, varied)
    found = fit_mash_likelihood(table, errors, MashConfig(), "t")
    other = found.table
    assert np.nanmax(np.abs(other["postmean_d1"] - out["postmean_d1"])) > 0.01
    loglik = mash.compute_loglik(found.prior, found.data)
    assert loglik == pytest.approx(found.mixture["loglik"], abs=1e-9)
    # order does not matter: rows are found by name
    backwards = table[::-1].reset_index(drop=True)
    shuffled = fit_mash_likelihood(backwards, errors, MashConfig(), "t").table
    np.testing.assert_allclose(shuffled["postmean_d0"][::-1], other["postmean_d0"], atol=1e-6)


def test_a_correlation_that_was_not_found_is_noted(table, monkeypatch):
    monkeypatch.setattr("fatewalk.mash.null_correlation.MOST_PROJECTIONS", 0)
    notes = fit_mash_table(table, MashConfig(), "conservative", "t").mixture["notes"]
    assert "the nearest correlation matrix was not found in 0 projections; the last is used" in notes

"""Stage fit_mash: tables in, tables and a reusable mixture out."""

import json

import numpy as np
import pandas as pd
import pytest

from fatewalk.config import MashConfig
from fatewalk.errors import FatewalkError
from fatewalk.fit_mash import fit_mash_table, prob_large_table
from fatewalk.tables import read_json, write_json


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
    out, mixture = fit_mash_table(table, MashConfig(), "t")
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
    plain = fit_mash_table(table, MashConfig(), "t")[1]["n_significant"]
    inflated = fit_mash_table(table, MashConfig(se_inflate=4.0), "t")[1]["n_significant"]
    floored = fit_mash_table(table, MashConfig(se_floor=0.6), "t")[1]["n_significant"]
    assert plain > inflated
    assert plain > floored


def test_mixture_file_gives_the_probability_of_a_large_effect(table, tmp_path):
    out, mixture = fit_mash_table(table, MashConfig(), "t")
    write_json(mixture, tmp_path / "m.json")
    large = prob_large_table(out, read_json(tmp_path / "m.json"), 0.2)
    assert large.shape == (100, 3)
    sure = (out["postmean_d0"].abs() > 0.5) & (out["postsd_d0"] < 0.1)
    assert sure.any()
    assert (large[sure.to_numpy(), 0] > 0.99).all()
    assert np.median(large[10:, 0]) < 0.1


def test_a_mixture_that_lacks_an_entry_is_refused(table):
    mixture = json.loads("{}")
    with pytest.raises(FatewalkError, match="lacks the entry 'covariances'"):
        prob_large_table(table, mixture, 0.2)


def test_one_day(table):
    one = table[["gene", "betahat_d0", "se_d0"]]
    out, _ = fit_mash_table(one, MashConfig(), "t")
    assert out["best_day"].dropna().eq("d0").all()


def test_few_null_rows_fall_back_and_say_so(table):
    notes = fit_mash_table(table.head(4), MashConfig(null_z=0.01), "t")[1]["notes"]
    assert len(notes) == 1
    assert "uncorrelated" in notes[0]

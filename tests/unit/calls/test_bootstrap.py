"""The spread of effects over refits, and how often hits are called again."""

import numpy as np
import pandas as pd
import pytest

from fatewalk.calls import bootstrap
from fatewalk.calls.bootstrap import bootstrap_table, call_again, spread, spread_of
from fatewalk.calls.fates import shrink_fates
from fatewalk.config import CallsConfig
from fatewalk.estimates.arrays import Refits

RNG = np.random.default_rng(1)
GENES, CONTRASTS, DAYS = [f"G{i:02d}" for i in range(40)], ["A", "B"], ["day 2", "day 5"]
SHAPE = (len(GENES), len(CONTRASTS), len(DAYS))
SE = 0.1


def refits(likelihood, theta=None, **more):
    n = len(likelihood)
    information = np.zeros((n, *SHAPE, *SHAPE[1:]))
    given = {
        "number": np.arange(n), "theta": likelihood if theta is None else theta, "likelihood": likelihood,
        "score": np.zeros((n, *SHAPE)), "information": information, "rounds": np.ones(n),
        "converged": np.ones(n, bool), "genes": np.array(GENES), "contrasts": np.array(CONTRASTS),
        "days": np.array(DAYS),
    }  # fmt: skip
    return Refits(**given | more)


def effects():
    index = pd.MultiIndex.from_product([GENES, CONTRASTS, DAYS], names=["gene", "fate", "day"])
    table = pd.DataFrame({"estimate": 0.0, "se": SE, "posterior_mean": 0.0, "posterior_sd": SE}, index=index)
    return table.reset_index()[::-1]  # the order of rows must not matter


def test_the_spread_of_each_effect_stands_beside_its_own_standard_error():
    likelihood = RNG.normal(size=(100, *SHAPE)) * SE
    likelihood[:, 3, 1, 0] *= 4
    likelihood[:50, 4, 0, 0] = np.nan
    table = bootstrap_table(effects(), refits(likelihood), "cells").set_index(["gene", "contrast", "day"])
    assert table.loc[("G03", "B", "day 2"), "ratio"] == pytest.approx(4, rel=0.3)
    assert table["ratio"].median() == pytest.approx(1, rel=0.05)
    assert table.loc[("G04", "A", "day 2"), "refits"] == 50
    expected = likelihood[:, 7, 0, 1].std(ddof=1)
    assert table.loc[("G07", "A", "day 5"), "bootstrap_sd"] == pytest.approx(expected)


def test_what_is_not_drawn_is_left_out_of_the_ratio():
    likelihood = RNG.normal(size=(200, *SHAPE)) * 0.8 * SE
    shift = np.zeros(SHAPE[1:])
    shift[1, 0] = (0.6 * SE) ** 2
    table = bootstrap_table(effects(), refits(likelihood), "cells", shift)
    ratios = table.groupby(["contrast", "day"])["ratio"].median()
    assert ratios["B", "day 2"] == pytest.approx(1, rel=0.05)
    assert ratios["A", "day 2"] == pytest.approx(0.8, rel=0.05)


def test_the_jackknife_of_replicates_has_the_spread_of_their_mean():
    by_replicate = RNG.normal(size=(5, 3))
    left_out = (by_replicate.sum(0) - by_replicate) / 4
    expected = by_replicate.std(axis=0, ddof=1) / np.sqrt(5)
    np.testing.assert_allclose(spread(left_out, "leave_one_replicate_out"), expected)


@pytest.mark.parametrize(
    ("factor", "shrunk", "unit", "n_warnings"),
    [(1.0, 1.0, "cells", 0), (1.4, 0.5, "cells", 1), (0.7, 0.5, "clusters", 1), (1.0, 1.4, "cells", 1),
     (1.4, 1.4, "guides", 0)],
)  # fmt: skip
def test_a_fate_and_day_that_spreads_otherwise_than_it_says_is_told(factor, shrunk, unit, n_warnings):
    """Guides are drawn within genes, which the errors do not hold: no warning there."""
    z = RNG.normal(size=(200, *SHAPE)) * SE
    place = np.zeros(SHAPE, bool)
    place[:, 1, 0] = True
    table = bootstrap_table(
        effects(), refits(np.where(place, factor * z, z), np.where(place, shrunk * z, 0.5 * z)), unit
    )
    rows, warnings = spread_of(table, unit)
    assert len(warnings) == n_warnings
    assert all(text.startswith("B, day 2: over draws of") for text in warnings if factor != 1)
    of_place = {(row["contrast"], row["day"]): row["ratio"] for row in rows}
    assert of_place["B", "day 2"] == pytest.approx(factor, rel=0.05)


def test_few_genes_give_no_warning():
    table = bootstrap_table(effects(), refits(RNG.normal(size=(50, *SHAPE))), "cells")
    few = table[table["gene"].isin(GENES[: bootstrap.FEWEST - 1])]
    assert spread_of(few, "cells")[1] == []
    assert len(spread_of(table, "cells")[1]) == 8


def test_a_strong_hit_is_called_again_and_a_weak_one_sometimes():
    """Evidence with a known error: of the refits of a weak effect only those that fall high call it."""
    truth = np.zeros(SHAPE)
    truth[:3, 0], truth[3, 0] = 1.5, 0.5
    precision = np.einsum("fg,de->fdge", np.eye(2), np.eye(2)) / 0.15**2
    information = np.broadcast_to(precision, (len(GENES), 2, 2, 2, 2))

    def score(estimate):
        return np.einsum("lfdge,lge->lfd", information, estimate)

    evidence = {
        "gene_score": score(truth), "gene_information": information, "genes": np.array(GENES),
        "fates": np.array(["REF", *CONTRASTS]), "days": np.array(DAYS), "gene_cells": np.ones((40, 2)),
        "composition": np.array([[0.4, 0.4], [0.3, 0.3], [0.3, 0.3]]),
        "label_spread": np.ones((3, 2)), "steepness": np.ones((3, 2)),
    }  # fmt: skip
    calls = CallsConfig()
    genes = shrink_fates(evidence, "gene", "library", 10, calls.effect_size_eps).by_fate
    draws = truth + RNG.normal(size=(8, *SHAPE)) * 0.15
    drawn = refits(draws, score=np.stack([score(one) for one in draws]),
                   information=np.broadcast_to(information, (8, *information.shape)))  # fmt: skip
    table = call_again(genes, evidence, drawn, calls, "library").set_index(["gene", "fate"])
    assert table.loc["G00"]["called"].any()
    assert table.loc[("G00", "A"), "called_again"] == 1
    assert table.loc[("G00", "A"), "called"]
    assert 0.1 < table.loc[("G03", "A"), "hit_again"] < 0.99
    assert set(table.index.get_level_values("gene")) <= {"G00", "G01", "G02", "G03"}

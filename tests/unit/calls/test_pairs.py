"""Log odds of any two fates: against what the estimates say, and whichever fate is the reference."""

import numpy as np
import pandas as pd
import pytest

from fatewalk.calls import FateEffects, pair_effects_table, percent_points, shrink_fates
from fatewalk.calls.pairs import pair_contrast, posterior_of_pair
from fatewalk.core.daywise import Daywise
from fatewalk.core.errors import FatewalkError
from fatewalk.mash import MashError
from tests.unit.calls.test_fate_hits import DAYS, FATES, MANY, evidence

EFFECT = ["estimate", "mash_mean", "posterior_mean"]
THETA = {
    "theta_mean": np.stack([np.full((40, 2), 0.5), np.full((40, 2), 0.2)], axis=1),
    "theta_cov": np.broadcast_to(np.array([[0.04, 0.01], [0.01, 0.09]])[:, :, None], (40, 2, 2, 2)),
}


def against(order):
    """Evidence and theta with the fates in another order, the first of which is the reference."""
    given = evidence()
    own = np.vstack([np.zeros(2), np.eye(2)])[order]
    to = own[1:] - own[0]
    back = np.linalg.inv(to)
    for level in ("gene", "guide"):
        score, information = given[f"{level}_score"], given[f"{level}_information"]
        given[f"{level}_score"] = np.einsum("fg,nfd->ngd", back, score)
        given[f"{level}_information"] = np.einsum("fg,nfdke,kh->ngdhe", back, information, back)
    given |= {name: given[name][order] for name in ("fates", "composition")}
    mean = np.einsum("gf,nfd->ngd", to, THETA["theta_mean"])
    return given, {"theta_mean": mean, "theta_cov": np.einsum("gf,nfkd,hk->nghd", to, THETA["theta_cov"], to)}


def pair(fates, level="gene", order=(0, 1, 2), estimand="library"):
    given, theta = against(list(order))
    genes = given["genes"]
    names = {level: given[f"{level}s"], "gene": genes if level == "gene" else genes[given["guide_to_gene"]]}
    table = Daywise(names | {"n_cells": given[f"{level}_cells"]}, {"provisional": "budget"}).table()
    effects = shrink_fates(given, level, estimand, 10.0, 0.2).by_fate
    return pair_effects_table(
        level, effects, given, fates, table.iloc[::-1], estimand=estimand, eps=0.2, theta=theta,
        day_cells=MANY,
    )  # fmt: skip


def test_a_row_has_the_estimate_and_what_mash_says_of_it():
    found = pair(("A", "B"))
    assert list(found)[:6] == ["gene", "fate", "against", "day", "estimate", "se"]
    assert list(found)[6:12] == ["posterior_mean", "posterior_sd", "mash_mean", "mash_sd", "lfsr", "plarge"]
    assert list(found)[12:] == ["percent_points", "percent_points_against", "n_cells", "provisional"]
    assert found["gene"].tolist() == [f"g{i}" for i in range(40) for _ in DAYS]
    assert set(found["fate"]) == {"A"}
    assert set(found["against"]) == {"B"}
    given = evidence()
    contrasts = given["gene_score"] / 25
    seen = found["n_cells"].to_numpy() > 0
    wanted = (contrasts[:, 0] - contrasts[:, 1]).ravel()
    np.testing.assert_allclose(found["estimate"][seen], wanted[seen], atol=1e-9)
    np.testing.assert_allclose(found["se"][seen], 0.2 * np.sqrt(2))
    np.testing.assert_allclose(found["posterior_mean"][seen], 0.3)
    np.testing.assert_allclose(found["posterior_sd"][seen], np.sqrt(0.04 + 0.09 - 0.02))
    assert found[~seen].loc[:, "estimate":"percent_points_against"].isna().all().all()
    last = found.iloc[-20:]
    np.testing.assert_allclose(last["mash_mean"], 1.5, atol=0.7)
    assert (last["lfsr"] < 0.05).mean() > 0.9
    effects = shrink_fates(given, "gene", "library", 10.0, 0.2).by_fate
    of_fates = percent_points(effects, given["gene_cells"] / MANY)["percent_points"]
    for column, fate in (("percent_points", "A"), ("percent_points_against", "B")):
        wanted = of_fates[:, FATES.index(fate)].ravel()
        np.testing.assert_allclose(found[column][seen], wanted[seen])


def test_the_other_way_round_only_the_signs_differ():
    one, other = pair(("A", "B")), pair(("B", "A"))
    for name in one.columns[4:]:
        sign = -1 if name in EFFECT else 1
        there = {"percent_points": "percent_points_against", "percent_points_against": "percent_points"}
        values = other[there.get(name, name)]
        if name == "provisional":
            assert values.eq(one[name]).all()
        else:
            np.testing.assert_allclose(sign * values, one[name], atol=1e-12)


def test_against_the_reference_it_is_the_contrast():
    shrunk = shrink_fates(evidence(), "gene", "library", 10.0, 0.2).by_contrast[1]
    found = pair(("B", "REF"))
    for name, column in (
        ("mean", "mash_mean"),
        ("sd", "mash_sd"),
        ("lfsr", "lfsr"),
        ("prob_large", "plarge"),
    ):
        np.testing.assert_allclose(found[column], getattr(shrunk, name).ravel(), atol=1e-12)


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 1, 0), (2, 0, 1)])
@pytest.mark.parametrize("level", ["gene", "guide"])
def test_it_does_not_matter_which_fate_is_the_reference(order, level):
    for fates in (("A", "B"), ("REF", "B")):
        one, other = pair(fates, level), pair(fates, level, order)
        points = [name for name in one if name.startswith("percent_points")]  # from draws
        pd.testing.assert_frame_equal(one[points], other[points], rtol=0, atol=0.01)
        pd.testing.assert_frame_equal(one.drop(columns=points), other.drop(columns=points), rtol=0, atol=1e-9)


def test_guides_have_names_and_no_posterior():
    found = pair(("A", "REF"), "guide")
    assert list(found)[:6] == ["gene", "guide", "fate", "against", "day", "estimate"]
    assert found["guide"].iloc[:4].tolist() == ["g0_1", "g0_1", "g0_2", "g0_2"]
    assert "posterior_mean" not in found
    assert "percent_points" not in found


def test_estimand_gene_adds_guide_sampling():
    library, gene = pair(("A", "B")), pair(("A", "B"), estimand="gene")
    # a guide's variance .04, two guides; two contrasts with correlation 1/2 differ with the same variance
    np.testing.assert_allclose(
        gene["se"] ** 2 - library["se"] ** 2, np.where(library["se"].isna(), np.nan, 0.02)
    )


def test_the_prior_is_kept_with_the_effects(tmp_path):
    one = shrink_fates(evidence(), "gene", "library", 10.0, 0.2)
    one.by_fate.save(tmp_path / "f.npz")
    prior = FateEffects.load(tmp_path / "f.npz").prior
    assert prior.pi0 == one.mixture["pi0"]
    weights = {
        f"{kind}.{time}.{prior.grid[g]:.3g}": prior.pi[c, t, g]
        for c, kind in enumerate(prior.classes)
        for t, time in enumerate(prior.times)
        for g in np.flatnonzero(prior.pi[c, t])
    }
    assert weights == pytest.approx(one.mixture["pi"])
    with pytest.raises(MashError, match="found the shape"):
        type(prior).over(one.by_fate.composition, prior.grid[1:], 0.5, prior.pi)
    arrays = {name: value for name, value in np.load(tmp_path / "f.npz").items() if name != "pi"}
    np.savez(tmp_path / "old.npz", **arrays)
    with pytest.raises(FatewalkError, match=r"old.npz: has no array 'pi', .*delete it and run the same"):
        FateEffects.load(tmp_path / "old.npz")


def test_contrasts_of_pairs():
    assert pair_contrast(FATES, ("A", "B")).tolist() == [1, -1]
    assert pair_contrast(FATES, ("REF", "A")).tolist() == [-1, 0]
    mean, sd = posterior_of_pair(THETA, np.array([1.0, 0.0]))
    assert (mean[0, 0], sd[0, 0]) == (0.5, 0.2)

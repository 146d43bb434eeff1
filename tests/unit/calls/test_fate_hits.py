"""Hits by fate, from numbers that say what must come out; and mash over fates on evidence with names."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from fatewalk import mash
from fatewalk.calls import (
    PATTERNS,
    FateCalls,
    FateEffects,
    effects_table,
    fate_effects_table,
    fate_hits_table,
    percent_points,
    shrink_fates,
)
from fatewalk.calls.fate_hits import hit_patterns
from fatewalk.calls.fates import unshrunk
from fatewalk.calls.hits import active_days
from fatewalk.config import CallsConfig
from fatewalk.core.daywise import Daywise
from fatewalk.core.errors import FatewalkError
from fatewalk.estimates.likelihood_only import _steepness
from tests.unit.calls.test_hits_and_effects import contrast_effects

FATES, DAYS = ["REF", "A", "B"], ["day 2", "day 5"]
SHARES = np.array([[0.5, 0.4], [0.3, 0.3], [0.2, 0.3]])
CALLS = CallsConfig()
MANY = np.full(2, 1e9)  # cells of each day, of which those with a gene are next to none
ALL, FIRST_TWO, NONE = [True] * 3, [True, True, False], [False] * 3


def effects(genes):
    """FateEffects of genes: for each name the mean by fate and day, who moved, and the chance of untold."""
    names = list(genes)
    mean = np.array([genes[name][0] for name in names], float)  # [n, F, D]
    large = np.where(np.isnan(mean), np.nan, (np.abs(mean) > 0.3) * 0.99)
    patterns = np.zeros((*mean.shape[:2], len(PATTERNS)))
    active = (large > 0.5).any(axis=2)
    patterns[:, :, PATTERNS.index("sustained")] = active * 0.8
    patterns[:, :, 0] = 1 - patterns.sum(axis=2)
    return FateEffects(
        names=np.array(names), fates=np.array(FATES), days=np.array(DAYS), composition=SHARES,
        steepness=np.ones(SHARES.shape),
        estimate=mean * 1.1, se=np.where(np.isnan(mean), np.nan, 0.3), mean=mean,
        sd=np.where(np.isnan(mean), np.nan, 0.1), lfsr=0.9 - 0.9 * np.abs(mean),
        prob_large=large, patterns=patterns, steady=patterns * 0.9, gained=mean * 0,
        moved=np.array([genes[name][1] for name in names], float),
        untold=np.array([genes[name][2] for name in names], float),
        grid=np.ones(1), pi0=np.array(1.0), pi=np.zeros((3, 1, 1)),
    )  # fmt: skip


GENES = {
    # one fate gains, the others follow
    "mover": ([[-0.5, -0.4], [0.9, 0.95], [-0.5, -0.4]], [0.01, 0.99, 0.02], 0.05),
    # two of three: any pair explains it
    "pair": ([[0.6, 0.7], [-0.6, -0.7], [0.1, 0.0]], [0.7, 0.7, 0.6], 0.9),
    # nobody is likely on his own
    "vague": ([[0.0, 0.5], [0.0, -0.5], [0.0, 0.0]], [0.45, 0.4, 0.1], 0.1),
    "still": ([[0.0, 0.0]] * 3, [0.01, 0.01, 0.01], 0.1),
    # no cells on the second day, and the sign turns for the other fate
    "turns": ([[0.0, np.nan], [0.0, np.nan], [-0.8, np.nan]], [0.6, 0.1, 0.95], 0.0),
}


def tables(**marks):
    """Gene and guide tables; numbers say gene, fate and day."""
    genes = list(GENES)
    cells = np.array([[10, 11], [20, 21], [30, 31], [40, 41], [50, 0]])
    gene = Daywise({"gene": np.array(genes), "n_guides": np.full(5, 2), "n_cells": cells}, marks).table()
    guides = [f"{name}_{i}" for name in genes for i in (1, 2)]
    guide = Daywise(
        {"guide": np.array(guides), "gene": np.repeat(genes, 2), "n_cells": np.repeat(cells, 2, axis=0)},
        marks,
    ).table()
    return gene, guide


def of_guides():
    """Guides that agree with their genes, but for the second one of the mover."""
    found = effects({f"{name}_{i}": values for name, values in GENES.items() for i in (1, 2)})
    found.estimate[1] *= -1
    return found


def hits(calls=CALLS, **marks):
    genes = effects(GENES)
    return fate_hits_table(genes, of_guides(), *tables(**marks), FateCalls.of(genes, calls), MANY)


def test_movers_are_hits_and_followers_are_not():
    found = FateCalls.of(effects(GENES), CALLS)
    assert found.hit.tolist() == [ALL, FIRST_TWO, FIRST_TWO, NONE, [False, False, True]]
    assert found.told.tolist() == [True, False, False, False, True]
    assert found.named.tolist() == [[False, True, False], FIRST_TWO, FIRST_TWO, NONE, [False, False, True]]


def test_rows_say_what_a_person_needs():
    table = hits()
    assert len(table.columns) < 25
    assert table["rank"].tolist() == list(range(1, len(table) + 1))
    assert table["lfsr"].is_monotonic_increasing
    assert table[["gene", "fate"]].to_numpy().tolist()[:2] == [["mover", "A"], ["turns", "B"]]
    mover = table.iloc[0]
    assert (mover["direction"], mover["active_days"], mover["strongest_day"]) == (
        "gain",
        "day 2; day 5",
        "day 5",
    )
    assert (mover["effect"], mover["effect_low"], mover["effect_high"]) == (0.95, 0.754, 1.146)
    assert mover["lfsr"] == pytest.approx(0.045)
    assert (mover["prob_moved"], mover["who_moved"], mover["also_moved"]) == (0.99, "this fate", "")
    assert (mover["guides_agree"], mover["n_cells"]) == ("1 of 2", 11)
    points = [100 / (1 + 7 / 3 * np.exp(-effect)) - 30 for effect in (0.95, 0.754, 1.146)]  # of a share of .3
    found = mover[["percent_points", "percent_points_low", "percent_points_high"]].tolist()
    assert found == pytest.approx(points, abs=0.051)
    assert (mover["pattern"], mover["pattern_prob"], mover["not_resolved"]) == ("sustained", 0.72, "")
    pair = table[table["gene"] == "pair"].set_index("fate")
    assert set(pair["who_moved"]) == {"cannot be told"}
    assert pair["also_moved"].to_dict() == {"REF": "A", "A": "REF"}
    assert pair["direction"].to_dict() == {"REF": "gain", "A": "loss"}
    turns = table[table["gene"] == "turns"].iloc[0]
    assert (turns["active_days"], turns["guides_agree"], turns["n_cells"]) == ("day 2", "2 of 2", 50)
    assert turns["also_moved"] == "REF"  # likely, though no hit


def test_percentage_points_go_with_the_effect_and_its_interval():
    """A fate at one half whose odds grow threefold is at three quarters; intervals hold 0 as in logit."""
    half = replace(
        effects({"up": ([[np.log(3), 0.15], [0, 0], [0, np.nan]], [1, 0, 0], 0)}),
        composition=np.array([[0.5, 0.9], [0.3, 0.05], [0.2, 0.05]]),
    )
    change, low, high = (values[0] for values in percent_points(half, np.zeros((1, 2))).values())  # [F, D]
    assert change[0, 0] == pytest.approx(25)
    ends = [100 / (1 + np.exp(-(np.log(3) + z * 0.1))) - 50 for z in (-1.959964, 1.959964)]
    assert [low[0, 0], high[0, 0]] == pytest.approx(ends)
    assert low[0, 1] < 0 < change[0, 1] < high[0, 1]
    assert np.isnan([change[2, 1], low[2, 1], high[2, 1]]).all()


def test_percentage_points_start_from_cells_without_the_gene():
    """A third of the cells carry it and go from 1 in 4 to 3 in 4: together 5 in 12 are of the fate."""
    mean = [[2 * np.log(3), 0], [0, 0], [0, 0]]
    found = replace(effects({"up": (mean, [1, 0, 0], 0)}), composition=np.full((3, 2), 5 / 12))
    change = percent_points(found, np.full((1, 2), 1 / 3))["percent_points"]
    assert change[0, 0] == pytest.approx([[50, 0]][0])


def test_marks_are_carried_and_without_hits_the_header_stays():
    assert (hits(provisional="budget")["provisional"] == "budget").all()
    strict = hits(CallsConfig(rule="lfsr", lfsr_day=1e-9))
    assert len(strict) == 0
    assert list(strict) == list(hits())


def test_rule_lfsr_looks_at_each_gene_day_alone():
    """The second day of the mover: lfsr 0.045 is below 0.05, and not below half of it."""
    loose = CallsConfig(rule="lfsr", anyday_correction="none")
    assert FateCalls.of(effects(GENES), loose).hit.tolist()[0] == [False, True, False]
    assert not FateCalls.of(effects(GENES), CallsConfig(rule="lfsr")).hit.any()


def test_the_set_of_gene_days_has_the_false_discovery_rate_asked_for():
    rng = np.random.default_rng(1)
    large = rng.uniform(0.5, 1, size=(50, 3, 4))
    large[:5] = np.nan
    for fdr in (0.02, 0.05, 0.2):
        active = active_days(1 - large, large, CallsConfig(fdr=fdr, fdr_prob_large_min=0))
        taken = 1 - large[active]
        assert taken.mean() <= fdr
        left = np.sort(1 - large[~active & ~np.isnan(large)])
        assert (taken.sum() + left[0]) / (len(taken) + 1) > fdr  # one more would be too many
        assert taken.max() <= left[0]
        assert not active[:5].any()


def test_points_are_of_the_mean_over_cells_that_differ():
    """Cells with many other guides: the mean of their probabilities moves less than one at the mean would."""
    rng = np.random.default_rng(0)
    eta = rng.normal(-1, 1.5, 200_000)
    pi, day = 1 / (1 + np.exp(-eta)), torch.zeros(len(eta), dtype=torch.int64)
    both = torch.from_numpy(np.column_stack([1 - pi, pi]))
    steepness = _steepness(both, torch.ones(len(eta), dtype=torch.float64), day, 1).numpy()
    assert 0.7 < steepness[1, 0] < 0.8
    share = np.array([[1 - pi.mean()], [pi.mean()]])
    for effect in (-1.2, 0.4, 1.2):
        found = effects({"a": ([[-effect], [effect]], [1, 1], 0)})
        found = replace(found, composition=share, steepness=steepness)
        right = 100 * (1 / (1 + np.exp(-eta - effect)) - pi).mean()
        points = percent_points(found, np.zeros((1, 1)))["percent_points"][0, 1, 0]
        assert points == pytest.approx(right, rel=0.06)
        plain = percent_points(replace(found, steepness=steepness * 0 + 1), np.zeros((1, 1)))
        assert abs(plain["percent_points"][0, 1, 0]) > 1.2 * abs(right)


def test_of_two_fates_both_are_called_or_neither():
    """Their chances are equal but for rounding, and the list of the calls may end between them."""
    found = effects({"sure": ([[0.5], [-0.5]], [1, 1], 0), "last": ([[0.4], [-0.4]], [1, 1], 0)})
    large = np.array([[[0.999], [0.999]], [[0.93 - 1e-15], [0.93]]])
    twins = replace(found, fates=np.array(["A", "B"]), days=np.array(["d0"]), prob_large=large)
    for fdr in np.linspace(0.001, 0.05, 60):
        called = FateCalls.of(twins, CallsConfig(fdr=fdr))
        assert (called.active[:, 0] == called.active[:, 1]).all()
        assert (called.hit[:, 0] == called.hit[:, 1]).all()
        assert (called.named[:, 1] == called.hit[:, 1]).all()
    limit = (1 - large).ravel()
    between = CallsConfig(fdr=float(np.sort(limit)[:3].mean()))
    assert FateCalls.of(twins, between).active.all()


def test_effects_on_fates_have_the_columns_of_those_on_contrasts():
    genes = effects(GENES)
    gene, guide = tables()
    calls = FateCalls.of(genes, CALLS)
    theta = {
        "theta_mean": np.full((5, 2, 2), 0.5),
        "theta_cov": np.broadcast_to(0.04 * np.eye(2)[None, :, :, None], (5, 2, 2, 2)),
    }
    table = fate_effects_table("gene", genes, gene, MANY, calls.active, theta)
    contrasts = contrast_effects({"gene": ["a", "b"]}, np.zeros((2, 3)), np.zeros((2, 3), dtype=bool))
    assert list(table) == list(effects_table({"A": contrasts}, {}, ["1", "2", "3"]))
    assert len(table) == 5 * 3 * 2
    row = table.query("gene == 'pair' and fate == 'A' and day == 'day 5'").iloc[0]
    assert (row["mash_mean"], row["mash_sd"], row["prob_moved"]) == (-0.7, 0.1, 0.7)
    assert row["estimate"] == pytest.approx(-0.77)
    assert (row["called"], row["n_cells"], row["scale"]) == (True, 21, "fate")
    # both contrasts 0.5: the reference alone moves by -0.5
    reference = table.query("gene == 'pair' and fate == 'REF' and day == 'day 5'").iloc[0]
    assert reference["posterior_mean"] == pytest.approx(-0.5)
    assert reference["posterior_sd"] == pytest.approx(np.sqrt(2 * 0.04 * 0.5**2))
    gone = table.query("gene == 'turns' and day == 'day 5'")
    assert gone[["mash_mean", "lfsr", "called"]].isna().all().all()
    guides = fate_effects_table("guide", of_guides(), guide, MANY)
    assert guides["called"].isna().all()
    assert guides["posterior_mean"].isna().all()
    assert guides["guide"].iloc[::6].tolist() == [f"{name}_{i}" for name in GENES for i in (1, 2)]


# ------------------------------------------------------------------- from evidence


def evidence(n=40, moved=1):
    """Evidence of genes with two guides each: the last ten move one fate; the first has no cells on a day."""
    rng = np.random.default_rng(3)
    by_fate = np.zeros((n, 3, 2))
    by_fate[-10:, moved] = 1.5
    truth = by_fate[:, 1:] - by_fate[:, :1]
    found = {
        "composition": SHARES,
        "label_spread": np.ones((3, 2)),
        "steepness": np.ones((3, 2)),
        "fates": np.array(FATES),
        "days": np.array(DAYS),
        "guide_variance": np.array(0.04),
        "genes": np.array([f"g{i}" for i in range(n)]),
        "guides": np.array([f"g{i}_{j}" for i in range(n) for j in (1, 2)]),
        "guide_to_gene": np.repeat(np.arange(n), 2),
    }
    for level, values in (("gene", truth), ("guide", np.repeat(truth, 2, axis=0))):
        information = np.broadcast_to(25 * np.eye(4).reshape(2, 2, 2, 2), (len(values), 2, 2, 2, 2)).copy()
        estimates = values + 0.2 * rng.normal(size=values.shape)
        score = np.einsum("nfdke,nke->nfd", information, estimates)
        cells = np.full((len(values), 2), 30)
        first = slice(0, 1 if level == "gene" else 2)
        cells[first, 1] = 0
        score[first, :, 1] = information[first, :, 1] = information[first, :, :, :, 1] = 0
        found |= {f"{level}_score": score, f"{level}_information": information, f"{level}_cells": cells}
    return found


def test_genes_and_guides_are_shrunk_and_named():
    found = {level: shrink_fates(evidence(), level, "library", 10.0, 0.2) for level in ("gene", "guide")}
    for level, one in found.items():
        fate = one.by_fate
        assert fate.names.tolist() == evidence()[f"{level}s"].tolist()
        first = fate.mean[0]
        assert np.isnan(first[:, 1]).all()
        assert np.isfinite(first[:, 0]).all()
        last = slice(-10 if level == "gene" else -20, None)
        assert (fate.moved[last, 1] > 0.9).mean() > 0.9
        assert (fate.lfsr[last, 1] < 0.05).mean() > 0.9
        np.testing.assert_allclose(fate.patterns.sum(axis=2), 1)
        assert (fate.patterns[last, 1, PATTERNS.index("sustained")] > 0.8).mean() > 0.8
        assert len(one.by_contrast) == 2
        np.testing.assert_allclose(one.by_contrast[0].mean[last], 1.5, atol=0.6)
        assert one.mixture["n_rows"] == len(fate.names)
        pi0 = one.mixture["pi0_by_null_weight"]
        assert pi0["1"] <= pi0["3"] <= pi0["10"] == pytest.approx(one.mixture["pi0"])
        assert one.mixture["pi0"] + sum(one.mixture["pi"].values()) == pytest.approx(1)


def test_results_survive_their_file(tmp_path):
    one = shrink_fates(evidence(), "gene", "library", 10.0, 0.2).by_fate
    one.save(tmp_path / "f.npz")
    back = FateEffects.load(tmp_path / "f.npz")
    for name, values in vars(one).items():
        np.testing.assert_array_equal(getattr(back, name), values)


def test_estimand_gene_adds_guide_sampling_to_genes_alone():
    library, gene = (shrink_fates(evidence(), "gene", e, 10.0, 0.2) for e in ("library", "gene"))
    assert (gene.by_fate.sd[-10:, 1] > 1.05 * library.by_fate.sd[-10:, 1]).mean() > 0.8
    guides = [shrink_fates(evidence(), "guide", e, 10.0, 0.2).by_fate.mean for e in ("library", "gene")]
    np.testing.assert_array_equal(*guides)
    with pytest.raises(FatewalkError, match="too few genes"):
        shrink_fates(evidence() | {"guide_to_gene": np.arange(40)}, "gene", "gene", 10.0, 0.2)


def test_a_fate_that_is_rare_on_a_day_is_missing_there():
    rare = evidence() | {"composition": np.array([[0.6995, 0.4], [0.3, 0.3], [0.0005, 0.3]])}
    found = shrink_fates(rare, "gene", "library", 10.0, 0.2).by_fate
    assert np.isnan(found.lfsr[:, 2, 0]).all()
    assert np.isfinite(found.lfsr[1:, 2, 1]).all()
    assert np.isfinite(found.lfsr[:, :2, 0]).all()


def test_unshrunk_estimates_are_those_of_the_contrasts_on_the_scale_of_the_fates():
    given = evidence()
    one = mash.Evidence(given["gene_score"], given["gene_information"])
    estimate, se = unshrunk(one, SHARES)
    contrasts = given["gene_score"] / 25
    np.testing.assert_allclose(estimate[1:], mash.fate_scale(contrasts[1:], SHARES), atol=1e-9)
    assert np.isnan(estimate[0, :, 1]).all()
    step = 1e-5
    for f in range(3):
        slope = np.stack(
            [
                mash.fate_scale(contrasts[5] + step * np.eye(2)[k][:, None], SHARES)[f]
                - mash.fate_scale(contrasts[5], SHARES)[f]
                for k in range(2)
            ]
        ) / step  # fmt: skip
        np.testing.assert_allclose(se[5, f], 0.2 * np.sqrt((slope**2).sum(axis=0)), rtol=1e-3)


def test_a_change_is_claimed_only_where_the_labels_of_both_days_resolve_it():
    """On the first day a tenth of the effect of the second, as labels drawn to their mean show it."""
    given = evidence()
    weak = given | {"label_spread": np.array([[0.05, 0.5]] * 3)}
    for level in ("gene", "guide"):
        information = given[f"{level}_information"].copy()
        information[:, :, 0] *= 10
        information[:, :, :, :, 0] *= 10  # in all 100 times as sure, as labels that scatter less are
        estimates = given[f"{level}_score"] / 25
        estimates[:, :, 0] *= 0.1
        score = np.einsum("nfdke,nke->nfd", information, estimates)
        weak |= {f"{level}_score": score, f"{level}_information": information}
    strong = weak | {"label_spread": np.full((3, 2), 0.5)}
    named = {}
    for name, one in (("weak", weak), ("strong", strong)):
        genes = shrink_fates(one, "gene", "library", 10.0, 0.2).by_fate
        calls = FateCalls.of(genes, CALLS)
        row, fate = np.nonzero(calls.named)
        assert len(row) >= 8
        named[name] = hit_patterns(genes, calls, row, fate)
        steady = genes.steady[row, fate]
        assert (steady <= genes.patterns[row, fate] + 1e-12).all()
    pattern, prob, hidden = named["strong"]
    assert (pattern == "late").mean() > 0.9
    assert (hidden == "").all()
    assert np.median(prob) > 0.9
    pattern, prob, hidden = named["weak"]
    assert not ((pattern == "late") & (prob > 0.5)).any()
    assert (pattern == "present from day 5 on; day 2 not resolved").mean() > 0.9
    assert (hidden[pattern != "sustained"] == "day 2").all()


def test_no_change_is_claimed_because_the_other_genes_seem_to_change():
    """No effect on the first day, known to 0.2, which labels that spread a tenth would not show anyway."""
    given = evidence()
    late = dict(given)
    for level in ("gene", "guide"):
        late[f"{level}_score"] = given[f"{level}_score"].copy()
        late[f"{level}_score"][:, :, 0] *= 0.02
    for spread, claimed in ((0.5, True), (0.05, False)):
        one = late | {"label_spread": np.array([[spread, 0.5]] * 3)}
        genes = shrink_fates(one, "gene", "library", 10.0, 0.2).by_fate
        calls = FateCalls.of(genes, CALLS)
        row, fate = np.nonzero(calls.named)
        pattern, prob, _ = hit_patterns(genes, calls, row, fate)
        assert len(row) >= 8
        assert ((pattern == "late") & (prob > 0.9)).any() == claimed


def test_words_of_a_pattern_name_the_days_that_its_labels_hide():
    """A hit on the second day only, in logit late, whose first day labels cannot tell."""
    genes = effects({"mover": GENES["mover"]})
    late, steady = np.zeros((1, 3, len(PATTERNS))), np.zeros((1, 3, len(PATTERNS)))
    late[:, :, PATTERNS.index("late")], steady[:, :, PATTERNS.index("late")] = 0.9, 0.3
    calls = FateCalls(
        np.array([[[False, True]] * 3]), np.ones((1, 3), bool), np.array([True]), np.ones((1, 3), bool)
    )
    row, fate = np.array([0]), np.array([1])
    for gained, active, expected in (
        ([0.15, 0.9], [False, True], ("present from day 5 on; day 2 not resolved", 0.9, "day 2")),
        ([0.0, 0.9], [False, True], ("late", 0.3, "")),  # nothing that a day without a call could hide
        ([0.5, 0.0], [True, True], ("late", 0.3, "")),
    ):
        one = replace(genes, patterns=late, steady=steady, gained=np.array([[gained] * 3]))
        of = replace(calls, active=np.array([[active] * 3]))
        found = hit_patterns(one, of, row, fate)
        assert tuple(value[0] for value in found) == expected


def test_evidence_without_effects_gives_no_hits():
    none = evidence()
    for level in ("gene", "guide"):
        none[f"{level}_score"] = 0.05 * none[f"{level}_score"]
    found = shrink_fates(none, "gene", "library", 10.0, 0.2)
    assert not FateCalls.of(found.by_fate, CALLS).hit.any()
    assert pd.isna(found.by_fate.lfsr).sum() == 3

"""What a hit rests on, from parts that say what must come out."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fatewalk.calls.support import (
    INSEPARABLE,
    NO_REST,
    ONE_CONTROL,
    ONE_PART,
    ONE_REPLICATE,
    UNSURE,
    Controls,
    Parts,
    marks_of_controls,
    marks_of_defects,
    marks_of_direction,
    marks_of_parts,
    marks_of_replicates,
    support_table,
    with_marks,
)
from fatewalk.estimates.arrays import GuideParts

SHARES = np.array([[0.5], [0.3], [0.2]])
PER_CELL = 0.2  # information of a cell


NONE = Controls(np.array([], object), np.zeros((0, 3, 1)))


def supported(effects, cells, guide_variance=0.0, sign=1.0, controls=NONE):
    """The row of one hit on the second of three fates, on one day, from effects and cells of parts [J, R].

    The step starts from no effect, so that all is in the scores.
    """
    effects, cells = np.array(effects, float), np.array(cells)
    information = PER_CELL * cells[:, :, None, None] * np.ones((1, 1, 3, 1))
    score = information * effects[:, :, None, None] * np.array([-0.5, 1, -0.5])[:, None]
    guides = [f"g{i + 1}" for i in range(len(cells))]
    reps = [f"rep{i + 1}" for i in range(len(cells[0]))]
    given = GuideParts(
        score, information, cells[:, :, None], np.zeros((len(cells), 2, 1)), np.array(guides), np.array(reps),
        np.array([]), np.zeros((0, 3, 1)),
    )  # fmt: skip
    evidence = {
        "composition": SHARES, "guide_variance": np.array(guide_variance),
        "guide_to_gene": np.zeros(len(cells), int),
    }  # fmt: skip
    parts = Parts.of(given, evidence)
    parts = Parts(
        parts.step, information, parts.cells, parts.guide_variance, parts.guides, parts.replicates, parts.gene
    )
    total = (cells * effects).sum() / cells.sum()
    estimate = total * np.array([[[-0.5], [1], [-0.5]]])
    genes = SimpleNamespace(
        names=np.array(["x"]), fates=np.array(["REF", "A", "B"]), days=np.array(["day 2"]),
        estimate=estimate, se=np.full((1, 3, 1), (PER_CELL * cells.sum()) ** -0.5),
        mean=sign * np.abs(estimate),
    )  # fmt: skip
    hits = pd.DataFrame({"gene": ["x"], "fate": "A", "active_days": "day 2", "strongest_day": "day 2"})
    return support_table(hits, genes, parts, controls)


def test_a_hit_that_all_parts_show_carries_no_mark():
    found = supported([[0.9, 1.1], [1.0, 1.0]], [[100, 100], [100, 50]])
    row = found.iloc[0]
    assert (row["gene"], row["fate"], row["day"]) == ("x", "A", "day 2")
    assert row["replicates_agree"] == "2 of 2"
    assert row["by_replicate"] == "rep1: 0.95; rep2: 1.07"
    assert (row["largest_guide"], row["largest_guide_share"]) == ("g1", pytest.approx(200 / 350, abs=1e-3))
    assert (row["largest_part"], row["largest_part_share"]) == ("g1 in rep1", pytest.approx(0.286))
    assert (row["without_a_guide_low"], row["without_a_guide_high"]) == (1.0, 1.0)
    # without rep1 what rep2 says, without rep2 what rep1 says
    assert (row["without_a_replicate_low"], row["without_a_replicate_high"]) == (0.95, 1.067)
    assert row["without_largest_part"] == pytest.approx((110 + 100 + 50) / 250, abs=1e-3)
    assert row["survives"] == "yes"
    assert marks_of_parts(found) == [[]]


def test_a_hit_of_one_clone_is_marked():
    """All of the effect comes from one guide in one replicate; the others show nothing."""
    found = supported([[1.5, 0.0], [0.0, 0.0]], [[200, 60], [60, 60]])
    row = found.iloc[0]
    assert (row["survives"], row["weakest_without"]) == ("no", "g1 in rep1")
    assert (row["weakest_without_estimate"], row["without_largest_part"]) == (0.0, 0.0)
    assert marks_of_parts(found) == [[ONE_PART]]
    # a rest that leans the same way by chance does not save it, since the clone stands out
    assert marks_of_parts(supported([[1.5, 0.3], [0.3, 0.3]], [[200, 60], [60, 60]])) == [[ONE_PART]]
    # nor does a small clone hide behind a larger part
    row = supported([[0.0, 6.0], [0.0, 0.0]], [[200, 60], [60, 60]]).iloc[0]
    assert (row["largest_part"], row["weakest_without"], row["survives"]) == (
        "g1 in rep1",
        "g1 in rep2",
        "no",
    )
    # a part that stands out is no matter where the rest shows the hit on its own
    assert marks_of_parts(supported([[2.5, 1.2], [1.2, 1.2]], [[200, 60], [60, 60]])) == [[]]


def test_guides_that_differ_are_not_taken_for_clones():
    """Where guides of a gene differ anyway, a part that differs says little."""
    apart = [[1.5, 1.4], [0.5, 0.6]], [[200, 100], [60, 60]]
    assert marks_of_parts(supported(*apart, guide_variance=0.5)) == [[]]


def test_replicates_that_disagree_are_counted():
    row = supported([[1.5, -0.2]], [[200, 60]]).iloc[0]
    assert row["replicates_agree"] == "1 of 2"
    assert row["without_a_replicate_low"] == -0.2
    assert np.isnan(row["without_a_guide_low"])


def test_a_hit_of_one_replicate_is_marked():
    """Both guides show it in rep1, and neither in rep2; no single part makes it."""
    found = supported([[1.2, 0.0], [1.2, 0.1]], [[150, 150], [150, 150]])
    assert found["needed_replicate"].tolist() == ["rep1"]
    assert marks_of_replicates(found) == [[ONE_REPLICATE]]
    # a rest that shows the hit on its own, or that is too small to tell: no mark
    for parts in (
        ([[1.2, 0.6], [1.2, 0.6]], [[150, 150], [150, 150]]),
        ([[1.2, 0.5], [1.2, 0.5]], [[150, 6], [150, 6]]),
        ([[1.2], [1.2]], [[150], [150]]),
    ):
        assert marks_of_replicates(supported(*parts)) == [[]]
    loss = supported([[-1.2, 0.0], [-1.2, 0.0]], [[150, 150], [150, 150]], sign=-1.0)
    assert loss["needed_replicate"].tolist() == ["rep1"]


def test_a_loss_is_measured_in_its_own_direction():
    found = supported([[-0.9, -1.1], [-1.0, -1.0]], [[100, 100], [100, 50]], sign=-1.0)
    assert found["replicates_agree"].tolist() == ["2 of 2"]
    assert marks_of_parts(found) == [[]]


def test_a_hit_of_one_guide_in_one_replicate_has_nothing_beside_it():
    found = supported([[1.0]], [[200]])
    assert marks_of_parts(found) == [[NO_REST]]
    assert found[["replicates_agree", "weakest_without"]].to_numpy().tolist() == [["1 of 1", ""]]


def test_columns_stand_where_a_reader_looks_for_them():
    support = supported([[0.9, 1.1]], [[100, 100]])
    hits = pd.DataFrame({"gene": ["x"], "guides_agree": "1 of 1", "n_guides": 1, "provisional": "budget"})
    found = with_marks(hits, support, [["this", "and that"]])
    expected = ["gene", "guides_agree", "replicates_agree", "n_guides", "marks", "provisional"]
    assert list(found) == expected
    assert found["marks"].tolist() == ["this; and that"]
    empty = with_marks(hits[:0], support[:0], [])
    assert list(empty) == expected


def test_errors_follow_the_scatter_of_the_parts():
    """Parts that scatter four times too much get a quarter of the information; one alone does not."""
    rng = np.random.default_rng(1)
    information = np.full((400, 2, 3, 1), 5.0)
    score = rng.normal(size=information.shape) * np.sqrt(information) * np.array([1, 2, 0.5])[:, None]
    score[0] = 1e3
    given = GuideParts(
        score, information, np.full((400, 2, 1), 25), np.zeros((400, 2, 1)),
        np.arange(400).astype(str), np.array(["a", "b"]), np.array([]), np.zeros((0, 3, 1)),
    )  # fmt: skip
    evidence = {"composition": SHARES, "guide_variance": np.array(0.04), "guide_to_gene": np.arange(400)}
    parts = Parts.of(given, evidence)
    np.testing.assert_allclose(parts.information[0, 0, :, 0], [5, 1.25, 5], rtol=0.15)
    # between guides: half the variance of independent fates, and that of the others in their shares
    share = np.array([0.2, 0.3]) / 0.5
    assert parts.guide_variance[0, 0] == pytest.approx(0.02 * (1 + (share**2).sum()))


def test_a_control_that_makes_a_hit_is_named():
    """Two controls: without the first .6 of the effect of 1.0 is gone, without the second a little."""
    parts = [[1.0, 1.0]], [[30, 30]]  # an error of .29
    strong = Controls(
        np.array(["NTC_1", "NTC_2"], object), np.array([[[0.0], [-0.7], [0]], [[0.0], [0.1], [0]]])
    )
    found = supported(*parts, controls=strong)
    row = found.iloc[0]
    assert (row["without_a_control_low"], row["without_a_control_high"]) == (0.3, 1.1)
    assert row["needed_control"] == "NTC_1"
    assert marks_of_controls(found) == [[ONE_CONTROL]]
    # half of the effect is left, or as many errors as a hit needs: no mark
    for shift, cells in ((-0.45, [[30, 30]]), (-0.7, [[150, 150]])):
        weaker = Controls(np.array(["NTC_1"], object), np.array([[[0.0], [shift], [0]]]))
        assert marks_of_controls(supported(parts[0], cells, controls=weaker)) == [[]]
    assert marks_of_controls(supported(*parts)) == [[]]
    # a control that is the only one of its day cannot be left out
    only = Controls(np.array(["embryo"], object), np.full((1, 3, 1), np.nan))
    found = supported(*parts, controls=only)
    assert marks_of_controls(found) == [[]]
    assert np.isnan(found["without_a_control_low"][0])


def test_a_gene_that_occurs_with_another_is_marked():
    support = pd.DataFrame({"gene": ["a", "b", "c"]})
    defects = {
        "a": "Guides a_1 (gene a) and b_1 (gene b) always occur together: their effects cannot be told apart",
        "c": "Gene c is in 3 cells.",
    }
    assert marks_of_defects(support, defects) == [[INSEPARABLE], [], []]
    assert marks_of_defects(support, {}) == [[], [], []]


def test_controls_are_clusters_or_what_the_card_says_of_ntc_guides():
    shift = {name: {"shift_without": {"day 2": value}} for name, value in (("A", 0.2), ("B", 0.0))}
    parts = SimpleNamespace(controls=np.array([]), control_shift=np.zeros((0, 3, 1)))
    found = Controls.of({"ntc_guides": {"guides": {"NTC_1": shift}}}, parts, SHARES)
    assert found.names.tolist() == ["NTC_1"]
    np.testing.assert_allclose(found.shift[0, :, 0], [-0.2 * 0.3 / 0.5, 0.2, -0.2 * 0.3 / 0.8])
    for card in ({}, {"ntc_guides": None}, {"ntc_guides": {"not_measured": "few"}}):
        assert Controls.of(card, parts, SHARES).shift.shape == (0, 3, 1)
    parts = SimpleNamespace(controls=np.array(["e1"]), control_shift=np.ones((1, 3, 1)))
    assert Controls.of({}, parts, SHARES).names.tolist() == ["e1"]


def test_a_clone_of_one_day_is_not_thinned_out_by_other_days():
    """On the second day all parts show a little; the clone of the first day stands out there alone."""
    cells = np.array([[[100, 200], [60, 120]], [[60, 120], [60, 120]]])  # [J, R, D]
    effects = np.full(cells.shape, [0.0, 0.3])
    effects[0, 0, 0] = 1.1
    toward = np.array([-0.5, 1, -0.5])[:, None]
    parts = Parts(
        step=effects[:, :, None] * toward, cells=cells,
        information=PER_CELL * cells[:, :, None] * np.ones((3, 1)),
        guide_variance=np.zeros((3, 2)), guides=np.array(["g1", "g2"]), replicates=np.array(["rep1", "rep2"]),
        gene=np.zeros(2, int),
    )  # fmt: skip
    estimate = (cells * effects).sum(axis=(0, 1)) / cells.sum(axis=(0, 1)) * toward[None]  # [1, F, D]
    genes = SimpleNamespace(
        names=np.array(["x"]), fates=np.array(["REF", "A", "B"]), days=np.array(["day 2", "day 5"]),
        estimate=estimate, se=np.ones((1, 3, 1)) * (PER_CELL * cells.sum(axis=(0, 1))) ** -0.5, mean=estimate,
    )  # fmt: skip
    hits = pd.DataFrame({"gene": ["x"], "fate": "A", "active_days": "day 2; day 5", "strongest_day": "day 2"})
    none = Controls(np.array([], object), np.zeros((0, 3, 2)))
    assert marks_of_parts(support_table(hits, genes, parts, none)) == [[ONE_PART]]


def test_a_hit_that_may_move_the_other_way_is_marked():
    hits = pd.DataFrame({"gene": ["a", "b"], "lfsr": [0.2, 0.14]})
    assert marks_of_direction(hits) == [[UNSURE], []]

"""Each check passes where nothing is wrong, fails where it should, and says why."""

from dataclasses import replace

import numpy as np
import pytest

from fatewalk.certificate import checks
from fatewalk.certificate.nulls import Nulls

GENES, FATES, DAYS, CONTROLS = 30, 3, 2, 20


@pytest.fixture
def nulls():
    """Of a screen in which all is well."""
    rng = np.random.default_rng(3)
    pi = np.array([0.5, 0.3, 0.2])
    bend = 40 * np.broadcast_to(np.diag(pi) - np.outer(pi, pi), (GENES, DAYS, FATES, FATES))
    root = np.linalg.cholesky(bend[0, 0] + 1e-9 * np.eye(FATES))
    names = [np.array([f"{word}{i}" for i in range(n)]) for word, n in
             (("Gene", GENES), ("Fate", FATES), ("day", DAYS), ("NTC", CONTROLS))]  # fmt: skip
    score = rng.normal(size=(3, GENES, DAYS, FATES)) @ root.T
    z, of_genes = (
        rng.normal(size=(n, DAYS, FATES)) @ root.T / np.sqrt(bend[0, 0].diagonal()) for n in (CONTROLS, GENES)
    )
    share = 2 / 3 * np.ones_like(z), 2 / 3 * np.ones_like(of_genes)  # two independent ones of three fates
    return Nulls(
        genes=names[0], fates=names[1], days=names[2], score=score, variance=bend, bend=bend,
        told=np.ones((GENES, DAYS), dtype=bool), z_sd=np.ones((FATES, DAYS)),
        z_sd_freedom=np.full((FATES, DAYS), 700.0),
        p_value=rng.random((GENES, FATES)), permutations=np.array(200), controls=names[3], control_z=z,
        control_share=share[0], gene_z=of_genes, gene_share=share[1],
        units=np.array(3000), weight_ratio=np.ones(DAYS),
    )  # fmt: skip


def with_sd(nulls, fate, sd):
    """With z of a fate that scatter by sd."""
    z_sd = nulls.z_sd.copy()
    z_sd[fate] = sd
    return replace(nulls, z_sd=z_sd)


@pytest.mark.parametrize(("sd", "verdict"), [(1.0, "pass"), (1.1, "warn"), (1.3, "fail"), (0.7, "warn")])
def test_errors_of_one_fate_that_do_not_fit(nulls, sd, verdict):
    found = checks.shuffled_guides(with_sd(nulls, 1, sd))
    assert found.verdict == verdict
    assert found.value == pytest.approx(sd)
    if verdict != "pass":
        assert "'Fate1'" in found.words
        assert ("too small" if sd > 1 else "too large") in found.words


def test_errors_that_are_too_small_are_named_before_those_that_are_too_large(nulls):
    found = checks.shuffled_guides(with_sd(with_sd(nulls, 0, 0.3), 2, 1.2))
    assert found.verdict == "fail"
    assert "'Fate2'" in found.words


def test_few_cells_are_no_proof(nulls):
    few = replace(nulls, z_sd_freedom=nulls.z_sd_freedom / 100)
    assert checks.shuffled_guides(with_sd(nulls, 1, 1.3)).verdict == "fail"
    assert checks.shuffled_guides(with_sd(few, 1, 1.3)).verdict == "pass"
    assert checks.shuffled_guides(with_sd(few, 1, 0.75)).verdict == "pass"
    assert checks.shuffled_guides(with_sd(few, 1, 2.0)).verdict == "fail"
    none = replace(nulls, z_sd_freedom=0 * nulls.z_sd_freedom, z_sd=np.nan * nulls.z_sd)
    assert checks.shuffled_guides(none).value is None


def test_a_day_that_is_not_seen_does_not_count(nulls):
    gone, freedom = with_sd(nulls, 1, 1.0), nulls.z_sd_freedom.copy()
    gone.z_sd[1, 0], freedom[1, 0] = np.nan, 0.0
    assert checks.shuffled_guides(replace(gone, z_sd_freedom=freedom)).value == pytest.approx(1.0)


def times(nulls, controls=1.0, genes=1.0):
    """With louder z."""
    return replace(nulls, control_z=controls * nulls.control_z, gene_z=genes * nulls.gene_z)


def with_controls(nulls, n):
    """With the first controls alone."""
    return replace(
        nulls,
        control_z=nulls.control_z[:n],
        control_share=nulls.control_share[:n],
        controls=nulls.controls[:n],
    )


def test_controls_that_are_loud(nulls):
    assert checks.control_guides(nulls).verdict == "pass"
    loud = checks.control_guides(times(nulls, controls=1.5))
    assert loud.verdict == "fail"
    assert loud.value > loud.limit
    assert "cluster_key" in loud.words
    assert checks.control_guides(times(nulls, controls=1.1)).verdict != "fail", "too little to matter"
    few = checks.control_guides(with_controls(times(nulls, controls=1.3), 3))
    assert few.verdict == "pass"
    assert few.limit > checks.control_guides(nulls).limit
    assert "can tell little" in few.words
    assert checks.control_guides(with_controls(nulls, 0)).value is None


def test_controls_that_count_for_little_are_believed_little(nulls):
    loud = times(nulls, 1.3 / checks.control_guides(nulls).value)
    assert checks.control_guides(loud).verdict == "fail"
    alike = replace(loud, control_share=loud.control_share / 8)
    assert checks.control_guides(alike).verdict == "pass"


def test_genes_that_are_all_loud_fail_only_with_their_controls(nulls):
    assert checks.quiet_genes(nulls).verdict == "pass"
    assert checks.quiet_genes(times(nulls, genes=1.6)).verdict != "fail"
    both = checks.quiet_genes(times(nulls, 1.4, 1.4))
    assert both.verdict == "fail"
    assert both.value > both.limit
    acting = nulls.gene_z.copy()
    acting[:10] *= 8  # a third of the genes act
    assert checks.quiet_genes(replace(nulls, gene_z=acting)).verdict == "pass"
    assert checks.quiet_genes(replace(times(nulls, 1.4), gene_z=1.4 * acting)).verdict == "fail"


def test_controls_and_genes_together_see_what_neither_sees_alone(nulls):
    some = with_controls(replace(nulls, gene_share=nulls.gene_share / 2), 6)
    some = times(some, 1.29 / checks.control_guides(some).value, 1.35)
    alone = replace(some, gene_share=np.zeros_like(some.gene_share))
    assert checks.control_guides(some).verdict != "fail"
    assert checks.quiet_genes(alone).value is None
    assert checks.quiet_genes(some).verdict == "fail"


@pytest.mark.parametrize(
    ("z", "slope", "verdict"),
    [(1.0, 0.1, "pass"), (-3.2, 0.1, "warn"), (4.0, 0.3, "fail"), (-4.0, -0.3, "fail"), (9.0, 0.01, "warn")],
)
def test_the_slope_on_ntc_guides(z, slope, verdict):
    of_contrast = {"MES": {"slope": slope, "se": slope / z, "z": z}, "NEU": {"slope": 0, "se": 1, "z": 0.5}}
    found = checks.ntc_slope({"ntc_slope": of_contrast})
    assert found.verdict == verdict
    assert checks.ntc_slope({"ntc_slope": None}).verdict == "warn"


@pytest.mark.parametrize(("ratio", "verdict"), [(1.05, "pass"), (1.3, "warn"), (2.0, "fail"), (0.4, "fail")])
def test_the_weight_of_labels(nulls, ratio, verdict):
    found = checks.label_weight(replace(nulls, weight_ratio=np.array([1.0, ratio])))
    assert found.verdict == verdict
    assert verdict == "pass" or "day1" in found.words


def test_hits_in_shuffled_screens():
    assert checks.false_hits([0, 0, 1], 40).verdict == "pass"
    assert checks.false_hits([5, 4, 6], 40).verdict == "fail"


def test_the_verdict_is_the_worst_of_all(nulls):
    good, bad = checks.label_weight(nulls), checks.shuffled_guides(with_sd(nulls, 0, 2.0))
    assert checks.certificate("quick", [good], [])["verdict"] == "pass"
    found = checks.certificate("quick", [good, bad], checks.cannot_tell(nulls))
    assert found["verdict"] == "fail"
    assert found["words"].startswith("NOT CERTIFIED: shuffled_guides")
    assert any("exchanged" in words for words in found["cannot_tell"])
    assert checks.certificate("none", [], [])["words"] == "not certified"

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
    z = rng.normal(size=(CONTROLS, DAYS, FATES)) @ root.T / np.sqrt(bend[0, 0].diagonal())
    return Nulls(
        genes=names[0], fates=names[1], days=names[2], score=score, variance=bend, bend=bend,
        told=np.ones((GENES, DAYS), dtype=bool), z_sd=np.ones((FATES, DAYS)),
        p_value=rng.random((GENES, FATES)), permutations=np.array(200), controls=names[3], control_z=z,
        units=np.array(3000), weight_ratio=np.ones(DAYS),
    )  # fmt: skip


def with_sd(nulls, fate, sd):
    """With z of a fate that scatter by sd."""
    z_sd = nulls.z_sd.copy()
    z_sd[fate] = sd
    return replace(nulls, z_sd=z_sd)


@pytest.mark.parametrize(("sd", "verdict"), [(1.0, "pass"), (1.1, "warn"), (1.3, "fail"), (0.7, "fail")])
def test_errors_of_one_fate_that_do_not_fit(nulls, sd, verdict):
    found = checks.shuffled_guides(with_sd(nulls, 1, sd))
    assert found.verdict == verdict
    assert found.value == pytest.approx(sd)
    if verdict != "pass":
        assert "'Fate1'" in found.words
        assert ("too small" if sd > 1 else "too large") in found.words


def test_few_cells_are_no_proof(nulls):
    found = checks.shuffled_guides(replace(with_sd(nulls, 1, 1.3), units=np.array(240)))
    assert found.verdict == "warn"
    assert "no proof" in found.words


def test_controls_that_are_loud(nulls):
    assert checks.control_guides(nulls).verdict == "pass"
    loud = checks.control_guides(replace(nulls, control_z=1.5 * nulls.control_z))
    assert loud.verdict == "fail"
    assert "cluster_key" in loud.words
    few = replace(nulls, control_z=1.5 * nulls.control_z[:5], controls=nulls.controls[:5])
    assert checks.control_guides(few).verdict != "fail"
    none = replace(nulls, control_z=nulls.control_z[:0], controls=nulls.controls[:0])
    assert checks.control_guides(none).value is None


def test_genes_that_are_all_loud_fail_only_with_their_controls(nulls):
    z = np.random.default_rng(1).normal(size=(GENES, FATES, DAYS))
    quiet, loud = (checks.control_guides(replace(nulls, control_z=s * nulls.control_z)) for s in (1, 1.5))
    assert checks.quiet_genes(z, quiet).verdict == "pass"
    assert checks.quiet_genes(1.5 * z, quiet).verdict == "warn"
    assert checks.quiet_genes(1.5 * z, loud).verdict == "fail"
    z[:10] *= 8  # a third of the genes act
    assert checks.quiet_genes(z, quiet).verdict == "pass"


@pytest.mark.parametrize(("z", "verdict"), [(1.0, "pass"), (-4.0, "warn"), (7.0, "fail")])
def test_the_slope_on_ntc_guides(z, verdict):
    card = {"ntc_slope": {"MES": {"slope": 0.1, "se": 0.1, "z": z}, "NEU": {"slope": 0, "se": 1, "z": 0.5}}}
    found = checks.ntc_slope(card)
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

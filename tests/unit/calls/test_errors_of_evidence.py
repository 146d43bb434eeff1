"""NTC guides and replicates in the evidence that mash over fates rests on."""

import numpy as np
import pytest

from fatewalk import mash
from fatewalk.calls.fates import evidence_of_level, replicate_errors

L, CONTRASTS, DAYS = 5, 2, 3
SIZE = CONTRASTS * DAYS


@pytest.fixture
def evidence():
    rng = np.random.default_rng(1)
    root = rng.normal(size=(L, SIZE, SIZE))
    shift = rng.normal(size=(SIZE, 2))
    shape = (L, CONTRASTS, DAYS)
    information = (root @ root.swapaxes(1, 2) + np.eye(SIZE)).reshape(*shape, *shape[1:])
    return {
        "gene_score": rng.normal(size=shape), "gene_information": information,
        "guide_score": rng.normal(size=shape), "guide_information": information,
        "ntc_shift": (shift @ shift.T).reshape(*shape[1:], *shape[1:]),
        "replicate_variance": rng.uniform(0.1, 0.5, size=shape), "guide_variance": np.array(0.04),
        "guide_to_gene": np.arange(L), "genes": np.array(list("abcde")),
    }  # fmt: skip


def errors_of(given):
    """Error covariances [L, K, K] and estimates [L, K]."""
    covariance = np.linalg.inv(given.flat()[1])
    return covariance, (covariance @ given.flat()[0][:, :, None])[:, :, 0]


@pytest.mark.parametrize("level", ["gene", "guide"])
def test_the_shift_of_ntc_guides_adds_to_the_errors_and_moves_no_estimate(evidence, level):
    before = errors_of(mash.Evidence(evidence[f"{level}_score"], evidence[f"{level}_information"]))
    after = errors_of(evidence_of_level(evidence, level, "library"))
    np.testing.assert_allclose(
        after[0] - before[0], np.broadcast_to(flat(evidence["ntc_shift"][None]), after[0].shape)
    )
    np.testing.assert_allclose(after[1], before[1])


def test_population_adds_replicates_and_of_guides_what_is_known(evidence):
    library = errors_of(evidence_of_level(evidence, "gene", "library"))
    population = errors_of(evidence_of_level(evidence, "gene", "population"))
    wanted = flat(replicate_errors(evidence["replicate_variance"]))  # five genes: guides are not known
    np.testing.assert_allclose(population[0] - library[0], wanted, atol=1e-12)
    np.testing.assert_allclose(population[1], library[1])
    assert errors_of(evidence_of_level(evidence, "guide", "population"))[0] == pytest.approx(library[0])


def test_replicates_that_agree_leave_the_errors_alone(evidence):
    evidence["replicate_variance"][:] = 0.0
    library, population = (evidence_of_level(evidence, "gene", e) for e in ("library", "population"))
    np.testing.assert_allclose(population.information, library.information)


def test_replicate_errors_are_independent_by_day_and_alike_for_all_fates():
    found = replicate_errors(np.full((1, 2, 2), 0.09))[0]
    np.testing.assert_allclose(found[0, 0, 0, 0], 0.09)
    np.testing.assert_allclose(found[0, 0, 1, 0], 0.045)
    np.testing.assert_allclose(found[0, 0, :, 1], 0.0)


def flat(covariance):
    return covariance.reshape(len(covariance), SIZE, SIZE)

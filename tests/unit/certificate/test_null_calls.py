"""Screens with shuffled guides go through the same mash and calls as the real one."""

import numpy as np
import pytest

from fatewalk.certificate.null_calls import _information, hits_of_shuffled
from fatewalk.config.sections import CallsConfig
from tests.unit.certificate.test_checks import nulls  # noqa: F401

SHARES = np.repeat([[0.5], [0.3], [0.2]], 2, axis=1)


def evidence(nulls):  # noqa: F811
    """What mash asks for beside score and information."""
    return {"genes": nulls.genes, "fates": nulls.fates, "days": nulls.days, "composition": SHARES,
            "label_spread": np.ones((3, 2)), "steepness": np.ones((3, 2))}  # fmt: skip


def test_score_and_information_give_back_the_effects(nulls):  # noqa: F811
    theta = np.array([0.3, -0.2])
    information, onto = _information(nulls)
    score = nulls.bend[0, 0][1:, 1:] @ theta
    h = onto[0, 0] @ score
    assert np.linalg.solve(information[0, :, 0, :, 0], h) == pytest.approx(theta)
    assert information[0, :, 0, :, 1] == pytest.approx(0)


def test_noise_gives_no_hits_and_effects_do(nulls):  # noqa: F811
    from dataclasses import replace

    assert sum(hits_of_shuffled(nulls, evidence(nulls), 10, CallsConfig())) <= 1
    large = nulls.score.copy()
    large[:, :8] += (nulls.bend[0, 0] @ [0, 1.5, 0])[None, None, None]
    assert min(hits_of_shuffled(replace(nulls, score=large), evidence(nulls), 10, CallsConfig())) >= 6

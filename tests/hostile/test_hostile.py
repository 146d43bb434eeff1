"""Every hostile input ends in one clear refusal, in a warning, or in the right result: never in silence."""

import pytest

from tests.hostile.cases import CASES
from tests.hostile.screen import outcome_of

# what no user is to see: names of classes and modules of the library, and of the libraries below it
INTERNAL = [
    "Traceback",
    "pydantic",
    "fatewalk.",
    "Error:",
    "NoneType",
    "<class",
    "ndarray",
    "dtype",
    "KeyError",
    "np.",
]


def test_cases_have_names_of_their_own():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.stage}: {case.name}")
def test_a_hostile_input_is_told(case, tmp_path, chain):
    found = outcome_of(case, tmp_path, chain)
    kind = "refused" if case.expected == "refused" else "went on"
    assert (found.stage, found.kind) == (case.stage, kind), found.text
    assert [word for word in case.words if word not in found.text] == [], found.text
    never = (*INTERNAL, *case.never, *(["WARNING"] if case.expected == "right" else []))
    assert [word for word in never if word in found.text] == [], found.text

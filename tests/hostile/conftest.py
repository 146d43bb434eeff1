"""What the tests of hostile inputs share."""

import pytest

from tests.hostile.screen import finished_chain


@pytest.fixture(scope="session")
def chain(tmp_path_factory):
    return finished_chain(tmp_path_factory.mktemp("hostile_chain"))

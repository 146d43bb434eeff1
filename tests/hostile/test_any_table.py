"""Any bytes, and any values in the right columns, give a design or one refusal: nothing else."""

import io
import logging
import shutil
import warnings

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fatewalk.core.errors import FatewalkError
from tests.hostile.screen import BEFORE_FIT, PLAIN, Screen, first_steps, write_screen
from tests.hostile.test_hostile import INTERNAL

TABLES = sorted(PLAIN.values())
CALM = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
ANY = settings(max_examples=15, deadline=None, suppress_health_check=CALM)
NUMBERS = st.one_of(st.floats(), st.integers(), st.sampled_from(["1,5", "0x1", "1e400", "-0", " 1", "1_0"]))
TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["", "NA", "nan", "None", "inf", " ", "a|b", "=1+1", "cell0000001", "Gene001_g1", "d0"]),
)
VALUES = st.one_of(TEXTS, NUMBERS.map(str), st.booleans().map(str))


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    folder = tmp_path_factory.mktemp("right")
    write_screen(folder)
    return folder


def outcome(folder):
    """The refusal of what lies in a folder, or nothing; every other exception is let through."""
    log = logging.getLogger("fatewalk")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for _, step in first_steps(Screen(folder), BEFORE_FIT.index("design")):
                step()
    except FatewalkError as error:
        return str(error)
    finally:
        log.setLevel(level)  # of the tests that come after
    return ""


def spoilt(right, tmp_path, name, content):
    folder = tmp_path / "screen"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(right, folder)
    (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("name", TABLES)
@ANY
@given(content=st.one_of(st.binary(max_size=200), st.text("ab,;\t\n\r\"'01. \ufeff", max_size=200)))
def test_any_bytes(right, tmp_path, name, content):
    content = content.encode() if isinstance(content, str) else content
    told = outcome(spoilt(right, tmp_path, name, content))
    assert told
    assert [word for word in INTERNAL if word in told] == []


@pytest.mark.parametrize("name", TABLES)
@ANY
@given(data=st.data())
def test_bytes_that_change_a_table(right, tmp_path, name, data):
    content = (right / name).read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    gone = data.draw(st.integers(0, 300))
    put = data.draw(st.binary(max_size=5))
    told = outcome(spoilt(right, tmp_path, name, content[:at] + put + content[at + gone :]))
    assert [word for word in INTERNAL if word in told] == []


@pytest.mark.parametrize("name", TABLES)
@ANY
@given(data=st.data())
def test_any_values_in_the_right_columns(right, tmp_path, name, data):
    table = pd.read_csv(right / name, dtype=str, keep_default_na=False)
    column = data.draw(st.sampled_from(list(table.columns)))
    rows = data.draw(st.lists(st.integers(0, len(table) - 1), min_size=1, max_size=4))
    for row in rows if data.draw(st.booleans()) else [slice(None)]:
        table.loc[table.index[row], column] = data.draw(VALUES)
    written = io.BytesIO()
    table.to_csv(written, index=False)
    told = outcome(spoilt(right, tmp_path, name, written.getvalue()))
    assert [word for word in INTERNAL if word in told] == []


@pytest.mark.parametrize("value", ["INF", "1e400", "1e308", "-1e308", "99999999999999999999"])
@pytest.mark.parametrize("column", ["day", "time", "p_EC"])
def test_numbers_that_are_none(right, tmp_path, column, value):
    table = pd.read_csv(right / "cells.csv", dtype=str, keep_default_na=False)
    for rows in (slice(0, 1), slice(None)):
        table.loc[table.index[rows], column] = value
        told = outcome(spoilt(right, tmp_path, "cells.csv", table.to_csv(index=False).encode()))
        assert column == "time" or told
        assert [word for word in INTERNAL if word in told] == []

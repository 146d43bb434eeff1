"""Terminal cells tell whether the names of the fates fit their probabilities."""

import numpy as np
import pandas as pd
import pytest

from fatewalk.core.errors import FatewalkError
from fatewalk.screen.terminal import check_terminal

FATES = ["EC", "MES", "NEU"]


def screen(n=20, own=0.8, seed=0):
    """Probabilities of 3 n cells, n of them terminal in each fate."""
    rng = np.random.default_rng(seed)
    states = np.repeat(np.arange(3), n)
    p = rng.dirichlet(np.ones(3), 3 * n) * (1 - own)
    p[np.arange(3 * n), states] += own
    return pd.DataFrame(p, columns=FATES), pd.Series(np.array(FATES, dtype=object)[states], name="states")


def check(prob, states):
    return check_terminal(prob, states, "screen.h5ad", "Set fate_names: {order}.")


def test_right_names_are_silent():
    prob, states = screen()
    assert check(prob, states) == []
    assert check(prob[["NEU", "EC", "MES"]], states.astype("category")) == []  # any order of the columns
    states[::2] = None
    assert check(prob, states) == []
    assert check(prob, states.map({"EC": "x", "MES": "y"})) == []  # states by other names say nothing


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["MES", "EC", "NEU"], "[EC, MES, NEU]"),
        (["NEU", "EC", "MES"], "[EC, MES, NEU]"),
    ],
)
def test_names_in_another_order_are_refused(names, words):
    prob, states = screen(own=0.4)
    with pytest.raises(FatewalkError) as error:
        check(prob.set_axis(names, axis=1), states)
    assert f"Set fate_names: {words}." in str(error.value)
    assert "in which 'states' puts them of" in str(error.value)


def test_fates_without_terminal_cells_take_what_is_left():
    prob, states = screen()
    with pytest.raises(FatewalkError, match=r"fate_names: \[EC, MES, NEU\]"):
        check(prob.set_axis(["MES", "EC", "NEU"], axis=1), states.where(states != "NEU"))


def test_a_few_cells_say_nothing():
    prob, states = screen(n=4)
    assert check(prob.set_axis(["MES", "EC", "NEU"], axis=1), states) == []


def test_a_fate_that_is_preferred_everywhere_is_no_other_order():
    prob, states = screen(n=40, own=0.1)
    prob = (0.4 * prob).assign(EC=0.4 * prob["EC"] + 0.6)
    notes = check(prob, states)
    assert [note.split("in fate ")[1].split()[0] for note in notes] == ["MES", "NEU"]
    assert "of EC: are the names of the fates right?" in notes[0]

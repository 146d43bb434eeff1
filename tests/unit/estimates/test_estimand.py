"""What the calls ask for, and why."""

import numpy as np
import pytest

from fatewalk.core.errors import FatewalkError
from fatewalk.estimates.estimand import choose_estimand

SEVERAL, SINGLE = np.full(20, 4), np.ones(20, dtype=int)


@pytest.mark.parametrize(
    ("asked", "source", "beyond_one", "n_guides", "name", "truth", "words"),
    [
        ("auto", "mash_fates", 20, SEVERAL, "population", "gene", "guides and replicates count"),
        ("auto", "mash_fates", 20, SINGLE, "population", "library", "guides do not"),
        ("auto", "mash_fates", 19, SEVERAL, "library", "library", "19 further replicates"),
        ("auto", "mash_posterior", 20, SEVERAL, "library", "library", "mash_posterior"),
        ("population", "mash_fates", 3, SEVERAL, "population", "gene", "3 further replicates"),
        ("gene", "mash_fates", 0, SEVERAL, "gene", "gene", "replicates do not"),
        ("library", "mash_fates", 500, SEVERAL, "library", "library", "these guides in these replicates"),
    ],
)
def test_what_is_chosen_and_why(asked, source, beyond_one, n_guides, name, truth, words):
    chosen = choose_estimand(asked, source, beyond_one, n_guides)
    assert (chosen.name, chosen.of_truth) == (name, truth)
    assert words in chosen.words


def test_population_of_one_replicate_is_refused():
    with pytest.raises(FatewalkError, match="no gene has cells in two"):
        choose_estimand("population", "mash_fates", 0, SEVERAL)

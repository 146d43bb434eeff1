"""Several label sets of a data set: the first is run main, the others are runs of their own."""

import pytest

from fatewalk.config import load_config
from fatewalk.core.errors import FatewalkError


def loaded(fate_key, **entry):
    entry = {"anndata": "screen.h5ad", "fate_key": fate_key, **entry}
    return load_config({"datasets": {"screen": entry}, "model": {"fates": ["A", "B"]}})


def test_each_label_set_is_a_run_with_a_design_of_its_own():
    config = loaded(["lineages_fwd", "lineages_seed2", "rna:lineages"])
    assert list(config.runs["screen"]) == ["main", "lineages_seed2", "rna-lineages"]
    assert config.labels == {"screen": {"lineages_seed2": "lineages_seed2", "rna-lineages": "rna:lineages"}}
    assert config.datasets["screen"].fate_key == "lineages_fwd"
    runs = config.runs["screen"].values()
    assert len({run.design_id for run in runs}) == len({run.fit_id for run in runs}) == 3
    assert len({str(run.read_by("fit_effects")) for run in runs}) == 1


def test_one_label_set_is_what_it_was():
    one, listed = loaded("lineages_fwd"), loaded(["lineages_fwd"])
    assert one.settings("screen", "main").design_id == listed.settings("screen", "main").design_id
    assert listed.labels == {}
    several = loaded(["lineages_fwd", "b"])
    assert several.settings("screen", "main").fit_id == one.settings("screen", "main").fit_id


@pytest.mark.parametrize(
    ("fate_key", "words"),
    [
        ([], r"datasets.screen.fate_key: found \[\]; allowed: the name of a label set, or a list"),
        (["a", 2], r"fate_key: found \['a', 2\]; allowed: the name"),
        (["a", "b", "b"], r"fate_key: found 'b' and 'b'; allowed: each label set once"),
        (["a", "main"], r"fate_key: run main: 'main' cannot be a folder of results"),
        (["a", "loose"], r"fate_key: 'loose' is the name of a run, too"),
    ],
)
def test_wrong_label_sets_are_told(fate_key, words):
    with pytest.raises(FatewalkError, match=words):
        loaded(fate_key, runs={"loose": {"calls": {"fdr": 0.2}}})

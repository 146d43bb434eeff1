"""Section sweep: every value of a key is a run of its own."""

import pytest

from fatewalk.config import load_config
from fatewalk.core.errors import FatewalkError

DEMO = {"datasets": {"demo": {"simulate": {}, "mash": {"null_weight": 5}}}}


def test_each_value_is_a_run_that_differs_in_that_key_alone():
    config = load_config(DEMO | {"sweep": {"model.priors.s_tau": [0.5, 2], "calls.fdr": [0.1]}})
    assert list(config.runs["demo"]) == [
        "main",
        "model.priors.s_tau=0.5",
        "model.priors.s_tau=2",
        "calls.fdr=0.1",
    ]
    main, wide = (config.settings("demo", run) for run in ("main", "model.priors.s_tau=2"))
    assert (main.model.priors.s_tau, wide.model.priors.s_tau) == (1.0, 2.0)
    assert wide.mash == main.mash  # the keys of the entry hold for it, too
    assert wide.mash.null_weight == 5


def test_a_key_that_does_not_touch_the_fit_refits_nothing():
    config = load_config(DEMO | {"sweep": {"calls.fdr": [0.1], "mash.null_weight": [2], "fit.seed": [7]}})
    fits = {run: settings.fit_id for run, settings in config.runs["demo"].items()}
    assert fits["main"] == fits["calls.fdr=0.1"] == fits["mash.null_weight=2"] != fits["fit.seed=7"]


def test_the_ablation_has_no_sweep():
    config = load_config(DEMO | {"sweep": {"fit.seed": [7]}})
    assert all(list(config.runs[name]) == ["main", "uncentred"] for name in config.ablation_datasets)


@pytest.mark.parametrize(
    ("sweep", "words"),
    [
        ({"model.s_tau": [1]}, r"found the key 'model.s_tau' .*allowed: a key of design, model"),
        ({"calls.fdr": 0.1}, r"sweep.calls.fdr: found 0.1; allowed: a list of values"),
        ({"calls.fdr": []}, r"sweep.calls.fdr: found \[\]; allowed: a list of values"),
        ({"calls.fdr": [0.1, 0.1]}, r"found 0.1 twice"),
        ({"calls.fdr": [0.1, 3]}, r"sweep \(calls.fdr=3\).calls.fdr: found 3; allowed: numbers below 1"),
        ({"calls.lfsr_day": [0.01]}, r"calls.lfsr_day: found 0.01, which is read with rule lfsr"),
        ({"design.covariates": [["nosuch"]]}, r"design.covariates: found 'nosuch'"),
        ({"model.fates": [["A", "B"]]}, r"simulate.fates: found EC"),
        ([1], r"sweep: found \[1\]; allowed: keys with values"),
    ],
)
def test_what_cannot_be_swept_is_told(sweep, words):
    with pytest.raises(FatewalkError, match=words):
        load_config(DEMO | {"sweep": sweep})

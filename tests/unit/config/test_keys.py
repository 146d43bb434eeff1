"""Every key says which stages read it; what follows from that."""

import pytest
from pydantic import BaseModel

from fatewalk.config import load_config
from fatewalk.config.base import Section, key
from fatewalk.config.datasets import Overrides, kinds
from fatewalk.config.keys import keys_of
from fatewalk.config.root import SECTIONS
from fatewalk.config.sections import AblationConfig
from fatewalk.config.simulate import SimulateConfig
from fatewalk.core.versions import STAGES

CARRIED = frozenset({*Overrides.model_fields, "runs"})
MODELS = [*SECTIONS.values(), AblationConfig, SimulateConfig, *kinds().values()]


def undeclared(model: type[BaseModel]) -> list[str]:
    return [one.name for one in keys_of(model, CARRIED) if not set(one.read_by) & set(STAGES)]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_key_is_read_by_a_stage(model):
    assert undeclared(model) == []


def test_a_key_that_no_stage_declares_is_found():
    class Forgotten(Section):
        told: int = key(1, read_by=["fit_mash"], description="-")
        silent: int = 2

    assert undeclared(Forgotten) == ["silent"]
    with pytest.raises(ValueError, match="allowed: some of simulate_screen"):
        key(1, read_by=["fit_mesh"], description="-")


def settings(run="main", **sections):
    raw = {"datasets": {"demo": {"simulate": {}}}, **sections}
    return load_config(raw).settings("demo", run)


DEFAULTS_WRITTEN_OUT = {
    "model": {"ref_fate": "EC", "contrast_fate": "MES", "priors": {"s_tau": 1}},
    "design": {"covariates": []},
    "fit": {"gpus": 0, "likelihood_weight": "auto"},
    "mash": {"null_weight": 10},
}


def test_a_default_written_out_changes_nothing_that_a_stage_reads():
    plain, written = settings(), settings(**DEFAULTS_WRITTEN_OUT)
    for stage in STAGES:
        assert plain.read_by(stage) == written.read_by(stage)
    assert (plain.design_id, plain.fit_id) == (written.design_id, written.fit_id)


def test_carried_covariates_written_out_are_the_default():
    entry = {"simulate": {"covariate_effect": 0.3}}
    default, named, without = (
        load_config({"datasets": {"a": entry}, "design": design}).settings("a", "main")
        for design in ({}, {"covariates": ["covariate"]}, {"covariates": []})
    )
    assert default.fit_id == named.fit_id
    assert default.design_id != without.design_id


@pytest.mark.parametrize(
    ("change", "design", "fit"),
    [
        ({"fit": {"device": "cpu"}}, False, False),
        ({"fit": {"gpus": 1, "threads": 4, "checkpoint_minutes": 1}}, False, False),
        ({"fit": {"require": "none"}}, False, False),
        ({"calls": {"effect_size_eps": 0.5}}, False, False),
        ({"mash": {"null_weight": 1}}, False, False),
        ({"export": {"draws": 200}}, False, False),
        ({"model": {"contrast_fate": "NEU"}}, False, False),
        ({"fit": {"seed": 2}}, False, True),
        ({"model": {"priors": {"s_tau": 3}}}, False, True),
        ({"model": {"ref_fate": "NEU"}}, True, True),
        ({"design": {"cells_without_guides": "drop"}}, True, True),
    ],
)
def test_design_and_fit_are_named_after_what_changes_them(change, design, fit):
    plain, other = settings(), settings(**change)
    assert (plain.design_id != other.design_id, plain.fit_id != other.fit_id) == (design, fit)


def test_the_order_of_fates_counts_only_as_far_as_results_do():
    one = settings(model={"fates": ["EC", "MES", "NEU"]})
    same = settings(model={"fates": ["MES", "EC", "NEU"], "ref_fate": "EC"})
    assert one.read_by("build_design") == same.read_by("build_design")

"""Reading and resolving the configuration, and its error messages."""

import pytest

from fatewalk.config import SimulatedDataset, load_config
from fatewalk.config.datasets import kinds
from fatewalk.config.retired import RETIRED
from fatewalk.config.root import SECTIONS
from fatewalk.core.errors import FatewalkError
from fatewalk.screen import readers
from fatewalk.screen.readers.plain import PlainDataset

DEMO = {"demo": {"simulate": {"cells": 500}}}
PLAIN = {"cells": "c.csv", "guide_calls": "g.csv", "guide_map": "m.csv"}


def message_of(raw):
    with pytest.raises(FatewalkError) as caught:
        load_config(raw)
    return str(caught.value)


def test_defaults_fill_everything_but_datasets():
    config = load_config({"datasets": DEMO})
    settings = config.settings("demo", "main")
    assert isinstance(config.datasets["demo"], SimulatedDataset)
    assert config.results_dir == "results"
    assert settings.model.center_delta is True
    assert settings.model.fate_order == ["EC", "MES", "NEU"]


def test_later_layers_win_key_by_key():
    config = load_config(
        {
            "datasets": {
                "a": {
                    "simulate": {},
                    "fit": {"seed": 2},
                    "runs": {"x": {"fit": {"seed": 4}}, "own": {"fit": {"seed": 5}}},
                },
                "b": {"simulate": {}},
            },
            "fit": {"seed": 1, "max_steps": 77},
            "model": {"priors": {"s_tau": 3}},
            "runs": {"x": {"fit": {"seed": 3}, "model": {"priors": {"s_time": 4}}}},
        }
    )
    seeds = {(d, r): config.settings(d, r).fit.seed for d in "ab" for r in config.runs[d]}
    assert seeds == {("a", "main"): 2, ("a", "x"): 4, ("a", "own"): 5, ("b", "main"): 1, ("b", "x"): 3}
    assert config.settings("a", "x").fit.max_steps == 77
    assert config.settings("b", "x").model.priors.s_tau == 3
    assert config.settings("b", "x").model.priors.s_time == 4


def test_a_run_may_name_a_fate_that_the_top_level_adds():
    raw = {
        "datasets": {"p": PLAIN},
        "model": {"fates": ["A", "B"]},
        "runs": {"turned": {"model": {"ref_fate": "B"}}},
    }
    assert load_config(raw).settings("p", "turned").model.reference == "B"


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({}, ["datasets: found nothing"]),
        ({"datasets": {"d": {}}}, ["datasets.d", "simulate, anndata, cells"]),
        ({"datasets": {"d": {"simulate": {}, "cells": "x"}}}, ["exactly one of the keys"]),
        (
            {"datasets": {"d": {"simulate": {"cels": 1}}}},
            ["datasets.d.simulate.cels", "did you mean 'cells'"],
        ),
        ({"datasets": DEMO, "modle": {}}, ["modle: unknown key", "did you mean 'model'"]),
        ({"datasets": DEMO, "fit": {"device": "gpu"}}, ["fit.device: found 'gpu'", "auto | cpu | cuda"]),
        (
            {"datasets": DEMO, "fit": {"family": "structurd"}},
            ["fit.family: found 'structurd'", "structured | laplace"],
        ),
        (
            {"datasets": DEMO, "fit": {"family": "gene_block"}},
            ["fit.family: found", "benchmarks/baselines.py"],
        ),
        ({"datasets": DEMO, "fit": {"seed": "abc"}}, ["fit.seed: found 'abc'; allowed: a whole number"]),
        ({"datasets": DEMO, "runs": {"x": {"mash": {"egine": 1}}}}, ["runs.x.mash.egine", "'engine'"]),
        ({"datasets": {"d": {"simulate": {}, "fit": {"famly": 1}}}}, ["datasets.d.fit.famly", "'family'"]),
        (
            {"datasets": {"d": {"simulate": {}, "runs": {"x": {"calls": {"lfsr_day": 2}}}}}},
            ["datasets.d.runs.x.calls.lfsr_day: found 2"],
        ),
        ({"datasets": DEMO, "runs": {"main": {}}}, ["runs.main", "'main' cannot be a folder"]),
        ({"datasets": {"a/b": {"simulate": {}}}}, ["'a/b' cannot be a folder"]),
        ({"datasets": DEMO, "model": {"ref_fate": "ES"}}, ["model.ref_fate: found 'ES'", "EC, MES, NEU"]),
        ({"datasets": DEMO, "model": {"priors": {"s_alfa": 1}}}, ["model.priors.s_alfa", "'s_alpha'"]),
        (
            {"datasets": {"p": {**PLAIN, "cells": 3}}},
            ["datasets.p.cells: found 3; allowed: text; put it in quotes"],
        ),
        ({"datasets": {"p": {"cells": "c.csv"}}}, ["datasets.p.guide_calls: missing"]),
        (
            {"datasets": DEMO, "calls": {"estimand": "gene", "source": "mash_posterior"}},
            ["calls.estimand: found 'gene'", "allowed: library"],
        ),
        ({"datasets": {"p": PLAIN}, "ablation": {"dataset": "p"}}, ["ablation.dataset: found 'p'"]),
        ({"datasets": {"p": {**PLAIN, "fit": 3}}}, ["datasets.p.fit: found 3"]),
        ({"datasets": {"d": {"simulate": 5}}}, ["datasets.d.simulate: found 5"]),
        ({"datasets": {"d": {"simulate": {}, "runs": ["a"]}}}, ["datasets.d.runs: found ['a']"]),
        ({"datasets": {"d": {"simulate": {}, "runs": {"x": 3}}}}, ["datasets.d.runs.x: found 3"]),
        ({"datasets": {"d": {"anndta": "x", "guide_map": "g"}}}, ["did you mean 'anndata'"]),
        ({"datasets": {"d": {"simulate": {"fates": ["A", "B"]}}}}, ["datasets.d.simulate.fates: found A, B"]),
        ({"datasets": DEMO, "results_dir": ""}, ["results_dir: found ''"]),
        ({"datasets": DEMO, "model": {"fates": ["a{b}", "c"]}}, ["'a{b}' cannot be a folder's name"]),
        (
            {"datasets": DEMO, "ablation": {"simulate": {"gide_sd": 1}}},
            ["config: 1 problem", "ablation.simulate.gide_sd", "'guide_sd'"],
        ),
        ({"datasets": {"demo": {"simulate": {"cels": 1}}}}, ["config: 1 problem"]),
    ],
)
def test_message_names_path_found_and_allowed(raw, words):
    message = message_of(raw)
    for word in words:
        assert word in message, message


def nested(name, value):
    """``{"fit": {"guide": value}}`` of "fit.guide"."""
    for part in reversed(name.split(".")):
        value = {part: value}
    return value


@pytest.mark.parametrize("name", RETIRED)
@pytest.mark.parametrize("level", ["", "datasets.demo", "runs.x", "datasets.demo.runs.x"])
def test_a_retired_key_is_refused_once_with_advice_wherever_it_stands(name, level):
    entry = {"simulate": {}}
    raw = {"datasets": {"demo": entry, "other": {"simulate": {}}}}
    section = nested(name, "x")
    if not level:
        raw |= section
    elif level == "datasets.demo":
        entry |= section
    else:
        (raw if level == "runs.x" else entry)["runs"] = {"x": section}
    where = f"{level}.{name}" if level else name
    assert message_of(raw) == f"config: 1 problem\n  - {where}: {RETIRED[name]}"


def test_no_retired_key_is_a_key():
    for name in RETIRED:
        section, key = name.split(".")
        assert key not in SECTIONS[section].model_fields


def test_all_problems_are_told_at_once_and_only_once():
    raw = {"datasets": DEMO, "fit": {"device": "gpu", "sed": 1}, "runs": {"x": {}, "y": {}}}
    message = message_of(raw)
    assert message.startswith("config: 2 problems")
    assert message.count("fit.device") == 1


def test_ablation_may_change_any_key_of_the_simulation():
    raw = {"datasets": DEMO, "ablation": {"seeds": 1, "simulate": {"effect_patterns": {"early": 1}}}}
    dataset = load_config(raw).datasets["ablation-1"]
    assert isinstance(dataset, SimulatedDataset)
    assert dataset.simulate.effect_patterns["early"] == 1


def test_an_empty_run_is_main_under_another_name():
    config = load_config({"datasets": DEMO, "runs": {"again": None}, "results_dir": "out/"})
    assert config.settings("demo", "again") == config.settings("demo", "main")
    assert config.results_dir == "out"


def test_text_that_yaml_reads_for_1e_6_becomes_a_number():
    config = load_config({"datasets": DEMO, "mash": {"eigen_floor": "1e-6"}})
    assert config.settings("demo", "main").mash.eigen_floor == 1e-6


def test_data_dir_is_where_relative_paths_start():
    entry = {**PLAIN, "guide_map": "/abs/m.csv"}
    config = load_config({"datasets": {"p": entry}, "data_dir": "in", "model": {"fates": ["A", "B"]}})
    dataset = config.datasets["p"]
    assert isinstance(dataset, PlainDataset)
    assert (dataset.cells, dataset.guide_map) == ("in/c.csv", "/abs/m.csv")


def test_ablation_adds_a_screen_per_seed_with_both_runs():
    config = load_config(
        {
            "datasets": {"demo": {"simulate": {"cells": 500}, "fit": {"seed": 9}}},
            "ablation": {"seeds": 2, "simulate": {"guide_sd": 0.9}},
            "runs": {"other": {}},
        }
    )
    assert config.ablation_datasets == ["ablation-1", "ablation-2"]
    second = config.datasets["ablation-2"]
    assert isinstance(second, SimulatedDataset)
    assert (second.simulate.seed, second.simulate.cells, second.simulate.guide_sd) == (2, 500, 0.9)
    assert list(config.runs["ablation-2"]) == ["main", "uncentred"]
    assert config.settings("ablation-2", "uncentred").model.center_delta is False
    assert config.settings("ablation-2", "main").fit.seed == 9


FORMAT = '''
from typing import ClassVar
from fatewalk.config.datasets import Dataset

class LoomDataset(Dataset):
    """``{loom: screen.loom, guide_map: guides.csv}``."""
    key: ClassVar = "loom"
    kind: ClassVar = "loom"
    files: ClassVar = ("loom", "guide_map")
    loom: str
    guide_map: str
    carried: ClassVar = []

ENTRY = LoomDataset
'''


def test_a_format_is_known_by_its_module_alone(tmp_path, monkeypatch):
    (tmp_path / "loom.py").write_text(FORMAT)
    monkeypatch.setattr(readers, "__path__", [*readers.__path__, str(tmp_path)])
    kinds.cache_clear()
    try:
        entry = {"loom": "a.loom", "guide_map": "g.csv"}
        raw = {"datasets": {"screen": entry}, "model": {"fates": ["A", "B"]}, "data_dir": "/data"}
        dataset = load_config(raw).datasets["screen"]
        assert dataset.kind == "loom"
        assert dataset.paths == {"loom": "/data/a.loom", "guide_map": "/data/g.csv"}
        with pytest.raises(FatewalkError, match=r"datasets\.screen\.lom"):
            load_config(raw | {"datasets": {"screen": entry | {"lom": 1}}})
    finally:
        kinds.cache_clear()

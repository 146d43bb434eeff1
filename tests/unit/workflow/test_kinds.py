"""Which files a run has, and which rules write them."""

import re

from fatewalk.config import load_config
from fatewalk.workflow.kinds import find_kinds, followed_by, kind_of

FATES = {"fates": ["EC", "MES"]}


def kinds(**sections):
    screens = {
        "one": {"simulate": {}},
        "two": {"simulate": {"fates": ["EC", "MES"]}, "model": FATES},
        "three": {"simulate": {}, "runs": {"more": {"mash": {"modes": ["conservative", "enriched"]}}}},
    }
    config = load_config({"datasets": screens, **sections})
    settings = {(d, r): s for d, runs in config.runs.items() for r, s in runs.items()}
    return find_kinds("results/{dataset}/{run}", settings), settings


def test_a_kind_for_each_distinct_set_of_files():
    found, settings = kinds()
    first, second, third = found.values()
    assert [kind.name("rank_hits") for kind in found.values()] == ["rank_hits", "rank_hits_2", "rank_hits_3"]
    assert first.runs == (("one", "main"), ("three", "main"))
    assert second.contrasts == ("MES",)
    assert third.runs == (("three", "more"),)
    assert "results/{dataset}/{run}/mash_guide_enriched.csv" in third.tables("fit_mash")
    assert found[kind_of(settings["three", "main"])] is first


def test_a_kind_holds_its_own_runs_and_no_others():
    first, second, third = kinds()[0].values()
    for kind, path in ((first, "three/main/"), (second, "two/main/"), (third, "three/more/")):
        assert re.match(kind.datasets(), path)
        assert sum(bool(re.match(one.datasets(), path)) for one in (first, second, third)) == 1
    assert not re.match(first.datasets(["one"]), "three/main/")
    assert first.datasets([]) == followed_by([]) == "(?!)"


def test_contract_tables_stand_twice_and_the_others_once():
    kind = next(iter(kinds()[0].values()))
    files = kind.tables("export_effects")
    assert sum("/gene_daywise_for_mash.csv" in name for name in files) == 1 + 2
    assert sum("/guide_concordance.csv" in name for name in files) == 2
    assert "results/{dataset}/{run}/guide_concordance.csv" not in files


def test_posterior_tables_come_from_the_engine_that_is_asked_for():
    python = next(iter(kinds()[0].values()))
    r = next(iter(kinds(mash={"engine": "mashr"})[0].values()))
    both = next(iter(kinds(mash={"engine": "mashr", "compare_engines": True})[0].values()))
    name = "mash_gene_conservative.csv"
    assert sum(path.endswith(f"/{name}") for path in python.mash_outputs()) == 3
    assert not any(path.endswith(f"/{name}") for path in r.mash_outputs())
    assert [p for p in both.mash_outputs() if name in p] == [
        f"results/{{dataset}}/{{run}}/contrast={c}/engine=python/{name}" for c in ("MES", "NEU")
    ]
    assert r.published_mashr() == [
        f"results/{{dataset}}/{{run}}/mash_{level}_conservative.csv" for level in ("gene", "guide")
    ]
    assert set(r.mash_outputs()) <= set(r.mash_inputs())

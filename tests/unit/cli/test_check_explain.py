"""``fatewalk check`` and ``fatewalk explain``."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

import fatewalk
from fatewalk.cli.check import expected_cost
from fatewalk.cli.explain import in_words
from fatewalk.core.errors import FatewalkError
from fatewalk.diagnostics.expected import detectable_effects
from fatewalk.report.data import _survival
from fatewalk.screen.resolution import Resolution
from tests.conftest import make_design
from tests.unit.cli.test_init import invoke, screen

KEYS = {
    "cells": 2500, "genes": 12, "guides_per_gene": 3, "days": [0, 2], "moi": 2, "active_genes": 4,
    "effect_size": [1.0, 1.5], "effect_patterns": {"sustained": 1}, "fates": ["EC", "MES"],
}  # fmt: skip


@pytest.fixture(scope="module")
def result():
    screen = fatewalk.simulate(**KEYS)
    cells = screen.cells.assign(day=screen.cells["day"].str.removeprefix("day"))  # labels are often numbers
    return fatewalk.fit(
        cells,
        screen.guide_map,
        screen.guide_calls,
        fates=KEYS["fates"],
        family="laplace",
        draws=200,
        estimand="library",
    )


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = {"datasets": {"tiny": {"simulate": dict(KEYS)}}, "model": {"fates": ["EC", "MES"]}}

    def write(**simulate):
        raw["datasets"]["tiny"]["simulate"] |= simulate
        Path("tiny.yaml").write_text(yaml.safe_dump(raw))
        return "tiny.yaml"

    return write


def test_check_says_what_is_in_the_screen(config):
    said = invoke("check", config())
    for words in (
        "2,500",
        "12 genes with 36 guides",
        "20 control guides",
        "rep2",
        "Smallest effect",
        "unknowns",
    ):
        assert words in said
    assert "Next: fatewalk run tiny.yaml" in said
    assert not Path("results").exists()


def test_check_warns_of_labels_that_do_not_resolve(config):
    assert "hardly tell" not in invoke("check", config())
    said = invoke("check", config(active_genes=0, labels="dirichlet", concentration=[200.0, 0.3]))
    assert "Labels of day0 hardly tell the fates apart" in said


def test_check_reads_every_label_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    screen("mine.h5ad")
    invoke("init", "mine.h5ad")
    raw = yaml.safe_load(Path("mine.yaml").read_text())
    raw["datasets"]["mine"]["fate_key"] = ["to_terminal_states", "lineages_typo"]
    Path("mine.yaml").write_text(yaml.safe_dump(raw))
    assert "lineages_typo" in invoke("check", "mine.yaml", code=1)


def test_check_tells_a_wrong_config_and_a_missing_one(config):
    path = Path(config())
    path.write_text(path.read_text().replace("genes:", "gene:"))
    assert "did you mean genes" in invoke("check", path, code=1).replace("'", "")
    assert "no such file" in invoke("check", "absent.yaml", code=1)


def test_the_closed_form_is_near_the_standard_errors_of_the_fit(result):
    _, design = make_design(**KEYS)
    effect, points = detectable_effects(design)
    effects = result.effects("gene", "fate")
    se = effects.groupby(["fate", "day"])["se"].median().unstack().loc[["EC", "MES"]].to_numpy()
    assert np.all(np.abs(effect / (2.8 * se) - 1) < 0.2)
    assert np.all((points > 0) & (points < 100))


def test_the_closed_form_holds_guides_and_replicates_where_the_calls_do():
    keys = KEYS | {"guide_sd": 0.4, "gene_replicate_sd": 0.5, "seed": 3}
    screen, design = make_design(**keys)
    result = fatewalk.fit(
        screen.cells, screen.guide_map, screen.guide_calls, fates=KEYS["fates"], family="laplace", draws=200,
        estimand="population", certificate="none",
    )  # fmt: skip
    se = result.effects("gene", "fate").groupby(["fate", "day"])["se"].median().unstack().to_numpy()
    alone, guides, both = (
        detectable_effects(design, guides=g, replicates=r)[0]
        for g, r in ((False, False), (True, False), (True, True))
    )
    assert np.all(alone / (2.8 * se) < 0.7)
    assert np.all((alone < guides) & (guides < both))
    assert np.all(np.abs(both / (2.8 * se) - 1) < 0.35)  # nuisances and shared cells are left out


def test_replicates_that_agree_add_nothing():
    design = make_design(**KEYS, guide_sd=0.0)[1]
    alone, both = (detectable_effects(design, replicates=counted)[0] for counted in (False, True))
    assert np.array_equal(alone, both)


def test_check_says_what_the_smallest_effect_holds(config):
    path = config()
    assert "with how much guides and replicates differ in these cells" in invoke("check", path)
    raw = yaml.safe_load(Path(path).read_text()) | {"calls": {"estimand": "library"}}
    Path(path).write_text(yaml.safe_dump(raw))
    assert "differ in these cells" not in invoke("check", path)


def test_detectable_effects_count_clusters_where_these_share_guides():
    keys = {**KEYS, "clusters": 20, "cluster_sd": 0.8}
    apart, _ = detectable_effects(make_design(**keys)[1])
    shared, _ = detectable_effects(make_design(**keys, cluster_shares_guides=True)[1])
    assert np.all(shared > 1.2 * apart)


def test_resolution_is_one_for_labels_and_small_for_soft_ones():
    assert np.allclose(Resolution.of(make_design(**KEYS)[1]).of_fate, 1)
    soft = make_design(**{**KEYS, "active_genes": 0}, labels="dirichlet", concentration=[200.0, 2.0])[1]
    first, second = Resolution.of(soft).of_fate.T
    assert np.all(first < 0.1)
    assert np.all((second > 0.1) & (second < 0.5))


@pytest.mark.parametrize(
    ("latents", "cells", "seconds", "gigabytes"),
    [
        (2030, 25_000, 4.6, 0.7),
        (6430, 100_000, 32, 1.7),
        (6430, 1_000_000, 79, 2.5),
        (6430, 2_000_000, 136, 3.3),
        (80_030, 1_000_000, 807, 6.6),
    ],
)
def test_size_of_a_fit_is_near_what_was_measured(latents, cells, seconds, gigabytes):
    """The table "Time and memory" of docs/benchmarks.md."""
    found = expected_cost(latents, cells, 12_000)
    assert np.all(np.abs(np.log(np.array(found) / (seconds, gigabytes))) < np.log(1.3))


# ------------------------------------------------------------------------------- explain


def test_a_hit_is_explained_in_words_and_numbers(result):
    hit = result.hits().iloc[0]
    said = "\n".join(in_words(result, hit["gene"]))
    assert f"{hit['percent_points']:+.1f} percentage points" in said
    assert f"{hit['guides_agree']} guides agree" in said
    assert said.count(f"{hit['gene']}_g") == 3  # its guides by name
    assert "called" in said


def test_days_that_are_numbers_stay_labels(result):
    assert set(result.hits()["strongest_day"]) <= {"0", "2"}
    assert set(result.run.table("survival.csv")["day"]) == {"0", "2"}
    assert {one["day"] for one in _survival(result.run)} == {"0", "2"}


def test_a_gene_that_is_active_and_no_hit_is_told_why(result, monkeypatch):
    hits, effects = set(result.hits()["gene"]), result.effects("gene").copy()
    gene = next(name for name in effects["gene"] if name not in hits)
    effects.loc[effects["gene"] == gene, "called"] = True
    guides = result.effects("guide", "fate")
    monkeypatch.setattr(type(result), "effects", lambda self, *level: guides if "guide" in level else effects)
    assert "does not pass the rule for a gene over all days" in "\n".join(in_words(result, gene))


def test_a_gene_without_a_hit_is_explained_too(result):
    hits = set(result.hits()["gene"])
    gene = next(name for name in result.effects("gene")["gene"] if name not in hits)
    said = "\n".join(in_words(result, gene.lower()))
    assert said.startswith(f"{gene} in ")
    assert "No hit. The clearest effect is on" in said
    assert "would be seen 4 times in 5" in said


def test_columns_of_later_stages_are_told_if_they_are_there(result, monkeypatch):
    hits = result.hits().assign(marks="hangs on one guide", replicates_agree="1 of 2", not_resolved="day0")
    monkeypatch.setattr(type(result.run), "all_hits", hits)
    said = "\n".join(in_words(result, hits["gene"].iloc[0]))
    assert "Look twice: hangs on one guide." in said
    assert "1 of 2 replicates agree" in said
    assert "Labels do not tell fates apart well on day0." in said


def test_near_names_are_suggested(result):
    with pytest.raises(FatewalkError, match=r"'Gene01' is no gene .* did you mean .*Gene001"):
        in_words(result, "Gene01")


def test_the_run_is_found_or_asked_for(result, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gene = result.hits()["gene"].iloc[0]
    assert "no run below ./results" in invoke("explain", gene, code=1)
    result.save("results/tiny/main")
    assert invoke("explain", gene).startswith(f"{gene} in ")
    result.save("results/tiny/other")
    assert "2 runs: results/tiny/main" in invoke("explain", gene, code=1)
    assert "no such folder" in invoke("explain", gene, "--run", "absent", code=1)


@pytest.mark.parametrize("command", ["init", "check", "run", "explain", "report", "power"])
def test_help_shows_an_example(command):
    assert re.search(rf"Example:\n +fatewalk {command} ", invoke(command, "--help"))

"""The page in a real browser: what it shows, what a reader can do, and that it asks for nothing."""

import os
import shutil
from types import SimpleNamespace
from urllib.parse import quote

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from fatewalk import plot
from fatewalk.api import Result, run_chain
from fatewalk.cli.explain import in_words
from fatewalk.config import load_config
from fatewalk.plot.effects import effects_on
from fatewalk.report import render, write_index, write_page
from fatewalk.report.data import axes_of, page_data
from fatewalk.report.words import methods, verdict
from fatewalk.run.files import Run
from fatewalk.stages import evaluate_recovery, rank_hits
from tests.workflow.conftest import TINY

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PHONE = {"width": 380, "height": 800}
PARTS = ".picture svg g"  # of a picture, which stands in the page as one thing

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="there is no chromium; apt-get install chromium"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small simulated screen of three fates with hits, through all stages."""
    fates = ["EC", "MES", "NEU"]
    screen = {**TINY["datasets"]["tiny"]["simulate"], "fates": fates, "labels": "dirichlet"}
    config = TINY | {"datasets": {"tiny": {"simulate": screen}}, "model": {"fates": fates}}
    config["fit"] = {"family": "laplace"}
    run = run_chain(load_config(config), "tiny", tmp_path_factory.mktemp("page"))
    evaluate_recovery.main(run)
    assert len(run.table("hits.csv")) > 3
    return run


@pytest.fixture(scope="module")
def withheld(run, tmp_path_factory):
    """The same run, as if its certificate had failed."""
    folder = tmp_path_factory.mktemp("withheld") / "tiny"
    shutil.copytree(run.folder.parent, folder)
    other = Run(folder / "main", run.contrasts, run.settings)
    other._held["json", other.folder / "certificate.json"] = run.json("certificate.json") | {
        "verdict": "fail"
    }
    rank_hits.main(other, folder / "summary")
    return other


def without_hits(run):
    """The same run, as if nothing had been called."""
    other = Run(run.folder, run.contrasts, run.settings)
    other._held["table", run.folder / "hits.csv"] = run.table("hits.csv").iloc[:0]
    return other


@pytest.fixture(scope="module")
def browser():
    """One browser for this module alone: a session's would leave an event loop to the other tests."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def path(run, tmp_path_factory):
    """The page, in a folder where no other file is."""
    path = tmp_path_factory.mktemp("alone") / "report.html"
    write_page(run, path)
    return path


def opened(browser, path, hash_="", **context):
    """The page in a tab of its own; what it printed and asked for."""
    page = browser.new_context(**context).new_page()
    page.said = []
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("request", lambda request: page.said.append(request.url))
    page.goto(f"{path.as_uri()}{hash_}")
    return page


@pytest.fixture(scope="module")
def page(browser, path):
    page = opened(browser, path)
    for name in ("overview", "volcano", "everything", "composition", "certainty", "burden", "power", "truth"):
        page.wait_for_selector(f"[data-picture={name}] svg", state="attached")
    return page


def test_the_same_tables_give_the_same_bytes(run, path):
    assert render(Run(run.folder, run.contrasts, run.settings)) == path.read_text()


def test_it_asks_for_nothing_and_reports_no_fault(page, path):
    asked = [line for line in page.said if not line.startswith(("data:", "blob:"))]
    assert asked == [path.as_uri()]
    assert path.stat().st_size < 10e6


def test_it_opens_on_the_answer(page, run):
    hits = run.table("hits.csv")
    heading = page.inner_text("h1")
    assert f"{hits['gene'].nunique()} genes of 12" in heading
    assert f"{len(hits)} hits" in heading
    assert "it converged" in page.inner_text(".verdict")
    for check in run.json("certificate.json")["checks"]:
        assert check["words"] in page.inner_text("#certificate")
    first = page.inner_text("#hits-table tbody tr:first-child")
    assert hits["gene"][0] in first
    assert f"{hits['percent_points'][0]:+.1f}".replace("-", "−") in first


def test_a_table_is_sorted_and_searched(page, run):
    hits = run.table("hits.csv")
    column = "#hits-table tbody tr td:nth-child(1)"
    page.wait_for_selector("#hits-table_wrapper input[type=search]")  # the table can sort
    page.click("#hits-table thead th:nth-child(6)")
    page.wait_for_selector("#hits-table thead th:nth-child(6)[aria-sort=ascending]")
    changes = page.eval_on_selector_all(
        "#hits-table tbody td:nth-child(6)", "cells => cells.map(cell => Number(cell.dataset.order))"
    )
    assert changes == sorted(hits["percent_points"])[: len(changes)]
    page.fill("#hits-table_wrapper input[type=search]", hits["gene"].iloc[-1])
    ranks = page.eval_on_selector_all(column, "cells => cells.map(cell => Number(cell.textContent))")
    assert set(ranks) == set(hits.loc[hits["gene"] == hits["gene"].iloc[-1], "rank"])
    page.fill("#hits-table_wrapper input[type=search]", "")


def test_a_gene_opens_by_search_by_click_and_by_its_address(page, browser, path, run):
    hit = run.table("hits.csv")["gene"][0]
    other = next(
        g for g in run.effects("gene", "fate")["gene"] if g not in set(run.table("hits.csv")["gene"])
    )
    page.fill("#gene-name", other.lower())
    page.keyboard.press("Enter")
    assert page.inner_text("#gene-title") == other
    assert "Not a hit" in page.inner_text("#gene-body")
    page.keyboard.press("Escape")
    assert not page.is_visible("#gene")
    page.click(f"#hits-table a:text-is('{hit}')")
    page.wait_for_selector("#gene svg >> nth=1")
    body = page.inner_text("#gene-body")
    assert "go more often to" in body or "go less often to" in body
    for guide in run.effects("guide", "fate").query("gene == @hit")["guide"].unique():
        assert guide in body
    assert page.url.endswith(f"#gene={hit}")
    page.keyboard.press("Escape")
    page.fill("#gene-name", "no such gene")
    page.keyboard.press("Enter")
    assert "There is no gene" in page.inner_text("#not-found")
    linked = opened(browser, path, f"#gene={hit}")
    assert linked.inner_text("#gene-title") == hit
    assert page.said[1:] == [line for line in page.said[1:] if line.startswith(("data:", "blob:"))]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_it(page, run, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page.emulate_media(color_scheme=scheme)
    rules = {"runOnly": ["color-contrast"]} if scheme == "dark" else None  # the rest is the same
    serious = [faults(Axe().run(page, context={"exclude": [[PARTS]]}, options=rules))]
    page.fill("#gene-name", run.table("hits.csv")["gene"][0])
    page.keyboard.press("Enter")
    page.wait_for_selector("#gene svg >> nth=1")
    serious.append(
        faults(Axe().run(page, context={"include": [["#gene"]], "exclude": [[PARTS]]}, options=rules))
    )
    page.keyboard.press("Escape")
    assert serious == [[], []]


def faults(found):
    """Serious faults of accessibility, with the places."""
    return [
        (one["id"], node["html"][:200])
        for one in found.response["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("scripts", [True, False], ids=["dressed", "before its scripts"])
def test_a_phone_shows_it_without_scrolling_sideways(browser, path, scripts):
    page = opened(browser, path, viewport=PHONE, java_script_enabled=scripts)
    if scripts:
        page.wait_for_selector("#hits-table.dataTable")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_fates_that_are_not_drawn_against_the_truth_are_told(browser, path, tmp_path):
    few = tmp_path / "report.html"
    few.write_text(path.read_text().replace("const FIRST_TRUTHS = 4;", "const FIRST_TRUTHS = 1;"))
    told = "The picture shows MES; all 2 fates stand in the files contrast=FATE/recovery_by_day.csv."
    assert told in opened(browser, few).text_content("#truth-words")
    assert "The picture shows" not in opened(browser, path).text_content("#truth-words")


def test_no_hits_are_said_with_what_could_have_been_seen(browser, run, tmp_path):
    write_page(without_hits(run), tmp_path / "report.html")
    page = opened(browser, tmp_path / "report.html")
    page.wait_for_selector("[data-picture=everything] svg")
    assert "No hits among 12 genes" in page.inner_text("h1")
    assert "the smallest effect" in page.inner_text("#hits")
    assert len(page.said) == len([line for line in page.said if line.startswith(("file:", "data:", "blob:"))])


def test_withheld_hits_are_told_from_those_that_follow(browser, run, withheld, tmp_path):
    hits = run.table("hits.csv")
    assert withheld.table("hits.csv").empty
    assert withheld.all_hits["gene"].tolist() == hits["gene"].tolist()
    assert (ad.read_h5ad(withheld.folder / "results.h5ad").obs["n_hits"] == 0).all()
    panel = effects_on(withheld, hits["fate"][0], "fate").panels[hits["fate"][0]]
    assert set(panel.genes[panel.hit]) == set(hits.loc[hits["fate"] == hits["fate"][0], "gene"])
    assert plot.volcano(withheld).findobj(lambda part: part.get_gid() == "warning")
    assert "WITHHELD" in "\n".join(in_words(Result(withheld), hits["gene"][0]))
    write_page(withheld, tmp_path / "report.html")
    page = opened(browser, tmp_path / "report.html", f"#gene={hits['gene'][0]}")
    assert f"{len(hits)} hits are withheld" in page.inner_text("h1")
    assert "Withheld: the certificate failed" in page.inner_text("#gene-body")
    states = page.evaluate("effectRows(DATA.genes, DATA.fates).map(row => row.state)")
    assert set(states) >= {"withheld", "not called"}
    assert "hit" not in states
    write_index([run, withheld], tmp_path.parent / "index.html")


def test_a_failed_certificate_comes_first_and_its_words_are_explained(run):
    other = without_hits(run)
    told = {"name": "control_guides", "verdict": "fail", "words": "Controls' z scores have a spread of 2."}
    failed = {**run.json("certificate.json"), "verdict": "fail", "checks": [told]}
    other._held["json", run.folder / "certificate.json"] = failed
    first = verdict(other, page_data(other, axes_of(other)))[0]
    assert (first["what"], first["state"]) == ("Certificate", "bad")
    assert "0 of 1 checks passed. Controls' z scores have a spread of 2." in first["text"]
    assert "A z score is an effect in units of its stated error" in first["text"]


def test_with_one_guide_a_gene_nothing_is_said_of_guides_against_genes(run):
    other = without_hits(run)
    asked = [item["what"] for item in verdict(other, page_data(other, axes_of(other)))]
    assert "Guides against genes" in asked
    report = run.json("design_report.json")
    report = {**report, "genes": {**report["genes"], "with_several_guides": 0}}
    other._held["json", run.folder / "design_report.json"] = report
    asked = [item["what"] for item in verdict(other, page_data(other, axes_of(other)))]
    assert "Guides against genes" not in asked


def test_several_runs_are_compared_on_one_page(browser, run):
    path = run.folder.parents[1] / "index.html"
    write_page(run, run.folder / "report.html")
    write_index([run, without_hits(run)], path)
    page = opened(browser, path)
    gene = run.table("hits.csv")["gene"][0]
    assert [*map(str.strip, page.locator("table >> nth=0 >> tbody td:nth-child(3)").all_inner_texts())] == [
        str(len(run.table("hits.csv"))),
        "0",
    ]
    page.click(f"tr:has(th:text-is('{gene}')) a")
    page.wait_for_selector("#gene[open]")
    assert page.inner_text("#gene-title") == gene
    (run.folder / "report.html").unlink()


def changed(run, change):
    """The same run with other tables and arrays: whatever the page reads, after a change of each."""
    render(first := Run(run.folder, run.contrasts, run.settings))
    other = Run(run.folder, run.contrasts, run.settings)
    for place, held in first._held.items():
        other._held[place] = change(held) if place[0] != "json" else held
    return other


def shown(browser, run, folder, gene):
    """What a page with its gene's panel says of faults, and asks for."""
    write_page(run, folder / "report.html")
    page = opened(browser, folder / "report.html", f"#gene={quote(gene, safe='')}")
    page.wait_for_function("[...document.querySelectorAll('.picture')].every(one => one.textContent)")
    page.wait_for_selector("#guides-table_wrapper", state="attached")
    assert page.inner_text("#gene-title") == gene
    return page, [line for line in page.said if not line.startswith(("file:", "data:", "blob:"))]


@pytest.mark.parametrize(
    "name", ["</script><script>document.title=1</script>", "long " * 60 + "name", "a'b\"&lt;=\\"]
)
def test_no_name_of_a_gene_breaks_the_page(browser, run, tmp_path, name):
    first = run.table("hits.csv")["gene"][0]

    def rename(held):
        if isinstance(held, dict):
            return {
                key: np.where(values == first, name, values) if key == "genes" else values
                for key, values in held.items()
            }
        return held.assign(
            **{key: held[key].astype(object).replace(first, name) for key in ("gene",) if key in held}
        )

    page, faults = shown(browser, changed(run, rename), tmp_path, name)
    assert faults == []
    assert page.title() == "tiny, run main: fatewalk"
    assert page.inner_text("#hits-table tbody tr:first-child th") == name.strip()
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_a_run_in_which_nothing_is_known_has_a_page(browser, run, tmp_path):
    def forget(held):
        if isinstance(held, dict):
            return {key: np.full_like(v, np.nan) if v.dtype.kind == "f" else v for key, v in held.items()}
        numbers = [] if "theta" in held else held.select_dtypes("float").columns  # a truth is known
        return held.assign(
            **dict.fromkeys(numbers, np.nan), **({"called": pd.NA} if "called" in held else {})
        )

    hits = run.table("hits.csv")
    page, faults = shown(browser, changed(run, forget), tmp_path, hits["gene"][0])
    assert faults == []
    assert "nan" not in page.inner_text("main").lower().replace("nanog", "")
    assert "not known" in page.inner_text("#hits-table")
    assert page.inner_text("[data-picture=volcano]").startswith("Nothing to show")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, ["mash) over fates and days", "largest set of genes, fates and days"]),
        (
            {"source": "joint"},
            ["those of the joint posterior", "largest set of genes and days of a contrast"],
        ),
        ({"source": "mash_posterior"}, ["shrunk once more"]),
        ({"scale": "contrast"}, ["largest set of genes and days of a contrast"]),
        ({"rule": "lfsr"}, ["divided by the number of days"]),
        ({"rule": "lfsr", "anyday_correction": "none"}, ["above 0.2 logit."]),
    ],
)
def test_the_methods_are_those_of_the_run(run, keys, said):
    settings = SimpleNamespace(**vars(run.settings))
    settings.calls = SimpleNamespace(**(vars(run.settings.calls) | keys))
    other = Run(run.folder, run.contrasts, settings)
    text = " ".join(methods(other))
    assert [words for words in said if words not in text] == []
    assert "a slope by day for the number of guides" in text


def test_no_smallest_effect_is_said_where_none_could_be_seen(run):
    """A fate without cells on a day would stretch the picture to odds of a million."""
    table = run.effects("gene", "fate").copy()
    here = table["day"] == run.days[0]
    median = table.loc[here & (table["fate"] == "MES"), "se"].median()
    table.loc[here & (table["fate"] == "NEU"), "se"] = 5.0
    other = Run(run.folder, run.contrasts, run.settings)
    other._held["effects of genes by fate", run.folder / "effects.parquet"] = table
    power = page_data(other, axes_of(other))["power"]
    assert power["NEU"][0] is None
    assert power["NEU"][1] is not None
    assert power["MES"][0] == pytest.approx(2.8 * median, rel=1e-3)
    assert set(power) == {run.reference, "MES", "NEU"}

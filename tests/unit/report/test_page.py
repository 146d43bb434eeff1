"""The page in a real browser: what it shows, what a reader can do, and that it asks for nothing."""

import os
import shutil

import pytest

from fatewalk.api import run_chain
from fatewalk.config import load_config
from fatewalk.report import render, write_index, write_page
from fatewalk.run.files import Run
from fatewalk.stages import evaluate_recovery
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


def test_a_phone_shows_it_without_scrolling_sideways(browser, path):
    page = opened(browser, path, viewport=PHONE)
    page.wait_for_selector("[data-picture=overview] svg")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_no_hits_are_said_with_what_could_have_been_seen(browser, run, tmp_path):
    write_page(without_hits(run), tmp_path / "report.html")
    page = opened(browser, tmp_path / "report.html")
    page.wait_for_selector("[data-picture=everything] svg")
    assert "No hits among 12 genes" in page.inner_text("h1")
    assert "the smallest effect" in page.inner_text("#hits")
    assert len(page.said) == len([line for line in page.said if line.startswith(("file:", "data:", "blob:"))])


def test_withheld_hits_come_first_and_are_not_shown_as_hits(browser, run, tmp_path):
    other = without_hits(run)
    other._held["table", run.folder / "hits_withheld.csv"] = run.table("hits.csv")
    told = {"name": "control_guides", "verdict": "fail", "words": "Controls' z scores have a spread of 2."}
    failed = {**run.json("certificate.json"), "verdict": "fail", "checks": [told]}
    other._held["json", run.folder / "certificate.json"] = failed
    write_page(other, tmp_path / "report.html")
    page = opened(browser, tmp_path / "report.html")
    assert "withheld" in page.inner_text("h1")
    first = page.inner_text(".verdict li:first-child")
    assert "0 of 1 checks passed. Controls' z scores have a spread of 2." in first
    assert "A z score is an effect in units of its stated error" in first
    page.wait_for_selector("[data-picture=volcano] svg")
    legend = page.text_content("[data-picture=volcano] .role-legend")
    assert "withheld" in legend
    assert "follows others" not in legend


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


def test_names_cannot_break_out_of_the_page(run):
    other = Run(run.folder, run.contrasts, run.settings)
    hits = run.table("hits.csv")
    other._held["table", run.folder / "hits.csv"] = hits.assign(
        also_moved="</script><script>alert(1)</script>"
    )
    assert "<script>alert" not in render(other)

"""A screen whose certificate fails: its hits are withheld in every file that names hits, and all say so."""

from dataclasses import replace

import anndata
import pandas as pd
import pytest

from fatewalk.api import run_chain
from fatewalk.config import load_config
from fatewalk.core.files import read_json
from fatewalk.stages import rank_hits, write_report
from fatewalk.workflow.closing import summarise
from tests.workflow.conftest import TINY


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    """The folder and run of labels that count three times, and what the run says at its end."""
    config = load_config({**TINY, "fit": {"family": "laplace", "likelihood_weight": 3.0}})
    folder = tmp_path_factory.mktemp("failing")
    run = run_chain(config, "tiny", folder)
    write_report.main(run)
    return folder, run, "\n".join(summarise(run.folder, "tiny/main", "1 s"))


def test_hits_are_withheld_and_every_file_says_so(failing):
    _, run, said = failing
    certificate = read_json(run.folder / "certificate.json")
    assert certificate["verdict"] == "fail"
    by_name = {check["name"]: check for check in certificate["checks"]}
    assert by_name["label_weight"]["verdict"] == "fail"
    assert by_name["label_weight"]["value"] > by_name["label_weight"]["limit"]
    hits, withheld = (pd.read_csv(run.folder / name) for name in ("hits.csv", "hits_withheld.csv"))
    assert hits.empty
    assert len(withheld) >= 3
    assert list(hits.columns) == list(withheld.columns)
    assert not anndata.read_h5ad(run.folder / "results.h5ad").obs["n_hits"].any()
    assert (run.folder / "summary.txt").read_text() == said + "\n"
    assert "NOT CERTIFIED: label_weight failed" in said
    assert by_name["label_weight"]["words"] in said
    assert f"{len(withheld)} hits are withheld" in said
    page = (run.folder / "report.html").read_text()
    assert f"The certificate failed: {len(withheld)} hits are withheld" in page
    assert "do not publish them before the reason is found" in page


def test_hits_are_shown_all_the_same_where_no_certificate_is_required(failing):
    folder, run, _ = failing
    withheld = pd.read_csv(run.folder / "hits_withheld.csv")
    calls = run.settings.calls.model_copy(update={"require": "none"})
    shown = replace(run, settings=replace(run.settings, calls=calls))
    rank_hits.main(shown, next((folder / "tiny").glob("summary")))
    write_report.main(shown)
    pd.testing.assert_frame_equal(pd.read_csv(run.folder / "hits.csv"), withheld)
    assert pd.read_csv(run.folder / "hits_withheld.csv").empty
    said = "\n".join(summarise(run.folder, "tiny/main", "1 s"))
    assert "NOT CERTIFIED" in said
    assert "withheld" not in said
    page = (run.folder / "report.html").read_text()
    assert "do not trust them" in page
    assert anndata.read_h5ad(run.folder / "results.h5ad").obs["n_hits"].any()

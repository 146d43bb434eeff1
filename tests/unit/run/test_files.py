"""A run as stages write it and as others open it later."""

import pandas as pd
import pytest

from fatewalk.core.errors import FatewalkError
from fatewalk.core.files import write_json
from fatewalk.core.tables import write_table
from fatewalk.run.files import Run
from fatewalk.run.manifest import enter
from fatewalk.run.settings import note_settings, read_settings, sections

MODEL = {"contrast_fate": "NEU", "ref_fate": "EC"}


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "screen" / "main", ["MES", "NEU"], sections({"model": MODEL}))


def test_contract_tables_of_the_primary_contrast_stand_at_the_top_as_well(run):
    for contrast in run.contrasts:
        table = pd.DataFrame({"gene": ["NA", "1"], "rank": [1, 2], "of": contrast})
        run.write(table, contrast, "hits_ranked.csv")
        run.write(table, contrast, "guide_concordance.csv")
    assert run.table("hits_ranked.csv")["of"].unique() == ["NEU"]
    assert run.table("hits_ranked.csv", "MES")["gene"].tolist() == ["NA", "1"]  # names stay text
    assert list(run.tables("guide_concordance.csv")) == ["MES", "NEU"]
    assert not (run.folder / "guide_concordance.csv").exists()


def test_a_folder_is_opened_as_the_run_that_wrote_it(run):
    write_json({"contrasts": run.contrasts}, run.folder / "run.json")
    note_settings(run.folder, "check_delta", {"model": {"contrast_fate": "NEU"}})
    note_settings(run.folder, "plot_figures", {"calls": {"lfsr_day": 0.01}, "model": MODEL})
    write_json({}, run.folder / "manifest.json")
    opened = Run.load(run.folder)
    assert (opened.contrasts, opened.primary, opened.reference) == (["MES", "NEU"], "NEU", "EC")
    assert opened.settings.calls.lfsr_day == 0.01
    assert opened.source == run.folder.parent / "input"


def test_of_a_setting_that_several_stages_read_the_first_is_believed(run):
    note_settings(run.folder, "plot_figures", {"calls": {"lfsr_day": 0.01}})
    note_settings(run.folder, "rank_hits", {"calls": {"lfsr_day": 0.05, "source": "joint"}})
    calls = read_settings(run.folder).calls
    assert (calls.lfsr_day, calls.source) == (0.05, "joint")  # the figures are not drawn again yet


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(FatewalkError, match=r"is no folder of a run.*: no run\.json"):
        Run.load(tmp_path)
    write_json({"contrasts": ["NEU"]}, tmp_path / "run.json")
    with pytest.raises(FatewalkError, match=r"no settings\.json"):
        Run.load(tmp_path)


def test_what_is_written_is_what_is_read_next(run):
    for rank in (1, 2):
        run.write(pd.DataFrame({"gene": ["a"], "rank": rank}), "NEU", "hits_ranked.csv")
        assert run.table("hits_ranked.csv")["rank"].tolist() == [rank]
        assert run.table("hits_ranked.csv", "NEU")["rank"].tolist() == [rank]


def test_effects_are_read_by_level_and_scale(run):
    rows = [(level, scale) for level in ("gene", "guide") for scale in ("fate", "contrast")]
    table = pd.DataFrame(rows, columns=["level", "scale"]).assign(gene="1", guide=None, estimate=range(4))
    write_table(table, run.folder / "effects.parquet")
    for row, (level, scale) in enumerate(rows):
        found = run.effects(level, scale)
        assert found["estimate"].tolist() == [row]
        assert found["gene"].tolist() == ["1"]


def test_hits_are_read_as_they_were_before_they_were_made_safe_for_a_spreadsheet(run):
    hits = pd.DataFrame({"gene": ["=1+1", "'=2", "-x", "TBXT"], "effect": [-1.0, 2.0, 3.0, 4.0]})
    write_table(hits, run.folder / "hits.csv")
    assert "'=1+1," in (run.folder / "hits.csv").read_text()
    pd.testing.assert_frame_equal(run.table("hits.csv"), hits)


def test_a_stage_reads_what_it_has_just_written_itself(run):
    run.write(pd.DataFrame({"gene": ["a"]}), "MES", "daywise_confusion.csv")
    enter(run.folder, "evaluate_recovery", [run.path("MES", "daywise_confusion.csv")])
    again = Run(run.folder, run.contrasts, run.settings)
    again.write(pd.DataFrame({"gene": ["b"]}), "MES", "daywise_confusion.csv")
    assert again.table("daywise_confusion.csv", "MES")["gene"].tolist() == ["b"]
    with pytest.raises(FatewalkError, match=r"is not what evaluate_recovery wrote there .* delete it"):
        Run(run.folder, run.contrasts, run.settings).table("daywise_confusion.csv", "MES")

"""What is registered of files and figures, and the documents that are made from it."""

from pathlib import Path

import pytest

from fatewalk.core.versions import STAGES
from fatewalk.run import layout
from fatewalk.run.document import columns, documents, find
from fatewalk.run.registry import FIGURES, FILES

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("path", documents(ROOT), ids=lambda path: path.name)
def test_committed_document_is_what_the_registry_writes(path):
    assert path.read_text() == documents(ROOT)[path], "run: python -m fatewalk.run.document"


def test_every_entry_names_a_stage_and_says_what_it_is():
    for entry in (*FILES, *FIGURES):
        assert entry.stage in ("", *STAGES), entry.name
        assert entry.text.endswith("."), entry.name
    for file in FILES:
        assert all(column.meaning for column in file.columns), file.name


def test_names_are_filled_in():
    names = layout.by_contrast("fit_mash", ["enriched"], by_engine=True)
    assert names == [
        f"mash_{level}_enriched.{kind}" for kind in ("csv", "json") for level in ("gene", "guide")
    ]
    assert layout.in_contract("mash_gene_enriched.csv")
    assert not layout.in_contract("mash_gene_enriched.json")


def test_copies_are_told_from_files_that_a_stage_writes():
    assert layout.copies("export_effects") == ["evidence.npz", "gene_power.csv"]
    assert "gene_power.csv" in layout.at_top("export_effects")
    assert "gene_power.csv" in layout.in_folder("summarise_posterior", "summary")
    assert "design/design.pt" in layout.at_top("publish_design")


def test_a_run_of_one_contrast_needs_no_overviews():
    assert layout.figures_of("evaluate_recovery", 1) == ["recovery"]
    assert layout.figures_of("evaluate_recovery", 2) == ["recovery", "overview_recovery"]
    assert layout.figures_of("check_delta", 2) == ["convergence"]


def test_a_table_of_columns_has_units_and_what_stands_before():
    text = columns(find("mash_<level>_<mode>.csv"))
    assert text.startswith("All columns of `<level>_daywise_for_mash.csv`, then:")
    assert "| `postmean_d*` | posterior mean of the effect | logit |" in text

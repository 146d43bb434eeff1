"""The stages one after the other in one process, without Snakemake."""

from fatewalk import plot
from fatewalk.api import run_chain
from fatewalk.config import load_config
from fatewalk.run.files import Run
from fatewalk.stages import evaluate_recovery
from tests.workflow.conftest import TINY


def test_a_chain_of_stages_makes_the_tables_of_the_workflow(finished, tmp_path):
    run = run_chain(load_config(TINY), "tiny", tmp_path)
    evaluate_recovery.main(run)
    for name in ("hits.csv", "effects.parquet", "contrast=MES/recovery_by_day.csv", "figures/recovery.png"):
        assert (run.folder / name).read_bytes() == finished.path(name).read_bytes(), name
    assert plot.heatmap(run).axes


def test_a_run_of_the_workflow_is_opened_and_drawn(finished):
    run = Run.load(finished.path("."))
    assert (run.primary, run.reference, run.days) == ("MES", "EC", ["day0", "day2"])
    assert run.settings.calls.lfsr_day == 0.05
    assert plot.volcano(run, "MES").axes

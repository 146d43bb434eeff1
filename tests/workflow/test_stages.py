"""The stages one after the other in one process, without Snakemake."""

from fatewalk import plot
from fatewalk.config import load_config
from fatewalk.run.files import Run
from fatewalk.run.settings import sections
from fatewalk.stages import (
    build_design,
    check_delta,
    evaluate_recovery,
    export_effects,
    fit_effects,
    fit_mash,
    publish_design,
    rank_hits,
    simulate_screen,
    summarise_posterior,
)
from fatewalk.workflow.kinds import OF_KIND
from tests.workflow.conftest import TINY


def test_a_chain_of_stages_makes_the_tables_of_the_workflow(finished, tmp_path):
    config = load_config(TINY)
    s, screen = config.settings("tiny", "main"), tmp_path / "tiny"
    source, design, fit, summary = (screen / name for name in ("input", "design", "fit", "summary"))
    run = Run(screen / "main", s.model.contrasts, s)
    simulate_screen.main(source, config.datasets["tiny"].simulate)
    build_design.main(source, design, sections(s.read_by("build_design")))
    mash = s.mash.model_dump(include=set(OF_KIND))
    publish_design.main(run.folder, design, fit, s.export.draws, run.reference, run.contrasts, mash)
    fit_effects.main(design, fit, s, threads=1)
    summarise_posterior.main(design, fit, summary, s.export.draws, s.fit.seed, threads=1)
    check_delta.main(run, fit, summary)
    export_effects.main(run, summary)
    fit_mash.main(run)
    rank_hits.main(run)
    evaluate_recovery.main(run)
    for name in ("hits.csv", "effects.parquet", "contrast=MES/recovery_by_day.csv", "figures/recovery.png"):
        assert (run.folder / name).read_bytes() == finished.path(name).read_bytes(), name
    assert plot.heatmap(run).axes


def test_a_run_of_the_workflow_is_opened_and_drawn(finished):
    run = Run.load(finished.path("."))
    assert (run.primary, run.reference, run.days) == ("MES", "EC", ["day0", "day2"])
    assert run.settings.calls.lfsr_day == 0.05
    assert plot.volcano(run, "MES").axes

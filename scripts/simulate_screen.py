"""Rule simulate_screen: draw a screen from the model, with its truth."""

import logging
from pathlib import Path

import checkout  # noqa: F401

from fatewalk.config import SimulateConfig
from fatewalk.screen.simulate import simulate_screen, write_screen
from fatewalk.workflow.stage import run_stage

log = logging.getLogger("fatewalk")


def main(snakemake):
    screen = simulate_screen(SimulateConfig(**snakemake.params.simulate))
    write_screen(screen, Path(snakemake.output.cells).parent)
    log.info(
        "out: %d cells, %d guide calls, %d guides (simulated)",
        len(screen.cells),
        len(screen.guide_calls),
        len(screen.guide_map),
    )


run_stage("simulate_screen", main, snakemake)  # noqa: F821

"""Rule simulate_screen: draw a screen from the model, with its truth."""

from pathlib import Path

import checkout  # noqa: F401

from fatewalk.config import SimulateConfig
from fatewalk.stages import simulate_screen
from fatewalk.workflow.stage import run_stage


def main(snakemake):
    source = Path(snakemake.output.cells).parent
    simulate_screen.main(source, SimulateConfig(**snakemake.params.simulate))


run_stage("simulate_screen", main, snakemake)  # noqa: F821

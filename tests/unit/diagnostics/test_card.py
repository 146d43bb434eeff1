"""What the fit card says, and that nothing else speaks beside it."""

import warnings

from fatewalk.config import DesignConfig, FitConfig, ModelConfig, SimulateConfig
from fatewalk.screen.design import build_design
from fatewalk.screen.simulate import simulate_screen
from fatewalk.stages.fit_effects import fit_effects


def test_a_screen_of_one_day_gives_no_warning_of_torch():
    drawn = simulate_screen(SimulateConfig(cells=300, genes=4, days=[0], active_genes=1))
    tables = drawn.cells, drawn.guide_calls, drawn.guide_map
    design, _ = build_design(*tables, DesignConfig(), ["EC", "MES", "NEU"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, card, _ = fit_effects(design, ModelConfig(), FitConfig(family="laplace"), progress=False)
    assert card["scales"]["sigma_time"]["MES"] == {"mean": [], "sd": []}

"""Screens that several tests share. One thread: two make small fits slower."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import settings

from fatewalk.config import DesignConfig, ModelConfig, SimulateConfig
from fatewalk.infer.checkpoint import Checkpoint
from fatewalk.infer.intercepts import day_intercepts
from fatewalk.infer.laplace import Laplace, fit_laplace
from fatewalk.model import make_terms
from fatewalk.model.coordinates import Coordinates
from fatewalk.model.rows import make_rows
from fatewalk.screen.design import build_design
from fatewalk.screen.simulate import simulate_screen

torch.set_num_threads(1)
settings.register_profile("shared_machine", deadline=None)
settings.load_profile("shared_machine")


def pytest_collection_modifyitems(items):
    """Files that run the workflow come first: at the end they would leave a worker idle."""
    items.sort(key=lambda item: item.path.parent.name != "workflow")


def make_design(**knobs):
    """Simulate a screen and build its design."""
    config = SimulateConfig(**knobs)
    screen = simulate_screen(config)
    design, _ = build_design(screen.cells, screen.guide_calls, screen.guide_map, DesignConfig(), config.fates)
    return screen, design


def rows_of(design, **config):
    """Rows of a design under the terms of section ``model``."""
    return make_rows(design, make_terms(design, ModelConfig(**config)))


def laplace_fit(design, terms=None, weight=1.0, dense_limit=10_000) -> Laplace:
    """Newton-Laplace at a fixed weight, which converged."""
    terms = terms or make_terms(design, ModelConfig())
    rows = make_rows(design, terms)
    found = fit_laplace(Coordinates(terms), rows, day_intercepts(design), weight, False, dense_limit)
    assert found.status == "converged"
    return found


@pytest.fixture(scope="session")
def small_design():
    """600 cells, 6 genes with 1 to 4 guides, 3 days, 3 fates, 2 replicates."""
    return make_design(
        cells=600, genes=6, guides_per_gene={1: 0.3, 2: 0.3, 4: 0.4}, ntc_guides=4, days=[0, 1, 3],
        moi=3, active_genes=3, labels="dirichlet", seed=5,
    )[1]  # fmt: skip


class CutOff(Checkpoint):
    """Behaves as if SIGTERM came before a chosen round or step."""

    def __init__(self, path, after):
        super().__init__(path)
        self.left = after

    @property
    def due(self):
        """Asked once in each round of Newton-Laplace and each step of SVI."""
        self.left -= 1
        self._terminated = self.left < 0
        return super().due

"""What the benchmark scripts share: the screens, the settings of the fit, and how to read its card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fatewalk.config import DesignConfig, FitConfig
from fatewalk.config.simulate import SimulateConfig
from fatewalk.screen.design import Design, build_design
from fatewalk.screen.simulate import SimulatedScreen, simulate_screen

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping


def add_fit_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--family`` and ``--likelihood-weight``; left out, they are the library's defaults."""
    parser.add_argument("--family", help="fit.family")
    parser.add_argument("--likelihood-weight", type=weight, help="fit.likelihood_weight: auto or a number")


def weight(text: str) -> str | float:
    """Read a likelihood weight from the command line."""
    return text if text == "auto" else float(text)


def fit_config(family: str | None, likelihood_weight: str | float | None, **settings: Any) -> FitConfig:
    """Section ``fit``; what is None keeps the library's default.

    Raises
    ------
    pydantic.ValidationError
        For a value that this version does not know.
    """
    settings |= {"family": family, "likelihood_weight": likelihood_weight}
    return FitConfig.model_validate({key: value for key, value in settings.items() if value is not None})


def draw_screen(simulate: Mapping[str, Any]) -> tuple[SimulatedScreen, Design]:
    """Simulate a screen and build its design.

    Parameters
    ----------
    simulate
        Keys of section ``simulate``.
    """
    config = SimulateConfig.model_validate(simulate)
    screen = simulate_screen(config)
    design, _ = build_design(screen.cells, screen.guide_calls, screen.guide_map, DesignConfig(), config.fates)
    return screen, design


def true_effects(screen: SimulatedScreen, design: Design, estimand: str) -> np.ndarray:
    """Return the true gene effects in the order of the design, [L, F*, D].

    Parameters
    ----------
    screen, design
        From `draw_screen`.
    estimand
        Column of ``truth_theta``: ``theta`` (the library's guides) or ``theta_gene``.
    """
    values = screen.truth_theta.set_index(["gene", "fate", "day"])[estimand]
    shape = (len(design.genes), len(design.contrasts), len(design.days))
    keys = [(g, f, d) for g in design.genes for f in design.contrasts for d in range(shape[2])]
    return values.loc[keys].to_numpy(float).reshape(shape)


def weights_by_day(card: Mapping[str, Any], design: Design) -> np.ndarray:
    """Likelihood weight that the fit used on each day, [D].

    ``weight_by_day`` of the card, by the day's label; a card without it has one weight for all.
    """
    if "weight_by_day" not in card:
        return np.full(len(design.days), float(card["likelihood_weight"]))
    return np.array([card["weight_by_day"][day] for day in design.days], dtype=float)


def true_weights(simulate: Mapping[str, Any], n_days: int) -> np.ndarray:
    """Weight that the simulated labels ask for, [D]: 1 for one-hot ones, c + 1 for Dirichlet(c)."""
    config = SimulateConfig.model_validate(simulate)
    if config.labels == "one_hot":
        return np.ones(n_days)
    return np.broadcast_to(np.asarray(config.concentration, dtype=float) + 1, n_days)

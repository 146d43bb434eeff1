"""Figures: one function a figure, a run in, ``matplotlib.figure.Figure`` out, no files written.

``heatmap(run)`` and ``overview_heatmap(run)`` are in the module ``figures/heatmap.py``, likewise the others
that `fatewalk.run.registry` names. The object-oriented interface of matplotlib is used throughout, never the
state of pyplot, so no display is needed and no figure stays open. ``save_figure`` writes them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from fatewalk.plot.columns import notes_of
from fatewalk.plot.save import save_figure, save_figures
from fatewalk.run.layout import contrast_figures, figures_of
from fatewalk.run.registry import FIGURES

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

    from fatewalk.run.files import Run

OVERVIEW = "overview_"
BY_SCALE = {one.name for one in FIGURES if one.by_scale}


def draw_figures(stage: str, run: Run, contrast: str | None = None) -> dict[str, Figure]:
    """The figures of a stage by name.

    Parameters
    ----------
    stage
        The stage.
    run
        The run.
    contrast
        Those of this contrast; None: of the primary one, by ``calls.scale``, with overviews where there are
        several.
    """
    if contrast is not None:
        return {
            name: figure(name)(run, contrast, **({"scale": "contrast"} if name in BY_SCALE else {}))
            for name in contrast_figures(stage)
        }
    return {name: figure(name)(run) for name in figures_of(stage, len(run.contrasts))}


def figure(name: str) -> Callable[..., Figure]:
    """The function that draws a figure.

    Raises
    ------
    AttributeError
        If no such figure is registered.
    """
    module = name.removeprefix(OVERVIEW)
    if module not in {one.name for one in FIGURES}:
        raise AttributeError(f"fatewalk.plot has no figure {name!r}")
    draw: Callable[..., Figure] = getattr(importlib.import_module(f"fatewalk.plot.figures.{module}"), name)
    return draw


def figure_names(run: Run) -> list[str]:
    """Names of the figures of a run: recovery where there is a truth."""
    stages = ["check_delta", "plot_figures", *(["evaluate_recovery"] if run.has_truth else [])]
    return [name for stage in stages for name in figures_of(stage, len(run.contrasts))]


def __getattr__(name: str) -> Callable[..., Figure]:
    """Figures are loaded when they are asked for, so that a new one has its name in one place."""
    return figure(name)


__all__ = ["draw_figures", "figure", "figure_names", "notes_of", "save_figure", "save_figures"]

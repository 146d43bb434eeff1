"""A fitted posterior, and its file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from fatewalk.config import ModelConfig
from fatewalk.core.files import atomic_path
from fatewalk.infer.families import BASELINES, Guide, make_guide
from fatewalk.infer.start import Start
from fatewalk.model import FateModel, Terms, make_terms
from fatewalk.screen.design import Design


@dataclass(frozen=True)
class Posterior:
    """A fitted variational posterior.

    Attributes
    ----------
    model
        On the CPU.
    guide
        Holds the fitted parameters.
    laplace
        State of the Laplace approximation (``Laplace.state``).
    weight : Tensor [M]
        Weight of a cell's label in each row of ``make_rows``.
    config
        Section ``model`` of the fit.
    """

    model: FateModel
    guide: Guide
    laplace: dict[str, Tensor]
    weight: Tensor
    config: ModelConfig


def save_posterior(posterior: Posterior, guide_name: str, path: Path) -> None:
    """Write a posterior as tensors and plain containers (readable with ``weights_only=True``)."""
    content = {
        "guide": guide_name,
        "model": posterior.config.model_dump(),
        "laplace": posterior.laplace,
        "weight": posterior.weight,
        "state": {
            name: value
            for name, value in posterior.guide.state_dict().items()
            if guide_name in BASELINES or name not in posterior.laplace
        },
    }
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        torch.save(content, file)  # to an open file: its temporary name must not enter the archive


def load_posterior(path: Path, design: Design, terms: Terms | None = None) -> Posterior:
    """Read a posterior.

    Parameters
    ----------
    path
        File.
    design
        That it was fitted to.
    terms
        Of its model; None: those that the design and the saved section ``model`` ask for.
    """
    content = torch.load(path, weights_only=True)
    config = ModelConfig(**content["model"])
    model = FateModel(terms or make_terms(design, config))
    name, state, laplace = content["guide"], content["state"], content["laplace"]
    guide = make_guide(name, model, Start.blank(model) if name in BASELINES else laplace)
    guide.load_state_dict(state if name in BASELINES else laplace | state)
    return Posterior(model, guide, laplace, content["weight"], config)

"""A fitted posterior, and its file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fatewalk.config import ModelConfig
from fatewalk.core.files import atomic_path, reading
from fatewalk.infer.families import Family, MakeFamily, make_family
from fatewalk.infer.further_errors import FurtherErrors
from fatewalk.infer.scatter import Scatter, load_scatter
from fatewalk.model import FateModel, Rows, Terms, make_rows, make_terms

if TYPE_CHECKING:
    from pathlib import Path

    from fatewalk.screen.design import Design


@dataclass(frozen=True)
class Posterior:
    """A fitted variational posterior.

    Attributes
    ----------
    model
        On the CPU.
    name
        Of the family, as in ``fit.family``.
    family
        Holds the fitted parameters.
    laplace
        State of the Laplace approximation (``Laplace.state``).
    symmetric
        State of the mode under the prior that treats all fates alike (``SymmetricMode.state``).
    weight : Tensor [M]
        Weight of a cell's label in each row of ``make_rows``.
    config
        Section ``model`` of the fit.
    further
        Errors of effects beside those of the labels.
    scatter
        Of the labels by fate; None: one dispersion for all fates of a day.
    """

    model: FateModel
    name: str
    family: Family
    laplace: dict[str, Tensor]
    symmetric: dict[str, Tensor]
    weight: Tensor
    config: ModelConfig
    further: FurtherErrors
    scatter: Scatter | None = None

    def rows(self, design: Design) -> Rows:
        """Rows of the design that it was fitted to, with the weights of the fit."""
        return make_rows(design, self.model.terms).weighted(self.weight)


def save_posterior(posterior: Posterior, path: Path) -> None:
    """Write a posterior as tensors and plain containers (readable with ``weights_only=True``)."""
    laplace = posterior.laplace
    content = {
        "family": posterior.name,
        "model": posterior.config.model_dump(),
        "laplace": laplace,
        "symmetric": posterior.symmetric,
        "weight": posterior.weight,
        "further": posterior.further.to_dict(),
        "scatter": posterior.scatter.state() if posterior.scatter else None,
        "state": {
            name: value
            for name, value in posterior.family.state_dict().items()
            if name not in laplace or not torch.equal(value, laplace[name])
        },
    }
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        torch.save(content, file)  # to an open file: its temporary name must not enter the archive


def load_posterior(
    path: Path, design: Design, terms: Terms | None = None, family: MakeFamily | None = None
) -> Posterior:
    """Read a posterior.

    Parameters
    ----------
    path
        As `save_posterior` wrote it.
    design
        That it was fitted to.
    terms
        Of its model, where they are not those of `make_terms`.
    family
        What made the family, if that is none of the package.

    Raises
    ------
    FatewalkError
        If it is no posterior of this design.
    """
    with reading(path):
        content = torch.load(path, weights_only=True)
        config = ModelConfig(**content["model"])
        model = FateModel(terms or make_terms(design, config))
        name, laplace = content["family"], content["laplace"]
        made = make_family(family or name, model, laplace)
        made.load_state_dict(made.state_dict() | content["state"])
        further = FurtherErrors.none(design)  # as in a fit of before they were estimated
        if "further" in content:
            further = FurtherErrors.from_dict(content["further"])
        scatter = load_scatter(content.get("scatter"))  # none in a fit of before it was estimated
        symmetric, weight = content["symmetric"], content["weight"]
        return Posterior(model, name, made, laplace, symmetric, weight, config, further, scatter)

"""A fitted posterior, and its file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from fatewalk.config import ModelConfig
from fatewalk.core.files import atomic_path
from fatewalk.infer.families import Family, MakeFamily, make_family
from fatewalk.model import FateModel, Sizes
from fatewalk.model.rows import Columns


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
    weight : Tensor [M]
        Weight of a cell's label in each row of ``make_rows``.
    """

    model: FateModel
    name: str
    family: Family
    laplace: dict[str, Tensor]
    weight: Tensor


def save_posterior(posterior: Posterior, path: Path) -> None:
    """Write a posterior as tensors and plain containers (readable with ``weights_only=True``)."""
    sizes, laplace = posterior.model.sizes, posterior.laplace
    content = {
        "family": posterior.name,
        "model": posterior.model.config.model_dump(),
        "contrasts": sizes.contrasts,
        "columns": asdict(sizes.columns),
        "has_slope": sizes.has_slope,
        "gaps": list(sizes.gaps),
        "guide_to_gene": sizes.guide_to_gene,
        "n_guides_per_gene": sizes.n_guides_per_gene,
        "laplace": laplace,
        "weight": posterior.weight,
        "state": {
            name: value
            for name, value in posterior.family.state_dict().items()
            if name not in laplace or not torch.equal(value, laplace[name])
        },
    }
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        torch.save(content, file)  # to an open file: its temporary name must not enter the archive


def load_posterior(path: Path, family: MakeFamily | None = None) -> Posterior:
    """Read a posterior; the design is not needed.

    Parameters
    ----------
    path
        As `save_posterior` wrote it.
    family
        What made the family, if that is none of the package.
    """
    content = torch.load(path, weights_only=True)
    sizes = Sizes(
        content["contrasts"],
        Columns(**content["columns"]),
        content["has_slope"],
        tuple(content["gaps"]),
        content["guide_to_gene"],
        content["n_guides_per_gene"],
    )
    model = FateModel(sizes, ModelConfig(**content["model"]))
    name, laplace = content["family"], content["laplace"]
    made = make_family(family or name, model, laplace)
    made.load_state_dict(made.state_dict() | content["state"])
    return Posterior(model, name, made, laplace, content["weight"])

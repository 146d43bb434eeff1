"""A fitted posterior, and its file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from fatewalk.config import ModelConfig
from fatewalk.core.files import atomic_path
from fatewalk.infer.families import BASELINES, Family, make_family
from fatewalk.infer.start import Start
from fatewalk.model import FateModel, Sizes
from fatewalk.model.rows import Columns


@dataclass(frozen=True)
class Posterior:
    """A fitted variational posterior.

    Attributes
    ----------
    model
        On the CPU.
    family
        Holds the fitted parameters.
    laplace
        State of the Laplace approximation (``Laplace.state``).
    weight : Tensor [M]
        Weight of a cell's label in each row of ``make_rows``.
    """

    model: FateModel
    family: Family
    laplace: dict[str, Tensor]
    weight: Tensor


def save_posterior(posterior: Posterior, family_name: str, path: Path) -> None:
    """Write a posterior as tensors and plain containers (readable with ``weights_only=True``)."""
    sizes = posterior.model.sizes
    content = {
        "family": family_name,
        "model": posterior.model.config.model_dump(),
        "contrasts": sizes.contrasts,
        "columns": asdict(sizes.columns),
        "has_slope": sizes.has_slope,
        "gaps": list(sizes.gaps),
        "guide_to_gene": sizes.guide_to_gene,
        "n_guides_per_gene": sizes.n_guides_per_gene,
        "laplace": posterior.laplace,
        "weight": posterior.weight,
        "state": {
            name: value
            for name, value in posterior.family.state_dict().items()
            if family_name in BASELINES or name not in posterior.laplace
        },
    }
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        torch.save(content, file)  # to an open file: its temporary name must not enter the archive


def load_posterior(path: Path) -> Posterior:
    """Read a posterior; the design is not needed."""
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
    name, state, laplace = content["family"], content["state"], content["laplace"]
    family = make_family(name, model, Start.blank(model) if name in BASELINES else laplace)
    family.load_state_dict(state if name in BASELINES else laplace | state)
    return Posterior(model, family, laplace, content["weight"])

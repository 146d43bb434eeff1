"""Square roots of the Laplace covariance: from white noise to deviations of the coordinates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping


class Whitening(Protocol):
    """A linear map C with C C' = covariance."""

    def colour(self, e: Tensor) -> Tensor:
        """White noise to deviations, [..., P] -> [..., P]."""

    @property
    def log_volume(self) -> Tensor:
        """Log determinant of C."""

    def state(self) -> dict[str, Tensor]:
        """Tensors to restore it from."""


class DenseWhitening:
    """From the Cholesky factor of the information, C = factor'^-1."""

    def __init__(self, factor: Tensor) -> None:
        self.factor = factor

    def colour(self, e: Tensor) -> Tensor:
        """White noise to deviations, [..., P] -> [..., P]."""
        flat = e.reshape(-1, len(self.factor)).T
        return torch.linalg.solve_triangular(self.factor.T, flat, upper=True).T.reshape(e.shape)

    @property
    def log_volume(self) -> Tensor:
        """Log determinant of C."""
        return -self.factor.diagonal().log().sum()

    def state(self) -> dict[str, Tensor]:
        """Tensors to restore it from."""
        return {"factor": self.factor}


class BlockWhitening:
    """Nuisances together, each gene given them: what genes share, they share through the nuisances.

    Parameters
    ----------
    nuisance : Tensor, int64 [N]
        Places of the nuisances.
    root : Tensor [N, N]
        Lower Cholesky factor of their covariance.
    loading : Tensor [P, N]
        Change of each coordinate with the nuisances.
    places : list of Tensor, int64 [Lg, K]
        Places of the genes' coordinates; one entry for each number of guides.
    roots : list of Tensor [Lg, K, K]
        Lower Cholesky factors of their covariances given the nuisances.
    """

    def __init__(
        self, nuisance: Tensor, root: Tensor, loading: Tensor, places: list[Tensor], roots: list[Tensor]
    ) -> None:
        self.nuisance, self.root, self.loading = nuisance, root, loading
        self.places, self.roots = places, roots

    def colour(self, e: Tensor) -> Tensor:
        """White noise to deviations, [..., P] -> [..., P]."""
        shared = e[..., self.nuisance] @ self.root.T  # [..., N]
        out = shared @ self.loading.T  # [..., P]
        for place, root in zip(self.places, self.roots, strict=True):
            own = torch.einsum("lkj,...lj->...lk", root, e[..., place])
            out = out.index_add(-1, place.reshape(-1), own.reshape(*e.shape[:-1], -1))
        return out

    @property
    def log_volume(self) -> Tensor:
        """Log determinant of C."""
        own = sum(root.diagonal(dim1=-2, dim2=-1).log().sum() for root in self.roots)
        return self.root.diagonal().log().sum() + own

    def state(self) -> dict[str, Tensor]:
        """Tensors to restore it from."""
        found = {"nuisance": self.nuisance, "nuisance_root": self.root, "loading": self.loading}
        for i, (place, root) in enumerate(zip(self.places, self.roots, strict=True)):
            found |= {f"place_{i}": place, f"root_{i}": root}
        return found


def load_whitening(state: Mapping[str, Tensor]) -> Whitening:
    """Undo ``state``; other entries are ignored."""
    if "factor" in state:
        return DenseWhitening(state["factor"])
    n_groups = sum(name.startswith("place_") for name in state)
    return BlockWhitening(
        state["nuisance"],
        state["nuisance_root"],
        state["loading"],
        [state[f"place_{i}"] for i in range(n_groups)],
        [state[f"root_{i}"] for i in range(n_groups)],
    )

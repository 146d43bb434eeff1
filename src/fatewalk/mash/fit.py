"""The mash model: prior covariances, their scales and mixture weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from fatewalk.errors import FatewalkError
from fatewalk.mash.covariances import autoselect_grid, normalised
from fatewalk.mash.data import Array, MashData
from fatewalk.mash.likelihood import loglik_matrix
from fatewalk.mash.weights import mixture_weights


@dataclass(frozen=True)
class MashFit:
    """A fitted prior; made by `fit_mash`.

    Parameters
    ----------
    covariance_names
        Names of the K prior covariances.
    covariances
        The covariances [K, D, D], largest variance 1.
    grid
        Prior scales (standard deviations) [G].
    point_mass
        Whether the first component is the point mass at zero.
    pi
        Mixture weights [P]: the point mass if there is one, then for each scale each covariance.
    loglik
        Log-likelihood of the data.
    objective
        Penalised log-likelihood that the weights maximise, of likelihoods divided by their row
        maximum.
    kkt_gap
        Distance from the optimum (`mixture_weights`); 0 at the optimum.
    iterations
        Newton steps of the weights.
    """

    covariance_names: tuple[str, ...]
    covariances: Array
    grid: Array
    point_mass: bool
    pi: Array
    loglik: float
    objective: float
    kkt_gap: float
    iterations: int

    @property
    def component_names(self) -> tuple[str, ...]:
        """Names of the P components, as in mashr: ``null``, then ``<covariance>.<scale from 1>``."""
        names = (f"{k}.{g + 1}" for g in range(len(self.grid)) for k in self.covariance_names)
        return ("null", *names) if self.point_mass else tuple(names)


def fit_mash(
    data: MashData,
    covariances: Mapping[str, ArrayLike],
    *,
    grid: ArrayLike | None = None,
    prior: Literal["nullbiased", "uniform"] = "nullbiased",
    null_weight: float = 10.0,
    point_mass: bool = True,
) -> MashFit:
    """Fit the mixture prior by empirical Bayes.

    Parameters
    ----------
    data
        The data.
    covariances
        Prior covariances [D, D] by name; each is divided by its largest variance.
    grid
        Prior scales (standard deviations), ascending [G]; `autoselect_grid` if None.
    prior
        ``nullbiased`` counts the point mass `null_weight` - 1 times more than the data do (the
        conservative choice); ``uniform`` maximises the likelihood.
    null_weight
        Strength of the bias, >= 1.
    point_mass
        Whether exactly zero effects in all conditions are a component.

    Returns
    -------
    MashFit
        The fitted prior.

    Raises
    ------
    FatewalkError
        If covariances, grid or prior are not usable.
    """
    names = tuple(covariances)
    stack = normalised(covariances, data.n_conditions)  # [K, D, D]
    scales = autoselect_grid(data) if grid is None else np.array(grid, float)  # [G]
    if scales.ndim != 1 or not scales.size or not np.isfinite(scales).all() or (scales <= 0).any():
        raise FatewalkError(f"the grid must be a list of positive scales; found {grid}.")
    penalty = np.zeros(int(point_mass) + len(scales) * len(names))  # [P]
    if prior == "nullbiased":
        if not (point_mass and np.isfinite(null_weight) and null_weight >= 1):
            raise FatewalkError(
                "the prior nullbiased needs the point mass at zero and a null_weight >= 1; found "
                f"point_mass={point_mass}, null_weight={null_weight}."
            )
        penalty[0] = null_weight - 1
    elif prior != "uniform":
        raise FatewalkError(f"the prior must be nullbiased or uniform; found {prior!r}.")

    loglik = loglik_matrix(data, stack, scales, point_mass=point_mass)  # [n, P]
    solution = mixture_weights(loglik, penalty)
    return MashFit(
        covariance_names=names,
        covariances=stack,
        grid=scales,
        point_mass=point_mass,
        pi=solution.pi,
        loglik=float(row_loglik(loglik, solution.pi).sum()),
        objective=solution.objective,
        kkt_gap=solution.kkt_gap,
        iterations=solution.iterations,
    )

"""The mash model: prior covariances, their scales and mixture weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from fatewalk.mash.covariances import autoselect_grid, stacked
from fatewalk.mash.data import need_data
from fatewalk.mash.errors import MashError, numbers
from fatewalk.mash.likelihood import loglik_matrix, row_loglik, to_input_units
from fatewalk.mash.weights import mixture_weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from fatewalk.mash.data import Array, MashData


@dataclass(frozen=True)
class MashPrior:
    """The mixture prior: all that posteriors need, besides data.

    Parameters
    ----------
    covariance_names
        Names of the K prior covariances.
    covariances
        The covariances at scale 1 [K, D, D].
    grid
        Prior scales (standard deviations) [G].
    point_mass
        Whether the first component is the point mass at zero.
    pi
        Mixture weights [P]: the point mass if there is one, then for each scale each covariance.
    alpha
        Power of the standard error that effects are proportional to; that of the data.

    Raises
    ------
    MashError
        If the shapes disagree.
    """

    covariance_names: tuple[str, ...]
    covariances: Array
    grid: Array
    point_mass: bool
    pi: Array
    alpha: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        for name in ("covariances", "grid", "pi"):
            object.__setattr__(self, name, numbers(getattr(self, name), name))
        n_names, n_components = len(self.covariance_names), len(self.component_names)
        if self.covariances.shape[0] != n_names or self.pi.shape != (n_components,):
            raise MashError(
                f"a mash prior of {n_names} covariances and {len(self.grid)} scales has {n_components} "
                f"weights; found covariances {self.covariances.shape} and weights {self.pi.shape}"
            )
        if not (self.pi >= 0).all() or abs(self.pi.sum() - 1) > 1e-6:
            raise MashError(f"the weights must be at least 0 and sum to 1; found the sum {self.pi.sum():.6g}")

    @property
    def component_names(self) -> tuple[str, ...]:
        """Names of the P components, as in mashr: ``null``, then ``<covariance>.<scale from 1>``."""
        names = (f"{k}.{g + 1}" for g in range(len(self.grid)) for k in self.covariance_names)
        return ("null", *names) if self.point_mass else tuple(names)


@dataclass(frozen=True)
class MashFit(MashPrior):
    """A prior fitted to data; made by `fit_mash`.

    Parameters
    ----------
    loglik
        Log-likelihood of the data.
    objective
        Penalised log-likelihood that the weights maximise, of likelihoods divided by their row
        maximum.
    kkt_gap
        Distance of the weights from the optimum, 0 there (`mixture_weights`).
    steps
        Newton steps that the weights took.
    """

    loglik: float
    objective: float
    kkt_gap: float
    steps: int


def fit_mash(
    data: MashData,
    covariances: Mapping[str, ArrayLike],
    *,
    grid: ArrayLike | None = None,
    prior: Literal["nullbiased", "uniform"] | ArrayLike = "nullbiased",
    null_weight: float = 10.0,
    point_mass: bool = True,
    normalise: bool = True,
) -> MashFit:
    r"""Fit the mixture prior by empirical Bayes (``mash``).

    .. math:: \hat\pi = \arg\max_\pi \textstyle\sum_n \log \sum_k \pi_k L_{nk}
              + \sum_k (a_k - 1) \log \pi_k

    with L the likelihoods of `loglik_matrix` and a the Dirichlet prior of the weights.

    Parameters
    ----------
    data
        The data.
    covariances
        Prior covariances [D, D] by name.
    grid
        Prior scales (standard deviations), ascending [G]; `autoselect_grid` if None.
    prior
        ``nullbiased`` counts the point mass `null_weight` - 1 times more than the data do (the
        conservative choice); ``uniform`` maximises the likelihood; or the a themselves, >= 1 [P].
    null_weight
        Strength of the bias, >= 1; only for ``nullbiased``.
    point_mass
        Whether exactly zero effects in all conditions are a component.
    normalise
        Whether each covariance is divided by its largest variance (``normalizeU``).

    Returns
    -------
    MashFit
        The fitted prior.

    Raises
    ------
    MashError
        If covariances, grid or prior are not usable.
    """
    need_data(data)
    stack = stacked(covariances, data.n_conditions, normalise=normalise)  # [K, D, D]
    names = tuple(covariances)
    scales = autoselect_grid(data) if grid is None else numbers(grid, "grid")  # [G]
    if scales.ndim != 1 or not scales.size or not np.isfinite(scales).all() or (scales <= 0).any():
        raise MashError(f"the grid must be a list of positive scales; found {scales}")
    n_components = int(point_mass) + len(scales) * len(names)
    penalty = _penalty(prior, null_weight, point_mass, n_components)
    loglik = loglik_matrix(data, stack, scales, point_mass=point_mass)  # [n, P]
    solution = mixture_weights(loglik, penalty)
    return MashFit(
        covariance_names=names,
        covariances=stack,
        grid=scales,
        point_mass=point_mass,
        pi=solution.pi,
        alpha=data.alpha,
        loglik=float((row_loglik(loglik, solution.pi) + to_input_units(data)).sum()),
        objective=solution.objective,
        kkt_gap=solution.kkt_gap,
        steps=solution.steps,
    )


def _penalty(prior: str | ArrayLike, null_weight: float, point_mass: bool, n_components: int) -> Array:
    """Prior counts a - 1 of the components, beyond those of the data [P]."""
    penalty = np.zeros(n_components)
    if not isinstance(prior, str):
        counts = numbers(prior, "prior")
        if counts.shape != penalty.shape or not np.isfinite(counts).all() or (counts < 1).any():
            raise MashError(
                f"a prior given as numbers needs one for each of the {n_components} components, >= 1; "
                f"found {counts}"
            )
        return counts - 1
    if prior == "nullbiased":
        null_weight = float(numbers(null_weight, "null_weight"))
        if not (point_mass and np.isfinite(null_weight) and null_weight >= 1):
            raise MashError(
                "the prior nullbiased needs the point mass at zero and a null_weight >= 1; found "
                f"point_mass={point_mass}, null_weight={null_weight}"
            )
        penalty[0] = null_weight - 1
    elif prior != "uniform":
        raise MashError(f"the prior must be nullbiased, uniform or numbers; found {prior!r}")
    return penalty

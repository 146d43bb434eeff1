"""How far NTC guides deviate from zero, and what that leaves open of the effects of all genes.

An NTC guide j deviates by n_j ~ N(0, sigma_ntc[f]^2) on all days alike. The model takes n_j as zero, so that
the deviations move intercepts and burden slopes, and with them the effects of all genes at once. With
z_j the cells that carry the guide, s_j and I the score and information of n at the mode (all else
integrated out),

    estimate of n: I^-1 s,   its distribution: N(0, I^-1 + sigma_ntc^2)

which gives sigma_ntc by contrast from its marginal likelihood over the guides (a common shift of them all
is hardly known, so that this is REML) and a prior. A gene whose own prior is left out answers to n_j by

    R_lj = (1 - S_ll)^-1 (A^-1)_l. X' W z_j

with A the posterior precision of the standardised coordinates, S = A^-1. The mean of R over well-seen genes
is the common shift: its covariance sum_j R_j sigma_ntc^2 R_j' is one more error of every gene and guide,
and the *same* error of all.

Letters: J NTC guides, F* contrasts, D days, K = F* D, M rows, N cells, N' with NTC guides, P coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import chdtrc
from torch import Tensor

from fatewalk.model.information import curvature, fate_probabilities
from fatewalk.model.rows import linear_predictor, row_of_cells
from fatewalk.model.scales import DTYPE

if TYPE_CHECKING:
    from fatewalk.infer.laplace import Laplace
    from fatewalk.screen.design import Design

Floats = NDArray[np.float64]

FEWEST = 3  # NTC guides below which their SD is not asked for
PRIOR_MEDIAN = 0.05  # of sigma_ntc, half Cauchy, logit: a heavy tail, so that guides that differ are believed
GRID = np.linspace(0.0025, 1.0, 400)  # of sigma_ntc
MOST_GENES, MOST_COLUMNS = 8, 256  # genes whose answer is averaged, and solves for them
SEEN = 1e-6  # share of a gene's information below which a direction is not seen


@dataclass(frozen=True)
class NtcGuides:
    """NTC guides one by one.

    Attributes
    ----------
    names
        [J].
    effect, se : array [J, F*]
        Deviation of each guide and its standard error, logit; the other NTC guides are taken along.
    sigma : array [F*]
        SD of NTC guides, root of the posterior mean of its square.
    interval : array [F*, 2]
        95 % of its posterior.
    q, i2, p : array [F*]
        Cochran's Q between NTC guides, the share of their scatter that sampling does not explain, p of Q.
    response : array [J, F*, F*, D]
        Shift of all genes (last two axes) for a deviation of one of a guide on a contrast (second axis).
    left_out : array [J, F*, D]
        Shift of all genes when a guide is left out.
    """

    names: tuple[str, ...]
    effect: Floats
    se: Floats
    sigma: Floats
    interval: Floats
    q: Floats
    i2: Floats
    p: Floats
    response: Floats
    left_out: Floats

    @property
    def shift_covariance(self) -> Floats:
        """Covariance of the error that all genes share, [F*, D, F*, D]."""
        spread = self.response * self.sigma[:, None, None]
        return np.einsum("jafd,jage->fdge", spread, spread)


def why_not_measured(design: Design, shared: bool) -> str:
    """Why the SD of NTC guides is not asked for; empty if it is.

    Parameters
    ----------
    design
        The cells.
    shared
        Whether all cells of a cluster carry the same guides.
    """
    n = len(design.ntc_names)
    if n == 0:
        return "no cell carries an NTC guide that is known by name"
    if shared:
        return "controls are clusters here (all cells of a cluster carry the same guides), not NTC guides"
    if n < FEWEST:
        one = "one NTC guide is" if n == 1 else f"{n} NTC guides are"
        return f"{one} too few to see how much NTC guides differ; {FEWEST} are needed"
    return ""


@torch.no_grad()
def measure_ntc_guides(laplace: Laplace, design: Design) -> NtcGuides:
    """Deviations of NTC guides, their SD, and the answer of all genes to them.

    Parameters
    ----------
    laplace
        At its mode.
    design
        The cells, with at least `FEWEST` NTC guides.

    Raises
    ------
    NumericalError
        If a matrix cannot be decomposed.
    """
    c, rows = laplace.coordinates, laplace.rows
    sd = c.sd(c.scales.log_scales(laplace.vector))  # [F*, p]
    pi = fate_probabilities(linear_predictor(rows, c.coefficients(sd * laplace.y).T.contiguous()))
    cells = torch.nonzero(design.n_ntc > 0)[:, 0]  # [N'] those that carry one
    row = row_of_cells(design, c.terms)[cells].to(pi.device)
    residual = rows.weight[row][:, None] * (design.prob[cells].to(pi.device) - pi[row])[:, 1:]  # [N', F*]
    carries = _carriers(design)[cells.numpy()]  # [N', J]
    unit = curvature(rows, pi) / rows.cells[:, None, None]  # [M, F*, F*] of one cell
    score = carries.T @ residual.cpu().numpy()  # [J, F*]
    whole = _own_information(carries, unit[row].cpu().numpy())  # [J, F*, J, F*]
    crossed = _crossed(laplace, carries, row.cpu().numpy(), unit, sd)  # [P, J F*]
    solved = laplace.system.solve(crossed)
    size = score.size
    found = whole.reshape(size, size) - (crossed.T @ solved).cpu().numpy()
    found = 0.5 * (found + found.T)
    covariance = np.linalg.pinv(found, rcond=1e-10, hermitian=True)
    effect = (covariance @ score.reshape(-1)).reshape(score.shape)  # [J, F*]
    covariance = covariance.reshape(*score.shape, *score.shape)
    scatter = _scatter(carries, residual.cpu().numpy(), whole)  # [F*]
    by_contrast = [covariance[:, f, :, f] * scatter[f] for f in range(score.shape[1])]
    sigma, interval = zip(*(sd_of_guides(effect[:, f], v) for f, v in enumerate(by_contrast)), strict=True)
    q = np.array([cochran(effect[:, f], v) for f, v in enumerate(by_contrast)])
    freedom = len(score) - 1
    response = _response(laplace, design, sd, crossed, score.shape)  # [J, F*, F*, D]
    own = found.reshape(*score.shape, *score.shape)[np.arange(len(score)), :, np.arange(len(score))]
    alone = np.einsum("jab,jb->ja", np.linalg.pinv(own, hermitian=True), score)  # given the others at zero
    return NtcGuides(
        names=design.ntc_names,
        effect=effect,
        se=np.sqrt(np.array([v.diagonal() for v in by_contrast]).T),
        sigma=np.array(sigma),
        interval=np.array(interval),
        q=q,
        i2=(1 - freedom / np.maximum(q, freedom)).clip(0, 1),
        p=chdtrc(freedom, q),
        response=response,
        left_out=-np.einsum("ja,jafd->jfd", alone, response),
    )


def sd_of_guides(effect: Floats, covariance: Floats) -> tuple[float, tuple[float, float]]:
    """SD of deviations [J] estimated with errors [J, J], and the 95 % interval of its posterior.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> sd, (low, high) = sd_of_guides(0.3 * rng.normal(size=200), 0.0001 * np.eye(200))
    >>> low < 0.3 < high
    True
    """
    values, vectors = np.linalg.eigh(covariance)
    square = (vectors.T @ effect) ** 2
    variance = values.clip(min=1e-12)[:, None] + GRID**2  # [J, grid]
    loglik = -0.5 * (np.log(variance) + square[:, None] / variance).sum(axis=0)
    posterior = loglik - np.log1p((GRID / PRIOR_MEDIAN) ** 2)
    weight = np.exp(posterior - posterior.max())
    weight /= weight.sum()
    low, high = np.interp([0.025, 0.975], weight.cumsum(), GRID)
    return float(np.sqrt(weight @ GRID**2)), (float(low), float(high))


def cochran(effect: Floats, covariance: Floats) -> float:
    """Cochran's Q of estimates [J] with errors [J, J] around their common value."""
    precision = np.linalg.pinv(covariance, hermitian=True)
    mean = precision.sum(axis=0) @ effect / precision.sum()
    return float((effect - mean) @ precision @ (effect - mean))


def _carriers(design: Design) -> Any:
    """Which cells carry which NTC guide, sparse [N, J]."""
    ones = np.ones(len(design.ntc_guides))
    shape = (design.n_cells, len(design.ntc_names))
    return sparse.csr_matrix((ones, design.ntc_guides.numpy(), design.ntc_offsets.numpy()), shape=shape)


def _own_information(carries: Any, unit: Floats) -> Floats:
    """Information of the guides' deviations with all else fixed, [J, F*, J, F*], from that of cells."""
    n = unit.shape[1]
    out = np.empty((carries.shape[1], n, carries.shape[1], n))
    for f in range(n):
        for g in range(f, n):
            out[:, f, :, g] = (carries.T @ carries.multiply(unit[:, f, g][:, None]).tocsr()).toarray()
            out[:, g, :, f] = out[:, f, :, g]
    return out


def _crossed(laplace: Laplace, carries: Any, row: NDArray[np.int64], unit: Tensor, sd: Tensor) -> Tensor:
    """Information of the guides' deviations with all coordinates, [P, J F*]."""
    c, rows = laplace.coordinates, laplace.rows
    n_guides, n = carries.shape[1], unit.shape[1]
    into_rows = sparse.csr_matrix(
        (np.ones(len(row)), (row, np.arange(len(row)))), shape=(len(rows), len(row))
    )
    counts = torch.from_numpy((into_rows @ carries).toarray()).to(unit.device)  # [M, J] cells
    out = unit.new_zeros(n_guides, n, n, c.size)  # guide, its contrast, contrast of the coordinates
    for f in range(n):
        for g in range(f, n):
            gradient = rows.transpose @ (counts * unit[:, f, g, None])  # [Q, J]
            out[:, f, g] = out[:, g, f] = c.adjoint(gradient.T.contiguous())
    return (out * sd).view(n_guides * n, -1).T.contiguous()


def _scatter(carries: Any, residual: Floats, whole: Floats) -> Floats:
    """Scatter of the labels of NTC cells over that of the model, by contrast, [F*]."""
    place = np.arange(len(whole))
    n_times = np.asarray(carries.sum(axis=1))[:, 0]  # [N']
    inverse = np.linalg.inv(whole[place, :, place].sum(axis=0))
    robust = inverse @ ((residual * n_times[:, None]).T @ residual) @ inverse
    return np.asarray(robust.diagonal() / inverse.diagonal())


def _response(
    laplace: Laplace, design: Design, sd: Tensor, crossed: Tensor, shape: tuple[int, ...]
) -> Floats:
    """Shift of all genes for a deviation of one, [J, F*, F*, D]: the mean over well-seen genes."""
    c, walk = laplace.coordinates, laplace.coordinates.terms.walk
    n, days = c.terms.n_contrasts, c.terms.n_days
    genes = _well_seen(design.gene_cells, max(1, min(MOST_GENES, MOST_COLUMNS // (n * days))))
    step = torch.arange(days) * c.terms.n_genes
    place = (torch.arange(n)[:, None] * c.size + c.walk.start + step).reshape(-1)  # [K] of gene 0
    total, seen = np.zeros((*shape, n, days)), np.zeros(days)
    for gene in genes:
        own = (place + gene).to(c.device)
        unit = torch.zeros(c.size * n, len(own), dtype=DTYPE, device=c.device)
        unit[own, torch.arange(len(own), device=c.device)] = 1.0
        joint = laplace.system.solve(unit)  # [P, K]
        values, vectors = np.linalg.eigh(_symmetric(np.eye(len(own)) - joint[own].cpu().numpy()))
        inverse = np.where(values > SEEN, 1 / values.clip(min=SEEN), 0.0)
        answer = (vectors * inverse) @ vectors.T @ (joint.T @ crossed).cpu().numpy()  # [K, J F*] of y
        answer *= sd.reshape(-1)[own].cpu().numpy()[:, None]
        theta = np.einsum("de,fejg->jgfd", walk.weights.numpy(), answer.reshape(n, days, *shape))
        observed = design.gene_cells[gene].numpy() > 0
        total += np.where(observed, theta, 0.0)
        seen += observed
    return total / np.maximum(seen, 1)


def _symmetric(matrix: Floats) -> Floats:
    return 0.5 * (matrix + matrix.T)


def _well_seen(gene_cells: Tensor, n: int) -> list[int]:
    """Genes with the most cells on their worst day, and where none of them was seen that with the most."""
    found = gene_cells.amin(dim=1).argsort(descending=True, stable=True)[:n].tolist()
    for day in range(gene_cells.shape[1]):
        if not bool((gene_cells[found, day] > 0).any()):
            found.append(int(gene_cells[:, day].argmax()))
    return found

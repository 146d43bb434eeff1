"""Stage ``fit_effects``: from a design to posterior parameters and a fit card."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import resource
import sys
import time
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyro
import torch
from torch import Tensor
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from fatewalk import __version__
from fatewalk.config import FitConfig, ModelConfig, RunSettings
from fatewalk.config.keys import keys_of
from fatewalk.core.errors import FatewalkError
from fatewalk.core.files import read_json, write_json
from fatewalk.core.outcome import NumericalError
from fatewalk.core.tables import write_table
from fatewalk.diagnostics.card import describe_fit
from fatewalk.diagnostics.identifiability import check_identifiability
from fatewalk.diagnostics.spread import measure_spread
from fatewalk.infer import dispersion
from fatewalk.infer.checkpoint import Checkpoint, checkpoint_path
from fatewalk.infer.families import Family, LaplaceState, MakeFamily, make_family
from fatewalk.infer.fitted import Posterior, save_posterior
from fatewalk.infer.intercepts import day_intercepts
from fatewalk.infer.laplace import Laplace, Round, SymmetricMode, fit_laplace, fit_symmetric
from fatewalk.infer.scatter import Scatter, estimate_scatter
from fatewalk.infer.svi import SviResult, Window, run_svi
from fatewalk.model import FateModel, Rows, Terms, make_rows, make_terms
from fatewalk.model.cells import clusters_share_guides
from fatewalk.model.coordinates import Coordinates
from fatewalk.model.information import fate_probabilities
from fatewalk.model.rows import linear_predictor, row_of_cells
from fatewalk.run.manifest import CARD, fit_entry, need_sealed, seal
from fatewalk.screen.design import Design, load_design

if TYPE_CHECKING:
    from pathlib import Path

    from fatewalk.infer.further_errors import FurtherErrors

log = logging.getLogger(__name__)

MOST_NUISANCES = 1000  # intercepts and slopes that the block form can hold densely


def main(design: Path, fit: Path, settings: RunSettings, threads: int, resumes: bool = True) -> None:
    """Fit a design, or go on from the checkpoint of a fit that was cut off.

    Parameters
    ----------
    design
        Folder of the design.
    fit
        Folder for the fit.
    settings
        Of a run that uses the fit: of sections ``model`` and ``fit`` the keys that the fit depends on, and
        those that steer it.
    threads
        CPU threads.
    resumes
        Keep checkpoints, from which a fit in the same folder goes on.

    Raises
    ------
    FatewalkError
        If ``fit.device`` is ``cuda`` and there is none, or the fit is too large.
    SystemExit
        After SIGTERM, with the checkpoint written.
    """
    path, read = design / "design.pt", settings.read_by("fit_effects")
    model = ModelConfig(**read["model"])
    config = FitConfig(**read["fit"], device=settings.fit.device, threads=threads)
    found = load_design(path)
    need_sealed(design)
    file = checkpoint_path(fit, path, model, config) if resumes else None
    checkpoint = Checkpoint(file, 60 * settings.fit.checkpoint_minutes)
    results = fit_effects(found, model, config, checkpoint=checkpoint)
    write_fit(*results, path, fit / "posterior.pt", fit / "fit_card.json", fit / "fit_trace.csv")
    seal(fit, "fit_effects", "fit", fit_entry(fit.name, read_json(fit / CARD)))


def choose_device(device: str) -> tuple[torch.device, str]:
    """Take the device that ``fit.device`` asks for, and say why.

    Raises
    ------
    FatewalkError
        For ``cuda`` where the job sees no CUDA device.
    """
    seen = torch.cuda.is_available()
    if device == "cuda" and not seen:
        raise FatewalkError(
            "fit.device: cuda was asked for, but this job sees no CUDA device. Set fit.gpus: 1 so that "
            "the cluster gives one, check that torch is a CUDA build, or set fit.device: auto or cpu."
        )
    if device == "cpu":
        return torch.device("cpu"), "cpu: asked for"
    if seen:
        return torch.device("cuda"), f"cuda: {torch.cuda.get_device_name()}"
    return torch.device("cpu"), "cpu: device auto, and this job sees no CUDA device"


def fit_effects(
    design: Design,
    config: ModelConfig,
    fit: FitConfig,
    progress: bool = True,
    checkpoint: Checkpoint | None = None,
    terms: Terms | None = None,
    family: MakeFamily | None = None,
) -> tuple[Posterior, dict[str, Any], pd.DataFrame]:
    """Fit the hierarchical model: Newton-Laplace, then SVI from there.

    Parameters
    ----------
    design
        The cells.
    config, fit
        Sections ``model`` and ``fit``.
    progress
        Show a bar where standard error is a terminal.
    checkpoint
        Keeps the state of a long fit, and resumes it.
    terms
        Of the model; None: those that design and config ask for (`make_terms`).
    family
        Makes a posterior family that is none of the package; None: the one that ``fit.family`` names.

    Returns
    -------
    posterior
        On the CPU.
    card
        Content of ``fit_card.json``.
    trace
        Content of ``fit_trace.csv``.

    Raises
    ------
    FatewalkError
        If ``fit.device`` is ``cuda`` and there is none, or no step of the fit can be taken.
    SystemExit
        After SIGTERM, with the checkpoint written.
    """
    clock = _Clock()
    device, reason = choose_device(fit.device)
    log.info("device %s", reason)
    torch.set_num_threads(fit.threads)
    torch.manual_seed(fit.seed)
    with checkpoint or Checkpoint() as checkpoint:
        terms = terms or make_terms(design, config)
        rows = make_rows(design, terms).to(device)
        log.info("%d cells in %d distinct rows", design.n_cells, len(rows))
        model = FateModel(terms, device, debug=fit.debug)
        clock.lap("rows")
        weighted = rows.weighted(_first_weights(design, rows, fit))
        primary = design.contrasts.index(config.contrast) if config.contrast in design.contrasts else 0
        checks = check_identifiability(design, terms, weighted, primary)
        for warning in checks.warnings:
            log.warning(warning)
        clock.lap("checks")
        try:
            laplace = _laplace(model, design, rows, fit, checkpoint)
            state = laplace.state()
            clock.lap("laplace")
            symmetric = fit_symmetric(laplace, *_labels(design, fit), fit.dense_limit, checkpoint)
            clock.lap("symmetric")
            scatter = scatter_of(laplace, design, fit)
        except NumericalError as error:
            raise FatewalkError(
                f"the fit ends without a posterior: {error}. Look for extreme values of burden and "
                "covariates, and for fates that no cell takes, in design_report.json."
            ) from error
        chosen = family or fit.family
        made = make_family(chosen, model, state)
        trains = chosen != "laplace" and laplace.status != "diverged"
        before = {"laplace": laplace.memory, "symmetric": symmetric.memory}
        svi = _train(model, made, laplace, fit, checkpoint, before, progress) if trains else None
        clock.lap("svi")
    spread = measure_spread(laplace, design)
    errors = spread.errors(design), scatter
    posterior = _on_cpu(chosen, made, config, terms, state, symmetric.state(), laplace.rows.weight, *errors)
    card = describe_fit(posterior, design, fit, laplace, symmetric, svi, checks, spread)
    clock.lap("card")
    card |= {
        "device": device.type,
        "device_reason": reason,
        "node": os.environ.get("SLURMD_NODENAME", platform.node()),
        "cuda_visible_devices": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "threads": fit.threads,
        "seed": fit.seed,
        "wall_seconds": clock.total,
        "seconds_by_phase": clock.laps,
        "peak_memory_mb": _peak_memory_mb(),
        "versions": {
            "fatewalk": __version__,
            "torch": torch.__version__,
            "pyro": pyro.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "config": {
            "model": config.model_dump(exclude_unset=True),
            "fit": fit.model_dump(exclude_unset=True),
        },
    }
    for warning in card["warnings"][len(checks.warnings) :]:
        log.warning(warning)
    log.info("status %s, %.1f s", card["status"], card["wall_seconds"])
    return posterior, card, _trace_table(laplace, symmetric, svi)


def _first_weights(design: Design, rows: Rows, fit: FitConfig) -> Tensor | float:
    """Weights before the fit: the given one, or from the scatter around each day's mean."""
    if fit.likelihood_weight != "auto":
        return float(fit.likelihood_weight)
    intercepts = day_intercepts(design).to(rows.day.device)
    pi = fate_probabilities(intercepts.T[rows.day])
    nothing = torch.zeros(len(design.days), dtype=torch.float64, device=rows.day.device)
    return 1 / dispersion.estimate(rows, pi, dispersion.Learned(nothing, nothing), False).phi[rows.day]


def _laplace(model: FateModel, design: Design, rows: Rows, fit: FitConfig, checkpoint: Checkpoint) -> Laplace:
    """Newton-Laplace; every family needs its weights and starts from it."""
    coordinates = Coordinates(model.terms, rows.day.device)
    n = model.terms.n_contrasts
    if n * coordinates.size > fit.dense_limit and n * coordinates.n_nuisance > MOST_NUISANCES:
        raise FatewalkError(
            f"{design.n_cells} cells in {len(design.clusters)} clusters with an intercept each and "
            f"{len(design.guides)} guides are too many latent variables for one covariance (fit.dense_limit "
            f"{fit.dense_limit}), and the block form holds at most {MOST_NUISANCES} intercepts and slopes. "
            "Raise fit.dense_limit (a matrix of 20,000 takes 3.2 GB), or leave the clusters out."
        )
    intercepts = day_intercepts(design).to(rows.day.device)
    return fit_laplace(coordinates, rows, intercepts, *_labels(design, fit), fit.dense_limit, checkpoint)


@torch.no_grad()
def scatter_of(laplace: Laplace, design: Design, fit: FitConfig) -> Scatter | None:
    """Scatter of the labels by fate at the mode, on the CPU; None if it is to be one for all fates."""
    if fit.dispersion == "pooled":
        return None
    rows, c, shared = laplace.rows, laplace.coordinates, _labels(design, fit)[1]
    x = c.sd(c.scales.log_scales(laplace.vector)) * laplace.y
    pi = fate_probabilities(linear_predictor(rows, c.coefficients(x).T.contiguous()))
    unit = 1 / dispersion.weights(rows, laplace.dispersion, shared)
    of_label, shortfall, cpu = (
        row_of_cells(design, c.terms),
        laplace.dispersion.shortfall,
        torch.device("cpu"),
    )
    return estimate_scatter(
        rows.to(cpu), pi.to(cpu), design.prob, of_label, unit.to(cpu), shortfall.to(cpu), shared
    )


def _labels(design: Design, fit: FitConfig) -> tuple[float | None, bool]:
    """The given weight of a label, if there is one; whether cells of a cluster carry the same guides."""
    weight = None if fit.likelihood_weight == "auto" else float(fit.likelihood_weight)
    return weight, clusters_share_guides(design)


def _train(
    model: FateModel,
    family: Family,
    laplace: Laplace,
    fit: FitConfig,
    checkpoint: Checkpoint,
    before: dict[str, Any],
    progress: bool,
) -> SviResult:
    """Train the family in place by SVI."""
    torch.manual_seed(fit.seed)
    bar = tqdm(total=fit.max_steps, unit="step", disable=None if progress else True)  # None: no terminal
    with bar, logging_redirect_tqdm():
        return run_svi(
            model,
            family,
            laplace.rows,
            max_steps=fit.max_steps,
            on_step=lambda step: bar.update(),
            checkpoint=checkpoint,
            before=before,
        )


def _on_cpu(
    family: str | MakeFamily,
    fitted: Family,
    config: ModelConfig,
    terms: Terms,
    laplace: LaplaceState,
    symmetric: dict[str, Tensor],
    weight: Tensor,
    further: FurtherErrors,
    scatter: Scatter | None,
) -> Posterior:
    """The posterior, copied to the CPU."""
    name = family if isinstance(family, str) else family.__name__
    model = FateModel(terms)
    laplace, symmetric = ({key: value.cpu() for key, value in one.items()} for one in (laplace, symmetric))
    copy = make_family(family, model, laplace)
    copy.load_state_dict({key: value.cpu() for key, value in fitted.state_dict().items()})
    return Posterior(model, name, copy, laplace, symmetric, weight.cpu(), config, further, scatter)


class _Clock:
    """Seconds by phase."""

    def __init__(self) -> None:
        self._began = self._last = time.monotonic()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """End a phase."""
        now = time.monotonic()
        self.laps[name] = round(now - self._last, 3)
        self._last = now

    @property
    def total(self) -> float:
        """Seconds since the start."""
        return round(time.monotonic() - self._began, 2)


def _trace_table(laplace: Laplace, symmetric: SymmetricMode, svi: SviResult | None) -> pd.DataFrame:
    """Rounds of Newton-Laplace, of the second pass, then windows of SVI: phase, step and what was watched."""
    passes = {"laplace": laplace.trace, "symmetric": symmetric.trace}
    rounds = [{"phase": phase, **asdict(entry)} for phase, trace in passes.items() for entry in trace]
    windows = [{"phase": "svi", **asdict(window)} for window in svi.trace] if svi else []
    columns = [
        "phase",
        *(f.name for f in fields(Window)),
        *(f.name for f in fields(Round) if f.name != "step"),
    ]
    return pd.DataFrame([*rounds, *windows], columns=columns)


def _peak_memory_mb() -> float:
    """Peak resident memory of this process in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024**2 if sys.platform == "darwin" else 1024), 1)


# ------------------------------------------------------------------ files


def write_fit(
    posterior: Posterior, card: dict[str, Any], trace: pd.DataFrame, design_path: Path,
    posterior_path: Path, card_path: Path, trace_path: Path,
) -> None:  # fmt: skip
    """Write the outputs of the stage, the card with the hash of its inputs."""
    save_posterior(posterior, posterior_path)
    write_table(trace, trace_path)
    made_of = hash_of_config_and_design(card["config"], design_path)
    write_json({**card, "hash_of_config_and_design": made_of}, card_path)


def hash_of_config_and_design(config: dict[str, Any], design_path: Path) -> str:
    """What a fit is made of: the config on its card, but for keys that steer it, and the design."""
    steering = {one.name for one in keys_of(FitConfig) if not one.reruns}  # the same fit on another machine
    made_by = {
        section: {key: value for key, value in values.items() if key not in steering}
        for section, values in config.items()
    }
    inputs = hashlib.sha256(design_path.read_bytes())
    inputs.update(json.dumps(made_by, sort_keys=True).encode())
    return inputs.hexdigest()

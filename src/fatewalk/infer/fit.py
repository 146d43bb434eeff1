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
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyro
import torch
from torch import Tensor
from torch.nn.functional import softmax
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from fatewalk import __version__
from fatewalk.config import FitConfig, ModelConfig
from fatewalk.design import Design
from fatewalk.errors import FatewalkError
from fatewalk.infer.guides import Guide, make_guide
from fatewalk.infer.start import Start, make_start
from fatewalk.infer.svi import Window, run_svi
from fatewalk.model import FateModel, Rows, Sizes
from fatewalk.model.rows import linear_predictor, make_rows, split_rows
from fatewalk.tables import atomic_path, write_json, write_table

log = logging.getLogger(__name__)

PHI_RATIO_WARN = 1.5  # weight x phi outside [1 / 1.5, 1.5]: the SEs do not fit the labels


@dataclass(frozen=True)
class Posterior:
    """A fitted variational posterior.

    Attributes
    ----------
    model
        On the CPU.
    guide
        Holds the fitted parameters.
    """

    model: FateModel
    guide: Guide


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
    design: Design, config: ModelConfig, fit: FitConfig, progress: bool = True
) -> tuple[Posterior, dict[str, Any], pd.DataFrame]:
    """Fit the hierarchical model by SVI.

    Parameters
    ----------
    design
        The cells.
    config, fit
        Sections ``model`` and ``fit``.
    progress
        Show a bar where standard error is a terminal.

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
        If ``fit.device`` is ``cuda`` and there is none.
    """
    began = time.monotonic()
    device, reason = choose_device(fit.device)
    log.info("device %s", reason)
    torch.set_num_threads(fit.threads)
    torch.manual_seed(fit.seed)
    generator = torch.Generator().manual_seed(fit.seed)

    rows = make_rows(design)
    log.info("%d cells in %d distinct rows", design.n_cells, len(rows))
    model = FateModel(Sizes.of(design), config, len(rows), fit.likelihood_weight)
    start = make_start(model, design, rows)
    log.info("start found after %.1f s", time.monotonic() - began)

    batches = split_rows(rows, fit.batch_size, generator) if fit.batch_size else [rows]
    on_device = FateModel(Sizes.of(design), config, len(rows), fit.likelihood_weight, device, debug=fit.debug)
    guide = make_guide(fit.guide, on_device, start.to(device))
    bar = tqdm(total=fit.max_steps, unit="step", disable=None if progress else True)  # None: no terminal
    with bar, logging_redirect_tqdm():
        result = run_svi(
            on_device,
            guide,
            [batch.to(device) for batch in batches],
            max_steps=fit.max_steps,
            generator=generator,
            on_step=lambda step: bar.update(),
        )
    posterior = Posterior(model, _on_cpu(fit.guide, model, start, guide))
    phi = dispersion(posterior, rows, design)
    card: dict[str, Any] = {
        "status": result.status,
        "criterion": result.criterion,
        "steps": result.trace[-1].step if result.trace else 0,
        "loss": result.trace[-1].loss if result.trace else None,
        "guide": fit.guide,
        "center_delta": config.center_delta,
        "likelihood_weight": fit.likelihood_weight,
        "phi_by_day": dict(zip(design.days, phi.tolist(), strict=True)),
        "warnings": _warnings(result.status, design, fit, phi),
        "cells": design.n_cells,
        "rows": len(rows),
        "latents": sum(loc.numel() for loc, _ in posterior.guide.location_scale().values()),
        "device": device.type,
        "device_reason": reason,
        "node": os.environ.get("SLURMD_NODENAME", platform.node()),
        "cuda_visible_devices": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "threads": fit.threads,
        "seed": fit.seed,
        "wall_seconds": round(time.monotonic() - began, 2),
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
    for warning in card["warnings"]:
        log.warning(warning)
    log.info("status %s after %d steps, %.1f s", result.status, card["steps"], card["wall_seconds"])
    columns = [field.name for field in fields(Window)]
    return posterior, card, pd.DataFrame([asdict(window) for window in result.trace], columns=columns)


@torch.no_grad()
def dispersion(posterior: Posterior, rows: Rows, design: Design) -> Tensor:
    """Pearson dispersion of the labels by day, [D].

    phi[d] = sum (p - pi)^2 / sum pi (1 - pi) over cells and fates of the day (design, 3.5), at the
    posterior means and without the correction for degrees of freedom. It is 1 for one-hot labels
    and 1 / (c + 1) for Dirichlet(c); the likelihood weight that fits the labels is 1 / phi.
    """
    model = posterior.model
    latents = {name: value.mean(dim=0) for name, value in posterior.guide.draw(200).items()}
    eta = linear_predictor(rows, model.coefficients(latents, model.effects(latents)))
    pi = softmax(torch.cat([eta.new_zeros(len(eta), 1), eta], dim=-1), dim=-1)  # [M, F]
    cells = rows.target.sum(dim=-1, keepdim=True)  # [M, 1]
    squares = rows.square - 2 * (rows.target * pi).sum(dim=-1) + (cells * pi.square()).sum(dim=-1)
    expected = (cells * pi * (1 - pi)).sum(dim=-1)
    zeros = torch.zeros(len(design.days), dtype=torch.float64)
    return zeros.index_add(0, rows.day, squares) / zeros.index_add(0, rows.day, expected)


def _warnings(status: str, design: Design, fit: FitConfig, phi: Tensor) -> list[str]:
    """What a reader of the card must know, in sentences."""
    found = []
    if status == "budget":
        found.append(
            f"The fit used its {fit.max_steps} steps without meeting the stopping rule. Raise fit.max_steps."
        )
    if status == "diverged":
        found.append("The ELBO became infinite or NaN: look for extreme values in the design report.")
        return found
    # a weight lowered for clusters is no mistake: cells show phi = 1 whatever their clusters do
    lowest = 0.0 if design.clusters and fit.likelihood_weight < 1 else 1 / PHI_RATIO_WARN
    off = [
        f"{day} (phi {value:.3f})"
        for day, value in zip(design.days, phi.tolist(), strict=True)
        if not lowest <= fit.likelihood_weight * value <= PHI_RATIO_WARN
    ]
    if design.clusters:
        found.append(
            f"The {len(design.clusters)} clusters are not in the model yet: cells of a cluster count as "
            "independent, and standard errors are too small where clusters differ. A smaller "
            "fit.likelihood_weight can stand in for that."
        )
    if off:
        found.append(
            f"fit.likelihood_weight {fit.likelihood_weight:g} does not fit the spread of the labels on "
            f"{', '.join(off)}: the weight that fits is about 1 / phi. With too small a weight effects "
            "are shrunk too much, with too large a one standard errors are too small."
        )
    return found


def _on_cpu(name: str, model: FateModel, start: Start, guide: Guide) -> Guide:
    """Copy a guide to the CPU."""
    copy = make_guide(name, model, start)
    copy.load_state_dict({key: value.cpu() for key, value in guide.state_dict().items()})
    return copy


def _peak_memory_mb() -> float:
    """Peak resident memory of this process in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024**2 if sys.platform == "darwin" else 1024), 1)


# ------------------------------------------------------------------ files


def save_posterior(posterior: Posterior, guide_name: str, path: Path) -> None:
    """Write a posterior as tensors and plain containers (readable with ``weights_only=True``)."""
    sizes = posterior.model.sizes
    content = {
        "guide": guide_name,
        "model": posterior.model.config.model_dump(),
        "contrasts": sizes.contrasts,
        "days": sizes.days,
        "reps": sizes.reps,
        "guide_to_gene": sizes.guide_to_gene,
        "n_guides_per_gene": sizes.n_guides_per_gene,
        "state": posterior.guide.state_dict(),
    }
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        torch.save(content, file)  # to an open file: its temporary name must not enter the archive


def load_posterior(path: Path) -> Posterior:
    """Read a posterior; the design is not needed."""
    content = torch.load(path, weights_only=True)
    sizes = Sizes(
        content["contrasts"],
        content["days"],
        content["reps"],
        content["guide_to_gene"],
        content["n_guides_per_gene"],
    )
    model = FateModel(sizes, ModelConfig(**content["model"]))
    guide = make_guide(content["guide"], model, Start.blank(model))
    guide.load_state_dict(content["state"])
    return Posterior(model, guide)


def write_fit(
    posterior: Posterior, card: dict[str, Any], trace: pd.DataFrame, design_path: Path,
    posterior_path: Path, card_path: Path, trace_path: Path,
) -> None:  # fmt: skip
    """Write the outputs of the stage, the card with the hash of its inputs."""
    inputs = hashlib.sha256(design_path.read_bytes())
    inputs.update(json.dumps(card["config"], sort_keys=True).encode())
    save_posterior(posterior, card["guide"], posterior_path)
    write_table(trace, trace_path)
    write_json({**card, "hash_of_config_and_design": inputs.hexdigest()}, card_path)

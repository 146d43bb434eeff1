"""Stage ``certify``: proof on the user's own data, before hits are told."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import ndtri

from fatewalk.calls import FateCalls, FateEffects, shrink_fates
from fatewalk.certificate import checks
from fatewalk.certificate.null_calls import hits_of_shuffled
from fatewalk.certificate.nulls import Nulls
from fatewalk.core.files import write_json
from fatewalk.core.tables import write_table

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from fatewalk.infer.fitted import Posterior
    from fatewalk.run.files import Run
    from fatewalk.screen.design import Design

log = logging.getLogger(__name__)

MANY = 10_000  # shuffles of the full certificate
SCREENS = 10  # with planted effects
PLANTED = ("size_from", "size_to", "n", "covered", "called", "wrong_sign")
QUANTILES = np.linspace(0.005, 0.995, 100)


def main(run: Run, design: Path, fit: Path, summary: Path, threads: int) -> None:
    """Write the certificate of a run, quantiles of its nulls, p-values, and what planted effects showed.

    Parameters
    ----------
    run
        The run, with tables of mash; reads section ``calls`` and ``mash.null_weight``.
    design, fit, summary
        Folders of the design, of the fit and of what was read off it.
    threads
        CPU threads.

    Raises
    ------
    FatewalkError
        If a file is not what its stage wrote.
    """
    kind = run.settings.calls.certificate
    nulls = Nulls.load(summary / "nulls.npz")
    certified = kind != "none"
    planted = pd.DataFrame(columns=PLANTED)
    found: list[checks.Check] = []
    if kind == "full":
        nulls, planted, found = _in_full(run, design, fit, threads)
    if certified:
        found = _checks(run, nulls) + found
    certificate = checks.certificate(kind, found, checks.cannot_tell(nulls))
    write_json(certificate, run.folder / "certificate.json")
    write_table(quantiles(nulls) if certified else quantiles(nulls).head(0), run.folder / "certificate_z.csv")
    p = nulls.p_value if certified else np.full_like(nulls.p_value, np.nan)
    of_genes = {
        "gene": np.repeat(nulls.genes.astype(object), len(nulls.fates)),
        "fate": np.tile(nulls.fates.astype(object), len(nulls.genes)),
        "p_value": p.ravel(),
    }
    write_table(pd.DataFrame(of_genes), run.folder / "gene_p_values.csv")
    write_table(planted, run.folder / "certificate_planted.csv")
    log.info("in: %d shuffles of the guides of %d units", int(nulls.permutations), int(nulls.units))
    log.info("out: %s", certificate["words"])
    for check in found:
        if check.verdict != "pass":
            log.warning("%s: %s", check.name, check.words)


def _checks(run: Run, nulls: Nulls) -> list[checks.Check]:
    """All checks of a run."""
    settings = run.settings
    evidence = run.arrays("evidence.npz")
    hits = hits_of_shuffled(nulls, evidence, settings.mash.null_weight, settings.calls)
    return [
        checks.shuffled_guides(nulls),
        checks.control_guides(nulls),
        checks.quiet_genes(nulls),
        checks.ntc_slope(run.json("fit_card.json")),
        checks.label_weight(nulls),
        checks.false_hits(hits, len(nulls.genes)),
    ]


def _in_full(
    run: Run, folder: Path, fit: Path, threads: int
) -> tuple[Nulls, pd.DataFrame, list[checks.Check]]:
    """Nulls of many shuffles, and planted effects; torch is imported only where this is asked for."""
    import torch

    from fatewalk.certificate.from_fit import draw_nulls, given_phi
    from fatewalk.certificate.plasmode import by_size
    from fatewalk.infer.fitted import load_posterior
    from fatewalk.screen.design import load_design

    torch.set_num_threads(threads)
    design = load_design(folder / "design.pt")
    posterior = load_posterior(fit / "posterior.pt", design)
    nulls = draw_nulls(posterior, design, given_phi(run.json("fit_card.json"), design), MANY)
    effects = pd.concat([_plant(run, posterior, design, threads, seed) for seed in range(SCREENS)])
    log.info("planted effects in %d screens", SCREENS)
    check = checks.planted_effects(float(effects["covered"].mean()), len(effects))
    return nulls, by_size(effects), [check]


def _plant(run: Run, posterior: Posterior, design: Design, threads: int, seed: int) -> pd.DataFrame:
    """Plant effects, fit the screen and call its genes: every effect beside the planted one."""
    from fatewalk.certificate.plasmode import compare, plant
    from fatewalk.config import FitConfig
    from fatewalk.estimates.arrays import name_evidence
    from fatewalk.estimates.likelihood_only import label_evidence
    from fatewalk.stages.fit_effects import fit_effects

    genes = FateEffects.load(run.checked(run.folder / "shrunk_fates_gene.npz"))
    guide_sd = float(np.sqrt(run.arrays("evidence.npz")["guide_variance"]))
    screen, theta = plant(posterior, design, genes.prior, guide_sd, seed)
    asked = run.json("fit_card.json")["config"]["fit"]
    given = {key: asked[key] for key in ("likelihood_weight", "dispersion", "dense_limit")}
    config = FitConfig(family="laplace", device="cpu", threads=threads, **given)
    found = fit_effects(screen, posterior.config, config, progress=False)[0]
    evidence = vars(name_evidence(label_evidence(found, screen), screen))
    calls, weight = run.settings.calls, run.settings.mash.null_weight
    shrunk = shrink_fates(evidence, "gene", "library", weight, calls.effect_size_eps).by_fate
    return compare(shrunk, theta, FateCalls.of(shrunk, calls).active)


def quantiles(nulls: Nulls) -> pd.DataFrame:
    """Quantiles of z of shuffled guides and of controls by fate, content of ``certificate_z.csv``."""
    rows: list[dict[str, Any]] = []
    for what, z in (("shuffled guides", nulls.z), ("control guides", nulls.control_z)):
        for f, fate in enumerate(nulls.fates):
            finite = z[..., f][np.isfinite(z[..., f])]
            if len(finite) > 1:
                found = np.quantile(finite, QUANTILES)
                rows += [
                    {"what": what, "fate": fate, "normal": normal, "z": value, "n": len(finite)}
                    for normal, value in zip(ndtri(QUANTILES), found, strict=True)
                ]
    return pd.DataFrame(rows, columns=["what", "fate", "normal", "z", "n"])

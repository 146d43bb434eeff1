"""Stage ``certify``: proof on the user's own data, before hits are told."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import norm

from fatewalk.calls import FateEffects
from fatewalk.certificate import checks
from fatewalk.certificate.null_calls import hits_of_shuffled
from fatewalk.certificate.nulls import Nulls
from fatewalk.core.files import write_json
from fatewalk.core.tables import write_table

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from fatewalk.run.files import Run

log = logging.getLogger(__name__)

QUANTILES = np.linspace(0.005, 0.995, 100)


def main(run: Run, summary: Path) -> None:
    """Write the certificate of a run, quantiles of its nulls and p-values.

    Parameters
    ----------
    run
        The run, with tables of mash; reads section ``calls`` and ``mash.null_weight``.
    summary
        Folder of what was read off the fit.

    Raises
    ------
    FatewalkError
        If a file is not what its stage wrote.
    """
    kind = run.settings.calls.certificate
    nulls = Nulls.load(summary / "nulls.npz")
    certified = kind != "none"
    found = _checks(run, nulls) if certified else []
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
    log.info("in: %d shuffles of the guides of %d units", int(nulls.permutations), int(nulls.units))
    log.info("out: %s", certificate["words"])
    for check in found:
        if check.verdict != "pass":
            log.warning("%s: %s", check.name, check.words)


def _checks(run: Run, nulls: Nulls) -> list[checks.Check]:
    """All checks of a run."""
    genes = FateEffects.load(run.checked(run.folder / "shrunk_fates_gene.npz"))
    settings = run.settings
    hits = hits_of_shuffled(nulls, genes.composition, settings.mash.null_weight, settings.calls)
    controls = checks.control_guides(nulls)
    return [
        checks.shuffled_guides(nulls),
        controls,
        checks.middle_of_genes(genes.estimate / genes.se, controls),
        checks.ntc_slope(run.json("fit_card.json")),
        checks.label_weight(nulls),
        checks.false_hits(hits, len(nulls.genes)),
    ]


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
                    for normal, value in zip(norm.ppf(QUANTILES), found, strict=True)
                ]
    return pd.DataFrame(rows, columns=["what", "fate", "normal", "z", "n"])

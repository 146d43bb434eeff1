"""What changes if another fate is the reference: hits by fate, active gene-days, posterior means.

    python -m benchmarks.calls.reference --out benchmarks/calls --realdata ../shared/realdata

Letters: L genes, F fates, F* contrasts, D days, P pairs of fates.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from benchmarks.calls.screens import evidence_arrays, of_fit, screens
from benchmarks.common import fit_config
from benchmarks.peers.real import KNOWN, Example
from fatewalk import mash
from fatewalk.calls import FateCalls, shrink_fates
from fatewalk.calls.fate_hits import LIKELY
from fatewalk.calls.fates import evidence_of_level
from fatewalk.config import CallsConfig, DesignConfig, MashConfig, ModelConfig
from fatewalk.config.simulate import SimulateConfig
from fatewalk.core.tables import write_table
from fatewalk.estimates.from_draws import posterior_moments
from fatewalk.mash.fates import pair_contrasts
from fatewalk.screen.design import build_design
from fatewalk.screen.simulate import simulate_screen
from fatewalk.stages.fit_effects import fit_effects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fatewalk.calls import FateEffects
    from fatewalk.screen.design import Design

    Arrays = Mapping[str, np.ndarray]

CALLS = CallsConfig()
NEAR = 0.05  # of a limit of a probability
FLOOR = 0.02  # logit; a smaller posterior SD counts as this
DRAWS = 200
REFERENCES = {"zscape_crispants": 6, "mcf10a_cropseq_dox": 12}  # of 18 fates the first six, a minute each
BY_FATE = ("estimate", "se", "mean", "sd", "lfsr", "prob_large", "moved", "active", "hit", "named")
SETS = {"kinds": "independent", "movers": "one_of_5,0.5-1"}  # five screens of each


@dataclass(frozen=True)
class View:
    """A screen as it looks from one reference, all arrays in one order of the fates.

    Attributes
    ----------
    effects, calls
        Of the genes on each fate.
    pair_mean, pair_sd : array [L, P, D]
        Posterior of every pair of fates, which no draws are behind.
    """

    effects: FateEffects
    calls: FateCalls
    pair_mean: np.ndarray
    pair_sd: np.ndarray

    @classmethod
    def of(cls, arrays: Arrays, order: Sequence[int]) -> View:
        """Shrink the arrays of evidence.npz and call hits; ``order`` has the place of each fate."""
        found = shrink_fates(arrays, "gene", "library", MashConfig().null_weight, CALLS.effect_size_eps)
        effects = found.by_fate
        n_fates = len(order)
        own = np.vstack([np.zeros(n_fates - 1), np.eye(n_fates - 1)])[list(order)]  # [F, F*]
        pairs = pair_contrasts(n_fates) @ (own[1:] - own[0])
        given = evidence_of_level(arrays, "gene", "library")
        pair = mash.contrast_effects(effects.prior, given, CALLS.effect_size_eps, pairs)
        calls = FateCalls.of(effects, CALLS)
        return cls(_in_order(effects, order), _in_order(calls, order), pair.mean, pair.sd)


def _in_order(found: Any, order: Sequence[int]) -> Any:
    """The same with fates in another order."""
    places = list(order)
    changed = {name: value[places] for name, value in vars(found).items() if name in ("fates", "composition")}
    changed |= {name: value[:, places] for name, value in vars(found).items() if name in BY_FATE}
    return replace(found, **changed)


def turned(arrays: Arrays, order: Sequence[int]) -> dict[str, np.ndarray]:
    """The same evidence with fates in this order, the first of which is the reference."""
    n_fates = len(order)
    own = np.vstack([np.zeros(n_fates - 1), np.eye(n_fates - 1)])[list(order)]
    back = np.linalg.inv(own[1:] - own[0])  # old contrasts from new ones [F*, F*]
    information = np.einsum("fg,nfdke,kh->ngdhe", back, arrays["gene_information"], back)
    return {
        **arrays,
        "gene_score": np.einsum("fg,nfd->ngd", back, arrays["gene_score"]),
        "gene_information": information,
        "composition": arrays["composition"][list(order)],
        "fates": arrays["fates"][list(order)],
    }


def compare(first: View, other: View) -> dict[str, float]:
    """What differs between two views of a screen.

    Returns
    -------
    dict
        hits, active (gene-days on fates): of `other`; hits_differ, active_differ: from `first`. active_far:
        of these, gene-days whose P(large) is not within `NEAR` of the limit from both references. hits_far:
        of these, hits of genes with such a gene-day, or with no other gene-day that differs and no
        probability of who moved within `NEAR` of `LIKELY`. active_shift: largest difference of P(large) of
        gene-days called from one reference alone. mean: largest difference of posterior means on fates in
        posterior SD; mean_above: share of them above .1; pair, pair_above: the same of pairs. estimate:
        largest difference of unshrunk estimates in their SE.
    """
    ours, theirs = first.effects, other.effects
    near = _near_limit(first) & _near_limit(other)  # [L, F, D]
    changed = first.calls.active != other.calls.active
    hits = first.calls.named != other.calls.named
    explained = changed.any(axis=(1, 2)) & ~(changed & ~near).any(axis=(1, 2))  # [L]
    for view in (first, other):
        close = (np.abs(view.effects.moved - LIKELY) <= NEAR) & view.calls.hit
        explained |= close.any(axis=1) | (np.abs(view.effects.untold - LIKELY) <= NEAR)
    shift = np.abs(ours.prob_large - theirs.prob_large)[changed]
    mean = np.abs(ours.mean - theirs.mean) / ours.sd.clip(min=FLOOR)
    pair = np.abs(first.pair_mean - other.pair_mean) / first.pair_sd.clip(min=FLOOR)
    seen = np.isfinite(mean)
    return {
        "hits": int(other.calls.named.sum()),
        "hits_differ": int(hits.sum()),
        "hits_far": int((hits & ~explained[:, None]).sum()),
        "active": int(other.calls.active.sum()),
        "active_differ": int(changed.sum()),
        "active_far": int((changed & ~near).sum()),
        "active_shift": float(shift.max(initial=0.0)),
        "mean": float(mean[seen].max()),
        "mean_above": float((mean[seen] > 0.1).mean()),
        "pair": float(pair.max()),
        "pair_above": float((pair > 0.1).mean()),
        "estimate": float(np.nanmax(np.abs(ours.estimate - theirs.estimate) / ours.se)),
    }


def _near_limit(view: View) -> np.ndarray:
    """Gene-days with a P(large) close to the limit of the calls, [L, F, D]."""
    large = view.effects.prob_large
    limit = large[view.calls.active].min() if view.calls.active.any() else 1 - CALLS.fdr
    return np.asarray(np.abs(large - limit) <= NEAR)


def rows_of(
    name: str, fates: Sequence[str], fit: Callable[[str], tuple[Arrays, str]], others: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Compare each reference with the first one of a screen.

    Parameters
    ----------
    name
        Of the screen.
    fates
        All, the first reference first.
    fit
        Arrays of evidence.npz with a fate as reference, which stands first there, and the status of the fit.
    others
        References that are compared.

    Yields
    ------
    dict
        screen, reference, status, what `compare` says, and mean_turned, pair_turned, active_turned: mean,
        pair and active_differ if the evidence from the first reference is but written against the other one.
    """
    base, status = fit(fates[0])
    first = View.of(base, range(len(fates)))
    nothing = {"mean_turned": 0.0, "pair_turned": 0.0, "active_turned": 0}
    yield {"screen": name, "reference": fates[0], "status": status} | compare(first, first) | nothing
    for reference in others:
        names = [reference, *(fate for fate in fates if fate != reference)]
        order = [names.index(fate) for fate in fates]
        arrays, status = fit(reference)
        same = compare(first, View.of(turned(base, [list(fates).index(fate) for fate in names]), order))
        yield (
            {"screen": name, "reference": reference, "status": status}
            | compare(first, View.of(arrays, order))
            | {f"{key}_turned": same[key] for key in ("mean", "pair")}
            | {"active_turned": same["active_differ"]}
        )


def simulated(simulate: Mapping[str, Any]) -> Callable[[str], tuple[Arrays, str]]:
    """Fits of a simulated screen by reference."""
    config = SimulateConfig.model_validate(simulate)
    screen = simulate_screen(config)

    def fit(reference: str) -> tuple[Arrays, str]:
        model = ModelConfig(fates=list(config.fates), ref_fate=reference)
        tables = screen.cells, screen.guide_calls, screen.guide_map
        design, _ = build_design(*tables, DesignConfig(), model.fate_order)
        return fitted(design, model)

    return fit


def example(name: str, folder: Path) -> tuple[list[str], Callable[[str], tuple[Arrays, str]]]:
    """Fates of a real example, its own reference first, and its fits by reference."""
    read = Example.read(name, folder)
    settings = read.settings.model
    own = {key: value for key, value in settings.model_dump().items() if key != "contrast_fate"}

    def fit(reference: str) -> tuple[Arrays, str]:
        model = ModelConfig.model_validate(own | {"ref_fate": reference})
        tables = read.cells, read.calls, read.guide_map
        design, _ = build_design(*tables, read.settings.design, model.fate_order)
        return fitted(design, model)

    return settings.fate_order, fit


def fitted(design: Design, model: ModelConfig) -> tuple[Arrays, str]:
    """Arrays of evidence.npz of a fit by the Laplace approximation, and its status."""
    config = fit_config("laplace", None, threads=1, device="cpu")
    posterior, card, _ = fit_effects(design, model, config, progress=False)
    arrays = of_fit(design, posterior, posterior_moments(posterior, design, DRAWS, config.seed))
    return evidence_arrays(arrays), card["status"]


def main() -> None:
    """Compare references over the simulated screens and the real examples; write reference.csv."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the table")
    parser.add_argument("--realdata", type=Path, help="folder of the real examples, measured as well")
    parser.add_argument("--only", default="", help="screens whose name begins with this")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cases: list[tuple[str, list[str], Any, int]] = []
    for kind, setting in SETS.items():
        wanted = {f"{setting},{number}" for number in range(1, 6)}
        cases += [
            (name, simulate["fates"], lambda simulate=simulate: simulated(simulate), len(simulate["fates"]))
            for name, simulate in screens(kind)
            if name in wanted
        ]
    for name in KNOWN if args.realdata else ():
        fates, fit = example(name, args.realdata)
        cases.append((name, fates, lambda fit=fit: fit, REFERENCES[name]))
    rows: list[dict[str, Any]] = []
    for name, fates, fits, most in (case for case in cases if case[0].startswith(args.only)):
        began = time.process_time()
        rows += rows_of(name, fates, fits(), fates[1:most])
        print(name, f"{time.process_time() - began:.0f} s", flush=True)
        write_table(pd.DataFrame(rows).round(5), args.out / "reference.csv")


if __name__ == "__main__":
    main()

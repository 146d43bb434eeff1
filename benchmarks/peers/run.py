"""Every method on the cells of a screen, with its CPU seconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from benchmarks.peers import ours
from benchmarks.peers.beta_binomial import beta_binomial
from benchmarks.peers.found import Found, Scale, Test
from benchmarks.peers.multinomial import multinomial
from benchmarks.peers.permutation import permutation
from benchmarks.peers.pseudobulk_t import moderated_t, welch_t

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy as np

    from benchmarks.peers.cells import Cells

SCALES: tuple[Scale, ...] = ("contrast", "fate")
PEERS: dict[str, Callable[[Cells, Scale], Test]] = {
    "pseudobulk Welch t": welch_t,
    "pseudobulk moderated t": moderated_t,
    "multinomial GLM": multinomial,
    "beta-binomial GLM": beta_binomial,
    "permutation": lambda cells, scale: permutation(cells),
}
ONLY_FATES, ONLY_ONE_HOT = {"permutation"}, {"beta-binomial GLM"}
BEFORE, AFTER = "fatewalk mash_likelihood", "fatewalk mash_fates"

Timed = tuple[Found, float]


def run_peers(cells: Cells, scale: Scale) -> Iterator[tuple[str, Timed]]:
    """Run every peer that has something to say on this scale, with its CPU seconds."""
    for name, peer in PEERS.items():
        if not (name in ONLY_FATES and scale != "fate") and (cells.one_hot or name not in ONLY_ONE_HOT):
            yield name, _timed(peer, cells, scale)


def run_ours(
    arrays: Mapping[str, np.ndarray], scale: Scale, fit_seconds: float
) -> Iterator[tuple[str, Timed]]:
    """Run fatewalk on the arrays of a fit, with CPU seconds that include the fit."""
    if scale == "contrast":
        found, seconds = _timed(ours.before, arrays)
        yield BEFORE, (found, seconds + fit_seconds)
    found, seconds = _timed(ours.after, arrays, scale)
    yield AFTER, (found, seconds + fit_seconds)


def _timed(run: Callable[..., Found | Test], *arguments: Any) -> Timed:
    began = time.process_time()
    result = run(*arguments)
    found = result if isinstance(result, Found) else result.found()
    return found, time.process_time() - began

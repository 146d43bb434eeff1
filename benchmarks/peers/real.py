"""The real examples: what each method calls, of what should be found and of what should be quiet.

Letters: L genes, F fates, D days.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from benchmarks.peers import ours
from benchmarks.peers.cells import from_design
from benchmarks.peers.run import AFTER, SCALES, run_ours, run_peers
from fatewalk.config import load_config
from fatewalk.core.schema import GUIDE_MAP
from fatewalk.core.tables import as_bool, read_table
from fatewalk.screen.design import Design, build_design
from fatewalk.screen.raw import canonical_calls, canonical_cells

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.peers.cells import Cells
    from benchmarks.peers.found import Found, Scale
    from fatewalk.config import RunSettings

EXAMPLES = Path(__file__).parents[2] / "examples"

Expected = tuple[str, str, int]  # gene, fate, sign


@dataclass(frozen=True)
class Known:
    """What is known of an example (docs/real_data.md).

    Attributes
    ----------
    strong, weak
        Effects that should be found, and those that may be too weak.
    quiet
        Genes that should do nothing; empty: all that are in neither list.
    """

    strong: tuple[Expected, ...]
    weak: tuple[Expected, ...]
    quiet: tuple[str, ...] = ()


KNOWN = {
    "zscape_crispants": Known(
        strong=(
            ("noto", "notochord", -1),
            ("noto-mut", "notochord", -1),
            ("tbxta", "notochord", -1),
            ("tbxta", "trunk_slow_muscle", -1),
            ("smo", "trunk_slow_muscle", -1),
            ("tbx16", "trunk_fast_muscle", -1),
            ("tbx16", "psm_progenitor", 1),
            ("tbx16-msgn1", "psm_progenitor", 1),
            ("tbx16-tbx16l", "psm_progenitor", 1),
            ("wnt3a-wnt8", "psm_progenitor", -1),
            ("tfap2a-foxd3", "melanophore", -1),
        ),
        weak=(
            ("tfap2a", "melanophore", -1),
            ("tfap2a-foxd3", "pigment_other", -1),
            ("foxi1", "sensory_placode", -1),
        ),
        quiet=("hgfa", "met-mut", "hand2", "tbx1", "zc4h2", "egr2b", "hgfa-mut", "phox2a"),
    ),
    "mcf10a_cropseq_dox": Known(
        strong=(("TP53", "cl09", 1), ("STK11", "cl03", 1)), weak=(("RB1", "cl09", 1),)
    ),
}


@dataclass(frozen=True)
class Example:
    """Canonical tables of an example, and its settings."""

    cells: pd.DataFrame
    calls: pd.DataFrame
    guide_map: pd.DataFrame
    settings: RunSettings

    @classmethod
    def read(cls, name: str, folder: Path) -> Example:
        """Read ``examples/<name>.yaml`` and the files that it names, from the folder of all examples."""
        raw = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8"))
        config = load_config(raw | {"data_dir": str(folder.resolve() / name)})
        (dataset,) = config.datasets
        settings = config.settings(dataset, "main")
        entry: Any = config.datasets[dataset]
        screen = entry.read()
        cells, _ = canonical_cells(screen, settings.model.fates)
        calls, _ = canonical_calls(screen)
        guide_map = read_table(entry.paths["guide_map"], GUIDE_MAP, text=GUIDE_MAP)[list(GUIDE_MAP)]
        guide_map["is_ntc"] = as_bool(guide_map["is_ntc"], entry.paths["guide_map"])
        return cls(cells, calls, guide_map, settings)

    def with_pseudo_gene(self, control: str) -> Example:
        """The same with a control guide as a gene of its own name."""
        own = self.guide_map["guide_name"] == control
        changed = self.guide_map.assign(
            gene_name=self.guide_map["gene_name"].where(~own, control),
            is_ntc=self.guide_map["is_ntc"] & ~own,
        )
        return Example(self.cells, self.calls, changed, self.settings)

    def build(self) -> tuple[Design, Cells]:
        """Design for fatewalk, and cells for the peers."""
        config = self.settings.design
        design, _ = build_design(
            self.cells, self.calls, self.guide_map, config, self.settings.model.fate_order
        )
        calls = self.calls[self.calls["umi"] >= config.min_umi] if "umi" in self.calls else self.calls
        return design, from_design(design, self.cells, calls, self.guide_map)

    def run(self, family: str | None = None) -> tuple[Design, dict[tuple[Scale, str], tuple[Found, float]]]:
        """Every method on every scale, with CPU seconds."""
        design, cells = self.build()
        began = time.process_time()
        arrays = ours.fit(design, self.settings.model, family)
        fit_seconds = time.process_time() - began
        found = {}
        for scale in SCALES:
            for method, result in (*run_peers(cells, scale), *run_ours(arrays, scale, fit_seconds)):
                found[scale, method] = result
        return design, found


def real(folder: Path) -> pd.DataFrame:
    """Every method on the real examples.

    Parameters
    ----------
    folder
        Holds the folder of each example.

    Returns
    -------
    pandas.DataFrame
        screen, scale, method; calls (gene-days), pairs (of gene and fate) and genes called; shared, calls of
        mash_fates too, with the same sign; quiet, calls of genes that should do nothing; strong and weak,
        effects found of those that should be; missed, which of the strong ones were not; controls, calls of
        control guides that are taken for genes, one at a time; which_controls; seconds (CPU).
    """
    rows = []
    for name, known in KNOWN.items():
        example = Example.read(name, folder)
        design, found = example.run()
        controls = _calls_of_controls(example)
        for (scale, method), (one, seconds) in found.items():
            reference = found[scale, AFTER][0]
            rows.append(
                {"screen": name, "scale": scale, "method": method}
                | _describe(one, reference, design, known)
                | _count(controls[scale, method])
                | {"seconds": seconds}
            )
        print(pd.DataFrame(rows).to_string(), flush=True)
    return pd.DataFrame(rows)


def _calls_of_controls(example: Example) -> dict[tuple[Scale, str], dict[str, int]]:
    """Calls of each control guide in turn as a pseudo-gene."""
    calls: dict[tuple[Scale, str], dict[str, int]] = {}
    used = set(example.calls["guide"].astype(str))
    for control in example.guide_map["guide_name"][example.guide_map["is_ntc"]]:
        if control in used:
            design, found = example.with_pseudo_gene(control).run("laplace")
            place = design.genes.index(control)
            for key, (one, _) in found.items():
                calls.setdefault(key, {})[control] = int(one.called[place].sum())
    return calls


def _count(calls: Mapping[str, int]) -> dict[str, Any]:
    """Calls of all controls, and of those that have any."""
    some = {control: n for control, n in calls.items() if n}
    return {
        "controls": sum(calls.values()),
        "which_controls": "; ".join(f"{control} {n}" for control, n in some.items()),
    }


def _describe(found: Found, reference: Found, design: Design, known: Known) -> dict[str, Any]:
    """Numbers of calls, and of expected effects among them."""
    fates = design.fates if found.scale == "fate" else design.contrasts
    expected = {gene for gene, *_ in known.strong + known.weak}
    quiet = [gene in known.quiet if known.quiet else gene not in expected for gene in design.genes]

    def has(effect: Expected) -> bool:
        gene, fate, sign = effect
        row, column = design.genes.index(gene), fates.index(fate)
        return bool((found.called[row, column] & (found.sign[row, column] == sign)).any())

    return {
        "calls": int(found.called.sum()),
        "pairs": int(found.called.any(axis=2).sum()),
        "genes": int(found.called.any(axis=(1, 2)).sum()),
        "shared": int((found.called & reference.called & (found.sign == reference.sign)).sum()),
        "quiet": int(found.called[quiet].sum()),
        "strong": f"{sum(map(has, known.strong))} of {len(known.strong)}",
        "weak": f"{sum(map(has, known.weak))} of {len(known.weak)}",
        "missed": "; ".join(" ".join(effect[:2]) for effect in known.strong if not has(effect)),
    }

"""``fatewalk check``: what a config and its data hold, what they can show, and how large the fit will be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fatewalk.cli.tables import aligned
from fatewalk.config import MAIN_RUN, SimulatedDataset, load_config, read_config
from fatewalk.config.labels import KEY
from fatewalk.config.messages import Problems
from fatewalk.core.errors import FatewalkError, first_few
from fatewalk.core.schema import UNRESOLVED
from fatewalk.core.words import count, on_days
from fatewalk.diagnostics.expected import detectable_effects, replicates_beyond_one
from fatewalk.estimates.estimand import choose_estimand
from fatewalk.model import make_terms
from fatewalk.model.cells import clusters_share_guides
from fatewalk.model.coordinates import Coordinates
from fatewalk.screen.design import build_design
from fatewalk.screen.guide_map import read_guide_map
from fatewalk.screen.raw import canonical_calls, canonical_cells
from fatewalk.screen.resolution import Resolution

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd

    from fatewalk.config import Config, Dataset, RunSettings
    from fatewalk.screen.design import Design

Tables = tuple["pd.DataFrame", "pd.DataFrame", "pd.DataFrame", dict[str, str], list[str]]


def describe(path: Path) -> Iterator[str]:
    """Check a config and its data sets.

    Parameters
    ----------
    path
        The config.

    Yields
    ------
    str
        Lines for the terminal, as they are known.

    Raises
    ------
    FatewalkError
        If the config or the data are wrong.
    """
    config = load_config(read_config(str(path)), Problems(path.name))
    for name in config.datasets:
        if name not in config.ablation_datasets:
            yield from _of_dataset(config, name)
    yield f"Nothing is wrong with {path}. Next: fatewalk run {path}"


def _of_dataset(config: Config, name: str) -> Iterator[str]:
    settings = config.settings(name, MAIN_RUN)
    cells, calls, guide_map, sources, notes = tables_of(config.datasets[name], settings)
    try:
        design, report = build_design(cells, calls, guide_map, settings.design, settings.model.fate_order)
    except FatewalkError as error:
        table, _, rest = str(error).partition(": ")
        raise FatewalkError(f"{sources[table]}: {rest}" if table in sources else str(error)) from None
    for key in config.labels.get(name, {}).values():  # these hold the same cells and guides
        canonical_cells(config.datasets[name].model_copy(update={KEY: key}).read(), settings.model.fates)
    yield f"{name}: {', '.join(dict.fromkeys(sources.values())) or 'a simulated screen'}"
    yield ""
    yield from _contents(design, report)
    yield ""
    yield from _power(design, settings)
    yield ""
    yield from _size(design, settings, config, name)
    warnings = report["warnings"] + _of_labels(design)
    if warnings:
        yield ""
        yield f"{count(len(warnings), 'warning')}:"
        yield from (f"  - {sentence}" for sentence in warnings)
    if notes := notes + report["notes"]:
        yield ""
        yield "Noted:"
        yield from (f"  - {sentence}" for sentence in notes)
    yield ""


def tables_of(dataset: Dataset, settings: RunSettings) -> Tables:
    """Cells, calls and guide map of a data set, the files that they are from, and notes of the import.

    Raises
    ------
    FatewalkError
        If the data cannot be read, or are not as the config says.
    """
    if isinstance(dataset, SimulatedDataset):
        from fatewalk.screen.simulate import simulate_screen

        screen = simulate_screen(dataset.simulate)
        return screen.cells, screen.guide_calls, screen.guide_map, {}, []
    raw = dataset.read()
    cells, of_cells = canonical_cells(raw, settings.model.fates)
    calls, of_calls = canonical_calls(raw)
    guide_map, where, of_map = read_guide_map(
        raw, calls, dataset.paths.get("guide_map"), getattr(dataset, "ntc_names", None)
    )
    sources = {"cells": raw.where, "guide_calls": raw.calls_where, "guide_map": where}
    return cells, calls, guide_map, sources, of_cells["notes"] + of_calls["notes"] + of_map


# ---------------------------------------------------------------------------- what is in it


def _contents(design: Design, report: dict[str, Any]) -> Iterator[str]:
    """Cells by day and replicate, guides, genes, controls, burden."""
    by_rep = report["cells_by_replicate_and_day"]
    head = ["cells", *design.days, "all"]
    rows = [
        [rep, *(f"{of[day]:,}" for day in design.days), f"{sum(of.values()):,}"] for rep, of in by_rep.items()
    ]
    if len(by_rep) > 1:
        total = [sum(of[day] for of in by_rep.values()) for day in design.days]
        rows.append(["all", *(f"{n:,}" for n in total), f"{sum(total):,}"])
    yield from aligned([head, *rows])
    per_cell, burden, ntc = report["guides_per_cell"], report["burden"], report["ntc"]
    of_gene = report["cells_per_gene_and_day"]
    yield ""
    yield (
        f"{count(len(design.genes), 'gene')} with {count(len(design.guides), 'guide')}; "
        f"{count(ntc['guides_in_cells'], 'control guide')} in {ntc['share_of_cells']:.0%} of the cells"
    )
    yield (
        f"guides in a cell: mean {per_cell['mean']:.1f}, 90 % of cells {per_cell['5 %']:g} to "
        f"{per_cell['95 %']:g}; {report['cells']['without_guides']:,} cells have none"
    )
    if burden["source"].startswith("column"):
        span = f"{burden['5 %']:g} to {burden['95 %']:g}"
        yield f"burden (column): mean {burden['mean']:.1f}, 90 % of cells {span}"
    yield (
        f"cells with a gene's guides, on a day: median {of_gene['median']:g}, "
        f"fewest {of_gene['min']:g}, most {of_gene['max']:g}"
    )
    if design.clusters:
        yield f"{len(design.clusters)} clusters (embryos, clones or wells)"


def _power(design: Design, settings: RunSettings) -> Iterator[str]:
    """Fates by day: share, resolution of the labels, and the smallest effect of a gene of middling size."""
    calls = settings.calls
    n_guides = np.bincount(design.guide_to_gene.numpy())
    asked = choose_estimand(calls.estimand, calls.source, replicates_beyond_one(design), n_guides)
    samples = {"guides": asked.guides, "replicates": asked.name == "population"}
    share = np.stack([design.prob[design.day == d].mean(0).numpy() for d in range(len(design.days))], axis=1)
    effect, points = detectable_effects(design, **samples)  # [F, D] each
    resolution = Resolution.of(design).of_fate  # [F, D]
    yield "Each fate: its share of the cells, and how far labels tell it from the others (0 not, 1 fully)"
    yield from aligned(
        [
            ["fate", *design.days],
            *(
                [fate, *(f"{s:.0%}, {r:.2f}" for s, r in zip(share[f], resolution[f], strict=True))]
                for f, fate in enumerate(design.fates)
            ),
        ]
    )
    yield ""
    yield "Smallest effect of one gene that is seen 4 times in 5: percentage points (log odds)"
    yield from aligned(
        [
            ["fate", *design.days],
            *(
                [fate, *(_effect(p, e) for p, e in zip(points[f], effect[f], strict=True))]
                for f, fate in enumerate(design.fates)
            ),
        ]
    )
    yield "  By a formula, for a gene with the median number of cells, against the other cells of the day, at"
    yield f"  the scatter of the labels{_sampled(samples, clusters_share_guides(design))}."
    yield "  A hit must stand out from all other genes, too."


def _sampled(samples: dict[str, bool], clusters: bool) -> str:
    """What the errors of the calls hold beside the scatter of the labels, in words."""
    names = " and ".join(name for name, counted in samples.items() if counted)
    if not names:
        return ""
    if clusters:
        return f"; that {names} differ is not in it, and makes it too good"
    return f", and with how much {names} differ in these cells"


def _effect(points: float, effect: float) -> str:
    return f"{points:.1f} ({effect:.2f})" if np.isfinite(effect) else "none"


def _of_labels(design: Design) -> list[str]:
    """Days whose labels hardly tell fates apart."""
    mean = np.nanmean(Resolution.of(design).of_fate, axis=0)  # [D]
    low = [day for day, value in zip(design.days, mean, strict=True) if value < UNRESOLVED]
    if not low:
        return []
    return [
        f"Labels of {on_days(low)} hardly tell the fates apart (resolution below {UNRESOLVED:g}): an effect "
        "there looks smaller than it is, and a gene may seem to act later than it does."
    ]


# ----------------------------------------------------------------------------- how large


def _size(design: Design, settings: RunSettings, config: Config, name: str) -> Iterator[str]:
    latents = Coordinates(make_terms(design, settings.model)).size * len(design.contrasts)
    seconds, gigabytes = expected_cost(latents, design.n_cells, settings.fit.dense_limit)
    runs = [run for run in config.runs[name] if run != MAIN_RUN]
    more = f"; {count(len(runs), 'further run')}: {first_few(runs)}" if runs else ""
    yield (
        f"Size of the fit: {latents:,} unknowns; about {_time(seconds)} and {gigabytes:.1f} GB on two CPU "
        f"cores, and a minute around it{more}"
    )


def expected_cost(latents: int, cells: int, dense_limit: int) -> tuple[float, float]:
    """Seconds and GB of a fit on two CPU cores, from the table "Time and memory" of docs/benchmarks.md.

    Good to a factor of about two: the table's five screens come out at 0.8 to 1.3 of what was measured.
    """
    if latents <= dense_limit:
        seconds = 3 + 5.7e-5 * cells + 8.7e-11 * latents**3
        return seconds, 0.5 + 2.4e-8 * latents**2 + 8.5e-7 * cells
    return 3 + 5.7e-5 * cells + 9.3e-3 * latents, 0.5 + 6.5e-5 * latents + 8.5e-7 * cells


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 5):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

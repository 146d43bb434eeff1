"""Where the files of a run lie, as `fatewalk.run.registry` has them: names of files by stage.

The rules declare these files as outputs, and the stages write them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fatewalk.core.schema import LEVELS
from fatewalk.run.registry import FIGURES, FILES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fatewalk.run.registry.entries import Where

MODES = ("conservative", "enriched")


def in_folder(stage: str, where: Where) -> list[str]:
    """Files of a stage in a folder outside the runs."""
    return [file.name for file in FILES if stage in (file.stage, file.also) and file.where == where]


def at_top(stage: str) -> list[str]:
    """Files that a stage puts into the run's folder for all contrasts, copies of others included."""
    return in_folder(stage, "run") + copies(stage)


def copies(stage: str) -> list[str]:
    """Files of other folders that a stage copies into the run's."""
    return [_below(file.copy[1], file.name) for file in FILES if file.copy and file.copy[0] == stage]


def contract(stage: str, modes: Sequence[str], by_engine: bool | None = None) -> list[str]:
    """Tables of a stage that stand in every contrast's folder, and of the primary one at the run's top too.

    Parameters
    ----------
    stage
        The stage.
    modes
        Modes of mash that the run has.
    by_engine
        Only those that R makes where it is asked to (True), or only the others (False).
    """
    return _named(stage, ("contract",), modes, by_engine)


def by_contrast(stage: str, modes: Sequence[str], by_engine: bool | None = None) -> list[str]:
    """Files of a stage that stand in every contrast's folder, those of the contract included."""
    return _named(stage, ("contract", "contrast"), modes, by_engine)


def made_by(stage: str, contrasts: Iterable[str], modes: Sequence[str]) -> list[str]:
    """Tables and JSON files that a stage makes of a run, below its folder."""
    of_contrasts = [f"{contrast_folder(c)}/{name}" for c in contrasts for name in by_contrast(stage, modes)]
    return at_top(stage) + contract(stage, modes) + of_contrasts


def figures_of(stage: str, n_contrasts: int) -> list[str]:
    """Names of the figures of a stage, with an overview of those by contrast where there are several."""
    own = [figure for figure in FIGURES if figure.stage == stage]
    overviews = [figure.name for figure in own if figure.by_contrast and n_contrasts > 1]
    return [figure.name for figure in own] + [f"overview_{name}" for name in overviews]


def contrast_figures(stage: str) -> list[str]:
    """Names of the figures of a stage that there is one of for each contrast."""
    return [figure.name for figure in FIGURES if figure.stage == stage and figure.by_contrast]


def names(pattern: str, modes: Sequence[str]) -> list[str]:
    """Names of the files of a pattern, for every level and mode that it has a place for."""
    filled = [
        pattern.format(level=level, mode=mode)
        for level in LEVELS
        for mode in (modes if "{mode}" in pattern else ("",))
    ]
    return list(dict.fromkeys(filled))


def contrast_folder(contrast: str) -> str:
    """Folder of a contrast below the run's."""
    return f"contrast={contrast}"


def engine_folder(engine: str) -> str:
    """Folder, below a contrast's, of the engine that ``mash.engine`` does not name."""
    return f"engine={engine}"


def in_contract(name: str) -> bool:
    """Tell whether a table stands at the run's top as well."""
    return name in _CONTRACT


def _named(stage: str, where: tuple[Where, ...], modes: Sequence[str], by_engine: bool | None) -> list[str]:
    patterns = [
        file.name
        for file in FILES
        if file.stage == stage and file.where in where and by_engine in (None, file.by_engine)
    ]
    return [name for pattern in patterns for name in names(pattern, modes)]


def _below(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


_CONTRACT = {name for file in FILES if file.where == "contract" for name in names(file.name, MODES)}

"""What is registered of a file, a column, a figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: Folders: of the input tables, the design, the fit, what is read off it, refits, the ablation, what
#: compares runs of a data set, all results; the run's top, a contrast's folder, or both, which is the
#: contract with other people's scripts.
Where = Literal[
    "input",
    "design",
    "fit",
    "summary",
    "refits",
    "ablation",
    "over_runs",
    "results",
    "run",
    "contrast",
    "contract",
]


@dataclass(frozen=True)
class Column:
    """A column of a table, an array of an ``.npz`` file, an entry of a JSON file.

    Attributes
    ----------
    names
        One name, or several that share a meaning, ``low_d*, high_d*``. ``*`` stands for anything, and
        ``<mode>`` for one of a kind.
    meaning
        In words.
    unit
        Such as logit; empty where there is none.
    shape
        Of an array.
    """

    names: str
    meaning: str
    unit: str = ""
    shape: str = ""


@dataclass(frozen=True)
class File:
    """A file that a stage writes.

    Attributes
    ----------
    name
        Its name; ``{level}`` and ``{mode}`` are filled in.
    stage
        The stage that writes it.
    where
        The folder it lies in.
    text
        A sentence on what it holds.
    also
        A second stage that writes it, for other data sets.
    copy
        The stage that copies it to the run, and the folder there below the run's.
    by_engine
        R writes it where ``mash.engine`` is mashr.
    extends
        The table whose columns stand before its own.
    columns
        What it holds, in order.
    """

    name: str
    stage: str
    where: Where
    text: str
    also: str = ""
    copy: tuple[str, str] | None = None
    by_engine: bool = False
    extends: str = ""
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True)
class Figure:
    """A figure: the function of its name in the module of its name in `fatewalk.plot.figures`.

    Attributes
    ----------
    name
        Its name.
    stage
        The stage that draws it.
    category
        Its chapter of the report.
    text
        A sentence on what it shows.
    caption
        How to read it, for the report (reStructuredText); ``{dataset}`` and ``{run}`` are filled in.
    by_contrast
        There is one for every contrast; else one for the run.
    by_scale
        It is of fates or contrasts, as ``calls.scale`` says.
    """

    name: str
    stage: str
    category: str
    text: str
    caption: str
    by_contrast: bool = True
    by_scale: bool = False

"""Every file and figure of a run: who makes it, where it lies, what it holds.

From here are made the outputs of Snakemake's rules and its targets, what stands at a run's top, the tables
of README and docs, the captions of the report. A new output is an entry here and the code that writes it.
"""

from fatewalk.run.registry import calls, effects, fits, over_runs, page, resample, screen, truth
from fatewalk.run.registry.entries import Column, Figure, File
from fatewalk.run.registry.figures import FIGURES

#: In the order of the chain.
FILES = (
    *screen.FILES,
    *fits.FILES,
    *effects.FILES,
    *calls.FILES,
    *truth.FILES,
    *page.FILES,
    *over_runs.FILES,
    *resample.FILES,
)

__all__ = ["FIGURES", "FILES", "Column", "Figure", "File"]

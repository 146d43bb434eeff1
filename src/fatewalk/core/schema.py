"""Names that files and stages share: columns, prefixes, marks. Imports nothing, so every stage can."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Iterable

PROB_PREFIX = "p_"  # column of the probability of a fate: p_<fate>
NTC = "NTC"  # gene name of non-targeting guides

#: Columns that a table must have; it may have more.
CELLS = ("cell_id", "day", "rep")
GUIDE_CALLS = ("cell_id", "guide")
GUIDE_MAP = ("guide_name", "gene_name", "is_ntc")
TRUTH_THETA = ("gene", "fate", "day", "theta", "theta_gene")

#: With fewer genes of two or more guides the SD of guides within a gene rests on its prior.
MIN_MULTI_GUIDE_GENES = 10

#: Optional columns of the cells table with a meaning of their own.
CLUSTER, BURDEN = "cluster", "burden"

#: Columns that mark a table of a fit not to be trusted as it stands; carried through every table.
MARKS = (PROVISIONAL, UNCENTRED) = ("provisional", "uncentred")

LEVELS = ("gene", "guide")

#: The start of a text that a spreadsheet would run, and the apostrophe that stands before it in tables for
#: people. One that has apostrophes already gets one more, so that taking one away gives it back.
WOULD_RUN, SHIELDED = re.compile(r"^'*[=+\-@\t\r\n]"), re.compile(r"^'(?='*[=+\-@\t\r\n])")

#: Effect of the library's guides, of knocking the gene down by any guides, or by any in any replicates.
Estimand = Literal["library", "gene", "population"]

#: What a bootstrap draws again.
Unit = Literal["cells", "clusters", "guides", "replicates", "leave_one_replicate_out"]
UNITS: tuple[Unit, ...] = get_args(Unit)

#: Largest |mean of delta within a gene| that rounding in float64 explains.
MEAN_ZERO_TOLERANCE = 1e-5

Z95 = 1.959963984540054  # half-width of a 95 % interval, in standard deviations


def is_reserved(name: str) -> bool:
    """Tell whether a column of the cells table has a meaning of its own, so is no covariate."""
    return name in (*CELLS, "time", CLUSTER, BURDEN) or name.startswith(PROB_PREFIX)


def prob_columns(fates: Iterable[str]) -> list[str]:
    """Columns of the fate probabilities, ``p_<fate>``."""
    return [f"{PROB_PREFIX}{fate}" for fate in fates]


def day_names(n_days: int) -> list[str]:
    """Names of the days in tables that programs read, ``d0``, ``d1``, ...: their index in time order."""
    return [f"d{day}" for day in range(n_days)]


def day_columns(name: str, n_days: int) -> list[str]:
    """Columns ``<name>_d0``, ``<name>_d1``, ... of a day-wise table."""
    return [f"{name}_{day}" for day in day_names(n_days)]


#: A column of `day_columns`.
DAY_COLUMN = re.compile(r"(?P<name>.+)_d(?P<day>\d+)")

NOT_APART = "cannot be told apart"  # what is said of effects of guides or genes that occur together

DETECTABLE = 1.96 + 0.84  # effect over standard error whose |z| exceeds 1.96 with probability 0.8
RARE = 1e-3  # share of a day's cells; of a fate that is rarer no effect is told there
UNRESOLVED = 0.1  # labels of a day that say less than this share of what they could

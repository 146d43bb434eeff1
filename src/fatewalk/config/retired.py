"""Keys that configurations had, each with what to do about it."""

from __future__ import annotations

#: Sections are told where they belong, whether they stand at the top, in a data set or in a run.
RETIRED = {
    "fit.guide": "is called fit.family now, since a guide is a CRISPR guide only: rename the key",
    "fit.batch_size": "is gone, since Newton-Laplace needs all rows in memory in any case: delete the key",
}

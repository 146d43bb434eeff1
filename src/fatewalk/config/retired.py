"""Keys that configurations had, each with what to do about it."""

from __future__ import annotations

#: Sections are told where they belong, whether they stand at the top, in a data set or in a run.
RETIRED = {
    "fit.guide": "is called fit.family now, since a guide is a CRISPR guide only: rename the key",
    "fit.batch_size": "is gone, since Newton-Laplace needs all rows in memory in any case: delete the key",
    "design.genes_without_guides": "is gone: such genes are dropped, counted and named in the design report: "
    "delete the key",
    "model.replicate_effect": "is gone, since replicate effects always sum to zero: delete the key",
    "mash.default_mode": "is gone: the calls take the first of mash.modes, so put that mode first",
    "mash.time_covariances": "is gone: covariances for effects over time are always there: delete the key",
    "mash.min_rows_ed": "is gone: tables of 1,000 rows and more learn covariances: delete the key",
    "calls.min_active_days": "is gone: one active day makes a candidate; count the days in column "
    "active_days of hits_ranked.csv: delete the key",
}

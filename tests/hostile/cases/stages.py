"""Files of a chain that are cut off, foreign or gone when a later stage reads them."""

from tests.hostile.screen import Case

CASES = [
    Case("nothing wrong", "rank_hits", lambda folder: None, "right"),
]  # fmt: skip

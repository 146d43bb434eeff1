"""What stands in the tables: names, numbers, controls, calls."""

from tests.hostile.screen import Case

CASES = [
    Case("the right screen", "design", lambda s: None, "right", never=("WARNING",), snakemake=True),
    Case(
        "a missing day", "import", lambda s: s.change("cells.csv", "day", [3], ""), "refused",
        ("cells.csv", "column 'day'", "row 4", "fill it in"), snakemake=True,
    ),
]  # fmt: skip

"""Forms of guides, maps and files."""

from tests.hostile.screen import Case

CASES = [
    Case(
        "no file of the cells", "import", lambda s: s.path("cells.csv").unlink(), "refused",
        ("cells.csv", "no such file", "correct the path"),
    ),
]  # fmt: skip

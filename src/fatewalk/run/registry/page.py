"""The page of a run."""

from fatewalk.run.registry.entries import File

FILES = (
    File(
        "report.html",
        stage="write_report",
        where="run",
        text="The page: verdict, hits and every gene in pictures and words, in one file for any browser.",
    ),
    File(
        "index.html",
        stage="write_index",
        where="results",
        text="The runs of a config side by side, with links to their pages; where there are several runs.",
    ),
)

"""The page of a run."""

from fatewalk.run.registry.entries import File

FILES = (
    File(
        "report.html",
        stage="write_report",
        where="run",
        text="The page: verdict, hits and every gene in pictures and words, in one file for any browser.",
    ),
)

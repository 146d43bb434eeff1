"""The page of a run: one HTML file that holds all it needs, made from finished tables alone."""

from fatewalk.report.index import write_index
from fatewalk.report.page import NAME, render, write_page

__all__ = ["NAME", "render", "write_index", "write_page"]

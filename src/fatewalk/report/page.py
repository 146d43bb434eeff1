"""``report.html``: text and tables by Jinja2, pictures drawn in the browser from numbers in the page.

The same tables give the same bytes: nothing in it tells when, where or how fast the run was.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fatewalk.core.files import atomic_path
from fatewalk.report import words
from fatewalk.report.data import SEEN_UP_TO, axes_of, guide_deviations, page_data

if TYPE_CHECKING:
    from pathlib import Path

    from fatewalk.run.files import Run

NAME = "report.html"
SCRIPTS = (
    "vega.min.js",
    "vega-lite.min.js",
    "vega-embed.min.js",
    "dataTables.min.js",
    "dataTables.buttons.min.js",
)


def write_page(run: Run, path: Path) -> None:
    """Write the page of a finished run.

    Parameters
    ----------
    run
        With tables of effects and hits.
    path
        The file.

    Raises
    ------
    FatewalkError
        If a table of the run is not what its stage wrote, or the file cannot be written.
    """
    text = render(run)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def render(run: Run) -> str:
    """The page of a run as HTML."""
    axes = axes_of(run)
    data = page_data(run, axes)
    report, card = run.json("design_report.json"), run.json("fit_card.json")
    hits = run.table("hits.csv")
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            title=f"{run.folder.parent.name}, run {run.folder.name}",
            data=embedded(data),
            axes=axes,
            scripts=[asset(f"vendor/{name}") for name in SCRIPTS],
            styles=[asset("vendor/dataTables.min.css"), asset("templates/page.css")],
            own_script=asset("templates/page.js"),
            verdict=words.verdict(run, data),
            headline=words.headline(run, axes),
            no_hits=words.none_found(run, data) if not data["hits"] else [],
            hits=words.hit_rows(run),
            optional=[name for name in words.OPTIONAL if name in hits and hits[name].notna().any()],
            labels=words.OPTIONAL,
            guides=guide_deviations(run).to_dict("records"),
            design=report,
            dropped=words.dropped(report),
            seen_up_to=SEEN_UP_TO,
            card=card,
            criteria=words.criteria(run.json("verdict.json")),
            certificate=run.json("certificate.json"),
            planted=data["certificate"]["planted"],
            methods=words.methods(run),
            citation=words.citation(),
            has_truth=data["truth"] is not None,
        )
    )


def environment() -> Environment:
    """Templates and the filters that they use."""
    made = Environment(
        loader=PackageLoader("fatewalk.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"percent": words.percent, "signed": words.signed, "chance": words.chance}
    return made


def embedded(data: dict[str, Any]) -> Markup:
    """Numbers and names as JSON that may stand in a script element, whatever the names hold."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))


def asset(name: str) -> Markup:
    """A file of this package, to stand in the page as it is."""
    path = resources.files("fatewalk.report").joinpath(name)
    return Markup(path.read_text(encoding="utf-8"))

"""Run docs/notebook.ipynb without a Jupyter: its cells one after the other, in one name space.

``python -m tests.notebook`` does so in a folder with the results of the demo, and writes what the cells show
into the notebook.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).parents[1] / "docs" / "notebook.ipynb"


def read() -> dict[str, Any]:
    """The notebook."""
    notebook: dict[str, Any] = json.loads(NOTEBOOK.read_text())
    return notebook


def run(notebook: dict[str, Any], replaced: tuple[str, str] = ("", "")) -> dict[str, Any]:
    """Run every code cell and keep what it shows; ``replaced``: a text in the code, and another for it."""
    space: dict[str, Any] = {}
    count = 0
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        count += 1
        code = "".join(cell["source"])
        cell["execution_count"] = count
        cell["outputs"] = outputs_of(code.replace(*replaced) if replaced[0] else code, space, count)
    return notebook


def outputs_of(code: str, space: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Run a cell; what it prints, and the value of its last line, as a notebook keeps them."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "notebook", "exec"), space)
        value = eval(compile(ast.Expression(last.value), "notebook", "eval"), space) if last else None
    text = printed.getvalue().splitlines(keepends=True)
    found = [{"name": "stdout", "output_type": "stream", "text": text}] if text else []
    if value is not None:
        shown = {"data": shown_as(value), "execution_count": count, "metadata": {}}
        found.append({"output_type": "execute_result", **shown})
    return found


def shown_as(value: Any) -> dict[str, Any]:
    """A value in the forms that a notebook shows."""
    data: dict[str, Any] = {"text/plain": repr(value).splitlines(keepends=True)}
    if hasattr(value, "_repr_html_") and (page := value._repr_html_()):
        data["text/html"] = page.splitlines(keepends=True)
    if hasattr(value, "_repr_png_"):
        data = {"image/png": base64.b64encode(value._repr_png_()).decode(), "text/plain": ["<Figure>"]}
    return data


if __name__ == "__main__":
    NOTEBOOK.write_text(json.dumps(run(read()), indent=1, ensure_ascii=False) + "\n")

"""The rooms of the package lie one above the other: a lower one never imports an upper one."""

import ast
from pathlib import Path

import pytest

import fatewalk

PACKAGE = Path(fatewalk.__file__).parent
ROOMS = (
    "core",
    "config",
    "screen",
    "model",
    "infer",
    "estimates",
    "diagnostics",
    "calls",
    "certificate",
    "evaluate",
    "run",
    "plot",
    "report",
    "stages",
    "workflow",
    "api",
    "cli",
)
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def imported(path):
    """Names of the parts of fatewalk that a module imports, also those for type checkers alone."""
    for node in ast.walk(ast.parse((PACKAGE / path).read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (parts[1] for name in names if (parts := name.split("."))[0] == "fatewalk" and parts[1:])


def test_every_folder_is_a_room_with_a_place():
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders == {*ROOMS, "mash"}


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_room_imports_none_above_it(path):
    room = path.parts[0]
    names = set(imported(path)) - {room, "__version__"}
    if room == "mash":
        assert not names, "mash stands alone"
    elif room in ROOMS:
        allowed = set(ROOMS[: ROOMS.index(room)])
        if room in ROOMS[ROOMS.index("calls") :]:
            allowed.add("mash")
        assert names <= allowed, f"{room} imports {names - allowed}"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_no_module_has_the_name_of_a_function_of_the_package(path):
    assert path.stem not in ("fit", "load")

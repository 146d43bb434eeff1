"""Paths, and names that become folders: what would fail later, or elsewhere, is told at once."""

from __future__ import annotations

import fnmatch
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from fatewalk.core.foreign import foreign_form, is_zarr
from fatewalk.core.names import same_to_the_ear, spellings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fatewalk.config.messages import Problems

NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9_-])?")
OF_WINDOWS = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
LONGEST = 100  # of a name; folders and files of results add to it
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
VARIABLE = re.compile(r"\$\{?[A-Za-z_]")


def check_file(key: str, path: str, folder: str | None, problems: Problems) -> None:
    """Tell a path that no file can be read from.

    Parameters
    ----------
    key
        Its key, for messages.
    path
        The path, as it is given.
    folder
        Where relative paths start; None: here.
    problems
        Takes what is wrong.
    """
    if URL.match(path):
        wrong = "; download the file and give its path"
    else:
        wrong = _wrong(path, problems.python)
        place = Path(folder or "", path)
        if not wrong and place.is_dir() and not place.suffix and not is_zarr(place):
            form = foreign_form(place)
            wrong = f"; it is {form[0]}: {form[1]}" if form else "; it is a folder: name the file in it"
    if wrong:
        problems.add(f"{key}: found {path!r}{wrong}")


def check_folder(key: str, path: str | None, problems: Problems) -> None:
    """Tell a path that can be no folder, of results or of data.

    Parameters
    ----------
    key
        Its key, for messages.
    path
        The path; None: there is none.
    problems
        Takes what is wrong.
    """
    if path is None:
        return
    if URL.match(path):
        wrong = "; allowed: a folder of this machine"
    else:
        wrong = _wrong(path, problems.python)
        files = [one for one in (Path(path), *Path(path).parents) if one.is_file()]
        if not wrong and files:
            wrong = f"; {files[0]} is a file: name a folder"
    if wrong:
        problems.add(f"{key}: found {path!r}{wrong}")


def _wrong(path: str, in_python: bool) -> str:
    """What is wrong with the text of a path, and what to do."""
    if path != path.strip():
        return ", with a blank at its end; take the blank out"
    if not path.isprintable():
        return ", with a tab or a line break in it; take it out (in double quotes YAML reads \\t as a tab)"
    if "\\" in path:
        return "; write '/' between folders, not a backslash"
    if path.startswith("~"):
        return f"; '~' is not replaced: write {os.path.expanduser(path)}"  # noqa: PTH111 (Path raises)
    if not in_python and ("{" in path or "}" in path):
        return "; braces are wildcards to Snakemake: rename the folder or file"
    if VARIABLE.search(path) and not os.path.lexists(path):
        return f"; variables are not replaced: write {os.path.expandvars(path)}"
    return ""


def check_names(names: Mapping[str, object], reserved: tuple[str, ...], problems: Problems) -> None:
    """Tell names of data sets or runs that cannot be a folder of their own, here or on another system.

    Parameters
    ----------
    names
        All names that lie in one folder, by their path in the config.
    reserved
        Names of other folders; ``ablation-*`` stands for all that begin so.
    problems
        Takes what is wrong.
    """
    first: dict[str, str] = {}
    for where, name in names.items():
        if not isinstance(name, str):
            continue  # told where the value is validated
        folded = name.casefold()
        if len(name) > LONGEST:
            problems.add(f"{where[:40]}...: a name of {len(name)} letters; allowed: at most {LONGEST}")
        elif not NAME.fullmatch(name) or any(fnmatch.fnmatchcase(folded, one) for one in reserved):
            problems.add(
                f"{where}: {name!r} cannot be a folder of results; allowed: letters, digits, '_', '-', "
                f"'.', a letter or digit first, no '.' last, and not {', '.join(reserved)}"
            )
        elif OF_WINDOWS.fullmatch(name):
            problems.add(f"{where}: {name!r} cannot be a folder on Windows; take another name")
        elif first.setdefault(folded, name) != name:
            problems.add(
                f"{where}: differs from {first[folded]!r} by case only, so that some systems would take both "
                "for one folder; rename one"
            )


def not_twice(names: list[str]) -> None:
    """Refuse a name that occurs twice.

    Raises
    ------
    ValueError
        With the name.
    """
    if twice := [name for place, name in enumerate(names) if name in names[:place]]:
        raise ValueError(f"found {twice[0]!r} twice; delete one")


def must_differ(names: list[str]) -> None:
    """Refuse names that are equal, or read aloud alike: but for case, blanks, dashes, composition.

    Raises
    ------
    ValueError
        With both names.
    """
    not_twice(names)
    if alike := same_to_the_ear(names):
        raise ValueError(f"found {spellings(alike)}, one name to the eye; rename all but one")


def fate_names(fates: list[str]) -> list[str]:
    """Check names of fates: each is part of a folder's name and of a column's.

    Raises
    ------
    ValueError
        With the first that cannot be.
    """
    must_differ(fates)
    for fate in fates:
        if fate != fate.strip() or not fate:
            raise ValueError(f"found {fate!r}; allowed: names without blanks at their ends, and not empty")
        if set(fate) & set("/\\={}") or not fate.isprintable():
            raise ValueError(
                f"{fate!r} cannot be a folder's name; allowed: no slash, backslash, '=', brace or tab: "
                "rename it in the data"
            )
        if len(fate) > LONGEST:
            raise ValueError(f"found a name of {len(fate)} letters; allowed: at most {LONGEST}")
    return fates

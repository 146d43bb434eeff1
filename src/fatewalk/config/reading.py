"""A config file as it stands: what YAML makes of it is told before anything is made of that."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from fatewalk.config.messages import Problems, short
from fatewalk.core.errors import FatewalkError

if TYPE_CHECKING:
    from collections.abc import Iterator

OCTAL = re.compile(r"[-+]?0[0-7_]+")
BASES = re.compile(rf"{OCTAL.pattern}|[-+]?0[xb][0-9A-Fa-f_]+")
NO_BLANK = re.compile(r"\s*-[^\s\d.-]")
TOML = re.compile(r"\s*\[+[\w.-]+\]+\s*")
TAG = "tag:yaml.org,2002:"
QUOTES = "“”„‘’‚«»"
INVISIBLE = "\u00a0\u2007\u202f\u200b\u2060\ufeff"  # blanks that do not break a line, and none at all
MOST_DIGITS = 100
COMMA = "a comma in a number: write it with a point, and without commas between thousands"
TABS = "a tab at the start of the line: indent with blanks, never with tabs"
MENDS = {  # what the parser says: what it means
    "unknown escape character": "a backslash in double quotes begins a code: take single quotes",
    "expected escape sequence": "a backslash in double quotes begins a code: take single quotes",
    "expected chomping or indentation": "text that begins with '>' or '|' must stand in quotes; a number "
    "stands without signs",
    "undefined alias": "text that begins with '*' must stand in quotes",
    "expected alphabetic or numeric character": "text that begins with '*' or '&' must stand in quotes",
    "mapping values are not allowed here": "text that holds ': ' must stand in quotes, and the keys of a "
    "section below each other",
    "could not find expected ':'": "no colon after the key: write 'key: value', with a blank after the colon",
    "cannot start any token": "text that begins with '@', '%' or '`' must stand in quotes",
    "while scanning a quoted scalar": "a quote is opened and not closed",
    "while parsing a flow": "a bracket is opened and not closed, or a comma is missing between two values",
    "while parsing a block": "the keys of a section, and the values of a list, must begin in the same column",
    "could not determine a constructor": "text that begins with '!' must stand in quotes",
    "expected a single document": "a second document begins: take out '---'",
    "special characters are not allowed": "a character that no text holds: take it out",
}


def read_config(path: str | Path) -> dict[str, Any]:
    """Read a config file: YAML or JSON, UTF-8.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    dict
        Plain containers, for `load_config`.

    Raises
    ------
    FatewalkError
        If it is not there, is not text, has no keys at its top or a key twice, breaks the rules of YAML, or
        holds what YAML takes for something that no config means: dates, octal numbers, names such as ``no``.
    """
    text = _text_of(Path(path))
    if str(path).endswith(".json") or _is_json(text):
        found = _json_of(text, str(path))
    else:
        found = _yaml_of(text, str(path))
    if found is None:
        raise FatewalkError(f"{path}: is empty; name at least your data sets, see docs/configuration.md")
    if not isinstance(found, dict):
        raise FatewalkError(
            f"{path}: found {short(found)} at the top; allowed: keys such as 'datasets:', each followed by a "
            "colon and a blank"
        )
    return found


def _text_of(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError:
        raise FatewalkError(f"{path}: no such file; correct the path of the config") from None
    except IsADirectoryError:
        raise FatewalkError(f"{path}: is a folder; name the config in it") from None
    except PermissionError:
        raise FatewalkError(f"{path}: may not be read; change its permissions") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise FatewalkError(
            f"{path}: line {line} is not UTF-8 (byte {error.object[error.start]:#04x}); save the file as "
            "UTF-8"
        ) from None


def _is_json(text: str) -> bool:
    """Tell JSON, as Snakemake does before it tries YAML."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _json_of(text: str, path: str) -> Any:
    problems = Problems(path)

    def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        for name in dict.fromkeys(name for name in names if names.count(name) > 1):
            problems.add(f"key {name!r} occurs twice; delete one")
        return dict(pairs)

    try:
        found = json.loads(text, object_pairs_hook=without_repeats)
    except json.JSONDecodeError as error:
        raise FatewalkError(f"{path}: line {error.lineno}: is no JSON: {error.msg}; mend the line") from None
    except RecursionError:
        raise FatewalkError(f"{path}: brackets in brackets in brackets; no key is nested as deep") from None
    problems.raise_if_any()
    return found


def _yaml_of(text: str, path: str) -> Any:
    problems = Problems(path)
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        for line, words in _traps(node):
            problems.add(f"line {line}: {words}")
        problems.raise_if_any()
        return None if node is None else loader.construct_document(node)
    except yaml.YAMLError as error:
        raise FatewalkError(_words_of(error, text, path)) from None
    except RecursionError:
        raise FatewalkError(f"{path}: brackets in brackets in brackets; no key is nested as deep") from None


def _words_of(error: yaml.YAMLError, text: str, path: str) -> str:
    """One sentence on a file that is no YAML: the line, what is wrong with it, what to do."""
    said = " ".join(str(error).split())
    lines = text.split("\n")
    mark = getattr(error, "problem_mark", None)
    if mark is None:  # a character that no YAML may hold: the error has its place in the text
        place = int(getattr(error, "position", 0))
        number, column = text.count("\n", 0, place), 0
    else:
        number, column = min(mark.line, len(lines) - 1), mark.column + 1
    around = lines[max(0, number - 1) : number + 1]
    if any("\t" in line[: len(line) - len(line.lstrip())] for line in around):
        meant = TABS
    elif any(line.startswith(("<" * 7, ">" * 7)) for line in lines):
        meant = "marks of git (<<<<<<< and the like) stand in the file: keep one side and delete them"
    elif TOML.fullmatch(next((line for line in lines if line.strip() and line[0] != "#"), "")):
        meant = "the file looks like TOML, and a config is YAML: write 'key: value'"
    elif "could not find expected ':'" in said and any(NO_BLANK.match(line) for line in around):
        meant = "a blank is missing after the dash: write '- name'"
    else:
        reason = str(getattr(error, "problem", None) or "cannot be read")
        meant = next((meant for words, meant in MENDS.items() if words in said), f"{reason}: mend the line")
    opened = getattr(error, "context_mark", None)
    begun = f" (in what begins in line {opened.line + 1})" if opened and opened.line != number else ""
    at = f", column {column}" if column else ""
    return f"{path}: line {number + 1}{at} is no YAML: {short(lines[number])}: {meant}{begun}"


def _traps(node: yaml.Node | None, inside: tuple[yaml.Node, ...] = ()) -> Iterator[tuple[int, str]]:
    """Lines where YAML reads something else than was meant, each with what to do."""
    if node is None:
        return
    if any(node is outer for outer in inside):
        yield _line(node), "an anchor (&) that holds itself (*); write the value out"
        return
    below = (*inside, node)
    if isinstance(node, yaml.MappingNode):
        yield from _twice(node)
        for key, value in node.value:
            if key.tag in (f"{TAG}int", f"{TAG}float") and value.value == "":
                yield _line(key), COMMA
                continue
            yield from _of_scalar(key, ("bool", "null", "float"))
            yield from _traps(value, below) if not isinstance(value, yaml.ScalarNode) else _of_scalar(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            if isinstance(value, yaml.ScalarNode):
                yield from _of_scalar(value, ("bool", "null"))
            else:
                yield from _traps(value, below)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _twice(node: yaml.MappingNode) -> Iterator[tuple[int, str]]:
    """Keys that stand twice in one section: YAML would take the last without a word."""
    lines: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            yield _line(key), "a list or a section as a key; a key is text"
            continue
        name = (key.tag, key.value)
        if name in lines and key.tag != f"{TAG}merge":
            yield _line(key), f"key {key.value!r} occurs twice, before in line {lines[name]}; delete one"
        lines.setdefault(name, _line(key))


def _of_scalar(node: yaml.Node, never: tuple[str, ...] = ()) -> Iterator[tuple[int, str]]:
    """What is wrong with one value or key: dates, octal and sexagesimal numbers, those of kinds ``never``."""
    if not isinstance(node, yaml.ScalarNode):
        return
    text, kind, line = str(node.value), node.tag.removeprefix(TAG), _line(node)
    if hidden := [character for character in INVISIBLE if character in text]:
        yield (
            line,
            f"{text!r} holds a character that is not seen (U+{ord(hidden[0]):04X}); type it anew, with plain "
            "blanks",
        )
    if node.style is not None:  # in quotes
        return
    mend = f'put it in quotes: "{text}"'
    if text[:1] and text[0] in QUOTES:
        yield line, f"{text!r} begins with a curly quote, which is part of the text; take plain quotes"
    elif kind == "timestamp":
        yield line, f"{text} is a date to YAML; {mend}"
    elif kind in ("int", "float") and ":" in text:
        yield line, f"{text} is a number of base 60 to YAML; {mend}"
    elif kind == "int" and BASES.fullmatch(text):
        base = "octal" if OCTAL.fullmatch(text) else "of base 16 or 2"
        value = int(yaml.safe_load(text))
        yield line, f"{text} is {base} to YAML, the number {value}; write {value}, or {mend}"
    elif kind == "int" and len(text) > MOST_DIGITS:
        yield line, f"a number of {len(text)} digits; no key takes one"
    elif kind in never:
        read = {"bool": "true or false", "null": "null (no value)", "float": "a number"}[kind]
        yield line, f"{text or 'nothing'} is {read} to YAML; {mend}"

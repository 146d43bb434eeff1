"""Wrong keys and values of a configuration, in words."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from fatewalk.config.datasets import Dataset, kinds
from fatewalk.config.retired import RETIRED
from fatewalk.config.sections import SECTIONS, PriorsConfig
from fatewalk.core.errors import FatewalkError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

Layers = Mapping[str, Mapping[str, Any]]
Place = tuple[str, ...]

# what is allowed, by the kind of error; of several members of a union those of ITS_TYPE give way
ITS_TYPE = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "keys with values",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list in brackets",
    "model_type": "keys with values",
    "string_type": "text",
    "tuple_type": "a list in brackets",
}
BOUNDS = {
    "finite_number": "a finite number",
    "greater_than": "numbers above {gt}",
    "greater_than_equal": "numbers of at least {ge}",
    "int_parsing_size": "a number of at most 63 bits",
    "less_than": "numbers below {lt}",
    "less_than_equal": "numbers of at most {le}",
    "literal_error": "{expected}",
    "string_too_short": "text that is not empty",
    "too_long": "a list of at most {max_length}",
    "too_short": "a list of at least {min_length}",
}

MEANINGS = {  # what other programs call our keys
    "day_key": ("time_key", "timepoint_key", "time_point_key", "stage_key"),
    "rep_key": ("batch_key", "replicate_key", "sample_key"),
    "cluster_key": ("embryo_key", "clone_key", "well_key"),
    "ntc_names": ("ntc", "ntcs", "ntc_genes", "ntc_guides", "controls", "control_names"),
}


class Problems:
    """Collects problems, so that a user sees all of them at once.

    Parameters
    ----------
    where
        Where they are: ``config``, the name of a file, or ``keywords`` of a call. Values are shown as they
        are written there.
    """

    def __init__(self, where: str = "config") -> None:
        self.where = where
        self.python = where == "keywords"
        self._texts: dict[str, None] = {}  # ordered, without repeats

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._texts)

    def add(self, text: str) -> None:
        """Add one problem."""
        self._texts[text] = None

    def validate(
        self,
        model: type[BaseModel],
        value: Any,
        path: str = "",
        layers: Layers | None = None,
    ) -> BaseModel | None:
        """Validate ``value``; on failure collect its problems and return None.

        Parameters
        ----------
        model
            The section's model.
        value
            Its keys.
        path
            Path of the section in the configuration.
        layers
            The places whose keys were merged into ``value``, by their path; a problem is reported
            where its key stands, the last such place.
        """
        try:
            return model.model_validate(value)
        except ValidationError as error:
            for place, found in _by_place(error, value).items():
                self.add(_explain(model, place, found, path, layers or {}, self.python))
        return None

    def raise_if_any(self) -> None:
        """Raise one error that names every problem, and where they are, if there is any."""
        if self._texts:
            count = "1 problem" if len(self._texts) == 1 else f"{len(self._texts)} problems"
            raise FatewalkError("\n".join([f"{self.where}: {count}", *(f"  - {t}" for t in self._texts)]))


def short(value: Any, python: bool = False) -> str:
    """Show a value in at most 60 characters, as it is written in a config, or in Python."""
    text = repr(value) if python else _as_in_yaml(value)
    if python and "\n" in text:  # of pandas
        text = f"an object of type {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


def _as_in_yaml(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float) and (value != value or value in (float("inf"), -float("inf"))):
        return {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}[repr(value)]
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_as_in_yaml(k)}: {_as_in_yaml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_as_in_yaml, value)) + "]"
    return str(value) if isinstance(value, datetime.date) else repr(value)


def _by_place(error: ValidationError, value: Any) -> dict[Place, list[dict[str, Any]]]:
    """Errors by the key where they are: those of the members of a union, which each have one, together."""
    found: dict[Place, list[dict[str, Any]]] = {}
    for item in error.errors():
        found.setdefault(_place(item["loc"], item["type"], value), []).append(dict(item))
    out = {}
    for place, items in found.items():
        bounds = [item for item in items if item["type"] not in ITS_TYPE]
        deeper = any(other[: len(place)] == place and len(other) > len(place) for other in found)
        if bounds or not deeper:  # a list whose third value is wrong is not wrong for being no number
            of_its_type = any(item["type"] != "literal_error" for item in bounds)
            out[place] = bounds if of_its_type else items
    return out


def _place(loc: tuple[int | str, ...], kind: str, value: Any) -> Place:
    """Keys down to an error, without the names that pydantic puts between them for members of unions."""
    place: list[str] = []
    for part in loc:
        if isinstance(value, Mapping):
            names = {str(key): key for key in value}
            if str(part) in names:
                place.append(str(part))
                value = value[names[str(part)]]
            elif kind == "missing" and part == loc[-1]:
                place.append(str(part))
        elif isinstance(value, list | tuple) and isinstance(part, int) and part < len(value):
            place.append(str(part))
            value = value[part]
    return tuple(place)


def _explain(
    model: type[BaseModel], place: Place, found: list[dict[str, Any]], path: str, layers: Layers, python: bool
) -> str:
    """Tell one problem: the key's path, what was found, what is allowed, how to mend it."""
    location, error = list(place), found[0]
    kind, text = error["type"], ""
    if kind == "value_error":  # our own validators begin with the key when several are involved
        text = str(error["ctx"]["error"])
        if python:
            text = re.sub("(found|allowed:) (true|false)", lambda said: f"{said[1]} {said[2].title()}", text)
        key, _, rest = text.partition(": ")
        if key in _keys_at(model, location):
            location, text = [*location, key], rest
    where = ".".join(filter(None, [_origin(layers, path, location), path, *location]))
    if kind == "extra_forbidden":
        if advice := RETIRED.get(".".join([path, *location])):
            return f"{where}: {advice}"
        allowed = _keys_at(model, location[:-1])
        meant = _home_of(location[-1], where) or meant_key(location[-1], allowed)
        meant = ", a blank is missing after its colon" if ":" in location[-1] else meant
        return f"{where}: unknown key{meant}; allowed: {', '.join(allowed)}"
    value = error["input"]
    if kind == "missing" and not isinstance(value, list | tuple):
        return f"{where}: missing, and it has no default"
    if kind == "value_error":
        return f"{where}: {text}"
    if kind == "missing":  # one of a list of a fixed length
        most = max(int(item["loc"][-1]) for item in found) + 1
        return f"{where}: found {short(value, python)}; allowed: a list of {most}"
    return f"{where}: found {short(value, python)}{_allowed(found)}{_mend(found, value, python)}"


def meant_key(key: str, allowed: Iterable[str]) -> str:
    """`` (did you mean 'rep_key'?)`` of a key that there is not: of the same meaning, or spelt nearly so."""
    known = list(allowed)
    same = [name for name, words in MEANINGS.items() if name in known and key.lower() in words]
    if same:
        return f" (did you mean {same[0]!r}?)"
    ends = key.endswith("_key")  # which says nothing: time_key is no rep_key
    stems = {name.removesuffix("_key"): name for name in known if ends == name.endswith("_key") or not ends}
    close = nearest(key.removesuffix("_key") if ends else key, stems if ends else known)
    found = re.search(r"'(.*)'", close)
    return f" (did you mean {stems[found[1]]!r}?)" if found and ends else close


def _home_of(key: str, where: str) -> str:
    """Where a key belongs that stands elsewhere."""
    if homes := [name for name, section in SECTIONS.items() if key in section.model_fields]:
        return f", it belongs to section {homes[0]}"
    if key in PriorsConfig.model_fields:
        return ", it belongs to model.priors"
    if of := [
        kind.key for kind in kinds().values() if key in set(kind.model_fields) - set(Dataset.model_fields)
    ]:
        in_entry = where.startswith("datasets.") and ".runs." not in where
        return (
            f", it belongs to entries with {' or '.join(of)}"
            if in_entry
            else ", it belongs to an entry of datasets"
        )
    return ""


def _allowed(found: list[dict[str, Any]]) -> str:
    """What may stand where something wrong was found: "; allowed: a number, or a list in brackets"."""
    phrases: dict[str, None] = {}
    meant = ""
    for error in found:
        words = {**ITS_TYPE, **BOUNDS}.get(error["type"])
        context = {key: _number(value) for key, value in error.get("ctx", {}).items()}
        if error["type"] == "literal_error":
            literals = re.findall(r"'([^']*)'", context["expected"]) or context["expected"].split(" or ")
            meant = nearest(str(error["input"]), literals)
            context["expected"] = " | ".join(literals)
        phrases[words.format(**context) if words else error["msg"]] = None
    return f"{meant}; allowed: {', or '.join(phrases)}"


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) and value < 1e6 else str(value)


def _mend(found: list[dict[str, Any]], value: Any, python: bool) -> str:
    """What to do about a value of the wrong kind, where it can be told from the value."""
    kinds = {error["type"] for error in found}
    if value is None:
        return "; give a value, or leave the key out"
    if "string_type" in kinds and isinstance(value, bool | int | float | datetime.date):
        if python:
            return f"; write {str(value)!r}"
        if isinstance(value, bool):
            name = "yes" if value else "no"
            said = "yes, on and true" if value else "no, off and false"
            return f'; YAML reads {said} as {short(value)}: put a name in quotes, "{name}"'
        return f'; put it in quotes: "{_as_in_yaml(value)}"'
    if "string_type" in kinds and isinstance(value, Mapping) and not python:
        return "; put text with braces in quotes"
    if "string_type" in kinds and isinstance(value, list | tuple):
        return "; give one, without brackets"
    if kinds == {"list_type"} and isinstance(value, str):
        return _list_meant(value, python)
    if kinds == {"too_short"} and isinstance(value, list | tuple) and " " in str(value[:1]):
        return _list_meant(str(value[0]).replace(" ", ","), python)
    if kinds & {"int_parsing", "float_parsing"} and isinstance(value, str):
        return _number_meant(value, "int_parsing" in kinds)
    return ""


def _list_meant(text: str, python: bool) -> str:
    """``; write [EC, MES]`` of "EC, MES", "(EC, MES)", "['EC', 'MES']", "-EC -MES" with any dashes."""
    dashes = r"[,;]|(?:^|\s)[–—•](?=\s)|(?:^|\s)-(?=\S)"
    names = [name.strip("'\" ") for name in re.split(dashes, text.strip("()[] "))]
    names = [name for name in names if name]
    if not names or names in (["none"], ["None"], ["null"]):
        return "; write [] for none"
    return f"; write [{', '.join(map(repr, names) if python else names)}]"


def _number_meant(text: str, whole: bool) -> str:
    """``; write 10000`` of "1e4" or "10,000", ``; write 0.05`` of "0,05" or "5 %"."""
    if whole:
        text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    try:
        number = float(text.strip().removesuffix("%").replace(",", ".")) / (100 if "%" in text else 1)
    except ValueError:
        return ""
    if not math.isfinite(number):
        return ""
    return f"; write {int(number) if whole and number.is_integer() else number}"


def _origin(layers: Layers, section: str, location: list[str]) -> str:
    """Path of the last layer that holds a key."""
    found = ""
    for path, layer in layers.items():
        value: Any = layer.get(section)
        for key in location:
            value = value.get(key, _ABSENT) if isinstance(value, Mapping) else value
        if value is not _ABSENT and layer.get(section):
            found = path
    return found


_ABSENT = object()


def _keys_at(model: type[BaseModel], location: list[str]) -> list[str]:
    """Valid keys of the section at a location."""
    for part in location:
        if part not in model.model_fields:  # the name of a run: stay with the type of its values
            continue
        annotation = model.model_fields[part].annotation
        for candidate in (annotation, *get_args(annotation)):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                model = candidate
    return list(model.model_fields)

"""Wrong keys and values of a configuration, in words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from fatewalk.config.retired import RETIRED
from fatewalk.core.errors import FatewalkError

Layers = Mapping[str, Mapping[str, Any]]


class Problems:
    """Collects problems, so that a user sees all of them at once."""

    def __init__(self) -> None:
        self._texts: dict[str, None] = {}  # ordered, without repeats

    def add(self, text: str) -> None:
        """Add one problem."""
        self._texts[text] = None

    def validate(
        self,
        model: type[BaseModel],
        value: Mapping[str, Any],
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
            for item in error.errors():
                self.add(_explain(model, dict(item), path, layers or {}))
        return None

    def raise_if_any(self, where: str = "config") -> None:
        """Raise one error that names every problem, and where they are, if there is any."""
        if self._texts:
            count = "1 problem" if len(self._texts) == 1 else f"{len(self._texts)} problems"
            raise FatewalkError("\n".join([f"{where}: {count}", *(f"  - {t}" for t in self._texts)]))


def short(value: Any) -> str:
    """Show a value in at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _explain(model: type[BaseModel], error: dict[str, Any], path: str, layers: Layers) -> str:
    """Tell one problem: the key's path, what was found, what is allowed, the nearest name."""
    location = [str(part) for part in error["loc"] if not _is_union_tag(part)]
    kind, text = error["type"], error["msg"].replace("Input should", "it should")
    if kind == "value_error":  # our own validators begin with the key when several are involved
        text = str(error["ctx"]["error"])
        key, _, rest = text.partition(": ")
        if key in _keys_at(model, location):
            location, text = [*location, key], rest
    where = ".".join(filter(None, [_origin(layers, path, location), path, *location]))
    if kind == "extra_forbidden":
        if advice := RETIRED.get(".".join([path, *location])):
            return f"{where}: {advice}"
        allowed = _keys_at(model, location[:-1])
        return f"{where}: unknown key{nearest(location[-1], allowed)}; allowed: {', '.join(allowed)}"
    if kind == "missing":
        return f"{where}: missing, and it has no default"
    if kind == "value_error":
        return f"{where}: {text}"
    found = short(error["input"])
    if kind == "literal_error":
        allowed = re.findall(r"'([^']*)'", error["ctx"]["expected"]) or [error["ctx"]["expected"]]
        meant = nearest(str(error["input"]), allowed)
        return f"{where}: found {found}{meant}; allowed: {' | '.join(allowed)}"
    return f"{where}: found {found}; {text}"


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


def _is_union_tag(part: Any) -> bool:
    """Tell pydantic's name for the tried member of a union, which users need not see."""
    plain = isinstance(part, str) and part.removeprefix("constrained-")
    return bool(plain) and ("[" in str(plain) or plain in {"int", "float", "str", "bool"})


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


def nearest(name: str, allowed: list[str]) -> str:
    """Name the closest valid name: ", did you mean 'x'?", or nothing."""
    close = difflib.get_close_matches(name, allowed, n=1)
    return f", did you mean {close[0]!r}?" if close else ""

"""The keys of the sections one by one, each with the stages that read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel

from fatewalk.config.base import Section

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Key:
    """A key of a section.

    Attributes
    ----------
    path
        Its names from the section down, ``("priors", "s_tau")``.
    field
        Default and description.
    read_by
        Stages that read it; empty if nothing says so.
    reruns
        Whether results depend on it.
    """

    path: tuple[str, ...]
    field: FieldInfo
    read_by: tuple[str, ...]
    reruns: bool

    @property
    def name(self) -> str:
        """``priors.s_tau``."""
        return ".".join(self.path)


def keys_of(model: type[BaseModel], skip: frozenset[str] = frozenset()) -> Iterator[Key]:
    """Keys of a section, those of a nested section below their name.

    Parameters
    ----------
    model
        The section.
    skip
        Fields to leave out.
    """
    for name, field in model.model_fields.items():
        if name in skip:
            continue
        nested = nested_section(field)
        if nested is not None:
            for inner in keys_of(nested):
                yield Key((name, *inner.path), inner.field, inner.read_by, inner.reruns)
            continue
        extra = cast("dict[str, Any]", field.json_schema_extra or {})
        of_section = model.read_by if issubclass(model, Section) else ()
        yield Key((name,), field, tuple(extra.get("read_by", of_section)), extra.get("reruns", True))


def nested_section(field: FieldInfo) -> type[BaseModel] | None:
    """The section that a field holds, if it holds one."""
    annotation: Any = field.annotation
    is_section = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return annotation if is_section else None


def values_read_by(stage: str, section: BaseModel, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a section that a stage's results depend on, nested as the section is.

    Parameters
    ----------
    stage
        Name of the stage.
    section
        The section.
    values
        Its values as plain containers.
    """
    found: dict[str, Any] = {}
    for one in keys_of(type(section)):
        if stage not in one.read_by or not one.reruns:
            continue
        source: Any = values
        target = found
        for name in one.path[:-1]:
            source, target = source[name], target.setdefault(name, {})
        target[one.path[-1]] = source[one.path[-1]]
    return found

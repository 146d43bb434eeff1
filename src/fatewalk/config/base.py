"""What every config section shares: closed and frozen, and every key says which stages read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from fatewalk.core.versions import STAGES

if TYPE_CHECKING:
    from collections.abc import Sequence


class Section(BaseModel):
    """A closed section: an unknown key is an error, never ignored.

    Attributes
    ----------
    read_by
        The stage that reads every key of the section; empty where keys differ (`key`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=False)
    read_by: ClassVar[tuple[str, ...]] = ()


def key(
    default: Any, *, read_by: Sequence[str], description: str, reruns: bool = True, **constraints: Any
) -> Any:
    """A key of a section, with the stages that read it.

    What Snakemake reruns when the key changes, the fit that it belongs to and the table in
    ``docs/hpc.md`` follow from here.

    Parameters
    ----------
    default
        Its default.
    read_by
        Stages that read it themselves; those after them follow.
    description
        For ``config.yaml``, the schema and the docs.
    reruns
        False: it steers where or how fast a stage runs, and no result depends on it.
    **constraints
        As for ``pydantic.Field``.
    """
    unknown = [stage for stage in read_by if stage not in STAGES]
    if unknown or not read_by:
        raise ValueError(f"read_by: found {list(read_by)}, allowed: some of {', '.join(STAGES)}")
    extra: dict[str, Any] = {"read_by": list(read_by), "reruns": reruns}
    return Field(default, description=description, json_schema_extra=extra, **constraints)

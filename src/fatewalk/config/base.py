"""What every config section shares: closed and frozen, and every key says which stages read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, field_validator

from fatewalk.core.versions import STAGES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic import ValidationInfo


# Numbers beyond these are slips of the keyboard: the arithmetic of a later stage would not hold them.
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
Scale = Annotated[float, Field(ge=1e-4, le=100)]  # of a prior, logit
Logit = Annotated[float, Field(ge=-100, le=100)]
Size = Annotated[float, Field(ge=0, le=100)]  # of an effect or a deviation, logit
Weight = Annotated[float, Field(ge=0, le=1e6)]


class Section(BaseModel):
    """A closed section: an unknown key is an error, never ignored; numbers are finite.

    Attributes
    ----------
    read_by
        The stage that reads every key of the section; empty where keys differ (`key`).
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=False, allow_inf_nan=False
    )
    read_by: ClassVar[tuple[str, ...]] = ()

    @field_validator("*", mode="before")
    @classmethod
    def _neither_truth_for_a_number_nor_empty(cls, value: Any, info: ValidationInfo) -> Any:
        """YAML reads ``yes`` as true, which pydantic takes for 1; text is not empty; a set has no order."""
        if isinstance(value, set | frozenset):  # the first fate is the reference
            raise ValueError("found a set, which has no order; allowed: a list")
        kinds = set(_kinds(cls.model_fields[str(info.field_name)].annotation))
        if kinds & {int, float} and bool not in kinds:
            of_list = value.values() if isinstance(value, Mapping) else value
            values = of_list if isinstance(value, Mapping | list | tuple) else [value]
            for one in values:
                if isinstance(one, bool):
                    raise ValueError(f"found {str(one).lower()}; allowed: a number")
        if str in kinds and isinstance(value, str) and not value.strip():
            raise ValueError(f"found {value!r}; allowed: text that is not empty")
        return value


def _kinds(annotation: Any) -> Iterator[Any]:
    """Types that an annotation is made of, those of values of a ``Literal`` included."""
    parts = get_args(annotation)
    if get_origin(annotation) is Literal:
        yield from map(type, parts)
    elif parts:
        for part in parts:
            yield from _kinds(part)
    else:
        yield annotation


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
        raise ValueError(f"read_by: found {list(read_by)}; allowed: some of {', '.join(STAGES)}")
    extra: dict[str, Any] = {"read_by": list(read_by), "reruns": reruns}
    return Field(default, description=description, json_schema_extra=extra, **constraints)

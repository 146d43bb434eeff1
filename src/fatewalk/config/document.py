"""Documents made from the config models: ``config.yaml``, the JSON schema, the table in the docs.

A test keeps the committed files equal to what this module writes; ``python -m
fatewalk.config.document`` writes them anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic_core import PydanticUndefined

from fatewalk.config.datasets import Overrides, SimulatedDataset, kinds
from fatewalk.config.keys import keys_of, nested_section
from fatewalk.config.root import SECTIONS, RootConfig
from fatewalk.config.sections import AblationConfig, ResampleConfig
from fatewalk.config.simulate import SimulateConfig
from fatewalk.core.versions import STAGES

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

IMPORTED = [kind for kind in kinds().values() if kind is not SimulatedDataset]
CARRIED = frozenset({*Overrides.model_fields, "runs"})  # sections that any dataset entry may carry
COMMENT_COLUMN = 44
TABLE_MARK = "<!-- below: written by python -m fatewalk.config.document -->"
TABLE_END = "<!-- above: written by python -m fatewalk.config.document -->"
NO_RERUN = "none: where and how fast the fit runs is no result"
HEADER = """\
# Every key of fatewalk with its default. Keep the keys you change, delete the rest: a config of
# your own needs no more than `datasets` and `model: {fates: [...]}`, see docs/configuration.md.
#   snakemake --cores 4 --configfile my_screen.yaml
# yaml-language-server: $schema=workflow/schemas/config.schema.json
"""
DATASETS_HEADER = """\
# Named data sets, of three kinds. Results go to <results_dir>/<dataset>/<run>/. An entry may also
# carry any section below (design, model, fit, export, mash, calls, runs): it then holds for that
# data set only."""
RUNS = """\
# Target ``all_sweep``: lists of values by key, each value a run `key=value` that differs from main in it, and
# a table over them. Keys that do not touch the fit refit nothing:
# sweep:
#   model.priors.s_tau: [0.5, 1, 2]
#   calls.effect_size_eps: [0.1, 0.2, 0.3]

# Further runs: sections whose keys differ from the run `main`. Runs share design, fit and draws as far as
# their keys are the same. This one leaves the guide deviations uncentred, to show what centring repairs:
# runs:
#   uncentred:
#     model: {center_delta: false}
"""


def config_yaml() -> str:
    """Text of ``config.yaml``: every key, its default, a comment."""
    top = [_line(key, RootConfig.model_fields[key], 0) for key in ("results_dir", "data_dir")]
    lines = [HEADER, *top, ""]
    lines += [DATASETS_HEADER, "datasets:", "  demo:", "    simulate:", *_section(SimulateConfig, 6)]
    for kind in IMPORTED:
        lines += ["", *_example(kind.example, kind.about, kind)]
    sections: dict[str, type[BaseModel]] = {
        **SECTIONS,
        "ablation": AblationConfig,
        "resample": ResampleConfig,
    }
    for name, model in sections.items():
        lines += ["", f"# {_summary(model)}", f"{name}:", *_section(model, 2)]
    return "\n".join(lines) + "\n\n" + RUNS


def config_schema() -> str:
    """JSON schema of the configuration, for editors."""
    schema = RootConfig.model_json_schema()
    sections = {name: model.model_json_schema() for name, model in SECTIONS.items()}
    schema["properties"] |= sections
    return json.dumps(_without_stages(schema), indent=2) + "\n"


def _without_stages(schema: Any) -> Any:
    """Take out what `fatewalk.config.base.key` says of a key to the workflow, not to an editor."""
    if isinstance(schema, dict):
        return {k: _without_stages(v) for k, v in schema.items() if k not in ("read_by", "reruns")}
    return [_without_stages(v) for v in schema] if isinstance(schema, list) else schema


def config_table() -> str:
    """Markdown tables of every key, for ``docs/configuration.md``."""
    parts = []
    models: dict[str, type[BaseModel]] = {
        **SECTIONS,
        "ablation": AblationConfig,
        "resample": ResampleConfig,
        "datasets.<name>.simulate": SimulateConfig,
        **{f"datasets.<name> ({kind.kind})": kind for kind in IMPORTED},
    }
    for name, model in models.items():
        rows = [
            f"| `{key.name}` | `{_value(key.field)}` | {_text(key.field)} |"
            for key in keys_of(model, CARRIED)
        ]
        parts.append("\n".join([f"### {name}", "", _summary(model), "", "| key | default | meaning |",
                                "| --- | --- | --- |", *rows]))  # fmt: skip
    return "\n\n".join(parts) + "\n"


def rerun_table() -> str:
    """Markdown table of the first stage that runs again when a key changes, for ``docs/hpc.md``."""
    rows = ["| key | first rule that runs again | also read by |", "| --- | --- | --- |"]
    for section, model in SECTIONS.items():
        groups: dict[tuple[str, ...], dict[str, None]] = {}  # top keys by the stages that they rerun
        for key in keys_of(model):
            stages = tuple(sorted(key.read_by, key=STAGES.index)) if key.reruns else ()
            groups.setdefault(stages, {})[key.path[0]] = None
        for stages, names in groups.items():
            keys = f"`{section}`" if len(groups) == 1 else ", ".join(f"`{section}.{name}`" for name in names)
            first, *others = (f"`{stage}`" for stage in stages or ("none",))
            rows.append(f"| {keys} | {first if stages else NO_RERUN} | {', '.join(others)} |")
    return "\n".join(rows) + "\n"


def _section(model: type[BaseModel], indent: int) -> list[str]:
    """Lines ``key: default  # comment`` of a section, nested sections below their key."""
    lines = []
    for key, field in _own_fields(model):
        nested = nested_section(field)
        if nested is None:
            lines.append(_line(key, field, indent))
        else:
            lines += [" " * indent + f"{key}:", *_section(nested, indent + 2)]
    return lines


def _example(name: str, kind: str, model: type[BaseModel]) -> list[str]:
    """A dataset entry, commented out."""
    lines = [f"{name}:  # {kind}", *_section(model, 2)]
    return ["  # " + line for line in lines]


def _line(key: str, field: FieldInfo, indent: int) -> str:
    text = " " * indent + f"{key}: {_value(field)}"
    return f"{text:<{COMMENT_COLUMN}} # {field.description}"


def _value(field: FieldInfo) -> str:
    """The default as YAML on one line; of a required key an example."""
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is PydanticUndefined:
        return (field.examples or ["..."])[0]
    plain = list(default) if isinstance(default, tuple) else default
    text = yaml.safe_dump(plain, default_flow_style=True, width=1000, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def _own_fields(model: type[BaseModel]) -> list[tuple[str, FieldInfo]]:
    """Fields of the section itself, without those that any dataset entry may carry."""
    return [(k, f) for k, f in model.model_fields.items() if k not in CARRIED]


def _summary(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().split("\n")[0]


def _text(field: FieldInfo) -> str:
    return (field.description or "").replace("|", "\\|").replace("<", "&lt;")


def documents(root: Path) -> dict[Path, str]:
    """Path and text of each document below the repository's root."""
    docs = root / "docs"
    return {
        root / "config.yaml": config_yaml(),
        root / "workflow" / "schemas" / "config.schema.json": config_schema(),
        docs / "configuration.md": _between(docs / "configuration.md", config_table()),
        docs / "hpc.md": _between(docs / "hpc.md", rerun_table()),
    }


def _between(page: Path, table: str) -> str:
    """A page with the table in its place, between the marks."""
    head, _, rest = page.read_text().partition(TABLE_MARK)
    tail = rest.partition(TABLE_END)[2] if TABLE_END in rest else "\n"
    return f"{head}{TABLE_MARK}\n\n{table}\n{TABLE_END}{tail}"


if __name__ == "__main__":
    for path, text in documents(Path.cwd()).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

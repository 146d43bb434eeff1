"""config.yaml, the schema and the table in the docs say what the models say."""

from pathlib import Path

import pytest
import yaml

from fatewalk.config import load_config
from fatewalk.config.document import config_yaml, documents, rerun_table
from fatewalk.config.root import SECTIONS
from fatewalk.config.simulate import SimulateConfig

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("path", documents(ROOT), ids=lambda path: path.name)
def test_committed_document_is_what_the_models_write(path):
    written = documents(ROOT)[path]
    assert path.read_text() == written, "run: python -m fatewalk.config.document"


def test_config_yaml_holds_every_key_with_its_default():
    raw = yaml.safe_load(config_yaml())
    for name, model in SECTIONS.items():
        assert model(**raw[name]) == model()
        assert set(raw[name]) == set(model.model_fields)
    assert SimulateConfig(**raw["datasets"]["demo"]["simulate"]) == SimulateConfig()
    assert "runs" not in raw
    # the further run that is shown as a comment is a valid one
    example = yaml.safe_load(config_yaml().rpartition("# runs:")[2].replace("#   ", "  "))
    assert load_config(raw | {"runs": example}).settings("demo", "uncentred").model.center_delta is False


def test_the_table_of_reruns_names_every_key_once():
    rows = [row.split("|")[1:-1] for row in rerun_table().splitlines()[2:]]
    cells = [name.strip(" `") for keys, _, _ in rows for name in keys.split(",")]
    names = {f"{section}.{key}" for section, model in SECTIONS.items() for key in model.model_fields}
    assert len(cells) == len(set(cells))
    assert set(cells) - set(SECTIONS) | {n for n in names if n.partition(".")[0] in cells} == names


def test_every_key_is_described():
    for model in [*SECTIONS.values(), SimulateConfig]:
        for key, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{key}"

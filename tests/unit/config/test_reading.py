"""A config file is read as Snakemake reads it, or refused with its line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from snakemake.common.configfile import load_configfile

from fatewalk.config import load_config, read_config
from fatewalk.config.__main__ import main
from fatewalk.core.errors import FatewalkError

ROOT = Path(__file__).parents[3]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.dates()
    | st.text(max_size=8)
    | st.sampled_from(["no", "on", "010", "1:30", "1e-6", "~", "EC", "~/x", "{x}", "s3://b"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SCALARS, inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(["results_dir", "data_dir", "runs", "ablation", "model", "fit", "mash", "calls"])
IN_SECTION = st.sampled_from(
    ["fates", "ref_fate", "seed", "priors", "modes", "likelihood_weight", "fdr", "a"]
)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("config") / "config.yaml"


def outcome_of(step):
    """What a step gives, or its refusal."""
    try:
        return step(), ""
    except FatewalkError as error:
        return None, str(error)


@pytest.mark.parametrize(
    "path", [ROOT / "config.yaml", *(ROOT / "examples").glob("*.yaml")], ids=lambda p: p.name
)
def test_a_right_file_is_what_snakemake_reads(path, file):
    found = read_config(path)
    assert found == load_configfile(path)
    file.write_text(json.dumps(found))
    assert read_config(file) == load_configfile(file)


@settings(max_examples=300, deadline=None)
@given(
    content=st.binary(max_size=60) | st.text(alphabet="ab:1-'\"{}[],&*!#|>%@ \n\t\r~\x85\u2028", max_size=40)
)
def test_any_content_is_read_or_refused_by_name(file, content):
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    found, refusal = outcome_of(lambda: read_config(file))
    assert str(file) in refusal if found is None else found == load_configfile(file)


@settings(max_examples=300, deadline=None)
@given(
    values=st.dictionaries(KEYS, VALUES | st.dictionaries(IN_SECTION, VALUES, max_size=3), max_size=4),
    simulate=st.dictionaries(
        st.sampled_from(["seed", "days", "moi", "fates", "guides_per_gene"]), VALUES, max_size=2
    ),
    name=SCALARS,
)
def test_any_values_are_a_config_or_refused(values, simulate, name):
    found, refusal = outcome_of(lambda: load_config({"datasets": {name: {"simulate": simulate}}, **values}))
    assert found or refusal.startswith("config: ")
    assert "pydantic" not in refusal
    assert "nput should" not in refusal


def test_the_line_is_that_of_the_mistake(file):
    file.write_text("datasets:\n  a: {simulate: {}}\n\nmodel:\n  fates:\n    - NO\n    - EC\n")
    with pytest.raises(
        FatewalkError, match=r"config.yaml: 1 problem\n  - line 6: NO is true or false to YAML"
    ):
        read_config(file)


def test_yaml_that_uses_its_own_tags_is_left_to_the_models(file):
    file.write_text('datasets: {a: {simulate: {seed: !!int "3"}}}\n')
    assert read_config(file) == {"datasets": {"a": {"simulate": {"seed": 3}}}}


def test_files_are_checked_without_snakemake(tmp_path, capsys):
    good, bad, torn = (tmp_path / name for name in ("good.yaml", "bad.yaml", "torn.yaml"))
    good.write_text(yaml.safe_dump({"datasets": {"a": {"simulate": {}}}, "runs": {"b": {}}}))
    bad.write_text("datasets: {a: {simulate: {cels: 3}}}\n")
    torn.write_text("datasets: {a\n")
    assert main([str(good)]) == 0
    assert "good.yaml: right; runs: a/main, a/b" in capsys.readouterr().out
    assert main([str(bad), str(good), str(torn)]) == 1
    said = capsys.readouterr()
    assert "bad.yaml: 1 problem\n  - datasets.a.simulate.cels: unknown key" in said.err
    assert "torn.yaml: line" in said.err
    assert "good.yaml: right" in said.out


def test_the_check_is_a_command(tmp_path):
    command = [sys.executable, "-m", "fatewalk.config", tmp_path / "nosuch.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"{tmp_path}/nosuch.yaml: no such file; correct the path of the config\n"


def test_the_check_without_a_file_says_how_it_is_used(capsys):
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    assert "the following arguments are required: my_screen.yaml" in capsys.readouterr().err

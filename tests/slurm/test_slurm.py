"""The workflow on a real Slurm, through the profile of the repository: placement, reruns, retries."""

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from start_slurm import SlurmUnavailable, running_slurm

ROOT = Path(__file__).parents[2]

pytest.importorskip("snakemake_executor_plugin_slurm")
pytestmark = pytest.mark.slow

# Placement is tested here, not estimation: 100 steps make no fit that one would use.
CONFIG = """\
results_dir: results
datasets:
  tiny:
    simulate: {{cells: 3000, genes: 12, active_genes: 4, fates: [EC, MES]}}
model: {{fates: [EC, MES]}}
fit: {{gpus: {gpus}, device: auto, max_steps: 100, require: none}}
"""


@pytest.fixture
def slurm():
    """Environment of a running Slurm; its folder has a short name, unlike ``tmp_path``."""
    try:
        with tempfile.TemporaryDirectory(prefix="slurm-") as folder, running_slurm(Path(folder)) as env:
            yield env
    except SlurmUnavailable as reason:
        pytest.skip(f"Slurm cannot run here: {reason}")


def snakemake(env, folder, *arguments, gpus=1):
    """Run the workflow in a folder; return what it printed."""
    (folder / "tiny.yaml").write_text(CONFIG.format(gpus=gpus))
    command = [sys.executable, Path(__file__).with_name("impatient.py"), "--snakefile", ROOT / "Snakefile"]
    command += ["--configfile", "tiny.yaml", "--profile", ROOT / "profiles" / "slurm"]
    command += ["--slurm-status-command", "squeue"]  # there is no accounting
    command += arguments
    done = subprocess.run(command, cwd=folder, env=env, text=True, capture_output=True, timeout=400)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return done.stdout + done.stderr


def jobs(env):
    """Slurm's own records of all jobs so far, oldest first, each with the rule it ran."""
    command = ["scontrol", "--oneliner", "show", "job"]
    lines = subprocess.run(command, env=env, text=True, capture_output=True, check=True).stdout.splitlines()
    records = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in lines if "JobId=" in line]
    for record in records:
        record["rule"] = re.sub("^rule_|_wildcards_.*", "", record["Comment"])
        record["gpu"] = any("tres" in key.lower() and "gpu" in value for key, value in record.items())
    return sorted(records, key=lambda record: int(record["JobId"]))


def results(folder):
    """Time of writing of every result; logs and benchmarks are none."""
    files = (folder / "results" / "tiny").rglob("*")
    return {str(file.relative_to(folder)): file.stat().st_mtime_ns for file in files if file.is_file()}


def test_fit_on_the_gpu_node_and_reruns(slurm, tmp_path):
    hits = tmp_path / "results" / "tiny" / "main" / "hits_ranked.csv"
    card = hits.with_name("fit_card.json")

    # From nothing to ranked hits.
    snakemake(slurm, tmp_path, "all_hits")
    first = jobs(slurm)
    ranking = hits.read_text()
    assert ranking.startswith("rank,gene,")
    assert len(ranking.splitlines()) == 1 + 12
    assert {job["JobState"] for job in first} == {"COMPLETED"}

    # Slurm placed the fit, and nothing else, on the GPU node.
    assert [job["rule"] for job in first if job["gpu"]] == ["fit_effects"]
    assert {job["rule"]: job["NodeList"] for job in first} == {
        job["rule"]: "gpu1" if job["rule"] == "fit_effects" else "cpu1" for job in first
    }
    # The fit saw its one device, found no GPU behind it, and said so.
    seen = json.loads(card.read_text())
    assert (seen["node"], seen["cuda_visible_devices"]) == ("gpu1", "0")
    assert seen["device"] == "cpu"
    assert "sees no CUDA device" in seen["device_reason"]

    # Nothing is left to do, also not for a config that asks for no GPU: that changes no result.
    assert "Nothing to be done" in snakemake(slurm, tmp_path, "all_hits")
    assert "Nothing to be done" in snakemake(slurm, tmp_path, "all_hits", gpus=0)
    assert len(jobs(slurm)) == len(first)

    # -R fit_effects redoes the fit and all that comes after it, and nothing before; here without a GPU.
    before = results(tmp_path)
    snakemake(slurm, tmp_path, "all_hits", "-R", "fit_effects", gpus=0)
    second = jobs(slurm)[len(first) :]
    upstream = {"simulate_screen", "build_design"}
    assert Counter(job["rule"] for job in second) == Counter(
        job["rule"] for job in first if job["rule"] not in upstream
    )
    after = results(tmp_path)
    kept = {name for name in before if after[name] == before[name]}
    # settings.json keeps what was told
    untouched = "/input/|/designs?/|/design_report.json|/survival.csv|/run.json|/settings.json"
    assert kept == {name for name in before if re.search(untouched, name)}
    assert not any(job["gpu"] for job in second)
    assert {job["NodeList"] for job in second} == {"cpu1"}
    seen = json.loads(card.read_text())
    assert (seen["node"], seen["cuda_visible_devices"]) == ("cpu1", None)
    assert hits.read_text() == ranking


def test_job_killed_for_memory_is_tried_again_with_more(slurm, tmp_path):
    too_little = "simulate_screen:mem_mb=60 if attempt == 1 else 2000"
    snakemake(slurm, tmp_path, "results/tiny/input/truth.json", "--set-resources", too_little)
    killed, done = jobs(slurm)
    assert killed["JobState"] in {"FAILED", "OUT_OF_MEMORY"}
    assert done["JobState"] == "COMPLETED"
    assert "mem=60M" in killed["TRES"]
    assert "mem=2000M" in done["TRES"]
    # The rule's own time limit, and its memory by the same rule, grow with the attempt.
    assert (killed["TimeLimit"], done["TimeLimit"]) == ("00:30:00", "01:00:00")

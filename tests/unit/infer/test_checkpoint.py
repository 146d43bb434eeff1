"""A fit that is cut off and resumed ends as if nothing had happened."""

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from benchmarks.baselines import MeanField
from fatewalk.config import FitConfig, ModelConfig
from fatewalk.core.versions import STAGE_VERSION
from fatewalk.infer.checkpoint import EXIT_CODE, Checkpoint, checkpoint_path, delete_checkpoints
from fatewalk.infer.fitted import load_posterior, save_posterior
from fatewalk.infer.svi import _Loop
from fatewalk.screen.design import load_design, save_design
from fatewalk.stages.fit_effects import fit_effects
from tests.conftest import CutOff

ROOT = Path(__file__).parents[3]
CONFIG = ModelConfig()


def tensors(posterior, path):
    """Every tensor of posterior.pt, by name."""
    save_posterior(posterior, path)
    content = torch.load(path, weights_only=True)
    return {
        f"{part}.{name}": value
        for part in ("laplace", "symmetric", "state")
        for name, value in content[part].items()
    }


def assert_same(found, expected, folder):
    """Posterior bit for bit, trace and card except for times."""
    (posterior, card, trace), (posterior_0, card_0, trace_0) = found, expected
    first, second = (tensors(p, folder / "posterior.pt") for p in (posterior, posterior_0))
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    assert torch.equal(posterior.weight, posterior_0.weight)
    pd.testing.assert_frame_equal(
        trace.drop(columns="seconds"), trace_0.drop(columns="seconds"), check_exact=True
    )
    for key in ("status", "criterion", "scales", "phi_by_day", "laplace_and_svi", "steps"):
        assert card[key] == card_0[key], key


SHORT = {"max_steps": 140}  # four windows of SVI; to the end it goes once
FITS = {
    "converged": FitConfig(),
    "structured": FitConfig(**SHORT),
    "laplace": FitConfig(family="laplace"),
    "outside": FitConfig(max_steps=110),
}


OUTSIDE = {"outside": MeanField}  # a family that is none of the package


@pytest.fixture(scope="module")
def whole(small_design):
    """Each fit without a break."""
    return {
        name: fit_effects(small_design, CONFIG, fit, family=OUTSIDE.get(name)) for name, fit in FITS.items()
    }


@pytest.mark.parametrize(
    ("name", "cuts"),
    [
        ("structured", [0]),
        ("structured", [4]),
        ("structured", [8]),
        ("structured", [30]),
        ("structured", [6, 30, 40]),
        ("converged", [100]),
        ("laplace", [5]),
        ("laplace", [8]),
        ("outside", [3, 60]),
    ],
)
def test_a_resumed_fit_ends_as_an_uninterrupted_one(small_design, whole, tmp_path, name, cuts):
    """Cut before the first round, in the rounds of either pass, in a window of SVI, and several times."""
    path, fit, family = tmp_path / "checkpoint-x.pt", FITS[name], OUTSIDE.get(name)
    for after in cuts:
        with pytest.raises(SystemExit) as end:
            fit_effects(small_design, CONFIG, fit, checkpoint=CutOff(path, after), family=family)
        assert end.value.code == EXIT_CODE == 143
        assert path.exists()
    torch.manual_seed(99)  # a new process has other random numbers
    checkpoint = Checkpoint(path)
    resumed = fit_effects(small_design, CONFIG, fit, checkpoint=checkpoint, family=family)
    assert checkpoint.resumed is not None
    assert_same(resumed, whole[name], tmp_path)


def test_a_fit_that_is_killed_after_its_last_step_has_none_left_to_do(
    small_design, whole, tmp_path, monkeypatch
):
    """Its outputs are lost with the job, its state is not."""
    monkeypatch.setattr("fatewalk.infer.checkpoint.LONG", 0.0)
    path = tmp_path / "checkpoint-x.pt"
    fit_effects(small_design, CONFIG, FITS["structured"], checkpoint=Checkpoint(path))
    steps = []
    take_step = _Loop.take_step
    monkeypatch.setattr(_Loop, "take_step", lambda self: steps.append(1) or take_step(self))
    again = fit_effects(small_design, CONFIG, FITS["structured"], checkpoint=Checkpoint(path))
    assert steps == []
    assert_same(again, whole["structured"], tmp_path)


def test_a_short_fit_leaves_no_checkpoint(small_design, tmp_path):
    path = tmp_path / "checkpoint-x.pt"
    fit_effects(small_design, CONFIG, FITS["structured"], checkpoint=Checkpoint(path))
    assert not path.exists()


def test_what_a_killed_job_was_writing_is_removed_at_the_next_start(tmp_path):
    left = tmp_path / ".77.checkpoint-x.pt"
    left.write_bytes(b"half")
    with Checkpoint(tmp_path / "checkpoint-x.pt"):
        assert not left.exists()


def test_time_alone_writes_checkpoints_and_changes_nothing(small_design, whole, tmp_path, monkeypatch):
    now, written = [0.0], []
    checkpoint = Checkpoint(tmp_path / "checkpoint-x.pt", seconds=10)
    monkeypatch.setattr(
        "fatewalk.infer.checkpoint.time.monotonic", lambda: now.__setitem__(0, now[0] + 1) or now[0]
    )
    save = checkpoint.save
    monkeypatch.setattr(checkpoint, "save", lambda phase, *rest: written.append(phase) or save(phase, *rest))
    found = fit_effects(small_design, CONFIG, FITS["structured"], checkpoint=checkpoint)
    assert_same(found, whole["structured"], tmp_path)
    assert written.count("svi") >= 4
    assert checkpoint.path.exists()  # until the results are written


@pytest.mark.parametrize("content", [b"", b"no archive", pickle.dumps({"phase": print}, protocol=2)])
def test_a_broken_checkpoint_is_left_aside_with_a_warning(small_design, whole, tmp_path, caplog, content):
    path = tmp_path / "checkpoint-x.pt"
    path.write_bytes(content)
    found = fit_effects(small_design, CONFIG, FITS["laplace"], checkpoint=Checkpoint(path))
    assert "the fit starts anew" in caplog.text
    assert_same(found, whole["laplace"], tmp_path)


def test_a_checkpoint_cut_in_half_is_left_aside(small_design, whole, tmp_path, caplog):
    path = tmp_path / "checkpoint-x.pt"
    with pytest.raises(SystemExit):
        fit_effects(small_design, CONFIG, FITS["laplace"], checkpoint=CutOff(path, 3))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found = fit_effects(small_design, CONFIG, FITS["laplace"], checkpoint=Checkpoint(path))
    assert "the fit starts anew" in caplog.text
    assert_same(found, whole["laplace"], tmp_path)


def checkpoint_of_another_version(folder, design, monkeypatch):
    with monkeypatch.context() as edited:
        edited.setitem(STAGE_VERSION, "fit_effects", STAGE_VERSION["fit_effects"] + 1)
        return checkpoint_path(folder, design, CONFIG, FitConfig())


def test_the_name_tells_the_fit(small_design, tmp_path, monkeypatch):
    """Another design, model, family or version of the stage has another file.

    Threads and the time between checkpoints do not.
    """
    design, other = tmp_path / "design.pt", tmp_path / "other.pt"
    design.write_bytes(b"1")
    other.write_bytes(b"2")
    name = checkpoint_path(tmp_path, design, CONFIG, FitConfig())
    assert name == checkpoint_path(tmp_path, design, CONFIG, FitConfig(threads=2, checkpoint_minutes=1))
    assert name.name.startswith("checkpoint-")
    assert len(name.stem) == len("checkpoint-") + 16
    others = [
        checkpoint_path(tmp_path, other, CONFIG, FitConfig()),
        checkpoint_path(tmp_path, design, ModelConfig(priors={"s_tau": 0.5}), FitConfig()),
        checkpoint_path(tmp_path, design, CONFIG, FitConfig(seed=2)),
        checkpoint_of_another_version(tmp_path, design, monkeypatch),
    ]
    assert len({name, *others}) == 5


def test_sigterm_is_heard_only_during_the_fit(tmp_path):
    def be_asked_to_end():
        with Checkpoint(tmp_path / "checkpoint-x.pt") as checkpoint:
            assert not checkpoint.due
            os.kill(os.getpid(), signal.SIGTERM)
            assert checkpoint.due

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        be_asked_to_end()
    assert ended.value.code == EXIT_CODE  # also after the last chance to write
    assert signal.getsignal(signal.SIGTERM) == before


# ------------------------------------------------------------------ the script of the rule

SLOW = """
import logging, runpy, shutil, sys, time, types
from pathlib import Path
from fatewalk.infer import laplace, svi

def slowly(step, seconds):
    def slow(self, *rest):
        time.sleep(seconds)
        return step(self, *rest)
    return slow

laplace._take_round = slowly(laplace._take_round, float(sys.argv[2]))
svi._Loop.take_step = slowly(svi._Loop.take_step, float(sys.argv[2]) / 10)
folder = Path(sys.argv[3])
name = types.SimpleNamespace
config = {"datasets": {"tiny": {"simulate": {}}}, "fit": {"checkpoint_minutes": 5, "max_steps": 140}}
sys.path.append(str(Path(sys.argv[1]).parent))  # where Snakemake finds modules beside a script
from fatewalk.config import load_config
snakemake = name(
    input=name(design=str(folder / "design.pt")),
    output=name(**{key: str(folder / "fit" / file) for key, file in
                   (("posterior", "posterior.pt"), ("card", "fit_card.json"), ("trace", "fit_trace.csv"))}),
    threads=1, config=config,
    wildcards=name(dataset="tiny", fit=load_config(config).settings("tiny", "main").fit_id),
    log=[str(folder / "log.txt")],
)
copy = shutil.copy(sys.argv[1], folder)  # as Snakemake does
runpy.run_path(copy, init_globals={"snakemake": snakemake})
"""


def run_script(folder, seconds=0.0, stop_at=None):
    """Run scripts/fit_effects.py; send SIGTERM when its log says ``stop_at``. Exit code and log."""
    command = [
        sys.executable,
        "-c",
        SLOW,
        str(ROOT / "scripts" / "fit_effects.py"),
        str(seconds),
        str(folder),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    for line in process.stderr:
        if stop_at and stop_at in line:
            process.send_signal(signal.SIGTERM)
            stop_at = None
    return process.wait(timeout=60), (folder / "log.txt").read_text()


@pytest.mark.parametrize(("stop_at", "phase"), [("round 2 ", "laplace"), ("step     35", "svi")])
def test_the_script_ends_with_143_and_resumes(small_design, whole, tmp_path, stop_at, phase):
    save_design(small_design, [f"c{i}" for i in range(small_design.n_cells)], tmp_path)
    fit = tmp_path / "fit"
    fit.mkdir()
    stale = fit / "checkpoint-0123456789abcdef.pt"
    stale.write_bytes(b"of another config")

    code, text = run_script(tmp_path, 0.1, stop_at)
    assert code == 143, text
    assert "asked to end (SIGTERM)" in text
    assert not (fit / "posterior.pt").exists()
    resolved = ModelConfig(ref_fate=CONFIG.reference)  # as the rule hands it on
    kept = checkpoint_path(fit, tmp_path / "design.pt", resolved, FITS["structured"])
    assert kept.exists()
    assert torch.load(kept, weights_only=True)["phase"] == phase

    code, text = run_script(tmp_path)
    assert code == 0, text
    assert f"resuming from {kept} ({phase})" in text
    assert kept.exists()  # until Snakemake has accepted the outputs
    (fit / ".77.checkpoint-0123456789abcdef.pt").write_bytes(b"of a job that was killed while it wrote")
    delete_checkpoints(fit)
    left = sorted(path.name for path in fit.iterdir())
    assert left == ["fit_card.json", "fit_trace.csv", "manifest.json", "posterior.pt"]
    resumed = load_posterior(fit / "posterior.pt", load_design(fit.parent / "design.pt"))
    expected = whole["structured"][0].family.state_dict()
    for name, value in resumed.family.state_dict().items():
        assert torch.equal(value, expected[name]), name
    trace = pd.read_csv(fit / "fit_trace.csv").drop(columns="seconds")
    pd.testing.assert_frame_equal(trace, whole["structured"][2].drop(columns="seconds"), rtol=1e-12)

"""The tables that other people's scripts read, of any commit, and whether they are still the same.

    python -m tests.contract record COMMIT FOLDER [EXAMPLE ...]   run the examples as of a commit
    python -m tests.contract compare FOLDER FOLDER                the numbers of two recordings
    python -m tests.contract tiny                                 tests/data/contract_tiny, as it is now

A recording holds, for each example, the tables of the primary contrast, those of every contrast and the
mapping tables. The real examples need ../shared beside the checkout and are left out without it. Before a
change of the chain, record the commit it starts from; after it, HEAD.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from tests.workflow.conftest import TINY, Workflow

ROOT = Path(__file__).parents[1]
RELATIVE = 1e-9  # as far as numbers may differ

TINY_RECORDED = ROOT / "tests" / "data" / "contract_tiny"
WITH_TABLES = ("all_effects", "all_mash", "all_hits", "all_recovery")  # all but pictures
AS_FIRST = {
    "source": "mash_likelihood",
    "rule": "lfsr",
    "estimand": "library",
}  # what called genes in the first edition

#: What a recording keeps of a run.
KEPT = [
    "theta_posterior_summary.npz", "delta_posterior_summary.npz",
    "pairwise_fate_effects.csv", "fate_probability_change.csv", "gene_power.csv",
    "hits.csv", "effects.parquet",
    "design/*.parquet",
]  # fmt: skip
KEPT_BY_CONTRAST = [
    "gene_daywise_for_mash.csv", "guide_daywise_for_mash.csv",
    "qc_delta_mean_by_gene.csv", "qc_theta_beta_offset_by_gene.csv",
    "mash_gene_*.csv", "mash_guide_*.csv", "gene_from_guide_mash_*.csv", "mash_mode_comparison.csv",
    "hits_ranked.csv", "daywise_confusion.csv", "pred_call_summary.json",
    "gene_daywise_likelihood.csv", "guide_daywise_likelihood.csv", "guide_concordance.csv",
    "mash_*.json", "mash_likelihood_*.csv", "gene_from_guide_likelihood.csv", "recovery_by_day.csv",
]  # fmt: skip


def examples(checkout=ROOT):
    """Config of every example whose data are here; fit.family has the name that the checkout knows.

    A fit by Laplace takes no random numbers: it is the same to the last digits.
    """
    demo = yaml.safe_load((checkout / "config.yaml").read_text())
    laplace = {"fit": {"family" if "family" in demo["fit"] else "guide": "laplace"}}
    demo = {"datasets": {"demo": demo["datasets"]["demo"]}, "model": {"fates": demo["model"]["fates"]}}
    found = {"tiny": TINY, "tiny_laplace": TINY | laplace, "demo": demo, "demo_laplace": demo | laplace}
    for name in ("zscape_crispants", "mcf10a_cropseq_dox"):
        data = (ROOT.parent / "shared" / "realdata" / name).resolve()
        if data.is_dir():
            config = yaml.safe_load((ROOT / "examples" / f"{name}.yaml").read_text())
            found[name] = config | {"data_dir": str(data)}
    return found


def record(commit, folder, names):
    """Run examples as of a commit; keep their tables in ``folder/<example>``."""
    with tempfile.TemporaryDirectory() as scratch:
        checkout = Path(scratch) / "checkout"
        subprocess.run(["git", "clone", "--quiet", ROOT, checkout], check=True)
        subprocess.run(["git", "checkout", "--quiet", commit], cwd=checkout, check=True)
        environment = os.environ | {"PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"}
        for name in names:
            work = Path(scratch) / name
            work.mkdir()
            (work / "config.yaml").write_text(yaml.safe_dump(examples(checkout)[name]))
            command = [sys.executable, "-m", "snakemake", "--snakefile", checkout / "Snakefile"]
            command += ["--cores", "2", "--workflow-profile", "none", "--resources", "gpu=1"]
            start = time.monotonic()
            done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{name} failed at {commit}:\n{done.stderr[-4000:]}")
            keep(next((work / "results").glob("*/main")), folder / name)
            print(f"{name}: {time.monotonic() - start:.0f} s, kept in {folder / name}", flush=True)


def record_tiny():
    """Make the files of tests/data/contract_tiny anew, those that are there."""
    for family in ("laplace", "structured"):
        with tempfile.TemporaryDirectory() as scratch:
            changes = {"fit": {"family": family}, "calls": AS_FIRST}
            workflow = Workflow(Path(scratch), TINY).changed(**changes)
            workflow.finish(*WITH_TABLES)
            recorded = TINY_RECORDED / family
            for path in (p for p in recorded.rglob("*") if p.is_file()):
                shutil.copy(workflow.path(path.relative_to(recorded)), path)
            used = json.loads(workflow.path("run.json").read_text())["fit"]
            if family == "structured":
                for path in (TINY_RECORDED / "fit").iterdir():
                    shutil.copy(Path(scratch) / "results" / "tiny" / "fits" / used / path.name, path)


def keep(run, folder):
    """Copy the tables of a finished run."""
    patterns = [*KEPT, *KEPT_BY_CONTRAST, *(f"contrast=*/{name}" for name in KEPT_BY_CONTRAST)]
    for pattern in [*patterns, "contrast=*/mash_error_covariance.npz"]:
        for path in run.glob(pattern):
            target = folder / path.relative_to(run)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)


def read(path):
    """Columns or arrays of a kept file by name."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    if path.suffix == ".json":
        flat = pd.json_normalize(json.loads(path.read_text()))
        return {name: np.array(flat[name].tolist()) for name in flat}
    if path.suffix == ".parquet":
        table = pd.read_parquet(path)
    else:
        table = pd.read_csv(path, keep_default_na=False, na_values=[""])
    return {name: column.to_numpy() for name, column in table.items()}


def differences(before, after, relative=RELATIVE):
    """What differs between two recordings of an example: a sentence for each file and column.

    A file that only `after` has does not count; a column does, since no table of the contract gains one.
    """
    found = []
    for path in sorted(p for p in before.rglob("*") if p.is_file()):
        name = path.relative_to(before)
        if not (after / name).is_file():
            found.append(f"{name}: is not there any more")
            continue
        one, other = read(path), read(after / name)
        if list(one) != list(other):
            found.append(f"{name}: columns {list(one)} became {list(other)}")
            continue
        texts = {column: _differ(one[column], other[column], relative) for column in one}
        found += [f"{name}: {column} {text}" for column, text in texts.items() if text]
    return found


def _differ(one, other, relative):
    """How two arrays differ; empty if they do not."""
    if one.shape != other.shape:
        return f"has shape {other.shape}, had {one.shape}"
    if not np.issubdtype(one.dtype, np.floating) or not np.issubdtype(other.dtype, np.floating):
        same = pd.Series(one.reshape(-1)).fillna("").equals(pd.Series(other.reshape(-1)).fillna(""))
        return "" if same else "holds other values"
    if not np.array_equal(np.isnan(one), np.isnan(other)):
        return "is missing elsewhere"
    with np.errstate(invalid="ignore"):  # inf - inf
        gap = np.nan_to_num(np.abs(one - other))
    # a number that is zero up to rounding has no relative difference
    scale = np.maximum(np.nan_to_num(np.abs(one)), 1e-6)
    worst = (gap / scale).max(initial=0)
    return f"differs by {worst:.1e} of its size" if worst > relative else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    recorder = commands.add_parser("record")
    recorder.add_argument("commit")
    recorder.add_argument("folder", type=Path)
    recorder.add_argument("examples", nargs="*", metavar="EXAMPLE", help=", ".join(examples()))
    comparer = commands.add_parser("compare")
    comparer.add_argument("before", type=Path)
    comparer.add_argument("after", type=Path)
    commands.add_parser("tiny")
    asked = parser.parse_args()
    if asked.command == "tiny":
        record_tiny()
        return
    if asked.command == "record":
        record(asked.commit, asked.folder.resolve(), asked.examples or list(examples()))
        return
    found = [
        f"{example.name}/{text}"
        for example in sorted(asked.after.iterdir())
        for text in differences(asked.before / example.name, example)
    ]
    print("\n".join(found) or "no difference")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()

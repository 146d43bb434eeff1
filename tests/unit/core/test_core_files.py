"""Writing and reading of the workflow's own files where the system refuses, in the words that a user sees."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from fatewalk.core.errors import FatewalkError
from fatewalk.core.files import atomic_path, copy_file, need_writable, read_json, reading, write_json
from fatewalk.core.tables import read_arrays, read_own_table, read_table, write_arrays, write_table
from fatewalk.screen.readers.anndata import AnnDataDataset

FULL = Path("/dev/full")  # every write to it meets a full disk


def save_tensors(path):
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        torch.save({"x": torch.zeros(3)}, file)


WRITERS = {
    "a.csv": lambda path: write_table(pd.DataFrame({"x": [1]}), path),
    "a.npz": lambda path: write_arrays({"x": np.zeros(3)}, path),
    "a.json": lambda path: write_json({"x": 1}, path),
    "a.pt": save_tensors,
}


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_ends_in_one_error_and_leaves_nothing(tmp_path, monkeypatch, name):
    def lands_on_full(path, *rest):
        (tmp_path / f".{os.getpid()}.{name}").symlink_to(FULL)
        return []

    monkeypatch.setattr(Path, "glob", lands_on_full)  # the last step before the name is given out
    with pytest.raises(FatewalkError) as caught:
        WRITERS[name](tmp_path / name)
    assert str(caught.value) == (
        f"{tmp_path / name}: cannot be written: No space left on device; make room on that disk and run the "
        "same command again"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "Permission denied; see who owns it and who may use it"),
        (errno.EROFS, "Read-only file system; its file system is mounted read-only: set results_dir"),
        (errno.EDQUOT, "Disk quota exceeded; your quota there is used up"),
        (errno.EIO, "Input/output error; the disk or the network file system fails"),
        (errno.ENOLCK, "No locks available; see whether the file system works"),
    ],
)
def test_every_refusal_says_how_it_is_mended(tmp_path, number, words):
    path = tmp_path / "a.csv"
    with pytest.raises(FatewalkError) as caught, atomic_path(path):
        raise OSError(number, os.strerror(number))
    assert f"{path}: cannot be written: {words}" in str(caught.value)
    assert str(caught.value).endswith("and run the same command again")


def test_a_defect_while_writing_stays_a_defect(tmp_path):
    def half(path):
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise KeyError("x")

    with pytest.raises(KeyError):
        half(tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_may_not_be_read_says_so(tmp_path, monkeypatch):
    path = tmp_path / "card.json"
    path.write_text("{}")

    def refuse(*args, **keys):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(FatewalkError, match=r"card.json: cannot be read: Permission denied; see who owns it"):
        read_json(path)


LOCKS = """
import sys, h5py
file = h5py.File(sys.argv[1], "w")
file.flush()
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_locked_file_says_so(tmp_path):
    path = str(tmp_path / "screen.h5ad")
    command = [sys.executable, "-c", LOCKS, path]
    entry = AnnDataDataset(anndata=path, guide_map="guides.csv")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(FatewalkError) as caught:
            entry.read()
        other.stdin.close()
    assert f"{path}: cannot be read" in str(caught.value)
    assert "it is locked, another program has it open for writing: close that program" in str(caught.value)


def test_a_users_table_that_may_not_be_read_says_so(tmp_path, monkeypatch):
    path = tmp_path / "cells.csv"
    path.write_text("cell_id\n")

    def refuse(*args, **keys):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(pd, "read_csv", refuse)
    with pytest.raises(FatewalkError, match=r"cells.csv: cannot be read: Permission denied; see who owns it"):
        read_table(path)


def test_memory_is_no_fault_of_the_file(tmp_path):
    with pytest.raises(MemoryError), reading(tmp_path / "a.npz"):
        raise MemoryError


def test_copies_are_whole_or_not_there(tmp_path):
    (tmp_path / "a").write_text("x")
    copy_file(tmp_path / "a", tmp_path / "new" / "b")
    assert (tmp_path / "new" / "b").read_text() == "x"
    with pytest.raises(FatewalkError, match=r"absent: no such file; the run is not finished"):
        copy_file(tmp_path / "absent", tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_a_folder_is_writable_or_told(tmp_path):
    need_writable(tmp_path / "to" / "be" / "made", "go elsewhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(FatewalkError, match="file: is a file, and a folder is needed here; go elsewhere"):
        need_writable(tmp_path / "file" / "results", "go elsewhere")


# ------------------------------------------------------------------ spreadsheets

HOSTILE = ["=1+1", "+1", "-SUM(A1)", "@x", "\tx", "\rx", "\n=x", "'=1", "''@"]
HARMLESS = ["'plain", "a=b", "", "TBXT", 'q"u,o']


def test_what_a_spreadsheet_would_run_is_text_in_tables_for_people(tmp_path):
    path = tmp_path / "hits.csv"
    write_table(pd.DataFrame({"gene": HOSTILE + HARMLESS, "effect": -1.5}), path)
    found = pd.read_csv(path, dtype={"gene": str}, keep_default_na=False)
    assert [text for text in found["gene"] if text[:1] in set("=+-@\t\r\n")] == []
    assert found["gene"].tolist()[:3] == ["'=1+1", "'+1", "'-SUM(A1)"]
    assert found["gene"].tolist()[len(HOSTILE) :] == HARMLESS
    assert (found["effect"] == -1.5).all()  # numbers stay numbers


@pytest.mark.parametrize("name", ["effects.csv", "effects.parquet"])
def test_tables_for_programs_keep_their_text(tmp_path, name):
    table = pd.DataFrame({"gene": [text for text in HOSTILE + HARMLESS if text]})
    write_table(table, tmp_path / name)
    pd.testing.assert_frame_equal(read_own_table(tmp_path / name, text=["gene"]), table)


# ------------------------------------------------------------------ arrays


def test_arrays_are_those_that_are_needed(tmp_path):
    write_arrays({"x": np.zeros(3)}, tmp_path / "a.npz")
    assert list(read_arrays(tmp_path / "a.npz", ["x"])) == ["x"]
    with pytest.raises(FatewalkError, match=r"a.npz: has no array 'y', so it is damaged, or not from this"):
        read_arrays(tmp_path / "a.npz", ["x", "y"])

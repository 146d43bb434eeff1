"""Files of a chain that are cut off, foreign or gone when a later stage reads them; faults of the machine."""

import io
import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import torch

from fatewalk.run.manifest import seal
from tests.hostile.screen import Case

AGAIN = ("delete it and run the same command again",)
FIRST, FAR = "contrast=MES", "contrast=NEU"  # the first is that of the contract tables


# ------------------------------------------------------------------ what becomes of a file


def empty(path):
    path.write_bytes(b"")


def cut(path):
    """The first half, as of a copy that was broken off."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def foreign(path):
    """Something else altogether."""
    path.write_bytes(b"<!DOCTYPE html><title>404</title>" + bytes(range(256)))


def gone(path):
    path.unlink()


def folder(path):
    path.unlink()
    path.mkdir()


def other_content(path):
    """A right file of its kind that holds something else."""
    if path.suffix == ".json":
        path.write_text('{"name": "somebody else\'s"}')
    elif path.suffix == ".npz":
        np.savez(path, x=np.zeros(3))
    elif path.suffix == ".pt":
        torch.save({"x": torch.zeros(3)}, path)
    elif path.suffix == ".parquet":
        pd.DataFrame({"x": [1]}).to_parquet(path)
    else:
        path.write_text("x,y\n1,2\n")


def bare(path):
    """A right file of its kind that is no collection of things by name."""
    if path.suffix == ".json":
        path.write_text("[1, 2]")
    else:
        torch.save(torch.zeros(3), path)


def a_line_less(path):
    """A table that lacks its last row: still a table."""
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def saved_by_a_spreadsheet(path):
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def other_numbers(path):
    """A right file of its kind and shapes with other numbers, as that of another fit or screen."""
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            np.savez(path, **{name: x * 2 if x.dtype.kind == "f" else x for name, x in arrays.items()})
    elif path.suffix == ".parquet":
        pd.read_parquet(path).assign(p_EC=lambda table: table["p_MES"], p_MES=0.0).to_parquet(path)
    else:
        content = torch.load(path, weights_only=False)
        for name, x in content.items():
            content[name] = x * 2 if torch.is_tensor(x) and x.is_floating_point() else x
        torch.save(content, path)


def edited(path):
    """A card that says what one would like it to say."""
    path.write_text(path.read_text().replace('"status": "', '"status": "converged", "was": "'))


def pickled(path):
    """An archive that would run code when it is opened."""
    np.savez(path, genes=np.array([{"a": 1}], dtype=object))


def of_another_screen(path):
    """A posterior with one gene less."""
    content = torch.load(path, weights_only=True)
    content["state"] = {name: value[..., :-1] for name, value in content["state"].items() if value.ndim}
    content["laplace"] = {name: value[..., :-1] for name, value in content["laplace"].items() if value.ndim}
    torch.save(content, path)


SAYS = {
    empty: ("is empty", *AGAIN),
    cut: AGAIN,
    foreign: AGAIN,
    folder: ("is a folder, and a file is needed here", *AGAIN),
    gone: ("no such file", "run the same command"),
    other_content: AGAIN,
    bare: AGAIN,
    pickled: AGAIN,
    of_another_screen: AGAIN,
}

#: What is done to the files that a stage reads.
READ = {
    "build_design": {
        "input/cells.parquet": (empty, cut, foreign, folder, gone, other_content),
        "input/guide_calls.parquet": (empty, cut, foreign, other_content),
        "input/guide_map.csv": (empty, foreign, folder, other_content),
    },
    "fit_effects": {"design/design.pt": (empty, cut, foreign, folder, gone, other_content, bare)},
    "summarise_posterior": {
        "design/design.pt": (cut, other_content),
        "fit/posterior.pt": (empty, cut, foreign, folder, gone, other_content, bare, of_another_screen),
    },
    "check_delta": {
        "summary/moments.npz": (empty, cut, foreign, folder, gone, other_content, pickled),
        "fit/fit_card.json": (empty, cut, foreign, folder, gone, other_content, bare),
        "fit/fit_trace.csv": (empty, folder, other_content),
        "main/manifest.json": (cut, other_content, bare),
    },
    "export_effects": {
        "main/fit_card.json": (cut, other_content),
        "main/verdict.json": (empty, cut, other_content),
        "summary/moments.npz": (cut,),
        "summary/likelihood.npz": (empty, cut, foreign, gone, other_content),
        "summary/fate_change.npz": (cut, other_content),
        "summary/evidence.npz": (gone, cut, other_content),
        "summary/gene_power.csv": (folder, empty),
    },
    "fit_mash": {
        "main/theta_posterior_summary.npz": (empty, cut, other_content),
        "main/evidence.npz": (empty, cut, foreign, folder, gone, other_content),
        f"main/{FIRST}/gene_daywise_for_mash.csv": (empty, foreign, gone, other_content),
        f"main/{FIRST}/guide_daywise_likelihood.csv": (cut, folder, other_content),
        f"main/{FIRST}/mash_error_covariance.npz": (empty, cut, gone, other_content, pickled),
    },
    "rank_hits": {
        f"main/{FAR}/mash_gene_conservative.csv": (empty, cut, gone, other_content),
        f"main/{FAR}/shrunk_gene.npz": (empty, cut, folder, gone, other_content),
        "main/shrunk_fates_guide.npz": (cut, foreign, gone, other_content),
        "main/design_report.json": (empty, cut, gone, other_content),
        "main/survival.csv": (cut, gone, other_content),
        "summary/guide_parts.npz": (cut, gone, other_content),
    },
    "plot_figures": {
        "main/hits.csv": (empty, foreign, folder, gone, other_content),
        "main/effects.parquet": (empty, cut, gone, other_content),
        "main/delta_posterior_summary.npz": (cut, other_content),
    },
    "write_report": {
        "main/hits.csv": (empty, gone, other_content),
        "main/certificate.json": (cut, gone, bare),
        "main/effects.parquet": (cut, gone),
    },
}

IN_WORKFLOW = {
    ("build_design", "input/guide_map.csv", other_content),
    ("fit_effects", "design/design.pt", cut),
    ("summarise_posterior", "fit/posterior.pt", other_content),
    ("check_delta", "summary/moments.npz", foreign),
    ("export_effects", "main/verdict.json", cut),
    ("fit_mash", "main/evidence.npz", empty),
    ("rank_hits", f"main/{FAR}/shrunk_gene.npz", cut),
}


def spoilt(stage, name, change):
    words = (*SAYS[change], Path(name).name)
    if name.endswith("manifest.json"):
        words = ("manifest.json", "delete")
    return Case(
        f"{stage} finds {name} {change.__name__}", stage, lambda folder: change(folder / name), "refused",
        words, snakemake=(stage, name, change) in IN_WORKFLOW,
    )  # fmt: skip


# ------------------------------------------------------------------ files that are right, but not these


def changed(stage, name, change, words=(), snakemake=False):
    """A file that can be read and is not what its stage wrote: the manifest has its checksum."""
    return Case(
        f"{stage} finds {name} {change.__name__}", stage, lambda folder: change(folder / name), "refused",
        (Path(name).name, "is not what", "wrote there", *AGAIN, *words), snakemake=snakemake,
    )  # fmt: skip


def of_another_fit(folder):
    """All that was read off another fit, with its manifest."""
    path = folder / "summary" / "manifest.json"
    path.write_text(path.read_text().replace('"fit_sha256": "', '"fit_sha256": "0'))


def of_another_place(folder):
    """A fit that was copied from the folder of another one."""
    (folder / "fit").rename(folder / "fit2")
    path = folder / "fit2" / "manifest.json"
    path.write_text(path.read_text().replace('"folder": "fit"', '"folder": "0123456789"'))
    (folder / "fit2").rename(folder / "fit")


def another_design(folder):
    """A design that its stage wrote, though not the one that was fitted."""
    other_numbers(folder / "design" / "design.pt")
    seal(folder / "design", "build_design", "design")


def a_checkpoint(content):
    """Put something at the place of the checkpoint of the fit."""

    def spoil(folder):
        from fatewalk.infer.checkpoint import checkpoint_path
        from tests.hostile.screen import config_of

        settings = config_of(folder.parents[1]).settings("screen", "main")
        path = checkpoint_path(folder / "fit", folder / "design" / "design.pt", settings.model, settings.fit)
        path.write_bytes(content)

    return spoil


def tensors(content):
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def no_such_card_entry(folder):
    path = folder / "fit" / "fit_card.json"
    card = json.loads(path.read_text())
    del card["criterion"]
    path.write_text(json.dumps(card))


def in_the_way(name):
    """A folder that stands where a stage writes a file."""

    def spoil(folder):
        path = folder / name
        path.unlink(missing_ok=True)
        path.mkdir(parents=True)

    return spoil


def as_h5ad(change):
    """An .h5ad file as the table of cells, and what becomes of it."""

    def spoil(screen):
        with h5py.File(screen.path("screen.h5ad"), "w") as file:
            file["obs"] = np.arange(1000)
        change(screen.path("screen.h5ad"))
        config = screen.path("config.yaml").read_text()
        screen.path("config.yaml").write_text(config.replace("cells: cells.csv", "anndata: screen.h5ad"))
        screen.path("config.yaml").write_text(
            screen.path("config.yaml").read_text().replace("    guide_calls: calls.csv\n", "")
        )

    return spoil


def as_file(name, write):
    """The table of cells in another kind of file, of which only the first half was copied."""

    def spoil(screen):
        write(screen.table("cells.csv"), screen.path(name))
        cut(screen.path(name))
        screen.config(entry={"cells": name})

    return spoil


def a_file_in_the_way(name):
    """A file that stands where a stage needs a folder."""

    def spoil(folder):
        shutil.rmtree(folder / name)
        (folder / name).write_text("")

    return spoil


CASES = [
    Case("nothing wrong", "rank_hits", lambda folder: None, "right"),
    *(
        spoilt(stage, name, change)
        for stage, files in READ.items()
        for name, changes in files.items()
        for change in changes
    ),
    changed("build_design", "input/guide_map.csv", saved_by_a_spreadsheet, ("import_screen",)),
    changed("build_design", "input/cells.parquet", other_numbers, ("import_screen",)),
    changed("fit_effects", "design/design.pt", other_numbers, ("build_design",)),
    changed("summarise_posterior", "design/design.pt", other_numbers, ("build_design",)),
    changed("summarise_posterior", "fit/posterior.pt", other_numbers, ("fit_effects",), snakemake=True),
    changed("check_delta", "fit/fit_card.json", edited, ("fit_effects",)),
    changed("check_delta", "fit/fit_trace.csv", a_line_less, ("fit_effects",)),
    changed("check_delta", "summary/moments.npz", other_numbers, ("summarise_posterior",)),
    changed("export_effects", "summary/moments.npz", other_numbers, ("summarise_posterior",)),
    changed("export_effects", "summary/likelihood.npz", other_numbers, ("summarise_posterior",)),
    changed("export_effects", "summary/evidence.npz", other_numbers, ("summarise_posterior",)),
    changed("export_effects", "summary/fate_change.npz", other_numbers, ("summarise_posterior",)),
    changed("export_effects", "summary/gene_power.csv", a_line_less, ("summarise_posterior",)),
    Case(
        "what was read off another fit", "check_delta", of_another_fit, "refused",
        ("summary: is of another fit than the files it is read with", "add -F to the command"),
    ),
    Case(
        "a fit of another folder", "summarise_posterior", of_another_place, "refused",
        ("fit: is not what fit_effects wrote there", "copied from elsewhere", "delete the folder"),
    ),
    Case(
        "a fit of another design", "summarise_posterior", another_design, "refused",
        ("fit: is no fit of the design in", "one of the two was replaced", "delete the folder"),
    ),
    changed("fit_mash", f"main/{FIRST}/gene_daywise_for_mash.csv", a_line_less, ("export_effects",)),
    changed("fit_mash", f"main/{FIRST}/guide_daywise_likelihood.csv", saved_by_a_spreadsheet),
    changed("rank_hits", f"main/{FAR}/mash_guide_conservative.csv", a_line_less, ("fit_mash",)),
    changed("rank_hits", "summary/guide_parts.npz", other_numbers, ("summarise_posterior",)),
    changed("plot_figures", "main/hits.csv", saved_by_a_spreadsheet, ("rank_hits",), snakemake=True),
    changed("plot_figures", "main/contrast=MES/gene_daywise_for_mash.csv", a_line_less),
    Case(
        "a folder instead of a table", "import", lambda s: folder(s.path("cells.csv")), "refused",
        ("cells.csv", "is a folder", "name the file in it"),
    ),
    Case(
        "a guide map that is a folder", "import", lambda s: folder(s.path("guides.csv")), "refused",
        ("guides.csv", "is a folder"),
    ),
    Case(
        "calls of no bytes", "import", lambda s: empty(s.path("calls.csv")), "refused",
        ("calls.csv", "the file is empty"), snakemake=True,
    ),
    Case(
        "cells in half a Parquet file", "import",
        as_file("cells.parquet", lambda table, path: table.to_parquet(path)), "refused",
        ("cells.parquet", "is cut off or damaged", "write it again"),
    ),
    Case(
        "cells in half a gzip file", "import",
        as_file("cells.csv.gz", lambda table, path: table.to_csv(path, index=False)), "refused",
        ("cells.csv.gz", "cut off"),
    ),
    Case(
        "half an h5ad file", "import", as_h5ad(cut), "refused",
        ("screen.h5ad", "cannot be read as .h5ad", "it is cut off"),
    ),
    Case(
        "a web page as h5ad file", "import", as_h5ad(foreign), "refused",
        ("screen.h5ad", "a page of the web", "download the file itself"),
    ),
    Case(
        "genes that a spreadsheet would run", "design",
        lambda s: s.change("guides.csv", "gene_name", [0, 1], "=HYPERLINK(1)"), "right",
    ),
    Case(
        "a card without its criterion", "check_delta", no_such_card_entry, "refused",
        ("fit_card.json", "has no entry 'criterion'", *AGAIN), snakemake=True,
    ),
    Case(
        "a checkpoint of nothing", "fit_effects", a_checkpoint(b""), "warned",
        ("checkpoint-", "cannot be read", "the fit starts anew"),
    ),
    Case(
        "a checkpoint cut off", "fit_effects", a_checkpoint(tensors({"phase": "laplace"})[:200]), "warned",
        ("checkpoint-", "cannot be read", "the fit starts anew"),
    ),
    Case(
        "a checkpoint of something else", "fit_effects", a_checkpoint(tensors(torch.zeros(2))), "warned",
        ("checkpoint-", "cannot be read", "the fit starts anew"),
    ),
    Case(
        "a checkpoint without its state", "fit_effects", a_checkpoint(tensors({"phase": ""})), "warned",
        ("checkpoint-", "cannot be read", "the fit starts anew"),
    ),
    Case(
        "the checksums of the run gone", "rank_hits",
        lambda folder: (folder / "main" / "manifest.json").unlink(), "refused",
        ("manifest.json, which says what stages wrote there, is gone", "delete the folder"),
    ),
    Case(
        "a folder where the table goes", "rank_hits", in_the_way("main/effects.parquet"), "refused",
        ("effects.parquet", "cannot be written", "Is a directory", "move it away"),
    ),
    Case(
        "a folder where the design goes", "build_design", in_the_way("design/design.pt"), "refused",
        ("design.pt", "cannot be written", "move it away"),
    ),
    Case(
        "a file where the folder goes", "summarise_posterior", a_file_in_the_way("summary"), "refused",
        ("summary", "this folder cannot be made", "move it away"),
    ),
    Case(
        "a file where the figures go", "plot_figures",
        lambda folder: (folder / "main" / "figures").write_text(""), "refused",
        ("figures", "this folder cannot be made", "move it away"),
    ),
]  # fmt: skip

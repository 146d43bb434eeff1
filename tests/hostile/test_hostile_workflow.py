"""Cases of the corpus through Snakemake itself: the same words stand at the end of what it prints."""

import re
import shutil
from pathlib import Path

import pytest

from tests.hostile.cases import CASES
from tests.hostile.screen import BEFORE_FIT, write_screen
from tests.hostile.test_hostile import INTERNAL
from tests.workflow.conftest import snakemake

pytestmark = pytest.mark.slow

RUN = "results/screen/main"

#: What to ask for, so that the stage runs and nothing after it.
TARGET = {
    "config": "results/screen/input/cells.parquet",
    "import": "results/screen/input/cells.parquet",
    "design": f"{RUN}/run.json",
    "build_design": f"{RUN}/run.json",
    "fit_effects": f"{RUN}/fit_card.json",
    "summarise_posterior": f"{RUN}/verdict.json",
    "check_delta": f"{RUN}/verdict.json",
    "export_effects": f"{RUN}/theta_posterior_summary.npz",
    "fit_mash": f"{RUN}/mash_fates.json",
    "rank_hits": f"{RUN}/hits.csv",
    "plot_figures": f"{RUN}/figures/heatmap.png",
    "write_report": f"{RUN}/report.html",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The right screen, run to its figures."""
    folder = tmp_path_factory.mktemp("finished")
    write_screen(folder)
    done = snakemake(folder, "all_report")
    assert done.returncode == 0, done.text
    return folder


def spoil(case, folder, request):
    """A folder with the right screen, or its finished run, and what the case does to it."""
    if case.stage in BEFORE_FIT:
        case.spoil(write_screen(folder))
        return
    shutil.copytree(request.getfixturevalue("finished"), folder, dirs_exist_ok=True)
    screen = folder / "results" / "screen"
    (design,), (fit,) = ((screen / name).iterdir() for name in ("designs", "fits"))
    for name, there in {"design": design, "fit": fit, "summary": fit / "draws=100"}.items():
        (screen / name).symlink_to(there)  # where the chain of one process has them
    case.spoil(screen)


def last_words(text):
    """What stands after Snakemake's own closing lines; all of it where nothing ran."""
    return text.split("\nfatewalk: ")[-1] if "\nfatewalk: " in text else text


MARKED = [case for case in CASES if case.snakemake]


@pytest.mark.parametrize("case", MARKED, ids=lambda case: f"{case.stage}: {case.name}")
def test_snakemake_says_the_same(case, tmp_path, request):
    spoil(case, tmp_path, request)
    done = snakemake(tmp_path, TARGET[case.stage])
    refused = case.expected == "refused"
    assert (done.returncode != 0) == refused, done.text
    said = last_words(done.text) if refused else done.text
    assert [word for word in case.words if word not in said] == [], done.text
    if refused:  # else all lines of all jobs are there, with what other stages have to say
        assert [word for word in case.never if word in said] == [], done.text
    assert "Traceback" not in done.text
    if not refused or case.stage in BEFORE_FIT:
        return
    assert [word for word in INTERNAL if word in said] == [], said
    # the mend that is named is one
    (file,) = re.findall(r"^  (\S+): .* delete it and run the same command again", said, re.MULTILINE)
    (tmp_path / Path(file)).unlink()
    done = snakemake(tmp_path, TARGET[case.stage])
    assert done.returncode == 0, done.text

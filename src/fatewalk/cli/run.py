"""``fatewalk run``: Snakemake on the Snakefile of this checkout, a bar over its stages, and the verdict."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from tqdm import tqdm

import fatewalk
from fatewalk.config import MAIN_RUN, load_config, read_config
from fatewalk.config.messages import Problems
from fatewalk.core.errors import FatewalkError
from fatewalk.core.tables import require_file
from fatewalk.core.words import count
from fatewalk.run.settings import of_another_entry, of_other_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fatewalk.config import Config


#: Options of Snakemake with which it runs nothing, or is to speak for itself: its output is passed on whole.
SPEAKS_ITSELF = re.compile(
    r"-n|--dry-?run|--verbose|--debug.*|--dag|--rulegraph|--filegraph|--d3dag|--summary|-S|--detailed-summary|-D"
    r"|--lint|-l|--list.*|--unlock|--report.*|--archive|--print-compilation|--help|--version|-v|--delete-.*"
    r"|--cleanup-.*|--touch|-t|--containerize|--conda-create-envs-only"
)
#: What a stage does, and its seconds on the demo, from which the time that is left is told.
STAGES = {
    "simulate_screen": ("simulate the screen", 1.5),
    "import_screen": ("read the screen", 4.0),
    "build_design": ("check and index it", 4.0),
    "fit_effects": ("fit the effects", 8.0),
    "publish_design": ("copy the design", 0.5),
    "summarise_posterior": ("draw from the posterior", 8.0),
    "check_delta": ("check the fit", 3.5),
    "export_effects": ("export the effects", 1.0),
    "fit_mash": ("shrink the effects", 7.5),
    "certify": ("try the errors on this screen", 4.0),
    "rank_hits": ("rank the hits", 2.0),
    "evaluate_recovery": ("compare with the truth", 4.0),
    "plot_figures": ("plot the effects", 12.5),
    "write_report": ("write the page", 3.0),
    "all": ("", 0.0),
}
PLANNED = re.compile(r"(?P<rule>\w+) +(?P<n>\d+)")
STARTED = re.compile(r"Job (?P<job>\d+): (?P<words>.*)")
FINISHED = re.compile(r"Finished jobid: \d+ \(Rule: (?P<rule>\w+)\)")
END = "Complete log"
USAGE = re.compile(r"\S+: error: ")  # of its command line
OF_SNAKEMAKE = ("Elapsed time:", "WorkflowError:", "At least one job did not complete")
ELSEWHERE = ("--config", "-C", "--directory", "-d")  # of Snakemake: paths may be others than the config's
ENDED = (
    "Ended by you. Run the same command again: what is finished stays, and a fit goes on from where it was."
)
LAST_LINES = 15  # shown where Snakemake fails before its first job


def run(path: Path, options: Sequence[str]) -> int:
    """Run the workflow.

    Parameters
    ----------
    path
        The config.
    options
        Of Snakemake, passed on as they are.

    Returns
    -------
    int
        Exit status of Snakemake.

    Raises
    ------
    FatewalkError
        If the config is wrong, or fatewalk was installed without its Snakefile.
    """
    config = load_config(read_config(str(path)), Problems(path.name))
    if not any(option.partition("=")[0] in ELSEWHERE for option in options):
        look_at_inputs(config)
    command = command_of(path, options)
    click.echo(f"$ {shlex.join(command)}", err=True)
    if any(SPEAKS_ITSELF.fullmatch(option.partition("=")[0]) for option in options):
        return _status(_Snakemake(command, piped=False).wait())
    snakemake = _Snakemake(command)
    progress = Progress()
    for line in snakemake.lines(progress.tick):
        progress.take(line)
    status = _status(snakemake.wait())
    progress.close()
    words = [ENDED] if snakemake.was_ended and status else progress.last_words(status)
    click.echo("\n".join(["", *words]))
    return status


def look_at_inputs(config: Config) -> None:
    """Refuse files that are not there, and a new reading of a screen that would fail.

    Snakemake takes away the tables of the last import before it reads a screen anew: a slip in the config
    would cost the import and, with it, the fit.

    Raises
    ------
    FatewalkError
        As ``fatewalk check`` says it.
    """
    for name, dataset in config.datasets.items():
        for file in dataset.paths.values():
            if not Path(file).exists():
                require_file(file)
        before = Path(config.results_dir, name, "input")
        if of_another_entry(before, dataset.own_keys()) or of_other_files(before, dataset.paths):
            from fatewalk.cli.check import tables_of  # takes torch along

            tables_of(dataset, config.settings(name, MAIN_RUN))


def command_of(path: Path, options: Sequence[str]) -> list[str]:
    """The command line of Snakemake; without a profile it gets that of one machine."""
    root = checkout()
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--configfile",  # takes all that follows up to the next option: targets must not
        str(path),
        "--snakefile",
        str(root / "Snakefile"),
    ]
    named = any(option.partition("=")[0] == "--profile" for option in options)
    if not named and "SNAKEMAKE_PROFILE" not in os.environ:
        command += ["--profile", str(root / "profiles" / "local")]
    return [*command, *_profiles_of(root, options)]


def checkout() -> Path:
    """The folder of fatewalk's Snakefile.

    Raises
    ------
    FatewalkError
        If fatewalk was installed without it.
    """
    root = Path(fatewalk.__file__).resolve().parents[2]
    if not (root / "Snakefile").is_file():
        raise FatewalkError(
            f"fatewalk was installed without its workflow (no Snakefile in {root}); clone its repository and "
            "install it from there: pip install --editable ."
        )
    return root


def _profiles_of(root: Path, options: Sequence[str]) -> Iterator[str]:
    """The options, with ``--profile profiles/slurm`` or ``slurm`` found in the checkout from any folder."""
    before = ""
    for option in options:
        name, equals, value = option.partition("=")
        given = option if before == "--profile" else value if name == "--profile" and equals else ""
        before = option
        places = [place / given for place in (root, root / "profiles")]
        found = next((str(place) for place in places if (place / "profile.yaml").is_file()), given)
        is_here = not given or Path(given).exists()
        yield option if is_here else option.removesuffix(given) + found


def _status(returned: int) -> int:
    """As a shell gives it: 128 + the signal that ended the process."""
    return returned if returned >= 0 else 128 - returned


class _Snakemake:
    """Snakemake as a process of its own, to which signals are passed on.

    In a session of its own, so that Ctrl-C reaches it and its jobs once, from here.
    """

    def __init__(self, command: Sequence[str], piped: bool = True) -> None:
        pipe: Any = {"stderr": subprocess.PIPE, "text": True, "errors": "replace"} if piped else {}
        self.before: dict[int, Any] = {}
        self.was_ended = 0  # by this signal
        self.process: subprocess.Popen[str] | None = None
        if threading.current_thread() is threading.main_thread():
            for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                self.before[one] = signal.signal(one, self._pass_on)
        self.process = subprocess.Popen(command, start_new_session=True, **pipe)
        if self.was_ended:  # while it was being started
            self._pass_on(self.was_ended, None)

    def _pass_on(self, number: int, _frame: Any) -> None:
        self.was_ended = number
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def lines(self, tick: Callable[[], None]) -> Iterator[str]:
        """What Snakemake says, line by line; ``tick`` is called where it says nothing for a second."""
        said: queue.Queue[str | None] = queue.Queue()

        def read() -> None:
            assert self.process is not None
            assert self.process.stderr is not None
            for line in self.process.stderr:
                said.put(line.rstrip("\n"))
            said.put(None)

        threading.Thread(target=read, daemon=True).start()
        while True:
            try:
                line = said.get(timeout=1)
            except queue.Empty:
                tick()
                continue
            if line is None:
                return
            yield line

    def wait(self) -> int:
        """Wait for the end; the return code."""
        assert self.process is not None
        try:
            return self.process.wait()
        finally:
            for one, handler in self.before.items():
                signal.signal(one, handler)


class Progress:
    """What is read off the lines of Snakemake: the plan, a bar over the stages, the last words."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.plan: dict[str, int] = {}
        self.planning = False
        self.bar: tqdm[Any] | None = None

    def take(self, line: str) -> None:
        """Take note of a line."""
        self.said.append(line)
        line = line.strip()  # jobs of a group are indented
        if line.startswith("Job stats:"):
            self.planning = self.bar is None
        elif self.planning and (planned := PLANNED.fullmatch(line)):
            if planned["rule"] == "total":
                self.planning = False
                self._begin()
            elif planned["rule"] != "job":
                self.plan[planned["rule"]] = int(planned["n"])
        elif started := STARTED.fullmatch(line):
            self._show(started["words"])
        elif finished := FINISHED.fullmatch(line):
            self._advance(finished["rule"])

    def tick(self) -> None:
        """Let the clock of the bar go on."""
        if self.bar is not None:
            self.bar.refresh()

    def close(self) -> None:
        """End the bar."""
        if self.bar is not None:
            self.bar.close()

    def last_words(self, status: int) -> list[str]:
        """What the run found, or why it failed."""
        ends = [place for place, line in enumerate(self.said) if line.startswith(END)]
        if ends:
            words = [line for line in self.said[ends[-1] + 1 :] if not line.startswith(OF_SNAKEMAKE)]
            log = [self.said[ends[-1]].replace("Complete log(s)", "What Snakemake said")] if status else []
            return [*log, *words[next((i for i, line in enumerate(words) if line), 0) :]]
        if wrong := [line.partition("error: ")[2] for line in self.said if USAGE.match(line)]:
            return [f"Snakemake does not take these options: {wrong[-1]}. See snakemake --help"]
        return self.said[-LAST_LINES:]

    def _begin(self) -> None:
        steps = {_of(rule)[0]: n for rule, n in self.plan.items() if _of(rule)[0]}
        words = (f"{what} ({n} times)" if n > 1 else what for what, n in steps.items())
        click.echo(f"{count(sum(steps.values()), 'step')}: {', '.join(words)}", err=True)
        total = sum(_of(rule)[1] * n for rule, n in self.plan.items())
        form = "{percentage:3.0f}% |{bar}| {elapsed}, about {remaining} left  {desc}"
        self.bar = tqdm(total=total, bar_format=form, smoothing=0, disable=None, leave=False)

    def _show(self, words: str) -> None:
        if self.bar is None:
            return
        if self.bar.disable:
            click.echo(f"  {words}", err=True)
        else:
            self.bar.set_description_str(words)

    def _advance(self, rule: str) -> None:
        if self.bar is not None:
            self.bar.update(_of(rule)[1])


def _of(rule: str) -> tuple[str, float]:
    """Words and seconds of a stage."""
    return STAGES.get(rule, (rule.replace("_", " "), 2.0))

"""The last words of a Snakemake run: why a job failed, or what each run has found.

Snakemake calls its handlers ``onsuccess`` and ``onerror`` only if there was something to do, and
prints after them. So the words come when the process ends, whatever it has done; what it has done is
read from Snakemake's own log events.
"""

from __future__ import annotations

import atexit
import contextlib
import copy
import csv
import logging
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fatewalk.core.errors import quoted
from fatewalk.core.files import atomic_path, read_json
from fatewalk.core.schema import SHIELDED
from fatewalk.run.manifest import CARD, NAME, STALE, edited, fit_entry, fit_of_run, prune, set_aside
from fatewalk.run.settings import of_another_entry, of_other_files, of_other_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fatewalk.config import RunSettings
    from fatewalk.config.datasets import Dataset

NOTHING = "Nothing to be done"
VERDICT = "verdict.json"
NAMED = 5  # hits told by name
FILES = 3  # files named where Snakemake would name all
ERROR = re.compile(r"^[\d:]+ ERROR |^(?=Error)", re.MULTILINE)  # ours, or R's
OURS = re.compile(r"^[\d:]+ (INFO|WARNING) ", re.MULTILINE)
TAIL = 5  # lines shown of a log that holds no error of ours


class Closing(logging.Handler):
    """Listens to Snakemake and has the last word.

    Parameters
    ----------
    results
        Folder of all results.
    runs
        Dataset, run and settings of every run that is to be summed up.
    datasets
        The data sets by name.
    dry
        Tells whether Snakemake only says what it would do.
    quiet
        Tells whether it was asked to say nothing.
    """

    def __init__(
        self,
        results: str,
        runs: list[tuple[str, str, RunSettings]],
        datasets: Mapping[str, Dataset],
        dry: Callable[[], bool],
        quiet: Callable[[], bool],
    ) -> None:
        super().__init__()
        self.base = Path.cwd()  # Snakemake works here now (--directory), and not when the process ends
        self.results = Path(results)
        self.runs, self.datasets = runs, datasets
        self.dry, self.quiet = dry, quiet
        self.clock = time.monotonic()
        self.worked = self.idle = False
        self.begun: set[tuple[str, str]] = set()  # dataset and run of the jobs
        self.failed: dict[int, Mapping[str, Any]] = {}  # by job, so that a retry that succeeds clears it

    def register(self, logger: logging.Logger, short_lists: bool) -> None:
        """Listen to Snakemake's logger, and speak when the process ends.

        Parameters
        ----------
        logger
            Snakemake's.
        short_lists
            Cut long lists of files from its lines (`shorten`); ``--verbose`` keeps them.
        """
        earlier = _registered.pop((self.base, self.results), None)
        if earlier is not None:  # a module's Snakefile is read once for each of its `use rule` lines
            atexit.unregister(earlier.close_run)
            logger.removeHandler(earlier)
        _registered[self.base, self.results] = self
        logger.addHandler(self)
        for handler in logger.handlers if short_lists else []:
            if handler.formatter and not isinstance(handler.formatter, ShortLists):
                handler.setFormatter(ShortLists(handler.formatter))
        atexit.register(self.close_run)

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of an event."""
        event = str(getattr(record, "event", "") or "").rpartition(".")[2].lower()
        self.idle = self.idle or record.getMessage().startswith(NOTHING)
        if event == "job_info":
            places = [self._place(Path(log)) for log in getattr(record, "log", None) or []]
            self.begun.update(place[1:] for place in places if place)
        elif event == "job_started":
            self.worked = True
        elif event == "job_finished":
            self.failed.pop(getattr(record, "job_id", -1), None)
        elif event == "job_error":
            self.failed[getattr(record, "jobid", -1)] = vars(record)

    def close_run(self) -> None:
        """Say what came of it; nothing where nothing was run."""
        if self.dry() or not (self.worked or self.idle):
            return
        with contextlib.chdir(self.base):
            summaries, failures = (self._said(words) for words in (self.summaries, self.failures))
        words = failures if self.quiet() else summaries + failures
        if words:
            print("", *words, sep="\n", file=sys.stderr, flush=True)

    def _said(self, words: Callable[[], list[str]]) -> list[str]:
        """Words that are a service: never a second failure."""
        try:
            return words()
        except Exception as error:  # noqa: BLE001
            return [f"fatewalk could not sum this up: {error}"]

    def summaries(self) -> list[str]:
        """A few lines for each run: of those that had jobs, or of all where nothing was to be done."""
        lines: list[str] = []
        seconds = time.monotonic() - self.clock
        for dataset, run, settings in self.runs:
            folder = self.results / dataset / run
            if not (folder / NAME).exists():
                continue
            if self.failed:
                prune(folder)
            if self.worked and (dataset, run) in self.begun:
                lines += summarise(folder, f"{dataset}/{run}", f"took {_duration(seconds)}")
            elif self.idle:
                lines += summarise(folder, f"{dataset}/{run}", "")
            else:
                continue
            if not self.failed:
                lines += _not_of_this_config(folder, settings, dataset, self.datasets[dataset])
                lines += _not_as_written(folder)
        return [*lines, "Nothing was to be done."] if self.idle and lines else lines

    def failures(self) -> list[str]:
        """Why jobs failed, the reason last. Sets aside the tables of other runs that use a refused fit."""
        lines: list[str] = []
        for rule, logs in self._failed_jobs():
            where = f" (log: {logs[0]})" if logs else ""
            why = [f"  {line}" for line in reason(logs)]
            lines += [f"fatewalk: {rule} failed{where}", *(["  as above"] if set(why) <= set(lines) else why)]
            place = self._place(logs[0]) if logs else None
            if place and place[0] == "export_effects":
                lines += [f"  {line}" for line in self._set_aside_siblings(*place[1:])]
        return lines

    def _failed_jobs(self) -> list[tuple[str, list[Path]]]:
        """Rule and logs of the jobs that failed; of a group, all of whose jobs are reported, the culprits."""
        found = {
            key: (str(job.get("rule_name", "a job")), [Path(path) for path in job.get("log", [])])
            for key, job in self.failed.items()
        }
        of_group = {key for key, job in self.failed.items() if job.get("indent")}
        culprits = {key for key in of_group if ERROR.search(_text(found[key][1]))}
        return [job for key, job in found.items() if key not in of_group or key in (culprits or of_group)]

    def _place(self, log: Path) -> tuple[str, str, str] | None:
        """Stage, dataset and run of a log of ours, ``logs/<stage>/<dataset>/<run>...``; else None."""
        logs = self.results / "logs"
        parts = log.relative_to(logs).parts if log.is_relative_to(logs) else ()
        return (parts[0], parts[1], parts[2].removesuffix(".log")) if len(parts) > 2 else None

    def _set_aside_siblings(self, dataset: str, refused: str) -> list[str]:
        """Other runs of the refused fit: their tables of another fit go to ``stale/``; the runs by name."""
        fit = next((s.fit_id for d, r, s in self.runs if (d, r) == (dataset, refused)), "")
        card = self.results / dataset / "fits" / fit / CARD
        found: list[str] = []
        if not card.exists():
            return found
        for other, run, settings in self.runs:
            folder = self.results / dataset / run
            shares = (other, settings.fit_id) == (dataset, fit) and run != refused
            if shares and (folder / NAME).exists() and set_aside(folder, fit_entry(fit, read_json(card))):
                found.append(f"Tables of another fit were moved to {folder / STALE}.")
        return found


_registered: dict[tuple[Path, Path], Closing] = {}


class ShortLists(logging.Formatter):
    """Formats what Snakemake says of a job for the terminal, without long lists; its log file keeps them.

    Parameters
    ----------
    whole
        Snakemake's formatter.
    """

    def __init__(self, whole: logging.Formatter) -> None:
        super().__init__()
        self.whole = whole

    def format(self, record: logging.LogRecord) -> str:
        """Format a shortened copy."""
        return self.whole.format(shorten(copy.copy(record)))


def shorten(record: logging.LogRecord) -> logging.LogRecord:
    """Cut the long lists of files from a record."""
    for name in ("input", "output"):
        files = getattr(record, name, None)
        if isinstance(files, list):
            setattr(record, name, _few(files))
    if (why := getattr(record, "reason", None)) is not None:
        parts = [part.partition(": ") for part in str(why).split("; ")]
        record.reason = "; ".join(
            f"{what}{colon}{', '.join(_few(files.split(', ')))}" for what, colon, files in parts
        )
    return record


def _few(files: list[str]) -> list[str]:
    """The first few, and how many more."""
    return files if len(files) <= FILES + 1 else [*files[:FILES], f"and {len(files) - FILES} more"]


def summarise(folder: Path, name: str, took: str) -> list[str]:
    """Sum up a run, also in its ``summary.txt``.

    Parameters
    ----------
    folder
        Of the run.
    name
        ``<dataset>/<run>``.
    took
        How long it took; empty: what ``summary.txt`` says of an earlier time stays.

    Returns
    -------
    list of str
        Three to seven lines.
    """
    path = folder / "summary.txt"
    said = path.read_text() if not took and path.exists() else ""
    if said.startswith(f"{name}: ") and f"{folder}/" in said:  # else results were renamed or moved
        return said.splitlines()
    lines = [f"{name}: {_verdict(folder)}"]
    if (folder / "hits.csv").exists():
        lines += [f"  {line}" for line in _hits(folder / "hits.csv")]
        lines += [f"  {line}" for line in _certificate(folder)]
        figures = f", figures: {folder / 'figures'}/" if (folder / "figures").is_dir() else ""
        because = _entry(folder / "mash_fates.json").get("gene", {}).get("estimand_because")
        lines += [f"  effects asked for: {because}"] if because else []
        lines.append(f"  hits: {folder / 'hits.csv'}, all effects: {folder / 'effects.parquet'}{figures}")
        if (folder / "report.html").exists():
            lines.append(f"  the page, for any browser: {folder / 'report.html'}")
    else:
        lines.append(f"  {_without_hits(folder)}")
    if took:
        lines.append(f"  {took}")
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n")
    return lines


def _entry(path: Path) -> dict[str, Any]:
    """Content of a JSON file, empty if it is not there."""
    found: dict[str, Any] = read_json(path) if path.exists() else {}
    return found


def _without_hits(folder: Path) -> str:
    """Why a run has no list of hits, and what there is instead."""
    path = folder / VERDICT
    refused = path.exists() and read_json(path)["verdict"] == "bad"
    words = "nothing was exported of this fit" if refused else "no hits yet"
    if (folder / STALE).is_dir():
        return f"{words}; tables of an earlier one: {folder / STALE}/"
    return f"{words}; what there is: {folder}/"


def _verdict(folder: Path) -> str:
    """Verdict of fit and delta check, in words."""
    path = folder / VERDICT
    if not path.exists():
        return "not fitted yet"
    verdict = read_json(path)
    words = f"{verdict['fit']['words']}; {verdict['delta']['words']}"
    fits = [_entry(folder / "run.json").get("fit"), _entry(folder / NAME).get(CARD, {}).get("fit")]
    if None not in fits and fits[0] != fits[1]:
        words += (
            f"; these are tables of fit {fits[1]}, and fit {fits[0]}, which the config asks for, is not done"
        )
    if verdict["verdict"] == "bad" and (folder / "hits.csv").exists():
        words += "; PROVISIONAL, not to be published"
    warnings = verdict["fit"]["warnings"]
    return f"{words} ({warnings} warning{'s' * (warnings != 1)} in {CARD})" if warnings else words


def _certificate(folder: Path) -> list[str]:
    """What the certificate says, and where withheld hits stand."""
    found = _entry(folder / "certificate.json")
    if not found:
        return []
    lines = [found["words"]]
    lines += [f"{check['name']}: {check['words']}" for check in found["checks"] if check["verdict"] == "fail"]
    with (folder / "hits_withheld.csv").open(newline="") as file:
        withheld = sum(1 for _ in csv.DictReader(file))
    if withheld:
        lines.append(f"{withheld} hits are withheld: {folder / 'hits_withheld.csv'} (calls.require)")
    return lines


def _not_of_this_config(folder: Path, settings: RunSettings, name: str, dataset: Dataset) -> list[str]:
    """Of results that the config did not make, such as copied ones, whose history Snakemake does not know."""
    entry = of_another_entry(folder.parent / "input", dataset.own_keys(), dataset.files)
    found = {f"datasets.{name}.{key}": pair for key, pair in entry.items()}
    found |= of_other_settings(folder, settings.read_by)
    words = [f"{key} was {then} and is {now} in the config" for key, (then, now) in found.items()]
    words += [
        f"datasets.{name}.{key}: {dataset.paths[key]} is not the file that was read, or has changed since"
        for key in of_other_files(folder.parent / "input", dataset.paths)
        if key not in entry
    ]
    fit = fit_of_run(folder)
    card = _entry(folder.parent / "fits" / settings.fit_id / CARD)
    if fit and fit["fit"] != settings.fit_id:
        words.append(f"they are of fit {fit['fit']}, and the config asks for fit {settings.fit_id}")
    elif fit and card and fit != fit_entry(settings.fit_id, card):
        words.append(f"they are of another fit than fits/{settings.fit_id}: one of the two was copied here")
    if not words:
        return []
    more = f" (and {len(words) - NAMED} more)" if len(words) > NAMED else ""
    return [
        f"  NOT OF THIS CONFIG: {'; '.join(words[:NAMED])}{more}. Files that Snakemake did not make here are "
        "taken as they are. Add -F to the command to make all of them anew"
    ]


def _not_as_written(folder: Path) -> list[str]:
    """Of tables that were edited, which Snakemake does not see."""
    names = edited(folder)
    if not names:
        return []
    return [
        f"  NOT AS WRITTEN: {quoted(names)} of {folder} (edited, cut off or replaced since). Delete what "
        "is named and run the same command again"
    ]


def _hits(path: Path) -> list[str]:
    """Number of hits by fate, and the first few by name."""
    with path.open(newline="") as file:
        hits = [
            {name: SHIELDED.sub("", value) for name, value in hit.items()} for hit in csv.DictReader(file)
        ]
    if not hits:
        return ["no hits"]
    scale = "fate" if "fate" in hits[0] else "contrast"
    by_fate = Counter(hit[scale] for hit in hits).most_common()
    first = ", ".join(
        f"{hit['gene']} ({hit['direction']} of {hit[scale]}{'; ' * bool(_marks(hit))}{_marks(hit)})"
        for hit in hits[:NAMED]
    )
    n_genes = len({hit["gene"] for hit in hits})
    return [
        f"{len(hits)} hit{'s' * (len(hits) != 1)} in {n_genes} gene{'s' * (n_genes != 1)}: "
        + ", ".join(f"{n} on {fate}" for fate, n in by_fate),
        f"the first: {first}",
        *_marked(hits),
    ]


def _marks(hit: Mapping[str, str]) -> str:
    """Marks of a hit; tables of earlier versions have none."""
    return hit.get("marks") or ""


def _marked(hits: list[dict[str, str]]) -> list[str]:
    """How many hits carry which mark, if any."""
    counts = Counter(mark for hit in hits for mark in _marks(hit).split("; ") if mark)
    if not counts:
        return []
    n = sum(bool(_marks(hit)) for hit in hits)
    words = ", ".join(f"{mark} ({many})" for mark, many in counts.most_common())
    return [f"{n} of them marked, see hit_support.csv: {words}"]


def reason(logs: list[Path]) -> list[str]:
    """What a failed job's log gives as the reason: its last error, else its last lines.

    Parameters
    ----------
    logs
        Log files of the job.

    Returns
    -------
    list of str
        Lines.
    """
    text = _text(logs)
    if not text:
        return ["It left no message: killed, not started, or no space for the log. See the lines above."]
    errors = list(ERROR.finditer(text))
    if not errors:
        killed = ["It ended without a reason: killed for memory or time, perhaps. Its last words:"]
        return (killed if OURS.search(text) else []) + text.splitlines()[-TAIL:]
    lines = text[errors[-1].end() :].splitlines()
    is_defect = any(line.startswith("Traceback (most recent call last)") for line in lines)
    return [lines[0], lines[-1]] if is_defect else lines


def _text(logs: list[Path]) -> str:
    """What log files hold; those that are not there hold nothing."""
    return "\n".join(path.read_text(errors="replace") for path in logs if path.is_file()).rstrip()


def _duration(seconds: float) -> str:
    """``38 s`` or ``4 min 05 s``."""
    whole = round(seconds)
    return f"{whole} s" if whole < 120 else f"{whole // 60} min {whole % 60:02d} s"

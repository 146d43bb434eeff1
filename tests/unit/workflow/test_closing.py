"""The last words: reasons from logs, lists cut short, what counts as failed."""

import logging

import pytest

from fatewalk.workflow.closing import Closing, reason, shorten, summarise


def log_file(folder, name, text):
    path = folder / f"{name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "10:00:00 INFO in\n10:00:01 ERROR cells.csv: column 'day'\nis missing\n",
            ["cells.csv: column 'day'", "is missing"],
        ),
        (
            "10:00:00 ERROR defect\nTraceback (most recent call last):\n  line\nValueError: x\n",
            ["defect", "ValueError: x"],
        ),
        (
            "Loading\nError in solve(): singular\nExecution halted\n",
            ["Error in solve(): singular", "Execution halted"],
        ),
        ("one\ntwo\n", ["one", "two"]),
        (
            "10:00:00 INFO round 1\n",
            [
                "It ended without a reason: killed for memory or time, perhaps. Its last words:",
                "10:00:00 INFO round 1",
            ],
        ),
    ],
)
def test_the_reason_is_the_last_error_of_the_log(tmp_path, text, expected):
    path = tmp_path / "job.log"
    path.write_text(text)
    assert reason([path]) == expected


def test_a_job_without_a_log_was_killed(tmp_path):
    assert reason([tmp_path / "absent.log"])[0].startswith("It left no message: killed")


def record(**fields):
    made = logging.LogRecord("snakemake", logging.INFO, "", 0, fields.pop("msg", ""), None, None)
    vars(made).update(fields)
    return made


@pytest.fixture
def closing(tmp_path):
    return Closing(str(tmp_path), [], {}, dry=lambda: False, quiet=lambda: False)


def failed(closing, folder, jobid, rule, text, **more):
    logs = [log_file(folder, rule, text)]
    closing.emit(record(event="LogEvent.JOB_ERROR", jobid=jobid, rule_name=rule, log=logs, **more))


def test_a_retry_that_succeeds_is_no_failure(closing, tmp_path):
    failed(closing, tmp_path, 3, "fit_effects", "10:00:00 ERROR out of memory\n")
    failed(closing, tmp_path, 4, "rank_hits", "10:00:00 ERROR no such column\n")
    closing.emit(record(event="job_finished", job_id=3))
    words = "\n".join(closing.failures())
    assert "fatewalk: rank_hits failed" in words
    assert words.endswith("no such column")
    assert "out of memory" not in words


def test_of_a_group_the_culprit_is_named(closing, tmp_path):
    failed(closing, tmp_path, 1, "check_delta", "10:00:00 INFO verdict\n", indent=True)
    failed(closing, tmp_path, 2, "export_effects", "10:00:00 ERROR not converged\n", indent=True)
    failed(closing, tmp_path, 3, "rank_hits", "", indent=True)
    words = closing.failures()
    assert words[-1] == "  not converged"
    assert len(words) == 2


def test_only_what_ran_is_summed_up(closing, capsys):
    closing.close_run()
    assert capsys.readouterr().err == ""
    closing.emit(record(event="job_started"))
    closing.dry = lambda: True
    closing.close_run()
    assert capsys.readouterr().err == ""


def test_long_lists_are_cut_and_short_ones_are_not():
    files = [f"results/{i}.csv" for i in range(9)]
    one = record(
        input=files, output=files[:4], reason=f"Missing output files: {', '.join(files)}; Forced execution"
    )
    assert shorten(one) is one
    assert one.input == [*files[:3], "and 6 more"]
    assert one.output == files[:4]
    assert one.reason == f"Missing output files: {', '.join(files[:3])}, and 6 more; Forced execution"


def test_a_hit_with_a_mark_is_said_to_have_one(tmp_path):
    marks = {"Gene1": "", "Gene2": "this; and that", "Gene3": "this"}
    rows = [f"{gene},MES,gain,{mark}" for gene, mark in marks.items()]
    (tmp_path / "hits.csv").write_text("\n".join(["gene,fate,direction,marks", *rows, ""]))
    lines = summarise(tmp_path, "screen/main", "took 1 s")
    assert (
        "  the first: Gene1 (gain of MES), Gene2 (gain of MES; this; and that), Gene3 (gain of MES; this)"
        in lines
    )
    assert "  2 of them marked, see hit_support.csv: this (2), and that (1)" in lines
    (tmp_path / "hits.csv").write_text("gene,fate,direction\nGene1,MES,gain\n")
    assert not any("marked" in line for line in summarise(tmp_path, "screen/main", "took 1 s"))

"""Configs: keys, values, and what YAML makes of them."""

from tests.hostile.screen import PLAIN, Case

ENTRY = "datasets: {screen: {cells: cells.csv, guide_calls: calls.csv, guide_map: guides.csv}}\n"
MODEL = "model: {fates: [EC, MES, NEU]}\n"
SIMULATED = "datasets: {screen: {simulate: {%s}}}\n"


def text(lines):
    """The whole config as it stands."""
    return lambda s: s.text(lines)


def lines(more):
    """A right config, and more lines."""
    return lambda s: s.text(ENTRY + MODEL + more)


def simulated(keys):
    """A simulated screen with these keys."""
    return lambda s: s.text(SIMULATED % keys)


def keys(**sections):
    """Keys of the sections; ``entry`` of the data set."""
    return lambda s: s.config(**sections)


def named(**names):
    """Data sets and runs by other names."""
    sections = {"datasets": names.get("datasets", {"screen": PLAIN}), "runs": names.get("runs", {})}
    return lambda s: s.config(**sections)


def refused(name, spoil, *words, never=(), snakemake=False):
    return Case(name, "config", spoil, "refused", words, never, snakemake)


def right(name, spoil, stage="config"):
    return Case(name, stage, spoil, "right", never=("WARNING", "problem"))


# the file, before YAML
FILE = [
    refused("no config", lambda s: s.path("config.yaml").unlink(), "config.yaml", "no such file", "path"),
    refused(
        "config is a folder",
        lambda s: (s.path("config.yaml").unlink(), s.path("config.yaml").mkdir()),
        "config.yaml",
        "is a folder",
    ),
    refused("config is empty", text(""), "config.yaml", "is empty", "name at least your data sets"),
    refused("config holds comments alone", text("# nothing\n"), "is empty"),
    refused(
        "config in Latin-1",
        text(ENTRY.encode() + b"results_dir: caf\xe9\n"),
        "config.yaml: line 2 is not UTF-8 (byte 0xe9)",
        "save the file as UTF-8",
        snakemake=True,
    ),
    refused("config in UTF-16", text((ENTRY + MODEL).encode("utf-16")), "line 1 is not UTF-8"),
    refused("config is an image", text(b"\x89PNG\r\n\x1a\n\x00\x00"), "line 1 is not UTF-8"),
    refused(
        "config with a zero byte",
        text(ENTRY + "fit: {seed: 1\x00}\n"),
        "config.yaml: line 2",
        "special characters are not allowed",
        "take the character out",
    ),
    right("config with a byte order mark", text("\ufeff" + ENTRY + MODEL)),
    right("config with line ends of Windows", text((ENTRY + MODEL).replace("\n", "\r\n"))),
    right("config as JSON", text('{\n\t"datasets": {"screen": {"simulate": {"cells": 500}}}\n}')),
    refused(
        "a key twice in JSON",
        text('{"datasets": {"screen": {"simulate": {}}}, "fit": {}, "fit": {}}'),
        "key 'fit' occurs twice; delete one",
    ),
    right(
        "anchors and merged keys", lines("calls: &c {fdr: 0.1}\nruns:\n  a: {calls: {<<: *c, fdr: 0.2}}\n")
    ),
]

# what YAML makes of it
YAML = [
    refused(
        "a list at the top", text("- datasets\n- model\n"), "config.yaml", "['datasets', 'model'] at the top"
    ),
    refused(
        "no blank after a colon", text("datasets:x\n"), "found 'datasets:x' at the top", "colon and a blank"
    ),
    refused(
        "a section twice",
        lines("fit: {seed: 1}\nfit: {seed: 2}\n"),
        "config.yaml: 1 problem",
        "line 4: key 'fit' occurs twice, before in line 3; delete one",
        snakemake=True,
    ),
    refused(
        "a key twice in a section",
        lines("fit:\n  seed: 1\n  debug: true\n  seed: 2\n"),
        "line 6: key 'seed' occurs twice, before in line 4",
    ),
    refused(
        "a data set twice",
        text("datasets:\n  a: {simulate: {}}\n  a: {simulate: {seed: 2}}\n"),
        "line 3: key 'a' occurs twice",
    ),
    refused(
        "tabs as indentation",
        text("datasets:\n\tscreen: {simulate: {}}\n"),
        "line 2",
        "a tab at the start",
        "indent with blanks",
    ),
    refused(
        "a quote that is not closed",
        lines("results_dir: 'out\n"),
        "line 3",
        "a quote that is opened is closed",
    ),
    refused(
        "a bracket that is not closed",
        text(ENTRY + "model: {fates: [EC, MES}\nfit: {seed: 1}\n"),
        "line 2",
        "a bracket that is opened is closed",
    ),
    refused(
        "a colon in a text without quotes",
        lines("results_dir: out: new\n"),
        "line 3",
        "text that holds ': ' stands in quotes",
    ),
    refused("a backslash in double quotes", lines('data_dir: "C:\\data"\n'), "line 3", "take single quotes"),
    refused(
        "a star without quotes", lines("data_dir: *here\n"), "line 3", "begins with '*' stands in quotes"
    ),
    refused("a percent sign without quotes", lines("data_dir: %here\n"), "line 3", "stands in quotes"),
    refused("an exclamation mark without quotes", lines("data_dir: !here\n"), "line 3", "stands in quotes"),
    refused("two documents", lines("---\nfit: {seed: 1}\n"), "take out '---'"),
    refused(
        "keys of a section in two columns",
        text("datasets:\n  a:\n    simulate: {}\n   fit: {seed: 1}\n"),
        "line 4",
        "begin in the same column",
    ),
    refused("an anchor in itself", lines("calls: &c {a: *c}\n"), "line 3", "holds itself"),
    refused(
        "a thousand brackets", lines(f"data_dir: {'[' * 2000}{']' * 2000}\n"), "no key is nested as deep"
    ),
    refused(
        "a no-break space",
        text(ENTRY + "model:\n  fates: [EC, MES, NEU\u00a0]\n"),
        "line 3",
        "U+00A0",
        "plain blanks",
    ),
    refused(
        "curly quotes", text(ENTRY + "model: {fates: [“EC”, MES]}\n"), "line 2", "curly quote", "plain quotes"
    ),
    refused(
        "fates named NO and ON",
        text(ENTRY + "model: {fates: [NO, ON, EC]}\n"),
        "config.yaml: 2 problems",
        "line 2: NO is true or false to YAML",
        'put it in quotes: "NO"',
        '"ON"',
        snakemake=True,
    ),
    right("fates named NO and ON in quotes", text(ENTRY + 'model: {fates: ["NO", "ON", EC]}\n')),
    refused(
        "a fate named null",
        text(ENTRY + "model: {fates: [null, ~, EC]}\n"),
        "null is null (no value) to YAML",
        'put it in quotes: "~"',
    ),
    refused("a data set called on", text("datasets:\n  on: {simulate: {}}\n"), 'put it in quotes: "on"'),
    refused(
        "a data set called 1",
        text("datasets:\n  1: {simulate: {}}\n"),
        "datasets.1: found 1",
        'put it in quotes: "1"',
    ),
    refused(
        "a data set called 1e3", text("datasets:\n  1.0e+3: {simulate: {}}\n"), 'put it in quotes: "1.0e+3"'
    ),
    refused(
        "a run called by a date",
        lines("runs: {2024-01-01: {fit: {seed: 2}}}\n"),
        "line 3",
        "2024-01-01 is a date to YAML",
        'put it in quotes: "2024-01-01"',
    ),
    right("a run called by a date in quotes", lines('runs: {"2024-01-01": {fit: {seed: 2}}}\n')),
    refused("a date that there is not", lines("runs: {a: {fit: {seed: 2024-13-45}}}\n"), "is a date to YAML"),
    refused(
        "a column called by a date",
        lambda s: s.text(ENTRY.replace("}}", ", day_key: 2024-01-01}}") + MODEL),
        "line 1: 2024-01-01 is a date",
    ),
    refused(
        "an octal seed", lines("fit: {seed: 010}\n"), "line 3: 010 is octal to YAML, the number 8; write 8"
    ),
    refused("a number of base 60", lines("export: {draws: 12:30}\n"), "line 3: 12:30 is a number of base 60"),
    refused(
        "a time as a name",
        lambda s: s.text(ENTRY.replace("}}", ", day_key: 12:30}}") + MODEL),
        "base 60",
        'put it in quotes: "12:30"',
    ),
    refused("a number of 5000 digits", lines(f"fit: {{seed: {'1' * 5000}}}\n"), "a number of 5000 digits"),
    refused(
        "fates that are numbers",
        text(ENTRY + "model: {fates: [1, 2]}\n"),
        'model.fates.0: found 1; allowed: text; put it in quotes, "1"',
        "model.fates.1",
    ),
    refused("fates as one text", text(ENTRY + "model: {fates: EC, MES}\n"), "model.MES: unknown key"),
    refused(
        "fates without brackets",
        text(ENTRY + "model:\n  fates: EC, MES\n"),
        "model.fates: found 'EC, MES'; allowed: a list in brackets; write [EC, MES]",
    ),
    refused(
        "a column called no",
        lambda s: s.text(ENTRY.replace("}}", ", rep_key: no}}") + MODEL),
        "datasets.screen.rep_key: found false; allowed: text; YAML reads no, off and false as false",
    ),
    refused(
        "a path in braces",
        lines("results_dir: {out}\n"),
        "results_dir: found {'out': null}",
        "put text with brackets or braces in quotes",
    ),
    right("1e-6 for a number", lines("mash: {eigen_floor: 1e-6}\n")),
    refused(
        "1e4 for a whole number",
        lines("fit: {max_steps: 1e4}\n"),
        "fit.max_steps: found '1e4'; allowed: a whole number; write 10000",
    ),
    refused("a decimal comma", lines("calls: {fdr: '0,05'}\n"), "calls.fdr: found '0,05'", "write 0.05"),
]

# numbers and lists that no stage takes
VALUES = [
    refused(
        "an unknown key",
        keys(model={"rf_fate": "EC"}),
        "model.rf_fate: unknown key, did you mean 'ref_fate'?",
        snakemake=True,
    ),
    refused(
        "an unknown section and a wrong value",
        keys(modle={"fates": []}, fit={"device": "gpu"}),
        "2 problems",
        "modle: unknown key, did you mean 'model'?",
        "fit.device: found 'gpu'",
    ),
]

CASES = [*FILE, *YAML, *VALUES]

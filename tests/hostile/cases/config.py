"""Configs: keys, values, and what YAML makes of them."""

from tests.hostile.screen import Case

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


def simulated_twice(one, other):
    """Two simulated screens by these names."""
    return lambda s: s.text(f"datasets: {{{one}: {{simulate: {{}}}}, {other}: {{simulate: {{}}}}}}\n")


def refused(name, spoil, *words, never=(), snakemake=False):
    return Case(name, "config", spoil, "refused", words, never, snakemake)


def right(name, spoil, stage="config"):
    return Case(name, stage, spoil, "right", never=("problem",))


# what people write by hand, and what the message makes of it
WRITTEN_BY_HAND = [
    refused(
        "a list item without a blank after its dash",
        text(ENTRY + "model:\n  fates:\n    - EC\n    -MES\n    - NEU\n"),
        "line 6, column 5 is no YAML", "a blank is missing after the dash: write '- name'",
    ),
    refused(
        "a list whose dashes have no blank", text(ENTRY + "model:\n  fates:\n    -EC\n    -MES\n    -NEU\n"),
        "found '-EC -MES -NEU'; allowed: a list in brackets; write [EC, MES, NEU]",
    ),
    refused(
        "a list that a script wrote as text", text(ENTRY + "model: {fates: \"['EC', 'MES', 'NEU']\"}\n"),
        "allowed: a list in brackets; write [EC, MES, NEU]",
    ),
    refused(
        "a threshold with its sign", lines("design:\n  min_umi: >=3\n"),
        "text that begins with '>' or '|' must stand in quotes; a number stands without signs",
    ),
    refused(
        "a path of Windows in double quotes",
        text('datasets:\n  screen:\n    cells: "C:\\Users\\me\\cells.csv"\n' + MODEL),
        "line 3", "a backslash in double quotes begins a code: take single quotes",
    ),
    refused(
        "a section below datasets",
        text("datasets:\n  screen: {cells: cells.csv, guide_calls: calls.csv, guide_map: guides.csv}\n"
             "  model:\n    fates: [EC, MES, NEU]\n"),
        "datasets.model: found below datasets; let 'model:' begin its line, without blanks",
    ),
    refused(
        "keys beside the name of their data set",
        text("datasets:\n  screen:\n  cells: cells.csv\n  guide_calls: calls.csv\n" + MODEL),
        "datasets.cells: found 'cells.csv'; it is a key of a data set: give it more blanks than",
    ),
    refused(
        "a threshold of the other rule", lines("calls: {lfsr_day: 0.01}\n"),
        "calls.lfsr_day: found 0.01, which is read with rule lfsr alone; leave it out, or set that",
    ),
    Case(
        "no clusters, in the word of R", "import", keys(entry={"cluster_key": "NA"}), "refused",
        ("column 'NA' is missing", "Set cluster_key to one of them, or to null"),
    ),
    refused(
        "fates with typographic dashes",
        text(ENTRY + "model:\n  fates:\n    \u2013 EC\n    \u2013 MES\n    \u2013 NEU\n"),
        "allowed: a list in brackets; write [EC, MES, NEU]",
    ),
    refused(
        "fates in round brackets", text(ENTRY + "model: {fates: '(EC, MES, NEU)'}\n"),
        "allowed: a list in brackets; write [EC, MES, NEU]",
    ),
    refused(
        "fates without commas", text(ENTRY + "model: {fates: [EC MES NEU]}\n"),
        "found ['EC MES NEU']; allowed: a list of at least 2; write [EC, MES, NEU]",
    ),
    refused("two files", keys(entry={"cells": ["a.csv", "b.csv"]}), "text; give one, without brackets"),
    refused("none for an empty list", lines("design: {covariates: none}\n"), "write [] for none"),
    refused(
        "a name that is a number of base 16", text(ENTRY + "model: {fates: [0x1F, MES, NEU]}\n"),
        '0x1F is of base 16 or 2 to YAML, the number 31; write 31, or put it in quotes: "0x1F"',
    ),
    refused(
        "TOML", text('[datasets.screen]\ncells = "cells.csv"\n[model]\nfates = ["EC", "MES"]\n'),
        "looks like TOML, and a config is YAML", never=("document start",),
    ),
    refused(
        "marks of git", lines("<<<<<<< HEAD\nfit:\n  seed: 1\n=======\nfit:\n  seed: 2\n>>>>>>> other\n"),
        "marks of git", "keep one side and delete them", snakemake=True,
    ),
    refused(
        "a section with a capital", text((ENTRY + MODEL).replace("datasets", "Datasets")),
        "datasets: found 'Datasets' instead",
    ),
    refused(
        "a key of an entry at the top", lines("day_key: time\n"),
        "day_key: unknown key, it belongs to an entry of datasets",
    ),
    refused(
        "a key of an entry in a run", lines("runs: {b: {rep_key: null}}\n"),
        "runs.b.rep_key: unknown key, it belongs to an entry of datasets",
    ),
    refused("a prior in its section", text(ENTRY + "model: {s_tau: 1}\n"), "it belongs to model.priors"),
    refused(
        "a key of the other kind of entry", keys(entry={"fate_key": "x"}),
        "fate_key: unknown key, it belongs to entries with anndata", never=("did you mean",),
    ),
    refused("a batch", keys(entry={"batch_key": "rep"}), "batch_key: unknown key (did you mean 'rep_key'?)"),
    refused("a time", keys(entry={"time_key": "day"}), "time_key: unknown key (did you mean 'day_key'?)"),
    refused("controls", keys(entry={"ntc": ["NTC"]}), "ntc: unknown key (did you mean 'ntc_names'?)"),
    Case(
        "a file name that only looks the same", "import",
        lambda s: (
            s.path("cells.csv").rename(s.path("zellu\u0308.csv")), s.config(entry={"cells": "zell\u00fc.csv"})
        ),
        "refused", ("no such file (there is 'zellu\\u0308.csv', with other characters that look the same)",),
    ),
    Case(
        "a file name in another spelling", "import", keys(entry={"cells": "cell.csv"}), "refused",
        ("cell.csv: no such file (did you mean 'cells.csv'?)",),
    ),
]  # fmt: skip

# keys that say one thing and would do another
AGAINST_EACH_OTHER = [
    refused(
        "a rate that no run reads",
        keys(calls={"rule": "lfsr", "fdr": 0.01}),
        "calls.fdr: found 0.01, which is read with rule fdr alone; leave it out, or set that",
        snakemake=True,
    ),
    refused(
        "a rate of a correction that is not chosen",
        keys(calls={"rule": "lfsr", "anyday_fdr": 0.01}),
        "calls.anyday_fdr: found 0.01, which is read with rule lfsr and anyday_correction fdr alone",
    ),
    refused(
        "a correction of a rule that is not chosen",
        keys(calls={"anyday_correction": "none"}),
        "calls.anyday_correction: found 'none', which is read with rule lfsr alone",
    ),
    right(
        "a rate that one run reads", keys(calls={"fdr": 0.01}, runs={"by_day": {"calls": {"rule": "lfsr"}}})
    ),
    right("a default that no run reads", keys(calls={"rule": "lfsr", "fdr": 0.05})),
    refused(
        "a GPU for a fit on the CPU",
        keys(fit={"gpus": 1, "device": "cpu"}),
        "fit.gpus: found 1, but device is cpu; allowed: 0, or device auto or cuda",
    ),
]

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
        "a character that no text holds: take it out",
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
        "a quote is opened and not closed",
    ),
    refused(
        "a bracket that is not closed",
        text(ENTRY + "model: {fates: [EC, MES}\nfit: {seed: 1}\n"),
        "line 2",
        "a bracket is opened and not closed",
    ),
    refused(
        "a colon in a text without quotes",
        lines("results_dir: out: new\n"),
        "line 3",
        "text that holds ': ' must stand in quotes",
    ),
    refused("a backslash in double quotes", lines('data_dir: "C:\\data"\n'), "line 3", "take single quotes"),
    refused(
        "a star without quotes", lines("data_dir: *here\n"), "line 3", "begins with '*' must stand in quotes"
    ),
    refused("a percent sign without quotes", lines("data_dir: %here\n"), "line 3", "must stand in quotes"),
    refused(
        "an exclamation mark without quotes", lines("data_dir: !here\n"), "line 3", "must stand in quotes"
    ),
    refused("two documents", lines("---\nfit: {seed: 1}\n"), "take out '---'"),
    refused(
        "keys of a section in two columns",
        text("datasets:\n  a:\n    simulate: {}\n   fit: {seed: 1}\n"),
        "line 4",
        "must begin in the same column",
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
        'model.fates.0: found 1; allowed: text; put it in quotes: "1"',
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
        "put text with braces in quotes",
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
        "model.rf_fate: unknown key (did you mean 'ref_fate'?)",
        snakemake=True,
    ),
    refused(
        "an unknown section and wrong values",
        keys(modle={"fates": []}, fit={"device": "gpu"}),
        "2 problems",
        "modle: unknown key (did you mean 'model'?)",
        "fit.device: found 'gpu'",
    ),
    refused(
        "a wrong key of a data set and a wrong value",
        keys(entry={"dy_key": "x"}, fit={"seed": -1}),
        "2 problems",
        "datasets.screen.dy_key: unknown key (did you mean 'day_key'?)",
        "fit.seed: found -1; allowed: numbers of at least 0",
    ),
    refused("a comma in a number", lines("calls: {fdr: 0,05}\n"), "line 3: a comma in a number"),
    refused(
        "commas between thousands",
        lines("fit: {max_steps: '20,000'}\n"),
        "allowed: a whole number; write 20000",
    ),
    refused(
        "an empty column",
        keys(entry={"day_key": ""}),
        "datasets.screen.day_key: found ''; allowed: text that is not empty",
    ),
    refused(
        "an empty path",
        keys(entry={"cells": " "}),
        "datasets.screen.cells: found ' '; allowed: text that is not empty",
    ),
    refused(
        "a data set without keys",
        text("datasets:\n  screen:\n" + MODEL),
        "1 problem",
        "datasets.screen: found the keys (none)",
    ),
    refused(
        "a data set that is a list",
        text("datasets: {screen: [cells.csv]}\n" + MODEL),
        "1 problem",
        "datasets.screen: found ['cells.csv']",
    ),
    refused("no blank before a brace", lines("fit:{seed: 1}\n"), "a blank is missing after its colon"),
    refused(
        "a model that is a list", text(ENTRY + "model:\n- fates: [EC, MES]\n"), "1 problem", "model: found [{"
    ),
    refused(
        "fates of an ablation",
        text(SIMULATED % "cells: 500" + "ablation: {dataset: screen, simulate: {fates: [A, B]}}\n"),
        "1 problem",
        "ablation.simulate.fates: found A, B; allowed: those of model.fates",
    ),
    refused(
        "fates at the top",
        lines("fates: [EC, MES, NEU]\n"),
        "fates: unknown key, it belongs to section model",
    ),
    refused(
        "fates in the data set",
        keys(entry={"fates": ["EC", "MES"]}),
        "datasets.screen.fates",
        "belongs to section model",
    ),
    refused(
        "a key in another section",
        keys(fit={"draws": 400}),
        "fit.draws: unknown key, it belongs to section export",
    ),
    refused("a key in capitals", lines("FIT: {seed: 1}\n"), "FIT: unknown key (did you mean 'fit'?)"),
    refused(
        "a value in capitals", keys(fit={"device": "CUDA"}), "fit.device: found 'CUDA' (did you mean 'cuda'?)"
    ),
    refused(
        "a rate with a percent sign",
        keys(calls={"fdr": "5%"}),
        "calls.fdr: found '5%'; allowed: a number; write 0.05",
    ),
    refused(
        "two files for one",
        keys(entry={"cells": ["a.csv", "b.csv"]}),
        "datasets.screen.cells: found ['a.csv', 'b.csv']; allowed: text",
    ),
    refused(
        "data sets with dashes",
        text("datasets:\n  - screen: {simulate: {}}\n"),
        "datasets: found [",
        "allowed: names with their keys",
    ),
    refused("a comma too many", text(ENTRY + "model: {fates: [EC,, MES]}\n"), "line 2, column"),
    refused("an anchor that is not there", lines("fit: {<<: *nosuch}\n"), "line 3", "begins with '*'"),
    refused(
        "an infinite prior",
        keys(model={"priors": {"s_tau": float("inf")}}),
        "model.priors.s_tau: found .inf; allowed: a finite number",
    ),
    refused("a prior that is not a number", keys(model={"priors": {"s_tau": float("nan")}}), "found .nan"),
    refused(
        "a prior of zero",
        keys(model={"priors": {"s_tau": 0}}),
        "s_tau: found 0; allowed: numbers of at least 0.0001",
    ),
    refused(
        "a huge prior",
        keys(model={"priors": {"s_alpha": 1e300}}),
        "found 1e+300; allowed: numbers of at most 100",
    ),
    refused("an infinite factor", keys(mash={"se_inflate": float("inf")}), "mash.se_inflate: found .inf"),
    refused(
        "standard errors times 1e300",
        keys(mash={"se_inflate": 1e300}),
        "se_inflate",
        "allowed: numbers of at most 100",
    ),
    refused(
        "a floor above one of eigenvalues",
        keys(mash={"eigen_floor": 2}),
        "mash.eigen_floor: found 2; allowed: numbers of at most 1",
    ),
    refused(
        "an infinite null weight", keys(mash={"null_weight": float("inf")}), "mash.null_weight: found .inf"
    ),
    refused("no mode", keys(mash={"modes": []}), "mash.modes: found []; allowed: a list of at least 1"),
    refused("a mode twice", keys(mash={"modes": ["enriched", "enriched"]}), "mash.modes", "each mode once"),
    refused("an unknown mode", keys(mash={"modes": ["enrichd"]}), "mash.modes.0", "did you mean 'enriched'?"),
    refused(
        "engines that share no mode",
        keys(mash={"modes": ["enriched"], "compare_engines": True}),
        "mash.compare_engines: found true",
        "'conservative'",
    ),
    refused(
        "an infinite smallest effect",
        keys(calls={"effect_size_eps": float("inf")}),
        "calls.effect_size_eps: found .inf",
    ),
    refused("a rate of one", keys(calls={"fdr": 1}), "calls.fdr: found 1; allowed: numbers below 1"),
    refused("a rate in percent", keys(calls={"fdr": 5}), "calls.fdr: found 5; allowed: numbers below 1"),
    refused(
        "a scale that a source has not",
        keys(calls={"source": "joint", "scale": "fate"}),
        "calls.scale: found 'fate'",
        "source joint knows contrasts only",
    ),
    refused(
        "an estimand that a source has not",
        keys(calls={"source": "mash_posterior", "estimand": "gene"}),
        "calls.estimand: found 'gene'",
    ),
    refused(
        "a wrong source and a wrong rate",
        keys(calls={"source": "joint", "scale": "fates", "fdr": 2}),
        "2 problems",
    ),
    refused(
        "a seed beyond 63 bits",
        keys(fit={"seed": 2**63}),
        "fit.seed: found 9223372036854775808; allowed: numbers of at most",
    ),
    refused(
        "a seed beyond 64 bits",
        keys(fit={"seed": 2**80}),
        "fit.seed: found 1208925819614629174706176",
        "at most 9223372036854775807",
    ),
    right("the largest seed", keys(fit={"seed": 2**63 - 1})),
    refused("a seed that is true", lines("fit: {seed: yes}\n"), "fit.seed: found true; allowed: a number"),
    refused(
        "threads that are true", keys(fit={"threads": True}), "fit.threads: found true; allowed: a number"
    ),
    right("a whole number with a point", keys(fit={"threads": 2.0})),
    right("a switch that says no", lines("fit: {debug: no}\n")),
    refused("a switch that is two", keys(fit={"debug": 2}), "fit.debug: found 2; allowed: true or false"),
    refused("half a thread", keys(fit={"threads": 0.5}), "fit.threads: found 0.5; allowed: a whole number"),
    refused("no thread", keys(fit={"threads": 0}), "fit.threads: found 0; allowed: numbers above 0"),
    refused("more GPUs than one", keys(fit={"gpus": 4}), "fit.gpus: found 4; allowed: 0 | 1"),
    refused(
        "too few draws", keys(export={"draws": 1}), "export.draws: found 1; allowed: numbers of at least 100"
    ),
    refused("draws that fill a disk", keys(export={"draws": 10**12}), "export.draws", "at most 1000000"),
    refused(
        "a tolerance above its limit", keys(design={"prob_tolerance": 1}), "design.prob_tolerance: found 1"
    ),
    refused("no UMI", keys(design={"min_umi": 0}), "design.min_umi: found 0; allowed: numbers of at least 1"),
    refused(
        "half an UMI", keys(design={"min_umi": 1.5}), "design.min_umi: found 1.5; allowed: a whole number"
    ),
    refused(
        "a covariate that no data set carries",
        keys(design={"covariates": ["batch"]}),
        "design.covariates: found 'batch', which datasets.screen does not carry",
        "datasets.screen.covariates",
    ),
    refused(
        "a covariate twice", keys(entry={"covariates": ["batch", "batch"]}), "found 'batch' twice; delete one"
    ),
    right("covariates that differ by case", keys(entry={"covariates": ["S", "s"]})),
    refused("a covariate that the model has", keys(entry={"covariates": ["day"]}), "'day' is a column"),
    refused("a value of no kind", keys(fit={"seed": None}), "fit.seed: found null", "leave the key out"),
    right("a section without keys", lines("fit:\nmash:\n")),
    refused("a section that is a number", lines("fit: 3\n"), "fit: found 3; allowed: keys with values"),
    refused(
        "a section that is a list",
        lines("calls: [fdr, 0.1]\n"),
        "calls: found ['fdr', 0.1]; allowed: keys with values",
    ),
    refused(
        "priors that are a number",
        keys(model={"priors": 3}),
        "model.priors: found 3; allowed: keys with values",
    ),
    refused("a run that is a number", lines("runs: {a: 3}\n"), "runs.a: found 3; allowed: keys with values"),
    refused(
        "a weight that is no number",
        keys(fit={"likelihood_weight": "auot"}),
        "1 problem",
        "found 'auot' (did you mean 'auto'?); allowed: auto, or a number",
    ),
    refused(
        "a weight below zero",
        keys(fit={"likelihood_weight": -1}),
        "1 problem",
        "allowed: auto, or numbers of at least 0.0001",
    ),
    refused(
        "a weight that is a list",
        keys(fit={"likelihood_weight": [1]}),
        "1 problem",
        "allowed: auto, or a number",
    ),
    refused("a key of before", keys(fit={"guide": "structured"}), "fit.guide: is called fit.family now"),
]

# fates and what rests on them
FATES = [
    refused(
        "no fates", text(ENTRY), "model.fates: missing", "'EC', 'MES', 'NEU'", "write fates: [EC, MES, NEU]"
    ),
    refused(
        "no fates and no data",
        lambda s: (s.text(ENTRY), s.path("cells.csv").unlink()),
        "model.fates: missing; name the fates of the data",
    ),
    right("no fates of a simulated screen", simulated("cells: 500")),
    right("fates of the data set alone", text(ENTRY.replace("}}", ", model: {fates: [EC, MES, NEU]}}}"))),
    refused(
        "one fate", keys(model={"fates": ["EC"]}), "model.fates: found ['EC']; allowed: a list of at least 2"
    ),
    refused(
        "a fate twice",
        keys(model={"fates": ["EC", "EC", "MES"]}),
        "model.fates: found 'EC' twice; delete one",
    ),
    refused(
        "fates that differ by case", keys(model={"fates": ["EC", "Ec"]}), "'EC' and 'Ec', one name to the eye"
    ),
    refused("fates that differ by a dash", keys(model={"fates": ["EC 1", "EC_1"]}), "'EC 1' and 'EC_1'"),
    refused(
        "fates that differ by composition",
        keys(model={"fates": ["n\u00e9", "ne\u0301"]}),
        "one name to the eye",
    ),
    right("fates that differ by a sign", keys(model={"fates": ["CD4", "CD4-", "CD4+"]})),
    refused(
        "a blank after a fate",
        keys(model={"fates": ["EC ", "MES"]}),
        "model.fates: found 'EC '",
        "without blanks",
    ),
    refused("a fate without a name", keys(model={"fates": ["", "MES"]}), "model.fates: found ''"),
    refused(
        "a slash in a fate", keys(model={"fates": ["EC/MES", "NEU"]}), "'EC/MES' cannot be a folder's name"
    ),
    refused(
        "a fate of 300 letters",
        keys(model={"fates": ["E" * 300, "NEU"]}),
        "a name of 300 letters; allowed: at most 100",
    ),
    refused(
        "an unknown reference",
        keys(model={"ref_fate": "ec"}),
        "model.ref_fate: found 'ec'; allowed: EC, MES, NEU",
    ),
    refused(
        "the reference as contrast",
        keys(model={"contrast_fate": "EC"}),
        "which is the reference; allowed: MES, NEU",
    ),
]

# paths, and names of folders
PLACES = [
    refused(
        "a tilde in a data file",
        keys(entry={"cells": "~/cells.csv"}),
        "datasets.screen.cells",
        "'~' is not replaced: write /",
    ),
    refused(
        "a tilde in the results",
        lines("results_dir: ~/out\n"),
        "results_dir: found '~/out'",
        "'~' is not replaced: write /",
        snakemake=True,
    ),
    refused(
        "a variable in the results",
        lines("results_dir: $HOME/out\n"),
        "results_dir: found '$HOME/out'",
        "variables are not replaced: write /",
    ),
    refused(
        "braces in the results", lines("results_dir: 'out/{sample}'\n"), "braces are wildcards to Snakemake"
    ),
    refused(
        "a URL as a data file", keys(entry={"cells": "https://example.org/cells.csv"}), "download the file"
    ),
    refused(
        "a bucket as a data file", keys(entry={"guide_map": "s3://bucket/guides.csv"}), "download the file"
    ),
    refused(
        "a bucket for the results",
        lines("results_dir: s3://bucket/out\n"),
        "allowed: a folder of this machine",
    ),
    refused("a blank after a path", keys(entry={"cells": "cells.csv "}), "with a blank at its end"),
    refused("a blank after the results", lines("results_dir: 'out '\n"), "with a blank at its end"),
    refused("backslashes in a path", lines("results_dir: C:\\out\n"), "write '/' between folders"),
    refused(
        "a tab in a path",
        lines('results_dir: "out\\table"\n'),
        "with a tab or a line break in it; take it out",
    ),
    refused(
        "the results are a file",
        lambda s: s.text(ENTRY + MODEL + f"results_dir: {s.path('cells.csv')}\n"),
        "cells.csv is a file: name a folder",
    ),
    refused(
        "the results are below a file",
        lambda s: s.text(ENTRY + MODEL + f"results_dir: {s.path('cells.csv')}/out\n"),
        "is a file: name a folder",
    ),
    refused(
        "data_dir is a file",
        lambda s: s.text(ENTRY + MODEL + f"data_dir: {s.path('cells.csv')}\n"),
        "data_dir",
        "is a file: name a folder",
    ),
    refused(
        "a folder as a data file",
        lambda s: (s.path("sub").mkdir(), s.config(entry={"cells": "sub"})),
        "datasets.screen.cells",
        "it is a folder: name the file in it",
    ),
    refused(
        "an empty path of results",
        lines("results_dir: ''\n"),
        "results_dir: found ''; allowed: text that is not empty",
    ),
    refused(
        "a path that is a number",
        keys(entry={"cells": 3}),
        'datasets.screen.cells: found 3; allowed: text; put it in quotes: "3"',
    ),
    refused(
        "a path that is missing",
        text("datasets: {screen: {cells: cells.csv, guide_map: g.csv}}\n" + MODEL),
        "datasets.screen.guide_calls: missing, and it has no default",
    ),
    refused(
        "two kinds of data set",
        keys(entry={"simulate": {}}),
        "found simulate and cells; allowed: exactly one of the keys",
    ),
    refused(
        "data sets that differ by case", simulated_twice("Demo", "demo"), "differs from 'Demo' by case only"
    ),
    refused(
        "a data set that Windows reserves", simulated_twice("con", "b"), "'con' cannot be a folder on Windows"
    ),
    refused("a data set with a blank", simulated_twice("my screen", "b"), "'my screen' cannot be a folder"),
    refused("a data set with an umlaut", simulated_twice("gehölz", "b"), "'gehölz' cannot be a folder"),
    refused("a data set that ends in a point", simulated_twice("a.", "b"), "no '.' last"),
    refused(
        "a data set of 300 letters",
        simulated_twice("a" * 300, "b"),
        "a name of 300 letters; allowed: at most 100",
    ),
    refused("a data set called logs", simulated_twice("Logs", "b"), "and not ablation, benchmarks, logs"),
    refused("a run called main", lines("runs: {main: {}}\n"), "runs.main: 'main' cannot be a folder"),
    refused(
        "runs that differ by case", lines("runs: {a: {}, A: {}}\n"), "runs.A: differs from 'a' by case only"
    ),
    refused(
        "runs of two places that differ by case",
        text(ENTRY.replace("}}", ", runs: {A: {}}}}") + MODEL + "runs: {a: {}}\n"),
        "datasets.screen.runs.A: differs from 'a' by case only",
    ),
    refused("no data set", text(MODEL), "datasets: found nothing; allowed: names with their keys"),
    refused("data sets as a list", text("datasets: [a, b]\n" + MODEL), "datasets: found ['a', 'b']"),
]

# a screen that is simulated
SIMULATION = [
    refused(
        "a screen beyond all memory",
        simulated(f"cells: {10**12}"),
        "simulate.cells: found 1000000000000; allowed: numbers of at most",
    ),
    refused(
        "cells in scientific notation",
        simulated("cells: 1e4"),
        "found '1e4'; allowed: a whole number; write 10000",
    ),
    refused(
        "a size below zero", simulated("cells: -5"), "simulate.cells: found -5; allowed: numbers above 0"
    ),
    refused("an infinite MOI", simulated("moi: .inf"), "simulate.moi: found .inf; allowed: a finite number"),
    refused("an infinite day", simulated("days: [0, .inf]"), "simulate.days.1: found .inf"),
    refused(
        "days that descend", simulated("days: [2, 0]"), "simulate.days: found [2.0, 0.0]; allowed: ascending"
    ),
    refused("no day", simulated("days: []"), "simulate.days: found []; allowed: a list of at least 1"),
    refused(
        "days as one text",
        simulated("days: '0, 2'"),
        "simulate.days: found '0, 2'; allowed: a list in brackets",
    ),
    refused(
        "a concentration below zero",
        simulated("concentration: -1"),
        "1 problem",
        "concentration: found -1; allowed: numbers of at least 0.001",
    ),
    refused(
        "a list of concentrations with one wrong",
        simulated("concentration: [1, x, 1, 1]"),
        "1 problem",
        "concentration.1: found 'x'; allowed: a number",
    ),
    refused(
        "guides that are a text",
        simulated("guides_per_gene: many"),
        "1 problem",
        "guides_per_gene: found 'many'; allowed: a whole number, or keys with values",
    ),
    refused("guides of no number", simulated("guides_per_gene: {0: 1}"), "1 problem", "guides_per_gene.0"),
    refused(
        "an effect size of one number",
        simulated("effect_size: [1]"),
        "effect_size: found [1]; allowed: a list of 2",
    ),
    refused(
        "an effect size that is a number",
        simulated("effect_size: 1"),
        "effect_size: found 1; allowed: a list in brackets",
    ),
    refused(
        "effect sizes the wrong way round", simulated("effect_size: [2, 1]"), "allowed: [smallest, largest]"
    ),
    refused(
        "an unknown pattern", simulated("effect_patterns: {erly: 1}"), "found 'erly' (did you mean 'early'?)"
    ),
    refused("patterns without any weight", simulated("effect_patterns: {early: 0}"), "a weight above 0"),
    refused(
        "more active genes than genes",
        simulated("genes: 3, active_genes: 9"),
        "active_genes: found 9; allowed: at most genes (3)",
    ),
    refused("shares of other fates", simulated("fate_shares: [1, 2]"), "fate_shares: found 2 values"),
    refused(
        "an ablation of a million screens",
        text(SIMULATED % "cells: 500" + f"ablation: {{dataset: screen, seeds: {10**6}}}\n"),
        "ablation.seeds: found 1000000; allowed: numbers of at most 1000",
    ),
    refused(
        "an ablation of no data set",
        text(SIMULATED % "cells: 500" + "ablation: {dataset: nosuch}\n"),
        "ablation.dataset: found 'nosuch'",
    ),
]

CASES = [*AGAINST_EACH_OTHER, *WRITTEN_BY_HAND, *FILE, *YAML, *VALUES, *FATES, *PLACES, *SIMULATION]

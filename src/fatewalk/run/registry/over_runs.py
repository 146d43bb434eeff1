"""Runs of a data set side by side."""

from fatewalk.run.registry.entries import Column, File

FILES = (
    File(
        "sweep.csv",
        stage="tabulate_sweep",
        where="over_runs",
        text="The runs of a sweep beside run main: hits, effects and, where the truth is known, recovery.",
        columns=(
            Column("run", "name of the run, key and value; the first row is `main`"),
            Column("key, value", "what differs from run main; empty for `main`"),
            Column("fit", "folder of the fit; runs whose key does not touch the fit share that of main"),
            Column("hits", "rows of `hits.csv`, or of `hits_withheld.csv`: gene and fate"),
            Column("shared, gained, lost", "hits that main has too; that it has not; that it alone has"),
            Column(
                "effect_rms, effect_max",
                "root mean square, and largest, change of `mash_mean` of genes from main, all fates and days",
                unit="logit",
            ),
            Column(
                "tp, fp, fn, precision, recall, f1",
                "calls by contrast and day against the truth, all contrasts together, as in "
                "`daywise_confusion.csv`; empty without a truth",
            ),
            Column("rmse, coverage95", "estimates against the truth, as in `recovery_by_day.csv`"),
        ),
    ),
    File(
        "sweep_hits.csv",
        stage="tabulate_sweep",
        where="over_runs",
        text="Which hit is called in which runs of the sweep.",
        columns=(
            Column("gene, fate", "names; a contrast where `calls.scale` is contrast"),
            Column("called_in, runs", "runs that call it, of how many"),
            Column("not_in", "the runs that do not"),
        ),
    ),
    File(
        "compare_labels.csv",
        stage="compare_labels",
        where="over_runs",
        text="Label sets (several `fate_key`): the range of each effect, and calls that hang on one of them.",
        columns=(
            Column("gene, fate, day", "names"),
            Column("sets", "label sets that have the effect"),
            Column("lowest, highest, range", "of `mash_mean` over the label sets", unit="logit"),
            Column("range_unshrunk", "of `estimate`", unit="logit"),
            Column(
                "called_in, called_by", "label sets in which gene and fate are a hit: how many, and which"
            ),
            Column("mark", "`hangs on one label set`: a hit in one label set alone; else empty"),
        ),
    ),
)

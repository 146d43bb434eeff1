# Runs of a data set side by side: the sweep of keys (target all_sweep), and label sets.


rule tabulate_sweep:
    input:
        hits=lambda w: of_sweep(w, "rank_hits"),
        recovery=lambda w: (
            of_sweep(w, "evaluate_recovery") if w.dataset in SIMULATED else []
        ),
    output:
        **files_in(OVER_RUNS, "tabulate_sweep", "over_runs"),
    log:
        f"{RESULTS}/logs/tabulate_sweep/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/tabulate_sweep/{{dataset}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(1500),
        runtime=minutes(15),
    params:
        swept={run: [one.key, one.shown] for run, one in CONFIG.sweep.items()},
        stage_version=STAGE_VERSION["tabulate_sweep"],
    message:
        "Runs of the sweep of {wildcards.dataset} side by side"
    script:
        "../../scripts/tabulate_sweep.py"


rule compare_labels:
    input:
        hits=lambda w: [
            f"{RESULTS}/{w.dataset}/{run}/hits.csv" for run in label_sets(w)
        ],
        effects=lambda w: [
            f"{RESULTS}/{w.dataset}/{run}/effects.parquet" for run in label_sets(w)
        ],
    output:
        **files_in(OVER_RUNS, "compare_labels", "over_runs"),
    log:
        f"{RESULTS}/logs/compare_labels/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/compare_labels/{{dataset}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(1500),
        runtime=minutes(15),
    params:
        runs=lambda w: label_sets(w),
        stage_version=STAGE_VERSION["compare_labels"],
    message:
        "Label sets of {wildcards.dataset} side by side"
    script:
        "../../scripts/compare_labels.py"

# Runs of a data set side by side: the sweep of keys (target all_sweep).


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

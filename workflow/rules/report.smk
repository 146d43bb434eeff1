# The page of a run, from finished tables, and one that compares the runs.
for kind in KINDS.values():

    rule:
        name:
            kind.name("write_report")
        input:
            hits=list(kind.at_top("rank_hits").values()),
            change=f"{RUN}/fate_probability_change.csv",
            delta=f"{RUN}/delta_posterior_summary.npz",
            verdict=f"{RUN}/verdict.json",
            certificate=f"{RUN}/certificate.json",
            card=f"{RUN}/fit_card.json",
            trace=f"{RUN}/fit_trace.csv",
            report=f"{RUN}/design_report.json",
            cells=f"{INPUT}/cells.parquet",
            recovery=held_against_truth(kind),
        output:
            **kind.at_top("write_report"),
        log:
            f"{RESULTS}/logs/write_report/{{dataset}}/{{run}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/write_report/{{dataset}}/{{run}}.tsv"
        wildcard_constraints:
            dataset=kind.datasets(),
        conda:
            ENVIRONMENT
        resources:
            mem_mb=memory(2000, per_input_mb=20),
            runtime=minutes(15),
        params:
            settings=read_by("write_report"),
            contrasts=contrasts,
            stage_version=STAGE_VERSION["write_report"],
        message:
            "Write the page of {wildcards.dataset} (run {wildcards.run})"
        script:
            "../../scripts/write_report.py"


rule write_index:
    input:
        pages=made_by("write_report"),
    output:
        **files_in(RESULTS, "write_index", "results"),
    log:
        f"{RESULTS}/logs/write_index.log",
    benchmark:
        f"{RESULTS}/benchmarks/write_index.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(1000),
        runtime=minutes(15),
    params:
        stage_version=STAGE_VERSION["write_index"],
    message:
        "Write the page that compares the runs"
    script:
        "../../scripts/write_index.py"

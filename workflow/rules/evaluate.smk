# Where the truth is known: calls and estimates against it.


rule evaluate_recovery:
    input:
        hits=f"{CONTRAST}/hits_ranked.csv",
        gene=f"{CONTRAST}/gene_daywise_for_mash.csv",
        truth=f"{INPUT}/truth_theta.csv",
    output:
        confusion=f"{CONTRAST}/daywise_confusion.csv",
        recovery=f"{CONTRAST}/recovery_by_day.csv",
        summary=f"{CONTRAST}/pred_call_summary.json",
    log:
        f"{RESULTS}/logs/evaluate_recovery/{{dataset}}/{{run}}/{{contrast}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_recovery/{{dataset}}/{{run}}/{{contrast}}.tsv"
    wildcard_constraints:
        dataset=one_of(SIMULATED),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(1500, per_input_mb=100),
        runtime=minutes(15),
    params:
        calls=keys("calls"),
        reference=lambda w: settings(w).model.reference,
        stage_version=STAGE_VERSION["evaluate_recovery"],
    message:
        "Hold calls against the truth: {wildcards.dataset} (run {wildcards.run}), {wildcards.contrast}"
    script:
        "../../scripts/evaluate_recovery.py"


rule tabulate_ablation:
    input:
        confusion=of_ablation("daywise_confusion.csv"),
        recovery=of_ablation("recovery_by_day.csv"),
        offset=of_ablation("qc_theta_beta_offset_by_gene.csv"),
    output:
        table=f"{RESULTS}/ablation/ablation.csv",
        figure=report(
            f"{RESULTS}/ablation/ablation.png",
            caption="../report/ablation.rst",
            category="Ablation",
            labels={"figure": "centred against uncentred"},
        ),
        pdf=f"{RESULTS}/ablation/ablation.pdf",
    log:
        f"{RESULTS}/logs/tabulate_ablation.log",
    benchmark:
        f"{RESULTS}/benchmarks/tabulate_ablation.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(1500),
        runtime=minutes(15),
    params:
        datasets=CONFIG.ablation_datasets,
        stage_version=STAGE_VERSION["tabulate_ablation"],
    message:
        "Centred against uncentred over {params.datasets}"
    script:
        "../../scripts/tabulate_ablation.py"

# Where the truth is known: calls and estimates against it.
for kind in KINDS.values():

    rule:
        name:
            kind.name("evaluate_recovery")
        input:
            tables=kind.in_contrasts(["hits_ranked.csv", "gene_daywise_for_mash.csv"]),
            truth=f"{INPUT}/truth_theta.csv",
            report=f"{RUN}/design_report.json",
        output:
            **kind.outputs("evaluate_recovery"),
            figures=[figure(name) for name in kind.figures("evaluate_recovery")],
            vectors=vectors(kind.figures("evaluate_recovery")),
        log:
            f"{RESULTS}/logs/evaluate_recovery/{{dataset}}/{{run}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/evaluate_recovery/{{dataset}}/{{run}}.tsv"
        wildcard_constraints:
            dataset=kind.datasets(SIMULATED),
        conda:
            ENVIRONMENT
        resources:
            mem_mb=memory(2000, per_input_mb=60),
            runtime=minutes(15),
        params:
            settings=read_by("evaluate_recovery"),
            contrasts=contrasts,
            stage_version=STAGE_VERSION["evaluate_recovery"],
        message:
            "Hold calls against the truth: {wildcards.dataset} (run {wildcards.run})"
        script:
            "../../scripts/evaluate_recovery.py"


rule tabulate_ablation:
    input:
        confusion=of_ablation("daywise_confusion.csv"),
        recovery=of_ablation("recovery_by_day.csv"),
        offset=of_ablation("qc_theta_beta_offset_by_gene.csv"),
    output:
        **files_in(ABLATION, "tabulate_ablation", "ablation"),
        figures=[
            report(
                f"{ABLATION}/{name}.png",
                caption=f"../report/{name}.rst",
                category=CATEGORY[name],
                labels={"figure": "centred against uncentred"},
            )
            for name in layout.figures_of("tabulate_ablation", 1)
        ],
        vectors=vectors(layout.figures_of("tabulate_ablation", 1), ABLATION),
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

# Tables to index tensors: checked, counted, cached.


rule build_design:
    input:
        cells=f"{INPUT}/cells.parquet",
        guide_calls=f"{INPUT}/guide_calls.parquet",
        guide_map=f"{INPUT}/guide_map.csv",
    output:
        design=f"{RUN}/design/design.pt",
        guide_to_gene=f"{RUN}/design/guide_to_gene.parquet",
        n_guides_per_gene=f"{RUN}/design/n_guides_per_gene.parquet",
        gene_offsets=f"{RUN}/design/gene_offsets.parquet",
        guides_by_gene=f"{RUN}/design/guides_by_gene.parquet",
        cells=f"{RUN}/design/cells.parquet",
        report=f"{RUN}/design_report.json",
    log:
        f"{RESULTS}/logs/build_design/{{dataset}}/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/build_design/{{dataset}}/{{run}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(3000, per_input_mb=40),
        runtime=minutes(30),
    params:
        design=keys("design"),
        fates=lambda w: settings(w).model.fate_order,
        stage_version=STAGE_VERSION["build_design"],
    message:
        "Check and index the screen {wildcards.dataset} (run {wildcards.run})"
    script:
        "../../scripts/build_design.py"

# Figures, as PNG, PDF and SVG; the PNGs go into the report.
for kind in KINDS.values():

    rule:
        name:
            kind.name("plot_figures")
        input:
            tables=kind.in_contrasts(["hits_ranked.csv", "gene_daywise_for_mash.csv"]),
            guides=lambda w: f"{RUN}/contrast={settings(w).model.contrast}/guide_daywise_for_mash.csv",
            delta=f"{RUN}/delta_posterior_summary.npz",
            fates=f"{RUN}/shrunk_fates_gene.npz",
            hits=f"{RUN}/hits.csv",
            effects=f"{RUN}/effects.parquet",
            report=f"{RUN}/design_report.json",
            certificate=[
                f"{RUN}/certificate{end}"
                for end in (".json", "_z.csv", "_planted.csv")
            ],
        output:
            figures=[figure(name) for name in kind.figures("plot_figures")],
            vectors=vectors(kind.figures("plot_figures")),
        log:
            f"{RESULTS}/logs/plot_figures/{{dataset}}/{{run}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/plot_figures/{{dataset}}/{{run}}.tsv"
        wildcard_constraints:
            dataset=kind.datasets(),
        conda:
            ENVIRONMENT
        resources:
            mem_mb=memory(2000, per_input_mb=60),
            runtime=minutes(30),
        params:
            settings=read_by("plot_figures"),
            contrasts=contrasts,
            stage_version=STAGE_VERSION["plot_figures"],
        message:
            "Plot the effects of {wildcards.dataset} (run {wildcards.run})"
        script:
            "../../scripts/plot_figures.py"


# The full set of any contrast: target all_figures.
rule plot_contrast:
    input:
        hits=f"{CONTRAST}/hits_ranked.csv",
        gene=f"{CONTRAST}/gene_daywise_for_mash.csv",
        guide=f"{CONTRAST}/guide_daywise_for_mash.csv",
        delta=f"{RUN}/delta_posterior_summary.npz",
        report=f"{RUN}/design_report.json",
    output:
        figures=[
            figure(name, f"{CONTRAST}/figures", "{contrast}")
            for name in CONTRAST_FIGURES
        ],
        vectors=vectors(CONTRAST_FIGURES, f"{CONTRAST}/figures"),
    log:
        f"{RESULTS}/logs/plot_contrast/{{dataset}}/{{run}}/{{contrast}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/plot_contrast/{{dataset}}/{{run}}/{{contrast}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(2000, per_input_mb=60),
        runtime=minutes(15),
    params:
        settings=read_by("plot_figures"),
        contrasts=contrasts,
        stage_version=STAGE_VERSION["plot_contrast"],
    message:
        "Plot the effects of {wildcards.dataset} (run {wildcards.run}): {wildcards.contrast}"
    script:
        "../../scripts/plot_contrast.py"

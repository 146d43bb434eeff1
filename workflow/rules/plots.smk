# Figures, PNG and PDF; the PNGs go into the report.


rule plot_convergence:
    input:
        trace=f"{RUN}/fit_trace.csv",
        card=f"{RUN}/fit_card.json",
    output:
        png=report(
            f"{RUN}/plots/convergence.png",
            caption="../report/convergence.rst",
            category="Fit",
            subcategory="{dataset}, run {run}",
            labels={"contrast": "all", "figure": "convergence"},
        ),
        pdf=f"{RUN}/plots/convergence.pdf",
    log:
        f"{RESULTS}/logs/plot_convergence/{{dataset}}/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/plot_convergence/{{dataset}}/{{run}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(1500),
        runtime=minutes(15),
    params:
        stage_version=STAGE_VERSION["plots"],
    message:
        "Plot the convergence of {wildcards.dataset} (run {wildcards.run})"
    script:
        "../../scripts/plot_convergence.py"


rule plot_effects:
    input:
        hits=f"{CONTRAST}/hits_ranked.csv",
        gene=f"{CONTRAST}/gene_daywise_for_mash.csv",
        guide=f"{CONTRAST}/guide_daywise_for_mash.csv",
        delta=f"{RUN}/delta_posterior_summary.npz",
        report=f"{RUN}/design_report.json",
    output:
        heatmap=figure("heatmap", "Effects"),
        trajectories=figure("trajectories", "Effects"),
        volcano=figure("volcano", "Effects"),
        delta=figure("delta", "Guides"),
        pdfs=expand(
            f"{CONTRAST}/plots/{{figure}}.pdf",
            figure=["heatmap", "trajectories", "volcano", "delta"],
            allow_missing=True,
        ),
    log:
        f"{RESULTS}/logs/plot_effects/{{dataset}}/{{run}}/{{contrast}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/plot_effects/{{dataset}}/{{run}}/{{contrast}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(2000, per_input_mb=100),
        runtime=minutes(15),
    params:
        calls=keys("calls", "effect_size_eps", "lfsr_day"),
        reference=lambda w: settings(w).model.reference,
        stage_version=STAGE_VERSION["plots"],
    message:
        "Plot the effects of {wildcards.dataset} (run {wildcards.run}): {wildcards.contrast}"
    script:
        "../../scripts/plot_effects.py"


rule plot_recovery:
    input:
        gene=f"{CONTRAST}/gene_daywise_for_mash.csv",
        truth=f"{INPUT}/truth_theta.csv",
        report=f"{RUN}/design_report.json",
    output:
        png=figure("recovery", "Against the truth"),
        pdf=f"{CONTRAST}/plots/recovery.pdf",
    log:
        f"{RESULTS}/logs/plot_recovery/{{dataset}}/{{run}}/{{contrast}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/plot_recovery/{{dataset}}/{{run}}/{{contrast}}.tsv"
    wildcard_constraints:
        dataset=one_of(SIMULATED),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(1500),
        runtime=minutes(15),
    params:
        eps=lambda w: settings(w).calls.effect_size_eps,
        reference=lambda w: settings(w).model.reference,
        stage_version=STAGE_VERSION["plots"],
    message:
        "Plot estimates against the truth: {wildcards.dataset} (run {wildcards.run}), {wildcards.contrast}"
    script:
        "../../scripts/plot_recovery.py"

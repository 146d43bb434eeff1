# Target all_bootstrap: refits of designs that are drawn again, many in a job, each from the mode of the fit.


rule refit_draws:
    input:
        posterior=f"{FIT}/posterior.pt",
        design=design_of_fit,
    output:
        **files_in(REFITS, "refit_draws", "refits"),
    log:
        f"{RESULTS}/logs/refit_draws/{{dataset}}/{{fit}}_{{unit}}_{{batch}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/refit_draws/{{dataset}}/{{fit}}_{{unit}}_{{batch}}.tsv"
    conda:
        ENVIRONMENT
    threads: lambda w: CONFIG.settings_of_fit(w.dataset, w.fit).fit.threads
    resources:
        mem_mb=memory(4000, per_input_mb=15),
        runtime=minutes(120),
    params:
        numbers=lambda w: CONFIG.resample.numbers(int(w.batch)),
        seed=lambda w: CONFIG.settings_of_fit(w.dataset, w.fit).fit.seed,
        stage_version=STAGE_VERSION["refit_draws"],
    message:
        "Refit {wildcards.dataset} (fit {wildcards.fit}) on draws of {wildcards.unit}, batch {wildcards.batch}"
    script:
        "../../scripts/refit_draws.py"


rule tabulate_bootstrap:
    input:
        refits=refits_of_run,
        hits=f"{RUN}/hits.csv",
        effects=f"{RUN}/effects.parquet",
        genes=f"{RUN}/shrunk_fates_gene.npz",
        evidence=f"{RUN}/evidence.npz",
    output:
        **named(f"{RUN}/{name}" for name in layout.at_top("tabulate_bootstrap")),
    log:
        f"{RESULTS}/logs/tabulate_bootstrap/{{dataset}}/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/tabulate_bootstrap/{{dataset}}/{{run}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(2500, per_input_mb=10),
        runtime=minutes(60),
    params:
        unit=CONFIG.resample.unit,
        settings=read_by("rank_hits"),
        contrasts=contrasts,
        stage_version=STAGE_VERSION["tabulate_bootstrap"],
    message:
        "Spread over refits of {wildcards.dataset} (run {wildcards.run})"
    script:
        "../../scripts/tabulate_bootstrap.py"

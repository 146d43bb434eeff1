# Multivariate adaptive shrinkage of the day-wise tables. Posterior tables go through one of two engines with
# one contract: the table with postmean, postsd and lfsr, and the fitted mixture in JSON. Likelihood-only
# tables, with the error covariance of every row, go through the built-in engine alone.


def mash_outputs(kind):
    """What the built-in engine makes: posterior tables too unless R does, or beside R's if both are compared."""
    likelihood = kind.in_contrasts(layout.names(layout.BY_CONTRAST["mash_likelihood"]))
    if kind.engine == "python":
        return (
            kind.tables(layout.CONTRACT["fit_mash"], layout.BY_CONTRAST["fit_mash"])
            + likelihood
        )
    suffixes = ("csv", "json") if kind.compare else ()
    return likelihood + kind.in_contrasts(
        [f"engine=python/mash_gene_conservative.{suffix}" for suffix in suffixes]
    )


def mashr_options(wildcards):
    """Command-line options of run_mashr.R."""
    options = settings(wildcards).read_by("run_mashr")["mash"]
    chosen = {"engine", "compare_engines", "modes"}  # which jobs there are
    return " ".join(f"--{k} {v}" for k, v in options.items() if k not in chosen)


for kind in KINDS:

    rule:
        name:
            kind.rule("fit_mash")
        input:
            kind.in_contrasts(
                [
                    "gene_daywise_for_mash.csv",
                    "guide_daywise_for_mash.csv",
                    "gene_daywise_likelihood.csv",
                    "guide_daywise_likelihood.csv",
                    "mash_error_covariance.npz",
                ]
            ),
        output:
            mash_outputs(kind),
        log:
            f"{RESULTS}/logs/fit_mash/{{dataset}}/{{run}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/fit_mash/{{dataset}}/{{run}}.tsv"
        wildcard_constraints:
            dataset=kind.dataset,
        conda:
            ENVIRONMENT
        resources:
            mem_mb=memory(2500, per_input_mb=60),
            runtime=minutes(60),
        params:
            settings=read_by("fit_mash"),
            contrasts=contrasts,
            stage_version=STAGE_VERSION["fit_mash"],
        message:
            "mash on the tables of {wildcards.dataset} (run {wildcards.run})"
        script:
            "../../scripts/fit_mash.py"


rule run_mashr:
    input:
        table=f"{CONTRAST}/{{level}}_daywise_for_mash.csv",
        script=workflow.source_path("../../scripts/run_mashr.R"),
    output:
        table=f"{CONTRAST}/mash_{{level}}_{{mode}}.csv",
        mixture=f"{CONTRAST}/mash_{{level}}_{{mode}}.json",
    log:
        f"{RESULTS}/logs/run_mashr/{{dataset}}/{{run}}/{{contrast}}_{{level}}_{{mode}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/run_mashr/{{dataset}}/{{run}}/{{contrast}}_{{level}}_{{mode}}.tsv"
    wildcard_constraints:
        dataset=where(lambda s: s.mash.engine == "mashr"),
    conda:
        "../../envs/mashr.yaml"
    resources:
        mem_mb=memory(3000, per_input_mb=600),
        runtime=minutes(60),
    params:
        options=mashr_options,
        stage_version=STAGE_VERSION["run_mashr"],
    message:
        "R mashr on the {wildcards.level} table of {wildcards.dataset} (run {wildcards.run}): {wildcards.contrast}, {wildcards.mode}"
    shell:
        """
        if ! command -v Rscript >/dev/null; then
            echo "mash.engine: mashr and mash.compare_engines need R, and there is no Rscript here. Use --sdm conda (envs/mashr.yaml), install R with the package mashr, or set mash.engine: python and mash.compare_engines: false." | tee {log:q} >&2
            exit 1
        fi
        Rscript --vanilla {input.script:q} --table {input.table:q} --mode {wildcards.mode} \
            --output {output.table:q} --summary {output.mixture:q} {params.options} 2>&1 | tee {log:q} >&2
        """


use rule run_mashr as run_mashr_beside with:
    output:
        table=f"{CONTRAST}/engine=mashr/mash_{{level}}_{{mode}}.csv",
        mixture=f"{CONTRAST}/engine=mashr/mash_{{level}}_{{mode}}.json",
    log:
        f"{RESULTS}/logs/run_mashr_beside/{{dataset}}/{{run}}/{{contrast}}_{{level}}_{{mode}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/run_mashr_beside/{{dataset}}/{{run}}/{{contrast}}_{{level}}_{{mode}}.tsv"
    wildcard_constraints:
        dataset=where(lambda s: s.mash.engine == "python" and s.mash.compare_engines),

# From mash tables to calls, and all effects in one table.


def mash_inputs(kind):
    """Tables and mixtures of every contrast that the calls rest on, by the built-in engine and by R."""
    names = layout.names(
        [
            *layout.CONTRACT["fit_mash"],
            *layout.BY_CONTRAST["fit_mash"],
            *layout.BY_CONTRAST["mash_likelihood"],
        ],
        kind.modes,
    )
    other = "mashr" if kind.engine == "python" else "python"
    second = [f"engine={other}/mash_gene_conservative.csv"] if kind.compare else []
    return kind.in_contrasts(names + second)


def published_mashr(kind):
    """The primary contrast's tables by R, at the run's top."""
    names = layout.names(layout.CONTRACT["fit_mash"], kind.modes)
    return [f"{RUN}/{name}" for name in names if kind.engine == "mashr"]


for kind in KINDS:

    rule:
        name:
            kind.rule("rank_hits")
        input:
            mash_inputs(kind),
            kind.in_contrasts(
                [
                    "gene_daywise_for_mash.csv",
                    "guide_daywise_for_mash.csv",
                    "guide_concordance.csv",
                    "gene_daywise_likelihood.csv",
                    "guide_daywise_likelihood.csv",
                    "mash_error_covariance.npz",
                ]
            ),
            theta=f"{RUN}/theta_posterior_summary.npz",
            change=f"{RUN}/fate_probability_change.csv",
            report=f"{RUN}/design_report.json",
        output:
            kind.tables(layout.CONTRACT["rank_hits"], layout.BY_CONTRAST["rank_hits"]),
            published_mashr(kind),
            hits=f"{RUN}/hits.csv",
            effects=f"{RUN}/effects.parquet",
        log:
            f"{RESULTS}/logs/rank_hits/{{dataset}}/{{run}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/rank_hits/{{dataset}}/{{run}}.tsv"
        wildcard_constraints:
            dataset=kind.dataset,
        conda:
            ENVIRONMENT
        resources:
            mem_mb=memory(2500, per_input_mb=60),
            runtime=minutes(30),
        params:
            settings=read_by("rank_hits"),
            contrasts=contrasts,
            stage_version=STAGE_VERSION["rank_hits"],
        message:
            "Rank the hits of {wildcards.dataset} (run {wildcards.run})"
        script:
            "../../scripts/rank_hits.py"

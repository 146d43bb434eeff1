# From a fit to the tables of a run: check, then export or refuse.
for kind in KINDS.values():

    rule:
        name:
            kind.name("check_delta")
        input:
            moments=summary_of_run("moments.npz"),
            card=fit_of_run("fit_card.json"),
            trace=fit_of_run("fit_trace.csv"),
        output:
            **kind.outputs("check_delta"),
            figures=[figure(name) for name in kind.figures("check_delta")],
            vectors=vectors(kind.figures("check_delta")),
        log:
            f"{RESULTS}/logs/check_delta/{{dataset}}/{{run}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/check_delta/{{dataset}}/{{run}}.tsv"
        wildcard_constraints:
            dataset=kind.datasets(),
        priority: 10  # all runs of a fit learn of it before any of them is refused
        conda:
            ENVIRONMENT
        resources:
            mem_mb=memory(1500, per_input_mb=40),
            runtime=minutes(15),
        params:
            settings=read_by("check_delta"),
            contrasts=contrasts,
            stage_version=STAGE_VERSION["check_delta"],
        message:
            "Check fit and deltas of {wildcards.dataset} (run {wildcards.run})"
        script:
            "../../scripts/check_delta.py"

    rule:
        name:
            kind.name("export_effects")
        input:
            verdict=f"{RUN}/verdict.json",
            card=f"{RUN}/fit_card.json",
            moments=summary_of_run("moments.npz"),
            likelihood=summary_of_run("likelihood.npz"),
            change=summary_of_run("fate_change.npz"),
            power=summary_of_run("gene_power.csv"),
            evidence=summary_of_run("evidence.npz"),
        output:
            **kind.outputs("export_effects"),
        log:
            f"{RESULTS}/logs/export_effects/{{dataset}}/{{run}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/export_effects/{{dataset}}/{{run}}.tsv"
        wildcard_constraints:
            dataset=kind.datasets(),
        conda:
            ENVIRONMENT
        resources:
            mem_mb=memory(1500, per_input_mb=40),
            runtime=minutes(30),
        params:
            settings=read_by("export_effects"),
            contrasts=contrasts,
            stage_version=STAGE_VERSION["export_effects"],
        message:
            "Export the effects of {wildcards.dataset} (run {wildcards.run})"
        script:
            "../../scripts/export_effects.py"

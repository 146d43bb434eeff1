# Tables to index tensors: checked, counted, cached. A design is shared by all runs that ask for the same.


rule build_design:
    input:
        cells=input_of_design("cells.parquet"),
        guide_calls=input_of_design("guide_calls.parquet"),
        guide_map=input_of_design("guide_map.csv"),
    output:
        **files_in(DESIGN, "build_design", "design"),
    log:
        f"{RESULTS}/logs/build_design/{{dataset}}/{{design}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/build_design/{{dataset}}/{{design}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(3000, per_input_mb=40),
        runtime=minutes(30),
    params:
        settings=lambda w: CONFIG.settings_of_design(w.dataset, w.design).read_by(
            "build_design"
        ),
        stage_version=STAGE_VERSION["build_design"],
    message:
        "Check and index the screen {wildcards.dataset}"
    script:
        "../../scripts/build_design.py"


# Copies, so that a run's folder holds the design that its numbers rest on; it does not wait for the fit.
# run.json also tells what the files of the run depend on, and fit_mash and rank_hits rest on these copies:
# Snakemake looks for changed parameters only where it has made all outputs of a job before.
rule publish_design:
    input:
        **{
            Path(name).stem: design_of_run(Path(name).name)
            for name in layout.copies("publish_design")
        },
    output:
        **named(f"{RUN}/{name}" for name in layout.at_top("publish_design")),
    log:
        f"{RESULTS}/logs/publish_design/{{dataset}}/{{run}}.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        design=lambda w: settings(w).design_id,
        fit=lambda w: settings(w).fit_id,
        draws=lambda w: settings(w).export.draws,
        reference=lambda w: settings(w).model.reference,
        contrasts=contrasts,
        mash=lambda w: settings(w).mash.model_dump(include=set(OF_KIND)),
        stage_version=STAGE_VERSION["publish_design"],
    message:
        "Copy the design of {wildcards.dataset} to run {wildcards.run}"
    script:
        "../../scripts/publish_design.py"

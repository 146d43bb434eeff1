# The three input tables of a data set, simulated or imported.


rule simulate_screen:
    output:
        **files_in(INPUT, "simulate_screen", "input"),
    log:
        f"{RESULTS}/logs/simulate_screen/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/simulate_screen/{{dataset}}.tsv"
    wildcard_constraints:
        dataset=one_of(SIMULATED),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(6000),
        runtime=minutes(30),
    params:
        simulate=lambda w: CONFIG.datasets[w.dataset].simulate.model_dump(mode="json"),
        stage_version=STAGE_VERSION["simulate_screen"],
    message:
        "Simulate the screen {wildcards.dataset}"
    script:
        "../../scripts/simulate_screen.py"


rule import_screen:
    input:
        unpack(files_of_entry),
    output:
        **files_in(INPUT, "import_screen", "input"),
    log:
        f"{RESULTS}/logs/import_screen/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/import_screen/{{dataset}}.tsv"
    wildcard_constraints:
        dataset=one_of(IMPORTED),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(3000, per_input_mb=12),
        runtime=minutes(60),
    params:
        entry=keys_of_entry,
        files=stamps,
        fates=lambda w: CONFIG.settings(w.dataset, "main").model.fates,
        stage_version=STAGE_VERSION["import_screen"],
    message:
        "Read the screen {wildcards.dataset}"
    script:
        "../../scripts/import_screen.py"


# The same tables with another label set: further names in fate_key.
use rule import_screen as import_labels with:
    output:
        **files_in(LABELS, "import_screen", "input"),
    log:
        f"{RESULTS}/logs/import_labels/{{dataset}}/{{labels}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/import_labels/{{dataset}}/{{labels}}.tsv"
    params:
        entry=lambda w: keys_of_entry(w)
        | {"fate_key": CONFIG.labels[w.dataset][w.labels]},
        files=stamps,
        fates=lambda w: CONFIG.settings(w.dataset, "main").model.fates,
        stage_version=STAGE_VERSION["import_screen"],
    message:
        "Read the label set {wildcards.labels} of {wildcards.dataset}"

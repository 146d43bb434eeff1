"""What was read of a screen, and its design."""

from fatewalk.run.registry.entries import Column, File

FILES = (
    File(
        "cells.parquet",
        stage="simulate_screen",
        also="import_screen",
        where="input",
        text="Cells with day, replicate and fate probabilities.",
        columns=(
            Column("cell_id, day, rep", "names; `day` is a label"),
            Column("time", "the number in the day's label"),
            Column("p_<fate>", "probability of the fate", unit="probability"),
            Column("cluster, burden", "if given: embryo, clone or well; number of guides of the cell"),
            Column("<covariate>", "further columns that the dataset entry names"),
        ),
    ),
    File(
        "guide_calls.parquet",
        stage="simulate_screen",
        also="import_screen",
        where="input",
        text="Which guide is in which cell, one row per call, before any UMI threshold.",
        columns=(
            Column("cell_id, guide", "names"),
            Column("umi", "if given", unit="UMIs"),
        ),
    ),
    File(
        "guide_map.csv",
        stage="simulate_screen",
        also="import_screen",
        where="input",
        text="Which guide targets which gene.",
        columns=(
            Column("guide_name, gene_name", "names"),
            Column("is_ntc", "`True`: a non-targeting guide"),
        ),
    ),
    File(
        "import_report.json",
        stage="import_screen",
        where="input",
        text="What was read of an imported screen: sources, cells, fates, days, replicates, clusters, "
        "covariates, calls; notes.",
        columns=(
            Column("kind, sources", "kind of the data set; its files"),
            Column("cells, fates", "number of cells; names of fates"),
            Column("days", "how day labels were read: label, index, time, cells"),
            Column("time_unit", "the word in the labels"),
            Column("replicates, clusters", "cells by replicate; number of clusters"),
            Column("burden", "where the number of guides comes from"),
            Column("covariates", "`numeric` or `categorical`, by name"),
            Column(
                "guide_calls, guide_calls_without_umi_dropped, guides_called, umi, guides_in_map",
                "calls and guides; whether calls carry UMIs",
            ),
            Column("notes", "sentences"),
        ),
    ),
    File(
        "entry.json",
        stage="simulate_screen",
        also="import_screen",
        where="input",
        text="The keys of the data set's entry in the config that these tables were made with, and what its "
        "files held.",
        columns=(
            Column("<key>", "as in the config, defaults written out"),
            Column("contents", "checksum of each file, by key; of large ones of blocks spread over them"),
        ),
    ),
    File(
        "truth_theta.csv",
        stage="simulate_screen",
        where="input",
        text="True effects of genes in a simulated screen.",
        columns=(
            Column("gene, fate, day", "names; day as index"),
            Column(
                "theta",
                "mean effect over the library's guides, against the simulator's first fate",
                unit="logit",
            ),
            Column("theta_gene", "the gene's own effect", unit="logit"),
        ),
    ),
    File(
        "truth_delta.csv",
        stage="simulate_screen",
        where="input",
        text="True deviations of guides in a simulated screen.",
        columns=(
            Column("guide, gene, fate", "names"),
            Column("delta", "deviation of the guide from its gene", unit="logit"),
        ),
    ),
    File(
        "truth.json",
        stage="simulate_screen",
        where="input",
        text="Settings of a simulated screen, its intercepts, slopes and scales, and the pattern of each "
        "active gene.",
        columns=(
            Column("settings", "section `simulate`"),
            Column(
                "fates, contrasts, days, times, reps, clusters", "names along the axes; times of the days"
            ),
            Column("alpha, b, gamma", "intercepts by day, of replicates; slopes of the burden", unit="logit"),
            Column("cluster_intercepts, covariate_slopes", "the others", unit="logit"),
            Column("patterns", "of each active gene"),
            Column("scales", "root mean squares of effects and steps, SD of guides", unit="logit"),
            Column("guide_shares", "how often each guide is drawn"),
            Column("mean_burden", "guides of a cell, mean by day", shape="D"),
            Column("n_cells_capped", "cells that wanted more guides than can be drawn"),
            Column(
                "ntc_effects, gene_replicate",
                "effects of NTC guides; deviations of genes by day and replicate",
                unit="logit",
            ),
            Column("clones", "replicate, cells and deviation of each clone; the guide of the jackpot"),
            Column(
                "label_dispersion",
                "variance of labels by fate over that of one-hot labels, before smoothing and shrinking",
                shape="D x F",
            ),
            Column("n_cells_lost", "cells drawn that did not survive"),
            Column("n_calls_lost, n_calls_false", "guides of cells that are not seen; false calls"),
        ),
    ),
    File(
        "design.pt",
        stage="build_design",
        where="design",
        text="The design as tensors; read with `torch.load(path, weights_only=True)`.",
        copy=("publish_design", "design"),
    ),
    File(
        "guide_to_gene.parquet",
        stage="build_design",
        where="design",
        text="The gene of each guide.",
        copy=("publish_design", "design"),
        columns=(
            Column("guide, gene", "names"),
            Column("guide_to_gene", "index of the gene"),
        ),
    ),
    File(
        "n_guides_per_gene.parquet",
        stage="build_design",
        where="design",
        text="Guides and cells of each gene.",
        copy=("publish_design", "design"),
        columns=(
            Column("gene", "name"),
            Column("n_guides_per_gene", "guides in at least one cell"),
            Column("n_cells_d*", "cells of the day that carry the gene's guides", unit="cells"),
        ),
    ),
    File(
        "gene_offsets.parquet",
        stage="build_design",
        where="design",
        text="Where the guides of gene l stand in `guides_by_gene.parquet`: at positions `gene_offsets[l]` "
        "to `gene_offsets[l + 1] - 1`.",
        copy=("publish_design", "design"),
        columns=(Column("gene_offsets", "position of the gene's first guide"),),
    ),
    File(
        "guides_by_gene.parquet",
        stage="build_design",
        where="design",
        text="Guides listed gene by gene.",
        copy=("publish_design", "design"),
        columns=(
            Column("guides_by_gene", "index of the guide"),
            Column("guide", "its name"),
        ),
    ),
    File(
        "cells.parquet",
        stage="build_design",
        where="design",
        text="Cells that enter the fit.",
        columns=(
            Column("cell_id, day, rep", "names; day as index"),
            Column("burden", "number of guides that counts for the burden"),
            Column("n_ntc, n_guides", "guides of the cell; NTC included"),
            Column("cluster", "if given"),
        ),
    ),
    File(
        "survival.csv",
        stage="build_design",
        where="design",
        text="Abundance of each gene and guide by day, against non-targeting (NTC) guides: what a knock-out "
        "kills gets rarer. Only the header where that cannot be told: fewer than 3 NTC guides, one day, or "
        "cells of a cluster (embryo) that share their guides.",
        copy=("publish_design", ""),
        columns=(
            Column("level", "`gene` or `guide`"),
            Column("gene, guide", "names; gene `NTC` for the controls; `guide` is empty for genes"),
            Column("day", "the day's label"),
            Column("n_cells", "cells with the guide, or with any guide of the gene", unit="cells"),
            Column("log_ratio", "log of these over those of a mean NTC guide", unit="log"),
            Column("change", "change of the log ratio since the first day, mean over replicates", unit="log"),
            Column(
                "change_se",
                "its standard error, from the spread of guides over replicates and around each other",
                unit="log",
            ),
            Column("trend_z", "slope of the log ratio over the days up to this one, in standard errors"),
            Column("depleted", "`yes`: trend_z below -1.88 (one-sided 3 %); empty where unknown"),
        ),
    ),
    File(
        "design_report.json",
        stage="build_design",
        where="design",
        text="What entered the fit, what was dropped and why, and warnings.",
        copy=("publish_design", ""),
        columns=(
            Column("cells", "`given`, `without_guides`, `kept`"),
            Column(
                "guides",
                "in the map, targeting, repeated rows, rows without a guide, in no cell and dropped, kept",
            ),
            Column(
                "guide_calls",
                "`given`, dropped because the cell is unknown, repeats merged, below "
                "`design.min_umi`, `kept`",
            ),
            Column(
                "probabilities",
                "cells whose probabilities were rescaled to sum to 1; largest deviation from 1",
            ),
            Column("fates", "by fate: reference or not, mean probability"),
            Column("genes", "in the map, `dropped` (names), kept, with one guide, with several guides"),
            Column("ntc", "non-targeting guides in the map and in cells; `share_of_cells` that carry one"),
            Column("days", "label, index (the d of the columns), time, cells"),
            Column(
                "label_resolution",
                "by day, `all` fates and each against the others: 1 - mean entropy of the labels / entropy "
                "of the mean label; 1 where each label names one fate, 0 where all are alike",
            ),
            Column("cells_by_replicate_and_day", "counts; a 0 is a replicate without that day"),
            Column("clusters", "number of clusters"),
            Column("guides_per_cell, burden", "distributions"),
            Column("cells_per_guide, cells_per_gene_and_day", "quantiles"),
            Column("unobserved_gene_days", "gene-days without cells"),
            Column(
                "covariates",
                "one entry per covariate: `name`; `kind`: `numeric` with `mean` and `sd`, by which "
                "it is centred and scaled, or `categorical` with `levels` (cells of each) and "
                "`baseline`, the level that has no column; `columns` in the fit, empty if dropped",
            ),
            Column(
                "notes",
                "sentences on what the fit leaves out without harm: covariates that are not used, "
                "burden slopes where all cells of a day have the same burden",
            ),
            Column("warnings", "sentences; **read them**"),
        ),
    ),
)

"""The sections of ``config.yaml`` that steer a run, one model each.

Field descriptions are the documentation: they become the comments of ``config.yaml``, the JSON
schema and the table in ``docs/configuration.md``.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from fatewalk.config.base import Section


class DesignConfig(Section):
    """What enters the fit."""

    min_umi: int | None = Field(
        None, ge=1, description="drop guide calls with fewer UMIs (needs calls that carry UMIs)"
    )
    genes_without_guides: Literal["drop", "refuse"] = Field(
        "drop", description="a gene of the guide map whose guides are in no cell: drop | refuse"
    )
    cells_without_guides: Literal["keep", "drop"] = Field(
        "keep", description="cells without any guide: keep (they inform the intercepts) | drop"
    )
    prob_tolerance: float = Field(
        1e-3,
        gt=0,
        le=0.05,
        description="a cell's fate probabilities may miss 1 by this much; they are then rescaled",
    )
    covariates: list[str] | None = Field(
        None,
        description="cell covariates that enter the model as nuisances; null: all that the dataset entry "
        "carries, []: none",
    )

    @field_validator("covariates")
    @classmethod
    def _distinct(cls, covariates: list[str] | None) -> list[str] | None:
        if covariates and len(set(covariates)) < len(covariates):
            raise ValueError("names must differ")
        return covariates


class PriorsConfig(Section):
    """Prior scales, in logit."""

    s_alpha: PositiveFloat = Field(2.5, description="SD of the intercepts by fate and day")
    s_rep: PositiveFloat = Field(0.8, description="SD of the replicate effects")
    s_gamma: PositiveFloat = Field(0.8, description="SD of the burden slopes")
    s_tau: PositiveFloat = Field(1.0, description="scale of tau, the SD of first-day gene effects")
    s_time: PositiveFloat = Field(0.8, description="scale of sigma_time, the SD of a day's change")
    s_guide: PositiveFloat = Field(1.0, description="scale of sigma_guide, the SD of guides in a gene")
    s_covariate: PositiveFloat = Field(1.0, description="SD of the slopes of covariates")
    s_cluster: PositiveFloat = Field(
        0.8, description="scale of sigma_cluster, the SD of clusters whose cells carry different guides"
    )


class ModelConfig(Section):
    """The hierarchical model."""

    fates: list[str] = Field(["EC", "MES", "NEU"], min_length=2, description="all fates of the data, by name")
    ref_fate: str | None = Field(
        None, description="fate that the contrasts are against; null: the first of fates"
    )
    contrast_fate: str | None = Field(
        None, description="contrast at the run's top; null: the first that is not ref_fate"
    )
    center_delta: bool = Field(
        True,
        description="centre guide deviations within a gene; false only to show what that repairs",
    )
    burden_slope: Literal["per_day", "shared", "none"] = Field(
        "per_day", description="effect of the number of guides in a cell: per_day | shared | none"
    )
    replicate_effect: Literal["zero_sum", "free"] = Field(
        "zero_sum", description="replicate effects: zero_sum (apart from the intercepts) | free"
    )
    time_scale: Literal["free", "gaps"] = Field(
        "free",
        description="SD of the change between days: free (one for each) | gaps (one, growing with the "
        "square root of the time between the days)",
    )
    priors: PriorsConfig = Field(default_factory=PriorsConfig, description="prior scales, in logit")

    @field_validator("fates")
    @classmethod
    def _distinct(cls, fates: list[str]) -> list[str]:
        if len(set(fates)) < len(fates):
            raise ValueError("names must differ")
        if bad := [fate for fate in fates if not fate or set(fate) & set("/\\={}") or not fate.isprintable()]:
            raise ValueError(f"{bad[0]!r} cannot be a folder's name: no slash, backslash, '=', brace or tab")
        return fates

    @model_validator(mode="after")
    def _known_fates(self) -> ModelConfig:
        for key in ("ref_fate", "contrast_fate"):
            fate = getattr(self, key)
            if fate is not None and fate not in self.fates:
                raise ValueError(f"{key}: found {fate!r}, allowed: {', '.join(self.fates)}")
        if self.reference == self.contrast:
            raise ValueError(f"contrast_fate: found {self.contrast!r}, which is the reference")
        return self

    @property
    def reference(self) -> str:
        """The reference fate."""
        return self.ref_fate or self.fates[0]

    @property
    def contrasts(self) -> list[str]:
        """The other fates, in the order of ``fates``; effects are logits against the reference."""
        return [fate for fate in self.fates if fate != self.reference]

    @property
    def contrast(self) -> str:
        """The primary contrast."""
        return self.contrast_fate or self.contrasts[0]

    @property
    def fate_order(self) -> list[str]:
        """All fates, the reference first."""
        return [self.reference, *self.contrasts]


class FitConfig(Section):
    """Inference."""

    guide: Literal["structured", "laplace", "gene_block", "mean_field"] = Field(
        "structured",
        description="posterior family: structured (SVI in coordinates whitened by the Laplace covariance) | "
        "laplace (Newton-Laplace alone) | baselines whose SEs are wrong: gene_block, mean_field",
    )
    likelihood_weight: Literal["auto"] | PositiveFloat = Field(
        "auto",
        description="weight of a cell's label: auto (1 / dispersion of the labels, by day) | a number "
        "(1 is right for independent one-hot labels)",
    )
    dense_limit: PositiveInt = Field(
        12000,
        description="coordinates (latents but scales and what centring takes out) up to which one covariance "
        "of all is kept; above it gene blocks and what all genes share",
    )
    batch_size: PositiveInt | None = Field(
        None, description="distinct rows (identical cells are one) per step; null: all, which is steadier"
    )
    max_steps: PositiveInt = Field(20000, description="budget of optimiser steps")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto (CUDA if the job sees it) | cpu | cuda (fails without it)"
    )
    gpus: Literal[0, 1] = Field(
        0, description="GPUs that the rule fit_effects asks the cluster for; no other rule asks"
    )
    require: Literal["converged", "none"] = Field(
        "converged",
        description="converged: export nothing from another fit | none: export it as provisional",
    )
    seed: int = Field(1, ge=0, description="seed of the fit")
    debug: bool = Field(False, description="check at every step that delta is centred within genes (slower)")
    threads: PositiveInt = Field(
        1, description="CPU threads of the fit; more than one pays off above some 2,000 latent variables"
    )
    checkpoint_minutes: PositiveFloat = Field(
        10.0, description="time between checkpoints of a running fit, from which a killed job resumes"
    )


class ExportConfig(Section):
    """Posterior moments."""

    draws: int = Field(4000, ge=100, description="joint posterior draws behind the means and SDs (streamed)")


class MashConfig(Section):
    """Multivariate adaptive shrinkage of the exported tables."""

    engine: Literal["python", "mashr"] = Field(
        "python",
        description="engine of the posterior tables: python (built in) | mashr (R, see envs/mashr.yaml). "
        "Likelihood-only tables, behind the default calls, always go through the built-in one",
    )
    compare_engines: bool = Field(
        False,
        description="run the other engine on the gene tables of mode conservative as well and compare "
        "(mash_mode_comparison.csv); the enriched modes of the engines are different models",
    )
    modes: list[Literal["conservative", "enriched"]] = Field(
        ["conservative"],
        min_length=1,
        description="of the posterior tables: conservative (canonical covariances, null-biased) | "
        "enriched (data-driven covariances as well, uniform prior)",
    )
    default_mode: Literal["conservative", "enriched"] = Field(
        "conservative", description="mode behind source mash_posterior of the calls; one of modes"
    )
    se_inflate: PositiveFloat = Field(1.0, description="factor on the standard errors")
    se_floor: float = Field(0.0, ge=0, description="smallest standard error after inflation (logit)")
    null_correlation: Literal["simple", "identity"] = Field(
        "simple",
        description="error correlation between days: simple (from rows with small z) | identity",
    )
    null_z: PositiveFloat = Field(2.0, description="simple: rows with every |z| below this are null")
    eigen_floor: PositiveFloat = Field(1e-6, description="smallest eigenvalue of the error correlation")
    corr_shrink: float = Field(
        0.05, ge=0, le=1, description="shrinkage of the error correlation to the identity"
    )
    null_weight: float = Field(
        10.0, ge=1, description="prior weight on no effect (1: none), not in mode enriched"
    )
    time_covariances: bool = Field(
        True,
        description="likelihood-only tables, enriched with engine python: covariances for effects over "
        "time (early, late, switches, ramps, random walk)",
    )
    min_rows_ed: PositiveInt = Field(
        1000,
        description="the same: tables with fewer rows do not learn covariances from the data",
    )
    strong_lfsr: float = Field(
        0.05, gt=0, lt=1, description="learned covariances: rows with a smaller lfsr on a day are strong"
    )
    min_strong: PositiveInt = Field(
        10, description="learned covariances: with fewer strong rows than this there are none"
    )
    n_pcs: PositiveInt = Field(3, description="learned covariances: principal components of the strong rows")

    @model_validator(mode="after")
    def _consistent(self) -> MashConfig:
        if len(set(self.modes)) < len(self.modes):
            raise ValueError(f"modes: found {self.modes}, allowed: each mode once")
        if self.default_mode not in self.modes:
            raise ValueError(f"default_mode: found {self.default_mode!r}, allowed: {', '.join(self.modes)}")
        if self.compare_engines and "conservative" not in self.modes:
            raise ValueError(
                "compare_engines: found true, but modes lacks 'conservative', the mode that both engines "
                "share; allowed: false, or name it in modes"
            )
        return self


class CallsConfig(Section):
    """Which gene is called a hit on which day."""

    source: Literal["mash_likelihood", "mash_posterior", "joint"] = Field(
        "mash_likelihood",
        description="what the calls rest on: mash_likelihood (mash on likelihood-only estimates) | "
        "mash_posterior (mash on posterior estimates, shrunk twice) | joint (the posterior, no mash); "
        "the others stand beside it as columns",
    )
    estimand: Literal["library", "gene"] = Field(
        "library",
        description="library (mean effect of this library's guides) | gene (adds guide sampling)",
    )
    effect_size_eps: float = Field(0.2, ge=0, description="smallest effect of interest, |theta| in logit")
    effect_prob_large_min: float = Field(
        0.9, ge=0, le=1, description="active day: P(|theta| > eps) at least this"
    )
    lfsr_day: float = Field(0.05, gt=0, le=1, description="active day: local false sign rate below this")
    anyday_correction: Literal["bonferroni", "fdr", "none"] = Field(
        "bonferroni",
        description="any-day hit: bonferroni (lfsr_day divided by the number of days) | fdr (largest set "
        "with a mean P(no day with an effect above eps) of anyday_fdr) | none",
    )
    anyday_fdr: float = Field(
        0.05, gt=0, lt=1, description="fdr: Bayesian false discovery rate of the set of hits"
    )
    min_active_days: PositiveInt = Field(1, description="any-day hit: at least this many active days")

    @model_validator(mode="after")
    def _estimand_of_source(self) -> CallsConfig:
        if self.estimand == "gene" and self.source == "mash_posterior":
            raise ValueError(
                "estimand: found 'gene', but source mash_posterior describes the library's guides; allowed: "
                "library, or another source"
            )
        return self


class AblationConfig(Section):
    """Target ``all_ablation``: centred against uncentred on simulated screens."""

    dataset: str = Field("demo", description="simulated dataset entry that is drawn again with other seeds")
    seeds: PositiveInt = Field(5, description="number of screens")
    simulate: dict[str, Any] = Field(
        {"guide_sd": 0.6, "effect_size": [0.4, 0.8]},
        description="keys of simulate that are changed: here guide effects large against gene effects",
    )

"""The sections of ``config.yaml`` that steer a run, one model each.

Field descriptions are the documentation: they become the comments of ``config.yaml``, the JSON
schema and the table in ``docs/configuration.md``.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Field, PositiveFloat, PositiveInt, field_validator, model_validator

from fatewalk.config.base import Scale, Section, Seed, Size, key
from fatewalk.config.places import fate_names, not_twice
from fatewalk.core.schema import Unit


class DesignConfig(Section):
    """What enters the fit."""

    min_umi: int | None = key(
        None,
        ge=1,
        le=10**6,
        description="drop guide calls with fewer UMIs (needs calls that carry UMIs)",
        read_by=["build_design"],
    )
    cells_without_guides: Literal["keep", "drop"] = key(
        "keep",
        description="cells without any guide: keep (they inform the intercepts) | drop",
        read_by=["build_design"],
    )
    prob_tolerance: float = key(
        1e-3,
        gt=0,
        le=0.05,
        description="a cell's fate probabilities may miss 1 by this much; they are then rescaled",
        read_by=["build_design"],
    )
    covariates: list[str] | None = key(
        None,
        description="cell covariates that enter the model as nuisances; null: all that the dataset entry "
        "carries, []: none",
        read_by=["build_design"],
    )

    @field_validator("covariates")
    @classmethod
    def _distinct(cls, covariates: list[str] | None) -> list[str] | None:
        not_twice(covariates or [])
        return covariates


class PriorsConfig(Section):
    """Prior scales, in logit."""

    s_alpha: Scale = key(2.5, description="SD of the intercepts by fate and day", read_by=["fit_effects"])
    s_rep: Scale = key(0.8, description="SD of the levels of replicates", read_by=["fit_effects"])
    s_rep_day: Size = key(
        0.4,
        description="SD of a replicate on a day around its level; 0: the same level on all days",
        read_by=["fit_effects"],
    )
    s_gamma: Scale = key(0.8, description="SD of the burden slopes", read_by=["fit_effects"])
    s_tau: Scale = key(
        1.0, description="scale of tau, the SD of first-day gene effects", read_by=["fit_effects"]
    )
    s_time: Scale = key(
        0.8, description="scale of sigma_time, the SD of a day's change", read_by=["fit_effects"]
    )
    s_guide: Scale = key(
        1.0, description="scale of sigma_guide, the SD of guides in a gene", read_by=["fit_effects"]
    )
    s_covariate: Scale = key(1.0, description="SD of the slopes of covariates", read_by=["fit_effects"])
    s_cluster: Scale = key(
        0.8,
        description="scale of sigma_cluster, the SD of clusters whose cells carry different guides",
        read_by=["fit_effects"],
    )


class ModelConfig(Section):
    """The hierarchical model."""

    fates: list[str] = key(
        ["EC", "MES", "NEU"],
        min_length=2,
        description="all fates of the data, by name; to be named for data of your own",
        read_by=["import_screen", "build_design", "fit_effects"],
    )
    ref_fate: str | None = key(
        None,
        description="fate that the contrasts are against; null: the first of fates",
        read_by=[
            "build_design",
            "fit_effects",
            "rank_hits",
            "evaluate_recovery",
            "plot_figures",
            "write_report",
        ],
    )
    contrast_fate: str | None = key(
        None,
        description="contrast at the run's top; null: the first that is not ref_fate",
        read_by=[
            "check_delta",
            "export_effects",
            "fit_mash",
            "rank_hits",
            "evaluate_recovery",
            "plot_figures",
            "write_report",
        ],
    )
    center_delta: bool = key(
        True,
        description="centre guide deviations within a gene; false only to show what that repairs",
        read_by=["fit_effects"],
    )
    burden_slope: Literal["per_day", "shared", "none"] = key(
        "per_day",
        description="effect of the number of guides in a cell: per_day | shared | none",
        read_by=["fit_effects"],
    )
    time_scale: Literal["free", "gaps"] = key(
        "free",
        description="SD of the change between days: free (one for each) | gaps (one, growing with the "
        "square root of the time between the days)",
        read_by=["fit_effects"],
    )
    priors: PriorsConfig = Field(default_factory=PriorsConfig, description="prior scales, in logit")

    @field_validator("fates")
    @classmethod
    def _distinct(cls, fates: list[str]) -> list[str]:
        return fate_names(fates)

    @model_validator(mode="after")
    def _known_fates(self) -> ModelConfig:
        for name in ("ref_fate", "contrast_fate"):
            fate = getattr(self, name)
            if fate is not None and fate not in self.fates:
                raise ValueError(f"{name}: found {fate!r}; allowed: {', '.join(self.fates)}")
        if self.reference == self.contrast:
            raise ValueError(
                f"contrast_fate: found {self.contrast!r}, which is the reference; allowed: "
                f"{', '.join(self.contrasts)}"
            )
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

    family: Literal["structured", "laplace"] = key(
        "structured",
        description="posterior family: structured (SVI in coordinates whitened by the Laplace covariance) | "
        "laplace (Newton-Laplace alone)",
        read_by=["fit_effects"],
    )
    likelihood_weight: Literal["auto"] | Annotated[float, Field(ge=1e-4, le=1e4)] = key(
        "auto",
        description="weight of a cell's label: auto (1 / dispersion of the labels, by day) | a number "
        "(1 is right for independent one-hot labels)",
        read_by=["fit_effects"],
    )
    dispersion: Literal["by_fate", "pooled"] = key(
        "by_fate",
        description="scatter of the labels in the errors of likelihood-only estimates and mash over fates: "
        "by_fate (found for each fate and day) | pooled (one value for all fates of a day)",
        read_by=["fit_effects"],
    )
    dense_limit: PositiveInt = key(
        12000,
        le=10**6,
        description="coordinates (latents but scales and what centring takes out) up to which one covariance "
        "of all is kept; above it gene blocks and what all genes share",
        read_by=["fit_effects"],
    )
    max_steps: PositiveInt = key(
        20000, le=10**9, description="budget of optimiser steps", read_by=["fit_effects"]
    )
    device: Literal["auto", "cpu", "cuda"] = key(
        "auto",
        description="auto (CUDA if the job sees it) | cpu | cuda (fails without it)",
        read_by=["fit_effects"],
        reruns=False,
    )
    gpus: Literal[0, 1] = key(
        0,
        description="GPUs that the rule fit_effects asks the cluster for; no other rule asks",
        read_by=["fit_effects"],
        reruns=False,
    )
    require: Literal["converged", "none"] = key(
        "converged",
        description="converged: export nothing from another fit | none: export it as provisional",
        read_by=["export_effects"],
    )
    seed: Seed = key(1, description="seed of the fit", read_by=["fit_effects", "summarise_posterior"])
    debug: bool = key(
        False,
        description="check at every step that delta is centred within genes (slower)",
        read_by=["fit_effects"],
    )
    threads: PositiveInt = key(
        1,
        le=1024,
        description="CPU threads of the fit; more than one pays off above some 2,000 latent variables",
        read_by=["fit_effects", "summarise_posterior"],
        reruns=False,
    )
    checkpoint_minutes: PositiveFloat = key(
        10.0,
        le=10**6,
        description="time between checkpoints of a running fit, from which a killed job resumes",
        read_by=["fit_effects"],
        reruns=False,
    )

    @model_validator(mode="after")
    def _gpu_that_is_used(self) -> FitConfig:
        if self.gpus and self.device == "cpu":
            raise ValueError("gpus: found 1, but device is cpu; allowed: 0, or device auto or cuda")
        return self

    @field_validator("family", mode="before")
    @classmethod
    def _no_baseline(cls, family: Any) -> Any:
        if family in ("gene_block", "mean_field"):
            raise ValueError(
                f"found {family!r}, a baseline whose standard errors are wrong; it lies in "
                "benchmarks/baselines.py now; allowed: structured | laplace"
            )
        return family


class ExportConfig(Section):
    """Posterior moments."""

    draws: int = key(
        4000,
        ge=100,
        le=10**6,
        description="joint posterior draws behind the means and SDs (streamed)",
        read_by=["summarise_posterior"],
    )


class MashConfig(Section):
    """Multivariate adaptive shrinkage of the exported tables."""

    engine: Literal["python", "mashr"] = key(
        "python",
        description="engine of the posterior tables: python (built in) | mashr (R, see envs/mashr.yaml). "
        "Likelihood-only tables, behind the default calls, always go through the built-in one",
        read_by=["fit_mash", "run_mashr", "rank_hits"],
    )
    compare_engines: bool = key(
        False,
        description="run the other engine on the gene tables of mode conservative as well and compare "
        "(mash_mode_comparison.csv); the enriched modes of the engines are different models",
        read_by=["fit_mash", "run_mashr", "rank_hits"],
    )
    modes: list[Literal["conservative", "enriched"]] = key(
        ["conservative"],
        min_length=1,
        description="of the posterior tables: conservative (canonical covariances, null-biased) | "
        "enriched (data-driven covariances as well, uniform prior); the first is behind source "
        "mash_posterior of the calls",
        read_by=["fit_mash", "run_mashr", "rank_hits"],
    )
    se_inflate: float = key(
        1.0,
        ge=0.01,
        le=100,
        description="factor on the standard errors",
        read_by=["fit_mash", "run_mashr"],
    )
    se_floor: float = key(
        0.0,
        ge=0,
        le=100,
        description="smallest standard error after inflation (logit)",
        read_by=["fit_mash", "run_mashr"],
    )
    null_correlation: Literal["simple", "identity"] = key(
        "simple",
        description="error correlation between days: simple (from rows with small z) | identity",
        read_by=["fit_mash", "run_mashr"],
    )
    null_z: PositiveFloat = key(
        2.0,
        le=100,
        description="simple: rows with every |z| below this are null",
        read_by=["fit_mash", "run_mashr"],
    )
    eigen_floor: float = key(
        1e-6,
        ge=1e-12,
        le=1,
        description="smallest eigenvalue of the error correlation",
        read_by=["fit_mash", "run_mashr"],
    )
    corr_shrink: float = key(
        0.05,
        ge=0,
        le=1,
        description="shrinkage of the error correlation to the identity",
        read_by=["fit_mash", "run_mashr"],
    )
    null_weight: float = key(
        10.0,
        ge=1,
        le=1e6,
        description="prior weight on no effect (1: none), not in mode enriched",
        read_by=["fit_mash", "run_mashr", "certify"],
    )
    strong_lfsr: float = key(
        0.05,
        gt=0,
        lt=1,
        description="learned covariances: rows with a smaller lfsr on a day are strong",
        read_by=["fit_mash", "run_mashr"],
    )
    min_strong: PositiveInt = key(
        10,
        le=10**9,
        description="learned covariances: with fewer strong rows than this there are none",
        read_by=["fit_mash", "run_mashr"],
    )
    n_pcs: PositiveInt = key(
        3,
        le=1000,
        description="learned covariances: principal components of the strong rows",
        read_by=["fit_mash", "run_mashr"],
    )

    @model_validator(mode="after")
    def _consistent(self) -> MashConfig:
        if len(set(self.modes)) < len(self.modes):
            raise ValueError(f"modes: found {self.modes}; allowed: each mode once")
        if self.compare_engines and "conservative" not in self.modes:
            raise ValueError(
                "compare_engines: found true, but modes lacks 'conservative', the mode that both engines "
                "share; allowed: false, or name it in modes"
            )
        return self


# Keys of calls that are read beside certain values of others alone.
READ_WITH = {
    "fdr": {"rule": "fdr"},
    "fdr_prob_large_min": {"rule": "fdr"},
    "effect_prob_large_min": {"rule": "lfsr"},
    "lfsr_day": {"rule": "lfsr"},  # by rule fdr it moves a line of a figure alone
    "anyday_correction": {"rule": "lfsr"},
    "anyday_fdr": {"rule": "lfsr", "anyday_correction": "fdr"},
}


class CallsConfig(Section):
    """Which gene is called a hit on which day."""

    source: Literal["mash_fates", "mash_likelihood", "mash_posterior", "joint"] = key(
        "mash_fates",
        description="what the calls rest on: mash_fates (mash over fates and days together) | "
        "mash_likelihood (mash on likelihood-only estimates, one contrast at a time) | mash_posterior (mash "
        "on posterior estimates, shrunk twice) | joint (the posterior, no mash); the others stand beside it "
        "as columns",
        read_by=["rank_hits", "evaluate_recovery", "write_report"],
    )
    scale: Literal["fate", "contrast"] = key(
        "fate",
        description="what hits.csv and figures tell: fate (each fate's own probability, and who moved) | "
        "contrast (log odds against the reference; the only one of sources other than mash_fates)",
        read_by=["rank_hits", "plot_figures", "write_report"],
    )
    rule: Literal["fdr", "lfsr"] = key(
        "fdr",
        description="active day: fdr (largest set of gene-days with a mean P(|effect| <= eps) of fdr) | lfsr "
        "(lfsr and P(|effect| > eps) of the gene-day alone, and anyday_correction)",
        read_by=["certify", "rank_hits", "evaluate_recovery", "write_report"],
    )
    fdr: float = key(
        0.05,
        gt=0,
        lt=1,
        description="rule fdr: Bayesian false discovery rate of the set of gene-days",
        read_by=["certify", "rank_hits", "evaluate_recovery", "write_report"],
    )
    fdr_prob_large_min: float = key(
        0.6,
        ge=0,
        le=1,
        description="rule fdr: P(|effect| > eps) of each gene-day at least this",
        read_by=["certify", "rank_hits", "evaluate_recovery", "write_report"],
    )
    estimand: Literal["auto", "library", "gene", "population"] = key(
        "auto",
        description="library (mean effect of this library's guides) | gene (adds guide sampling) | "
        "population (adds guide sampling and differences between replicates) | auto (population where at "
        "least 20 further replicates of gene-days tell how much replicates differ, else library)",
        read_by=["fit_mash", "rank_hits", "evaluate_recovery"],
    )
    effect_size_eps: float = key(
        0.2,
        ge=0,
        le=100,
        description="smallest effect of interest, logit",
        read_by=["fit_mash", "certify", "rank_hits", "evaluate_recovery", "plot_figures", "write_report"],
    )
    effect_prob_large_min: float = key(
        0.9,
        ge=0,
        le=1,
        description="rule lfsr: P(|effect| > eps) of an active day at least this",
        read_by=["certify", "rank_hits", "evaluate_recovery", "write_report"],
    )
    lfsr_day: float = key(
        0.05,
        gt=0,
        le=1,
        description="rule lfsr: local false sign rate of an active day below this",
        read_by=["certify", "rank_hits", "evaluate_recovery", "plot_figures", "write_report"],
    )
    anyday_correction: Literal["bonferroni", "fdr", "none"] = key(
        "bonferroni",
        description="rule lfsr, any-day hit: bonferroni (lfsr_day divided by the number of days) | fdr "
        "(largest set with a mean P(no day with an effect above eps) of anyday_fdr) | none",
        read_by=["certify", "rank_hits", "evaluate_recovery", "write_report"],
    )
    anyday_fdr: float = key(
        0.05,
        gt=0,
        lt=1,
        description="anyday_correction fdr: Bayesian false discovery rate of the set of hits",
        read_by=["certify", "rank_hits", "evaluate_recovery", "write_report"],
    )
    certificate: Literal["none", "quick", "full"] = key(
        "quick",
        description="proof on this very screen: none | quick (guides shuffled between cells, each NTC guide "
        "taken for a gene, weights and burden) | full (also 10,000 shuffles and planted effects)",
        read_by=["certify"],
    )
    require: Literal["certified", "none"] = key(
        "certified",
        description="certified: where the certificate fails hits.csv is empty and the hits stand in "
        "hits_withheld.csv | none: hits.csv holds them all the same",
        read_by=["rank_hits", "write_report"],
    )

    @model_validator(mode="before")
    @classmethod
    def _scale_of_source(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("source", "mash_fates") != "mash_fates":
            return {"scale": "contrast"} | given
        return given

    def reads(self, name: str) -> bool:
        """Whether calls depend on a key, with the others as they are."""
        return all(getattr(self, other) == value for other, value in READ_WITH[name].items())

    @model_validator(mode="after")
    def _consistent(self) -> CallsConfig:
        if self.scale == "fate" and self.source != "mash_fates":
            raise ValueError(
                f"scale: found 'fate', but source {self.source} knows contrasts only; allowed: contrast, or "
                "source mash_fates"
            )
        if self.estimand in ("gene", "population") and self.source == "mash_posterior":
            raise ValueError(
                f"estimand: found {self.estimand!r}, but source mash_posterior describes the library's "
                "guides; allowed: library or auto, or another source"
            )
        return self


SECTIONS: dict[str, type[BaseModel]] = {
    "design": DesignConfig,
    "model": ModelConfig,
    "fit": FitConfig,
    "export": ExportConfig,
    "mash": MashConfig,
    "calls": CallsConfig,
}


class AblationConfig(Section):
    """Target ``all_ablation``: centred against uncentred on simulated screens."""

    read_by: ClassVar = ("simulate_screen",)  # through the data sets that it adds

    dataset: str = Field("demo", description="simulated dataset entry that is drawn again with other seeds")
    seeds: PositiveInt = Field(5, le=1000, description="number of screens")
    simulate: dict[str, Any] = Field(
        {"guide_sd": 0.6, "effect_size": [0.4, 0.8]},
        description="keys of simulate that are changed: here guide effects large against gene effects",
    )


REFITS_OF_A_JOB = 20  # starting a job takes as long as a refit of a small screen


class ResampleConfig(Section):
    """Target ``all_bootstrap``: refits of every run on designs that are drawn again."""

    read_by: ClassVar = ("refit_draws",)

    unit: Unit = Field(
        "cells",
        description="what is drawn with replacement: cells (within day and replicate) | clusters | guides "
        "(within genes) | replicates | leave_one_replicate_out (each replicate is left out once)",
    )
    times: int = Field(
        200, ge=10, le=10000, description="refits, 20 in a job; not for leave_one_replicate_out"
    )

    @property
    def batches(self) -> range:
        """Numbers of the jobs."""
        return range(1 if self.unit == "leave_one_replicate_out" else -(-self.times // REFITS_OF_A_JOB))

    def numbers(self, batch: int) -> list[int]:
        """Numbers of the refits of a job.

        Examples
        --------
        >>> ResampleConfig(times=50).numbers(2)
        [40, 41, 42, 43, 44, 45, 46, 47, 48, 49]
        """
        first = batch * REFITS_OF_A_JOB
        return list(range(first, min(first + REFITS_OF_A_JOB, self.times)))

"""Section ``simulate`` of a dataset entry: a screen drawn from the model, with its truth."""

from __future__ import annotations

import itertools
from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from fatewalk.config.base import Logit, Section, Seed, Size, Weight
from fatewalk.config.places import fate_names

Pattern = Literal["single_day", "sustained", "early", "late", "transient", "sign_switch", "random_walk"]
Guides = Annotated[int, Field(ge=1, le=1000)]  # of a gene
Concentration = Annotated[float, Field(ge=1e-3, le=1e6)]
Day = Annotated[float, Field(ge=-1e9, le=1e9)]
Factor = Annotated[float, Field(ge=1e-3, le=1e3)]
Kept = Annotated[float, Field(ge=0, le=1)]  # 1: all
Share = Annotated[float, Field(ge=1e-6, le=1e6)]


class SimulateConfig(Section):
    """A simulated screen."""

    read_by: ClassVar = ("simulate_screen",)

    seed: Seed = Field(1, description="seed of the simulation; the same seed gives the same files")
    cells: PositiveInt = Field(
        12000, le=10**8, description="cells, spread evenly over days, replicates and clusters"
    )
    genes: PositiveInt = Field(50, le=10**5, description="targeted genes")
    guides_per_gene: Guides | dict[Guides, Weight] = Field(
        {1: 0.05, 2: 0.1, 4: 0.7, 6: 0.15},
        description="guides of a gene: a number, or {number: weight}; weights are shares of their sum",
    )
    ntc_guides: int = Field(20, ge=0, le=10**5, description="non-targeting (NTC) guides")
    ntc_share: float = Field(
        0.1, ge=0, lt=1, description="share of the guide draws that go to NTC guides; 0: they are in no cell"
    )
    days: list[Day] = Field([0, 1, 2, 3], min_length=1, description="times of sampling, in days, ascending")
    replicates: PositiveInt = Field(2, le=1000, description="replicates; each is sampled on every day")
    moi: float = Field(4.0, ge=0.01, le=1000, description="mean number of distinct guides in a cell")
    moi_distribution: Literal["poisson", "uniform", "fixed"] = Field(
        "poisson",
        description="poisson (some cells get no guide) | uniform (1 to 2 moi - 1, rounded) | "
        "fixed (moi, rounded)",
    )
    guide_abundance_sd: float = Field(
        0.5, ge=0, le=10, description="SD of the log abundance of a guide in the library"
    )
    fates: list[str] = Field(
        ["EC", "MES", "NEU"], min_length=2, description="fates; effects are against the first"
    )
    labels: Literal["one_hot", "dirichlet"] = Field(
        "one_hot", description="one_hot (one fate a cell) | dirichlet (soft fate probabilities)"
    )
    concentration: Concentration | list[Concentration] = Field(
        50.0, description="Dirichlet concentration of soft labels: a number, or one per day"
    )
    active_genes: int = Field(15, ge=0, description="genes with an effect")
    active_per: Literal["screen", "day"] = Field(
        "screen",
        description="screen (active_genes genes, each with a pattern over days) | day (on every day "
        "active_genes genes drawn anew, each with an effect on that day alone; no effect_patterns)",
    )
    effect_size: tuple[Size, Size] = Field(
        (0.6, 1.2),
        description="range of |effect| in logit, uniform, with a random sign; not for random_walk",
    )
    effect_fates: Literal["independent", "same", "one", "one_fate", "two_fates"] = Field(
        "independent",
        description="what an active gene hits: independent (all contrasts, each with its own size and "
        "sign) | same (all contrasts alike) | one (a random contrast) | one_fate, two_fates (random "
        "fates, the first one included, each with its own size and sign)",
    )
    effect_patterns: dict[Pattern, Weight] = Field(
        {
            "single_day": 1,
            "sustained": 1,
            "early": 1,
            "late": 1,
            "transient": 1,
            "sign_switch": 1,
            "random_walk": 0,
        },
        description="weights of the patterns over days from which each active gene draws one",
    )
    walk_start_sd: Size = Field(0.6, description="random_walk: SD of the effect on the first day")
    walk_step_sd: Size = Field(0.4, description="random_walk: SD of a step between two days")
    guide_sd: Size = Field(
        0.2, description="SD of a guide's deviation from its gene (logit), before centring"
    )
    guide_effects: Literal["centred", "uncentred"] = Field(
        "centred",
        description="centred (deviations have mean 0 within a gene) | uncentred (their mean moves the "
        "library's effect away from the gene's, on all days)",
    )
    burden_slope: Logit | list[Logit] = Field(
        0.05, description="logit per extra guide in a cell, in all contrasts: a number, or one per day"
    )
    burden_slope_sd: Size = Field(
        0.0, description="SD of a contrast's own deviation from burden_slope, the same on all days"
    )
    fate_shares: list[Share] | None = Field(
        None, description="share of each fate, before intercept_sd and burden; left out: all alike"
    )
    intercept_sd: Size = Field(0.4, description="SD of the intercepts by fate and day")
    replicate_sd: Size = Field(
        0.2, description="SD of the replicate effects by fate, before they are centred over replicates"
    )
    clusters: int = Field(
        0, ge=0, le=10**6, description="clusters (embryos, clones) in each replicate and day; 0: none"
    )
    cluster_sd: Size | list[Size] = Field(
        0.3,
        description="SD of a cluster's own intercepts by fate: overdispersion between clusters; a number, or "
        "one per fate but the first",
    )
    cluster_shares_guides: bool = Field(
        False, description="all cells of a cluster carry the same guides (as embryos do)"
    )
    covariate_effect: Logit = Field(
        0.0,
        description="logit per SD of a numeric cell covariate (column `covariate`, normal), in all "
        "contrasts; 0: no such column",
    )
    dispersion_by_fate: list[Factor] | None = Field(
        None,
        description="soft labels whose fates scatter unequally: a factor of the variance of each fate; the "
        "fate that scatters most has its own exactly, the others take a little of its noise, because labels "
        "sum to one; null: all alike",
    )
    ntc_guide_sd: Size = Field(
        0.0, description="SD of an NTC guide's own effect by contrast (logit), the same on all days"
    )
    gene_replicate_sd: Size = Field(
        0.0, description="SD of a gene's deviation by contrast, day and replicate (logit), not centred"
    )
    clones: int = Field(
        0,
        ge=0,
        le=10**6,
        description="clones, dealt to the replicates in turn; cells of one share their guides",
    )
    clone_cells: PositiveInt = Field(20, le=10**6, description="cells of a clone, over all days")
    clone_sd: Size = Field(0.5, description="SD of a clone's own deviation by contrast (logit)")
    jackpot_cells: int = Field(
        0,
        ge=0,
        le=10**6,
        description="cells of one clone that carries a guide of a gene without effect alone; "
        "0: no such clone",
    )
    jackpot_deviation: Logit = Field(
        1.5, description="deviation of that clone towards the second fate (logit)"
    )
    growth: dict[str, dict[str, Factor]] = Field(
        {},
        description="{gene: {fate: factor a day}}: how cells of the fate with a guide of the gene multiply, "
        "counted from time 0; {Gene001: {MES: 0.67}}: a third of them dies a day",
    )
    label_shrink: Kept | list[Kept] = Field(
        1.0,
        description="labels are drawn towards the mean of their day, to this share of their distance: a "
        "number, or one per day; 1: as they are",
    )
    label_smoothing: int = Field(
        0, ge=0, le=10**4, description="labels are averaged over this many nearest cells of the day; 0: not"
    )
    guide_dropout: float = Field(0.0, ge=0, lt=1, description="share of the guides of cells that is not seen")
    ambient_guides: float = Field(0.0, ge=0, le=0.9, description="share of the guide calls that is false")

    @field_validator("days")
    @classmethod
    def _ascending(cls, days: list[float]) -> list[float]:
        if any(later <= earlier for earlier, later in itertools.pairwise(days)):
            raise ValueError(f"found {days}; allowed: ascending, without repeats")
        return days

    @field_validator("fates")
    @classmethod
    def _distinct(cls, fates: list[str]) -> list[str]:
        return fate_names(fates)

    @field_validator("effect_size")
    @classmethod
    def _range(cls, size: tuple[float, float]) -> tuple[float, float]:
        if size[0] > size[1]:
            raise ValueError(f"found {list(size)}; allowed: [smallest, largest]")
        return size

    @model_validator(mode="after")
    def _fits_the_fates(self) -> SimulateConfig:
        found = len(self.fate_shares or self.fates)
        if found != len(self.fates):
            raise ValueError(f"fate_shares: found {found} values; allowed: one per fate ({len(self.fates)})")
        if self.effect_fates == "two_fates" and len(self.fates) < 3:
            raise ValueError("effect_fates: found 'two_fates', which needs three fates; allowed: one_fate")
        return self

    @model_validator(mode="after")
    def _consistent(self) -> SimulateConfig:
        for key in ("concentration", "burden_slope", "label_shrink"):
            value = getattr(self, key)
            if isinstance(value, list) and len(value) != len(self.days):
                raise ValueError(
                    f"{key}: found {len(value)} values; allowed: one, or one per day ({len(self.days)})"
                )
        for key in ("guides_per_gene", "effect_patterns"):
            value = getattr(self, key)
            if isinstance(value, dict) and sum(value.values()) <= 0:
                raise ValueError(f"{key}: needs at least one entry with a weight above 0")
        groups = len(self.days) * self.replicates * max(self.clusters, 1)
        if self.cells < groups:
            raise ValueError(
                f"cells: found {self.cells}; allowed: at least {groups}, "
                "one for each day, replicate and cluster"
            )
        if self.moi_distribution != "poisson" and self.moi < 1:
            raise ValueError(
                f"moi: found {self.moi:g}; allowed with moi_distribution {self.moi_distribution}: at least 1"
            )
        if self.cluster_shares_guides and self.clusters == 0:
            raise ValueError("cluster_shares_guides: found true, but clusters is 0; raise clusters")
        if self.active_genes > self.genes:
            raise ValueError(
                f"active_genes: found {self.active_genes}; allowed: at most genes ({self.genes})"
            )
        if self.ntc_share > 0 and self.ntc_guides == 0:
            raise ValueError("ntc_share: found a share above 0, but ntc_guides is 0; set it to 0")
        return self

    @model_validator(mode="after")
    def _unequal_fates(self) -> SimulateConfig:
        n_contrasts = len(self.fates) - 1
        if isinstance(self.cluster_sd, list) and len(self.cluster_sd) != n_contrasts:
            raise ValueError(
                f"cluster_sd: found {len(self.cluster_sd)} values; allowed: one, or one per fate but the "
                f"first ({n_contrasts})"
            )
        factors = self.dispersion_by_fate
        if factors is None:
            return self
        if len(factors) != len(self.fates):
            raise ValueError(
                f"dispersion_by_fate: found {len(factors)} values; allowed: one per fate ({len(self.fates)})"
            )
        if self.labels == "one_hot":
            raise ValueError(
                "dispersion_by_fate: found factors, but labels are one_hot, whose scatter is fixed; set "
                "labels: dirichlet, or give clusters and cluster_sd by fate"
            )
        least = min(self.concentration if isinstance(self.concentration, list) else [self.concentration])
        if max(factors) >= least + 1:
            raise ValueError(
                f"dispersion_by_fate: found a factor of {max(factors):g}, more than one-hot labels scatter; "
                f"allowed: below concentration + 1 ({least + 1:g})"
            )
        return self

    @model_validator(mode="after")
    def _places_for_cells(self) -> SimulateConfig:
        wanted = -(-self.clones // self.replicates) * self.clone_cells + self.jackpot_cells
        room = self.cells // self.replicates // 2
        if self.clones + self.jackpot_cells and wanted > room:
            raise ValueError(
                f"clones: found up to {wanted} cells of clones in a replicate; allowed: at most half of its "
                f"cells ({room}); lower clones, clone_cells or jackpot_cells, or raise cells"
            )
        if self.cluster_shares_guides and (self.clones or self.jackpot_cells):
            raise ValueError("clones: found clones, but cells share guides by cluster; use one of both")
        if self.label_smoothing > self.cells // len(self.days):
            raise ValueError(
                f"label_smoothing: found {self.label_smoothing}; allowed: at most the cells of a day "
                f"({self.cells // len(self.days)})"
            )
        return self

    @model_validator(mode="after")
    def _growth_has_its_fates(self) -> SimulateConfig:
        if not self.growth:
            return self
        unknown = [fate for factors in self.growth.values() for fate in factors if fate not in self.fates]
        if unknown:
            raise ValueError(f"growth: found fate {unknown[0]!r}; allowed: {', '.join(self.fates)}")
        if self.days[0] < 0:
            raise ValueError(
                f"growth: found day {self.days[0]:g}; it counts from time 0, so days start there"
            )
        if self.cluster_shares_guides or self.clones or self.jackpot_cells:
            raise ValueError(
                "growth: found together with clones or cluster_shares_guides; it takes cells one by one, so "
                "use one of both"
            )
        return self

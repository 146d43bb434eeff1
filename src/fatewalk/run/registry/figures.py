"""Figures, each with the caption that says how to read it."""

from fatewalk.run.registry.entries import Figure

FIGURES = (
    Figure(
        "convergence",
        stage="check_delta",
        category="Fit",
        text="Whether the fit settled: what it watched in each phase, against its limits.",
        by_contrast=False,
        caption="""\
**Did the fit of {dataset} (run {run}) settle?** The fit has two phases. Newton-Laplace finds the mode of
the posterior and its curvature in a few rounds; its panel shows how far each round moved the mode (in
posterior standard deviations), the logarithms of the prior scales and those of the labels' weights. SVI (no
panels with fit.family: laplace) then corrects that posterior in steps of an optimiser: how far it moved
from one window of steps to the next, in its means and in its standard deviations, and the loss that it
minimises (the negative ELBO; lower is better), whole and, after many windows, the second half on a finer
scale. Small jumps of the loss up and down are sampling noise. The dashed lines are the limits in the same
colours: the fit counts as converged when everything it watches ends below its limit. Dotted vertical lines:
steps at which the learning rate was lowered, with the new rate.

*What to distrust.* A value that ends above its limit, or a loss that still falls: every effect, interval and
call of such a run is provisional, and all its figures say so. A flat loss alone proves nothing; the limits
are the criterion. The loss cannot be compared between data sets.
""",
    ),
    Figure(
        "heatmap",
        stage="plot_figures",
        category="Effects",
        text="Effects after shrinkage of the 50 best-ranked genes by day, with the calls; by `calls.scale`.",
        by_scale=True,
        caption="""\
**Effects of the best-ranked genes by day** in {dataset} (run {run}). Each row is a gene, best rank on top;
each column is a sampled day, with its real time where the label does not tell it (columns are evenly spaced,
the times need not be). The colour is the shrunken estimate of the gene's effect on which the calls rest. By
default (calls.scale: fate) it is by how much perturbing the gene changes the log odds (logit) of the fate's
own probability, that of the fate against all others together. With calls.scale: contrast, and in the folders
of single contrasts, it is the log odds of the first fate named under the colour bar against the second. Red:
perturbed cells go to that fate more often; blue: less often; white: no difference. A dot marks a day on which
the gene is called active: both the sign and a size above the threshold are well supported. By fate a black
dot and a bold name are a hit, a row of hits.csv: the gene moved this fate itself, or the data cannot tell
which fates it moved. A hollow dot: this fate changes because others do, for probabilities sum to one (or,
with calls.rule: lfsr, a day is active and the time course is no hit). By contrast bold names are hits in the
whole time course. Hatched grey: no cell of that day carried a guide of the gene, hardly a cell of the day is
of the fate, or the labels alone cannot tell the effect; nothing is claimed there.

*What to distrust.* A strong colour without a dot is an estimate that may well be noise. mash knows a few
typical courses over days and draws a gene towards those that fit it best, so equal colours on several days,
or exact white beside them, are less certain than they look. Arrow-shaped ends of the colour bar mean that a
few effects lie beyond the scale. The title tells how many genes are not shown.
""",
    ),
    Figure(
        "trajectories",
        stage="plot_figures",
        category="Effects",
        text="Effects of the best-ranked genes and their guides over real time; by `calls.scale`.",
        by_scale=True,
        caption="""\
**Effects over time of the best-ranked genes** in {dataset} (run {run}), a panel a gene. Horizontal: real time
of sampling. Vertical: effect of perturbing the gene on the log odds (logit) of the fate's own probability
(calls.scale: fate, the default), or of the first fate named on the axis against the second; the grey
horizontal line is no effect. Circles joined in blue: the gene, the average over its guides, by fate after
shrinkage (mash) as in hits.csv, by contrast the posterior mean before it; vertical bars: 95 % intervals.
Filled orange circles: days on which the gene is called active, which is always judged after shrinkage; pale
ones where the fate only follows others (in the overview such lines are paler); open circles: days on which it
is not. Thin grey lines: the gene's single guides before shrinkage, by fate as the labels alone tell them;
some may leave the axis. Small numbers above the
axis: cells of that day with a guide of the gene (the range over days where they would not fit). A day without
such cells leaves a gap.

*What to distrust.* A gene whose guides disagree in direction, or that rests on a single guide: this may be an
off-target effect or a failed guide. Intervals hold for each day on its own, and neighbouring days share
information. An interval that excludes zero need not be a call, which asks for a size. By contrast the calls
rest on other numbers than those drawn (key calls.source), and a day whose interval includes zero can be
called because of the gene's other days: look twice at such a day. The panels were chosen because they rank
best, so their effects tend to be overstated.
""",
    ),
    Figure(
        "volcano",
        stage="plot_figures",
        category="Effects",
        text="Effect against local false sign rate, a panel a day; by `calls.scale`.",
        by_scale=True,
        caption="""\
**Size against certainty of the effects, by day**, in {dataset} (run {run}). Each point is a gene on one day.
Horizontal: shrunken effect, on which the calls rest, on the log odds (logit) of the fate's own probability
(calls.scale: fate, the default), or of the first fate named on the axis against the second; positive means
that perturbed cells go to that fate more often. Vertical: the local false sign rate (lfsr), the probability
that the sign of the effect is wrong, as −log₁₀: 2 means 1 %, 3 means 0.1 %. Orange: called active, hollow
where the fate only follows others that the gene moved; grey: not called. Triangles at the top edge lie beyond
the axis. Dotted lines: the smallest effect of interest in either direction; dashed line: the lfsr threshold.
The largest calls are named; a thin line joins a name to its point where it had to be moved. Genes without
cells on a day are absent from its panel.

*What to distrust.* A call needs a high probability that the effect exceeds the dotted lines, not just a point
beyond both thresholds: grey points in the outer upper corners are genes for which the size is still
uncertain. Grey points high up beside zero are no error: where a gene moves one fate, the signs of what
follows are sure and the sizes small. The lfsr is as good as the model behind it; it is no p-value and must
not be corrected again for the number of genes. mash gives a gene that follows a common course over the days
nearly the same lfsr on all days of it: such points are one piece of evidence, not several.
""",
    ),
    Figure(
        "guides",
        stage="plot_figures",
        category="Effects",
        text="Guides by name: by how much each deviates from its gene, by contrast.",
        caption="""\
**Do the guides of a gene agree?** Data set {dataset}, run {run}. Each row is a guide, named on the left, its
gene on the right; the genes with the largest disagreement stand on top. Blue points: by how much the
guide's effect on the log-odds (logit) of the first fate named in the title against the second differs from
the average over the guides of its gene, the same on all days, as the model estimates it; bars are 95 %
intervals. The black bar is the mean over the gene's guides. It lies on zero, because the gene's effect is
defined as that average. In the overview of several fates colours stand for the deviations (red: the guide's
cells go to that fate more often than those of the gene's other guides), a column a fate, and a dot marks
those whose interval leaves zero out.

*What to distrust.* Genes on top with one guide far from all others: look for an off-target effect or an
inactive guide before believing the gene's average. Genes with two guides can only mirror each other: the
figure cannot tell which of the two is wrong. Genes with one guide have no deviation and are not shown; that
is absence of evidence, not agreement. In a run marked as uncentred the black bars may leave zero: then the
effects of genes are shifted by as much.
""",
    ),
    Figure(
        "label_certainty",
        stage="plot_figures",
        category="Design",
        text="How sure the labels are of a cell's fate, by day.",
        by_contrast=False,
        caption="""\
**What can the labels of each day resolve?** Data set {dataset}, run {run}. Horizontal: real time of sampling.
Vertical: 1 minus the mean entropy of the labels over the entropy of the day's mean label. It is 1 where the
label of every cell names one fate, and 0 where all cells have the same label. Black: all fates together;
the other lines: each fate against all others.

*What to distrust.* Effects on a day whose line is low. Labels that are all alike move little, so an effect
shows small there whatever the biology, and its absence proves nothing. Where this may hide an effect,
hits.csv says "present from day 5 on; day 3 not resolved" in place of "late". A high line is no proof either:
labels can be sure and wrong.
""",
    ),
    Figure(
        "composition",
        stage="plot_figures",
        category="Design",
        text="Mean probability of each fate by day: how many cells end in which fate.",
        by_contrast=False,
        caption="""\
**Which fates do the cells end in, by day?** {dataset} (run {run}). Each panel is a fate. Horizontal: real
time of sampling. Vertical: the mean of the fate's probability over all cells of a day, perturbed or not, in
percent; over the fates these add up to 100 % on each day. The smallest and the largest value stand over the
panel.

*What to distrust.* A fate of which hardly a cell is seen on a day can show no effect there. A composition
that jumps between two days may be one of sampling or of labels, not of biology: look whether the label
certainty jumps, too.
""",
    ),
    Figure(
        "certificate",
        stage="plot_figures",
        category="Fit",
        text="Whether errors hold: z where nothing acts, by fate; coverage and power of planted effects.",
        by_contrast=False,
        caption="""\
**Do the stated errors hold on this very screen?** {dataset} (run {run}). Each panel is a fate. A z is an
effect in units of its stated error. Vertical: quantiles of the z scores that were found where nothing acts;
horizontal: those that right errors would give. Blue: genes, with guides shuffled between cells of a day,
replicate and number of guides. Orange: control (NTC) guides, each taken for a gene. With calls.certificate:
full two more panels show effects of known size that were planted into the labels of this screen: the share
whose 95 % interval holds the truth (dashed: 95 %), and the share that was called active; bars are 95 %
intervals.

*What to distrust.* Lines steeper than the dashed one: errors are too small there. Where the orange line is
steep and the blue one is not, controls act, or cells belong together (clones, embryos, wells) and nobody
named them. Few controls make a ragged orange line; certificate.json says whether it is more than chance.
Flat lines: errors are too large, and effects are missed.
""",
    ),
    Figure(
        "recovery",
        stage="evaluate_recovery",
        category="Against the truth",
        text="Estimates against the truth of a simulated screen, by contrast.",
        caption="""\
**Are the estimates right?** Simulated screen {dataset}, run {run}: posterior estimates (before mash) against
the truth that generated the data, a panel a day. Each point is a gene: its true effect (horizontal) and the
estimate with its 95 % interval (vertical), both in log-odds (logit) of the first fate named on the axis
against the second. Blue: genes that are truly active on the day; grey: all others, most of them without any
effect and therefore stacked at zero. Dashed line: estimate equals truth. Above each panel: the root mean
square error (RMSE) of the estimates, and the coverage, the share of intervals that contain the truth. It
should be near 95 %.

*What to distrust.* With few genes the coverage is itself uncertain: 50 genes give 95 % ± 6 %. Points below
the line on the right and above it on the left show shrinkage towards zero, which is intended when data are
few. Good recovery here shows that the method works when its assumptions hold; it says nothing of a real
screen whose cells, guides or days violate them. Genes without cells on a day are left out.
""",
    ),
    Figure(
        "ablation",
        stage="tabulate_ablation",
        category="Ablation",
        text="Simulated screens fitted with and without centring.",
        by_contrast=False,
        caption="""\
**What centring the guide deviations repairs.** Several simulated screens, each fitted twice: with the
deviations of guides centred within their gene (blue), as in every ordinary run, and without (orange). Each
point is a screen on one day, a thin line joins the two fits of the same screen, a black bar is the mean over
screens. Points are spread sideways only to keep equal values apart. Panels: genes called active that are not
(false positives); truly active genes that were missed (false negatives); root mean square error (RMSE) of the
gene effects in log-odds (logit); and the offset, by how much on average the effect of a gene (theta) stands
away from the mean effect of its guides (beta) over the whole fit (logit), which centring makes zero.

*What to distrust.* Few screens: judge by the pairs (do nearly all lines go the same way?), not by the bars
alone. The screens are drawn with large differences between guides, where centring matters most; with guides
that agree the two fits hardly differ.
""",
    ),
)

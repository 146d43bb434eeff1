"""Simulated screens with their truth: one generator for tests, demo, power and benchmarks.

The screen is drawn from the model that is fitted. With f a contrast (a fate but the first, which
is the reference), d the day, r the replicate and k the number of distinct guides of the cell:

    eta = alpha[f, d] + b[f, r] + gamma[f, d] * (k - mean k of the day)
          + own intercept of the cell's cluster (if there are clusters) + covariate_effect * covariate
          + sum of beta[g, f, d]
    beta[g, f, d] = theta[gene of g, f, d] + delta[g, f], 0 for NTC guides, which do count in k

and labels are one fate drawn from softmax(eta), or Dirichlet(concentration * softmax(eta)).

Effects of an active gene over the D days (in time order; every pattern works from D = 1 on):

- single_day: full size on one random day, 0 on the others
- sustained: full size on all days
- early: full size in the first half, then down to 0 on the last day in equal steps
- late: early, backwards
- transient: full size on the middle day (the two middle ones if D is even), 0 on the others
- sign_switch: full size in the first half (the larger one if D is odd), then the opposite sign
- random_walk: N(0, walk_start_sd) on the first day, then steps N(0, walk_step_sd)

With ``active_per: day`` there are no patterns: on every day active_genes genes are drawn anew, each
with an effect on that day alone, so a gene may act on several days with sizes and signs of their own.

What real screens have and the model has not is off unless asked for: fates that scatter unequally, NTC
guides with effects of their own, genes that differ between replicates, clones, death and growth, labels that
are smoothed over neighbours or drawn towards their mean, guides that are not seen or seen where they are not.

Dimensions: N cells, F fates, F* contrasts, D days, R replicates, C clusters, L genes, G targeting guides,
M guides with NTC, A active genes, E guide calls.
"""

from fatewalk.screen.simulate.screen import SimulatedScreen, simulate_screen, write_screen
from fatewalk.screen.simulate.streams import STREAMS

__all__ = ["STREAMS", "SimulatedScreen", "simulate_screen", "write_screen"]

"""Coverage of intervals over a grid of simulated screens."""

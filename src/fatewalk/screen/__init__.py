"""From files to a checked design: readers of each format, checks, covariates, the simulator."""

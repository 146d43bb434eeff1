"""Inference: where to start, posterior families, the SVI loop, the fit as a stage."""

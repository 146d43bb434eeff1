"""Inference: where to start, posterior families (guides), the SVI loop, the fit as a stage."""

"""Proof on the user's own data: what the analysis says where there is nothing to find."""

"""A run: which files it has, where they lie, what they hold, and which fit each belongs to."""

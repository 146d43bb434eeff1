"""Three ways to the calls, compared on simulated screens."""

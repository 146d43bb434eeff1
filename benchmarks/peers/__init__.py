"""Head to head with what users would do today: peers of fatewalk, run on the same screens."""

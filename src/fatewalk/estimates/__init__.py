"""From a fitted posterior to effects with errors: draws, likelihood-only, changes of fates, tables."""
